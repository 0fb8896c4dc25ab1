//! Style, scripts and images of the pages: `/static/{hash}/{name}`.
//!
//! The hash is of all files together, so a style sheet can name an image beside it and an address never changes its
//! meaning: browsers may keep the files for ever.

use std::io::Write as _;
use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{self, HeaderValue};
use http::{HeaderMap, StatusCode};

use crate::domain::secret::Digest32;
use crate::http::render::Pages;

/// A file that pages load.
struct Asset {
    name: &'static str,
    media_type: &'static str,
    content: &'static str,
}

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";

const ASSETS: [Asset; 7] = [
    Asset {
        name: "mark.svg",
        media_type: "image/svg+xml; charset=utf-8",
        content: include_str!("../../../static/mark.svg"),
    },
    Asset { name: "code.js", media_type: JAVASCRIPT, content: include_str!("../../../static/code.js") },
    Asset {
        name: "form_post.js",
        media_type: JAVASCRIPT,
        content: include_str!("../../../static/form_post.js"),
    },
    Asset { name: "lines.js", media_type: JAVASCRIPT, content: include_str!("../../../static/lines.js") },
    Asset { name: "passkey.js", media_type: JAVASCRIPT, content: include_str!("../../../static/passkey.js") },
    Asset {
        name: "password.js",
        media_type: JAVASCRIPT,
        content: include_str!("../../../static/password.js"),
    },
    Asset {
        name: "style.css",
        media_type: "text/css; charset=utf-8",
        content: include_str!("../../../static/style.css"),
    },
];

/// The files and the hash that stands for this set of them.
#[derive(Clone)]
pub(crate) struct Assets {
    hash: String,
    /// Each of them compressed, in their order: once, for everybody who comes.
    packed: Arc<[Bytes]>,
}

/// Hexadecimal digits of the hash in an address.
const HASH_DIGITS: usize = 16;

impl Assets {
    pub(super) fn new() -> Self {
        let lengths: Vec<[u8; 8]> =
            ASSETS.iter().map(|asset| (asset.content.len() as u64).to_be_bytes()).collect();
        let parts: Vec<&[u8]> = ASSETS
            .iter()
            .zip(&lengths)
            .flat_map(|(asset, length)| [asset.name.as_bytes(), length.as_slice(), asset.content.as_bytes()])
            .collect();
        Self {
            hash: Digest32::of_parts(&parts).hex().chars().take(HASH_DIGITS).collect(),
            packed: ASSETS.iter().map(|asset| packed(asset.content)).collect(),
        }
    }

    /// The address of a file.
    pub(super) fn address(&self, name: &str) -> Option<String> {
        let asset = ASSETS.iter().find(|asset| asset.name == name)?;
        Some(format!("/static/{}/{}", self.hash, asset.name))
    }
}

/// The text compressed, or nothing where that fails: then it is sent as it is.
fn packed(content: &str) -> Bytes {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content.as_bytes()).and_then(|()| encoder.finish()).map(Bytes::from).unwrap_or_default()
}

/// Whether whoever asks takes gzip (RFC 9110 §12.5.3). Who does not say so is sent the text as it is.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let is_refused = weight
            .trim()
            .strip_prefix("q=")
            .is_some_and(|weight| !weight.bytes().any(|digit| (b'1'..=b'9').contains(&digit)));
        name.trim().eq_ignore_ascii_case("gzip") && !is_refused
    })
}

/// Answers with a file, if there is one of this name. While replicas of two versions run side by side, a page of the other version
/// asks for a hash that is not ours; it gets our file, and is told not to keep it.
pub(crate) fn answer(pages: &Pages, (hash, name): (&str, &str), headers: &HeaderMap) -> Option<Response> {
    let (asset, packed) =
        ASSETS.iter().zip(pages.assets().packed.iter()).find(|(asset, _)| asset.name == name)?;
    let packed = Some(packed).filter(|packed| !packed.is_empty() && takes_gzip(headers));
    // What differs in its bytes differs in its tag (RFC 9110 §8.8.3).
    let coding = if packed.is_some() { "-gzip" } else { "" };
    let etag = format!("\"{}{coding}\"", Digest32::of(asset.content.as_bytes()).hex());
    let keep = if hash == pages.assets().hash { "public, max-age=31536000, immutable" } else { "no-store" };
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content = packed.map_or(Bytes::from_static(asset.content.as_bytes()), Bytes::clone);
        let mut response = Response::new(content.into());
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type));
        if packed.is_some() {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    // An image that somebody opens by its address is a document; it may do nothing.
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    Some(response)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use flate2::read::GzDecoder;
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::domain::issuer::Issuer;

    fn pages() -> Pages {
        Pages::open(&Issuer::parse("http://localhost:8080").unwrap()).unwrap()
    }

    fn fetch(hash: &str, name: &str, known: Option<&str>) -> Option<Response> {
        let mut headers = HeaderMap::new();
        if let Some(etag) = known {
            headers.insert(header::IF_NONE_MATCH, etag.parse().unwrap());
        }
        answer(&pages(), (hash, name), &headers)
    }

    #[tokio::test]
    async fn a_file_is_kept_for_ever_at_the_address_that_its_hash_names() {
        let hash = pages().assets().hash.clone();
        for asset in ASSETS {
            let response = fetch(&hash, asset.name, None).unwrap();
            assert_eq!(response.status(), StatusCode::OK);
            assert_eq!(response.headers()[header::CONTENT_TYPE], asset.media_type);
            assert_eq!(response.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            let etag = response.headers()[header::ETAG].to_str().unwrap().to_owned();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), asset.content);
            assert_eq!(fetch(&hash, asset.name, Some(&etag)).unwrap().status(), StatusCode::NOT_MODIFIED);
        }
    }

    #[test]
    fn a_page_of_another_release_gets_a_file_but_does_not_keep_it() {
        let response = fetch("0000000000000000", "style.css", None).unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    }

    #[test]
    fn a_file_that_is_not_ours_is_not_found() {
        for name in ["", "style.css.map", "../en.toml", "Style.css"] {
            assert_eq!(fetch("x", name, None).map(|found| found.status()), None, "{name}");
        }
    }

    #[tokio::test]
    async fn whoever_takes_gzip_gets_the_same_text_compressed_under_a_tag_of_its_own() {
        let pages = pages();
        let hash = pages.assets().hash.clone();
        let fetch = |accepted: Option<&str>, known: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
            if let Some(accepted) = accepted {
                headers.insert(header::ACCEPT_ENCODING, accepted.parse().unwrap());
            }
            answer(&pages, (&hash, "style.css"), &headers).unwrap()
        };
        let plain = fetch(None, "\"x\"");
        let tag = plain.headers()[header::ETAG].to_str().unwrap().to_owned();
        let text = plain.into_body().collect().await.unwrap().to_bytes();
        for accepted in ["gzip", "br, GZIP ; q=0.5", "deflate,gzip;q=1.0"] {
            let response = fetch(Some(accepted), &tag);
            assert_eq!(response.status(), StatusCode::OK, "{accepted}: the tag is that of other bytes");
            assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip", "{accepted}");
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
            let own = response.headers()[header::ETAG].to_str().unwrap().to_owned();
            assert_eq!(fetch(Some(accepted), &own).status(), StatusCode::NOT_MODIFIED);
            let mut unpacked = Vec::new();
            let packed = response.into_body().collect().await.unwrap().to_bytes();
            GzDecoder::new(&*packed).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, text);
        }
        for accepted in ["", "identity", "br", "gzip;q=0", "gzip; q=0.000", "xgzip", "*"] {
            let response = fetch(Some(accepted), "\"x\"");
            assert!(!response.headers().contains_key(header::CONTENT_ENCODING), "{accepted}");
            assert_eq!(response.headers()[header::VARY], "accept-encoding");
        }
    }

    #[test]
    fn all_a_page_loads_is_small() {
        // The budget of a hosted page is 30 kB compressed, itself among it; a third of that is for its files, were it to load all.
        let total: usize = pages().assets().packed.iter().map(Bytes::len).sum();
        assert!(total > 0 && total < 10_000, "{total}");
    }
}

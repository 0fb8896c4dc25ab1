//! Style, scripts and images of the pages: `/static/{hash}/{name}`.
//!
//! The hash is of all files together, so a style sheet can name an image beside it and an address never changes its
//! meaning: browsers may keep the files for ever.

use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
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
        Self { hash: Digest32::of_parts(&parts).hex().chars().take(HASH_DIGITS).collect() }
    }

    /// The address of a file.
    pub(super) fn address(&self, name: &str) -> Option<String> {
        let asset = ASSETS.iter().find(|asset| asset.name == name)?;
        Some(format!("/static/{}/{}", self.hash, asset.name))
    }
}

/// Answers with a file, if there is one of this name. While replicas of two versions run side by side, a page of the other version
/// asks for a hash that is not ours; it gets our file, and is told not to keep it.
pub(crate) fn answer(pages: &Pages, (hash, name): (&str, &str), headers: &HeaderMap) -> Option<Response> {
    let asset = ASSETS.iter().find(|asset| asset.name == name)?;
    let etag = format!("\"{}\"", Digest32::of(asset.content.as_bytes()).hex());
    let keep = if hash == pages.assets().hash { "public, max-age=31536000, immutable" } else { "no-store" };
    let known = headers
        .get(header::IF_NONE_MATCH)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|tags| tags.split(',').any(|tag| tag.trim().trim_start_matches("W/") == etag));
    let mut response = if known {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content = Bytes::from_static(asset.content.as_bytes());
        ([(header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type))], content).into_response()
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
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

    #[test]
    fn all_a_page_loads_is_small() {
        // The budget of a hosted page is 30 kB compressed; half of that uncompressed leaves room.
        let total: usize = ASSETS.iter().map(|asset| asset.content.len()).sum();
        assert!(total < 24 * 1024, "{total}");
    }
}

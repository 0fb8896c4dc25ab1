//! Forms that this server showed in this browser, and no others.
//!
//! Two independent defences. The browser says where a request comes from: `Sec-Fetch-Site` must be `same-origin`, or
//! `none` for a page that the user reloads; a browser that does not send it must send our own `Origin`; one that sends
//! neither is refused. (`Origin: null` beside a good `Sec-Fetch-Site` is what browsers send from our pages, because
//! these have `Referrer-Policy: no-referrer`.) And the form carries a token that belongs to the browser's cookie, which
//! another site can neither read nor set.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CONTENT_TYPE, HeaderMap, ORIGIN};
use http_body_util::BodyExt as _;

use crate::domain::issuer::Issuer;
use crate::domain::secret::{Entropy, OpaqueToken};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::render::Pages;
use crate::http::render::error_page::{ErrorKind, ErrorPage};

const SALT_LEN: usize = 16;
const MAC_LEN: usize = 32;
/// The form field that carries the token.
const TOKEN: &str = "csrf_token";
/// Fields that any of our forms has at most.
const MAX_FIELDS: usize = 32;

/// Makes and checks form tokens.
#[derive(Clone)]
pub(crate) struct FormGuard {
    key: hmac::Key,
    origin: String,
    entropy: Entropy,
}

impl FormGuard {
    pub(crate) fn new(key: &[u8; 32], issuer: &Issuer, entropy: Entropy) -> Self {
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, key), origin: issuer.origin().to_owned(), entropy }
    }

    /// A token for a form shown in this browser. Each one differs, so that compression of an answer tells nothing.
    pub(crate) fn token(&self, browser: &OpaqueToken) -> String {
        let salt = self.entropy.bytes::<SALT_LEN>();
        let mac = hmac::sign(&self.key, &message(&salt, browser));
        URL_SAFE_NO_PAD.encode([salt.as_slice(), mac.as_ref()].concat())
    }

    fn is_token(&self, browser: &OpaqueToken, token: &str) -> bool {
        self.is_mac(token, |salt| message(salt, browser))
    }

    fn is_mac(&self, token: &str, message: impl Fn(&[u8; SALT_LEN]) -> Vec<u8>) -> bool {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(token) else { return false };
        let Some((salt, mac)) = bytes.split_first_chunk::<SALT_LEN>() else { return false };
        mac.len() == MAC_LEN && hmac::verify(&self.key, &message(salt), mac).is_ok()
    }

    /// Shows that this browser was given `what` by this server.
    pub(crate) fn ticket(&self, browser: &OpaqueToken, what: &str) -> String {
        let salt = self.entropy.bytes::<SALT_LEN>();
        let mac = hmac::sign(&self.key, &ticket_message(&salt, browser, what));
        URL_SAFE_NO_PAD.encode([salt.as_slice(), mac.as_ref()].concat())
    }

    pub(crate) fn is_ticket(&self, browser: &OpaqueToken, what: &str, ticket: &str) -> bool {
        self.is_mac(ticket, |salt| ticket_message(salt, browser, what))
    }

    /// Whether the browser vouches that the request comes from our own pages.
    fn is_same_site(&self, headers: &HeaderMap) -> bool {
        let text = |name: &str| {
            let mut values = headers.get_all(name).iter();
            let first = values.next().map(|value| value.to_str().unwrap_or("?"));
            if values.next().is_some() { Some("?") } else { first }
        };
        let origin = text(ORIGIN.as_str());
        let ours = origin == Some(self.origin.as_str());
        match text("sec-fetch-site") {
            Some("same-origin" | "none") => ours || matches!(origin, None | Some("null")),
            Some(_) => false,
            None => ours,
        }
    }
}

fn message(salt: &[u8; SALT_LEN], browser: &OpaqueToken) -> Vec<u8> {
    [salt.as_slice(), browser.expose().as_bytes()].concat()
}

/// The token of a browser has no such byte, and one length: this is never the message of a form.
fn ticket_message(salt: &[u8; SALT_LEN], browser: &OpaqueToken, what: &str) -> Vec<u8> {
    [&message(salt, browser), b"\0".as_slice(), what.as_bytes()].concat()
}

/// The fields of a form.
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads form data. Nothing is repaired: what is not clean UTF-8, or was sent twice, is refused.
    fn parse(body: &[u8]) -> Option<Self> {
        let fields: Vec<(String, String)> =
            form_urlencoded::parse(body).into_owned().take(MAX_FIELDS + 1).collect();
        // The parser puts this character where it could not decode; no form of ours needs it.
        let clean = |text: &str| !text.contains('\u{fffd}');
        let names: BTreeSet<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        (fields.len() <= MAX_FIELDS
            && names.len() == fields.len()
            && fields.iter().all(|(name, value)| clean(name) && clean(value)))
        .then_some(Self(fields))
    }

    /// A field that was sent.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A field, or nothing: for fields where an empty text means the same as none.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }
}

/// Why a form is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
enum FormError {
    #[error("the body is not a form")]
    ContentType,
    #[error("the body broke off")]
    Interrupted,
    #[error(
        "the form was sent without the cookie of the browser that opened it: cookies are off, or were cleared"
    )]
    NewBrowser,
    #[error("Origin and Sec-Fetch-Site do not say that a page of this server sent the form")]
    OtherSite,
    #[error("the token of the form is missing, or is that of another browser")]
    Token,
    #[error("a field is repeated or malformed, or there are too many")]
    Unclean,
}

impl FormError {
    const fn page(self) -> ErrorKind {
        match self {
            Self::ContentType | Self::Interrupted | Self::Unclean => ErrorKind::BadRequest,
            Self::NewBrowser | Self::OtherSite | Self::Token => ErrorKind::CrossSite,
        }
    }
}

/// A posted form of ours.
pub(crate) struct OwnForm {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Fields,
}

impl<S> FromRequest<S> for OwnForm
where
    S: Send + Sync,
    Visitor: FromRequestParts<S, Rejection = Response>,
    FormGuard: FromRef<S>,
    Pages: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request(request: Request, state: &S) -> Result<Self, Response> {
        let pages = Pages::from_ref(state);
        let guard = FormGuard::from_ref(state);
        let (mut parts, body) = request.into_parts();
        let Ok(id) = RequestId::from_request_parts(&mut parts, state).await;
        let refuse = |error: FormError| {
            pages.error(&ErrorPage::new(error.page()).because(&error).reference(id.as_str()))
        };
        if !guard.is_same_site(&parts.headers) {
            return Err(refuse(FormError::OtherSite));
        }
        if !is_form(&parts.headers) {
            return Err(refuse(FormError::ContentType));
        }
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        let body = body.collect().await.map_err(|_| refuse(FormError::Interrupted))?.to_bytes();
        let fields = Fields::parse(&body).ok_or_else(|| refuse(FormError::Unclean))?;
        if !guard.is_token(&visitor.visit.browser, fields.text(TOKEN)) {
            return Err(refuse(if visitor.is_new() { FormError::NewBrowser } else { FormError::Token }));
        }
        Ok(Self { visitor, fields })
    }
}

/// Whether the body says that it is form data.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (first, second) = (types.next(), types.next());
    let essence = first.and_then(|value| value.to_str().ok()).and_then(|value| value.split(';').next());
    second.is_none()
        && essence
            .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::domain::secret::TokenKind;

    fn guard() -> FormGuard {
        let issuer = Issuer::parse("https://id.example.com/realm").unwrap();
        FormGuard::new(&[3; 32], &issuer, Entropy::seeded(1))
    }

    fn browser(seed: u64) -> OpaqueToken {
        OpaqueToken::generate(TokenKind::Browser, &Entropy::seeded(seed))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_token_is_good_in_the_browser_it_was_made_for_only() {
        let guard = guard();
        let token = guard.token(&browser(1));
        assert!(guard.is_token(&browser(1), &token));
        assert!(!guard.is_token(&browser(2), &token));
        assert_ne!(token, guard.token(&browser(1)));
    }

    #[test]
    fn a_ticket_is_good_for_its_browser_and_its_matter_and_is_no_form_token() {
        let guard = guard();
        let ticket = guard.ticket(&browser(1), "ses_1");
        assert!(guard.is_ticket(&browser(1), "ses_1", &ticket));
        assert!(!guard.is_ticket(&browser(2), "ses_1", &ticket));
        assert!(!guard.is_ticket(&browser(1), "ses_2", &ticket));
        assert!(!guard.is_ticket(&browser(1), "ses_1", &guard.token(&browser(1))));
        assert!(!guard.is_token(&browser(1), &guard.ticket(&browser(1), "")));
    }

    #[test]
    fn what_is_no_token_is_refused() {
        let guard = guard();
        let token = guard.token(&browser(1));
        for bad in ["", "x", "AAAA", &token[1..], &format!("{token}AA"), "ä"] {
            assert!(!guard.is_token(&browser(1), bad), "{bad}");
        }
    }

    #[test]
    fn a_form_of_our_own_page_is_accepted_whatever_the_browser_says_of_it() {
        for good in [
            headers(&[("sec-fetch-site", "same-origin"), ("origin", "https://id.example.com")]),
            headers(&[("sec-fetch-site", "same-origin"), ("origin", "null")]),
            headers(&[("sec-fetch-site", "none"), ("origin", "null")]),
            headers(&[("sec-fetch-site", "same-origin")]),
            headers(&[("origin", "https://id.example.com")]),
        ] {
            assert!(guard().is_same_site(&good), "{good:?}");
        }
    }

    #[test]
    fn a_form_of_another_site_and_one_of_unknown_origin_are_refused() {
        for bad in [
            headers(&[]),
            headers(&[("origin", "null")]),
            headers(&[("origin", "https://evil.example")]),
            headers(&[("origin", "http://id.example.com")]),
            headers(&[("origin", "https://id.example.com:8443")]),
            headers(&[("sec-fetch-site", "cross-site"), ("origin", "https://id.example.com")]),
            headers(&[("sec-fetch-site", "same-site"), ("origin", "null")]),
            headers(&[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")]),
            headers(&[("origin", "https://id.example.com"), ("origin", "https://evil.example")]),
            headers(&[("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site")]),
        ] {
            assert!(!guard().is_same_site(&bad), "{bad:?}");
        }
    }

    #[test]
    fn fields_are_read_as_sent() {
        let fields = Fields::parse(b"a=1&b=x+y%0D%0Az&c=").unwrap();
        assert_eq!(fields.get("a"), Some("1"));
        assert_eq!(fields.get("b"), Some("x y\r\nz"));
        assert_eq!(fields.get("c"), Some(""));
        assert_eq!(fields.get("d"), None);
        assert_eq!(fields.text("e"), "");
    }

    #[test]
    fn a_form_that_is_not_utf_8_or_has_too_many_fields_or_one_twice_is_refused() {
        let count = |body: &[u8]| Fields::parse(body).map(|fields| fields.0.len());
        for twice in ["d=1&d=2", "d=1&d=1", "d=&d=1", "a=1&%64=1&d=1"] {
            assert_eq!(count(twice.as_bytes()), None, "{twice}");
        }
        assert_eq!(count(b"a=%ff"), None);
        assert_eq!(count(b"a=\xff"), None);
        let many = |fields: usize| (0..fields).map(|n| format!("a{n}=1")).collect::<Vec<_>>().join("&");
        assert_eq!(count(many(MAX_FIELDS).as_bytes()), Some(MAX_FIELDS));
        assert_eq!(count(many(MAX_FIELDS + 1).as_bytes()), None);
        assert_eq!(count(b""), Some(0));
    }

    #[test]
    fn only_form_data_is_read_as_a_form() {
        assert!(is_form(&headers(&[("content-type", "application/x-www-form-urlencoded;charset=UTF-8")])));
        assert!(is_form(&headers(&[("content-type", "Application/X-WWW-Form-Urlencoded; charset=UTF-8")])));
        for bad in ["application/json", "multipart/form-data", "text/plain", ""] {
            assert!(!is_form(&headers(&[("content-type", bad)])), "{bad}");
        }
        assert!(!is_form(&headers(&[])));
        let two =
            [("content-type", "application/x-www-form-urlencoded"), ("content-type", "application/json")];
        let two: HeaderMap = two
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)))
            .collect();
        assert!(!is_form(&two));
    }
}

//! People on their way to a page that needs a sign-in.

use axum::extract::OriginalUri;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, LOCATION};
use http::request::Parts;
use http::{Method, Response, StatusCode};

use super::Sessions;
use super::ask::Ask;
use super::return_path::ReturnPath;
use crate::body::Body;
use crate::refusal::Refusal;
use crate::token::credential;

const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// Whether a browser shows the answer as a page.
pub(super) fn is_navigation(headers: &HeaderMap) -> bool {
    match headers.get(FETCH_MODE) {
        Some(mode) => mode == "navigate",
        None => accepts(headers, "text/html"),
    }
}

/// Whether a media type is named among those that are accepted.
pub(super) fn accepts(headers: &HeaderMap, media: &str) -> bool {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let mut types = lines.flat_map(|line| line.split(',')).map(|it| it.split(';').next().unwrap_or_default());
    types.any(|own| own.trim().eq_ignore_ascii_case(media))
}

/// The way of somebody to the page where they sign in, and back.
pub(crate) struct Way {
    login: String,
    back: Option<ReturnPath>,
}

/// Whether there is a token is all that is asked.
const NONE_IS_READ: usize = 0;

impl Sessions {
    /// The way to sign in for who sent a request, if that is somebody who opens a page.
    pub(crate) fn way(&self, parts: &Parts) -> Option<Way> {
        if parts.method != Method::GET
            || !matches!(credential(&parts.headers, NONE_IS_READ), Ok(None))
            || !is_navigation(&parts.headers)
        {
            return None;
        }
        // A router around this one may have taken a part of the path away.
        let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
        let back = uri.path_and_query().and_then(|path| ReturnPath::parse(path.as_str()));
        Some(Way { login: self.start_over(), back })
    }
}

impl Way {
    /// Leads who is refused for want of a sign-in to one.
    pub(crate) fn leads(&self, refusal: &Refusal) -> Option<Response<Body>> {
        let ask = match refusal {
            Refusal::Anonymous => Ask::default(),
            Refusal::SignIn { sign_in, .. } => {
                let age = sign_in.max_age().map(|secs| secs.to_string());
                Ask::read(sign_in.acr_values().as_deref(), age.as_deref())?
            }
            _ => return None,
        };
        tracing::debug!(cause = %refusal, "led to a sign-in");
        Some(see_other(&way_to(&self.login, self.back.as_ref(), &ask)))
    }
}

/// The path where a sign-in begins, with what is asked of it and where it leads back to.
pub(super) fn way_to(login: &str, back: Option<&ReturnPath>, ask: &Ask) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(back.map(|back| ("return_to", back.as_str()))).extend_pairs(ask.parameters());
    format!("{login}?{}", query.finish())
}

/// Leads a browser elsewhere: by GET, and this once.
pub(super) fn see_other(location: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match HeaderValue::try_from(location) {
        Ok(location) => drop(headers.insert(LOCATION, location)),
        // URLs and paths that were checked have no such characters.
        Err(_) => *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR,
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_told_from_what_a_script_asks_for() {
        for (headers, is_page) in [
            (&[("sec-fetch-mode", "navigate"), ("accept", "*/*")][..], true),
            (&[("sec-fetch-mode", "cors"), ("accept", "text/html")], false),
            (&[("sec-fetch-mode", "same-origin")], false),
            (&[("accept", "text/html,application/xhtml+xml;q=0.9")], true),
            (&[("accept", "application/json, Text/HTML;q=0.5")], true),
            (&[("accept", "*/*")], false),
            (&[("accept", "application/json")], false),
            (&[], false),
        ] {
            let pair = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
            let headers: HeaderMap = headers.iter().map(pair).collect();
            assert_eq!(is_navigation(&headers), is_page, "{headers:?}");
        }
    }
}

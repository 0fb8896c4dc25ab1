//! What scripts of other origins may ask, and what they may read of the answer.

use std::time::Duration;

use http::header::{self, HeaderMap, HeaderName};
use http::{Method, Request};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::header::exactly_one;
use crate::origin::{NotAnOrigin, origin};

/// What scripts may read of every answer: what a guard tells clients in headers.
const EXPOSED: [HeaderName; 9] = [
    HeaderName::from_static("dpop-nonce"),
    HeaderName::from_static("grpc-message"),
    HeaderName::from_static("grpc-status"),
    HeaderName::from_static("ratelimit"),
    HeaderName::from_static("ratelimit-policy"),
    header::RETRY_AFTER,
    header::WWW_AUTHENTICATE,
    HeaderName::from_static("x-decision-id"),
    HeaderName::from_static("x-request-id"),
];

/// Lets scripts of other origins ask a service and read its answers: given to [`GuardBuilder::cors`](crate::GuardBuilder::cors).
///
/// The preflight of a browser is answered before the guard, since it never has a token. Refusals carry the headers, too, so that a
/// script can tell 401 from 403 and 429; it may read `WWW-Authenticate`, the rate limit fields, `Retry-After`, `DPoP-Nonce` and
/// the names of the request and of the decision.
///
/// Origins are named one by one, as browsers write them. `null` cannot be one: it is what every sandboxed page is called. What a
/// handler says itself in `Access-Control-Allow-Origin` counts only if it is `*`, and then never with credentials.
///
/// ```
/// use std::time::Duration;
/// use http::HeaderName;
/// use portcullis_guard::Cors;
///
/// let cors = Cors::origins(["https://app.example.com", "http://localhost:5173"])
///     .request_headers([HeaderName::from_static("idempotency-key")])
///     .max_age(Duration::from_mins(10));
/// ```
///
/// This says who may read, and not who may act: whoever takes [cookies](crate::CookieTokens) needs [`Csrf`](crate::Csrf) for that.
#[derive(Clone, Debug)]
#[must_use = "it lets nobody read before it is given to a builder"]
pub struct Cors {
    origins: Origins,
    methods: Vec<Method>,
    request_headers: Vec<HeaderName>,
    exposed: Vec<HeaderName>,
    credentials: bool,
    max_age: Duration,
}

#[derive(Clone, Debug)]
enum Origins {
    Any,
    Listed(Vec<String>),
}

/// Rules for other origins that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CorsError {
    /// Every page would act as whoever looks at it.
    #[error("credentials of the browser are for origins that are named, not for every one")]
    CredentialsForAll,
    /// Nobody is let in.
    #[error("no origin is named")]
    NoOrigin,
    /// An origin is none.
    #[error(transparent)]
    NotAnOrigin(#[from] NotAnOrigin),
    /// A name is a wildcard.
    #[error("methods and headers are named one by one, `*` is none of them")]
    Wildcard,
}

impl Cors {
    /// Scripts of these origins, such as `https://app.example.com`.
    pub fn origins<S: Into<String>>(origins: impl IntoIterator<Item = S>) -> Self {
        Self::of(Origins::Listed(origins.into_iter().map(Into::into).collect()))
    }

    /// Scripts of every origin: for a service that looks at tokens in headers only, which no page has that was not given one.
    pub fn any_origin() -> Self {
        Self::of(Origins::Any)
    }

    fn of(origins: Origins) -> Self {
        Self {
            origins,
            methods: vec![
                Method::GET,
                Method::HEAD,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
            ],
            request_headers: vec![
                header::AUTHORIZATION,
                header::CONTENT_TYPE,
                HeaderName::from_static("dpop"),
            ],
            exposed: EXPOSED.to_vec(),
            credentials: false,
            max_age: Duration::from_hours(2),
        }
    }

    /// The methods that may be used: GET, HEAD, POST, PUT, PATCH and DELETE unless set.
    pub fn methods(mut self, methods: impl IntoIterator<Item = Method>) -> Self {
        self.methods = methods.into_iter().collect();
        self
    }

    /// Headers that may be sent beside `Authorization`, `Content-Type` and `DPoP`.
    pub fn request_headers(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.request_headers.extend(headers);
        self
    }

    /// Headers of answers that may be read beside those of the guard.
    pub fn expose(mut self, headers: impl IntoIterator<Item = HeaderName>) -> Self {
        self.exposed.extend(headers);
        self
    }

    /// Lets these scripts use the cookies of the browser.
    pub const fn credentials(mut self) -> Self {
        self.credentials = true;
        self
    }

    /// For how long browsers remember what a preflight was told: two hours unless set, which is the most that some keep to.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    pub(crate) fn build(self) -> Result<CorsLayer, CorsError> {
        let is_wild = |name: &str| name == "*";
        let names = self.request_headers.iter().chain(&self.exposed).map(HeaderName::as_str);
        if names.chain(self.methods.iter().map(Method::as_str)).any(is_wild) {
            return Err(CorsError::Wildcard);
        }
        let layer = CorsLayer::new()
            .allow_methods(self.methods)
            .allow_headers(self.request_headers)
            .expose_headers(self.exposed)
            .max_age(self.max_age);
        match self.origins {
            Origins::Any if self.credentials => Err(CorsError::CredentialsForAll),
            Origins::Any => Ok(layer.allow_origin(Any)),
            Origins::Listed(origins) if origins.is_empty() => Err(CorsError::NoOrigin),
            Origins::Listed(origins) => {
                let origins = origins.iter().map(|text| origin(text)).collect::<Result<Vec<_>, _>>()?;
                // Not a list: that would be copied for each request.
                let origins = AllowOrigin::predicate(move |origin, _| origins.contains(origin));
                Ok(layer.allow_origin(origins).allow_credentials(self.credentials))
            }
        }
    }
}

/// Whether a browser asks what it may ask. Any other `OPTIONS` is a request, and for the service to answer.
pub(super) fn is_preflight<B>(request: &Request<B>) -> bool {
    let has = |name: HeaderName| request.headers().contains_key(name);
    request.method() == Method::OPTIONS && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Takes away what a handler says to other origins, where it is more than that everybody may read.
pub(super) fn take_back(headers: &mut HeaderMap) {
    headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    if !is_for_all(headers) {
        headers.remove(header::ACCESS_CONTROL_ALLOW_ORIGIN);
    }
}

/// Takes the word about credentials away where no origin is named that could use them.
pub(super) fn settle(headers: &mut HeaderMap) {
    if is_for_all(headers) || !headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    }
}

fn is_for_all(headers: &HeaderMap) -> bool {
    exactly_one(headers, header::ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_would_let_strangers_in_are_an_error() {
        assert!(matches!(Cors::any_origin().credentials().build(), Err(CorsError::CredentialsForAll)));
        assert!(matches!(Cors::origins([] as [&str; 0]).build(), Err(CorsError::NoOrigin)));
        for wild in ["null", "*", "https://*.example.com", "http://app.example.com"] {
            assert!(matches!(Cors::origins([wild]).build(), Err(CorsError::NotAnOrigin(_))), "{wild}");
        }
        let star = || HeaderName::from_static("*");
        let good = || Cors::origins(["https://app.example.com"]);
        assert!(matches!(good().expose([star()]).build(), Err(CorsError::Wildcard)));
        assert!(matches!(good().request_headers([star()]).build(), Err(CorsError::Wildcard)));
        assert!(matches!(
            good().methods([Method::from_bytes(b"*").unwrap()]).build(),
            Err(CorsError::Wildcard)
        ));
        let _ = good().credentials().build().unwrap();
        let _ = Cors::any_origin().build().unwrap();
    }

    #[test]
    fn only_a_word_to_everybody_is_left_to_handlers() {
        let with = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::ACCESS_CONTROL_ALLOW_ORIGIN, header::HeaderValue::from_static(value));
            }
            headers
                .insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, header::HeaderValue::from_static("true"));
            take_back(&mut headers);
            headers.len()
        };
        assert_eq!(with(&["*"]), 1);
        assert_eq!(with(&["https://evil.example"]), 0);
        assert_eq!(with(&["*", "https://evil.example"]), 0);
        assert_eq!(with(&["null"]), 0);
    }
}

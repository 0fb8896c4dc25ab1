//! Requests that no guarded service may answer.

mod bodies;
mod cookies;
mod opaque;
mod origins;
mod requests;
mod tokens;

use std::fmt;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use axum_core::body::Body;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};

use self::cookies::Jar;
use super::issuer::Issuer;
use crate::body::HttpBody;

/// A request that a service answers, and which every attack is a distortion of.
#[derive(Clone, Debug)]
pub struct Target {
    method: Method,
    path: String,
    token: String,
    body: Option<String>,
    jar: Option<Jar>,
}

impl Target {
    /// `GET` of a path that needs a token, and a token that is good for it: one of the issuer of the suite.
    pub fn get(path: &str, token: &str) -> Self {
        Self { method: Method::GET, path: path.to_owned(), token: token.to_owned(), body: None, jar: None }
    }

    /// `POST` of a JSON object. Its body is attacked as well.
    pub fn post(path: &str, token: &str, json: &str) -> Self {
        Self { method: Method::POST, body: Some(json.to_owned()), ..Self::get(path, token) }
    }

    /// Says that the service takes the token from this cookie as well, and at which origin its pages are: those of others are tried,
    /// and cookies that could be read in two ways.
    ///
    /// ```
    /// use portcullis_guard::test_util::Target;
    ///
    /// # let token = "a.b.c";
    /// let target = Target::post("/orders", token, r#"{"item":"a gate"}"#).cookie("__Host-shop", "https://shop.example.com");
    /// ```
    #[must_use]
    pub fn cookie(mut self, name: &str, origin: &str) -> Self {
        self.jar = Some(Jar { name: name.to_owned(), origin: origin.to_owned() });
        self
    }

    /// The good request, with another token or none.
    fn with(&self, token: Option<&str>) -> Attempt {
        let mut headers = HeaderMap::new();
        let bearer = token.and_then(|token| HeaderValue::try_from(format!("Bearer {token}")).ok());
        headers.extend(bearer.map(|value| (header::AUTHORIZATION, value)));
        if self.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let body = self.body.clone().unwrap_or_default().into_bytes();
        Attempt { method: self.method.clone(), path: self.path.clone(), headers, body }
    }
}

/// A request.
#[derive(Clone)]
struct Attempt {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Attempt {
    fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.append(HeaderName::from_static(name), value);
        }
        self
    }
}

/// What an attack was called, and how the service took it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Unrefused {
    /// What was tried.
    pub attack: String,
    /// What came back.
    pub status: StatusCode,
    /// What is wrong with that.
    pub because: &'static str,
}

/// What became of the attacks.
#[derive(Clone, Debug, Default)]
#[must_use = "a report that nobody reads finds nothing"]
pub struct Report {
    attacks: usize,
    unrefused: Vec<Unrefused>,
}

impl Report {
    /// How many there were.
    pub const fn attacks(&self) -> usize {
        self.attacks
    }

    /// Those that the service did not refuse as it should.
    pub fn unrefused(&self) -> &[Unrefused] {
        &self.unrefused
    }

    /// Ends the test unless every attack was refused.
    ///
    /// # Panics
    ///
    /// With a list of the others.
    pub fn assert_all_refused(&self) {
        assert!(self.unrefused.is_empty(), "{self}");
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} of {} attacks were refused", self.attacks - self.unrefused.len(), self.attacks)?;
        self.unrefused
            .iter()
            .try_for_each(|it| writeln!(out, "  {}: {} ({})", it.attack, it.status, it.because))
    }
}

/// Sends a hundred and more requests that a guarded service has to refuse, each a distortion of the one of the target: tokens
/// that are forged, expired, of other kinds and for others, credentials in wrong places, paths that can be read in two ways,
/// headers that pretend, scripts of origins that nobody named, bodies with more than one reading, and pages of others where the
/// service [takes cookies](Target::cookie).
///
/// The target has to be answered before and after: a service that refuses everything is not tested by this. Limits of the guard
/// count the attacks, too: set none, or high ones, in a test.
///
/// # Panics
///
/// When the target is not answered, or the service fails instead of answering.
pub async fn attack_suite<S, R>(service: &S, issuer: &Issuer, target: &Target) -> Report
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
    R: HttpBody,
{
    let good = target.with(Some(&target.token));
    let before = send(service, good.clone()).await;
    assert!(before.0.is_success(), "the target has to be answered: {}", before.0);
    let mut report = Report::default();
    if let Some(jar) = &target.jar {
        let answer = send(service, jar.own(target)).await;
        assert!(answer.0.is_success(), "the target has to be answered with its cookie: {}", answer.0);
    }
    let attacks = tokens::attacks(issuer, target)
        .into_iter()
        .chain(requests::attacks(target))
        .chain(bodies::attacks(target))
        .chain(target.jar.iter().flat_map(|jar| jar.attacks(target)));
    for (attack, attempt) in attacks {
        report.attacks += 1;
        let (status, _, body) = send(service, attempt).await;
        if let Some(because) = complaint(status, &body, &target.token) {
            report.unrefused.push(Unrefused { attack, status, because });
        }
    }
    for (attack, attempt) in origins::attacks(target) {
        report.attacks += 1;
        let (status, headers, _) = send(service, attempt).await;
        if let Some(because) = origins::complaint(&headers) {
            report.unrefused.push(Unrefused { attack, status, because });
        }
    }
    let after = send(service, good).await;
    assert!(after.0.is_success(), "the target is answered no more: {}; is there a limit?", after.0);
    report
}

/// The same for a service that asks the issuer about opaque tokens: sends requests with tokens of which the issuer says what no
/// service may believe. They are not active, for others, expired or no access tokens; or the answer is malformed, forged or for
/// another client. A service that cannot tell whether a token is good may answer 503.
///
/// The token of the target is an [opaque](super::Mint::opaque) one, for `Bearer`.
///
/// ```
/// use axum::Router;
/// use axum::routing::get;
/// use portcullis_guard::test_util::{Issuer, Target, opaque_attack_suite};
/// use portcullis_guard::{Guard, GuardExt, GuardedRouter, Introspection, scope};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let issuer = Issuer::start().await?;
/// let guard = Guard::builder()
///     .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
///     .audience("https://orders.test")
///     .introspection(Introspection::discovered("orders", "secret"))
///     .build()
///     .await?;
/// let orders = get(async || "orders").guard(scope("orders"));
/// let app: Router = GuardedRouter::new().route("/orders", orders).guarded_by(&guard);
///
/// let token = issuer.mint("https://orders.test").scope("orders").opaque();
/// let report = opaque_attack_suite(&app, &issuer, &Target::get("/orders", &token)).await;
/// report.assert_all_refused();
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// When the target is not answered, the service does not ask the issuer about it, or it fails instead of answering.
pub async fn opaque_attack_suite<S, R>(service: &S, issuer: &Issuer, target: &Target) -> Report
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
    R: HttpBody,
{
    let good = target.with(Some(&target.token));
    let before = send(service, good.clone()).await;
    assert!(before.0.is_success(), "the target has to be answered: {}", before.0);
    let mut report = Report::default();
    for (attack, token) in opaque::attacks(issuer, &target.token) {
        report.attacks += 1;
        let (status, _, body) = send(service, target.with(Some(&token))).await;
        let complaint = complaint(status, &body, &token);
        if let Some(because) = complaint.filter(|_| status != StatusCode::SERVICE_UNAVAILABLE) {
            report.unrefused.push(Unrefused { attack, status, because });
        }
    }
    let after = send(service, good).await;
    assert!(after.0.is_success(), "the target is answered no more: {}; is there a limit?", after.0);
    report
}

/// What is wrong with an answer to an attack.
fn complaint(status: StatusCode, body: &[u8], token: &str) -> Option<&'static str> {
    let signature = token.rsplit('.').next().unwrap_or_default().as_bytes();
    match status {
        _ if !signature.is_empty() && body.windows(signature.len()).any(|part| part == signature) => {
            Some("the answer repeats the token")
        }
        StatusCode::TOO_MANY_REQUESTS => Some("a limit answered, so nothing is known"),
        _ if status.is_client_error() => None,
        _ if status.is_server_error() => Some("the service failed"),
        _ => Some("it was answered"),
    }
}

async fn send<S, R>(service: &S, attempt: Attempt) -> (StatusCode, HeaderMap, Vec<u8>)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
    R: HttpBody,
{
    let Attempt { method, path, headers, body } = attempt;
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    match path.parse() {
        Ok(uri) => *request.uri_mut() = uri,
        // A server would not have parsed it either.
        Err(_) => return (StatusCode::BAD_REQUEST, HeaderMap::new(), Vec::new()),
    }
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 40_000))));
    let response = service.clone().oneshot(request).await.expect("the service answers");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec());
    (parts.status, parts.headers, body.unwrap_or_default())
}

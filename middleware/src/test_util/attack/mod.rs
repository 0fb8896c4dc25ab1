//! Requests that no guarded service may answer.

mod addresses;
mod bodies;
mod certificates;
mod cookies;
mod forms;
mod grants;
mod markup;
mod opaque;
mod origins;
mod proofs;
mod proving;
mod requests;
mod target;
mod tokens;

use std::fmt;
use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use tower::{Service, ServiceExt};

use self::target::Attempt;
pub use self::target::Target;
use super::issuer::Issuer;
use crate::body::{Body, HttpBody};

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
    fn note(&mut self, attack: impl Into<String>, status: StatusCode, complaint: Option<&'static str>) {
        self.attacks += 1;
        self.unrefused.extend(complaint.map(|because| Unrefused { attack: attack.into(), status, because }));
    }

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

/// Sends some hundred requests that a guarded service has to refuse, each a distortion of the one of the target: tokens
/// that are forged, expired, of other kinds and for others, credentials in wrong places, paths that can be read in two ways,
/// headers that pretend, scripts of origins that nobody named, and bodies with more than one reading; and what the target says
/// that there is to attack: [cookies](Target::cookie), what [opens it](Target::granted_by), [proofs](Target::bound_to) and
/// [certificates](Target::certificate).
///
/// The target has to be answered before and after: a service that refuses everything is not tested by this. Limits of the guard
/// count the attacks, too: set none, or high ones, in a test.
///
/// # Panics
///
/// When the target is not answered, or the service fails instead of answering; and when there is an [old nonce](Target::old_nonce) that
/// cannot be tried, because the service asks for none, or for this very one.
pub async fn attack_suite<S, R>(service: &S, issuer: &Issuer, target: &Target) -> Report
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
    R: HttpBody,
{
    let target = &challenged(service, target.of(issuer)).await;
    target.expect_old_nonce();
    expect_answer(service, target.good(), "the target has to be answered").await;
    let mut report = Report::default();
    if let Some(jar) = &target.jar {
        expect_answer(service, jar.own(target), "the target has to be answered with its cookie").await;
    }
    if let Some(once) = proofs::replay(target) {
        expect_answer(service, once.clone(), "the target has to be answered").await;
        let Answer { status, body, .. } = send(service, once).await;
        report.note("a proof that was used", status, complaint(status, &body, &target.token));
    }
    for (attack, attempt) in refused(issuer, target) {
        let Answer { status, body, .. } = send(service, attempt).await;
        report.note(attack, status, complaint(status, &body, &target.token));
    }
    for (attack, attempt) in origins::attacks(target) {
        let Answer { status, headers, .. } = send(service, attempt).await;
        report.note(attack, status, origins::complaint(&headers));
    }
    for (attack, attempt) in addresses::attacks(target) {
        let Answer { status, body, .. } = send(service, attempt).await;
        report.note(attack, status, addresses::complaint(status, &body));
    }
    for (attack, attempt, found) in markup::attacks(target) {
        let Answer { status, body, .. } = send(service, attempt).await;
        report.note(attack, status, markup::complaint(status, &body, found));
    }
    expect_answer(service, target.good(), "the target is answered no more; is there a limit?").await;
    report
}

/// The attacks of which each has to be refused.
fn refused(issuer: &Issuer, target: &Target) -> impl Iterator<Item = (String, Attempt)> {
    tokens::attacks(issuer, target)
        .into_iter()
        .chain(grants::attacks(issuer, target))
        .chain(requests::attacks(target))
        .chain(bodies::attacks(target))
        .chain(forms::attacks(target))
        .chain(proofs::attacks(target))
        .chain(certificates::attacks(target))
        .chain(target.jar.iter().flat_map(|jar| jar.attacks(target)))
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
/// When the target is not answered, the service does not ask the issuer about it, or it fails instead of answering; and when the target
/// has an [old nonce](Target::old_nonce): nothing is tried with proofs here.
pub async fn opaque_attack_suite<S, R>(service: &S, issuer: &Issuer, target: &Target) -> Report
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
    R: HttpBody,
{
    let target = &challenged(service, target.of(issuer)).await;
    assert!(!target.has_old_nonce(), "an old nonce is tried by attack_suite alone");
    expect_answer(service, target.good(), "the target has to be answered").await;
    let mut report = Report::default();
    for (attack, token) in opaque::attacks(issuer, &target.token) {
        let Answer { status, body, .. } = send(service, target.with(Some(&token))).await;
        let complaint = complaint(status, &body, &token);
        report.note(attack, status, complaint.filter(|_| status != StatusCode::SERVICE_UNAVAILABLE));
    }
    expect_answer(service, target.good(), "the target is answered no more; is there a limit?").await;
    report
}

/// The target with what the service asks for in proofs, which it says when it is asked without.
async fn challenged<S, R>(service: &S, target: Target) -> Target
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
    R: HttpBody,
{
    if target.proving.is_none() {
        return target;
    }
    let Answer { headers, .. } = send(service, target.good()).await;
    target.answering(&headers)
}

/// A service that refuses everything is not tested by attacks.
async fn expect_answer<S, R>(service: &S, good: Attempt, otherwise: &str)
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
    R: HttpBody,
{
    let Answer { status, body, .. } = send(service, good).await;
    let body = String::from_utf8_lossy(&body);
    assert!(status.is_success(), "{otherwise}: {status} {}", body.chars().take(500).collect::<String>());
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

/// What came back.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

async fn send<S, R>(service: &S, attempt: Attempt) -> Answer
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: fmt::Debug,
    R: HttpBody,
{
    let Attempt { method, path, headers, body, peer } = attempt;
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    *request.headers_mut() = headers;
    match path.parse() {
        Ok(uri) => *request.uri_mut() = uri,
        // A server would not have parsed it either.
        Err(_) => {
            return Answer { status: StatusCode::BAD_REQUEST, headers: HeaderMap::new(), body: Vec::new() };
        }
    }
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((peer, 40_000))));
    let response = service.clone().oneshot(request).await.expect("the service answers");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec());
    Answer { status: parts.status, headers: parts.headers, body: body.unwrap_or_default() }
}

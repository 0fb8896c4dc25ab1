//! The same handler behind each of them, and the requests that they let through.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use axum_casbin::{CasbinAxumLayer, CasbinVals};
use casbin::{DefaultModel, MemoryAdapter, MgmtApi};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use jwt_authorizer::{IntoLayer, JwtAuthorizer, Validation};
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, InputPolicy, Issuer, Limits, Policy, Quota, SharedPolicy, authenticated,
    public, rbac,
};
use portcullis_policy::PolicySource;
use serde::Deserialize;
use tower_governor::GovernorLayer;
use tower_governor::governor::GovernorConfigBuilder;

use crate::roles::{AUDIENCE, ISSUER};
use crate::tokens::Mint;

const BODY: &str = "hello";

pub(crate) fn bare() -> Router {
    Router::new().route("/", get(async || BODY))
}

pub(crate) fn bare_07() -> axum_07::Router {
    axum_07::Router::new().route("/", axum_07::routing::get(|| async { BODY }))
}

/// A key, and what verifies by it.
pub(crate) struct Keyed {
    mint: Mint,
    now: u64,
}

/// What jwt-authorizer reads of a token.
#[derive(Clone, Deserialize)]
struct Claims {
    #[expect(dead_code, reason = "a handler would look at it")]
    sub: String,
}

impl Keyed {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs();
        Self { mint: Mint::new(), now }
    }

    /// So many tokens that no other call gave, if it began elsewhere.
    pub(crate) fn tokens(&self, count: usize, first: u32) -> Vec<String> {
        (first..).take(count).map(|number| self.mint.token(number, self.now)).collect()
    }

    /// So many tokens that were good an hour ago.
    pub(crate) fn old_tokens(&self, count: usize, first: u32) -> Vec<String> {
        (first..).take(count).map(|number| self.mint.token(number, self.now - 3_600)).collect()
    }

    pub(crate) fn jwks(&self) -> String {
        self.mint.jwks()
    }

    pub(crate) async fn guard(&self) -> Router {
        let guard = trusting(self.jwks()).build().await.expect("a guard");
        GuardedRouter::new().route("/", get(async || BODY).guard(authenticated())).guarded_by(&guard)
    }

    pub(crate) async fn ruled_guard(&self, count: u32) -> Router {
        let guard = trusting(self.jwks()).policy(policy(count)).build().await.expect("a guard");
        GuardedRouter::new().route("/", get(async || BODY).guard(rbac("orders", "read"))).guarded_by(&guard)
    }

    pub(crate) async fn shared_guard(&self, policy: SharedPolicy) -> Router {
        let guard = trusting(self.jwks()).policy(Policy::shared(policy)).build().await.expect("a guard");
        GuardedRouter::new().route("/", get(async || BODY).guard(rbac("orders", "read"))).guarded_by(&guard)
    }

    pub(crate) async fn stack(&self, rules: u32) -> Router {
        stack(self.jwks(), rules, Quota::per_second(1_000_000)).await
    }

    /// The same for an address that may ask once an hour.
    pub(crate) async fn narrow_stack(&self) -> Router {
        stack(self.jwks(), 10, Quota::per_hour(1)).await
    }

    pub(crate) async fn jwt_authorizer(&self) -> axum_07::Router {
        let validation = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]).leeway(30);
        let layer = JwtAuthorizer::<Claims>::from_jwks_text(&self.mint.jwks())
            .validation(validation)
            .build()
            .await
            .expect("an authorizer")
            .into_layer();
        bare_07().layer(layer)
    }
}

/// A guard that trusts these keys.
fn trusting(jwks: String) -> portcullis_guard::GuardBuilder {
    Guard::builder().issuer(Issuer::static_jwks(ISSUER, jwks)).audience(AUDIENCE)
}

fn policy(count: u32) -> Policy {
    Policy::source(source(count))
}

/// So many of Casbin's users worth of rules: a tenth as many.
pub(crate) fn source(count: u32) -> PolicySource {
    let rules = rules(count, |role, object| format!("p, {role}, *, {object}, read\n"));
    PolicySource::with_default_model(rules + "p, viewer, *, orders, read\n")
}

/// Tokens, rules, limits by address and by caller, and the input policy that is there unless one is given.
pub(crate) async fn stack(jwks: String, rules: u32, by_address: Quota) -> Router {
    let limits = Limits::new().by_address(by_address).by_identity(Quota::per_second(1_000_000));
    let guard = trusting(jwks).policy(policy(rules)).limits(limits).build().await.expect("a guard");
    let read = || get(async || BODY).guard(rbac("orders", "read"));
    GuardedRouter::new()
        .route("/", read())
        .route("/things/{thing}", read())
        .route("/deleted", get(async || BODY).guard(rbac("orders", "delete")))
        .guarded_by(&guard)
}

/// So many roles with a rule each, and ten users for each of ten roles, as the documentation of Casbin has it.
fn rules(count: u32, rule: impl Fn(String, String) -> String) -> String {
    (0..count / 10).map(|number| rule(format!("role{number}"), format!("data{number}"))).collect()
}

/// The rules of the documentation of Casbin, and one role that may read `/`.
pub(crate) async fn casbin(count: u32) -> Router {
    let model = "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n\
                 [role_definition]\ng = _, _\n[policy_effect]\ne = some(where (p.eft == allow))\n\
                 [matchers]\nm = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act";
    let model = DefaultModel::from_str(model).await.expect("a model");
    let mut layer = CasbinAxumLayer::new(model, MemoryAdapter::default()).await.expect("a layer");
    let enforcer = layer.get_enforcer();
    let mut enforcer = enforcer.write().await;
    let line = |parts: [String; 3]| parts.to_vec();
    let policies = (0..count / 10).map(|n| line([format!("role{n}"), format!("/data{n}"), "GET".to_owned()]));
    let policies = policies.chain([line(["viewer".to_owned(), "/".to_owned(), "GET".to_owned()])]);
    enforcer.add_policies(policies.collect()).await.expect("rules");
    let users = (0..count).map(|n| vec![format!("user{n}"), format!("role{}", n / 10)]);
    let viewers = (0..10_000).map(|n| vec![user(n), "viewer".to_owned()]);
    enforcer.add_named_grouping_policies("g", users.chain(viewers).collect()).await.expect("roles");
    drop(enforcer);
    bare().layer(layer)
}

fn user(number: usize) -> String {
    format!("viewer{number}")
}

/// A guard that needs no token. It has an issuer all the same.
fn for_all() -> portcullis_guard::GuardBuilder {
    trusting(Mint::new().jwks())
}

pub(crate) async fn limited(max_keys: usize) -> Router {
    let limits = Limits::new().by_address(Quota::per_second(1_000)).max_keys(max_keys);
    let guard = for_all().limits(limits).build().await.expect("a guard");
    GuardedRouter::new().route("/", get(async || BODY).guard(public())).guarded_by(&guard)
}

pub(crate) async fn unlimited() -> Router {
    let guard = for_all().build().await.expect("a guard");
    GuardedRouter::new().route("/", get(async || BODY).guard(public())).guarded_by(&guard)
}

/// A handler that takes a body.
pub(crate) fn bare_post() -> Router {
    Router::new().route("/", post(async |_: Bytes| BODY))
}

/// The same behind an input policy.
pub(crate) async fn checked(input: InputPolicy) -> Router {
    let guard = for_all().build().await.expect("a guard");
    let input = input.build().expect("an input policy");
    let route = post(async |_: Bytes| BODY).guard(public()).input(&input);
    GuardedRouter::new().route("/", route).guarded_by(&guard)
}

pub(crate) fn governor() -> Router {
    let config =
        GovernorConfigBuilder::default().per_nanosecond(1_000_000).burst_size(1_000).use_headers().finish();
    bare().layer(GovernorLayer::new(config.expect("a quota")))
}

pub(crate) fn governor_without_fields() -> Router {
    let config = GovernorConfigBuilder::default().per_nanosecond(1_000_000).burst_size(1_000).finish();
    bare().layer(GovernorLayer::new(config.expect("a quota")))
}

pub(crate) fn plain() -> Request<Body> {
    Request::new(Body::empty())
}

pub(crate) fn at(path: &str) -> Request<Body> {
    let mut request = plain();
    *request.uri_mut() = path.parse().expect("a path");
    request
}

pub(crate) fn posted(media: &'static str, body: &'static str) -> Request<Body> {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = Method::POST;
    request.headers_mut().insert(CONTENT_TYPE, media.parse().expect("a media type"));
    request
}

pub(crate) fn with_token(token: &str) -> Request<Body> {
    bearing(plain(), token)
}

pub(crate) fn bearing(mut request: Request<Body>, token: &str) -> Request<Body> {
    let value = format!("Bearer {token}").parse().expect("a token is a header value");
    request.headers_mut().insert(AUTHORIZATION, value);
    request
}

pub(crate) fn as_user(number: usize) -> Request<Body> {
    let mut request = plain();
    request.extensions_mut().insert(CasbinVals { subject: user(number % 10_000), domain: None });
    request
}

pub(crate) fn from(number: u32) -> Request<Body> {
    known(plain(), number)
}

/// A request that comes from an address.
pub(crate) fn known(mut request: Request<Body>, number: u32) -> Request<Body> {
    let address = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), 40_000));
    request.extensions_mut().insert(ConnectInfo(address));
    request
}

//! The same handler behind each of them, and the requests that they let through.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::routing::get;
use axum_casbin::{CasbinAxumLayer, CasbinVals};
use casbin::{DefaultModel, MemoryAdapter, MgmtApi};
use http::Request;
use http::header::AUTHORIZATION;
use jwt_authorizer::{IntoLayer, JwtAuthorizer, Validation};
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, Issuer, Limits, Policy, Quota, authenticated, public, rbac,
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

    fn builder(&self) -> portcullis_guard::GuardBuilder {
        Guard::builder().issuer(Issuer::static_jwks(ISSUER, self.mint.jwks())).audience(AUDIENCE)
    }

    pub(crate) async fn guard(&self) -> Router {
        let guard = self.builder().build().await.expect("a guard");
        GuardedRouter::new().route("/", get(async || BODY).guard(authenticated())).guarded_by(&guard)
    }

    pub(crate) async fn ruled_guard(&self, count: u32) -> Router {
        let rules = rules(count, |role, object| format!("p, {role}, *, {object}, read\n"));
        let policy = Policy::source(PolicySource::with_default_model(rules + "p, viewer, *, orders, read\n"));
        let guard = self.builder().policy(policy).build().await.expect("a guard");
        GuardedRouter::new().route("/", get(async || BODY).guard(rbac("orders", "read"))).guarded_by(&guard)
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

pub(crate) async fn limited() -> Router {
    let limits = Limits::new().by_address(Quota::per_second(1_000)).max_keys(1_000_000);
    let guard = Guard::builder().limits(limits);
    // Nobody needs a token here, but a guard has an issuer.
    let guard = guard.issuer(Issuer::static_jwks(ISSUER, Mint::new().jwks())).audience(AUDIENCE);
    let guard = guard.build().await.expect("a guard");
    GuardedRouter::new().route("/", get(async || BODY).guard(public())).guarded_by(&guard)
}

pub(crate) fn governor() -> Router {
    let config =
        GovernorConfigBuilder::default().per_nanosecond(1_000_000).burst_size(1_000).use_headers().finish();
    bare().layer(GovernorLayer::new(config.expect("a quota")))
}

pub(crate) fn plain() -> Request<Body> {
    Request::new(Body::empty())
}

pub(crate) fn with_token(token: &str) -> Request<Body> {
    let mut request = plain();
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
    let mut request = plain();
    let address = SocketAddr::from((Ipv4Addr::from(0x0a00_0000 + number), 40_000));
    request.extensions_mut().insert(ConnectInfo(address));
    request
}

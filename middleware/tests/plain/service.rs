//! Requests to a service of plain tower.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use portcullis_guard::{
    ClientAddress, Clock, Field, Guard, GuardBuilder, InputPolicy, Issuer, Limits, PeerAddress, Principal,
    ProtectedResource, Proxies, Quota, RouteTable, authenticated, public, scope,
};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::signer::{AUDIENCE, ISSUER, NOW, Signer, jwks};

fn builder(signer: &Signer) -> GuardBuilder {
    Guard::builder()
        .issuer(Issuer::static_jwks(ISSUER, jwks([signer])))
        .audience(AUDIENCE)
        .clock(Clock::from_fn(|| Duration::from_secs(NOW)))
        .manual_refresh()
}

/// Says who calls, and from where, as far as is known.
async fn ask(guard: &Guard, request: Request<Full<Bytes>>) -> (StatusCode, String) {
    let inner = service_fn(async |request: Request<_>| {
        let who = request.extensions().get::<Principal>().map(|who| who.subject().to_owned());
        let address = request.extensions().get::<ClientAddress>().map(|ClientAddress(ip)| ip.to_string());
        let text = format!("{} from {}", who.unwrap_or_default(), address.unwrap_or_default());
        Ok::<_, Infallible>(http::Response::new(Full::new(Bytes::from(text))))
    });
    let table = RouteTable::new()
        .route("/me", authenticated())
        .route("/orders/{id}", scope("orders"))
        .route("/health", public());
    let answer = table.guarded_by(guard).unwrap().layer(inner).oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

fn request(path: &str, token: Option<&str>) -> Request<Full<Bytes>> {
    let request = Request::get(path);
    let request = match token {
        Some(token) => request.header("authorization", format!("Bearer {token}")),
        None => request,
    };
    request.body(Full::default()).unwrap()
}

/// As a server says who is at the other end of the connection.
fn from(mut request: Request<Full<Bytes>>, peer: &str) -> Request<Full<Bytes>> {
    request.extensions_mut().insert(PeerAddress(SocketAddr::new(peer.parse().unwrap(), 40_000)));
    request
}

#[tokio::test]
async fn parameters_of_the_path_are_held_to_what_is_declared() {
    let signer = Signer::es256("a");
    let input = InputPolicy::strict().path("id", Field::integer(1..=9)).header("x-tenant", Field::ident());
    let guard = builder(&signer).input(input).build().await.unwrap();
    let token = signer.token(&json!({ "scope": "orders" }));
    for (path, tenant, status) in [
        ("/orders/7", "acme", StatusCode::OK),
        ("/orders/10", "acme", StatusCode::UNPROCESSABLE_ENTITY),
        ("/orders/7", "a b", StatusCode::UNPROCESSABLE_ENTITY),
        ("/me", "acme", StatusCode::OK),
    ] {
        let mut asked = request(path, Some(&token));
        asked.headers_mut().insert("x-tenant", tenant.parse().unwrap());
        assert_eq!(ask(&guard, asked).await.0, status, "{path} {tenant}");
    }
}

#[tokio::test]
async fn a_table_of_routes_guards_a_service() {
    let signer = Signer::es256("a");
    let guard = builder(&signer).build().await.unwrap();
    let token = signer.token(&json!({ "scope": "orders" }));
    let poor = signer.token(&json!({ "scope": "other" }));
    for (path, token, status) in [
        ("/me", Some(&token), StatusCode::OK),
        ("/me", None, StatusCode::UNAUTHORIZED),
        ("/orders/7", Some(&token), StatusCode::OK),
        ("/orders/7", Some(&poor), StatusCode::FORBIDDEN),
        ("/orders/..%2fme", Some(&token), StatusCode::BAD_REQUEST),
        ("/health", None, StatusCode::OK),
        ("/forgotten", Some(&token), StatusCode::FORBIDDEN),
    ] {
        let asked = request(path, token.map(String::as_str));
        assert_eq!(ask(&guard, asked).await.0, status, "{path}");
    }
}

#[tokio::test]
async fn the_server_says_who_is_at_the_other_end() {
    let signer = Signer::es256("a");
    let limits = Limits::new().by_address(Quota::per_hour(1));
    let proxies = Proxies::trust(["10.0.0.0/8"]).unwrap();
    let guard = builder(&signer).limits(limits).proxies(proxies).build().await.unwrap();
    let health = |peer| from(request("/health", None), peer);
    assert_eq!(ask(&guard, health("192.0.2.1")).await, (StatusCode::OK, " from 192.0.2.1".to_owned()));
    assert_eq!(ask(&guard, health("::ffff:192.0.2.1")).await.0, StatusCode::TOO_MANY_REQUESTS);
    let mut behind = health("10.0.0.1");
    behind.headers_mut().insert("x-forwarded-for", "192.0.2.9".parse().unwrap());
    assert_eq!(ask(&guard, behind).await.1, " from 192.0.2.9");
    let unknown = ask(&guard, request("/health", None)).await;
    assert_eq!(unknown.0, StatusCode::SERVICE_UNAVAILABLE, "a limit by address cannot be kept without one");
}

// RFC 9728 §3
#[tokio::test]
async fn the_metadata_can_be_answered_without_a_router() {
    const PLACE: &str = "/.well-known/oauth-protected-resource";
    let signer = Signer::es256("a");
    let guard = builder(&signer).protected_resource(ProtectedResource::new()).build().await.unwrap();
    ask(&guard, request("/health", None)).await;
    let metadata = |method, path: &str| guard.metadata(&method, &path.parse().unwrap());
    let answer = metadata(Method::GET, PLACE).unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    let document = answer.into_body().collect().await.unwrap().to_bytes();
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert_eq!(document["resource"], AUDIENCE);
    assert_eq!(document["scopes_supported"], json!(["orders"]));
    assert!(metadata(Method::HEAD, PLACE).is_some());
    assert!(metadata(Method::POST, PLACE).is_none());
    assert!(metadata(Method::GET, "/.well-known/oauth-protected-resource/x").is_none());
    let silent = builder(&signer).build().await.unwrap();
    assert!(silent.metadata(&Method::GET, &PLACE.parse().unwrap()).is_none());
}

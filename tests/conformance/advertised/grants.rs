//! Grants, and who is called by which subject.

use portcullis_server::domain::client::GrantType;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::{AuthorizeRequest, random_text};
use portcullis_tests::ciba::CIBA;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::device::DEVICE_CODE;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::advertised::{Setup, Told};

const ORDERS: &str = "https://orders.test";
const STOCK: &str = "https://stock.test";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[rstest]
#[tokio::test]
async fn section_2_each_grant_that_is_named_buys_a_token_and_no_other_does(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Closed, Setup::Open, Setup::Strict, Setup::Usual)] setup: Setup,
) {
    const LIST: &str = "grant_types_supported";
    let told = Told::of(setup, database).await;
    for grant in told.list(LIST) {
        let answer = Box::pin(bought(&told, &grant)).await;
        assert_eq!(answer.status, 200, "{grant}: {}", answer.text());
        assert!(!answer.member("access_token").is_empty(), "{grant}");
    }
    let known = GrantType::ALL.map(GrantType::as_str);
    let others = ["implicit", "password", "urn:ietf:params:oauth:grant-type:saml2-bearer"];
    let shop = told.server.admin.web_client(&[]).await;
    let mut refused = 0;
    for grant in known.into_iter().chain(others).filter(|grant| !told.names(LIST, grant)) {
        let fields = [("grant_type", grant), ("device_code", "x"), ("auth_req_id", "x")];
        let answer = told.server.machine.token(&shop, &fields).await;
        let code = (answer.status.as_u16(), answer.error());
        assert_eq!(code, (400, "unsupported_grant_type".to_owned()), "{grant}: {}", answer.text());
        refused += 1;
    }
    assert_eq!(refused, if setup == Setup::Closed { 5 } else { 3 });
}

/// What a client gets that may use this grant, at the end of all that it takes.
async fn bought(told: &Told, grant: &str) -> Answer {
    let (server, machine) = (&told.server, &told.server.machine);
    match grant {
        "authorization_code" => {
            let shop = server.admin.web_client(&[]).await;
            told.tokens(&shop, &AuthorizeRequest::of(&shop)).await
        }
        "client_credentials" => {
            let orders = server.admin.api("https://credentials.test").await;
            let robot = server.admin.machine_client(&[&orders]).await;
            machine.client_credentials(&robot, &orders.audience).await
        }
        "refresh_token" => {
            let shop = server.admin.web_client(&[]).await;
            let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
            let tokens = told.tokens(&shop, &request).await;
            machine.refresh(&shop, &tokens.member("refresh_token")).await
        }
        BEARER => by_assertion(told).await,
        CIBA => {
            let bank = server.admin.bank().await;
            let id = machine.started(&bank, &[("scope", "openid"), ("login_hint", "ada")]).await;
            server.visitor().decide_request(&told.ada, "allow").await;
            machine.ask(&bank, &id).await
        }
        DEVICE_CODE => {
            let television = server.admin.device_client("openid", &[]).await;
            let codes = machine.device_codes(&television, &[("scope", "openid")]).await;
            server.visitor().decide_device(&codes.user, &told.ada, "allow").await;
            machine.poll(&television, &codes).await
        }
        EXCHANGE => exchanged(told).await,
        other => panic!("nobody buys anything by {other} here"),
    }
}

/// A machine of which an issuer says who it is.
async fn by_assertion(told: &Told) -> Answer {
    const BUILDS: &str = "https://builds.example";
    let (server, keys) = (&told.server, SigningKeys::generate());
    let api = server.admin.api("https://builds.test").await;
    let robot = json!({ "name": "Deployment", "preset": "m2m", "apis": [api.id], "options": { "protocol": {
        "assertion_issuers": [{ "issuer": BUILDS, "jwks": keys.public_jwks(), "subjects": ["main"] }] } } });
    let robot = server.admin.client(robot).await;
    let now = server.clock.now().as_secs();
    let assertion = keys.sign(&json!({ "iss": BUILDS, "sub": "main", "aud": server.issuer, "iat": now,
        "exp": now + 300, "jti": random_text() }));
    let fields = [("grant_type", BEARER), ("assertion", &*assertion), ("resource", "https://builds.test")];
    server.machine.token(&robot, &fields).await
}

/// A service that acts for somebody at another one.
async fn exchanged(told: &Told) -> Answer {
    let (admin, machine) = (&told.server.admin, &told.server.machine);
    let (orders, stock) = (admin.api(ORDERS).await, admin.api(STOCK).await);
    let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "scopes": "openid read", "apis": [orders.id] });
    let shop = admin.client(shop).await;
    let service = json!({ "name": "Orders", "preset": "service", "serves": orders.id, "scopes": "read",
        "apis": [orders.id, stock.id],
        "options": { "protocol": { "token_exchange": { "apis": [stock.id] } } } });
    let service = admin.client(service).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid read").with("resource", ORDERS);
    let subject = told.tokens(&shop, &request).await.member("access_token");
    let fields = [
        ("grant_type", EXCHANGE),
        ("subject_token", &*subject),
        ("subject_token_type", ACCESS_TOKEN),
        ("resource", STOCK),
    ];
    machine.token(&service, &fields).await
}

#[rstest]
#[tokio::test]
async fn section_2_each_kind_of_subject_and_way_of_delivery_is_set_and_no_other(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Closed, Setup::Usual)] setup: Setup,
) {
    const MODES: &str = "backchannel_token_delivery_modes_supported";
    let told = Told::of(setup, database).await;
    let set = async |member: &str, value: &str| {
        let mut protocol = json!({ member: value });
        if value == "ping" {
            protocol["backchannel_client_notification_endpoint"] = json!("https://rp.test/ciba");
        }
        let document = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "options": { "protocol": protocol } });
        told.server.admin.send(Method::POST, "/clients", &document).await.status.as_u16()
    };
    for kind in told.list("subject_types_supported") {
        assert_eq!(set("subject_type", &kind).await, 201, "{kind}");
    }
    assert_eq!(set("subject_type", "ephemeral").await, 422);
    if setup == Setup::Usual {
        for mode in told.list(MODES) {
            assert_eq!(set("backchannel_token_delivery_mode", &mode).await, 201, "{mode}");
        }
    }
    assert!(!told.names(MODES, "push"));
    assert_eq!(set("backchannel_token_delivery_mode", "push").await, 422);
}

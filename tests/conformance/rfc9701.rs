//! JWT Response for OAuth Token Introspection ([RFC 9701](https://www.rfc-editor.org/rfc/rfc9701)).

use std::time::Duration;

use portcullis_server::config::{Config, Dynamic};
use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::registered::Registered;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use portcullis_tests::token::{SIGNED_INTROSPECTION, basic};
use portcullis_tests::visitor::Person;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::oidc_core::names;
use crate::oidc_core_userinfo::verify;

const ORDERS: &str = "https://orders.test";
const ALG: &str = "/options/protocol/introspection_signed_response_alg";

/// A service and a shop whose customer has tokens for it.
struct Scene {
    server: TestServer,
    ada: Person,
    orders: RegisteredApi,
    guard: Registered,
    shop: Registered,
    tokens: Answer,
}

impl Scene {
    async fn set(database: Database) -> Self {
        Self::of(Box::pin(TestServer::start_on(database)).await, json!({})).await
    }

    /// `protocol` is what the service is held to.
    async fn of(server: TestServer, protocol: Value) -> Self {
        let ada = server.admin.user("ada").await;
        let orders = server.admin.api(ORDERS).await;
        let guard = json!({ "name": "Orders", "preset": "service", "serves": orders.id,
            "options": { "protocol": protocol } });
        let guard = server.admin.client(guard).await;
        let shop = server.admin.web_client(&[&orders]).await;
        let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
        let tokens = server.tokens(&shop, &request.with("resource", ORDERS), &ada).await;
        Self { server, ada, orders, guard, shop, tokens }
    }

    fn access(&self) -> String {
        self.tokens.member("access_token")
    }

    /// The claims of a signed answer, after everything that has to be true of it.
    async fn signed(&self, client: &Registered, token: &str) -> Value {
        let answer = self.server.machine.introspect_signed(client, token).await;
        self.opened(client, &answer, "RS256").await
    }

    async fn opened(&self, client: &Registered, answer: &Answer, algorithm: &str) -> Value {
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, SIGNED_INTROSPECTION));
        assert_eq!(answer.header("cache-control"), "no-store");
        let jwt = answer.text();
        verify(&jwt, algorithm, &self.server.machine.get("/jwks").await.json());
        assert_eq!(header(&jwt)["typ"], "token-introspection+jwt");
        let claims = claims(&jwt);
        assert_eq!(names(&claims), ["aud", "iat", "iss", "token_introspection"], "neither sub nor exp");
        let (iss, iat) = (self.server.issuer.as_str(), self.server.clock.now().as_secs());
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(iss), &json!(client.id)));
        assert_eq!(claims["iat"], iat);
        claims["token_introspection"].clone()
    }
}

#[rstest]
#[tokio::test]
async fn section_5_a_signed_answer_says_what_a_plain_one_says(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    scene.server.wait(Duration::from_secs(7));
    let (access, refresh) = (scene.access(), scene.tokens.member("refresh_token"));
    for (client, token) in [(&scene.guard, &access), (&scene.shop, &access), (&scene.shop, &refresh)] {
        let plain = scene.server.machine.introspect(client, token).await;
        assert_eq!(plain.header("content-type"), "application/json");
        let plain = plain.json();
        assert_eq!((&plain["active"], &plain["sub"]), (&json!(true), &json!(scene.ada.sub)));
        assert_eq!(scene.signed(client, token).await, plain);
    }
}

#[rstest]
#[tokio::test]
async fn section_5_of_a_token_that_is_not_active_or_for_another_nothing_else_is_said(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let invoices = scene.server.admin.api("https://invoices.test").await;
    let other = scene.server.admin.guard_client(&invoices).await;
    let nothing = json!({ "active": false });
    let (access, refresh) = (scene.access(), scene.tokens.member("refresh_token"));
    assert_eq!(scene.signed(&other, &access).await, nothing, "for another service");
    assert_eq!(scene.signed(&scene.guard, &refresh).await, nothing, "of another client");
    assert_eq!(scene.signed(&scene.guard, "unknown").await, nothing);
    assert_eq!(scene.server.machine.revoke(&scene.shop, &access).await.status, 200);
    assert_eq!(scene.signed(&scene.guard, &access).await, nothing, "revoked");
    let robot = scene.server.admin.machine_client(&[&scene.orders]).await;
    let bought = scene.server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    assert_eq!(scene.signed(&scene.guard, &bought).await["active"], true);
    scene.server.wait(Duration::from_mins(6));
    assert_eq!(scene.signed(&scene.guard, &bought).await, nothing, "expired");
}

#[rstest]
#[tokio::test]
async fn section_4_it_is_asked_for_by_its_media_type(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::set(database).await;
    let token = scene.access();
    let machine = &scene.server.machine;
    let (signed, plain) = (SIGNED_INTROSPECTION, "application/json");
    for (accept, kind) in [
        (signed.to_owned(), signed),
        (format!("{signed}, {plain};q=0.9"), signed),
        (format!("{plain};q=0.2, {signed};q=0.3"), signed),
        (format!("{plain}, {signed};q=0.9"), plain),
        (format!("{signed};q=0, {plain}"), plain),
        (plain.to_owned(), plain),
        ("application/jwt".to_owned(), plain),
        ("*/*".to_owned(), plain),
    ] {
        let request = machine.form_of(&scene.guard, "/introspect", &[("token", &*token)]);
        let answer = Answer::to(request.header("accept", &accept)).await;
        assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, kind), "{accept}");
    }
    let request = machine.form_of(&scene.guard, "/introspect", &[("token", &*token)]);
    let twice = request.header("accept", "application/json;q=0.1").header("accept", signed);
    assert_eq!(Answer::to(twice).await.header("content-type"), signed, "in two lines");
}

#[rstest]
#[tokio::test]
async fn section_5_whoever_does_not_prove_who_it_is_is_told_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let native = scene.server.admin.native_client(&[&scene.orders]).await;
    let token = scene.access();
    let ask = async |fields: &[(&str, &str)], authorization: Option<String>, signed: bool| {
        let mut request = scene.server.machine.request(Method::POST, "/introspect").form(fields);
        if signed {
            request = request.header("accept", SIGNED_INTROSPECTION);
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = Answer::to(request).await;
        assert_eq!(answer.header("content-type"), "application/json", "errors are plain");
        assert_eq!(answer.json().get("active"), None);
        (answer.status.as_u16(), answer.error())
    };
    let invalid = || "invalid_client".to_owned();
    let bare: [(&str, &str); 1] = [("token", &*token)];
    let named = [("token", &*token), ("client_id", &*native.id)];
    let wrong = [("token", &*token), ("client_id", &*scene.guard.id), ("client_secret", "wrong")];
    for fields in [&bare[..], &named, &wrong] {
        assert_eq!(ask(fields, None, true).await, (400, invalid()), "RFC 9701 section 5: {fields:?}");
        assert_eq!(ask(fields, None, false).await, (401, invalid()), "a plain answer: {fields:?}");
    }
    let header = basic(&scene.guard.id, "wrong");
    assert_eq!(ask(&bare, Some(header), true).await, (401, invalid()), "RFC 6749 section 5.2");
    let header = basic(&scene.guard.id, scene.guard.secret.as_deref().unwrap());
    assert_eq!(ask(&[], Some(header), true).await, (400, "invalid_request".to_owned()), "no token");
}

#[rstest]
#[tokio::test]
async fn section_6_it_is_signed_as_the_client_wants(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("ES256", "EdDSA", "PS256", "RS256")] algorithm: &str,
) {
    let server = Box::pin(TestServer::start_on(database)).await;
    let scene = Scene::of(server, json!({ "introspection_signed_response_alg": algorithm })).await;
    let answer = scene.server.machine.introspect_signed(&scene.guard, &scene.access()).await;
    assert_eq!(scene.opened(&scene.guard, &answer, algorithm).await["active"], true);
    let shown = scene.server.admin.get(&format!("/clients/{}", scene.guard.id)).await.json();
    assert_eq!(shown["settings"]["protocol"]["introspection_signed_response_alg"], algorithm);
}

#[rstest]
#[tokio::test]
async fn section_6_what_cannot_be_signed_or_asked_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let client = |preset: &str, alg: &str, more: Value| {
        let mut document = json!({ "name": "Shop", "preset": preset, "redirect_uris": ["https://rp.test/cb"],
            "options": { "protocol": { "introspection_signed_response_alg": alg } } });
        document["options"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document
    };
    for (document, code) in [
        (client("web", "none", json!({})), "invalid"),
        (client("web", "HS256", json!({})), "invalid"),
        (client("web", "es256", json!({})), "invalid"),
        (client("web", "", json!({})), "invalid"),
        (client("spa", "ES256", json!({})), "contradiction"),
        (client("web", "RS256", json!({ "profile": "fapi2" })), "contradiction"),
    ] {
        let refused = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{document}: {}", refused.text());
        let errors = refused.json()["errors"].clone();
        let told =
            errors.as_array().unwrap().iter().any(|error| error["pointer"] == ALG && error["code"] == code);
        assert!(told, "{document}: {errors}");
    }
}

#[rstest]
#[tokio::test]
async fn section_6_a_client_that_registers_itself_says_how_it_is_signed_and_gets_nothing_encrypted(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let open = |config: &mut Config| config.reach.registration.dynamic = Dynamic::Token;
    let server = Box::pin(TestServer::start_with(database, open)).await;
    let token = server.initial_token(json!({ "uses": 5 })).await;
    let register = async |more: Value| {
        let mut metadata = web_metadata();
        metadata.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        server.register(Some(&token), &metadata).await
    };
    let member = "introspection_signed_response_alg";
    let answer = register(json!({ member: "PS256" })).await;
    let own = OwnRegistration::of(&answer);
    assert_eq!(answer.member(member), "PS256");
    let said = server.machine.introspect_signed(&own.client, "unknown").await;
    verify(&said.text(), "PS256", &server.machine.get("/jwks").await.json());
    let public = register(json!({ member: "PS256", "token_endpoint_auth_method": "none" })).await;
    assert_eq!((public.status.as_u16(), public.json().get(member)), (201, None), "{}", public.text());
    for (more, member) in [
        (json!({ member: "HS256" }), member),
        (
            json!({ "introspection_encrypted_response_alg": "RSA-OAEP" }),
            "introspection_encrypted_response_alg",
        ),
    ] {
        let refused = register(more).await;
        assert_eq!((refused.status.as_u16(), refused.error()), (400, "invalid_client_metadata".to_owned()));
        assert!(refused.text().contains(member), "{}", refused.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_7_the_metadata_name_the_algorithms_and_no_encryption(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for place in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let metadata = server.machine.get(place).await.json();
        let algorithms = json!(["EdDSA", "ES256", "PS256", "RS256"]);
        assert_eq!(metadata["introspection_signing_alg_values_supported"], algorithms, "{metadata}");
        assert!(!metadata.to_string().contains("encryption"), "{metadata}");
    }
}

#[rstest]
#[tokio::test]
async fn section_8_1_a_signed_answer_passes_for_no_token(#[values(Sqlite, Postgres)] database: Database) {
    let server = Box::pin(TestServer::start_on(database)).await;
    let scene = Scene::of(server, json!({ "introspection_signed_response_alg": "ES256" })).await;
    let machine = &scene.server.machine;
    let access = scene.access();
    let answer = machine.introspect_signed(&scene.guard, &access).await.text();
    assert_eq!(machine.userinfo(&answer).await.status, 401);
    assert!(!machine.is_active(&scene.guard, &answer).await);
    let api = Answer::to(machine.request(Method::GET, "/api/v1/clients").bearer_auth(&answer)).await;
    assert_eq!(api.status, 401, "{}", api.text());
    let hint = AuthorizeRequest::of(&scene.shop).with("id_token_hint", &answer);
    let refused = scene.server.visitor().authorize(&hint, &scene.ada).await;
    assert_eq!(refused.error(), "invalid_request", "it is no ID token");
    let assertion = [
        ("token", &*access),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &*answer),
    ];
    assert_eq!(machine.post("/introspect", &assertion).await.error(), "invalid_client");
}

/// FAPI 2.0 Message Signing: only a service learns of tokens that it does not hold itself.
#[rstest]
#[tokio::test]
async fn fapi2_section_6_2_a_client_that_is_no_service_is_told_nothing_of_tokens_of_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let other = scene.server.admin.web_client(&[&scene.orders]).await;
    for token in [scene.access(), scene.tokens.member("refresh_token")] {
        assert_eq!(scene.signed(&other, &token).await, json!({ "active": false }));
        assert_eq!(scene.server.machine.introspect(&other, &token).await.json(), json!({ "active": false }));
        assert_eq!(scene.signed(&scene.shop, &token).await["active"], true, "its own");
    }
}

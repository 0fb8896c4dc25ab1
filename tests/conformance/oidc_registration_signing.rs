//! [OpenID Connect Dynamic Client Registration 1.0](https://openid.net/specs/openid-connect-registration-1_0.html), section 2: what a client
//! says that it signs by, and how long ago somebody may have signed in.

use std::time::Duration;

use portcullis_server::config::Dynamic;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::registered::Registered;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::rsa_keys::RsaKeys;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::document_scene;

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const ASSERTION_ALG: &str = "/options/authentication/token_endpoint_auth_signing_alg";
const REQUEST_ALG: &str = "/options/protocol/request_object_signing_alg";

/// A client that could sign by two algorithms.
struct Bank {
    client: Registered,
    curve: SigningKeys,
    rsa: RsaKeys,
}

impl Bank {
    async fn register(server: &TestServer, options: Value) -> Self {
        let (curve, rsa) = (SigningKeys::generate(), RsaKeys::generate());
        let document = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "jwks": both(&curve, &rsa), "options": options });
        Self { client: server.admin.client(document).await, curve, rsa }
    }

    fn sign(&self, alg: &str, claims: &Value) -> String {
        match alg {
            "ES256" => self.curve.sign(claims),
            other => self.rsa.sign(&json!({ "alg": other }), claims),
        }
    }

    /// A request with a proof that is signed by an algorithm.
    async fn ask(&self, server: &TestServer, path: &str, fields: &[(&str, &str)], alg: &str) -> Answer {
        let assertion = assertion_of(&self.client.id, &server.issuer, server.clock.now());
        let assertion = self.sign(alg, &assertion);
        let proof = [("client_assertion_type", BEARER), ("client_assertion", &*assertion)];
        server.machine.post(path, &[fields, &proof].concat()).await
    }
}

/// Public keys of two algorithms.
fn both(curve: &SigningKeys, rsa: &RsaKeys) -> Value {
    let (mut set, other) = (curve.public_jwks(), rsa.jwks("RS256"));
    set["keys"].as_array_mut().unwrap().push(other["keys"][0].clone());
    set
}

async fn open(database: Database) -> TestServer {
    TestServer::start_with(database, |config| config.reach.registration.dynamic = Dynamic::Open).await
}

fn with(members: Value) -> Value {
    let mut metadata = web_metadata();
    if let (Some(whole), Value::Object(members)) = (metadata.as_object_mut(), members) {
        whole.extend(members);
    }
    metadata
}

#[rstest]
#[tokio::test]
async fn section_2_an_assertion_by_another_algorithm_than_the_registered_one_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let either = Bank::register(&server, json!({})).await;
    let one =
        Bank::register(&server, json!({ "authentication": { "token_endpoint_auth_signing_alg": "RS256" } }))
            .await;
    let token = [("token", "x")];
    for path in ["/introspect", "/revoke"] {
        assert_eq!(either.ask(&server, path, &token, "ES256").await.status, 200, "{path}");
        for bank in [&either, &one] {
            let answer = bank.ask(&server, path, &token, "RS256").await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        }
    }
    let request = AuthorizeRequest::of(&one.client);
    let grant = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    for (path, fields) in [
        ("/introspect", token.to_vec()),
        ("/revoke", token.to_vec()),
        ("/token", grant.to_vec()),
        ("/par", request.fields_without("")),
    ] {
        let answer = one.ask(&server, path, &fields, "ES256").await;
        let told = (answer.status.as_u16(), answer.error());
        assert_eq!(told, (401, "invalid_client".to_owned()), "{path}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_2_and_openid_core_section_6_3_2_a_request_object_by_another_algorithm_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let either = Bank::register(&server, json!({})).await;
    let one = Bank::register(&server, json!({ "protocol": { "request_object_signing_alg": "RS256" } })).await;
    for (bank, alg, is_good) in
        [(&either, "ES256", true), (&either, "RS256", true), (&one, "RS256", true), (&one, "ES256", false)]
    {
        let request = AuthorizeRequest::of(&bank.client);
        let object = bank.sign(alg, &request.object(&server.issuer));
        let fields = [("client_id", &*bank.client.id), ("request", &*object)];
        // An assertion may be signed by either.
        let pushed = bank.ask(&server, "/par", &fields[1..], "ES256").await;
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let path = format!("/authorize?{query}");
        if is_good {
            assert_eq!(pushed.status, 201, "{alg}: {}", pushed.text());
            let callback = server.visitor().walk(&path, &ada).await;
            assert_eq!(callback.get("state"), request.get("state"), "{alg}");
        } else {
            assert_eq!((pushed.status.as_u16(), &*pushed.error()), (400, "invalid_request_object"), "{alg}");
            let beside = format!("{path}&redirect_uri=https%3A%2F%2Frp.test%2Fcb");
            let callback = server.visitor().walk(&beside, &ada).await;
            assert_eq!(callback.error(), "invalid_request_object", "{alg}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_2_whoever_signed_in_before_default_max_age_signs_in_again(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let document = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "first_party": true, "protocol": { "default_max_age": 60 } } });
    let shop = server.admin.client(document).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let request = || AuthorizeRequest::of(&shop);
    let silently = |request: AuthorizeRequest| request.with("prompt", "none").path();
    let answered = Callback::of(&visitor.open(&silently(request())).await.location().unwrap());
    assert!(!answered.code().is_empty());
    server.wait(Duration::from_secs(61));
    let refused = Callback::of(&visitor.open(&silently(request())).await.location().unwrap());
    assert_eq!(refused.error(), "login_required");
    let page = visitor.open(&request().path()).await;
    assert_eq!(page.status, 200);
    the_form(&page, "login");
    let longer = silently(request().with("max_age", "3600"));
    let answered = Callback::of(&visitor.open(&longer).await.location().unwrap());
    assert!(!answered.code().is_empty(), "what a request says counts");
}

#[rstest]
#[tokio::test]
async fn section_3_2_what_a_client_signs_by_is_told_back_and_replaced(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = open(database).await;
    let (curve, rsa) = (SigningKeys::generate(), RsaKeys::generate());
    let said = json!({ "default_max_age": 60, "request_object_signing_alg": "ES256",
        "token_endpoint_auth_signing_alg": "RS256" });
    let mut metadata =
        with(json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": both(&curve, &rsa) }));
    let without = metadata.clone();
    metadata.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
    let answer = server.register(None, &metadata).await;
    let own = OwnRegistration::of(&answer);
    let read = server.about_registration(Method::GET, &own.path, Some(&own.token), None).await;
    let shown = server.admin.get(&format!("/clients/{}", own.client.id)).await.json();
    let settings = &shown["settings"];
    for (member, value) in said.as_object().unwrap() {
        assert_eq!((&answer.json()[member], &read.json()[member]), (value, value), "{member}");
        let kept = [&settings["protocol"][member], &settings["authentication"][member]];
        assert!(kept.contains(&value), "{member}: {settings}");
    }
    let mut replaced = without;
    replaced["client_id"] = json!(own.client.id);
    let token = read.member("registration_access_token");
    let changed = server.about_registration(Method::PUT, &own.path, Some(&token), Some(&replaced)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    for member in said.as_object().unwrap().keys() {
        assert_eq!(changed.json().get(member), None, "{member}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_a_client_that_never_signs_so_does_not_say_so(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = open(database).await;
    let keys = SigningKeys::generate().public_jwks();
    let signer = json!({ "token_endpoint_auth_method": "private_key_jwt", "jwks": keys });
    for (metadata, member) in [
        (json!({ "token_endpoint_auth_signing_alg": "ES256" }), "token_endpoint_auth_signing_alg"),
        (
            json!({ "token_endpoint_auth_method": "none", "token_endpoint_auth_signing_alg": "ES256" }),
            "token_endpoint_auth_signing_alg",
        ),
        (
            json!({ "token_endpoint_auth_method": "none", "jwks": keys, "request_object_signing_alg": "ES256" }),
            "request_object_signing_alg",
        ),
        (json!({ "request_object_signing_alg": "ES256" }), "request_object_signing_alg"),
        (json!({ "jwks": keys, "request_object_signing_alg": "RS256" }), "request_object_signing_alg"),
        (merged(&signer, "token_endpoint_auth_signing_alg", "RS256"), "token_endpoint_auth_signing_alg"),
        (merged(&signer, "token_endpoint_auth_signing_alg", "ES384"), "token_endpoint_auth_signing_alg"),
        (merged(&signer, "request_object_signing_alg", "none"), "request_object_signing_alg"),
    ] {
        let refused = server.register(None, &with(metadata.clone())).await;
        let told = (refused.status.as_u16(), refused.error());
        assert_eq!(told, (400, "invalid_client_metadata".to_owned()), "{metadata}: {}", refused.text());
        let why = refused.member("error_description");
        assert!(why.starts_with(&format!("{member}: ")), "{metadata}: {why}");
    }
    let machine =
        json!({ "client_name": "Robot", "grant_types": ["client_credentials"], "default_max_age": 60 });
    let refused = server.register(None, &machine).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}

fn merged(whole: &Value, member: &str, value: &str) -> Value {
    let mut document = whole.clone();
    document[member] = json!(value);
    document
}

#[rstest]
#[tokio::test]
async fn section_2_an_administrator_is_told_what_cannot_be_signed(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const MAX_AGE: &str = "/options/protocol/default_max_age";
    let server = TestServer::start_on(database).await;
    let keys = SigningKeys::generate().public_jwks();
    let web = |jwks: &Value, options: Value| {
        json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"], "jwks": jwks,
            "options": options })
    };
    let proves = |alg: &str| json!({ "authentication": { "token_endpoint_auth_signing_alg": alg } });
    let asks = |alg: &str| json!({ "protocol": { "request_object_signing_alg": alg } });
    let mut bank = web(&RsaKeys::generate().jwks("PS256"), proves("RS256"));
    bank["options"]["profile"] = json!("fapi2");
    let preset = |name: &str, options: Value| json!({ "name": "Robot", "preset": name, "options": options });
    let nothing = Value::Null;
    for (document, pointer) in [
        (web(&nothing, proves("ES256")), ASSERTION_ALG),
        (web(&keys, proves("PS256")), ASSERTION_ALG),
        (web(&keys, proves("HS256")), ASSERTION_ALG),
        (web(&keys, proves("none")), ASSERTION_ALG),
        (web(&nothing, asks("ES256")), REQUEST_ALG),
        (web(&keys, asks("EdDSA")), REQUEST_ALG),
        (web(&keys, asks("HS256")), REQUEST_ALG),
        (bank, ASSERTION_ALG),
        (preset("m2m", asks("ES256")), REQUEST_ALG),
        (preset("m2m", json!({ "protocol": { "default_max_age": 60 } })), MAX_AGE),
        (preset("device", json!({ "protocol": { "default_max_age": 60 } })), MAX_AGE),
        (web(&nothing, json!({ "protocol": { "default_max_age": 60, "device_grant": true } })), MAX_AGE),
    ] {
        let refused = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{document}: {}", refused.text());
        let errors = refused.json()["errors"].clone();
        let named = errors.as_array().unwrap().iter().any(|error| error["pointer"] == pointer);
        assert!(named, "{document}: {errors}");
    }
    let odd = web(&nothing, json!({ "protocol": { "default_max_age": -1 } }));
    let refused = server.admin.send(Method::POST, "/clients", &odd).await;
    assert!(refused.status.is_client_error(), "{}", refused.text());
}

#[rstest]
#[tokio::test]
async fn section_2_the_document_of_a_client_says_what_it_signs_by(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (document_scene::server(database).await, DocumentAt::start().await);
    let (curve, rsa) = (SigningKeys::generate(), RsaKeys::generate());
    let mut document = place.good();
    document["token_endpoint_auth_method"] = json!("private_key_jwt");
    document["token_endpoint_auth_signing_alg"] = json!("ES256");
    document["jwks"] = both(&curve, &rsa);
    place.publish(&document);
    let bank = Bank { client: document_scene::client(&place), curve, rsa };
    let request = AuthorizeRequest::of(&bank.client);
    let refused = bank.ask(&server, "/par", &request.fields_without(""), "RS256").await;
    assert_eq!((refused.status.as_u16(), &*refused.error()), (401, "invalid_client"));
    let pushed = bank.ask(&server, "/par", &request.fields_without(""), "ES256").await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
}

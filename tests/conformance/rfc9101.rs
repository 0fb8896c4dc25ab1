//! The OAuth 2.0 Authorization Framework: JWT-Secured Authorization Request (JAR)
//! ([RFC 9101](https://www.rfc-editor.org/rfc/rfc9101)).

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::damaged;
use portcullis_tests::markup::text_of;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

const TYP: &str = "oauth-authz-req+jwt";

/// A client with keys of its own.
struct Signer {
    client: Registered,
    keys: SigningKeys,
}

impl Signer {
    async fn register(server: &TestServer, protocol: Value) -> Self {
        let keys = SigningKeys::generate();
        let document = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb", "https://rp.test/other"],
            "jwks": keys.public_jwks(), "options": { "protocol": protocol } });
        Self { client: server.admin.client(document).await, keys }
    }

    /// A request of which the browser sees the object and who sends it.
    fn path(&self, object: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &self.client.id).append_pair("request", object);
        format!("/authorize?{}", query.finish())
    }

    async fn redeem(&self, server: &TestServer, request: &AuthorizeRequest, callback: &Callback) -> Answer {
        let proof = assertion_fields(&self.keys, &self.client.id, &server.issuer, server.clock.now());
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", callback.code()),
            ("redirect_uri", request.get("redirect_uri")),
            ("code_verifier", &request.pkce.verifier),
        ];
        fields.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
        server.machine.post("/token", &fields).await
    }
}

#[rstest]
#[case::of_the_rfc(TYP)]
#[case::of_a_media_type("application/oauth-authz-req+jwt")]
#[case::of_openid_connect("JWT")]
#[tokio::test]
async fn section_5_1_a_signed_request_buys_a_code(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] typ: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = Signer::register(&server, json!({})).await;
    let request = AuthorizeRequest::of(&bank.client);
    let object = bank.keys.sign_as(typ, &request.object(&server.issuer));
    let callback = server.visitor().walk(&bank.path(&object), &ada).await;
    assert_eq!(callback.get("state"), request.get("state"));
    let tokens = bank.redeem(&server, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_6_3_only_what_was_signed_counts(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = Signer::register(&server, json!({})).await;
    let request = AuthorizeRequest::of(&bank.client);
    let object = bank.keys.sign_as(TYP, &request.object(&server.issuer));
    let more = "&scope=openid+email&state=other&redirect_uri=https%3A%2F%2Fevil.test%2F&response_mode=jwt";
    let callback = server.visitor().walk(&format!("{}{more}", bank.path(&object)), &ada).await;
    assert_eq!(
        (callback.target.as_str(), callback.get("state")),
        ("https://rp.test/cb", request.get("state"))
    );
    let tokens = bank.redeem(&server, &request, &callback).await;
    assert_eq!(tokens.json()["scope"], "openid", "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_4_and_6_1_and_6_2_an_object_that_does_not_hold_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = Signer::register(&server, json!({})).await;
    let request = AuthorizeRequest::of(&bank.client);
    let now = server.clock.now().as_secs();
    let with = |name: &str, value: Value| {
        let mut claims = request.object(&server.issuer);
        claims[name] = value;
        bank.keys.sign_as(TYP, &claims)
    };
    let good = bank.keys.sign_as(TYP, &request.object(&server.issuer));
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", good.split('.').nth(1).unwrap());
    for (why, object) in [
        ("another key", SigningKeys::generate().sign_as(TYP, &request.object(&server.issuer))),
        ("damaged", damaged(&good)),
        ("unsigned", unsigned),
        ("no JWT", "x".to_owned()),
        ("a JWE has five parts", "a.b.c.d.e".to_owned()),
        ("another kind", bank.keys.sign_as("at+jwt", &request.object(&server.issuer))),
        ("another audience", with("aud", json!("https://other.example"))),
        ("another issuer", with("iss", json!("cli_other"))),
        ("another client", with("client_id", json!("cli_other"))),
        ("an assertion", with("sub", json!(bank.client.id))),
        ("expired", with("exp", json!(now))),
        ("good for too long", with("exp", json!(now + 3_700))),
        ("not yet", with("nbf", json!(now + 60))),
        ("nested", with("request", json!("x"))),
        ("nested by reference", with("request_uri", json!("https://rp.test/r"))),
    ] {
        let path = bank.path(&object);
        let page = server.visitor().open(&path).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, None), "{why}: no address is known");
        let beside = format!("{path}&redirect_uri=https%3A%2F%2Frp.test%2Fcb&state=s");
        let callback = server.visitor().walk(&beside, &ada).await;
        assert_eq!((callback.error(), callback.get("state")), ("invalid_request_object", "s"), "{why}");
    }
}

#[rstest]
#[tokio::test]
async fn section_6_3_what_an_object_asks_for_is_checked_as_always(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = Signer::register(&server, json!({})).await;
    let good = AuthorizeRequest::of(&bank.client);
    for (request, error) in [
        (good.clone().without("code_challenge"), "invalid_request"),
        (good.clone().with("response_type", "token"), "unsupported_response_type"),
        (good.clone().with("scope", "x"), "invalid_scope"),
        (good.clone().with("prompt", "none"), "login_required"),
    ] {
        let object = bank.keys.sign_as(TYP, &request.object(&server.issuer));
        let callback = server.visitor().walk(&bank.path(&object), &ada).await;
        assert_eq!((callback.error(), callback.get("state")), (error, good.get("state")), "{request:?}");
    }
    let elsewhere = good.clone().with("redirect_uri", "https://evil.test/");
    let object = bank.keys.sign_as(TYP, &elsewhere.object(&server.issuer));
    let page = server.visitor().open(&bank.path(&object)).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None));
}

#[rstest]
#[tokio::test]
async fn section_6_2_a_client_without_keys_cannot_sign(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let object = SigningKeys::generate().sign_as(TYP, &request.object(&server.issuer));
    let callback = server.visitor().authorize(&request.with("request", &object), &ada).await;
    assert_eq!(callback.error(), "request_not_supported");
}

#[rstest]
#[tokio::test]
async fn section_10_5_a_client_can_be_held_to_signing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = Signer::register(&server, json!({ "require_signed_request_object": true })).await;
    let request = AuthorizeRequest::of(&bank.client);
    let plain = server.visitor().authorize(&request, &ada).await;
    assert_eq!(plain.error(), "invalid_request");
    let object = bank.keys.sign_as(TYP, &request.object(&server.issuer));
    let callback = server.visitor().walk(&bank.path(&object), &ada).await;
    assert!(!callback.code().is_empty());
    let keyless = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "protocol": { "require_signed_request_object": true } } });
    let refused = server.admin.send(reqwest::Method::POST, "/clients", &keyless).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
}

#[rstest]
#[tokio::test]
async fn section_5_an_object_can_be_pushed(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = Signer::register(
        &server,
        json!({ "require_signed_request_object": true, "require_pushed_requests": true }),
    )
    .await;
    let request = AuthorizeRequest::of(&bank.client);
    let push = async |object: Option<&str>| {
        let proof = assertion_fields(&bank.keys, &bank.client.id, &server.issuer, server.clock.now());
        let mut fields: Vec<(&str, &str)> =
            proof.iter().map(|(name, value)| (*name, value.as_str())).collect();
        match object {
            Some(object) => fields.push(("request", object)),
            None => fields.extend(request.fields_without("")),
        }
        server.machine.post("/par", &fields).await
    };
    let object = bank.keys.sign_as(TYP, &request.object(&server.issuer));
    let pushed = push(Some(&object)).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let refused = push(Some(&damaged(&object))).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_request_object"));
    let unsigned = push(None).await;
    assert_eq!((unsigned.status.as_u16(), unsigned.error().as_str()), (400, "invalid_request"));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &bank.client.id).append_pair("request_uri", &pushed.member("request_uri"));
    let callback = server.visitor().walk(&format!("/authorize?{}", query.finish()), &ada).await;
    let tokens = bank.redeem(&server, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    // Without pushing it, the same object is not enough.
    let direct = server.visitor().walk(&bank.path(&object), &ada).await;
    assert_eq!(direct.error(), "invalid_request");
}

#[rstest]
#[tokio::test]
async fn section_5_an_object_and_an_address_of_one_do_not_come_together(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let bank = Signer::register(&server, json!({})).await;
    let request = AuthorizeRequest::of(&bank.client);
    let object = bank.keys.sign_as(TYP, &request.object(&server.issuer));
    for uri in ["urn:ietf:params:oauth:request_uri:x", "https://rp.test/request.jwt"] {
        let path = format!("{}&request_uri={uri}", bank.path(&object));
        let page = server.visitor().open(&path).await;
        assert_eq!((page.status.as_u16(), page.location()), (400, None), "{uri}");
        assert_eq!(text_of(&page.text(), "parameter").as_deref(), Some("request_uri"), "{uri}");
    }
}

#[rstest]
#[tokio::test]
async fn section_9_the_metadata_tell_of_it(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let metadata = server.machine.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["request_parameter_supported"], true);
    assert_eq!(metadata["request_uri_parameter_supported"], false, "only ours, which were pushed");
    assert_eq!(metadata["require_signed_request_object"], false);
    let algorithms = metadata["request_object_signing_alg_values_supported"].to_string();
    assert!(algorithms.contains("ES256") && !algorithms.contains("none"), "{algorithms}");
}

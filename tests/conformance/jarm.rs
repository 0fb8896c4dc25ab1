//! JWT Secured Authorization Response Mode for OAuth 2.0 (<https://openid.net/specs/oauth-v2-jarm-final.html>).

use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::{Value, json};

/// What a signed answer says, after everything that a client has to check (section 2.4).
fn opened(server: &TestServer, client: &Registered, callback: &Callback) -> Value {
    let response = callback.get("response");
    assert_eq!(callback.get("code"), "", "nothing stands beside the JWT");
    assert_eq!(callback.get("state"), "", "nothing stands beside the JWT");
    let claims = claims(response);
    assert_eq!(claims["iss"], server.issuer);
    assert_eq!(claims["aud"], client.id);
    let left = claims["exp"].as_i64().unwrap() - server.clock.now().as_secs();
    assert!((1..=600).contains(&left), "section 2.1: ten minutes at most, not {left} s");
    claims
}

#[rstest]
#[case::short("jwt")]
#[case::query("query.jwt")]
#[case::form("form_post.jwt")]
#[tokio::test]
async fn section_2_3_the_code_comes_in_a_signed_jwt(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] mode: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("response_mode", mode);
    let callback = server.visitor().authorize(&request, &ada).await;
    assert_eq!(callback.target, "https://rp.test/cb");
    let answer = opened(&server, &shop, &callback);
    assert_eq!(answer["state"], request.get("state"));
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", answer["code"].as_str().unwrap()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", &request.pkce.verifier),
    ];
    let tokens = server.machine.token(&shop, &fields).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_2_1_an_error_is_signed_as_well(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("response_mode", "jwt").with("prompt", "none");
    let callback = server.visitor().authorize(&request, &ada).await;
    let answer = opened(&server, &shop, &callback);
    assert_eq!(answer["error"], "login_required");
    assert_eq!(answer.get("code"), None);
}

#[rstest]
#[tokio::test]
async fn section_3_it_is_signed_as_the_client_wants(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("ES256", "EdDSA", "PS256", "RS256")] algorithm: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "protocol": { "authorization_signed_response_alg": algorithm } } });
    let bank = server.admin.client(bank).await;
    let request = AuthorizeRequest::of(&bank).with("response_mode", "jwt");
    let callback = server.visitor().authorize(&request, &ada).await;
    assert_eq!(header(callback.get("response"))["alg"], algorithm);
    let hint = AuthorizeRequest::of(&bank).with("id_token_hint", callback.get("response"));
    let refused = server.visitor().authorize(&hint, &ada).await;
    assert_eq!(refused.error(), "invalid_request", "it is no ID token (RFC 8725 §3.11)");
}

#[rstest]
#[tokio::test]
async fn section_3_it_is_signed_by_rs256_where_nothing_is_said(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("response_mode", "jwt");
    let callback = server.visitor().authorize(&request, &ada).await;
    assert_eq!(header(callback.get("response"))["alg"], "RS256");
    let tokens = opened(&server, &shop, &callback);
    assert_eq!(tokens["state"], request.get("state"));
}

#[rstest]
#[tokio::test]
async fn section_3_an_unknown_algorithm_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for algorithm in ["none", "HS256", "es256", ""] {
        let bank = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "options": { "protocol": { "authorization_signed_response_alg": algorithm } } });
        let refused = server.admin.send(reqwest::Method::POST, "/clients", &bank).await;
        assert_eq!(refused.status, 422, "{algorithm}: {}", refused.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_4_the_metadata_name_the_algorithms(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let metadata = server.machine.get("/.well-known/oauth-authorization-server").await.json();
    let algorithms = json!(["EdDSA", "ES256", "PS256", "RS256"]);
    assert_eq!(metadata["authorization_signing_alg_values_supported"], algorithms, "{metadata}");
}

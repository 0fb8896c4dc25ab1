//! The OAuth 2.0 Authorization Framework ([RFC 6749](https://www.rfc-editor.org/rfc/rfc6749)): what no other suite shows of it.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use rstest::rstest;

/// What those read who write clients.
const DOCUMENT: &str = include_str!("../../auth-server/docs/clients.md");

#[rstest]
#[tokio::test]
async fn section_3_1_and_3_2_unknown_parameters_are_ignored(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("colour", "green").with("grant_type", "implicit");
    let callback = server.visitor().authorize(&request, &ada).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", &request.pkce.verifier),
        ("colour", "green"),
        ("response_type", "token"),
    ];
    let tokens = server.machine.token(&shop, &fields).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_3_3_the_answer_says_which_scopes_were_granted(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid nothing email");
    let tokens = server.tokens(&shop, &request, &ada).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(tokens.json()["scope"], "email openid");
}

#[rstest]
#[tokio::test]
async fn section_5_1_and_5_2_no_cache_keeps_an_answer_whatever_header_it_reads(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let tokens = server.tokens(&shop, &AuthorizeRequest::of(&shop), &ada).await;
    let refused = server.machine.token(&shop, &[]).await;
    assert_eq!((tokens.status.as_u16(), refused.status.as_u16()), (200, 400));
    for answer in [tokens, refused] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("pragma"), "no-cache");
        assert_eq!(answer.header("content-type"), "application/json");
    }
}

#[rstest]
#[tokio::test]
async fn section_5_2_what_errors_say_is_of_the_characters_that_they_may_hold(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let wrong = Registered { secret: Some(format!("pck_{}", "A".repeat(43))), ..shop.clone() };
    let requests: [(&Registered, &[Field<'_>]); 7] = [
        (&wrong, &[("grant_type", "client_credentials")]),
        (&shop, &[]),
        (&shop, &[("grant_type", "\"\\\u{e9}")]),
        (&shop, &[("grant_type", "client_credentials")]),
        (&shop, &[("grant_type", "authorization_code"), ("code", "\"\\\u{e9}")]),
        (&shop, &[("grant_type", "refresh_token"), ("refresh_token", "x"), ("scope", "\"\\\u{e9}")]),
        (&shop, &[("grant_type", "refresh_token"), ("resource", "\"\\\u{e9}")]),
    ];
    for (client, fields) in requests {
        let answer = server.machine.token(client, fields).await;
        assert!(answer.status.is_client_error(), "{fields:?}: {}", answer.status);
        for text in [answer.error(), answer.member("error_description")] {
            let plain = |byte| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(!text.is_empty() && text.bytes().all(plain), "{fields:?}: {text}");
        }
    }
}

/// How many characters the documentation says that something has.
fn documented(what: &str) -> usize {
    let row = DOCUMENT.lines().find_map(|line| line.strip_prefix("| ")?.strip_prefix(what));
    let size = row.and_then(|row| row.strip_prefix(" | ")).and_then(|row| row.split(' ').next());
    size.and_then(|size| size.parse().ok()).unwrap_or_else(|| panic!("{what} is not in the table"))
}

#[rstest]
#[tokio::test]
async fn section_2_2_and_4_1_2_and_5_1_what_is_issued_is_as_long_as_the_documentation_says(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let callback = server.visitor().authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let made_here = "authorization code, device code, `auth_req_id`, refresh token";
    assert_eq!(shop.id.len(), documented("`client_id` that is made here"));
    assert_eq!(shop.secret.as_ref().map(String::len), Some(documented("client secret")));
    assert_eq!(callback.code().len(), documented(made_here));
    assert_eq!(tokens.member("refresh_token").len(), documented(made_here));
    for token in ["access_token", "id_token"] {
        let length = tokens.member(token).len();
        assert!(length > 0 && length <= documented("access token, ID token"), "{token}: {length}");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_3_without_a_scope_there_is_no_default_as_the_documentation_says(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    for request in [request.clone().without("scope"), request.with("scope", "")] {
        let callback = server.visitor().authorize(&request, &ada).await;
        assert_eq!(callback.error(), "invalid_scope");
    }
    assert!(DOCUMENT.contains("is `invalid_scope`. There is no default."));
    let known = server.machine.get("/.well-known/oauth-authorization-server").await.json();
    assert!(known["scopes_supported"].as_array().is_some_and(|scopes| scopes.contains(&"openid".into())));
}

//! Proof Key for Code Exchange ([RFC 7636](https://www.rfc-editor.org/rfc/rfc7636)): what no other suite shows of it.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback, Pkce};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

#[rstest]
#[tokio::test]
async fn section_4_6_another_verifier_is_an_invalid_grant(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    for client in [server.admin.web_client(&[]).await, server.admin.native_client(&[]).await] {
        let request = AuthorizeRequest::of(&client);
        let callback = server.visitor().authorize(&request, &ada).await;
        let mut other = request.clone();
        other.pkce = Pkce::generate();
        let refused = server.machine.redeem(&client, &other, &callback).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_grant"));
        assert_eq!(server.machine.redeem(&client, &request, &callback).await.status, 200);
    }
}

#[rstest]
#[tokio::test]
async fn section_4_4_a_challenge_is_of_the_code_that_was_issued_for_it_and_of_no_other(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    for client in [server.admin.web_client(&[]).await, server.admin.native_client(&[]).await] {
        let (one, two) = (AuthorizeRequest::of(&client), AuthorizeRequest::of(&client));
        let first = server.visitor().authorize(&one, &ada).await;
        let second = server.visitor().authorize(&two, &ada).await;
        for (request, callback) in [(&two, &first), (&one, &second)] {
            let refused = server.machine.redeem(&client, request, callback).await;
            assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_grant"));
        }
        for (request, callback) in [(&one, &first), (&two, &second)] {
            assert_eq!(server.machine.redeem(&client, request, callback).await.status, 200);
        }
    }
}

/// A web application that an administrator spares PKCE.
async fn spared(server: &TestServer) -> Registered {
    let document = json!({ "name": "Older shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "protocol": { "require_pkce": false } } });
    server.admin.client(document).await
}

/// A request without a challenge.
fn bare(client: &Registered) -> AuthorizeRequest {
    AuthorizeRequest::of(client).without("code_challenge").without("code_challenge_method")
}

async fn redeem(
    server: &TestServer,
    client: &Registered,
    (request, callback): (&AuthorizeRequest, &Callback),
    verifier: Option<&str>,
) -> Answer {
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
    ];
    fields.extend(verifier.map(|verifier| ("code_verifier", verifier)));
    server.machine.token(client, &fields).await
}

#[rstest]
#[tokio::test]
async fn section_5_a_client_that_knows_nothing_of_it_is_served_where_an_administrator_says_so(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let older = spared(&server).await;
    for request in [bare(&older), bare(&older).without("nonce")] {
        let callback = server.visitor().authorize(&request, &ada).await;
        let tokens = redeem(&server, &older, (&request, &callback), None).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        let nonce = claims(&tokens.member("id_token"))["nonce"].clone();
        assert_eq!(nonce.as_str().unwrap_or_default(), request.get("nonce"));
        // The code counts once all the same.
        let access = tokens.member("access_token");
        let again = redeem(&server, &older, (&request, &callback), None).await;
        assert_eq!(again.error(), "invalid_grant");
        assert!(!server.machine.is_active(&older, &access).await);
    }
}

#[rstest]
#[tokio::test]
async fn section_5_a_pushed_request_of_such_a_client_needs_no_challenge_either(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (older, usual) = (spared(&server).await, server.admin.web_client(&[]).await);
    let push = async |client: &Registered| {
        let request = bare(client);
        server.machine.post_as(client, "/par", &request.fields_without("client_id")).await
    };
    let pushed = push(&older).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &older.id)
        .append_pair("request_uri", &pushed.member("request_uri"))
        .finish();
    let callback = server.visitor().walk(&format!("/authorize?{query}"), &ada).await;
    let tokens = redeem(&server, &older, (&bare(&older), &callback), None).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(push(&usual).await.error(), "invalid_request");
}

#[rstest]
#[tokio::test]
async fn section_4_6_a_client_that_need_not_is_held_to_the_challenge_that_it_sends(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let older = spared(&server).await;
    let request = AuthorizeRequest::of(&older);
    let callback = server.visitor().authorize(&request, &ada).await;
    for wrong in [None, Some(""), Some("short"), Some(&*Pkce::generate().verifier)] {
        let refused = redeem(&server, &older, (&request, &callback), wrong).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_grant"), "{wrong:?}");
    }
    let right = redeem(&server, &older, (&request, &callback), Some(&request.pkce.verifier)).await;
    assert_eq!(right.status, 200, "{}", right.text());
}

#[rstest]
#[tokio::test]
async fn section_4_4_1_a_client_that_has_to_again_gets_nothing_for_a_code_without_a_challenge(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let older = spared(&server).await;
    let request = bare(&older);
    let callback = server.visitor().authorize(&request, &ada).await;
    let document = json!({ "name": "Older shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"] });
    let put = server.admin.request(Method::PUT, &format!("/clients/{}", older.id)).await;
    let held = Answer::to(put.header("if-match", "*").json(&document)).await;
    assert_eq!(held.status, 200, "{}", held.text());
    let missing = redeem(&server, &older, (&request, &callback), None).await;
    assert_eq!((missing.status.as_u16(), missing.error().as_str()), (400, "invalid_request"));
    let verifier = Some(&*request.pkce.verifier);
    assert_eq!(redeem(&server, &older, (&request, &callback), verifier).await.error(), "invalid_grant");
    let refused = server.visitor().open(&bare(&older).path()).await;
    assert_eq!(Callback::of(&refused.location().unwrap()).error(), "invalid_request");
}

#[rstest]
#[tokio::test]
async fn section_4_1_a_verifier_has_43_to_128_unreserved_characters(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = server.admin.native_client(&[]).await;
    let request = AuthorizeRequest::of(&app);
    let callback = server.visitor().authorize(&request, &ada).await;
    for verifier in
        ["a".repeat(42), "a".repeat(129), format!("{}!", "a".repeat(43)), format!("{} ", "a".repeat(43))]
    {
        let refused = redeem(&server, &app, (&request, &callback), Some(&verifier)).await;
        assert_eq!(refused.status, 400, "{verifier}");
        assert!(
            matches!(&*refused.error(), "invalid_grant" | "invalid_request"),
            "{verifier}: {}",
            refused.text()
        );
    }
    let missing = redeem(&server, &app, (&request, &callback), None).await;
    assert_eq!((missing.status.as_u16(), missing.error().as_str()), (400, "invalid_request"));
    let good = redeem(&server, &app, (&request, &callback), Some(&request.pkce.verifier)).await;
    assert_eq!(good.status, 200, "{}", good.text());
}

/// Section 4.3: who names no method means `plain`.
#[rstest]
#[tokio::test]
async fn section_4_3_and_4_4_1_a_method_that_is_not_supported_is_an_invalid_request(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for client in [server.admin.native_client(&[]).await, spared(&server).await] {
        let good = AuthorizeRequest::of(&client);
        for bad in [
            good.clone().without("code_challenge_method"),
            good.clone().with("code_challenge_method", "plain"),
            good.clone().with("code_challenge_method", "s256"),
            good.clone().with("code_challenge_method", "S512"),
            good.clone().with("code_challenge", "short"),
        ] {
            let callback = crate::signed_in::told_at_callback(&server, &bad).await;
            assert_eq!(
                (callback.error(), callback.get("state")),
                ("invalid_request", bad.get("state")),
                "{bad:?}"
            );
        }
    }
}

/// Section 4.4.1: a server that requires it says so.
#[rstest]
#[tokio::test]
async fn section_4_4_1_a_request_without_a_challenge_is_an_invalid_request(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for client in [server.admin.native_client(&[]).await, server.admin.web_client(&[]).await] {
        let callback = crate::signed_in::told_at_callback(&server, &bare(&client)).await;
        assert_eq!(callback.error(), "invalid_request");
    }
}

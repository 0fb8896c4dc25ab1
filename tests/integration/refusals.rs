//! What the log says of requests that are refused: one line has the error, the reason and the client.

use portcullis_server::config::Dynamic;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::registered::Registered;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

/// A client that is registered nowhere.
const NOBODY: &str = "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";

/// The one line of the request that was answered so.
fn line(server: &TestServer, answer: &Answer) -> String {
    let mut lines = server.log.lines_with(&format!("request.id=\"{}\"", answer.header("x-request-id")));
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// The error, the reason and the client that the line of a request has.
fn why(server: &TestServer, answer: &Answer) -> [String; 3] {
    let line = line(server, answer);
    assert!(line.contains(" INFO "), "as every refusal: {line}");
    ["oauth.error", "cause", "client.id"].map(|name| {
        let (_, behind) = line.split_once(&format!(" {name}=\"")).unwrap_or_default();
        behind.split_once('"').unwrap_or_default().0.to_owned()
    })
}

#[rstest]
#[tokio::test]
async fn what_a_client_is_told_at_an_endpoint_is_in_the_log_with_the_reason_and_the_client(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let id = shop.id.as_str();
    let guessing = Registered { secret: Some("pck_guess".to_owned()), ..shop.clone() };
    let stranger = Registered { id: NOBODY.to_owned(), ..guessing.clone() };
    let code = [("grant_type", "authorization_code"), ("code", "x"), ("code_verifier", "y")];
    let request = AuthorizeRequest::of(&shop).with("scope", "no-such-scope");
    for (client, path, fields, error, reason) in [
        (&guessing, "/token", &code[..], "invalid_client", "the secret is wrong"),
        (&stranger, "/token", &code[..], "invalid_client", "there is no such client"),
        (&shop, "/token", &code[..], "invalid_grant", "code"),
        (&shop, "/token", &[("grant_type", "x")], "unsupported_grant_type", "grant"),
        (&shop, "/token", &[("grant_type", "x"), ("grant_type", "y")], "invalid_request", "more than once"),
        (&shop, "/par", &request.fields_without("client_id"), "invalid_scope", "scope is missing"),
        (&guessing, "/par", &request.fields_without("client_id"), "invalid_client", "the secret is wrong"),
        (&shop, "/introspect", &[], "invalid_request", "token is missing"),
        (&guessing, "/introspect", &[("token", "x")], "invalid_client", "the secret is wrong"),
        (&shop, "/revoke", &[], "invalid_request", "token is missing"),
        (&shop, "/device_authorization", &[("scope", "openid")], "unauthorized_client", "grant"),
        (&shop, "/bc-authorize", &[("scope", "openid")], "unauthorized_client", "not"),
    ] {
        let answer = server.machine.post_as(client, path, fields).await;
        let [told, cause, of] = why(&server, &answer);
        assert_eq!((told.as_str(), of.as_str()), (error, client.id.as_str()), "{path} {fields:?}: {cause}");
        assert_eq!(answer.error(), error, "{path} {fields:?}");
        assert!(cause.contains(reason), "{path} {fields:?}: {cause}");
    }
    // A proof is looked at before anything else is, and its client is named all the same.
    let unproven = server.machine.form_of(&shop, "/token", &code).header("dpop", "no proof");
    let answer = Answer::to(unproven).await;
    let [told, cause, of] = why(&server, &answer);
    assert_eq!((told.as_str(), of.as_str()), ("invalid_dpop_proof", id), "{cause}");
    // So is that of a request whose body is no form, and of one with a secret in its address.
    let secret = shop.secret.clone().unwrap();
    for (path, kind) in
        [("/token", "application/json"), ("/token?client_secret=x", "application/x-www-form-urlencoded")]
    {
        let bare = server.machine.request(Method::POST, path).basic_auth(id, Some(&secret));
        let answer = Answer::to(bare.header("content-type", kind).body("{}")).await;
        let [told, cause, of] = why(&server, &answer);
        assert_eq!((told.as_str(), of.as_str()), ("invalid_request", id), "{path}: {cause}");
    }
    let token = [("grant_type", "client_credentials"), ("client_id", id)];
    assert_eq!(why(&server, &server.machine.post("/token", &token).await)[2], id, "the form says it");
}

#[rstest]
#[tokio::test]
async fn what_somebody_sends_for_an_identifier_that_is_none_stays_out_of_the_log(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for odd in [
        "hunter2 of ada",
        "pck_sesame",
        "https://shop.test/cb?code=hunter2",
        "x\" client.id=\"cli_1",
        &"c".repeat(4000),
    ] {
        let form = [("grant_type", "client_credentials"), ("client_id", odd), ("client_secret", "s")];
        let answer = server.machine.post("/token", &form).await;
        let page = server.machine.get(&format!("/authorize?{}", encoded(&[("client_id", odd)]))).await;
        let sign_out = server.machine.get(&format!("/logout?{}", encoded(&[("client_id", odd)]))).await;
        for answer in [&answer, &page, &sign_out] {
            let line = line(&server, answer);
            assert!(!line.contains("client.id=") && !line.contains("hunter2"), "{line}");
            assert!(!line.contains(odd.get(..8).unwrap()), "{line}");
            assert!(line.contains(" cause=\""), "{line}");
        }
        assert_eq!(why(&server, &answer)[0], "invalid_client");
    }
}

fn encoded(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

#[rstest]
#[tokio::test]
async fn an_error_that_goes_to_a_client_through_the_browser_is_in_the_log(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let request = AuthorizeRequest::of(&shop);
    let no_scope = request.clone().with("scope", "no-such-scope");
    for (request, status, error, reason) in [
        (no_scope.clone(), 303, "invalid_scope", "scope is missing, malformed, or holds nothing"),
        (no_scope.with("response_mode", "form_post"), 200, "invalid_scope", "scope is missing"),
        (request.clone().without("code_challenge"), 303, "invalid_request", "code_challenge is missing"),
        (request.clone().with("prompt", "none"), 303, "login_required", "prompt=none forbids to ask"),
    ] {
        let answer = visitor.get(&request.path()).await;
        assert_eq!(answer.status, status, "{error}: {}", answer.text());
        let [told, cause, of] = why(&server, &answer);
        assert_eq!((told.as_str(), of.as_str()), (error, shop.id.as_str()), "{cause}");
        assert!(cause.contains(reason), "{cause}");
    }
    visitor.sign_in(&ada).await;
    let page = visitor.open(&request.path()).await;
    let denied = visitor.submit(&the_form(&page, "consent").with("decision", "deny")).await;
    assert!(denied.location().unwrap().query().unwrap().contains("error=access_denied"));
    let [told, cause, of] = why(&server, &denied);
    assert_eq!((told.as_str(), of.as_str()), ("access_denied", shop.id.as_str()));
    assert_eq!(cause, "the request was denied");
    // What goes well is no refusal.
    let page = visitor.open(&request.path()).await;
    let allowed = visitor.submit(&the_form(&page, "consent").with("decision", "allow")).await;
    assert_eq!(why(&server, &allowed), ["", "", ""]);
}

#[rstest]
#[tokio::test]
async fn an_error_that_a_person_is_told_before_a_stranger_is_and_what_is_asked_of_a_registration(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server =
        TestServer::start_with(database, |config| config.reach.registration.dynamic = Dynamic::Token).await;
    let token = server.initial_token(json!({})).await;
    let own = OwnRegistration::of(&server.register(Some(&token), &web_metadata()).await);
    let wrong = AuthorizeRequest::of(&own.client).with("scope", "no-such-scope");
    let page = server.visitor().open(&wrong.path()).await;
    assert_eq!(page.status, 400, "{}", page.text());
    let [told, cause, of] = why(&server, &page);
    assert_eq!((told.as_str(), of.as_str()), ("invalid_scope", own.client.id.as_str()));
    assert!(cause.contains("scope is missing"), "{cause}");
    let answer = server.about_registration(Method::GET, &own.path, Some("pcr_x"), None).await;
    let [told, cause, of] = why(&server, &answer);
    assert_eq!((told.as_str(), of.as_str()), ("invalid_token", own.client.id.as_str()));
    assert!(cause.contains("token"), "{cause}");
    let userinfo = server.machine.get("/userinfo").await;
    assert_eq!(why(&server, &userinfo)[..2], ["", "there is no token"]);
}

#[rstest]
#[tokio::test]
async fn the_reference_of_a_page_leads_to_the_reason(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let login = login_form(&visitor.open("/login").await, &ada.username, &ada.password);
    let elsewhere = AuthorizeRequest::of(&shop).with("redirect_uri", "https://evil.test/");
    let sign_out = [("client_id", &*shop.id), ("post_logout_redirect_uri", "https://evil.test/")];
    let sign_out = format!("/logout?{}", encoded(&sign_out));
    let unknown = "/consent?interaction=itx_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
    let began = visitor.get(&AuthorizeRequest::of(&shop).path()).await;
    let began = began.header("location").to_owned();
    let (id, none) = (shop.id.as_str(), "");
    for (answer, status, error, reason, client) in [
        (visitor.get(&elsewhere.path()).await, 400, "invalid_request", "redirect_uri is not registered", id),
        (visitor.get(&sign_out).await, 400, none, "post_logout_redirect_uri is not registered", id),
        (visitor.get("/logout?state=a&state=b").await, 400, none, "more than once", none),
        (
            visitor.submit(&login.clone().without("csrf_token")).await,
            403,
            none,
            "the token of the form",
            none,
        ),
        (server.visitor().submit(&login).await, 403, none, "without the cookie of the browser", none),
        (
            visitor.submit_from(&login, &[("sec-fetch-site", "cross-site")]).await,
            403,
            none,
            "Sec-Fetch-Site",
            none,
        ),
        (visitor.get(unknown).await, 410, none, "there is no such interaction", none),
        (server.visitor().get(&began).await, 403, none, "belongs to another browser", none),
        (visitor.get("/no/such/page").await, 404, none, "no route has the address", none),
        (visitor.get("/static/0/none.css").await, 404, none, "there is no such page", none),
    ] {
        assert_eq!(answer.status, status, "{reason}: {}", answer.text());
        assert_eq!(text_of(&answer.text(), "reference").as_deref(), Some(answer.header("x-request-id")));
        let [told, cause, of] = why(&server, &answer);
        assert_eq!((told.as_str(), of.as_str()), (error, client), "{cause}");
        assert!(cause.contains(reason), "{reason}: {cause}");
    }
}

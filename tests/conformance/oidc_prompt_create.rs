//! [Initiating User Registration via OpenID Connect 1.0](https://openid.net/specs/openid-connect-prompt-create-1_0.html): an application
//! sends somebody to make an account.

use portcullis_server::config::SignUp;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::markup::link_of;
use portcullis_tests::post_office::PostOffice;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use rstest::rstest;
use serde_json::json;

const PASSWORD: &str = "umbrella walnut fortnight";

async fn start(database: Database, office: &PostOffice, how: SignUp) -> TestServer {
    TestServer::start_with(database, |config| {
        office.serve(config);
        config.reach.accounts.sign_up = how;
    })
    .await
}

/// The page that the request leads to is the one that asks for an address.
async fn sent_to_sign_up(visitor: &mut Visitor, request: &AuthorizeRequest) -> Answer {
    let page = visitor.open(&request.path()).await;
    assert_eq!(page.url.path(), "/sign-up", "{}", page.text());
    page
}

/// Asks for a letter on the page, makes an account with it, and follows where that leads.
async fn make(
    (server, office): (&TestServer, &PostOffice),
    visitor: &mut Visitor,
    page: &Answer,
    username: &str,
) -> Answer {
    let address = format!("{username}@example.org");
    let sent = visitor.submit(&the_form(page, "sign-up").with("email", &address)).await;
    assert_eq!(sent.status, 303, "{}", sent.text());
    server.app().send_letters().await.unwrap();
    let received = office.received();
    let letter = received.iter().rev().find(|letter| letter.to == [address.clone()]).unwrap();
    let page = visitor.open("/sign-up/new").await;
    let form = the_form(&page, "code-form").with("code", &letter.code().unwrap());
    let done = visitor.submit(&form.with("username", username).with("new-password", PASSWORD)).await;
    visitor.follow(done).await
}

async fn allow(visitor: &mut Visitor, consent: &Answer) -> Callback {
    let allowed = visitor.submit(&the_form(consent, "consent").with("decision", "allow")).await;
    Callback::of(&allowed.location().unwrap())
}

/// §4: the value leads to an account, and the request goes on with it; `auth_time` is when it was made.
#[rstest]
#[tokio::test]
async fn section_4_create_leads_to_a_new_account_and_the_request_goes_on(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let request = AuthorizeRequest::of(&shop).with("prompt", "create").with("max_age", "3600");
    let page = sent_to_sign_up(&mut visitor, &request).await;
    assert!(page.text().contains("to continue to"), "{}", page.text());
    let consent = make((&server, &office), &mut visitor, &page, "ada").await;
    let callback = allow(&mut visitor, &consent).await;
    assert_eq!(callback.get("state"), request.get("state"));
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let token = claims(&tokens.member("id_token"));
    let users = server.admin.get("/users").await.json();
    assert_eq!((&token["sub"], &users["items"][0]["username"]), (&users["items"][0]["sub"], &json!("ada")));
    assert_eq!(token["auth_time"], json!(server.clock.now().as_secs()));
}

/// §4: whoever is signed in is asked for an account nevertheless, and may still choose the one that they have.
#[rstest]
#[tokio::test]
async fn section_4_whoever_is_signed_in_is_asked_nevertheless(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    for prompt in ["create", "create login", "select_account create", "consent create"] {
        let mut visitor = server.visitor();
        visitor.sign_in(&ada).await;
        let request = AuthorizeRequest::of(&shop).with("prompt", prompt);
        let page = sent_to_sign_up(&mut visitor, &request).await;
        let username = prompt.replace(' ', "-");
        let consent = make((&server, &office), &mut visitor, &page, &username).await;
        assert!(consent.text().contains(&username), "{prompt}: {}", consent.text());
        assert!(!allow(&mut visitor, &consent).await.code().is_empty(), "{prompt}");
    }
    let mut visitor = server.visitor();
    let request = AuthorizeRequest::of(&shop).with("prompt", "create");
    let page = sent_to_sign_up(&mut visitor, &request).await;
    let login = link_of(&page.text(), "to-login").unwrap();
    let callback = visitor.walk(&login, &ada).await;
    assert!(!callback.code().is_empty(), "{callback:?}");
}

/// §4: what excludes another value is refused, and so is a value where people do not register (Core §3.1.2.6: `invalid_request`).
#[rstest]
#[tokio::test]
async fn section_4_create_beside_none_and_where_people_do_not_register_is_invalid(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(SignUp::Closed, SignUp::Invitation, SignUp::Open)] how: SignUp,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, how).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let refused: &[&str] = if how.is_open() {
        &["create none", "none create"]
    } else {
        &["create", "create none", "login create"]
    };
    for prompt in refused {
        let request = AuthorizeRequest::of(&shop).with("prompt", prompt);
        let callback = visitor.authorize(&request, &ada).await;
        assert_eq!((callback.error(), callback.get("state")), ("invalid_request", request.get("state")));
        assert!(callback.get("error_description").contains("prompt"), "{callback:?}");
        let pushed = server.machine.post_as(&shop, "/par", &request.fields_without("client_id")).await;
        assert_eq!((pushed.status.as_u16(), pushed.error().as_str()), (400, "invalid_request"));
    }
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    let values = metadata["prompt_values_supported"].as_array().unwrap();
    assert_eq!(values.contains(&json!("create")), how.is_open());
}

/// §4, Core §3.1.2.1: the hint fills the field, as a text, and is believed by nobody.
#[rstest]
#[tokio::test]
async fn section_4_a_login_hint_is_a_proposal(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let shop = server.admin.web_client(&[]).await;
    for hint in ["ada@example.org", "\"><script>alert(1)</script>@example.org", "+49 30 1234"] {
        let mut visitor = server.visitor();
        let request = AuthorizeRequest::of(&shop).with("prompt", "create").with("login_hint", hint);
        let page = sent_to_sign_up(&mut visitor, &request).await;
        assert_eq!(the_form(&page, "sign-up").value("email"), Some(hint));
        assert!(!page.text().contains("<script>alert"), "{}", page.text());
    }
    server.app().send_letters().await.unwrap();
    assert_eq!(office.received(), [], "nobody is written to before a person asks");
}

/// §4: a pushed request, and one for somebody in particular, whom a new account cannot be.
#[rstest]
#[tokio::test]
async fn section_4_a_new_account_is_nobody_who_was_there_before(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Open).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let before = AuthorizeRequest::of(&shop);
    let mut hers = server.visitor();
    let callback = hers.authorize(&before, &ada).await;
    let hint = server.machine.redeem(&shop, &before, &callback).await.member("id_token");
    let mut visitor = server.visitor();
    let request = AuthorizeRequest::of(&shop).with("prompt", "create").with("id_token_hint", &hint);
    let pushed = server.machine.post_as(&shop, "/par", &request.fields_without("client_id")).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let path = format!("/authorize?client_id={}&request_uri={}", shop.id, pushed.member("request_uri"));
    let page = visitor.open(&path).await;
    assert_eq!(page.url.path(), "/sign-up", "{}", page.text());
    let end = make((&server, &office), &mut visitor, &page, "bea").await;
    let callback = Callback::of(&end.location().unwrap());
    assert_eq!((callback.error(), callback.get("state")), ("login_required", request.get("state")));
    let bea = Person { username: "bea".to_owned(), password: PASSWORD.to_owned(), ..ada };
    assert_eq!(server.visitor().sign_in(&bea).await.url.path(), "/account", "the account is there");
}

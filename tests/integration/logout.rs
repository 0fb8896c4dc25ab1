//! Sign-out that an application starts (OpenID Connect RP-Initiated Logout).

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Visitor, the_form};
use rstest::rstest;

/// Somebody signed in at an application: the browser, the application and the ID token.
async fn signed_in(server: &TestServer) -> (Visitor, Registered, String) {
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let request = AuthorizeRequest::of(&shop);
    let callback = visitor.authorize(&request, &ada).await;
    let id_token = server.machine.redeem(&shop, &request, &callback).await.member("id_token");
    (visitor, shop, id_token)
}

fn logout(fields: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!("/logout?{query}")
}

async fn is_signed_in(visitor: &mut Visitor) -> bool {
    visitor.open("/account").await.url.path() == "/account"
}

fn leads_to(answer: &Answer) -> String {
    answer.location().map(String::from).unwrap_or_default()
}

#[rstest]
#[tokio::test]
async fn an_application_with_a_good_hint_signs_somebody_out(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (mut visitor, _, id_token) = signed_in(&server).await;
    let fields =
        [("id_token_hint", &*id_token), ("post_logout_redirect_uri", "https://rp.test/bye"), ("state", "s1")];
    let answer = visitor.open(&logout(&fields)).await;
    assert_eq!(leads_to(&answer), "https://rp.test/bye?state=s1", "{}", answer.text());
    assert!(!is_signed_in(&mut visitor).await);
}

#[rstest]
#[tokio::test]
async fn without_a_hint_the_person_is_asked_first(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (mut visitor, shop, _) = signed_in(&server).await;
    let fields =
        [("client_id", &*shop.id), ("post_logout_redirect_uri", "https://rp.test/bye"), ("state", "s2")];
    let page = visitor.open(&logout(&fields)).await;
    let form = the_form(&page, "logout");
    assert!(is_signed_in(&mut visitor).await, "asking is not doing");
    let sent = visitor.submit(&form).await;
    let answer = visitor.follow(sent).await;
    assert_eq!(leads_to(&answer), "https://rp.test/bye?state=s2", "{}", answer.text());
    assert!(!is_signed_in(&mut visitor).await);
}

#[rstest]
#[tokio::test]
async fn an_address_that_is_not_registered_is_never_redirected_to(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (mut visitor, shop, id_token) = signed_in(&server).await;
    for target in
        ["https://evil.test/", "https://rp.test/bye/..", "https://rp.test/bye?x", "javascript:alert(1)"]
    {
        let fields =
            [("id_token_hint", &*id_token), ("client_id", &*shop.id), ("post_logout_redirect_uri", target)];
        let answer = visitor.open(&logout(&fields)).await;
        assert_eq!(leads_to(&answer), "", "{target}");
        let page = answer.text();
        assert!(
            answer.status == 400 && page.contains("This sign-out link is not valid</h1>"),
            "{target}: {page}"
        );
        assert!(!page.contains("sign-in link"), "{target}: {page}");
    }
}

#[rstest]
#[tokio::test]
async fn a_sign_out_ends_refresh_tokens_that_were_not_meant_to_outlive_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (mut visitor, shop, _) = signed_in(&server).await;
    let ada = portcullis_tests::visitor::Person {
        id: String::new(),
        sub: String::new(),
        username: "ada".to_owned(),
        password: "correct horse ada battery".to_owned(),
    };
    let request = AuthorizeRequest::of(&shop);
    let callback = visitor.authorize(&request, &ada).await;
    let pair = server.machine.redeem(&shop, &request, &callback).await;
    let access = pair.member("access_token");
    assert_eq!(server.machine.userinfo(&access).await.status, 200);
    let fields = [("id_token_hint", pair.member("id_token"))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    visitor.open(&logout(&fields)).await;
    assert_eq!(server.machine.userinfo(&access).await.status, 401, "an online grant ends with its session");
}

#[rstest]
#[tokio::test]
async fn a_hint_or_a_name_that_does_not_fit_signs_nobody_out(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (mut visitor, shop, id_token) = signed_in(&server).await;
    let other = server.admin.web_client(&[]).await;
    let elsewhere = TestServer::start_on(Sqlite).await;
    let (_, _, foreign) = signed_in(&elsewhere).await;
    let access = server.admin.token().await;
    let damaged = portcullis_tests::jwt::damaged(&id_token);
    let unknown = "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
    for (fields, blamed) in [
        (vec![("client_id", "nobody")], "client_id"),
        (vec![("client_id", unknown)], "client_id"),
        (vec![("client_id", &*other.id), ("id_token_hint", &*id_token)], "client_id"),
        (vec![("id_token_hint", "garbage")], "id_token_hint"),
        (vec![("id_token_hint", &*damaged)], "id_token_hint"),
        (vec![("id_token_hint", &*foreign)], "id_token_hint"),
        (vec![("id_token_hint", &*access)], "id_token_hint"),
    ] {
        let fields: Vec<(&str, &str)> =
            fields.into_iter().chain([("post_logout_redirect_uri", "https://rp.test/bye")]).collect();
        let answer = visitor.open(&logout(&fields)).await;
        assert_eq!((answer.status.as_u16(), leads_to(&answer)), (400, String::new()), "{fields:?}");
        assert_eq!(text_of(&answer.text(), "parameter").as_deref(), Some(blamed), "{fields:?}");
    }
    assert!(is_signed_in(&mut visitor).await);
    let fields = [("client_id", &*shop.id), ("id_token_hint", &*id_token)];
    visitor.open(&logout(&fields)).await;
    assert!(!is_signed_in(&mut visitor).await, "the same with what fits");
}

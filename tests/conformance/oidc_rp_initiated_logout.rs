//! OpenID Connect RP-Initiated Logout 1.0 (<https://openid.net/specs/openid-connect-rpinitiated-1_0.html>).

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, damaged};
use portcullis_tests::markup::text_of;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::sign_out_scene::application;

const BYE: &str = "https://rp.test/bye";

/// Somebody signed in at an application.
struct Scene {
    server: TestServer,
    browser: Visitor,
    ada: Person,
    shop: Registered,
    id_token: String,
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let ada = server.admin.user("ada").await;
        let shop = server.admin.web_client(&[]).await;
        let mut browser = server.visitor();
        let id_token = id_token(&server, &mut browser, &shop, &ada).await;
        Self { server, browser, ada, shop, id_token }
    }

    /// What an application sends, and how far the browser gets: within the server, or to the first address outside.
    async fn ask(&mut self, fields: &[(&str, &str)]) -> Answer {
        self.browser.open(&logout(fields)).await
    }

    async fn is_signed_in(&mut self) -> bool {
        self.browser.open("/account").await.url.path() == "/account"
    }
}

async fn id_token(
    server: &TestServer,
    browser: &mut Visitor,
    client: &Registered,
    person: &Person,
) -> String {
    let request = AuthorizeRequest::of(client);
    let callback = browser.authorize(&request, person).await;
    server.machine.redeem(client, &request, &callback).await.member("id_token")
}

fn query(fields: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

fn logout(fields: &[(&str, &str)]) -> String {
    format!("/logout?{}", query(fields))
}

fn leads_to(answer: &Answer) -> String {
    answer.location().map(String::from).unwrap_or_default()
}

#[tokio::test]
async fn section_2_1_the_endpoint_is_published() {
    let server = TestServer::start_on(Sqlite).await;
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["end_session_endpoint"], format!("{}/logout", server.issuer));
}

#[rstest]
#[tokio::test]
async fn section_2_an_id_token_of_the_session_signs_out_and_leads_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let hint = scene.id_token.clone();
    let fields = [("id_token_hint", &*hint), ("post_logout_redirect_uri", BYE), ("state", "a b&c")];
    let answer = scene.ask(&fields).await;
    assert_eq!((answer.status.as_u16(), leads_to(&answer)), (303, format!("{BYE}?state=a+b%26c")));
    assert!(!scene.is_signed_in().await);
    // Nobody is signed in any more, and the application still gets the person back.
    let again = scene.ask(&fields).await;
    assert_eq!(leads_to(&again), format!("{BYE}?state=a+b%26c"));
}

#[rstest]
#[tokio::test]
async fn section_2_get_and_post_are_the_same_request(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let form = [("id_token_hint", &*scene.id_token), ("post_logout_redirect_uri", BYE), ("state", "s")];
    // A form of another site: browsers keep our cookies from it.
    let cross_site = scene.server.visitor().request(Method::POST, "/logout").form(&form);
    let sent =
        Answer::to(cross_site.header("sec-fetch-site", "cross-site").header("origin", "https://rp.test"))
            .await;
    assert_eq!(sent.status, 303);
    let answer = scene.browser.follow(sent).await;
    assert_eq!(leads_to(&answer), format!("{BYE}?state=s"));
    assert!(!scene.is_signed_in().await);
    let json = scene.server.visitor().request(Method::POST, "/logout").json(&json!({}));
    assert_eq!(Answer::to(json).await.status, 400, "a form, and nothing else");
}

#[rstest]
#[tokio::test]
async fn section_2_an_expired_id_token_is_accepted(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    scene.server.wait(Duration::from_hours(2));
    let hint = scene.id_token.clone();
    let answer = scene.ask(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]).await;
    assert_eq!(leads_to(&answer), BYE);
    assert!(!scene.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn section_2_a_hint_that_is_no_id_token_of_this_server_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let elsewhere = Scene::on(Sqlite).await;
    let access = scene.server.admin.token().await;
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", scene.id_token.split('.').nth(1).unwrap());
    for hint in ["garbage", "", &damaged(&scene.id_token), &elsewhere.id_token, &access, &unsigned] {
        if hint.is_empty() {
            continue;
        }
        let answer = scene.ask(&[("id_token_hint", hint), ("post_logout_redirect_uri", BYE)]).await;
        assert_eq!((answer.status.as_u16(), leads_to(&answer)), (400, String::new()), "{hint}");
        assert_eq!(text_of(&answer.text(), "parameter").as_deref(), Some("id_token_hint"), "{hint}");
        assert!(!answer.text().contains(hint), "nothing is echoed");
    }
    assert!(scene.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn section_2_client_id_has_to_be_the_audience_of_the_hint(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let forum = scene.server.admin.web_client(&[]).await;
    let hint = scene.id_token.clone();
    for named in [forum.id.as_str(), "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", "nobody"] {
        let fields = [("id_token_hint", &*hint), ("client_id", named), ("post_logout_redirect_uri", BYE)];
        let answer = scene.ask(&fields).await;
        assert_eq!((answer.status.as_u16(), leads_to(&answer)), (400, String::new()), "{named}");
        assert_eq!(text_of(&answer.text(), "parameter").as_deref(), Some("client_id"), "{named}");
    }
    assert!(scene.is_signed_in().await);
    let shop = scene.shop.id.clone();
    scene.ask(&[("id_token_hint", &hint), ("client_id", &shop)]).await;
    assert!(!scene.is_signed_in().await);
}

/// What makes the server ask first.
#[derive(Clone, Copy, Debug)]
enum Doubt {
    NoHint,
    OtherPerson,
    OtherSession,
    OtherLogoutHint,
}

#[rstest]
#[case(Doubt::NoHint)]
#[case(Doubt::OtherPerson)]
#[case(Doubt::OtherSession)]
#[case(Doubt::OtherLogoutHint)]
#[tokio::test]
async fn section_2_the_person_is_asked_where_no_id_token_of_this_session_says_so(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] doubt: Doubt,
) {
    let mut scene = Scene::on(database).await;
    let (shop, mut elsewhere) = (scene.shop.clone(), scene.server.visitor());
    let hint = match doubt {
        Doubt::NoHint => None,
        Doubt::OtherPerson => {
            let bob = scene.server.admin.user("bob").await;
            Some(id_token(&scene.server, &mut elsewhere, &shop, &bob).await)
        }
        Doubt::OtherSession => Some(id_token(&scene.server, &mut elsewhere, &shop, &scene.ada).await),
        Doubt::OtherLogoutHint => Some(scene.id_token.clone()),
    };
    let mut fields = vec![("post_logout_redirect_uri", BYE), ("state", "s"), ("ui_locales", "de fr")];
    match &hint {
        Some(hint) => fields.push(("id_token_hint", hint)),
        None => fields.push(("client_id", &shop.id)),
    }
    if matches!(doubt, Doubt::OtherLogoutHint) {
        fields.push(("logout_hint", "bob"));
    }
    let page = scene.ask(&fields).await;
    assert_eq!((page.status.as_u16(), page.url.path()), (200, "/logout/confirm"), "{}", page.text());
    assert!(page.text().contains("Test shop asks to end your session"), "{}", page.text());
    assert!(!page.url.as_str().contains("id_token_hint"), "the token is not carried on");
    assert!(scene.is_signed_in().await, "asking is not doing");
    let sent = scene.browser.submit(&the_form(&page, "logout")).await;
    let answer = scene.browser.follow(sent).await;
    assert_eq!(leads_to(&answer), format!("{BYE}?state=s"), "{}", answer.text());
    assert!(!scene.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn section_2_a_logout_hint_that_names_who_is_signed_in_asks_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    for named in ["ada", "ADA@example.org", "sub"] {
        let mut scene = Scene::on(database).await;
        let (hint, sub) = (scene.id_token.clone(), scene.ada.sub.clone());
        let named = if named == "sub" { &sub } else { named };
        let fields = [("id_token_hint", &*hint), ("logout_hint", named), ("post_logout_redirect_uri", BYE)];
        assert_eq!(leads_to(&scene.ask(&fields).await), BYE, "{named}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_a_client_with_pairwise_subjects_finds_out_nothing_by_hints(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.client(application("Forum", &json!({ "subject_type": "pairwise" }))).await;
    for (named, is_asked) in [("ada", true), (&*ada.sub, true), ("own", false)] {
        let mut browser = server.visitor();
        let token = id_token(&server, &mut browser, &shop, &ada).await;
        let own = claims(&token)["sub"].as_str().unwrap().to_owned();
        let named = if named == "own" { &own } else { named };
        let fields = [("id_token_hint", &*token), ("logout_hint", named), ("post_logout_redirect_uri", BYE)];
        let answer = browser.get(&logout(&fields)).await;
        assert_eq!(answer.location().unwrap().path() == "/logout/confirm", is_asked, "{named}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_the_hint_of_a_client_that_was_switched_off_does_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let (hint, shop) = (scene.id_token.clone(), scene.shop.id.clone());
    scene.server.admin.post(&format!("/clients/{shop}/disable"), &json!({})).await;
    let refused = scene.ask(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(scene.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn section_2_the_question_has_an_address_of_its_own_and_can_be_answered_with_no(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let asked = scene.browser.get("/logout").await;
    assert_eq!(asked.location().unwrap().path(), "/logout/confirm");
    let page = scene.browser.follow(asked).await;
    assert!(page.text().contains("id=\"logout-stay\""), "{}", page.text());
    // The token of the form is what makes it ours.
    let forged = the_form(&page, "logout").with("csrf_token", "forged");
    assert_eq!(scene.browser.submit(&forged).await.status, 403);
    let cross_site = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    assert_eq!(scene.browser.submit_from(&the_form(&page, "logout"), &cross_site).await.status, 403);
    assert!(scene.is_signed_in().await);
    let sent = scene.browser.submit(&the_form(&page, "logout")).await;
    let done = scene.browser.follow(sent).await;
    assert_eq!((done.status.as_u16(), done.url.path()), (200, "/logged-out"));
    let nobody = scene.browser.open("/logout/confirm").await;
    assert_eq!((nobody.status.as_u16(), nobody.url.path()), (200, "/logged-out"), "nobody is left to ask");
}

#[rstest]
#[tokio::test]
async fn section_2_a_token_at_the_question_proves_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let path = format!("/logout/confirm?{}", query(&[("id_token_hint", &scene.id_token)]));
    let page = scene.browser.open(&path).await;
    assert_eq!(page.status, 200);
    assert!(scene.is_signed_in().await);
}

#[rstest]
#[tokio::test]
async fn section_3_nobody_is_led_to_an_address_that_is_not_registered_exactly(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let hint = scene.id_token.clone();
    for target in [
        "https://evil.test/",
        "https://rp.test/bye/",
        "https://rp.test/bye?x=1",
        "https://rp.test/BYE",
        "https://RP.test/bye",
        "https://rp.test:443/bye",
        "https://rp.test/x/../bye",
        "https://rp.test/cb",
        "javascript:alert(1)",
        "//rp.test/bye",
    ] {
        let answer = scene.ask(&[("id_token_hint", &hint), ("post_logout_redirect_uri", target)]).await;
        assert_eq!((answer.status.as_u16(), leads_to(&answer)), (400, String::new()), "{target}");
        let blamed = text_of(&answer.text(), "parameter");
        assert_eq!(blamed.as_deref(), Some("post_logout_redirect_uri"), "{target}");
        assert!(scene.is_signed_in().await, "{target}: section 4: an error ends nothing");
    }
}

#[tokio::test]
async fn section_3_the_port_of_a_loopback_address_is_compared_as_well() {
    let server = TestServer::start_on(Sqlite).await;
    let app = server
        .admin
        .client(json!({
            "name": "App", "preset": "native", "redirect_uris": ["http://127.0.0.1/cb"],
            "post_logout_redirect_uris": ["http://127.0.0.1:4711/bye"],
        }))
        .await;
    let ask = async |target: &str| {
        let fields = [("client_id", &*app.id), ("post_logout_redirect_uri", target)];
        server.visitor().open(&logout(&fields)).await.status.as_u16()
    };
    assert_eq!(ask("http://127.0.0.1:4712/bye").await, 400);
    assert_eq!(ask("http://127.0.0.1:4711/bye").await, 200, "known, but nobody said that it is legitimate");
}

#[rstest]
#[tokio::test]
async fn section_3_without_a_hint_or_a_yes_nobody_is_led_anywhere(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let shop = scene.shop.id.clone();
    let fields = [("client_id", &*shop), ("post_logout_redirect_uri", BYE), ("state", "s")];
    let stranger = scene.server.visitor().open(&logout(&fields)).await;
    assert_eq!((stranger.status.as_u16(), stranger.url.path()), (200, "/logged-out"));
    let of_nobody = scene.ask(&[("post_logout_redirect_uri", BYE)]).await;
    assert_eq!((of_nobody.status.as_u16(), leads_to(&of_nobody)), (400, String::new()));
    let bare = scene.ask(&[("state", "s")]).await;
    assert_eq!(bare.url.path(), "/logout/confirm");
}

#[rstest]
#[tokio::test]
async fn section_3_without_state_or_address_none_comes_back(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let hint = scene.id_token.clone();
    let answer = scene.ask(&[("id_token_hint", &hint), ("state", "s")]).await;
    assert_eq!((answer.status.as_u16(), answer.url.path()), (200, "/logged-out"));
    assert!(!answer.url.as_str().contains("state"));
    let answer = scene.ask(&[("id_token_hint", &hint), ("post_logout_redirect_uri", BYE)]).await;
    assert_eq!(leads_to(&answer), BYE);
}

#[rstest]
#[tokio::test]
async fn section_4_a_request_that_cannot_be_read_is_answered_on_a_page(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let hint = scene.id_token.clone();
    for bad in [
        format!("/logout?id_token_hint={hint}&id_token_hint={hint}&post_logout_redirect_uri={BYE}"),
        format!("/logout?id_token_hint={hint}&state=a&state=b&post_logout_redirect_uri={BYE}"),
        format!("/logout?id_token_hint={hint}&state=%ff&post_logout_redirect_uri={BYE}"),
        "/logout/confirm?state=a&state=b".to_owned(),
    ] {
        let answer = scene.browser.open(&bad).await;
        assert_eq!((answer.status.as_u16(), leads_to(&answer)), (400, String::new()), "{bad}");
    }
    assert!(scene.is_signed_in().await);
    // Unknown parameters are ignored, and an empty one is none.
    let fields = [("id_token_hint", &*hint), ("post_logout_redirect_uri", BYE), ("foo", "x"), ("state", "")];
    assert_eq!(leads_to(&scene.ask(&fields).await), BYE);
}

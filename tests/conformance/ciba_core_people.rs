//! OpenID Connect Client-Initiated Backchannel Authentication Flow - Core 1.0
//! (<https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html>), section 8: the person who is asked.

use std::time::Duration;

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::ciba::{bank, waiting};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{login_form, the_form};
use rstest::rstest;
use serde_json::json;

use crate::ciba_core::{ADA, refusal, said};

#[rstest]
#[tokio::test]
async fn section_8_the_page_says_who_asks_for_what_and_decides_nothing_by_being_opened(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let mut visitor = server.visitor();
    let empty = visitor.approvals(&ada).await;
    assert!(empty.text().contains("id=\"approvals-none\""), "{}", empty.text());
    let fields = [ADA, &[("binding_message", "Pay 12 EUR <b>")]].concat();
    let id = server.machine.started(&bank, &fields).await;
    let page = visitor.approvals(&ada).await;
    for shown in [
        "Bank",
        "Pay 12 EUR &lt;b&gt;",
        "127.0.0.1",
        "See your profile",
        "ada of the tests",
        "approvals-warning",
    ] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    assert!(!page.text().contains(&id), "what the client asks with is its secret");
    let request = waiting(&page).remove(0);
    for link in
        ["?decision=allow", &format!("?request={request}&decision=allow"), &format!("?request={request}")]
    {
        assert_eq!(visitor.open(&format!("/approvals{link}")).await.status, 200, "{link}");
    }
    let account = visitor.open("/account").await;
    assert!(account.text().contains("One request waits for you."), "{}", account.text());
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("authorization_pending"));
    for bend in ["", "yes"] {
        let sent = visitor.submit(&the_form(&page, &format!("{request}-form")).with("decision", bend)).await;
        assert_eq!(sent.status, 400, "{bend}");
    }
    server.wait(Duration::from_secs(5));
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("authorization_pending"));
}

#[rstest]
#[tokio::test]
async fn section_8_nobody_else_can_approve_it(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let bank = server.admin.bank().await;
    let id = server.machine.started(&bank, ADA).await;
    let mut visitor = server.visitor();
    let page = visitor.approvals(&ada).await;
    let request = waiting(&page).remove(0);
    let form = the_form(&page, &format!("{request}-form")).with("decision", "allow");
    // Somebody else, in a browser of their own with a token of it.
    let mut other = server.visitor();
    let theirs = other.approvals(&bob).await;
    assert_eq!(waiting(&theirs), Vec::<String>::new());
    let account = other.open("/account").await;
    let token = the_form(&account, "sign-out-form").value("csrf_token").unwrap().to_owned();
    for decision in ["allow", "deny"] {
        let stolen = form.clone().with("csrf_token", &token).with("decision", decision);
        let sent = other.submit(&stolen).await;
        assert_eq!(sent.status, 410, "{decision}: {}", sent.text());
    }
    // Somebody else in the same browser, from the page of the first.
    let switch = visitor.open("/login?next=approvals&switch=1").await;
    visitor.submit(&login_form(&switch, &bob.username, &bob.password)).await;
    assert_eq!(visitor.submit(&form).await.status, 410);
    // Nobody.
    let account = visitor.open("/account").await;
    visitor.submit(&the_form(&account, "sign-out-form")).await;
    let sent = visitor.submit(&form).await;
    assert!(sent.header("location").contains("/login?next=approvals"), "{:?}", sent.headers);
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("authorization_pending"));
    server.visitor().decide_request(&ada, "allow").await;
    let tokens = server.machine.ask(&bank, &id).await;
    assert_eq!(jwt::claims(&tokens.member("id_token"))["sub"], ada.sub);
}

#[rstest]
#[tokio::test]
async fn section_8_a_form_from_elsewhere_decides_nothing_and_of_two_answers_one_counts(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let id = server.machine.started(&bank, ADA).await;
    let mut visitor = server.visitor();
    let page = visitor.approvals(&ada).await;
    let request = waiting(&page).remove(0);
    let form = the_form(&page, &format!("{request}-form"));
    let allow = form.clone().with("decision", "allow");
    let cross =
        visitor.submit_from(&allow, &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")]);
    assert_eq!(cross.await.status, 403);
    assert_eq!(visitor.submit(&allow.clone().with("csrf_token", "x")).await.status, 403);
    assert_eq!(visitor.submit(&form.clone().with("decision", "deny")).await.status, 303);
    let late = visitor.submit(&allow).await;
    assert_eq!(late.status, 410);
    assert!(
        late.text().contains("id=\"error-summary\"") && late.text().contains("approvals-none"),
        "{}",
        late.text()
    );
    for odd in ["", "cbr_1", "cbr_00000000000070008000000000000001"] {
        assert_eq!(visitor.submit(&allow.clone().with("request", odd)).await.status, 410, "{odd}");
    }
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("access_denied"));
}

#[rstest]
#[case::too_old("max_age", "30")]
#[case::never_old_enough("max_age", "0")]
#[case::of_another_kind("acr_values", "urn:example:gold")]
#[tokio::test]
async fn section_7_1_a_fresh_sign_in_is_asked_for_before_it_is_allowed(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] name: &str,
    #[case] value: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    server.wait(Duration::from_mins(1));
    let id = server.machine.started(&bank, &[ADA, &[(name, value)]].concat()).await;
    server.wait(Duration::from_secs(10));
    let login = visitor.decide_request(&ada, "allow").await;
    assert!(login.text().contains("id=\"login\""), "{}", login.text());
    // Going back without signing in changes nothing.
    let login = visitor.decide_request(&ada, "allow").await;
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("authorization_pending"));
    let sent = visitor.submit(&login_form(&login, &ada.username, &ada.password)).await;
    let page = visitor.follow(sent).await;
    assert_eq!(waiting(&page).len(), 1, "asked once more: {}", page.text());
    server.wait(Duration::from_secs(5));
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("authorization_pending"));
    let signed_in = server.clock.now().as_secs() - 5;
    visitor.decide_request(&ada, "allow").await;
    let tokens = server.machine.ask(&bank, &id).await;
    assert_eq!(jwt::claims(&tokens.member("id_token"))["auth_time"], signed_in);
}

#[rstest]
#[tokio::test]
async fn section_7_1_a_sign_in_that_will_do_is_not_asked_for_again(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = server.admin.bank().await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    server.wait(Duration::from_secs(20));
    let wishes = [("max_age", "60"), ("acr_values", "urn:example:gold urn:portcullis:acr:1fa")];
    let id = server.machine.started(&bank, &[ADA, &wishes].concat()).await;
    visitor.decide_request(&ada, "allow").await;
    assert_eq!(server.machine.ask(&bank, &id).await.status, 200);
    // To deny nobody has to sign in.
    let id = server.machine.started(&bank, &[ADA, &[("max_age", "0")]].concat()).await;
    server.wait(Duration::from_secs(1));
    visitor.decide_request(&ada, "deny").await;
    assert_eq!(refusal(&server.machine.ask(&bank, &id).await), said("access_denied"));
}

#[rstest]
#[case::public("public")]
#[case::pairwise("pairwise")]
#[tokio::test]
async fn section_7_1_an_id_token_of_the_client_says_whom_it_means(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] subject_type: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let bank = server.admin.client(bank("poll", &json!({ "subject_type": subject_type }))).await;
    let request = AuthorizeRequest::of(&bank);
    let callback = server.visitor().authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&bank, &request, &callback).await;
    let hint = tokens.member("id_token");
    server.wait(Duration::from_mins(30));
    let fields = [("scope", "openid"), ("id_token_hint", hint.as_str())];
    let id = server.machine.started(&bank, &fields).await;
    let mut visitor = server.visitor();
    visitor.decide_request(&ada, "allow").await;
    let tokens = server.machine.ask(&bank, &id).await;
    let sub = &jwt::claims(&tokens.member("id_token"))["sub"];
    assert_eq!(*sub, jwt::claims(&hint)["sub"]);
    assert_eq!(*sub == ada.sub, subject_type == "public");
    // One that another client got is none of this one's business; an access token is no ID token.
    let other = server.admin.bank().await;
    assert_eq!(refusal(&server.machine.start(&other, &fields).await), said("invalid_request"));
    let access = tokens.member("access_token");
    let fields = [("scope", "openid"), ("id_token_hint", access.as_str())];
    assert_eq!(refusal(&server.machine.start(&bank, &fields).await), said("invalid_request"));
}

#[rstest]
#[tokio::test]
async fn section_15_no_more_waits_for_a_person_than_fits_on_a_page(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let throttled = (429, "temporarily_unavailable".to_owned());
    let first = server.admin.bank().await;
    // At once: nobody slips through between two counts.
    let starts = (0..6).map(|_| server.machine.start(&first, ADA));
    let answers = futures_util::future::join_all(starts).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 3, "{answers:?}");
    assert_eq!(answers.iter().filter(|answer| refusal(answer) == throttled).count(), 3);
    for _ in 0..3 {
        let next = server.admin.bank().await;
        for _ in 0..3 {
            server.machine.started(&next, ADA).await;
        }
    }
    let last = server.admin.bank().await;
    let full = server.machine.start(&last, ADA).await;
    assert_eq!(refusal(&full), throttled);
    assert_eq!(full.header("retry-after"), "60");
    let mut visitor = server.visitor();
    assert_eq!(waiting(&visitor.approvals(&ada).await).len(), 12);
    let account = visitor.open("/account").await;
    assert!(account.text().contains("12 requests wait for you."), "{}", account.text());
    visitor.decide_request(&ada, "deny").await;
    // What ends last is shown last.
    server.wait(Duration::from_secs(1));
    assert_eq!(server.machine.start(&last, ADA).await.status, 200, "there is room again");
    // A client that is switched off asks nobody any more.
    for _ in 0..2 {
        visitor.decide_request(&ada, "deny").await;
    }
    let before = waiting(&visitor.approvals(&ada).await).len();
    server.admin.post(&format!("/clients/{}/disable", last.id), &json!({})).await;
    assert_eq!(waiting(&visitor.approvals(&ada).await).len(), before - 1);
    // And it takes no place of others.
    let another = server.admin.bank().await;
    for _ in 0..3 {
        server.machine.started(&another, ADA).await;
    }
    assert_eq!(waiting(&visitor.approvals(&ada).await).len(), before + 2);
}

#[rstest]
#[tokio::test]
async fn section_15_a_client_that_asks_again_and_again_is_held_up(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    server.admin.user("bob").await;
    let (bank, other) = (server.admin.bank().await, server.admin.bank().await);
    let mut visitor = server.visitor();
    for _ in 0..10 {
        server.machine.started(&bank, ADA).await;
        visitor.decide_request(&ada, "deny").await;
    }
    let held_up = server.machine.start(&bank, ADA).await;
    assert_eq!(refusal(&held_up), (429, "temporarily_unavailable".to_owned()));
    server.machine.started(&other, ADA).await;
    server.machine.started(&bank, &[("scope", "openid"), ("login_hint", "bob")]).await;
    server.wait(Duration::from_secs(6));
    server.machine.started(&bank, ADA).await;
}

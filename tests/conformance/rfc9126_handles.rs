//! OAuth 2.0 Pushed Authorization Requests ([RFC 9126](https://www.rfc-editor.org/rfc/rfc9126)): when a handle counts, and for whom.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, login_form, the_form};
use rstest::rstest;

use crate::rfc9126::{brought, handle};

/// A handle that was spent, or is too late, is refused on a page.
async fn assert_refused(browser: &mut Visitor, path: &str, why: &str) {
    let answer = browser.open(path).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{why}: {}", answer.url);
    assert_eq!(text_of(&answer.text(), "error-code").as_deref(), Some("invalid_request_uri"), "{why}");
}

/// The page on which somebody came back too late with what another has answered.
fn assert_done(answer: &Answer, why: &str) {
    assert_eq!((answer.status.as_u16(), answer.location()), (410, None), "{why}: {}", answer.text());
    assert!(answer.text().contains("This sign-in is already finished"), "{why}: {}", answer.text());
}

/// What comes of a page that asks somebody to sign in.
async fn signed_in_on(browser: &mut Visitor, page: &Answer, person: &Person) -> Answer {
    let sent = browser.submit(&login_form(page, &person.username, &person.password)).await;
    browser.follow(sent).await
}

/// What comes of a page that asks somebody to decide.
async fn decided_on(browser: &mut Visitor, page: &Answer, decision: &str) -> Answer {
    browser.submit(&the_form(page, "consent").with("decision", decision)).await
}

fn answered(answer: &Answer) -> Callback {
    let at = answer.location().unwrap_or_else(|| panic!("{} at {}", answer.status, answer.url));
    Callback::of(&at)
}

/// A code in a live session is issued by the statement that spends the handle. An error is an answer as well.
#[rstest]
#[tokio::test]
async fn section_7_3_an_answer_spends_the_handle_be_it_a_code_or_an_error(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (shop, forum) = (server.admin.web_client(&[]).await, server.admin.web_client(&[]).await);
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await.code();
    let mut stranger = server.visitor();
    let asking = AuthorizeRequest::of;
    for (request, client, lives, error) in [
        (asking(&shop), &shop, true, ""),
        (asking(&forum).with("prompt", "none"), &forum, true, "consent_required"),
        (asking(&shop).with("prompt", "none"), &shop, false, "login_required"),
    ] {
        let path = brought(client, &handle(&server, client, &request).await);
        let browser = if lives { &mut visitor } else { &mut stranger };
        let callback = answered(&browser.open(&path).await);
        assert_eq!((callback.error(), callback.get("state")), (error, request.get("state")));
        for browser in [&mut visitor, &mut stranger] {
            assert_refused(browser, &path, error).await;
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_7_3_who_is_asked_something_spends_nothing_and_the_first_answer_does(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (shop, forum) = (server.admin.web_client(&[]).await, server.admin.web_client(&[]).await);
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await.code();
    let asking = AuthorizeRequest::of;
    for (request, client, form, what) in [
        (asking(&shop).with("prompt", "login"), &shop, "login", "another sign-in"),
        (asking(&shop).with("prompt", "consent"), &shop, "consent", "a question"),
        (asking(&forum), &forum, "consent", "a question of a client that is new"),
    ] {
        let path = brought(client, &handle(&server, client, &request).await);
        let (mut one, mut other) = (server.visitor(), server.visitor());
        let mut pages = Vec::new();
        for _ in 0..2 {
            for browser in [&mut one, &mut other] {
                let page = browser.open(&path).await;
                the_form(&page, "login");
                pages.push(page);
            }
            the_form(&visitor.open(&path).await, form);
        }
        let page = visitor.open(&path).await;
        let callback = one.walk(&path, &ada).await;
        let tokens = server.machine.redeem(client, &request, &callback).await;
        assert_eq!(tokens.status, 200, "{what}: {}", tokens.text());
        // Whoever has a page open yet gets a page.
        let late = if form == "login" {
            signed_in_on(&mut visitor, &page, &ada).await
        } else {
            decided_on(&mut visitor, &page, "allow").await
        };
        assert_done(&late, what);
        let [_, of_other, of_one, _] = pages.as_slice() else { panic!("{} pages", pages.len()) };
        let mut end = signed_in_on(&mut other, of_other, &ada).await;
        if end.status == 200 {
            end = decided_on(&mut other, &end, "allow").await;
        }
        assert_done(&end, what);
        assert!(
            signed_in_on(&mut one, of_one, &ada).await.location().is_none(),
            "nor another time by the same"
        );
        for browser in [&mut visitor, &mut one, &mut other, &mut server.visitor()] {
            assert_refused(browser, &path, what).await;
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_7_3_who_denies_answers_for_everybody(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("prompt", "consent");
    let path = brought(&shop, &handle(&server, &shop, &request).await);
    let (mut one, mut other) = (server.visitor(), server.visitor());
    let mut pages = Vec::new();
    for browser in [&mut one, &mut other] {
        let page = browser.open(&path).await;
        pages.push(signed_in_on(browser, &page, &ada).await);
    }
    let denied = answered(&decided_on(&mut one, &pages[0], "deny").await);
    assert_eq!((denied.error(), denied.get("state")), ("access_denied", request.get("state")));
    for decision in ["allow", "deny"] {
        assert_done(&decided_on(&mut other, &pages[1], decision).await, decision);
    }
    for browser in [&mut one, &mut other, &mut server.visitor()] {
        assert_refused(browser, &path, "denied").await;
    }
}

/// The minute is for the browser to come with it, and not for the person.
#[rstest]
#[tokio::test]
async fn section_2_2_who_came_in_time_has_the_time_of_any_sign_in(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("prompt", "consent");
    let path = brought(&shop, &handle(&server, &shop, &request).await);
    server.wait(Duration::from_secs(59));
    let [mut one, mut other, mut third] = [server.visitor(), server.visitor(), server.visitor()];
    let [first, second, slow] = [one.open(&path).await, other.open(&path).await, third.open(&path).await];
    server.wait(Duration::from_secs(1));
    assert_refused(&mut one, &path, "it is too late to begin").await;
    server.wait(Duration::from_mins(10));
    let question = signed_in_on(&mut one, &first, &ada).await;
    server.wait(Duration::from_mins(5));
    let callback = answered(&decided_on(&mut one, &question, "allow").await);
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let question = signed_in_on(&mut other, &second, &ada).await;
    assert_done(&decided_on(&mut other, &question, "allow").await, "it counts once all the same");
    server.wait(Duration::from_mins(5));
    let over = signed_in_on(&mut third, &slow, &ada).await;
    assert_eq!((over.status.as_u16(), over.location()), (410, None), "{}", over.text());
}

/// At two replicas.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_7_3_of_many_uses_at_once_in_a_live_session_one_gets_a_code(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let replicas = [&server, &server.replica().await];
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await.code();
    for _ in 0..3 {
        let request = AuthorizeRequest::of(&shop);
        let path = &brought(&shop, &handle(&server, &shop, &request).await);
        let uses = (0..16).map(|number| {
            let mut visitor = visitor.moved_to(&replicas[number % 2].machine.url(""));
            async move { visitor.open(path).await }
        });
        let answers = join_all(uses).await;
        let codes: Vec<Callback> =
            answers.iter().filter_map(Answer::location).map(|at| Callback::of(&at)).collect();
        let refused = answers.iter().filter(|answer| answer.status == 400).count();
        let [callback] = codes.as_slice() else { panic!("{} codes: {answers:?}", codes.len()) };
        assert_eq!(refused, 15);
        let tokens = server.machine.redeem(&shop, &request, callback).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
    }
}

/// At two replicas: some allow, some deny, and some come anew and are asked nothing.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn section_7_3_of_many_who_decide_at_once_one_is_answered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (shop, app) = (server.admin.web_client(&[]).await, server.admin.web_client(&[]).await);
    let replicas = [&server, &server.replica().await];
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await.code();
    for round in 0..3 {
        // Of the last one she is not known yet, so she is asked; whoever comes once she allowed it is not.
        let (client, request) = match round {
            2 => (&app, AuthorizeRequest::of(&app)),
            _ => (&shop, AuthorizeRequest::of(&shop).with("prompt", "consent")),
        };
        let path = &brought(client, &handle(&server, client, &request).await);
        let mut tries = Vec::new();
        for number in 0..12 {
            let mut own = visitor.moved_to(&replicas[number % 2].machine.url(""));
            let page = own.open(path).await;
            the_form(&page, "consent");
            tries.push((own, page, number));
        }
        let answers = join_all(tries.iter_mut().map(|(own, page, number)| async move {
            match number {
                3 | 8 => decided_on(own, page, "deny").await,
                5 | 10 if round == 2 => own.open(path).await,
                _ => decided_on(own, page, "allow").await,
            }
        }))
        .await;
        let told: Vec<Callback> =
            answers.iter().filter_map(Answer::location).map(|at| Callback::of(&at)).collect();
        let [callback] = told.as_slice() else { panic!("{} answers: {answers:?}", told.len()) };
        // Those who come anew are refused, or asked as long as nobody decided.
        let refused =
            answers.iter().filter(|answer| [200, 400, 410].contains(&answer.status.as_u16())).count();
        let done = answers.iter().filter(|answer| answer.status == 410).count();
        assert!(refused == 11 && done >= if round == 2 { 9 } else { 11 }, "{answers:?}");
        if callback.error().is_empty() {
            let tokens = server.machine.redeem(client, &request, callback).await;
            assert_eq!(tokens.status, 200, "{}", tokens.text());
        }
        assert_refused(&mut visitor, path, "answered").await;
    }
}

#[rstest]
#[tokio::test]
async fn section_7_3_a_handle_counts_once_for_a_server_that_started_anew(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut known = server.visitor();
    let request = AuthorizeRequest::of(&shop);
    let used = brought(&shop, &handle(&server, &shop, &request).await);
    known.walk(&used, &ada).await.code();
    let path = brought(&shop, &handle(&server, &shop, &request).await);
    let (mut one, mut other) = (server.visitor(), server.visitor());
    let (first, second) = (one.open(&path).await, other.open(&path).await);
    let next = server.replica().await;
    server.stop().await;
    let moved = |browser: &Visitor| browser.moved_to(&next.machine.url(""));
    let (mut one, mut other) = (moved(&one), moved(&other));
    assert_refused(&mut moved(&known), &used, "used before").await;
    let callback = answered(&signed_in_on(&mut one, &first, &ada).await);
    let tokens = next.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_done(&signed_in_on(&mut other, &second, &ada).await, "another has it");
    assert_refused(&mut moved(&known), &path, "used since").await;
}

//! §5.3.2.2: flows that use the authorization endpoint.

use std::time::Duration;

use portcullis_tests::authorize::random_text;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::markup::text_of;
use portcullis_tests::visitor::{login_form, the_form};
use reqwest::Method;
use rstest::rstest;

use super::message_signing::timed;
use super::{Bank, redemption, refused, told};

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_requests_that_were_not_pushed_are_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    let request = bank.request();
    let callback = bank.server.visitor().authorize(&request, &bank.ada).await;
    assert_eq!((callback.error(), callback.get("state")), ("invalid_request", request.get("state")));
    let signed = bank.keys.sign_as("oauth-authz-req+jwt", &timed(&bank));
    let signed = request.clone().with("request", &signed);
    let callback = bank.server.visitor().authorize(&signed, &bank.ada).await;
    assert_eq!(callback.error(), "invalid_request", "nor is one that is signed");
    assert!(!bank.sign_in(&request).await.code().is_empty());
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_who_pushes_proves_who_it_is(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let request = bank.request();
    let named = bank.server.machine.post("/par", &request.fields_without("")).await;
    assert_eq!(told(&named), refused(401, "invalid_client"), "{}", named.text());
    let fields = request.fields_without("client_id");
    let secret = portcullis_tests::token::basic(&bank.client.id, &format!("pck_{}", "A".repeat(43)));
    let by_secret = bank.server.machine.request(Method::POST, "/par").header("authorization", secret);
    let by_secret = portcullis_tests::agent::Answer::to(by_secret.form(&fields)).await;
    assert_eq!(told(&by_secret), refused(401, "invalid_client"), "{}", by_secret.text());
    assert_eq!(bank.push(&request).await.status, 201);
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_what_a_pushed_request_has_to_hold(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::with(database, |_| {}, |document| document["scopes"] = "openid email".into()).await;
    let good = bank.request();
    let without_openid = good.clone().with("scope", "email");
    assert_eq!(bank.push(&without_openid).await.status, 201);
    for (what, request, error) in [
        ("no challenge", good.clone().without("code_challenge"), "invalid_request"),
        ("the plain method", good.clone().with("code_challenge_method", "plain"), "invalid_request"),
        ("no method, which means plain", good.clone().without("code_challenge_method"), "invalid_request"),
        ("no redirect URI", without_openid.without("redirect_uri"), "invalid_request"),
        ("another", good.clone().with("redirect_uri", "https://evil.test/cb"), "invalid_request"),
        ("the implicit flow", good.clone().with("response_type", "token"), "unsupported_response_type"),
        ("a hybrid flow", good.clone().with("response_type", "code id_token"), "unsupported_response_type"),
    ] {
        let answer = bank.push(&request).await;
        assert_eq!(told(&answer), refused(400, error), "{what}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_the_answer_says_who_gives_it(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let callback = bank.sign_in(&bank.request()).await;
    assert_eq!(callback.get("iss"), bank.server.issuer);
    assert!(!callback.code().is_empty());
    let silent = bank.sign_in(&bank.request().with("prompt", "none")).await;
    assert_eq!(
        (silent.error(), silent.get("iss")),
        ("login_required", &*bank.server.issuer),
        "an error, too"
    );
}

/// What stands beside the handle is ignored, as RFC 9126 §4 and RFC 9101 §6.3 say.
#[rstest]
#[tokio::test]
async fn section_5_3_3_2_beside_the_handle_nothing_counts(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let request = bank.request();
    let more = "&scope=openid+email&state=other&nonce=other&response_mode=form_post&prompt=none\
                &redirect_uri=https%3A%2F%2Fevil.test%2F";
    let address = format!("{}{more}", bank.pushed(&request).await);
    let callback = bank.server.visitor().walk(&address, &bank.ada).await;
    assert_eq!(
        (callback.target.as_str(), callback.get("state")),
        ("https://bank.test/cb", request.get("state"))
    );
    let tokens = bank.post("/token", &redemption(&request, &callback)).await;
    assert_eq!(tokens.json()["scope"], "openid", "{}", tokens.text());
    assert_eq!(jwt::claims(&tokens.member("id_token"))["nonce"], request.get("nonce"));
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_a_used_code_is_refused_and_what_it_bought_ends(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    let request = bank.request();
    let callback = bank.sign_in(&request).await;
    let fields = redemption(&request, &callback);
    let tokens = bank.post("/token", &fields).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let token = tokens.member("access_token");
    assert_eq!(bank.holder.userinfo(&bank.server, &token).await.status, 200);
    let again = bank.post("/token", &fields).await;
    assert_eq!(told(&again), refused(400, "invalid_grant"), "{}", again.text());
    assert_eq!(bank.holder.userinfo(&bank.server, &token).await.status, 401);
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_a_handle_lives_for_less_than_ten_minutes(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let longest =
        |config: &mut portcullis_server::config::Config| config.tokens.pushed_request_ttl_secs = 600;
    let bank = Bank::with(database, longest, |_| {}).await;
    let request = bank.request();
    let answer = bank.push(&request).await;
    assert_eq!(answer.json()["expires_in"], 599, "{}", answer.text());
    let handle = answer.member("request_uri");
    bank.server.wait(Duration::from_secs(599));
    let late = bank.server.visitor().open(&bank.brought(&handle)).await;
    assert_eq!((late.status.as_u16(), late.location()), (400, None));
}

/// The third note: a page that is loaded again, or by a program that looks at links, ends no sign-in. The suite tries it
/// (`..-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds`), and that nothing comes of it afterwards.
#[rstest]
#[tokio::test]
async fn section_5_3_2_2_a_handle_may_be_opened_again_until_somebody_decides(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let bank = Bank::on(database).await;
    let request = bank.request();
    let path = bank.pushed(&request).await;
    let [mut hers, mut other] = [bank.server.visitor(), bank.server.visitor()];
    for _ in 0..3 {
        the_form(&hers.open(&path).await, "login");
    }
    let left = other.open(&path).await;
    let callback = hers.walk(&path, &bank.ada).await;
    assert_eq!(callback.get("state"), request.get("state"));
    let tokens = bank.post("/token", &redemption(&request, &callback)).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let sent = other.submit(&login_form(&left, &bank.ada.username, &bank.ada.password)).await;
    let late = other.follow(sent).await;
    assert_eq!((late.status.as_u16(), late.location()), (410, None), "{}", late.text());
    for browser in [&mut hers, &mut other, &mut bank.server.visitor()] {
        let answer = browser.open(&path).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{}", answer.url);
        assert_eq!(text_of(&answer.text(), "error-code").as_deref(), Some("invalid_request_uri"));
    }
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_browsers_are_sent_on_by_303(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let request = bank.request();
    let mut visitor = bank.server.visitor();
    let first = visitor.get(&bank.pushed(&request).await).await;
    assert_eq!(first.status, 303, "to the sign-in");
    let page = visitor.follow(first).await;
    let form = portcullis_tests::visitor::login_form(&page, &bank.ada.username, &bank.ada.password);
    let sent = visitor.submit(&form).await;
    assert_eq!(sent.status, 303, "the form with the password");
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_2_a_nonce_may_have_64_characters(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let nonce: String = format!("{}{}", random_text(), random_text()).chars().take(64).collect();
    let request = bank.request().with("nonce", &nonce);
    let callback = bank.sign_in(&request).await;
    let tokens = bank.post("/token", &redemption(&request, &callback)).await;
    assert_eq!(jwt::claims(&tokens.member("id_token"))["nonce"], nonce, "{}", tokens.text());
}

//! What the OpenID conformance suite does with clients that it registers itself (`oidcc-basic`, `oidcc-dynamic` and their like, with
//! `dynamic_client`): no PKCE, at times no nonce, each way to prove who it is, and pages that are known by their words.

use futures_util::future::join_all;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::assertion_fields;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::browser::Browser;
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::registering::OwnRegistration;
use portcullis_tests::token::basic;
use rstest::rstest;
use serde_json::{Value, json};

use crate::simple::{Scene, callback, consent, sign_in, simple_browser};

/// The members that the suite registers with, where a module asks for nothing else.
async fn register(scene: &Scene, method: &str) -> Registered {
    let metadata = json!({
        "client_name": "Conformance suite", "grant_types": ["authorization_code"], "response_types": ["code"],
        "redirect_uris": [scene.suite.at("/callback")], "jwks": scene.keys.public_jwks(),
        "token_endpoint_auth_method": method, "contacts": ["certification@rp.test"],
    });
    let request = scene.post("/register").header("content-type", "application/json");
    OwnRegistration::of(&Answer::to(request.body(metadata.to_string())).await).client
}

/// The request of most modules.
fn request(client: &Registered) -> AuthorizeRequest {
    AuthorizeRequest::of(client).without("code_challenge").without("code_challenge_method")
}

/// What the suite gets for the code that came with a state, proving itself in one way.
async fn redeem(scene: &Scene, client: &Registered, state: &str, method: &str) -> Answer {
    let code = scene.suite.callback_of(state).code().to_owned();
    let mut fields = vec![
        ("grant_type", "authorization_code".to_owned()),
        ("code", code),
        ("redirect_uri", client.redirect_uris[0].clone()),
    ];
    let mut to = scene.post("/token");
    let secret = client.secret.clone().unwrap_or_default();
    match method {
        "client_secret_basic" => to = to.header("authorization", basic(&client.id, &secret)),
        "client_secret_post" => {
            fields.extend([("client_id", client.id.clone()), ("client_secret", secret)]);
        }
        _ => {
            // Its audience is the token endpoint.
            let audience = format!("{}/token", scene.issuer);
            let now = scene.server.clock.now();
            fields.extend(assertion_fields(&scene.keys, &client.id, &audience, now));
        }
    }
    Answer::to(to.form(&fields)).await
}

/// A page that a script knows by its words, as the suite takes pictures of some.
fn words(task: &str, address: &str, texts: &[&str]) -> Value {
    let waits: Vec<Value> = texts.iter().map(|text| json!(["wait", "xpath", "//*", 10, text])).collect();
    json!([{ "task": task, "match": address, "commands": waits }])
}

#[rstest]
#[case("client_secret_basic")]
#[case("client_secret_post")]
#[case("private_key_jwt")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_the_suite_registers_signs_somebody_in_without_pkce(#[case] method: &str) {
    let scene = Box::pin(Scene::start()).await;
    let browser = simple_browser().await;
    let client = register(&scene, method).await;
    let first = request(&client).with("scope", "openid profile email address phone");
    browser.open(&scene.address(&first)).await;
    browser.run(&json!([sign_in(), consent("consent-approve"), callback()]).to_string()).await;
    let tokens = redeem(&scene, &client, first.get("state"), method).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let id_token = tokens.member("id_token");
    assert_eq!(jwt::header(&id_token)["alg"], "RS256", "nothing else was asked for");
    assert_eq!(jwt::claims(&id_token)["nonce"], first.get("nonce"));

    // oidcc-ensure-request-without-nonce-succeeds-for-code-flow; the person is known, and allowed this.
    let second = request(&client).without("nonce");
    browser.open(&scene.address(&second)).await;
    browser.wait_for("submission_complete").await;
    let tokens = redeem(&scene, &client, second.get("state"), method).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(jwt::claims(&tokens.member("id_token")).get("nonce"), None);

    // oidcc-ensure-request-with-valid-pkce-succeeds.
    let third = AuthorizeRequest::of(&client);
    browser.open(&scene.address(&third)).await;
    browser.wait_for("submission_complete").await;
    let without = redeem(&scene, &client, third.get("state"), method).await;
    assert_eq!(without.error(), "invalid_grant", "the challenge that was sent is held to");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_request_lacks_is_told_in_words_and_leads_nowhere_by_itself() {
    let scene = Box::pin(Scene::start()).await;
    let browser = simple_browser().await;
    let client = register(&scene, "client_secret_basic").await;
    let at = format!("{}/authorize*", scene.issuer);
    let title = "This sign-in link is not valid";
    let unregistered = "is not registered for this application, character for character";
    let elsewhere = scene.suite.at("/callback?added=1");
    for (bad, reason) in [
        (request(&client).with("redirect_uri", &elsewhere), unregistered),
        (request(&client).with("redirect_uri", &scene.suite.at("/elsewhere")), unregistered),
        (
            request(&client).without("redirect_uri"),
            "is missing, and the application registered none or several",
        ),
    ] {
        browser.open(&scene.address(&bad)).await;
        browser.run(&words("error", &at, &[title, "redirect_uri", reason]).to_string()).await;
    }

    // oidcc-response-type-missing: an error that the suite takes at its callback. Where nobody vouches for the client, the page says first
    // where it leads (RFC 9700 §4.11.2), and the script goes on from there.
    let lacking = request(&client).without("response_type");
    browser.open(&scene.address(&lacking)).await;
    let script = json!([{ "task": "told", "match": at, "optional": true, "commands": [
        ["wait", "xpath", "//*", 10, "response_type is missing"],
        ["click", "id", "told-go"], ["wait", "id", "submission_complete", 20],
    ] }, callback()]);
    browser.run(&script.to_string()).await;
    let told = scene.suite.callback_of(lacking.get("state"));
    assert_eq!(told.get("error"), "invalid_request");

    assert_nobody_is_signed_in(&scene, &browser, &client).await;
    browser.close().await;
}

/// oidcc-prompt-none-not-logged-in: whoever may not be asked is not signed in.
async fn assert_nobody_is_signed_in(scene: &Scene, browser: &Browser, client: &Registered) {
    let silent = request(client).with("prompt", "none");
    browser.open(&scene.address(&silent)).await;
    browser.wait_for("submission_complete").await;
    assert_eq!(scene.suite.callback_of(silent.get("state")).get("error"), "login_required");
}

/// fapi2-security-profile-final-par-ensure-reused-request-uri-prior-to-auth-completion-succeeds: the address is opened, left, and opened
/// again. Once somebody was let in, it leads nowhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_with_a_pushed_request_is_opened_again_until_somebody_signed_in() {
    let scene = Box::pin(Scene::start()).await;
    let browser = simple_browser().await;
    let client = register(&scene, "client_secret_basic").await;
    let first = request(&client);
    let secret = client.secret.clone().unwrap_or_default();
    let push = scene.post("/par").header("authorization", basic(&client.id, &secret));
    let pushed = Answer::to(push.form(&first.fields_without("client_id"))).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("client_id", &client.id)
        .append_pair("request_uri", &pushed.member("request_uri"))
        .finish();
    let address = format!("{}/authorize?{query}", scene.issuer);
    for _ in 0..2 {
        browser.open(&address).await;
        browser.wait_for("login").await;
    }
    browser.run(&json!([sign_in(), consent("consent-approve"), callback()]).to_string()).await;
    let tokens = redeem(&scene, &client, first.get("state"), "client_secret_basic").await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    browser.open(&address).await;
    let at = format!("{}/authorize*", scene.issuer);
    let used =
        words("used", &at, &["This sign-in link is not valid", "request_uri", "or was used, or has expired"]);
    browser.run(&used.to_string()).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_signs_out_without_a_way_back_stays_on_a_page_that_says_so() {
    let scene = Box::pin(Scene::start()).await;
    let browser = simple_browser().await;
    let client = register(&scene, "client_secret_basic").await;
    let first = request(&client);
    browser.open(&scene.address(&first)).await;
    browser.run(&json!([sign_in(), consent("consent-approve"), callback()]).to_string()).await;
    let tokens = redeem(&scene, &client, first.get("state"), "client_secret_basic").await;
    let hint = tokens.member("id_token");
    browser.open(&format!("{}/logout?id_token_hint={hint}", scene.issuer)).await;
    let out = words("signed out", "https://localhost:*/logged-out*", &["You are signed out"]);
    assert_eq!(browser.run(&out.to_string()).await, ["signed out"]);

    // The session is over: whoever may not be asked is not signed in.
    assert_nobody_is_signed_in(&scene, &browser, &client).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_sign_ins_at_once_each_end_at_their_own_client() {
    let scene = Box::pin(Scene::start()).await;
    let methods = ["client_secret_basic", "client_secret_post", "private_key_jwt"];
    let one = async |method: &str| {
        let (browser, client) = (simple_browser().await, register(&scene, method).await);
        let request = request(&client);
        browser.open(&scene.address(&request)).await;
        browser.run(&json!([sign_in(), consent("consent-approve"), callback()]).to_string()).await;
        let tokens = redeem(&scene, &client, request.get("state"), method).await;
        browser.close().await;
        (client.id, tokens)
    };
    for (id, tokens) in join_all(methods.map(one)).await {
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        assert_eq!(jwt::claims(&tokens.member("id_token"))["aud"], id);
    }
}

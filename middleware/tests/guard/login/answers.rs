//! Answers that sign nobody in.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use portcullis_guard::{GuardBuilder, Issuer, MemorySessions};
use serde_json::{Value, json};

use crate::login::browser::{Browser, World, guard_at, service};
use crate::login::provider::{CLIENT, Provider};
use crate::service::{Answer, Dial};
use crate::signer::{AUDIENCE, NOW};

fn refused(browser: &Browser, answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer:?}");
    assert_eq!(browser.session(), None, "nobody is signed in: {answer:?}");
    assert!(answer.header("content-security-policy").starts_with("default-src 'none'"));
    assert_eq!(answer.header("cache-control"), "no-store");
}

type Query = BTreeMap<String, String>;

/// Comes back with an answer that somebody changed.
async fn come_back(world: &World, change: impl FnOnce(&mut Query)) -> (Browser, Answer) {
    let mut browser = world.browser();
    let location = browser.begin("/auth/login").await;
    let mut query = world.provider.answer(&location);
    change(&mut query);
    let answer = browser.come_back(&query).await;
    (browser, answer)
}

fn set(query: &mut Query, name: &str, value: &str) {
    query.insert(name.to_owned(), value.to_owned());
}

// AZ-22
#[tokio::test]
async fn rfc_9207_section_2_4_an_answer_of_another_issuer_or_of_none_gets_no_code_from_us() {
    let world = World::new().await;
    for iss in [Some("https://evil.test"), Some(""), None] {
        let (browser, answer) = come_back(&world, |query| match iss {
            Some(iss) => set(query, "iss", iss),
            None => drop(query.remove("iss")),
        })
        .await;
        refused(&browser, &answer, 502);
    }
    assert!(world.provider.told().asked.exchanges.is_empty(), "the code went nowhere");
    // Errors, too, are those of somebody.
    let (browser, answer) = come_back(&world, |query| {
        query.remove("code");
        set(query, "error", "access_denied");
        set(query, "iss", "https://evil.test");
    })
    .await;
    refused(&browser, &answer, 502);
}

#[tokio::test]
async fn an_issuer_that_does_not_say_so_need_not_name_itself_and_must_not_name_another() {
    let world = World::with(|login| login, |guard| guard).await;
    world.provider.told().metadata = json!({ "authorization_response_iss_parameter_supported": null });
    world.dial.turn(Duration::from_mins(11));
    let (browser, answer) = come_back(&world, |query| drop(query.remove("iss"))).await;
    assert!(browser.session().is_some(), "{answer:?}");
    let (browser, answer) = come_back(&world, |query| set(query, "iss", "https://evil.test")).await;
    refused(&browser, &answer, 502);
}

#[tokio::test]
async fn an_answer_belongs_to_a_sign_in_that_this_browser_began() {
    let world = World::new().await;
    let bend = |state: &str| {
        let mut bent = state.to_owned();
        bent.pop();
        [bent.clone() + "A", bent + "Q"].into_iter().find(|bent| bent != state).unwrap()
    };
    for change in [
        Box::new(move |state: &str| bend(state)) as Box<dyn Fn(&str) -> String>,
        Box::new(|state: &str| state[2..].to_owned()),
        Box::new(|state: &str| format!("4{}", &state[1..])),
        Box::new(|state: &str| format!("9{}", &state[1..])),
        Box::new(|_: &str| String::new()),
    ] {
        let mut browser = world.browser();
        let location = browser.begin("/auth/login").await;
        let query = world.provider.answer(&location);
        let mut wrong = query.clone();
        set(&mut wrong, "state", &change(&query["state"]));
        let answer = browser.come_back(&wrong).await;
        refused(&browser, &answer, 400);
        // Whoever guesses uses nothing up.
        browser.come_back(&query).await;
        assert!(browser.session().is_some());
    }
    // Somebody else's browser is given the answer: with no sign-in of its own, and with one.
    for has_begun in [false, true] {
        let mut victim = world.browser();
        if has_begun {
            victim.begin("/auth/login").await;
        }
        let mut attacker = world.browser();
        let location = attacker.begin("/auth/login").await;
        let query = world.provider.answer(&location);
        let answer = victim.come_back(&query).await;
        refused(&victim, &answer, 400);
        assert!(
            !world.provider.told().asked.exchanges.iter().any(|form| form.get("code") == query.get("code"))
        );
    }
}

#[tokio::test]
async fn an_answer_counts_once_and_not_late() {
    let world = World::new().await;
    let mut browser = world.browser();
    let location = browser.begin("/auth/login").await;
    let query = world.provider.answer(&location);
    let mut copy = browser.clone();
    browser.come_back(&query).await;
    let session = browser.session().cloned();
    assert!(session.is_some());
    assert_eq!(browser.come_back(&query).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.session().cloned(), session, "and nobody is signed out by it");
    let answer = copy.come_back(&query).await;
    refused(&copy, &answer, 400);
    assert_eq!(world.provider.told().asked.exchanges.len(), 1);

    let mut late = world.browser();
    let location = late.begin("/auth/login").await;
    let query = world.provider.answer(&location);
    world.dial.turn(Duration::from_mins(10));
    let answer = late.come_back(&query).await;
    refused(&late, &answer, 400);
    assert!(answer.body.contains("Try again"));
}

#[tokio::test]
async fn several_tabs_sign_in_at_once_and_the_oldest_of_too_many_gives_way() {
    let world = World::new().await;
    let mut browser = world.browser();
    let mut answers = Vec::new();
    for tab in 0..6 {
        let location = browser.begin(&format!("/auth/login?return_to=/me?tab={tab}")).await;
        answers.push(world.provider.answer(&location));
        world.dial.turn(Duration::from_secs(1));
    }
    assert_eq!(browser.cookies.len(), 5);
    assert_eq!(browser.come_back(&answers[0]).await.status, StatusCode::BAD_REQUEST);
    for tab in [3, 1, 5, 2, 4] {
        let answer = browser.come_back(&answers[tab]).await;
        assert_eq!(answer.header("location"), format!("/me?tab={tab}"), "{answer:?}");
    }
    assert_eq!(browser.fetch("/me").await.body, "alice");
    assert_eq!(browser.cookies.len(), 1);
}

#[tokio::test]
async fn id_tokens_that_are_not_for_this_sign_in_are_refused() {
    let world = World::new().await;
    for (changes, status) in [
        (json!({ "nonce": "other" }), 502),
        (json!({ "nonce": null }), 502),
        (json!({ "aud": "other" }), 502),
        (json!({ "aud": [CLIENT, "other"] }), 502),
        (json!({ "aud": [CLIENT, "other"], "azp": "other" }), 502),
        (json!({ "azp": "other" }), 502),
        (json!({ "iss": "https://evil.test" }), 502),
        (json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" }), 502),
        (json!({ "exp": 1_799_999_000 }), 502),
        (json!({ "iat": 1_800_001_000, "exp": 1_800_002_000 }), 502),
        (json!({ "sub": "bob" }), 502),
        (json!({ "sub": null }), 502),
    ] {
        world.provider.told().id_claims = changes.clone();
        let (browser, answer) = come_back(&world, |_| ()).await;
        assert_eq!(answer.status, status, "{changes}");
        refused(&browser, &answer, status);
    }
    world.provider.told().id_claims = json!({ "aud": [CLIENT, "other"], "azp": CLIENT });
    assert!(come_back(&world, |_| ()).await.0.session().is_some());
}

#[tokio::test]
async fn openid_core_section_3_1_3_7_and_fapi2_section_5_6_2_a_forged_id_token_is_refused() {
    let world = World::new().await;
    let claims = json!({ "iss": world.provider.url, "aud": CLIENT, "sub": "alice" });
    let stranger = crate::signer::Signer::es256("a");
    let mut header = stranger.header();
    header["typ"] = "JWT".into();
    let none =
        format!("{}.{}.", crate::signer::b64(r#"{"alg":"none"}"#), crate::signer::b64(claims.to_string()));
    let access = world.provider.sign("at+jwt", &claims);
    for token in [stranger.sign(&header, &claims), none, access, "x".to_owned(), "a.b.c".to_owned()] {
        world.provider.told().members = json!({ "id_token": token });
        let (browser, answer) = come_back(&world, |_| ()).await;
        refused(&browser, &answer, 502);
    }
}

#[tokio::test]
async fn tokens_that_the_guard_would_refuse_are_found_out_at_once() {
    let world = World::new().await;
    for (claims, members) in [
        (json!({ "aud": "https://other.test" }), json!({})),
        (json!({ "sub": "bob" }), json!({})),
        (json!({ "cnf": { "jkt": "x" } }), json!({})),
        (json!({}), json!({ "token_type": "DPoP" })),
        (json!({}), json!({ "id_token": null })),
        (json!({}), json!({ "access_token": "opaque" })),
    ] {
        world.provider.told().access_claims = claims.clone();
        world.provider.told().members = members.clone();
        let (browser, answer) = come_back(&world, |_| ()).await;
        assert!(answer.status.is_server_error(), "{claims} {members}");
        refused(&browser, &answer, answer.status.as_u16());
    }
}

/// A subject is one of its issuer.
#[tokio::test]
async fn an_access_token_of_another_issuer_that_is_trusted_opens_nothing() {
    let dial = Dial::new();
    let (provider, other) = (Provider::start(&dial).await, Provider::start(&dial).await);
    let trusting = |guard: GuardBuilder| guard.issuer(Issuer::oidc(&other.url));
    let guard = guard_at(&provider, &dial, |login| login, trusting).await;
    let world = World { provider, dial, service: service(&guard), guard };
    let foreign = json!({
        "iss": other.url, "aud": AUDIENCE, "sub": "alice", "client_id": "x", "jti": "t", "iat": NOW, "exp": NOW + 900,
    });
    let foreign = json!({
        "access_token": other.sign("at+jwt", &foreign), "expires_in": 900,
    });
    world.provider.told().id_claims = json!({ "at_hash": null });
    world.provider.told().members = foreign.clone();
    let (browser, answer) = come_back(&world, |_| ()).await;
    refused(&browser, &answer, 502);
    // Nor does one that comes with a renewal.
    world.provider.told().members = json!({});
    let mut browser = world.signed_in().await;
    world.provider.told().members = foreign;
    world.dial.turn(Duration::from_secs(301));
    assert_eq!(browser.fetch("/me").await.code(), "invalid_token");
}

#[tokio::test]
async fn what_the_issuer_says_of_errors_is_not_repeated() {
    let world = World::new().await;
    for (error, status) in [
        ("access_denied", 403),
        ("login_required", 403),
        ("unmet_authentication_requirements", 403),
        ("temporarily_unavailable", 503),
        ("server_error", 502),
        ("<script>alert(1)</script>", 502),
    ] {
        let (browser, answer) = come_back(&world, |query| {
            query.remove("code");
            set(query, "error", error);
            set(query, "error_description", "<b>call +1 555 0100</b>\nINFO forged");
        })
        .await;
        refused(&browser, &answer, status);
        assert!(!answer.body.contains("alert") && !answer.body.contains("555"), "{answer:?}");
    }
    let mut browser = world.browser();
    for query in ["", "state=x", "code=a&code=b&state=x", "state=x&code=%ff"] {
        let answer = browser.open(&format!("/auth/callback?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
    let (browser, answer) = come_back(&world, |query| set(query, "error", "access_denied")).await;
    refused(&browser, &answer, 400);
    let answer = world.browser().fetch("/auth/callback?state=x").await;
    assert_eq!(answer.problem()["status"], 400, "scripts get a document");
}

#[tokio::test]
async fn a_token_endpoint_that_is_away_or_refuses_signs_nobody_in() {
    let world = World::new().await;
    for (instead, status) in [
        ((400, json!({ "error": "invalid_grant" })), 400),
        ((401, json!({ "error": "invalid_client" })), 502),
        ((500, json!({})), 503),
        ((429, json!({})), 503),
        ((302, json!({})), 503),
        ((200, json!([])), 503),
        ((200, Value::from("x".repeat(200_000))), 503),
    ] {
        world.provider.told().instead = Some((instead.0, instead.1.to_string()));
        let (browser, answer) = come_back(&world, |_| ()).await;
        refused(&browser, &answer, status);
    }
}

// AZ-18
#[tokio::test]
async fn nobody_is_led_to_another_site_after_a_sign_in() {
    let world = World::new().await;
    let mut browser = world.browser();
    for target in [
        "//evil.test",
        "/\\evil.test",
        "\\/evil.test",
        "/\t/evil.test",
        "/\n/evil.test",
        "https://evil.test",
        "https:evil.test",
        "////evil.test",
        "javascript:alert(1)",
        "evil.test",
        "",
        " /me",
    ] {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("return_to", target).finish();
        let answer = browser.open(&format!("/auth/login?{query}")).await;
        refused(&browser, &answer, 400);
        assert!(browser.cookies.is_empty() && !answer.body.contains("evil"), "{answer:?}");
    }
    for query in ["return_to=/a&return_to=/b", "acr_values=a%0ab", "max_age=-1", "max_age=x"] {
        assert_eq!(
            browser.open(&format!("/auth/login?{query}")).await.status,
            StatusCode::BAD_REQUEST,
            "{query}"
        );
    }
}

/// A page of somebody else could have every browser that shows it begin sign-ins, and use up what their networks may begin.
#[tokio::test]
async fn a_sign_in_is_begun_by_going_there_and_not_by_pictures_scripts_or_frames() {
    let store = MemorySessions::new().most_sign_ins(1);
    let world = World::with(|login| login.store(store), |guard| guard).await;
    let mut browser = world.browser();
    for (mode, dest) in
        [("no-cors", "image"), ("cors", "empty"), ("no-cors", "script"), ("navigate", "iframe")]
    {
        let headers = [("sec-fetch-mode", mode), ("sec-fetch-dest", dest), ("sec-fetch-site", "cross-site")];
        let answer = browser.ask("GET", "/auth/login", &headers, "").await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{mode} {dest}");
        assert!(browser.cookies.is_empty(), "{mode} {dest}");
    }
    let headers =
        [("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document"), ("sec-fetch-site", "cross-site")];
    let answer = browser.ask("GET", "/auth/login", &headers, "").await;
    assert_eq!(
        answer.status,
        StatusCode::SEE_OTHER,
        "a link from elsewhere, and the one place is still there"
    );
}

#[tokio::test]
async fn strangers_who_begin_sign_ins_take_no_room_from_others_and_too_many_sessions_are_503() {
    let store = MemorySessions::new().most_sign_ins(2).most_sessions(1);
    let world = World::with(|login| login.store(store), |guard| guard).await;
    let mut first = world.browser();
    let location = first.begin("/auth/login").await;
    let early = world.provider.answer(&location);
    world.browser().begin("/auth/login").await;
    let mut late = world.browser();
    let answer = late.open("/auth/login").await;
    refused(&late, &answer, 503);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(first.come_back(&early).await.header("location"), "/", "it was begun before");
    world.browser().begin("/auth/login").await;
    first.submit("/auth/logout").await;
    // Nobody waits for those who do not come back for longer than ten minutes.
    world.dial.turn(Duration::from_mins(10));
    let mut first = world.signed_in().await;
    let (second, answer) = come_back(&world, |_| ()).await;
    refused(&second, &answer, 503);
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(first.fetch("/me").await.body, "alice", "nobody is signed out for it");
    first.submit("/auth/logout").await;
    assert!(come_back(&world, |_| ()).await.0.session().is_some(), "there is room again");
}

#[tokio::test]
async fn an_issuer_that_cannot_be_asked_where_to_sign_in_is_503() {
    let world = World::new().await;
    // What is known serves on for a day.
    world.provider.told().is_away = true;
    world.dial.turn(Duration::from_hours(2));
    world.browser().begin("/auth/login").await;
    world.dial.turn(Duration::from_hours(23));
    let answer = world.browser().open("/auth/login").await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    world.provider.told().is_away = false;
    let answer = world.browser().open("/auth/login").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "it is asked once a second");
    world.dial.turn(Duration::from_secs(1));
    world.browser().begin("/auth/login").await;
}

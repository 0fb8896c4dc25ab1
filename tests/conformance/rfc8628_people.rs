//! OAuth 2.0 Device Authorization Grant ([RFC 8628](https://www.rfc-editor.org/rfc/rfc8628)): the person.

use std::time::Duration;

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{BROWSER, SESSION, login_form, the_form};
use rstest::rstest;
use serde_json::json;

use crate::rfc8628::{INTERVAL, refusal, said, television};

#[rstest]
#[tokio::test]
async fn section_3_3_a_code_is_read_however_it_is_typed(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (_, codes) = television(&server).await;
    let bare = codes.user.replace('-', "").to_lowercase();
    let spaced: String = bare.chars().flat_map(|letter| [letter, ' ']).collect();
    for typed in [codes.user.to_lowercase(), bare, spaced] {
        let page = server.visitor().reach_device(&typed, &ada).await;
        assert!(page.text().contains("id=\"device-confirm\""), "{typed}: {}", page.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_3_3_1_a_link_with_the_code_decides_nothing_and_shows_it(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (television, codes) = television(&server).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let path = codes.complete.strip_prefix(&server.issuer).unwrap();
    let before = server.statements();
    let page = visitor.open(path).await;
    assert!(server.statements() - before <= 1, "only the session is looked up: a link is no guess");
    let form = the_form(&page, "device");
    assert_eq!(form.value("user_code"), Some(codes.user.as_str()), "{}", page.text());
    let sent = visitor.submit(&form).await;
    let asked = visitor.follow(sent).await;
    assert!(asked.text().contains(&codes.user), "to compare it with the device: {}", asked.text());
    server.wait(INTERVAL);
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await), said("authorization_pending"));
    for odd in ["<script>", "x", "WDJB-MJH"] {
        let page = visitor.open(&format!("/device?user_code={odd}")).await;
        assert_eq!(the_form(&page, "device").value("user_code"), Some(""), "{odd}");
    }
}

#[rstest]
#[tokio::test]
async fn section_5_4_people_are_asked_and_warned_also_about_our_own_applications(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let ours = json!({ "name": "Our printer", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "first_party": true, "protocol": { "device_grant": true } } });
    let ours = server.admin.client(ours).await;
    let codes = server.machine.device_codes(&ours, &[("scope", "openid profile")]).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let page = visitor.type_code(&codes.user).await;
    for shown in ["Our printer", &codes.user, "id=\"device-warning\"", "127.0.0.1", "ada of the tests"] {
        assert!(page.text().contains(shown), "{shown}: {}", page.text());
    }
    assert!(page.text().contains("See your profile"), "what it asks for: {}", page.text());
    for bend in ["", "yes"] {
        let sent = visitor.submit(&the_form(&page, "device-confirm").with("decision", bend)).await;
        assert_eq!(sent.status, 400, "{bend}");
    }
    server.wait(INTERVAL);
    assert_eq!(refusal(&server.machine.poll(&ours, &codes).await), said("authorization_pending"));
    // An answer to one client is none to the next: the same person is asked again.
    let form = the_form(&page, "device-confirm").with("decision", "allow");
    visitor.submit(&form).await;
    let next = server.machine.device_codes(&ours, &[("scope", "openid profile")]).await;
    let page = visitor.type_code(&next.user).await;
    assert!(page.text().contains("id=\"device-confirm\""), "{}", page.text());
}

#[rstest]
#[tokio::test]
async fn section_5_4_the_page_belongs_to_the_browser_and_to_whom_it_was_shown(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let (television, codes) = television(&server).await;
    let mut visitor = server.visitor();
    let page = visitor.reach_device(&codes.user, &ada).await;
    let form = the_form(&page, "device-confirm").with("decision", "allow");
    // Another browser, even one with the same account, has not seen the page.
    let mut other = server.visitor();
    other.sign_in(&ada).await;
    let own = the_form(&other.open("/device").await, "device");
    let stolen = form.clone().with("csrf_token", own.value("csrf_token").unwrap());
    assert_eq!(other.submit(&stolen).await.status, 403);
    assert_eq!(other.open(&format!("{}?{}", page.url.path(), page.url.query().unwrap())).await.status, 403);
    // A form from elsewhere.
    let cross =
        visitor.submit_from(&form, &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")]);
    assert_eq!(cross.await.status, 403);
    // Somebody else signs in in the same browser: asked again, and then it counts for that one.
    let switch = visitor.open("/login?switch=1").await;
    visitor.submit(&login_form(&switch, &bob.username, &bob.password)).await;
    let sent = visitor.submit(&form).await;
    let again = visitor.follow(sent).await;
    assert!(again.text().contains("bob of the tests"), "{}", again.text());
    assert_eq!(refusal(&server.machine.poll(&television, &codes).await).1, "authorization_pending");
    visitor.submit(&the_form(&again, "device-confirm").with("decision", "allow")).await;
    let tokens = server.machine.poll(&television, &codes).await;
    assert_eq!(jwt::claims(&tokens.member("id_token"))["sub"], bob.sub);
    // Sent once more, it is finished.
    assert_eq!(
        visitor.submit(&the_form(&again, "device-confirm").with("decision", "allow")).await.status,
        410
    );
}

#[rstest]
#[tokio::test]
async fn section_5_4_an_interaction_of_a_device_is_none_of_an_application(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (_, codes) = television(&server).await;
    let mut visitor = server.visitor();
    let page = visitor.reach_device(&codes.user, &ada).await;
    let query = page.url.query().unwrap();
    for path in ["/login", "/consent"] {
        assert_eq!(visitor.open(&format!("{path}?{query}")).await.status, 410, "{path}");
    }
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    let consent = visitor.open(&request.path()).await;
    let other = consent.url.query().unwrap();
    assert_eq!(visitor.open(&format!("/device/confirm?{other}")).await.status, 410);
    for odd in
        ["", "?interaction=", "?interaction=itx_1", "?interaction=itx_00000000000070008000000000000001"]
    {
        assert_eq!(visitor.open(&format!("/device/confirm{odd}")).await.status, 410, "{odd}");
    }
}

#[rstest]
#[tokio::test]
async fn section_5_1_codes_are_not_guessed(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_with(database, |config| {
        config.limits.login_per_address_per_minute = 30;
        config.limits.login_per_account_per_minute = 5;
    })
    .await;
    let ada = server.admin.user("ada").await;
    let (_, codes) = television(&server).await;
    let mut guesser = server.visitor();
    for _ in 0..5 {
        assert_eq!(guesser.type_code("BCDF-GHJK").await.status, 422);
    }
    let refused = guesser.type_code(&codes.user).await;
    assert_eq!(refused.status, 429, "also the right one: {}", refused.text());
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|secs| secs > 0));
    // What cannot be a code uses nothing up.
    let mut typist = server.visitor();
    for _ in 0..20 {
        assert_eq!(typist.type_code("hello").await.status, 422);
    }
    // New browsers of the same network do not get around it.
    let mut tried = 0;
    while server.visitor().type_code("BCDF-GHJL").await.status == 422 {
        tried += 1;
        assert!(tried < 20, "the network has an end");
    }
    server.wait(Duration::from_mins(1));
    let page = server.visitor().reach_device(&codes.user, &ada).await;
    assert!(page.text().contains("id=\"device-confirm\""), "{}", page.text());
}

#[rstest]
#[tokio::test]
async fn section_5_1_an_account_has_no_more_tries_than_a_browser(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server =
        TestServer::start_with(database, |config| config.limits.login_per_account_per_minute = 5).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let session = visitor.session().unwrap().to_owned();
    for _ in 0..5 {
        assert_eq!(visitor.type_code("BCDF-GHJK").await.status, 422);
    }
    let mut fresh = server.visitor();
    fresh.plant_cookie(SESSION, &session);
    assert_eq!(fresh.type_code("BCDF-GHJK").await.status, 429, "the session is the same");
    assert!(fresh.cookie(BROWSER).is_some());
}

/// The pages at their ends, and what they may be shown in.
#[rstest]
#[tokio::test]
async fn section_5_3_pages_are_of_this_server_alone(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let mut visitor = server.visitor();
    for path in ["/device", "/device/done", "/device/denied"] {
        let page = visitor.open(path).await;
        assert_eq!(page.status, 200, "{path}");
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'") && policy.contains("default-src 'none'"),
            "{policy}"
        );
    }
}

//! The page on which people say who they are.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{Form, attribute, tags, text_of, textarea, unescape};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const PAGE: &str = "/account/profile";

/// A form with everything that people may say.
fn full(form: Form) -> Form {
    [
        ("name", "Ada Lovelace"),
        ("given_name", "Ada "),
        ("family_name", "Lovelace"),
        ("middle_name", "King"),
        ("nickname", "Enchantress"),
        ("birthdate", "1815-12-10"),
        ("gender", "female"),
        ("locale", "en-GB"),
        ("zoneinfo", "Europe/London"),
        ("phone_number", "+442079460000"),
        ("website", "https://ada.example/"),
        ("profile", "https://ada.example/me"),
        ("picture", "https://ada.example/me.png"),
        ("street_address", "St James's Square 12\r\nDoor 2"),
        ("postal_code", "SW1Y 4JH"),
        ("locality", "London"),
        ("region", "Greater London"),
        ("country", "United Kingdom"),
        ("formatted", "Ada Lovelace\r\nLondon"),
    ]
    .into_iter()
    .fold(form, |form, (name, value)| form.with(name, value))
}

async fn changes(server: &TestServer, user: &str) -> Vec<Value> {
    let events = server.admin.get("/audit?limit=200").await.json()["items"].clone();
    let ours = |event: &&Value| event["action"] == "user.updated" && event["target"] == user;
    events.as_array().unwrap().iter().filter(ours).cloned().collect()
}

#[rstest]
#[tokio::test]
async fn what_somebody_says_is_kept_and_told(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "scopes": "openid profile email address phone" });
    let shop = server.admin.client(shop).await;
    let mut visitor = server.visitor();
    let request = AuthorizeRequest::of(&shop).with("scope", "openid profile email address phone");
    let callback = visitor.authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let before = server.statements();
    let page = visitor.open(PAGE).await;
    assert_eq!(server.statements() - before, 1, "the session says it all");
    let form = full(the_form(&page, "profile-form"));
    // Neither what somebody signs in with nor what is proven can be said here.
    let done = visitor
        .submit(
            &form
                .with("username", "root")
                .with("email", "root@example.org")
                .with("phone_number_verified", "true"),
        )
        .await;
    let page = visitor.follow(done).await;
    assert_eq!((page.url.path(), page.url.query()), (PAGE, Some("notice=saved")), "{}", page.text());
    let shown = the_form(&page, "profile-form");
    assert_eq!((shown.value("name"), shown.value("given_name")), (Some("Ada Lovelace"), Some("Ada")));
    assert_eq!(textarea(&page.text(), "street_address").as_deref(), Some("St James's Square 12\nDoor 2"));
    // Applications hear of it at once.
    let bearer = server.machine.request(Method::GET, "/userinfo").bearer_auth(tokens.member("access_token"));
    let told = Answer::to(bearer).await.json();
    for (name, value) in [
        ("name", json!("Ada Lovelace")),
        ("birthdate", json!("1815-12-10")),
        ("phone_number", json!("+442079460000")),
        ("phone_number_verified", json!(false)),
        ("preferred_username", json!("ada")),
        ("email", json!("ada@example.org")),
        ("updated_at", json!(server.clock.now().as_secs())),
    ] {
        assert_eq!(told[name], value, "{name}: {told}");
    }
    assert_eq!(told["address"]["street_address"], "St James's Square 12\nDoor 2");
    let account = server.admin.get(&format!("/users/{}", ada.id)).await.json();
    assert_eq!((&account["username"], &account["name"]), (&json!("ada"), &json!("Ada Lovelace")));
    assert_eq!(account["profile"]["zoneinfo"], "Europe/London");
    let events = changes(&server, &ada.id).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (&events[0]["actor"], &events[0]["detail"]["changed"]),
        (&json!(ada.id), &json!(["name", "profile"]))
    );
    assert!(!events[0].to_string().contains("1815"), "the trail is kept longer than personal data may be");
}

#[rstest]
#[tokio::test]
async fn what_is_left_empty_is_said_no_more(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let form = full(the_form(&visitor.open(PAGE).await, "profile-form"));
    assert_eq!(visitor.submit(&form).await.status, 303);
    let shown = the_form(&visitor.open(PAGE).await, "profile-form");
    // Nothing changes, and nothing is recorded, when the same is said again.
    assert_eq!(visitor.submit(&shown).await.status, 303);
    assert_eq!(changes(&server, &ada.id).await.len(), 1);
    // What is left empty is said no more.
    assert_eq!(visitor.submit(&shown.with("nickname", "").with("name", "")).await.status, 303);
    let account = server.admin.get(&format!("/users/{}", ada.id)).await.json();
    assert_eq!((&account["name"], account["profile"].get("nickname")), (&json!(""), None));
    assert_eq!(account["profile"]["given_name"], "Ada");
}

/// A number that somebody made sure of is proven no more when another takes its place.
#[rstest]
#[tokio::test]
async fn another_telephone_number_has_to_be_proven_again(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let account = format!("/users/{}", ada.id);
    let proven = json!({ "username": "ada", "profile": { "phone_number": "+442079460000", "phone_number_verified": true } });
    let change = server.admin.request(Method::PUT, &account).await.header("if-match", "*");
    assert_eq!(Answer::to(change.json(&proven)).await.status, 200);
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let verified =
        async || server.admin.get(&account).await.json()["profile"]["phone_number_verified"].clone();
    let form = the_form(&visitor.open(PAGE).await, "profile-form");
    assert_eq!(visitor.submit(&form.clone().with("nickname", "A")).await.status, 303);
    assert_eq!(verified().await, true, "the same number");
    assert_eq!(visitor.submit(&form.with("phone_number", "+442079460001")).await.status, 303);
    assert_eq!(verified().await, false);
}

#[rstest]
#[tokio::test]
async fn what_cannot_be_said_is_told_at_its_field_and_nothing_is_lost(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let form = full(the_form(&visitor.open(PAGE).await, "profile-form"));
    let long = "x".repeat(201);
    for (field, bad, said) in [
        ("name", "Ada\u{202e}", "cannot be shown"),
        ("name", long.as_str(), "room for 200 characters"),
        ("given_name", "A\u{7}da", "cannot be shown"),
        ("gender", long.as_str(), "room for 50 characters"),
        ("birthdate", "10.12.1815", "1990-12-31"),
        ("birthdate", "1815-02-30", "1990-12-31"),
        ("locale", "german!", "language tag"),
        ("zoneinfo", "Mars/Olympus Mons", "Europe/Vienna"),
        ("phone_number", "0664 123", "Write a plus"),
        ("website", "javascript:alert(1)", "https://"),
        ("profile", "http://ada.example/", "https://"),
        ("picture", "https://a:b@ada.example/", "https://"),
        ("country", "a\nb", "cannot be shown"),
        ("street_address", "a\u{202e}b", "cannot be shown"),
    ] {
        let page = visitor.submit(&form.clone().with(field, bad)).await;
        assert_eq!(page.status, 422, "{field}: {}", page.text());
        let text = page.text();
        let wrong: Vec<String> = [tags(&text, "<input"), tags(&text, "<textarea")]
            .concat()
            .into_iter()
            .filter(|tag| attribute(tag, "aria-invalid").is_some())
            .filter_map(|tag| attribute(tag, "id"))
            .collect();
        assert_eq!(wrong, [field], "{text}");
        assert!(text.contains(&format!("href=\"#{field}\"")), "{text}");
        let problem = unescape(&text_of(&text, &format!("{field}-problem")).unwrap());
        assert!(problem.contains(said), "{field}: {problem}");
        let again = the_form(&page, "profile-form");
        assert_eq!(again.value("nickname"), Some("Enchantress"), "what is right is not typed again");
        if let Some(typed) = again.value(field) {
            assert_eq!(typed, bad, "{field}");
        }
    }
    // All of them at once.
    let page = visitor.submit(&form.clone().with("locale", "!").with("zoneinfo", "!")).await;
    assert!(page.text().contains("href=\"#locale\"") && page.text().contains("href=\"#zoneinfo\""));
    assert_eq!(changes(&server, &ada.id).await, Vec::<Value>::new());
    for refused in [
        visitor.submit(&form.clone().without("csrf_token")).await,
        visitor
            .submit_from(&form, &[("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")])
            .await,
    ] {
        assert_eq!(refused.status, 403);
    }
    assert_eq!(changes(&server, &ada.id).await, Vec::<Value>::new());
    let page = server.visitor().open(PAGE).await;
    assert_eq!((page.url.path(), page.url.query()), ("/login", Some("next=profile")));
}

/// There is one profile that somebody can change: the own one. A form says of nobody whose it is.
#[rstest]
#[tokio::test]
async fn nobody_says_anything_about_others(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, bea) = (server.admin.user("ada").await, server.admin.user("bea").await);
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let form = the_form(&visitor.open(PAGE).await, "profile-form").with("name", "Mallory");
    let sent = form.with("id", &bea.id).with("user", &bea.id).with("sub", &bea.sub);
    assert_eq!(visitor.submit(&sent).await.status, 303);
    assert_eq!(server.admin.get(&format!("/users/{}", ada.id)).await.member("name"), "Mallory");
    assert_eq!(server.admin.get(&format!("/users/{}", bea.id)).await.member("name"), "bea of the tests");
    let mut hers = server.visitor();
    hers.sign_in(&bea).await;
    let form = the_form(&hers.open(PAGE).await, "profile-form");
    assert_eq!(visitor.submit(&form).await.status, 403, "a form of another browser");
}

/// Each change is written down for good.
#[rstest]
#[tokio::test]
async fn who_changes_it_again_and_again_waits(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, bea) = (server.admin.user("ada").await, server.admin.user("bea").await);
    let (mut visitor, mut hers) = (server.visitor(), server.visitor());
    visitor.sign_in(&ada).await;
    hers.sign_in(&bea).await;
    let form = the_form(&visitor.open(PAGE).await, "profile-form");
    for number in 0..20 {
        let saved = visitor.submit(&form.clone().with("nickname", &format!("N{number}"))).await;
        assert_eq!(saved.status, 303, "{number}");
    }
    let refused = visitor.submit(&form.clone().with("nickname", "One too many")).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "3"), "twenty a minute");
    assert_eq!(changes(&server, &ada.id).await.len(), 20);
    let other = the_form(&hers.open(PAGE).await, "profile-form").with("nickname", "Bea");
    assert_eq!(hers.submit(&other).await.status, 303, "others do not wait");
    server.wait(Duration::from_secs(3));
    assert_eq!(visitor.submit(&form.with("nickname", "Later")).await.status, 303);
}

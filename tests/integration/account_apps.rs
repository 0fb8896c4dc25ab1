//! The page of the applications that somebody let in.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{Form, forms, text_of, unescape};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use rstest::rstest;
use serde_json::{Value, json};

const PAGE: &str = "/account/apps";

/// The form that withdraws what an application was allowed, if the page lists it.
fn withdrawal(page: &Answer, client: &str) -> Option<Form> {
    forms(&page.text()).into_iter().find(|form| form.value("client") == Some(client))
}

async fn withdrawals(server: &TestServer) -> Vec<Value> {
    let events = server.admin.get("/audit?limit=200").await.json()["items"].clone();
    let found = events.as_array().unwrap().iter().filter(|event| event["action"] == "consent.withdrawn");
    found.cloned().collect()
}

#[rstest]
#[tokio::test]
async fn what_was_allowed_is_listed_in_words_and_withdrawn_with_its_tokens(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let shop = server.admin.web_client(&[&orders]).await;
    let forum = server
        .admin
        .client(json!({ "name": "Forum", "preset": "web", "redirect_uris": ["https://rp.test/cb"] }))
        .await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let empty = visitor.open(PAGE).await.text();
    assert!(empty.contains("No application uses your account."), "{empty}");
    let asked = AuthorizeRequest::of(&shop)
        .with("resource", &orders.audience)
        .with("scope", "openid email offline_access");
    let callback = visitor.authorize(&asked, &ada).await;
    let tokens = server.machine.redeem(&shop, &asked, &callback).await;
    let elsewhere = AuthorizeRequest::of(&forum);
    let callback = visitor.authorize(&elsewhere, &ada).await;
    let kept = server.machine.redeem(&forum, &elsewhere, &callback).await;
    visitor.open(PAGE).await;
    let before = server.statements();
    let page = visitor.open(PAGE).await;
    assert_eq!(server.statements() - before, 3, "the session, what was allowed, and what is held");
    let text = page.text();
    assert_eq!(text_of(&text, "app-1-title").as_deref(), Some("Forum"), "by name");
    assert_eq!(text_of(&text, "app-2-title").as_deref(), Some("Test shop"));
    assert!(text_of(&text, "app-2-api-1").unwrap().contains(&orders.name));
    for said in ["See your e-mail address", "ada@example.org", "Keep this access while you are away"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let done = visitor.submit(&withdrawal(&page, &shop.id).unwrap()).await;
    let page = visitor.follow(done).await;
    assert_eq!((page.url.path(), page.url.query()), (PAGE, Some("notice=withdrawn")));
    assert!(withdrawal(&page, &shop.id).is_none() && withdrawal(&page, &forum.id).is_some());
    assert!(!server.machine.is_active(&shop, &tokens.member("access_token")).await);
    assert_eq!(server.machine.refresh(&shop, &tokens.member("refresh_token")).await.error(), "invalid_grant");
    assert!(server.machine.is_active(&forum, &kept.member("access_token")).await, "others keep theirs");
    the_form(&visitor.open(&asked.path()).await, "consent");
    let events = withdrawals(&server).await;
    assert_eq!(events.len(), 1);
    assert_eq!(
        (&events[0]["actor"], &events[0]["target"], &events[0]["detail"]["client"]),
        (&json!(ada.id), &json!(ada.id), &json!(shop.id))
    );
}

/// Nobody is asked for an application of our own, and yet it holds something.
#[rstest]
#[tokio::test]
async fn an_application_of_our_own_is_listed_while_it_holds_something(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (orders, stock) =
        (server.admin.api("https://orders.test").await, server.admin.api("https://stock.test").await);
    let own = json!({ "name": "Own", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "apis": [orders.id, stock.id], "options": { "first_party": true } });
    let own = server.admin.client(own).await;
    let mut visitor = server.visitor();
    let asked = AuthorizeRequest::of(&own).with("resource", &orders.audience);
    let callback = visitor.authorize(&asked, &ada).await;
    let tokens = server.machine.redeem(&own, &asked, &callback).await;
    let page = visitor.open(PAGE).await;
    assert!(text_of(&page.text(), "app-1-api-1").unwrap().contains(&orders.name));
    let both = AuthorizeRequest::of(&own).with("resource", &orders.audience).and("resource", &stock.audience);
    let callback = visitor.authorize(&both, &ada).await;
    // Of several the token request names one (RFC 8707 §2.2).
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", both.get("redirect_uri")),
        ("code_verifier", &both.pkce.verifier),
        ("resource", &stock.audience),
    ];
    let more = server.machine.token(&own, &fields).await;
    assert_eq!(more.status, 200, "{}", more.text());
    let page = visitor.open(PAGE).await;
    assert_eq!(text_of(&page.text(), "app-2-title"), None, "it is one application");
    let text = unescape(&page.text());
    assert!(text.contains(&orders.name) && text.contains(&stock.name), "{text}");
    assert_eq!(visitor.submit(&withdrawal(&page, &own.id).unwrap()).await.status, 303);
    for tokens in [tokens, more] {
        assert!(!server.machine.is_active(&own, &tokens.member("access_token")).await);
    }
    assert!(visitor.open(PAGE).await.text().contains("No application uses your account."));
}

#[rstest]
#[tokio::test]
async fn what_others_allowed_is_out_of_reach(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, bea) = (server.admin.user("ada").await, server.admin.user("bea").await);
    let shop = server.admin.web_client(&[]).await;
    let forum = server.admin.web_client(&[]).await;
    let (mut visitor, mut hers) = (server.visitor(), server.visitor());
    visitor.authorize(&AuthorizeRequest::of(&forum), &ada).await;
    let request = AuthorizeRequest::of(&shop);
    let callback = hers.authorize(&request, &bea).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let page = visitor.open(PAGE).await;
    assert!(withdrawal(&page, &shop.id).is_none(), "which applications others use is not shown");
    let form = withdrawal(&page, &forum.id).unwrap();
    let mut answers = Vec::new();
    for client in
        [shop.id.as_str(), "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", "https://rp.test/x.json", "' OR 1=1", ""]
    {
        let answer = visitor.submit(&form.clone().with("client", client)).await;
        assert_eq!(answer.status, 404, "{client}: {}", answer.text());
        let reference = text_of(&answer.text(), "reference").expect("a page with a reference");
        answers.push(answer.text().replace(&reference, "x"));
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert!(server.machine.is_active(&shop, &tokens.member("access_token")).await);
    assert!(withdrawal(&hers.open(PAGE).await, &shop.id).is_some());
    assert_eq!(hers.submit(&form).await.status, 403, "a form of another browser");
    assert_eq!(visitor.submit(&form.clone().without("csrf_token")).await.status, 403);
    assert_eq!(visitor.submit_from(&form, &[("sec-fetch-site", "same-site")]).await.status, 403);
    assert_eq!(withdrawals(&server).await, Vec::<Value>::new());
    let page = server.visitor().open(PAGE).await;
    assert_eq!((page.url.path(), page.url.query()), ("/login", Some("next=apps")));
    assert_eq!(visitor.submit(&form).await.status, 303);
    assert_eq!(visitor.submit(&form).await.status, 404, "it is withdrawn once");
}

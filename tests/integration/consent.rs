//! What a person allows an application, and what is remembered of it.

use portcullis_server::config::SecretText;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::execute;
use portcullis_tests::markup::text_of;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;
use tempfile::tempdir;

#[rstest]
#[tokio::test]
async fn consent_shows_who_asks_for_what_and_where_the_answer_goes(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid email");
    let page = visitor.open(&request.path()).await.text();
    assert!(page.contains("Test shop"));
    assert_eq!(text_of(&page, "redirect-host").as_deref(), Some("rp.test"));
    assert!(page.contains("ada@example.org"), "the value that would be shared is shown");
}

#[rstest]
#[tokio::test]
async fn what_was_allowed_once_is_not_asked_again(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    let answer = visitor.open(&AuthorizeRequest::of(&shop).path()).await;
    let callback = Callback::of(&answer.location().expect("the way leads straight to the application"));
    assert!(!callback.code().is_empty());
}

#[rstest]
#[tokio::test]
async fn a_new_scope_is_asked_for_again(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    let wider = AuthorizeRequest::of(&shop).with("scope", "openid email");
    let page = visitor.open(&wider.path()).await;
    the_form(&page, "consent");
}

/// A token for an API carries the roles of the person there, so each API is asked for, whatever the scopes.
#[rstest]
#[tokio::test]
async fn every_api_is_asked_for_and_named(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let stock = server.admin.api("https://stock.test").await;
    let shop = server.admin.web_client(&[&orders, &stock]).await;
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    for api in [&orders, &stock] {
        let request = AuthorizeRequest::of(&shop).with("resource", &api.audience);
        let silent = visitor.open(&request.clone().with("prompt", "none").path()).await;
        assert_eq!(Callback::of(&silent.location().unwrap()).error(), "consent_required");
        let page = visitor.open(&request.path()).await.text();
        let named = text_of(&page, "consent-api").expect("the page names the API");
        assert!(named.contains(&api.name), "{named}");
        visitor.authorize(&request, &ada).await;
        let silent = visitor.open(&request.with("prompt", "none").path()).await;
        assert!(!Callback::of(&silent.location().unwrap()).code().is_empty());
    }
}

#[rstest]
#[tokio::test]
async fn prompt_consent_asks_although_it_was_allowed(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    let page = visitor.open(&AuthorizeRequest::of(&shop).with("prompt", "consent").path()).await;
    the_form(&page, "consent");
}

#[rstest]
#[tokio::test]
async fn a_denial_reaches_the_application_and_is_not_remembered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let request = AuthorizeRequest::of(&shop);
    let page = visitor.open(&request.path()).await;
    let denied = visitor.submit(&the_form(&page, "consent").with("decision", "deny")).await;
    let callback = Callback::of(&denied.location().unwrap());
    assert_eq!(callback.error(), "access_denied");
    assert_eq!(callback.get("state"), request.get("state"));
    assert_eq!(callback.get("iss"), server.issuer);
    the_form(&visitor.open(&AuthorizeRequest::of(&shop).path()).await, "consent");
}

#[rstest]
#[tokio::test]
async fn an_application_of_our_own_is_not_asked_for(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let own = json!({ "name": "Own", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "first_party": true } });
    let own = server.admin.client(own).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let answer = visitor.open(&AuthorizeRequest::of(&own).path()).await;
    assert!(!Callback::of(&answer.location().unwrap()).code().is_empty());
}

#[rstest]
#[tokio::test]
async fn prompt_none_without_consent_says_so(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let answer = visitor.open(&AuthorizeRequest::of(&shop).with("prompt", "none").path()).await;
    assert_eq!(Callback::of(&answer.location().unwrap()).error(), "consent_required");
}

/// Somebody who took the address over would get the code of whoever is still on the way.
#[rstest]
#[tokio::test]
async fn an_address_that_was_taken_back_gets_no_answer_of_a_running_flow(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    for button in ["deny", "allow"] {
        let mut visitor = server.visitor();
        visitor.sign_in(&ada).await;
        let page = visitor.open(&AuthorizeRequest::of(&shop).path()).await;
        let form = the_form(&page, "consent").with("decision", button);
        point_to(&server, &shop.id, "https://rp.test/other").await;
        let answer = visitor.submit(&form).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (410, None), "{}", answer.text());
        point_to(&server, &shop.id, "https://rp.test/cb").await;
        let answer = visitor.submit(&form).await;
        let callback = Callback::of(&answer.location().expect("nothing was lost"));
        assert_eq!(callback.get("code").is_empty(), button == "deny");
    }
}

async fn point_to(server: &TestServer, client: &str, redirect_uri: &str) {
    let document = json!({ "name": "Test shop", "preset": "web", "redirect_uris": [redirect_uri] });
    let put = server.admin.request(Method::PUT, &format!("/clients/{client}")).await.header("if-match", "*");
    let answer = Answer::to(put.json(&document)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

/// Who looks after accounts sees what people allowed, and takes it back for them.
#[rstest]
#[tokio::test]
async fn what_was_allowed_is_listed_and_taken_back(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let shop = server.admin.web_client(&[&orders]).await;
    let other = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let at_orders = AuthorizeRequest::of(&shop).with("resource", &orders.audience);
    let callback = visitor.authorize(&at_orders, &ada).await;
    let tokens = server.machine.redeem(&shop, &at_orders, &callback).await;
    let elsewhere = AuthorizeRequest::of(&other);
    let callback = visitor.authorize(&elsewhere, &ada).await;
    let kept = server.machine.redeem(&other, &elsewhere, &callback).await;
    // A code that is still on its way buys nothing once the consent is gone.
    let underway = AuthorizeRequest::of(&shop).with("resource", &orders.audience);
    let answer = visitor.open(&underway.path()).await;
    let late = Callback::of(&answer.location().expect("nobody is asked twice"));
    let path = format!("/users/{}/consents", ada.id);
    let mut listed = Vec::new();
    let mut page = server.admin.get(&format!("{path}?limit=1")).await.json();
    loop {
        listed.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("after", next).finish();
        page = server.admin.get(&format!("{path}?limit=1&{query}")).await.json();
    }
    assert_eq!(listed.len(), 2, "{listed:?}");
    let at_shop = listed.iter().find(|one| one["client"] == json!(shop.id)).unwrap();
    assert_eq!(
        (&at_shop["audience"], &at_shop["client_name"]),
        (&json!(orders.audience), &json!("Test shop"))
    );
    let withdraw = async |client: &str| {
        let body = json!({ "client": client });
        server.admin.send(Method::POST, &format!("{path}/withdraw"), &body).await
    };
    assert_eq!(withdraw(&shop.id).await.status, 204);
    let event = server.admin.get("/audit?limit=1").await.json()["items"][0].clone();
    assert_eq!(
        (&event["action"], &event["detail"]["client"]),
        (&json!("consent.withdrawn"), &json!(shop.id))
    );
    assert!(!server.machine.is_active(&shop, &tokens.member("access_token")).await);
    assert_eq!(server.machine.redeem(&shop, &underway, &late).await.error(), "invalid_grant");
    assert!(server.machine.is_active(&other, &kept.member("access_token")).await, "others keep theirs");
    the_form(&visitor.open(&at_orders.path()).await, "consent");
    // Of our own client nothing is remembered, and its code is taken back as well.
    let options = json!({ "first_party": true });
    let ours = json!({ "name": "Ours", "preset": "web", "redirect_uris": ["https://rp.test/cb"], "options": options });
    let ours = server.admin.client(ours).await;
    let request = AuthorizeRequest::of(&ours);
    let callback = visitor.authorize(&request, &ada).await;
    assert_eq!(withdraw(&ours.id).await.status, 204);
    assert_eq!(server.machine.redeem(&ours, &request, &callback).await.error(), "invalid_grant");
    for nothing in [shop.id.as_str(), "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", "https://rp.test/x.json", ""] {
        assert_eq!(withdraw(nothing).await.status, 404, "{nothing}");
    }
}

#[rstest]
#[tokio::test]
async fn a_consent_that_cannot_be_read_stops_only_who_needs_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let folder = tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let stored = SecretText::new(url.clone());
    let server = TestServer::start_with(database, |config| config.database.url = Some(stored)).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let stock = server.admin.api("https://stock.test").await;
    let shop = server.admin.web_client(&[&orders, &stock]).await;
    let at = |audience: &str| AuthorizeRequest::of(&shop).with("resource", audience);
    let mut visitor = server.visitor();
    for api in [&orders, &stock] {
        visitor.authorize(&at(&api.audience), &ada).await;
    }
    // A replica that knows more claims may have written it.
    let later = "UPDATE consents SET claims = 'of_later'
                  WHERE api_id = (SELECT id FROM apis WHERE audience = 'https://orders.test')";
    execute(&url, later).await;
    let answer = visitor.open(&at(&stock.audience).path()).await;
    Callback::of(&answer.location().expect("nobody is asked")).code();
    the_form(&visitor.open(&at(&orders.audience).with("prompt", "login").path()).await, "login");
    the_form(&visitor.open(&at(&stock.audience).with("prompt", "consent").path()).await, "consent");
    let refused = visitor.open(&at("https://nowhere.test").path()).await;
    assert_eq!(Callback::of(&refused.location().unwrap()).error(), "invalid_target");
    assert_eq!(visitor.open(&at(&orders.audience).path()).await.status, 500);
}

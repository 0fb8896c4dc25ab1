//! [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html) §8: subjects that only one sector knows.

use std::collections::BTreeSet;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Person;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::oidc_core::{ALL_SCOPES, held_to};

/// A client of its own site, with pairwise subjects.
async fn of_site(server: &TestServer, host: &str, protocol: Value) -> Registered {
    server.admin.client(document(&[&format!("https://{host}/cb")], protocol)).await
}

fn document(redirects: &[&str], mut protocol: Value) -> Value {
    protocol["subject_type"] = json!("pairwise");
    json!({ "name": "Test shop", "preset": "web", "redirect_uris": redirects, "scopes": ALL_SCOPES,
        "post_logout_redirect_uris": ["https://rp.test/bye"], "options": { "protocol": protocol } })
}

async fn tokens(server: &TestServer, client: &Registered, person: &Person) -> Answer {
    let request = AuthorizeRequest::of(client).with("scope", "openid offline_access");
    let tokens = server.tokens(client, &request, person).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    tokens
}

fn subject(tokens: &Answer) -> String {
    claims(&tokens.member("id_token"))["sub"].as_str().unwrap().to_owned()
}

#[rstest]
#[tokio::test]
async fn section_8_1_a_subject_is_one_for_a_sector_and_another_elsewhere(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let shop = of_site(&server, "shop.test", json!({})).await;
    let same = of_site(&server, "shop.test", json!({})).await;
    let sister = of_site(&server, "forum.test", json!({ "sector_identifier": "shop.test" })).await;
    let forum = of_site(&server, "forum.test", json!({})).await;
    let public = held_to(&server, json!({})).await;
    let known = subject(&tokens(&server, &shop, &ada).await);
    assert_eq!(known.len(), ada.sub.len(), "no length tells that it is pairwise");
    assert_eq!(subject(&tokens(&server, &shop, &ada).await), known, "it stays the same");
    assert_eq!(subject(&tokens(&server, &same, &ada).await), known, "within the sector");
    assert_eq!(subject(&tokens(&server, &sister, &ada).await), known, "also of one that was named");
    let others = [
        subject(&tokens(&server, &forum, &ada).await),
        subject(&tokens(&server, &shop, &bob).await),
        subject(&tokens(&server, &public, &ada).await),
        known,
    ];
    assert_eq!(others.iter().collect::<BTreeSet<_>>().len(), others.len(), "{others:?}");
    assert_eq!(others[2], ada.sub);
}

#[rstest]
#[tokio::test]
async fn section_8_everything_that_the_client_gets_names_the_same_subject_and_never_the_public_one(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = of_site(&server, "shop.test", json!({ "userinfo_signed_response_alg": "ES256" })).await;
    let bought = tokens(&server, &shop, &ada).await;
    let known = subject(&bought);
    let access = bought.member("access_token");
    let refreshed = server.machine.refresh(&shop, &bought.member("refresh_token")).await;
    assert_eq!(subject(&refreshed), known, "§12.2: the subject of a refresh is the one before");
    let userinfo = server.machine.userinfo(&access).await.text();
    let of_access = server.machine.introspect(&shop, &access).await;
    let of_refresh = server.machine.introspect(&shop, &refreshed.member("refresh_token")).await;
    assert_eq!(claims(&userinfo)["sub"], known, "§5.3.2: userinfo and ID token name the same subject");
    assert_eq!(claims(&access)["sub"], known);
    assert_eq!((&of_access.json()["active"], &of_access.json()["sub"]), (&json!(true), &json!(known)));
    assert_eq!((&of_refresh.json()["active"], &of_refresh.json()["sub"]), (&json!(true), &json!(known)));
    let told = [
        claims(&bought.member("id_token")).to_string(),
        claims(&refreshed.member("id_token")).to_string(),
        claims(&access).to_string(),
        claims(&userinfo).to_string(),
        of_access.text(),
        of_refresh.text(),
    ];
    for text in told {
        assert!(!text.contains(&ada.sub) && !text.contains(&ada.id), "{text}");
        assert!(!text.contains("\"ada\""), "the user name is the same everywhere, too: {text}");
    }
}

/// A token for an API names people by the subject that policies, records and revocations know, and the client could read it.
#[rstest]
#[tokio::test]
async fn section_8_a_client_with_pairwise_subjects_gets_no_tokens_for_apis(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let mut with_api = document(&["https://shop.test/cb"], json!({}));
    with_api["apis"] = json!([orders.id]);
    let refused = server.admin.send(Method::POST, "/clients", &with_api).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("/options/protocol/subject_type"), "{}", refused.text());
    let shop = of_site(&server, "shop.test", json!({})).await;
    let request = AuthorizeRequest::of(&shop).with("resource", &orders.audience);
    assert_eq!(server.visitor().authorize(&request, &ada).await.error(), "invalid_target");

    // One that had tokens for APIs before: what it holds ends with the change, and its grants buy no more.
    let plain = json!({ "name": "Test shop", "preset": "web", "redirect_uris": ["https://shop.test/cb"], "scopes": ALL_SCOPES,
        "apis": [orders.id] });
    let before = server.admin.client(plain).await;
    let request = AuthorizeRequest::of(&before)
        .with("scope", "openid offline_access")
        .with("resource", &orders.audience);
    let bought = server.tokens(&before, &request, &ada).await;
    assert_eq!(claims(&bought.member("access_token"))["sub"], ada.sub);
    let own = AuthorizeRequest::of(&before).with("scope", "openid");
    let own = server.tokens(&before, &own, &ada).await.member("access_token");
    assert_eq!(server.machine.userinfo(&own).await.status, 200);
    let path = format!("/clients/{}", before.id);
    let shown = server.admin.get(&path).await;
    let put = server.admin.request(Method::PUT, &path).await.header("if-match", shown.header("etag"));
    let changed = Answer::to(put.json(&document(&["https://shop.test/cb"], json!({})))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(server.machine.userinfo(&own).await.status, 401, "it names somebody by another name");
    let again = server.machine.refresh(&before, &bought.member("refresh_token")).await;
    assert_eq!((again.status.as_u16(), again.error().as_str()), (400, "invalid_target"), "{}", again.text());
}

#[rstest]
#[tokio::test]
async fn section_8_1_a_sector_is_the_host_of_the_redirect_uris_or_said(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let several = ["https://shop.test/cb", "https://forum.test/cb"];
    let sector = "/options/protocol/sector_identifier";
    for (redirects, protocol, pointer) in [
        (&several[..], json!({}), sector),
        (&["http://127.0.0.1/cb"], json!({}), sector),
        (&several[..1], json!({ "sector_identifier": "https://shop.test" }), sector),
        (&several[..1], json!({ "sector_identifier": "Shop.test" }), sector),
    ] {
        let refused = server.admin.send(Method::POST, "/clients", &document(redirects, protocol)).await;
        assert_eq!(refused.status, 422, "{redirects:?}: {}", refused.text());
        assert!(refused.text().contains(pointer), "{redirects:?}: {}", refused.text());
    }
    let mut odd = document(&several[..1], json!({}));
    odd["options"]["protocol"]["subject_type"] = json!("secret");
    let refused = server.admin.send(Method::POST, "/clients", &odd).await;
    assert!(
        refused.status == 422 && refused.text().contains("/options/protocol/subject_type"),
        "{}",
        refused.text()
    );
    odd["options"]["protocol"] = json!({ "sector_identifier": "shop.test" });
    let refused = server.admin.send(Method::POST, "/clients", &odd).await;
    assert!(refused.status == 422 && refused.text().contains(sector), "{}", refused.text());
    let robot = json!({ "name": "Robot", "preset": "m2m", "options": { "protocol": { "subject_type": "pairwise",
        "sector_identifier": "shop.test" } } });
    assert_eq!(server.admin.send(Method::POST, "/clients", &robot).await.status, 422);
    let both = server.admin.client(document(&several, json!({ "sector_identifier": "test.example" }))).await;
    for (client, shown) in [
        (both, json!(["pairwise", "test.example"])),
        (of_site(&server, "shop.test", json!({})).await, json!(["pairwise", "shop.test"])),
        (held_to(&server, json!({})).await, json!(["public", null])),
    ] {
        let document = server.admin.get(&format!("/clients/{}", client.id)).await.json();
        let protocol = &document["settings"]["protocol"];
        assert_eq!(json!([protocol["subject_type"], protocol["sector_identifier"]]), shown);
    }
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["subject_types_supported"], json!(["pairwise", "public"]));
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_1_a_client_names_people_by_the_subject_that_it_knows(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let shop = of_site(&server, "shop.test", json!({})).await;
    let (of_ada, of_bob) = (tokens(&server, &shop, &ada).await, tokens(&server, &shop, &bob).await);
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    let silent = || AuthorizeRequest::of(&shop).with("prompt", "none");
    let named =
        |sub: &str| silent().with("claims", &json!({ "id_token": { "sub": { "value": sub } } }).to_string());
    let hinted = |tokens: &Answer| silent().with("id_token_hint", &tokens.member("id_token"));
    visitor.authorize(&named(&subject(&of_ada)), &ada).await.code();
    visitor.authorize(&hinted(&of_ada), &ada).await.code();
    for other in [named(&subject(&of_bob)), named(&ada.sub), hinted(&of_bob)] {
        assert_eq!(visitor.authorize(&other, &ada).await.error(), "login_required", "{other:?}");
    }
}

#[rstest]
#[tokio::test]
async fn section_8_signing_out_and_revoking_know_the_subject(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let shop = of_site(&server, "shop.test", json!({})).await;
    let mut visitor = server.visitor();
    let request = AuthorizeRequest::of(&shop);
    let callback = visitor.authorize(&request, &ada).await;
    let bought = server.machine.redeem(&shop, &request, &callback).await;
    let of_bob = tokens(&server, &shop, &bob).await;
    let logout = |tokens: &Answer| {
        let bye = "https%3A%2F%2Frp.test%2Fbye";
        format!("/logout?id_token_hint={}&post_logout_redirect_uri={bye}", tokens.member("id_token"))
    };
    let asked = visitor.open(&logout(&of_bob)).await;
    assert_eq!(
        (asked.status.as_u16(), asked.location()),
        (200, None),
        "the hint of somebody else asks first"
    );
    let done = visitor.open(&logout(&bought)).await;
    assert_eq!(done.location().map(|target| target.to_string()).as_deref(), Some("https://rp.test/bye"));
    assert!(!server.machine.is_active(&shop, &bought.member("access_token")).await);
    // Whoever is switched off is, by whatever name.
    let refresh = of_bob.member("refresh_token");
    server.admin.post(&format!("/users/{}/disable", bob.id), &json!({})).await;
    assert!(!server.machine.is_active(&shop, &of_bob.member("access_token")).await);
    assert_eq!(server.machine.refresh(&shop, &refresh).await.error(), "invalid_grant");
    assert_eq!(server.machine.userinfo(&of_bob.member("access_token")).await.status, 401);
}

//! OAuth 2.0 Token Exchange ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)): who may, and how far.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::rfc8693::{GRANT, SCOPES, STOCK, World, refusal, said};

#[rstest]
#[tokio::test]
async fn section_5_roles_of_the_same_api_are_those_of_the_token(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let same = json!({ "name": "Narrower", "preset": "service", "serves": world.orders.id, "scopes": "read",
        "apis": [world.orders.id], "options": { "protocol": { "token_exchange": { "apis": [world.orders.id] } } } });
    let same = world.server.admin.client(same).await;
    let subject = world.subject().await;
    world.server.admin.assign(&world.orders, "editor", &world.ada.id).await;
    let answer = world.exchange_as(&same, &subject, &[("scope", "read")]).await;
    let claims = jwt::claims(&answer.member("access_token"));
    assert_eq!(claims["roles"], json!(["viewer"]), "the one that came later is not in the token");
    assert_eq!((&claims["scope"], &claims["aud"]), (&json!("read"), &json!(world.orders.audience)));
}

#[rstest]
#[tokio::test]
async fn section_5_what_a_user_granted_to_an_application_reaches_no_other_api(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let server = &world.server;
    let both = [world.orders.id.as_str(), world.stock.id.as_str()];
    let document = |first_party: bool| {
        json!({ "name": "Portal", "preset": "web", "redirect_uris": ["https://rp.test/cb"], "scopes": SCOPES,
            "apis": both, "options": { "first_party": first_party, "protocol": { "token_exchange": { "apis": both } } } })
    };
    for ours in [false, true] {
        let portal = server.admin.client(document(ours)).await;
        let request =
            AuthorizeRequest::of(&portal).with("scope", "read").with("resource", &world.orders.audience);
        let token = server.tokens(&portal, &request, &world.ada).await.member("access_token");
        let narrower = world.exchange_as(&portal, &token, &[("audience", "https://orders.test")]).await;
        assert_eq!(narrower.status, 200, "what was granted: {}", narrower.text());
        // Also not by a detour over a token that was exchanged already.
        for token in [token, narrower.member("access_token")] {
            let other = world.exchange_as(&portal, &token, STOCK).await;
            let expected = if ours { (200, String::new()) } else { said("invalid_target") };
            assert_eq!(refusal(&other), expected, "{}", other.text());
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_5_only_clients_that_may_exchange_tokens(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let subject = world.subject().await;
    assert_eq!(refusal(&world.exchange_as(&world.shop, &subject, STOCK).await), said("unauthorized_client"));
    let wrong = Registered { secret: Some(format!("pck_{}", "A".repeat(43))), ..world.service.clone() };
    assert_eq!(
        refusal(&world.exchange_as(&wrong, &subject, STOCK).await),
        (401, "invalid_client".to_owned())
    );
    // Another service that may exchange, and was not called.
    let other = json!({ "name": "Other", "preset": "service", "serves": world.stock.id, "apis": [world.stock.id],
        "options": { "protocol": { "token_exchange": { "apis": [world.stock.id] } } } });
    let other = world.server.admin.client(other).await;
    assert_eq!(refusal(&world.exchange_as(&other, &subject, STOCK).await), said("invalid_request"));
    // Taken away, it ends at once.
    let path = format!("/clients/{}", world.service.id);
    let etag = world.server.admin.get(&path).await.header("etag").to_owned();
    let less = json!({ "name": "Orders", "preset": "service", "serves": world.orders.id, "scopes": "read",
        "apis": [world.orders.id, world.stock.id] });
    let change = world.server.admin.request(Method::PUT, &path).await;
    assert_eq!(Answer::to(change.header("if-match", etag).json(&less)).await.status, 200);
    assert_eq!(refusal(&world.exchange(&subject, STOCK).await), said("unauthorized_client"));
}

#[rstest]
#[tokio::test]
async fn section_5_what_a_client_may_exchange_is_checked_as_a_whole(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let (orders, stock) = (&world.orders.id, &world.stock.id);
    let client = |preset: &str, apis: Value| {
        let mut document = json!({ "name": "x", "preset": preset, "apis": [orders],
            "options": { "protocol": { "token_exchange": { "apis": apis } } } });
        match preset {
            "service" => document["serves"] = json!(orders),
            "spa" | "web" => document["redirect_uris"] = json!(["https://rp.test/cb"]),
            _ => {}
        }
        document
    };
    let whole = "/options/protocol/token_exchange";
    for (document, pointer) in [
        (client("spa", json!([orders])), whole.to_owned()),
        (client("device", json!([orders])), whole.to_owned()),
        (client("web", json!([])), format!("{whole}/apis")),
        (client("service", json!([stock])), format!("{whole}/apis/0")),
        (client("m2m", json!([orders, "x"])), format!("{whole}/apis/1")),
    ] {
        let refused = world.server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{document}");
        assert!(refused.text().contains(&format!("\"{pointer}\"")), "{document}: {}", refused.text());
    }
    let made = world.server.admin.post("/clients", &client("service", json!([orders]))).await;
    let shown = &made["client"]["settings"]["protocol"]["token_exchange"];
    assert_eq!(shown, &json!({ "apis": [orders], "impersonation": false }));
    assert_eq!(made["client"]["grants"], json!(["client_credentials", GRANT]));
}

//! Resource Indicators for OAuth 2.0 ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)), with scopes that belong to APIs.

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::markup::text_of;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Person;
use rstest::rstest;
use serde_json::{Value, json};

const SCOPES: &str = "openid offline_access orders:read orders:write stock:read audit";

/// Two APIs with scopes of their own, one without, and clients for all of them.
struct World {
    server: TestServer,
    ada: Person,
    orders: RegisteredApi,
    stock: RegisteredApi,
    open: RegisteredApi,
    shop: Registered,
}

impl World {
    async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let ada = server.admin.user("ada").await;
        let orders = api(&server, "https://orders.test", "orders:read orders:write").await;
        let stock = api(&server, "https://stock.test", "stock:read").await;
        let open = server.admin.api("https://open.test").await;
        let apis = [&orders.id, &stock.id, &open.id];
        let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "scopes": SCOPES, "apis": apis });
        let shop = server.admin.client(shop).await;
        Self { server, ada, orders, stock, open, shop }
    }

    fn request(&self, scope: &str, resources: &[&str]) -> AuthorizeRequest {
        let request = AuthorizeRequest::of(&self.shop).with("scope", scope);
        resources.iter().fold(request, |request, resource| request.and("resource", resource))
    }

    async fn granted(&self, request: &AuthorizeRequest) -> Callback {
        let callback = self.server.visitor().authorize(request, &self.ada).await;
        assert_eq!(callback.error(), "", "{request:?}");
        callback
    }

    async fn redeem(&self, request: &AuthorizeRequest, callback: &Callback, resource: &str) -> Answer {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", callback.code()),
            ("redirect_uri", request.get("redirect_uri")),
            ("code_verifier", &request.pkce.verifier),
        ];
        fields.extend((!resource.is_empty()).then_some(("resource", resource)));
        self.server.machine.token(&self.shop, &fields).await
    }

    async fn refresh(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        fields.extend(more);
        self.server.machine.token(&self.shop, &fields).await
    }
}

async fn api(server: &TestServer, audience: &str, scopes: &str) -> RegisteredApi {
    let name = format!("API {audience}");
    let made = json!({ "audience": audience, "name": name, "scopes": scopes });
    let made = server.admin.post("/apis", &made).await;
    assert_eq!(made["scopes"], scopes);
    RegisteredApi { id: made["id"].as_str().unwrap().to_owned(), audience: audience.to_owned(), name }
}

/// What concerns the sign-in, and no API.
const OF_SIGN_IN: [&str; 2] = ["offline_access", "openid"];

/// Audience of the access token and the scopes of the answer. The token has to be there and to say the same, but for what an API is
/// not told.
fn said(answer: &Answer) -> (String, String) {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let claims = jwt::claims(&answer.member("access_token"));
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_told = |scope: &&str| text("aud") == text("iss") || !OF_SIGN_IN.contains(scope);
    let granted = answer.member("scope");
    let told: Vec<&str> = granted.split(' ').filter(is_told).collect();
    assert_eq!(text("scope"), told.join(" "));
    (text("aud"), granted)
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

fn pair(audience: &str, scopes: &str) -> (String, String) {
    (audience.to_owned(), scopes.to_owned())
}

#[rstest]
#[tokio::test]
async fn section_2_a_token_carries_only_the_scopes_of_its_resource(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let request = world.request("openid orders:read stock:read audit", &[&world.orders.audience]);
    let callback = world.granted(&request).await;
    let tokens = world.redeem(&request, &callback, "").await;
    assert_eq!(said(&tokens), pair("https://orders.test", "openid orders:read"));
    assert!(tokens.json()["id_token"].is_string(), "the sign-in is of no resource");
}

#[rstest]
#[tokio::test]
async fn section_2_an_api_without_scopes_takes_what_belongs_to_no_other(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let alone = world.request("orders:read audit", &[&world.open.audience]);
    let tokens = world.redeem(&alone, &world.granted(&alone).await, "").await;
    assert_eq!(said(&tokens), pair("https://open.test", "audit orders:read"));
    let beside = world.request("orders:read audit", &[&world.open.audience, &world.orders.audience]);
    let tokens = world.redeem(&beside, &world.granted(&beside).await, "https://open.test").await;
    assert_eq!(said(&tokens), pair("https://open.test", "audit"));
}

#[rstest]
#[tokio::test]
async fn section_2_what_cannot_be_granted_is_invalid_target(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let other = api(&world.server, "https://other.test", "other").await;
    let many: Vec<String> = (0..9).map(|n| format!("https://{n}.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for resources in [
        &["https://nobody.test"][..],
        &[&other.audience],
        &[&world.orders.audience, "https://nobody.test"],
        &["orders"],
        &["/orders"],
        &["https://orders.test#x"],
        &["https://orders.test/#"],
        &["https://orders.test/"],
        &many,
    ] {
        let request = world.request("openid orders:read", resources);
        let callback = world.server.visitor().authorize(&request, &world.ada).await;
        assert_eq!(callback.error(), "invalid_target", "{resources:?}");
        let fields = request.fields_without("client_id");
        let pushed = world.server.machine.post_as(&world.shop, "/par", &fields).await;
        assert_eq!(refusal(&pushed), (400, "invalid_target".to_owned()), "{resources:?}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_a_scope_that_no_resource_has_is_left_out_and_nothing_left_is_invalid_scope(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let request = world.request("orders:read stock:read", &[&world.stock.audience]);
    let tokens = world.redeem(&request, &world.granted(&request).await, "").await;
    assert_eq!(said(&tokens), pair("https://stock.test", "stock:read"));
    let nothing = world.request("orders:read", &[&world.stock.audience]);
    let callback = world.server.visitor().authorize(&nothing, &world.ada).await;
    assert_eq!(callback.error(), "invalid_scope");
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_resource_is_named_once_however_often_it_is_sent(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let twice = [world.orders.audience.as_str(), &world.orders.audience, &world.server.issuer];
    let request = world.request("openid orders:read", &twice);
    let tokens = world.redeem(&request, &world.granted(&request).await, "").await;
    assert_eq!(said(&tokens), pair("https://orders.test", "openid orders:read"));
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_code_for_several_resources_is_redeemed_for_one_and_refreshed_for_each(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    world.server.admin.assign(&world.stock, "viewer", &world.ada.id).await;
    let all = "openid offline_access orders:read stock:read";
    let request = world.request(all, &[&world.orders.audience, &world.stock.audience]);
    let callback = world.granted(&request).await;
    let first = world.redeem(&request, &callback, "https://orders.test").await;
    assert_eq!(said(&first), pair("https://orders.test", "offline_access openid orders:read"));
    let second = world.refresh(&first.member("refresh_token"), &[("resource", "https://stock.test")]).await;
    assert_eq!(said(&second), pair("https://stock.test", "offline_access openid stock:read"));
    assert_eq!(jwt::claims(&second.member("access_token"))["roles"], json!(["viewer"]));
    let third = world.refresh(&second.member("refresh_token"), &[("resource", "https://orders.test")]).await;
    assert_eq!(said(&third), pair("https://orders.test", "offline_access openid orders:read"));
    let issuer = world.server.issuer.clone();
    let fourth = world.refresh(&third.member("refresh_token"), &[("resource", &issuer)]).await;
    assert_eq!(said(&fourth), (issuer, "offline_access openid".to_owned()), "for userinfo");
}

#[rstest]
#[tokio::test]
async fn section_2_2_of_several_one_has_to_be_named_and_a_mistake_spends_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let all = "openid offline_access orders:read stock:read";
    let request = world.request(all, &[&world.orders.audience, &world.stock.audience]);
    let callback = world.granted(&request).await;
    for resource in ["", "https://open.test", "https://nobody.test"] {
        let refused = world.redeem(&request, &callback, resource).await;
        assert_eq!(refusal(&refused), (400, "invalid_target".to_owned()), "{resource}");
    }
    let tokens = world.redeem(&request, &callback, "https://stock.test").await;
    assert_eq!(said(&tokens).0, "https://stock.test", "the code was good all the while");
    let refresh = tokens.member("refresh_token");
    for (more, error) in [
        (&[][..], "invalid_target"),
        (&[("resource", "https://open.test")], "invalid_target"),
        (&[("resource", "https://orders.test"), ("scope", "stock:read")], "invalid_scope"),
        (&[("resource", "https://orders.test"), ("scope", "orders:write")], "invalid_scope"),
    ] {
        assert_eq!(refusal(&world.refresh(&refresh, more).await), (400, error.to_owned()), "{more:?}");
    }
    let narrow = [("resource", "https://orders.test"), ("scope", "orders:read stock:read")];
    let tokens = world.refresh(&refresh, &narrow).await;
    assert_eq!(said(&tokens), pair("https://orders.test", "orders:read"), "and the refresh token as well");
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_token_without_any_of_the_scopes_says_so(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let request = world.request("orders:read", &[&world.orders.audience, &world.stock.audience]);
    let tokens = world.redeem(&request, &world.granted(&request).await, "https://stock.test").await;
    assert_eq!(tokens.json()["scope"], "", "no scope at all would mean the ones that were asked for");
    assert_eq!(jwt::claims(&tokens.member("access_token")).get("scope"), None);
}

#[rstest]
#[tokio::test]
async fn section_2_2_what_the_client_may_not_reach_any_more_is_not_granted(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let all = "openid offline_access orders:read stock:read";
    let request = world.request(all, &[&world.orders.audience, &world.stock.audience]);
    let callback = world.granted(&request).await;
    let tokens = world.redeem(&request, &callback, "https://orders.test").await;
    let place = format!("/clients/{}", world.shop.id);
    let known = world.server.admin.get(&place).await;
    let less = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "scopes": SCOPES, "apis": [world.orders.id] });
    let update = world.server.admin.request(reqwest::Method::PUT, &place).await;
    let updated = Answer::to(update.header("if-match", known.header("etag")).json(&less)).await;
    assert_eq!(updated.status, 200, "{}", updated.text());
    let refused = world.refresh(&tokens.member("refresh_token"), &[("resource", "https://stock.test")]).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_machine_gets_what_it_registered_of_the_resource(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let machine = json!({ "name": "Job", "preset": "m2m", "apis": [world.orders.id, world.stock.id],
        "scopes": "orders:read stock:read" });
    let machine = world.server.admin.client(machine).await;
    let ask = async |more: &[(&str, &str)]| {
        let mut fields = vec![("grant_type", "client_credentials"), ("resource", "https://orders.test")];
        fields.extend(more);
        world.server.machine.token(&machine, &fields).await
    };
    assert_eq!(said(&ask(&[]).await), pair("https://orders.test", "orders:read"));
    assert_eq!(said(&ask(&[("scope", "orders:read")]).await), pair("https://orders.test", "orders:read"));
    let foreign = ask(&[("scope", "orders:read stock:read")]).await;
    assert_eq!(
        refusal(&foreign),
        (400, "invalid_scope".to_owned()),
        "what a machine asks for is all granted or refused"
    );
    let before = world.server.statements();
    ask(&[]).await;
    assert_eq!(world.server.statements() - before, 0, "no statement");
}

#[rstest]
#[tokio::test]
async fn section_3_people_see_what_belongs_to_which_resource_and_are_asked_for_each(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let all = "openid orders:read stock:read";
    let request = world.request(all, &[&world.orders.audience, &world.stock.audience]);
    let mut visitor = world.server.visitor();
    visitor.sign_in(&world.ada).await;
    let page = visitor.open(&request.path()).await.text();
    let place = |id: &str| page.find(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}: {page}"));
    let at = |text: &str| page.find(text).unwrap_or_else(|| panic!("{text}: {page}"));
    assert!(text_of(&page, "consent-api").unwrap().contains(&world.orders.name));
    assert!(text_of(&page, "consent-api-2").unwrap().contains(&world.stock.name));
    let order = [place("consent-api"), at("orders:read"), place("consent-api-2"), at("stock:read")];
    assert!(order.is_sorted(), "{order:?}");
    visitor.authorize(&request, &world.ada).await;
    // Each place is remembered by itself.
    let silent = async |visitor: &mut portcullis_tests::visitor::Visitor, scope: &str, resources: &[&str]| {
        let request = world.request(scope, resources).with("prompt", "none");
        let answer = visitor.open(&request.path()).await;
        Callback::of(&answer.location().unwrap()).error().to_owned()
    };
    assert_eq!(silent(&mut visitor, "openid stock:read", &["https://stock.test"]).await, "");
    assert_eq!(silent(&mut visitor, all, &["https://stock.test", "https://orders.test"]).await, "");
    let more = "openid orders:read orders:write";
    assert_eq!(silent(&mut visitor, more, &["https://orders.test"]).await, "consent_required");
    let open = ["https://stock.test", "https://open.test"];
    assert_eq!(silent(&mut visitor, "openid stock:read", &open).await, "consent_required");
}

#[rstest]
#[tokio::test]
async fn section_3_the_scopes_of_an_api_are_changed_and_never_those_of_the_sign_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let place = format!("/apis/{}", world.stock.id);
    let put = async |document: Value| {
        let known = world.server.admin.get(&place).await;
        let update = world.server.admin.request(reqwest::Method::PUT, &place).await;
        Answer::to(update.header("if-match", known.header("etag")).json(&document)).await
    };
    let same = put(json!({ "name": "Stock", "access_token_ttl_secs": 300 })).await;
    assert_eq!(same.json()["scopes"], "stock:read", "left as they are");
    let wide =
        put(json!({ "name": "Stock", "access_token_ttl_secs": 300, "scopes": "stock:read audit" })).await;
    assert_eq!(wide.json()["scopes"], "audit stock:read");
    let refused = put(json!({ "name": "Stock", "access_token_ttl_secs": 300, "scopes": "openid" })).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    let request = world.request("audit", &["https://stock.test"]);
    let tokens = world.redeem(&request, &world.granted(&request).await, "").await;
    assert_eq!(said(&tokens), pair("https://stock.test", "audit"));
}

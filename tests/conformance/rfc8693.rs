//! OAuth 2.0 Token Exchange ([RFC 8693](https://www.rfc-editor.org/rfc/rfc8693)): what is exchanged.

use std::time::Duration;

use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use rstest::rstest;
use serde_json::{Value, json};

pub(crate) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
pub(crate) const SCOPES: &str = "openid offline_access read write audit";

/// A shop where people sign in, the service that it calls, and the one that the service calls.
pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) ada: Person,
    pub(crate) orders: RegisteredApi,
    pub(crate) stock: RegisteredApi,
    pub(crate) shop: Registered,
    pub(crate) service: Registered,
}

impl World {
    pub(crate) async fn on(database: Database) -> Self {
        Self::with(database, &json!({})).await
    }

    /// `more` is what the service is given beyond exchanging tokens for the stock.
    async fn with(database: Database, more: &Value) -> Self {
        Box::pin(Self::made(database, more)).await
    }

    async fn made(database: Database, more: &Value) -> Self {
        let server = TestServer::start_on(database).await;
        let (orders, stock) =
            (server.admin.api("https://orders.test").await, server.admin.api("https://stock.test").await);
        let ada = server.admin.user("ada").await;
        server.admin.assign(&orders, "viewer", &ada.id).await;
        server.admin.assign(&stock, "editor", &ada.id).await;
        let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "scopes": SCOPES, "apis": [orders.id] });
        let mut exchange = json!({ "apis": [stock.id] });
        exchange.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let service = json!({ "name": "Orders", "preset": "service", "serves": orders.id, "scopes": "read audit",
            "apis": [orders.id, stock.id], "options": { "protocol": { "token_exchange": exchange } } });
        let (shop, service) = (server.admin.client(shop).await, server.admin.client(service).await);
        Self { server, ada, orders, stock, shop, service }
    }

    /// What the shop calls the service with.
    async fn token(&self, visitor: &mut Visitor, scopes: &str) -> String {
        let request =
            AuthorizeRequest::of(&self.shop).with("scope", scopes).with("resource", &self.orders.audience);
        let callback = visitor.authorize(&request, &self.ada).await;
        let tokens = self.server.machine.redeem(&self.shop, &request, &callback).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        tokens.member("access_token")
    }

    pub(crate) async fn subject(&self) -> String {
        self.token(&mut self.server.visitor(), "openid read write").await
    }

    pub(crate) async fn exchange_as(
        &self,
        client: &Registered,
        subject: &str,
        more: &[(&str, &str)],
    ) -> Answer {
        let mut fields =
            vec![("grant_type", GRANT), ("subject_token", subject), ("subject_token_type", ACCESS_TOKEN)];
        fields.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
        fields.extend(more.iter().filter(|(_, value)| !value.is_empty()));
        self.server.machine.token(client, &fields).await
    }

    pub(crate) async fn exchange(&self, subject: &str, more: &[(&str, &str)]) -> Answer {
        self.exchange_as(&self.service, subject, more).await
    }

    /// For the stock.
    async fn exchanged(&self, subject: &str, more: &[(&str, &str)]) -> Value {
        let fields: Vec<_> =
            [("resource", "https://stock.test")].into_iter().chain(more.iter().copied()).collect();
        let answer = self.exchange(subject, &fields).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        jwt::claims(&answer.member("access_token"))
    }
}

pub(crate) const STOCK: &[(&str, &str)] = &[("resource", "https://stock.test")];

pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

pub(crate) fn said(error: &str) -> (u16, String) {
    (400, error.to_owned())
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_service_calls_another_for_the_user_and_the_token_says_so(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let subject = world.subject().await;
    let answer = world.exchange(&subject, STOCK).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    let body = answer.json();
    assert_eq!(body["issued_token_type"], ACCESS_TOKEN, "section 2.2.1");
    assert_eq!((&body["token_type"], &body["scope"]), (&json!("Bearer"), &json!("read")));
    assert_eq!((&body["refresh_token"], &body["id_token"]), (&json!(null), &json!(null)));
    let (claims, before) = (jwt::claims(&answer.member("access_token")), jwt::claims(&subject));
    assert_eq!(claims["aud"], world.stock.audience);
    assert_eq!(claims["client_id"], world.service.id);
    assert_eq!(claims["act"], json!({ "sub": world.service.id }), "section 4.1");
    assert_eq!(claims["roles"], json!(["editor"]), "those of the user there");
    for same in ["iss", "sub", "sid", "gid", "org", "auth_time", "acr", "amr"] {
        assert_eq!(claims[same], before[same], "{same}");
    }
    assert_ne!(claims["jti"], before["jti"]);
    let guard = world.server.admin.guard_client(&world.stock).await;
    let told = world.server.machine.introspect(&guard, &answer.member("access_token")).await.json();
    assert_eq!((&told["active"], &told["act"]), (&json!(true), &claims["act"]), "{told}");
}

#[rstest]
#[tokio::test]
async fn section_2_1_and_2_2_2_the_target_is_named_by_resource_or_audience_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let subject = world.subject().await;
    let both = [("resource", "https://stock.test"), ("audience", "https://stock.test")];
    for fields in [&both[..1], &both[1..], &both[..]] {
        assert_eq!(world.exchange(&subject, fields).await.status, 200, "{fields:?}");
    }
    let two = [("resource", "https://stock.test"), ("audience", "https://orders.test")];
    let several = [("resource", "https://stock.test"), ("resource", "https://orders.test")];
    let admin = world.server.machine.url("/api");
    let issuer = world.server.issuer.clone();
    for fields in [
        &two[..],
        &several[..],
        &[("resource", "https://nobody.test")],
        &[("resource", "https://orders.test")],
        &[("audience", &*admin)],
        &[("audience", &*issuer)],
        // Without a target it is the one of the token, which the service serves but may not exchange for.
        &[],
    ] {
        assert_eq!(refusal(&world.exchange(&subject, fields).await), said("invalid_target"), "{fields:?}");
    }
    let twice = [("audience", "https://stock.test"), ("audience", "https://stock.test")];
    assert_eq!(refusal(&world.exchange(&subject, &twice).await), said("invalid_request"));
}

#[rstest]
#[tokio::test]
async fn section_2_1_scopes_only_shrink(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let subject = world.token(&mut world.server.visitor(), "openid offline_access read write").await;
    let claims = world.exchanged(&subject, &[("scope", "read")]).await;
    assert_eq!(claims["scope"], "read");
    for (scope, why) in [
        ("audit", "the service may, the token does not have it"),
        ("write", "the token has it, the service may not"),
        ("read audit", "one of them"),
        ("openid", "nobody signs in"),
        ("read  audit", "malformed"),
    ] {
        let fields = [("resource", "https://stock.test"), ("scope", scope)];
        assert_eq!(refusal(&world.exchange(&subject, &fields).await), said("invalid_scope"), "{why}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_token_never_lives_longer_than_the_one_it_is_made_of(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let subject = world.subject().await;
    world.server.wait(Duration::from_secs(200));
    let answer = world.exchange(&subject, STOCK).await;
    // In whole seconds, rounded down.
    let left = answer.json()["expires_in"].as_u64().unwrap();
    assert!((99..=100).contains(&left), "{}", answer.text());
    let claims = jwt::claims(&answer.member("access_token"));
    assert_eq!(claims["exp"], jwt::claims(&subject)["exp"]);
    world.server.wait(Duration::from_secs(100));
    assert_eq!(refusal(&world.exchange(&subject, STOCK).await), said("invalid_request"), "it expired");
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_new_token_ends_with_the_session_and_the_grant(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let guard = world.server.admin.guard_client(&world.stock).await;
    let mut visitor = world.server.visitor();
    let subject = world.token(&mut visitor, "openid read").await;
    let made = world.exchange(&subject, STOCK).await.member("access_token");
    assert!(world.server.machine.is_active(&guard, &made).await);
    let account = visitor.open("/account").await;
    visitor.submit(&the_form(&account, "sign-out-form")).await;
    assert!(!world.server.machine.is_active(&guard, &made).await, "its session is over");
    assert_eq!(refusal(&world.exchange(&subject, STOCK).await), said("invalid_request"));
    // A token that was revoked, and one of a user who was disabled.
    let revoked = world.subject().await;
    world.server.machine.revoke(&world.shop, &revoked).await;
    assert_eq!(refusal(&world.exchange(&revoked, STOCK).await), said("invalid_request"));
    let left = world.subject().await;
    world.server.admin.post(&format!("/users/{}/disable", world.ada.id), &json!({})).await;
    assert_eq!(refusal(&world.exchange(&left, STOCK).await), said("invalid_request"));
}

#[rstest]
#[tokio::test]
async fn section_2_2_2_what_is_no_token_for_this_client_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let subject = world.subject().await;
    let request = AuthorizeRequest::of(&world.shop);
    let tokens = world.server.tokens(&world.shop, &request, &world.ada).await;
    let foreign = tokens.member("access_token");
    let own = world.server.machine.client_credentials(&world.service, &world.orders.audience).await;
    let cases = [
        (jwt::damaged(&subject), "its signature"),
        ("x.y.z".to_owned(), "no token"),
        (tokens.member("id_token"), "an ID token in its place"),
        (foreign, "for userinfo: the service has it from nowhere"),
        (own.member("access_token"), "of the client itself: it speaks for no user"),
    ];
    for (token, why) in &cases {
        assert_eq!(refusal(&world.exchange(token, STOCK).await), said("invalid_request"), "{why}");
    }
    for (name, value) in [
        ("subject_token_type", ID_TOKEN),
        ("subject_token_type", ""),
        ("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
        ("actor_token_type", ACCESS_TOKEN),
        ("actor_token", "x"),
    ] {
        let fields = [("resource", "https://stock.test"), (name, value)];
        assert_eq!(
            refusal(&world.exchange(&subject, &fields).await),
            said("invalid_request"),
            "{name}={value}"
        );
    }
    assert_eq!(refusal(&world.exchange("", STOCK).await), said("invalid_request"), "none");
}

#[rstest]
#[tokio::test]
async fn section_4_1_actors_are_named_and_stand_before_those_who_acted(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let subject = world.subject().await;
    // A supporter acts for the user; both came to the service.
    let bob = world.server.admin.user("bob").await;
    let request =
        AuthorizeRequest::of(&world.shop).with("scope", "read").with("resource", &world.orders.audience);
    let actor = world.server.tokens(&world.shop, &request, &bob).await.member("access_token");
    let named = [("actor_token", actor.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    let claims = world.exchanged(&subject, &named).await;
    assert_eq!((&claims["sub"], &claims["act"]), (&json!(world.ada.sub), &json!({ "sub": bob.sub })));
    // The next service down the line.
    let bins = world.server.admin.api("https://bins.test").await;
    let next = json!({ "name": "Stock", "preset": "service", "serves": world.stock.id, "scopes": "read",
        "apis": [bins.id], "options": { "protocol": { "token_exchange": { "apis": [bins.id] } } } });
    let next = world.server.admin.client(next).await;
    let first = world.exchange(&subject, STOCK).await.member("access_token");
    let second = world.exchange_as(&next, &first, &[("audience", "https://bins.test")]).await;
    let claims = jwt::claims(&second.member("access_token"));
    assert_eq!(claims["act"], json!({ "sub": next.id, "act": { "sub": world.service.id } }));
    assert_eq!(claims["sub"], world.ada.sub);
    // Nobody acts for herself: who does would be hidden.
    let herself = [("actor_token", subject.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    let fields: Vec<_> = STOCK.iter().chain(&herself).copied().collect();
    assert_eq!(refusal(&world.exchange(&subject, &fields).await), said("invalid_request"));
    // An actor who is acted for is none.
    let acted = [("actor_token", first.as_str()), ("actor_token_type", ACCESS_TOKEN)];
    let fields: Vec<_> = STOCK.iter().chain(&acted).copied().collect();
    assert_eq!(refusal(&world.exchange(&subject, &fields).await), said("invalid_request"));
    // Nor is one whose token ended.
    world.server.machine.revoke(&world.shop, &actor).await;
    let fields: Vec<_> = STOCK.iter().chain(&named).copied().collect();
    assert_eq!(refusal(&world.exchange(&subject, &fields).await), said("invalid_request"));
}

#[rstest]
#[tokio::test]
async fn section_4_1_a_chain_of_actors_has_an_end(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let stock = json!({ "name": "Loop", "preset": "service", "serves": world.stock.id, "scopes": "read",
        "apis": [world.stock.id], "options": { "protocol": { "token_exchange": { "apis": [world.stock.id] } } } });
    let stock = world.server.admin.client(stock).await;
    let mut token = world.exchange(&world.subject().await, STOCK).await.member("access_token");
    for _ in 0..4 {
        let answer = world.exchange_as(&stock, &token, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        token = answer.member("access_token");
    }
    assert_eq!(refusal(&world.exchange_as(&stock, &token, &[]).await), said("invalid_request"));
}

#[rstest]
#[tokio::test]
async fn section_1_1_only_who_may_passes_for_the_user_and_that_is_noted(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::with(database, &json!({ "impersonation": true })).await;
    let subject = world.subject().await;
    let claims = world.exchanged(&subject, &[]).await;
    assert_eq!((&claims["act"], &claims["sub"]), (&json!(null), &json!(world.ada.sub)));
    assert_eq!(claims["client_id"], world.service.id);
    let trail = world.server.admin.get("/audit").await.text();
    assert!(trail.contains("user.impersonated") && trail.contains(&world.service.id), "{trail}");
    // With an actor it is a delegation all the same.
    let own = world.server.machine.client_credentials(&world.service, &world.orders.audience).await;
    let own = own.member("access_token");
    let claims =
        world.exchanged(&subject, &[("actor_token", &own), ("actor_token_type", ACCESS_TOKEN)]).await;
    assert_eq!(claims["act"], json!({ "sub": world.service.id }));
}

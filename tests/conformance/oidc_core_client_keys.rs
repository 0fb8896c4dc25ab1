//! Keys that clients publish: OpenID Connect Core §10.1.1 (<https://openid.net/specs/openid-connect-core-1_0.html>), `jwks_uri` of
//! [RFC 7591 §2](https://www.rfc-editor.org/rfc/rfc7591#section-2).

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::keys_at::KeysAt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

/// A client that publishes its keys, and the API that it asks tokens for.
struct Scene {
    server: TestServer,
    client: Registered,
    published: KeysAt,
    keys: SigningKeys,
    audience: String,
}

impl Scene {
    async fn on(database: Database) -> Self {
        let server = start(database).await;
        let keys = SigningKeys::generate();
        let published = KeysAt::start(keys.public_jwks()).await;
        let api = server.admin.api("https://orders.test").await;
        let document = json!({ "name": "Signer", "preset": "m2m", "apis": [api.id],
            "options": { "jwks_uri": published.uri } });
        let client = server.admin.client(document).await;
        Self { server, client, published, keys, audience: api.audience }
    }

    async fn ask(&self, keys: &SigningKeys) -> Answer {
        let proof = assertion_fields(keys, &self.client.id, &self.server.issuer, self.server.clock.now());
        let mut fields = vec![("grant_type", "client_credentials"), ("resource", &*self.audience)];
        fields.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
        self.server.machine.post("/token", &fields).await
    }

    async fn status(&self, keys: &SigningKeys) -> u16 {
        self.ask(keys).await.status.as_u16()
    }
}

async fn start(database: Database) -> TestServer {
    TestServer::start_with(database, |config| {
        config.reach.outbound.allow = vec!["127.0.0.1".parse().expect("an address")];
    })
    .await
}

#[rstest]
#[tokio::test]
async fn section_10_1_assertions_are_verified_by_what_the_client_publishes_fetched_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    assert_eq!(scene.published.asked(), 0, "nothing is fetched when a client is registered");
    for _ in 0..3 {
        assert_eq!(scene.status(&scene.keys).await, 200);
    }
    assert_eq!(scene.published.asked(), 1);
    scene.server.wait(Duration::from_mins(10));
    assert_eq!(scene.status(&scene.keys).await, 200);
    assert_eq!(scene.published.asked(), 2, "after ten minutes it is asked again");
}

#[rstest]
#[tokio::test]
async fn section_10_1_1_a_new_key_counts_at_once_and_made_up_ones_are_looked_for_now_and_then(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    assert_eq!(scene.status(&scene.keys).await, 200);
    scene.server.wait(Duration::from_secs(30));
    let next = SigningKeys::generate();
    scene.published.publish(Some(next.public_jwks()));
    assert_eq!(scene.status(&next).await, 200);
    assert_eq!(scene.published.asked(), 2);
    let old = scene.ask(&scene.keys).await;
    assert_eq!((old.status.as_u16(), old.error().as_str()), (401, "invalid_client"), "it was withdrawn");
    for _ in 0..5 {
        assert_eq!(scene.status(&SigningKeys::generate()).await, 401);
    }
    assert_eq!(scene.published.asked(), 2, "not for each stranger");
    scene.server.wait(Duration::from_secs(30));
    assert_eq!(scene.status(&SigningKeys::generate()).await, 401);
    assert_eq!(scene.published.asked(), 3);
}

#[rstest]
#[tokio::test]
async fn section_10_1_1_the_last_good_keys_are_kept_while_the_client_is_away_but_not_for_ever(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    assert_eq!(scene.status(&scene.keys).await, 200);
    for broken in [None, Some(json!("no key set")), Some(json!({ "keys": [] }))] {
        scene.published.publish(broken.clone());
        scene.server.wait(Duration::from_hours(1));
        assert_eq!(scene.status(&scene.keys).await, 200, "{broken:?}");
    }
    scene.server.wait(Duration::from_hours(24));
    let refused = scene.ask(&scene.keys).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (503, "temporarily_unavailable"));
    let asked = scene.published.asked();
    assert_eq!(scene.status(&scene.keys).await, 503);
    assert_eq!(scene.published.asked(), asked, "it is left alone for a moment");
    scene.published.publish(Some(scene.keys.public_jwks()));
    scene.server.wait(Duration::from_mins(1));
    assert_eq!(scene.status(&scene.keys).await, 200);
}

#[rstest]
#[tokio::test]
async fn section_6_1_signed_requests_are_verified_by_what_the_client_publishes(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = start(database).await;
    let ada = server.admin.user("ada").await;
    let keys = SigningKeys::generate();
    let published = KeysAt::start(keys.public_jwks()).await;
    let document = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "jwks_uri": published.uri, "protocol": { "require_signed_request_object": true } } });
    let client = server.admin.client(document).await;
    let request = AuthorizeRequest::of(&client);
    let path = |keys: &SigningKeys| {
        let object = keys.sign_as("oauth-authz-req+jwt", &request.object(&server.issuer));
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &client.id).append_pair("request", &object);
        format!("/authorize?{}", query.finish())
    };
    let callback = server.visitor().walk(&path(&keys), &ada).await;
    assert_eq!(callback.get("state"), request.get("state"));
    let refused = server.visitor().open(&path(&SigningKeys::generate())).await;
    let told = refused.location().map(String::from).unwrap_or_default() + refused.text().as_str();
    assert!(told.contains("invalid_request_object") || refused.status == 400, "{told}");
}

#[tokio::test]
async fn rfc_7591_section_2_where_keys_are_is_checked_with_the_rest() {
    let server = start(Sqlite).await;
    let at = |uri: &str| json!({ "name": "Signer", "preset": "m2m", "options": { "jwks_uri": uri } });
    let mut both = at("https://rp.test/jwks");
    both["jwks"] = SigningKeys::generate().public_jwks();
    let mut public = at("https://rp.test/jwks");
    public["preset"] = json!("spa");
    public["redirect_uris"] = json!(["https://rp.test/cb"]);
    let refused = [
        at("http://rp.test/jwks"),
        at("https://rp.test/jwks#a"),
        at("https://a:b@rp.test/jwks"),
        at("https://10.0.0.1/jwks"),
        at("https://169.254.169.254/latest"),
        at("https://[::1]/jwks"),
        at("https://0.0.0.0/jwks"),
        at("http://127.0.0.2/jwks"),
        at("file:///etc/passwd"),
        both,
        public,
    ];
    for document in refused {
        let answer = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(answer.status, 422, "{document}: {}", answer.text());
        assert!(answer.text().contains("/options/jwks_uri"), "{document}: {}", answer.text());
    }
    let made = server.admin.post("/clients", &at("https://rp.test/jwks?a=1")).await;
    assert_eq!(made["client"]["settings"]["jwks_uri"], "https://rp.test/jwks?a=1");
    assert_eq!(made["client"]["authentication"], "private_key_jwt");
    assert_eq!(made["client_secret"], Value::Null);
}

#[rstest]
#[tokio::test]
async fn rfc_7591_section_2_keys_move_from_the_registration_to_an_address_and_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::on(database).await;
    let path = format!("/clients/{}", scene.client.id);
    let change = async |document: Value| {
        let known = scene.server.admin.get(&path).await;
        let put = scene.server.admin.request(Method::PUT, &path).await;
        Answer::to(put.header("if-match", known.header("etag")).json(&document)).await
    };
    let apis = scene.server.admin.get("/apis").await.json();
    let api = apis["items"].as_array().unwrap().iter().find(|api| api["audience"] == scene.audience).unwrap();
    let document = |more: (&str, Value)| {
        let mut document = json!({ "name": "Signer", "preset": "m2m", "apis": [api["id"]] });
        document[more.0] = more.1;
        document
    };
    let registered = SigningKeys::generate();
    let changed = change(document(("jwks", registered.public_jwks()))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["settings"]["jwks_uri"], Value::Null);
    assert_eq!((scene.status(&registered).await, scene.status(&scene.keys).await), (200, 401));
    let changed = change(document(("options", json!({ "jwks_uri": scene.published.uri })))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!((scene.status(&registered).await, scene.status(&scene.keys).await), (401, 200));
}

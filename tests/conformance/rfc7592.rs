//! OAuth 2.0 Dynamic Client Registration Management ([RFC 7592](https://www.rfc-editor.org/rfc/rfc7592)).

use portcullis_server::config::Dynamic;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

pub(crate) async fn server(database: Database) -> TestServer {
    TestServer::start_with(database, |config| config.reach.registration.dynamic = Dynamic::Token).await
}

pub(crate) async fn registered(server: &TestServer) -> OwnRegistration {
    let token = server.initial_token(json!({})).await;
    OwnRegistration::of(&server.register(Some(&token), &web_metadata()).await)
}

pub(crate) async fn read(server: &TestServer, own: &OwnRegistration) -> Answer {
    server.about_registration(Method::GET, &own.path, Some(&own.token), None).await
}

/// What the client says when it changes itself: what it is, and what is new.
pub(crate) fn changed(own: &OwnRegistration, member: &str, value: Value) -> Value {
    let mut metadata = web_metadata();
    metadata["client_id"] = json!(own.client.id);
    metadata[member] = value;
    metadata
}

pub(crate) async fn update(server: &TestServer, own: &OwnRegistration, metadata: &Value) -> Answer {
    server.about_registration(Method::PUT, &own.path, Some(&own.token), Some(metadata)).await
}

pub(crate) fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_client_reads_its_registration(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let own = registered(&server).await;
    let answer = read(&server, &own).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("cache-control"), "no-store");
    for (member, value) in web_metadata().as_object().expect("an object") {
        assert_eq!(answer.json().get(member), Some(value), "{member}");
    }
    assert_eq!(answer.member("client_id"), own.client.id);
    assert_eq!(answer.member("registration_access_token"), own.token);
    assert_eq!(answer.json().get("client_secret"), None, "a secret is shown once");
    assert_eq!(own.path, format!("/register/{}", own.client.id));
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_client_replaces_its_registration_and_keeps_its_secret(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let own = registered(&server).await;
    let mut metadata = changed(&own, "redirect_uris", json!(["https://partner.test/new"]));
    metadata["client_name"] = json!("Partner 2");
    metadata["client_secret"] = json!(own.client.secret);
    let answer = update(&server, &own, &metadata).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let new = OwnRegistration::of(&answer);
    assert_eq!((answer.member("client_name").as_str(), &new.client.id), ("Partner 2", &own.client.id));
    let old = server.visitor().open(&AuthorizeRequest::of(&own.client).path()).await;
    assert_eq!((old.status.as_u16(), old.location()), (400, None), "the old address is gone");
    let mut client = new.client.clone();
    client.secret.clone_from(&own.client.secret);
    let tokens = server.tokens(&client, &AuthorizeRequest::of(&client), &ada).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_eq!(read(&server, &new).await.json().get("software_id"), None);
}

#[rstest]
#[tokio::test]
async fn section_5_a_change_brings_a_new_token_and_the_old_one_counts_until_that_is_shown(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let first = registered(&server).await;
    let second =
        OwnRegistration::of(&update(&server, &first, &changed(&first, "client_name", json!("B"))).await);
    assert_ne!(first.token, second.token);
    // The answer may have been lost: the client tries again with what it has.
    let third =
        OwnRegistration::of(&update(&server, &first, &changed(&first, "client_name", json!("C"))).await);
    assert_eq!(told(&read(&server, &second).await), (401, "invalid_token".to_owned()), "it was replaced");
    assert_eq!(read(&server, &third).await.member("client_name"), "C");
    assert_eq!(told(&read(&server, &first).await), (401, "invalid_token".to_owned()), "the new one arrived");
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_change_that_is_not_the_client_s_to_make_is_refused(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let own = registered(&server).await;
    let other = registered(&server).await;
    for (member, value, code) in [
        ("client_id", json!(other.client.id), "invalid_client_metadata"),
        ("client_id", Value::Null, "invalid_client_metadata"),
        ("client_secret", json!(other.client.secret), "invalid_client_metadata"),
        ("client_secret", json!("chosen"), "invalid_client_metadata"),
        ("registration_access_token", json!(own.token), "invalid_client_metadata"),
        ("registration_client_uri", json!("https://x.test"), "invalid_client_metadata"),
        ("client_secret_expires_at", json!(0), "invalid_client_metadata"),
        ("client_id_issued_at", json!(0), "invalid_client_metadata"),
        ("token_endpoint_auth_method", json!("none"), "invalid_client_metadata"),
        ("grant_types", json!(["client_credentials"]), "invalid_client_metadata"),
        ("scope", json!("admin"), "invalid_client_metadata"),
        ("redirect_uris", json!(["http://partner.test/cb"]), "invalid_redirect_uri"),
    ] {
        let answer = update(&server, &own, &changed(&own, member, value.clone())).await;
        assert_eq!(told(&answer), (400, code.to_owned()), "{member} {value}: {}", answer.text());
    }
    let unchanged = read(&server, &own).await;
    assert_eq!(unchanged.json()["redirect_uris"], web_metadata()["redirect_uris"]);
}

#[rstest]
#[tokio::test]
async fn section_2_3_a_client_that_goes_takes_everything_with_it(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let own = registered(&server).await;
    let tokens = server.tokens(&own.client, &AuthorizeRequest::of(&own.client), &ada).await;
    let gone = server.about_registration(Method::DELETE, &own.path, Some(&own.token), None).await;
    assert_eq!((gone.status.as_u16(), gone.text().as_str()), (204, ""));
    let refused = server.machine.refresh(&own.client, &tokens.member("refresh_token")).await;
    assert_eq!(told(&refused), (401, "invalid_client".to_owned()));
    assert_eq!(server.machine.userinfo(&tokens.member("access_token")).await.status, 401);
    for method in [Method::GET, Method::DELETE] {
        let answer = server.about_registration(method, &own.path, Some(&own.token), None).await;
        assert_eq!(told(&answer), (401, "invalid_token".to_owned()));
    }
    assert_eq!(server.admin.get("/registrations").await.json()["items"], json!([]));
}

#[rstest]
#[tokio::test]
async fn section_2_and_2_1_and_openid_registration_section_4_4_only_its_own_token_opens_a_registration(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let (own, other) = (registered(&server).await, registered(&server).await);
    let made = server.admin.web_client(&[]).await;
    let initial = server.initial_token(json!({})).await;
    let secret = own.client.secret.clone().expect("it has one");
    let admin = server.admin.token().await;
    let by_hand = format!("/register/{}", made.id);
    let nobody = "/register/cli_00000000000070008000000000000001";
    let document = "/register/https%3A%2F%2Fapp.example%2Fclient.json";
    for (path, token, why) in [
        (own.path.as_str(), other.token.as_str(), "of another client"),
        (&own.path, &initial, "an initial access token"),
        (&own.path, &secret, "the secret"),
        (&own.path, &admin, "of an administrator"),
        (&own.path, "x", "nonsense"),
        (&by_hand, &own.token, "a client that did not register itself"),
        (nobody, &own.token, "nobody"),
        (document, &own.token, "a document"),
    ] {
        for method in [Method::GET, Method::PUT, Method::DELETE] {
            let body = (method == Method::PUT).then(|| changed(&own, "client_name", json!("X")));
            let answer = server.about_registration(method.clone(), path, Some(token), body.as_ref()).await;
            assert_eq!(told(&answer), (401, "invalid_token".to_owned()), "{why} {method}");
        }
    }
    let none = server.about_registration(Method::GET, &own.path, None, None).await;
    assert_eq!(told(&none), (401, "invalid_token".to_owned()));
    assert_eq!(none.header("www-authenticate"), "Bearer realm=\"portcullis\"");
    assert_eq!(read(&server, &own).await.member("client_name"), "Partner");
}

#[rstest]
#[tokio::test]
async fn section_2_and_2_1_and_openid_registration_section_4_4_a_client_that_was_switched_off_changes_nothing(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let own = registered(&server).await;
    let body = json!({ "client": own.client.id });
    let newest = async || server.admin.get("/audit?limit=1").await.json()["items"][0].clone();
    let off = server.admin.send(Method::POST, "/registrations/disable", &body).await;
    assert_eq!(off.status, 204, "{}", off.text());
    server.look().await;
    let event = newest().await;
    assert_eq!((&event["action"], &event["target"]), (&json!("client.disabled"), &json!(own.client.id)));
    assert_eq!(told(&read(&server, &own).await), (403, "access_denied".to_owned()));
    let again = update(&server, &own, &changed(&own, "client_name", json!("X"))).await;
    assert_eq!(told(&again), (403, "access_denied".to_owned()));
    let gone = server.about_registration(Method::DELETE, &own.path, Some(&own.token), None).await;
    assert_eq!(told(&gone), (403, "access_denied".to_owned()));
    let on = server.admin.send(Method::POST, "/registrations/enable", &body).await;
    assert_eq!(on.status, 204, "{}", on.text());
    let event = newest().await;
    assert_eq!((&event["action"], &event["target"]), (&json!("client.enabled"), &json!(own.client.id)));
}

/// What the administrator says of a client, beside what it said itself.
pub(crate) async fn administered(server: &TestServer, own: &OwnRegistration, more: Value) -> Answer {
    let path = format!("/clients/{}", own.client.id);
    let mut document =
        json!({ "name": "Partner", "preset": "web", "redirect_uris": own.client.redirect_uris });
    if let (Some(whole), Value::Object(more)) = (document.as_object_mut(), more) {
        whole.extend(more);
    }
    let known = server.admin.get(&path).await;
    let request = server.admin.request(Method::PUT, &path).await.header("if-match", known.header("etag"));
    let answer = Answer::to(request.json(&document)).await;
    server.look().await;
    answer
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_client_cannot_make_itself_one_of_ours(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let own = registered(&server).await;
    let ours = administered(&server, &own, json!({ "options": { "first_party": true } })).await;
    assert_eq!(ours.status, 200, "{}", ours.text());
    // Trust was given to the client as it was: with where its answers go, it ends.
    let elsewhere = changed(&own, "redirect_uris", json!(["https://evil.test/cb"]));
    assert_eq!(update(&server, &own, &elsewhere).await.status, 200);
    let shown = server.admin.get(&format!("/clients/{}", own.client.id)).await.json();
    assert_eq!(shown["settings"]["first_party"], json!(false), "{shown}");
}

#[rstest]
#[tokio::test]
async fn section_2_2_hosts_bound_where_people_go_after_they_signed_out(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = server(database).await;
    let token = server.initial_token(json!({ "uses": 2, "redirect_hosts": ["partner.test"] })).await;
    let mut metadata = web_metadata();
    metadata["post_logout_redirect_uris"] = json!(["https://evil.test/bye"]);
    let refused = server.register(Some(&token), &metadata).await;
    assert_eq!(told(&refused), (400, "invalid_client_metadata".to_owned()), "{}", refused.text());
    metadata["post_logout_redirect_uris"] = json!(["https://partner.test/bye"]);
    let own = OwnRegistration::of(&server.register(Some(&token), &metadata).await);
    let moved = changed(&own, "post_logout_redirect_uris", json!(["https://evil.test/bye"]));
    assert_eq!(told(&update(&server, &own, &moved).await), (400, "invalid_client_metadata".to_owned()));
}

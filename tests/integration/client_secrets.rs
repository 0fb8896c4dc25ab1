//! Two secrets of a client at once, and the one method that it is registered for.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::{Field, basic};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const GRANT: Field<'_> = ("grant_type", "client_credentials");

async fn in_header(server: &TestServer, id: &str, secret: &str) -> u16 {
    let request = server.machine.request(Method::POST, "/token").header("authorization", basic(id, secret));
    Answer::to(request.form(&[GRANT])).await.status.as_u16()
}

async fn in_form(server: &TestServer, id: &str, secret: &str) -> u16 {
    server
        .machine
        .post("/token", &[GRANT, ("client_id", id), ("client_secret", secret)])
        .await
        .status
        .as_u16()
}

async fn by_assertion(server: &TestServer, id: &str, keys: &SigningKeys) -> u16 {
    let fields = assertion_fields(keys, id, &server.issuer, server.clock.now());
    let mut form = vec![GRANT];
    form.extend(fields.iter().map(|(name, value)| (*name, value.as_str())));
    server.machine.post("/token", &form).await.status.as_u16()
}

async fn known(server: &TestServer, client: &Registered) -> Vec<Value> {
    let listed = server.admin.get(&format!("/clients/{}/secrets", client.id)).await;
    assert_eq!(listed.status, 200, "{}", listed.text());
    listed.json()["items"].as_array().unwrap().clone()
}

#[rstest]
#[tokio::test]
async fn a_secret_is_replaced_while_both_work_and_one_sees_when_the_old_one_is_used_no_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let robot = server.admin.machine_client(&[]).await;
    let (id, old) = (robot.id.as_str(), robot.secret.clone().unwrap());
    let secrets = format!("/clients/{id}/secrets");
    assert_eq!(known(&server, &robot).await.len(), 1);
    let made = server.admin.post(&secrets, &Value::Null).await;
    let new = made["client_secret"].as_str().unwrap().to_owned();
    assert_eq!((in_header(&server, id, &old).await, in_header(&server, id, &new).await), (200, 200));
    server.app().note_secret_uses().await.unwrap();
    let both = known(&server, &robot).await;
    assert_eq!((both.len(), &both[0]["id"]), (2, &made["id"]), "the newest first: {both:?}");
    assert!(both.iter().all(|secret| secret["last_used_at"].is_string()), "{both:?}");
    assert!(!format!("{both:?}").contains(&new[4..]), "no secret is told again");
    let third = server.admin.send(Method::POST, &secrets, &Value::Null).await;
    assert_eq!((third.status.as_u16(), third.problem().as_str()), (409, "conflict"), "{}", third.text());
    server.wait(Duration::from_hours(1));
    let before = server.statements();
    assert_eq!(in_header(&server, id, &new).await, 200);
    assert_eq!(server.statements(), before, "a use costs no statement while the client waits");
    server.app().note_secret_uses().await.unwrap();
    let later = known(&server, &robot).await;
    assert_eq!(later[1]["last_used_at"], both[1]["last_used_at"], "nobody uses the old one");
    assert_ne!(later[0]["last_used_at"], both[0]["last_used_at"]);
    let retire = |secret: &Value| format!("{secrets}/{}", secret["id"].as_str().unwrap());
    let gone = server.admin.send(Method::DELETE, &retire(&both[1]), &Value::Null).await;
    assert_eq!(gone.status, 204, "{}", gone.text());
    assert_eq!((in_header(&server, id, &old).await, in_header(&server, id, &new).await), (401, 200));
    let again = server.admin.send(Method::DELETE, &retire(&both[1]), &Value::Null).await;
    assert_eq!(again.status, 404, "{}", again.text());
    let last = server.admin.send(Method::DELETE, &retire(&both[0]), &Value::Null).await;
    assert_eq!((last.status.as_u16(), in_header(&server, id, &new).await), (409, 200), "{}", last.text());
}

#[rstest]
#[tokio::test]
async fn a_secret_that_leaked_is_replaced_with_all_others(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let robot = server.admin.machine_client(&[]).await;
    let (id, first) = (robot.id.as_str(), robot.secret.clone().unwrap());
    let second = server.admin.post(&format!("/clients/{id}/secrets"), &Value::Null).await;
    let made = server.admin.post(&format!("/clients/{id}/secret"), &Value::Null).await;
    for (secret, status) in [
        (first.as_str(), 401),
        (second["client_secret"].as_str().unwrap(), 401),
        (made["client_secret"].as_str().unwrap(), 200),
    ] {
        assert_eq!(in_header(&server, id, secret).await, status);
    }
    assert_eq!(known(&server, &robot).await.len(), 1);
    let app = server.admin.native_client(&[]).await;
    let none = server.admin.send(Method::POST, &format!("/clients/{}/secrets", app.id), &Value::Null).await;
    assert_eq!(none.status, 409, "{}", none.text());
}

#[rstest]
#[tokio::test]
async fn a_client_uses_the_method_that_it_is_registered_for_and_no_other(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let keys = SigningKeys::generate();
    for (method, expected) in [
        ("client_secret_basic", [200, 401, 401]),
        ("client_secret_post", [401, 200, 401]),
        ("private_key_jwt", [401, 401, 200]),
    ] {
        let document = json!({ "name": "Robot", "preset": "m2m", "jwks": keys.public_jwks(),
            "options": { "authentication": { "token_endpoint_auth_method": method } } });
        let robot = server.admin.client(document).await;
        let (id, secret) =
            (robot.id.as_str(), robot.secret.clone().unwrap_or(format!("pck_{}", "A".repeat(43))));
        let answers = [
            in_header(&server, id, &secret).await,
            in_form(&server, id, &secret).await,
            by_assertion(&server, id, &keys).await,
        ];
        assert_eq!(answers, expected, "{method}");
        let bare = server.machine.post("/token", &[GRANT, ("client_id", id)]).await;
        assert_eq!((bare.status.as_u16(), bare.error().as_str()), (401, "invalid_client"), "{method}");
    }
    let unfixed = server.admin.machine_client(&[]).await;
    let (id, secret) = (unfixed.id.as_str(), unfixed.secret.clone().unwrap());
    assert_eq!((in_header(&server, id, &secret).await, in_form(&server, id, &secret).await), (200, 200));
}

#[rstest]
#[tokio::test]
async fn methods_that_cannot_work_are_refused_with_the_reason(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let method = |name: &str| json!({ "authentication": { "token_endpoint_auth_method": name } });
    for (document, reason) in [
        (json!({ "preset": "m2m", "options": method("client_secret_jwt") }), "private_key_jwt"),
        (json!({ "preset": "m2m", "options": method("magic") }), "expected one of"),
        (json!({ "preset": "m2m", "options": method("none") }), "`spa` and `native`"),
        (json!({ "preset": "m2m", "options": method("private_key_jwt") }), "registers its public keys"),
        (json!({ "preset": "m2m", "options": method("tls_client_auth") }), "the name in the certificate"),
        (
            json!({ "preset": "native", "redirect_uris": ["http://127.0.0.1/cb"],
                "options": method("client_secret_basic") }),
            "a person's device",
        ),
    ] {
        let mut whole = json!({ "name": "Robot" });
        whole.as_object_mut().unwrap().extend(document.as_object().unwrap().clone());
        let answer = server.admin.send(Method::POST, "/clients", &whole).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains(reason), "{reason}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn an_update_that_says_nothing_of_the_method_keeps_it_and_one_without_a_secret_gets_none(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let keys = SigningKeys::generate();
    let robot = json!({ "name": "Robot", "preset": "m2m",
        "options": { "authentication": { "token_endpoint_auth_method": "client_secret_basic" } } });
    let robot = server.admin.client(robot).await;
    let (id, secret) = (robot.id.as_str(), robot.secret.clone().unwrap());
    let update = async |document: Value| {
        let path = format!("/clients/{id}");
        let known = server.admin.get(&path).await;
        let request = server.admin.request(Method::PUT, &path).await.header("if-match", known.header("etag"));
        Answer::to(request.json(&document)).await
    };
    let renamed = update(json!({ "name": "Renamed", "preset": "m2m" })).await;
    assert_eq!(renamed.status, 200, "{}", renamed.text());
    let shown = &renamed.json()["settings"]["authentication"]["token_endpoint_auth_method"];
    assert_eq!(shown, "client_secret_basic");
    assert_eq!((in_header(&server, id, &secret).await, in_form(&server, id, &secret).await), (200, 401));
    let signs = json!({ "name": "Signs", "preset": "m2m", "jwks": keys.public_jwks(),
        "options": { "authentication": { "token_endpoint_auth_method": "private_key_jwt" } } });
    assert_eq!(update(signs).await.status, 200);
    assert_eq!((in_header(&server, id, &secret).await, by_assertion(&server, id, &keys).await), (401, 200));
    let back = json!({ "name": "Back", "preset": "m2m",
        "options": { "authentication": { "token_endpoint_auth_method": "client_secret_basic" } } });
    let refused = update(back).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
}

/// RFC 9101 §5: what signs a request is no matter of what proves who the client is.
#[rstest]
#[tokio::test]
async fn a_client_with_a_secret_signs_its_requests_by_keys_of_its_own(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let keys = SigningKeys::generate();
    let bank = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "jwks": keys.public_jwks(), "options": {
            "authentication": { "token_endpoint_auth_method": "client_secret_basic" },
            "protocol": { "require_signed_request_object": true } } });
    let bank = server.admin.client(bank).await;
    let request = AuthorizeRequest::of(&bank);
    let signed = keys.sign_as("oauth-authz-req+jwt", &request.object(&server.issuer));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &bank.id).append_pair("request", &signed);
    let callback = server.visitor().walk(&format!("/authorize?{}", query.finish()), &ada).await;
    let tokens = server.machine.redeem(&bank, &request, &callback).await;
    assert_eq!(tokens.status, 200, "by its secret: {}", tokens.text());
}

/// Weak ones among them: every secret is drawn, so that none can be guessed.
#[rstest]
#[tokio::test]
async fn nobody_chooses_a_secret(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let robot = server.admin.machine_client(&[]).await;
    let path = format!("/clients/{}", robot.id);
    let version = server.admin.get(&path).await.header("etag").to_owned();
    let good = json!({ "name": "Robot", "preset": "m2m" });
    for secret in ["", "secret", "hunter2", "correct horse battery staple of nobody's choice"] {
        for member in ["client_secret", "secret", "client_secret_digest"] {
            let mut document = good.clone();
            document[member] = json!(secret);
            let made = server.admin.send(Method::POST, "/clients", &document).await;
            assert_eq!(made.status, 400, "{member}: {}", made.text());
            assert!(made.text().contains(member), "{}", made.text());
            let update = server.admin.request(Method::PUT, &path).await.header("if-match", &version);
            let changed = Answer::to(update.json(&document)).await;
            assert_eq!(changed.status, 400, "{member}: {}", changed.text());
        }
        let document = json!({ "client_secret": secret });
        for drawn in ["secrets", "secret"] {
            let refused = server.admin.send(Method::POST, &format!("{path}/{drawn}"), &document).await;
            assert_eq!(refused.status, 400, "{drawn}: {}", refused.text());
            assert_eq!(refused.json()["errors"][0]["pointer"], "/client_secret", "{}", refused.text());
        }
        assert_ne!(in_header(&server, &robot.id, secret).await, 200);
        let drawn = Registered { secret: Some(secret.to_owned()), ..robot.clone() };
        assert_eq!(server.machine.introspect(&drawn, "x").await.status, 401);
    }
    assert_eq!(in_header(&server, &robot.id, robot.secret.as_deref().unwrap()).await, 200);
}

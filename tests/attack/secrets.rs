//! Group DA: what must never be written down.

use std::path::Path;

use portcullis_server::config::{Dynamic, SecretText};
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::assertion_fields;
use portcullis_tests::authorize::{AuthorizeRequest, random_text};
use portcullis_tests::ciba::CIBA;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::database::dump;
use portcullis_tests::device::DEVICE_CODE;
use portcullis_tests::holder::Holder;
use portcullis_tests::party::{Party, redemption};
use portcullis_tests::pinged::Pinged;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{BROWSER, SESSION};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

/// A walk through the server; every secret that appeared on the way, with its name.
async fn walk(server: &TestServer) -> Vec<(&'static str, String)> {
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let shop = server.admin.web_client(&[&orders]).await;
    let mut visitor = server.visitor();
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access email");
    let callback = visitor.authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let refreshed = server.machine.refresh(&shop, &tokens.member("refresh_token")).await;
    let machine_token =
        server.machine.client_credentials(&machine, &orders.audience).await.member("access_token");
    server.machine.introspect(&shop, &refreshed.member("access_token")).await;
    server.machine.redeem(&shop, &request, &callback).await;
    server.machine.userinfo("pcr_not_even_a_token_of_this_kind").await;
    vec![
        ("password", ada.password.clone()),
        ("e-mail address", "ada@example.org".to_owned()),
        ("code", callback.code().to_owned()),
        ("code verifier", request.pkce.verifier.clone()),
        ("access token", signature(&tokens.member("access_token"))),
        ("ID token", signature(&tokens.member("id_token"))),
        ("machine's token", signature(&machine_token)),
        ("refresh token", tokens.member("refresh_token")),
        ("second refresh token", refreshed.member("refresh_token")),
        ("client secret", shop.secret.clone().unwrap()),
        ("session", visitor.cookie(SESSION).unwrap().to_owned()),
        ("browser", visitor.cookie(BROWSER).unwrap().to_owned()),
    ]
}

/// Clients that sign, prove, push, wait for somebody elsewhere and register themselves: what they show and are given, with its name.
async fn walk_of_clients(server: &TestServer, pinged: &Pinged) -> Vec<(&'static str, String)> {
    let bea = server.admin.user("bea").await;
    let protocol = json!({ "device_grant": true, "backchannel_token_delivery_mode": "ping",
        "backchannel_client_notification_endpoint": pinged.uri });
    let party = Party::that_signs(server, &json!({ "options": { "protocol": protocol } })).await;
    let (mut visitor, holder) = (server.visitor(), Holder::generate());
    let request = AuthorizeRequest::of(&party.client);
    let pushed = party.post(server, "/par", &request.fields_without("client_id")).await.member("request_uri");
    let callback = visitor.walk(&party.brought(&pushed), &bea).await;
    visitor.open(&party.brought(&pushed)).await;
    let keys = party.keys.as_ref().unwrap();
    let [(_, kind), (_, assertion)] =
        assertion_fields(keys, &party.client.id, &server.issuer, server.clock.now());
    holder.greet(server).await;
    let proof = holder.proof(&holder.claims(server, "POST", "/token"));
    let mut fields = redemption(&request, &callback).to_vec();
    fields.extend([("client_assertion_type", &*kind), ("client_assertion", &*assertion)]);
    let redeem = async || {
        let request = server.machine.request(Method::POST, "/token").header("dpop", &proof).form(&fields);
        Answer::to(request).await.status.as_u16()
    };
    assert_eq!((redeem().await, redeem().await), (200, 401));
    let begun = party.post(server, "/device_authorization", &[("scope", "openid")]).await;
    let (device, user) = (begun.member("device_code"), begun.member("user_code"));
    visitor.decide_device(&user, &bea, "allow").await;
    let ping_token = random_text();
    let hint = [("scope", "openid"), ("login_hint", "bea"), ("client_notification_token", &*ping_token)];
    let asked = party.post(server, "/bc-authorize", &hint).await.member("auth_req_id");
    visitor.decide_request(&bea, "allow").await;
    server.app().tell_of_decisions().await.unwrap();
    for (grant, name, begun) in [(DEVICE_CODE, "device_code", &device), (CIBA, "auth_req_id", &asked)] {
        for status in [200, 400] {
            let taken = party.post(server, "/token", &[("grant_type", grant), (name, begun)]).await;
            assert_eq!(taken.status, status, "{name}: {}", taken.text());
        }
    }
    let initial = server.initial_token(json!({ "uses": 2 })).await;
    let own = OwnRegistration::of(&server.register(Some(&initial), &web_metadata()).await);
    for token in [&own.token, &initial] {
        server.about_registration(Method::GET, &own.path, Some(token), None).await;
    }
    vec![
        ("handle of a pushed request", pushed.rsplit(':').next().unwrap().to_owned()),
        ("assertion", signature(&assertion)),
        ("proof", signature(&proof)),
        ("device code", device),
        ("user code", user.clone()),
        ("user code as it is kept", user.replace('-', "")),
        ("request from behind", asked),
        ("token of pings", ping_token),
        ("initial access token", initial),
        ("registration access token", own.token),
        ("secret of a client that registered", own.client.secret.unwrap()),
    ]
}

/// A server on which all of it can be walked, everything secret that appeared on the way, and where the database is, if it is no file.
async fn walked(database: Database) -> (TestServer, Vec<(&'static str, String)>, Option<String>) {
    let url = match database {
        Postgres | Replicas => Some(database.create(Path::new(".")).await),
        Sqlite => None,
    };
    let server = TestServer::start_with(database, |config| {
        config.reach.outbound.allow = vec!["127.0.0.1".parse().unwrap()];
        config.reach.registration.dynamic = Dynamic::Token;
        config.database.url = url.clone().map(SecretText::new).or(config.database.url.take());
    })
    .await;
    let mut pinged = Pinged::start().await;
    let mut secrets = walk(&server).await;
    secrets.extend(walk_of_clients(&server, &pinged).await);
    let ping = pinged.told_by_now().map(|heard| heard.authorization).unwrap_or_default();
    assert!(
        secrets.iter().any(|(name, secret)| *name == "token of pings" && ping.contains(secret)),
        "{ping}"
    );
    assert!(secrets.iter().all(|(_, secret)| secret.len() >= 8), "{secrets:?}");
    (server, secrets, url)
}

/// What makes a token worth stealing.
fn signature(token: &str) -> String {
    token.rsplit('.').next().unwrap().to_owned()
}

#[rstest]
#[tokio::test]
async fn da_01_no_secret_is_in_the_log(#[values(Sqlite, Postgres)] database: Database) {
    let (server, secrets, _) = walked(database).await;
    let text = server.log.text();
    assert!(text.contains("portcullis_server"), "the log was captured");
    for (name, secret) in secrets {
        let found = server.log.lines_with(&secret);
        assert!(found.is_empty(), "the {name} is in the log: {}", found.join("\n"));
    }
}

/// Of what is kept of a person, the e-mail address is meant to be read.
fn assert_holds_none(content: &str, secrets: &[(&str, String)]) {
    assert!(content.contains("Test shop"), "the content was read");
    for (name, secret) in secrets.iter().filter(|(name, _)| *name != "e-mail address") {
        // As PostgreSQL writes bytes.
        let bytes = secret.bytes().fold(String::new(), |bytes, byte| format!("{bytes}{byte:02x}"));
        assert!(!content.contains(secret.as_str()), "the {name} is in the database");
        assert!(!content.contains(&bytes), "the {name} is in the database as bytes");
    }
    assert!(
        !content.contains("\"d\":") && !content.contains("PRIVATE KEY"),
        "a private key is in the database"
    );
}

/// The database and what lies beside it.
fn files_of_database(server: &TestServer) -> String {
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(server.data_dir()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("portcullis.db") {
            bytes.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn da_03_no_secret_is_in_the_database_file_sqlite() {
    let (server, secrets, _) = walked(Sqlite).await;
    assert_holds_none(&files_of_database(&server), &secrets);
}

#[tokio::test]
async fn da_03_no_secret_is_in_a_dump_of_the_database_postgres() {
    let (_server, secrets, url) = walked(Postgres).await;
    assert_holds_none(&dump(&url.unwrap()).await, &secrets);
}

#[tokio::test]
async fn da_09_what_was_deleted_is_not_left_in_the_file_sqlite() {
    let server = TestServer::start_on(Sqlite).await;
    let marks = [(); 3].map(|()| random_text().to_lowercase().replace(['-', '_'], "x"));
    let person =
        json!({ "username": "zora", "name": marks[0], "email": format!("{}@example.org", &marks[1][..30]) });
    let person = server.admin.post("/users", &person).await;
    // What it was called stays in the trail.
    let redirect = format!("https://{}.test/cb", &marks[2][..30]);
    let client = json!({ "name": "Shop", "preset": "web", "redirect_uris": [redirect] });
    let client = server.admin.client(client).await;
    let is_there = |mark: &String| files_of_database(&server).contains(&mark[..30]);
    assert!(marks.iter().all(is_there), "it is kept as it is");
    for path in [format!("/users/{}", person["id"].as_str().unwrap()), format!("/clients/{}", client.id)] {
        assert_eq!(server.admin.send(Method::DELETE, &path, &json!(null)).await.status, 204, "{path}");
    }
    server.app().store().close().await;
    assert!(files_of_database(&server).contains("user.deleted"), "the content was read");
    let left = ["name", "e-mail", "redirect URI"].iter().zip(&marks).filter(|(_, mark)| is_there(mark));
    assert_eq!(left.map(|(what, _)| *what).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[cfg(unix)]
#[tokio::test]
async fn da_04_data_is_for_its_owner_alone_sqlite() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = TestServer::start_on(Sqlite).await;
    walk(&server).await;
    for entry in std::fs::read_dir(server.data_dir()).unwrap().flatten() {
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode & 0o077, 0, "{:?} has mode {mode:o}", entry.file_name());
    }
}

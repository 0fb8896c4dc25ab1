//! Group DA: what must never be written down.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{BROWSER, SESSION};
use rstest::rstest;

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

/// What makes a token worth stealing.
fn signature(token: &str) -> String {
    token.rsplit('.').next().unwrap().to_owned()
}

#[rstest]
#[tokio::test]
async fn da_01_no_secret_is_in_the_log(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let secrets = walk(&server).await;
    let text = server.log.text();
    assert!(text.contains("portcullis_server"), "the log was captured");
    for (name, secret) in secrets {
        let found = server.log.lines_with(&secret);
        assert!(found.is_empty(), "the {name} is in the log: {}", found.join("\n"));
    }
}

#[tokio::test]
async fn da_03_no_secret_is_in_the_database_file_sqlite() {
    let server = TestServer::start_on(Sqlite).await;
    let secrets = walk(&server).await;
    let mut bytes = Vec::new();
    for entry in std::fs::read_dir(server.data_dir()).unwrap().flatten() {
        if entry.file_name().to_string_lossy().starts_with("portcullis.db") {
            bytes.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    let content = String::from_utf8_lossy(&bytes);
    assert!(content.contains("Test shop"), "the content was read");
    for (name, secret) in secrets.iter().filter(|(name, _)| *name != "e-mail address") {
        assert!(!content.contains(secret.as_str()), "the {name} is in the database");
    }
    assert!(!content.contains("\"d\":"), "a private key is in the database");
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

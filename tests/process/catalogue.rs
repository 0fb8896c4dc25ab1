//! Cases of the attack catalogue that need the program, by their ids.

use std::fs;
use std::path::Path;

use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::random_text;
use portcullis_tests::certificates::Certificate;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::handshake::handshake;
use portcullis_tests::jwt::{header, private_members};
use portcullis_tests::process::{Place, ServerProcess, eventually, finished};
use portcullis_tests::service::GuardedService;
use portcullis_tests::uncalled::Uncalled;
use rstest::rstest;
use rustls::crypto::aws_lc_rs::cipher_suite;
use serde_json::{Value, json};

use crate::commands::{ORDERS, json, place_on, registered, said};

fn written(place: &Place, document: &Value) -> String {
    let file = place.data_dir.join("document.json");
    fs::write(&file, document.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Somebody has a signing key: what it signed is worth nothing at the server at once, and at a service once that looks at the keys again,
/// which a guard does each minute.
#[rstest]
#[tokio::test]
async fn jw_21_what_a_revoked_key_signed_is_refused_by_the_server_and_by_a_service(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let guard = ["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS];
    let guard = registered(&json(&place, &guard));
    let robot =
        ["client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "viewer"];
    let robot = registered(&json(&place, &robot));
    let service = GuardedService::start(&server.address, ORDERS, &guard).await;
    let token = async || server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    let old = token().await;
    let shown = async |token: &str| service.get("/orders", Some(token)).await.status.as_u16();
    assert_eq!(shown(&old).await, 200);
    let kid = header(&old)["kid"].as_str().unwrap().to_owned();
    json(&place, &["key", "revoke", &kid]);
    eventually("the server refuses the token", async || !server.machine.is_active(&robot, &old).await).await;
    service.refresh_policy().await;
    assert_eq!(shown(&old).await, 401);
    let new = token().await;
    assert_ne!(header(&new)["kid"].as_str(), Some(kid.as_str()));
    assert_eq!(shown(&new).await, 200, "the policy is signed by another key as well");
}

#[rstest]
#[tokio::test]
async fn jw_29_no_command_prints_a_private_key(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let mut keys = SigningKeys::generate().public_jwks();
    let signer = json!({ "name": "Signer", "preset": "m2m", "jwks": keys });
    let made = json(&place, &["client", "create", "--file", &written(&place, &signer)]);
    let signer = made["client_id"].as_str().unwrap().to_owned();
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let half = random_text();
    keys["keys"][0]["d"] = json!(half);
    let mistaken = json!({ "name": "Mistaken", "preset": "m2m", "jwks": keys });
    let refused = place.run(&["client", "create", "--file", &written(&place, &mistaken)]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(!said(&refused).contains(&half), "{}", said(&refused));
    for command in [
        &["key", "list"][..],
        &["key", "rotate", "--alg", "RS256"],
        &["client", "list"],
        &["client", "show", &signer],
        &["api", "list"],
        &["registration", "list"],
        &["registration", "list-tokens"],
        &["user", "list"],
        &["config", "show"],
        &["db", "status"],
    ] {
        let output = place.run(command);
        assert!(
            output.status.success() && !said(&output).contains("PRIVATE KEY"),
            "{command:?}: {}",
            said(&output)
        );
        let output = place.run(&[&["--format", "json"], command].concat());
        let printed: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{command:?}: {error}: {}", said(&output)));
        assert_eq!(private_members(&printed), Vec::<String>::new(), "{command:?}: {printed}");
    }
    let shown = place.run(&["client", "show", &signer]);
    assert!(said(&shown).contains("\"kty\""), "the public half is shown: {}", said(&shown));
}

#[rstest]
#[tokio::test]
async fn ss_02_no_address_of_this_network_is_called_for_a_client_from_a_file(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let good = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://shop.example/cb"] });
    let made = json(&place, &["client", "create", "--file", &written(&place, &good)]);
    let id = made["client_id"].as_str().unwrap();
    let nobody = Uncalled::listen().await;
    for host in nobody.hosts() {
        for (member, options) in [
            ("jwks_uri", json!({ "jwks_uri": format!("https://{host}/keys") })),
            (
                "backchannel_logout_uri",
                json!({ "protocol": { "backchannel_logout_uri": format!("https://{host}/") } }),
            ),
        ] {
            let mut document = good.clone();
            document["options"] = options;
            let file = written(&place, &document);
            for command in
                [&["client", "create", "--file", &*file][..], &["client", "update", id, "--file", &file]]
            {
                let mut command = place.command(command);
                command.env_remove("PORTCULLIS__OUTBOUND__ALLOW");
                let refused = finished(command);
                assert_eq!(refused.status.code(), Some(1), "{host}: {}", said(&refused));
                assert!(said(&refused).contains(member), "{host}: {}", said(&refused));
            }
        }
    }
    nobody.assert_nobody_came().await;
}

/// Weak ones among them: every secret is drawn, so that none can be guessed.
#[rstest]
#[tokio::test]
async fn nobody_chooses_a_secret_in_a_file(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let good = json!({ "name": "Robot", "preset": "m2m" });
    let made = json(&place, &["client", "create", "--file", &written(&place, &good)]);
    let id = made["client_id"].as_str().unwrap();
    for secret in ["hunter2".to_owned(), format!("pck_{}", random_text())] {
        for member in ["client_secret", "secret"] {
            let mut document = good.clone();
            document[member] = json!(secret);
            let file = written(&place, &document);
            for command in
                [&["client", "create", "--file", &*file][..], &["client", "update", id, "--file", &file]]
            {
                let refused = place.run(command);
                assert_eq!(refused.status.code(), Some(1), "{member}: {}", said(&refused));
                assert!(
                    said(&refused).contains(member) && !said(&refused).contains(&secret),
                    "{}",
                    said(&refused)
                );
            }
        }
    }
    assert_eq!(json(&place, &["client", "list"]).as_array().map(Vec::len), Some(1));
}

fn serves_tls(place: &Place, folder: &Path) -> ServerProcess {
    let (file, issuer) = (folder.join("portcullis.toml"), format!("https://localhost:{}", place.port));
    let place_of = |name: &str| format!("\"{}\"", folder.join(name).display());
    let (certificate, key) = (place_of("tls.crt"), place_of("tls.key"));
    fs::write(&file, format!("[server.tls]\ncertificate = {certificate}\nkey = {key}\n")).unwrap();
    let command = place.command(&["--config", file.to_str().unwrap(), "--issuer", &issuer, "serve"]);
    ServerProcess::of(command, place)
}

/// The program looks at the files by itself, every ten seconds.
#[rstest]
#[tokio::test]
async fn a_running_server_takes_over_another_certificate(#[values(Sqlite, Postgres)] database: Database) {
    let (folder, place) = place_on(database).await;
    let authority = Certificate::authority("Authority");
    let (first, next) = (authority.server("localhost"), authority.server_with_rsa("localhost"));
    first.write(folder.path());
    let server = serves_tls(&place, folder.path());
    let address = format!("localhost:{}", place.port);
    let shows = |certificate: &Certificate| {
        let shown = handshake(&address, &authority, &[cipher_suite::TLS13_AES_128_GCM_SHA256]);
        shown.as_ref() == Some(&certificate.der)
    };
    eventually("the server shows its certificate", async || shows(&first)).await;
    next.write(folder.path());
    eventually("the server shows the next one", async || shows(&next)).await;
    assert!(server.log().contains("the certificate was replaced"), "{}", server.log());
}

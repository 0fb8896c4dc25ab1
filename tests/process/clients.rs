//! Clients by files: everything that can be set, shown and sent again.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Output, Stdio};

use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess, eventually, finished};
use rstest::rstest;
use serde_json::{Value, json};

use crate::commands::{ORDERS, json, place_on, registered, said};

const NOBODY: &str = "cli_00000000000070008000000000000001";

/// Runs a command with a document as its standard input.
fn fed(place: &Place, arguments: &[&str], document: &Value) -> Output {
    let (mut command, (reader, mut writer)) = (place.command(arguments), std::io::pipe().unwrap());
    command.stdin(Stdio::from(reader));
    writer.write_all(document.to_string().as_bytes()).unwrap();
    drop(writer);
    finished(command)
}

fn written(place: &Place, document: &Value) -> String {
    let file: PathBuf = place.data_dir.join("client.json");
    std::fs::write(&file, document.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

fn shown(place: &Place, client: &str) -> Value {
    let output = place.run(&["client", "show", client]);
    assert!(output.status.success(), "{}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

/// An application for which nearly everything is set.
fn shop(api: &str) -> Value {
    json!({
        "name": "Shop", "preset": "web", "organisation": null,
        "redirect_uris": ["https://shop.example/cb", "https://shop.example/other"],
        "post_logout_redirect_uris": ["https://shop.example/bye"],
        "scopes": "email openid read", "apis": [api], "serves": null, "jwks": null,
        "options": {
            "profile": "oauth21", "first_party": true, "id_token_alg": "PS256",
            "jwks_uri": "https://shop.example/jwks", "authorization_details_types": [],
            "authentication": { "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": "ES256" },
            "protocol": {
                "require_pushed_requests": true, "require_signed_request_object": true,
                "require_pkce": true, "assertion_audience": "endpoint",
                "authorization_signed_response_alg": "ES256", "introspection_signed_response_alg": "EdDSA",
                "backchannel_logout_uri": "https://shop.example/gone", "backchannel_logout_session_required": true,
                "device_grant": true, "dpop_bound_access_tokens": false, "userinfo_signed_response_alg": "RS256",
                "token_exchange": { "apis": [api], "impersonation": true }, "subject_type": "public",
                "initiate_login_uri": "https://shop.example/begin", "assertion_issuers": [],
                "request_object_signing_alg": "EdDSA", "default_max_age": null, "application_type": "web",
            },
        },
    })
}

/// Whether all that one document says is in the other.
fn says(whole: &Value, part: &Value) -> bool {
    match part {
        Value::Object(members) => members.iter().all(|(name, part)| says(&whole[name.as_str()], part)),
        other => whole == other,
    }
}

#[rstest]
#[tokio::test]
async fn what_is_shown_of_a_client_can_be_changed_and_sent_again(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let api = json(&place, &["api", "list"])
        .as_array()
        .unwrap()
        .iter()
        .find(|api| api["audience"] == ORDERS)
        .map(|api| api["id"].as_str().unwrap().to_owned())
        .unwrap();
    let document = shop(&api);
    let made = json(&place, &["client", "create", "--file", &written(&place, &document)]);
    let id = made["client_id"].as_str().unwrap().to_owned();
    assert_eq!((&made["client_secret"], made["rules"].as_array().unwrap().len()), (&json!(null), 1));
    let first = shown(&place, &id);
    assert!(says(&first, &document), "{first}");

    let update = ["client", "update", &id, "--file"];
    json(&place, &[&update[..], &[&*written(&place, &first)]].concat());
    assert_eq!(shown(&place, &id), first, "what is shown changes nothing");
    let mut changed = first.clone();
    changed["name"] = json!("Store");
    changed["options"]["first_party"] = json!(false);
    changed["options"]["protocol"]["token_exchange"] = json!(null);
    changed["options"]["protocol"]["dpop_bound_access_tokens"] = json!(true);
    let answer = fed(&place, &[&["--format", "json"][..], &update, &["-"]].concat(), &changed);
    let told: Value = serde_json::from_slice(&answer.stdout).unwrap_or_else(|_| panic!("{}", said(&answer)));
    assert_eq!(told, json!({ "client_id": id, "name": "Store", "state": "enabled" }));
    assert_eq!(shown(&place, &id), changed);
}

#[rstest]
#[tokio::test]
async fn what_is_wrong_with_a_client_is_told_line_by_line_as_the_admin_api_tells_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let good = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://shop.example/cb"] });
    let made = fed(&place, &["--format", "json", "client", "create", "--file", "-"], &good);
    let made: Value = serde_json::from_slice(&made.stdout).unwrap_or_else(|_| panic!("{}", said(&made)));
    let id = made["client_id"].as_str().unwrap();
    assert!(made["client_secret"].as_str().unwrap().starts_with("pck_"), "{made}");
    let before = shown(&place, id);
    let server = ServerProcess::start(&place).await;
    let admin = portcullis_tests::admin::Admin::in_place(&place);
    let wrong = json!({ "name": "", "preset": "web", "redirect_uris": ["nowhere", "https://shop.example/cb"],
        "options": { "id_token_alg": "HS256", "protocol": { "subject_type": "odd" } } });
    let unknown = json!({ "name": "Shop", "preset": "web", "options": { "first-party": true } });
    let odd = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://shop.example/cb", 7] });
    let nowhere = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://shop.example/cb"],
        "apis": ["api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c"] });
    for (document, least) in [(wrong, 4), (unknown, 1), (odd, 1), (nowhere, 1)] {
        let answer = admin.send(reqwest::Method::POST, "/clients", &document).await.json();
        let lines: Vec<String> = answer["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| {
                format!("  {} {}", error["pointer"].as_str().unwrap(), error["detail"].as_str().unwrap())
            })
            .collect();
        assert!(lines.len() >= least, "{answer}");
        let file = written(&place, &document);
        for command in
            [&["client", "create", "--file", &*file][..], &["client", "update", id, "--file", &file]]
        {
            let refused = place.run(command);
            let text = String::from_utf8_lossy(&refused.stderr).into_owned();
            assert_eq!(refused.status.code(), Some(1), "{text}");
            assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), lines, "{command:?}");
            assert!(text.starts_with(&format!("portcullis: {file}: ")), "{text}");
        }
    }
    let other = json!({ "name": "Shop", "preset": "native", "redirect_uris": ["http://127.0.0.1/cb"] });
    let refused = fed(&place, &["client", "update", id, "--file", "-"], &other);
    assert!(said(&refused).contains("\n  /preset cannot be changed"), "{}", said(&refused));
    assert_eq!(shown(&place, id), before, "nothing of it was kept");
    drop(server);
}

#[rstest]
#[tokio::test]
async fn a_client_is_switched_off_and_on_and_deleted_and_a_running_server_knows(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let robot =
        ["client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "viewer"];
    let robot = registered(&json(&place, &robot));
    let server = ServerProcess::start(&place).await;
    let status = async || server.machine.client_credentials(&robot, ORDERS).await.status.as_u16();
    assert_eq!(status().await, 200);
    let off = json(&place, &["client", "disable", &robot.id]);
    assert_eq!(off, json!({ "client_id": robot.id, "name": "Robot", "state": "disabled" }));
    eventually("it is switched off", async || status().await == 401).await;
    let look = place.run(&["client", "show", &robot.id]);
    assert!(String::from_utf8_lossy(&look.stderr).contains("switched off"), "{}", said(&look));
    let document = shown(&place, &robot.id);
    json(&place, &["client", "update", &robot.id, "--file", &written(&place, &document)]);
    assert_eq!(status().await, 401, "a change does not switch it on");
    assert_eq!(json(&place, &["client", "enable", &robot.id])["state"], "enabled");
    eventually("it is switched on", async || status().await == 200).await;
    let gone = json(&place, &["client", "delete", &robot.id]);
    assert_eq!(gone, json!({ "client_id": robot.id, "state": "deleted" }));
    eventually("it is gone", async || status().await == 401).await;
    let file = written(&place, &document);
    for client in [&*robot.id, NOBODY] {
        for command in ["show", "disable", "enable", "delete"] {
            let unknown = place.run(&["client", command, client]);
            assert_eq!(unknown.status.code(), Some(1), "{command}: {}", said(&unknown));
        }
        let unknown = place.run(&["client", "update", client, "--file", &file]);
        assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
    }
}

#[rstest]
#[tokio::test]
async fn a_client_is_held_to_the_algorithms_that_are_named(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let keys = place.data_dir.join("keys.json");
    std::fs::write(&keys, SigningKeys::generate().public_jwks().to_string()).unwrap();
    let create = [
        "client",
        "create",
        "--preset",
        "web",
        "--name",
        "Bank",
        "--redirect-uri",
        "https://b.example/cb",
        "--jwks",
        keys.to_str().unwrap(),
    ];
    let algs = |alg| ["--auth-signing-alg", alg, "--request-object-signing-alg", alg];
    let made = registered(&json(&place, &[&create[..], &algs("ES256")].concat()));
    let options = &shown(&place, &made.id)["options"];
    assert_eq!(options["authentication"]["token_endpoint_auth_signing_alg"], "ES256");
    assert_eq!(options["protocol"]["request_object_signing_alg"], "ES256");
    // The key signs by none of these.
    for alg in ["RS256", "HS256", "none"] {
        let refused = place.run(&[&create[..], &algs(alg)].concat());
        assert_eq!(refused.status.code(), Some(1), "{alg}: {}", said(&refused));
        for member in ["token_endpoint_auth_signing_alg", "request_object_signing_alg"] {
            assert!(said(&refused).contains(member), "{alg}: {}", said(&refused));
        }
    }
}

#[rstest]
#[tokio::test]
async fn what_a_profile_demands_beyond_what_is_set_is_told_beside_the_document(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let keys: Value = serde_json::from_str(&SigningKeys::generate().public_jwks().to_string()).unwrap();
    let plain = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://bank.example/cb"],
        "jwks": keys, "options": { "authentication": { "token_endpoint_auth_method": "private_key_jwt" } } });
    let mut bank = plain.clone();
    bank["options"]["profile"] = json!("fapi2");
    let create = |document: &Value| {
        let made = json(&place, &["client", "create", "--file", &written(&place, document)]);
        made["client_id"].as_str().unwrap().to_owned()
    };
    let look = |id: &str| {
        let output = place.run(&["client", "show", id]);
        (shown(&place, id), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (plain, bank) = (create(&plain), create(&bank));
    assert!(!look(&plain).1.contains("In force is"), "{}", look(&plain).1);
    let (document, told) = look(&bank);
    let (_, told) = told.split_once("In force is:\n").unwrap();
    let bound = "dpop_bound_access_tokens: true, or bound to the certificate that it shows";
    assert_eq!(told, format!("  require_pushed_requests: true\n  {bound}\n"));
    // What is in force is not set by that: the document can be put back, and without the profile nothing of it holds.
    assert_eq!(document["options"]["protocol"]["require_pushed_requests"], json!(false));
    json(&place, &["client", "update", &bank, "--file", &written(&place, &document)]);
    assert_eq!(shown(&place, &bank), document);
    let mut loose = document;
    loose["options"]["profile"] = json!("none");
    json(&place, &["client", "update", &bank, "--file", &written(&place, &loose)]);
    assert!(!look(&bank).1.contains("In force is"), "{}", look(&bank).1);
}

#[tokio::test]
async fn a_file_takes_the_place_of_every_option() {
    let (_folder, place) = place_on(Sqlite).await;
    let file = written(&place, &json!({ "name": "Robot", "preset": "m2m" }));
    let create = ["client", "create", "--file", &file];
    for more in [
        &["--preset", "m2m"][..],
        &["--name", "Robot"],
        &["--redirect-uri", "https://shop.example/cb"],
        &["--api", ORDERS],
        &["--scope", "read"],
        &["--first-party"],
        &["--backchannel-logout-uri", "https://shop.example/gone"],
        &["--dpop-bound"],
        &["--profile", "oauth21"],
        &["--auth-method", "client_secret_post"],
        &["--jwks", "/no/such/file"],
        &["--certificate-bound"],
        &["--tls-san-dns", "robot.example"],
        &["--pkce-optional"],
        &["--auth-signing-alg", "ES256"],
        &["--request-object-signing-alg", "ES256"],
    ] {
        let refused = place.run(&[&create[..], more].concat());
        assert_eq!(refused.status.code(), Some(2), "{more:?}: {}", said(&refused));
    }
    for usage in [
        &["client", "create", "--name", "Robot"][..],
        &["client", "create", "--preset", "m2m"],
        &["client", "update", NOBODY],
        &["client", "show"],
        &["client", "show", "nonsense"],
        &["client", "delete", "nonsense"],
    ] {
        let refused = place.run(usage);
        assert_eq!(refused.status.code(), Some(2), "{usage:?}: {}", said(&refused));
    }
    let missing = place.run(&["client", "create", "--file", "/no/such/file"]);
    assert_eq!(missing.status.code(), Some(1), "{}", said(&missing));
    json(&place, &["--set", "tokens.access_ttl_secs=120", "client", "create", "--file", &file]);
}

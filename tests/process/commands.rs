//! What operators do with the program, and the walk of the README.

use std::process::{Child, Command, Output, Stdio};

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::required;
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::registered::Registered;
use rstest::rstest;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

const ORDERS: &str = "https://orders.example";

async fn place_on(database: Database) -> (TempDir, Place) {
    let folder = tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let place = Place { database_url: Some(url), ..Place::new(folder.path()) };
    (folder, place)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a command that has to succeed and prints JSON.
fn json(place: &Place, arguments: &[&str]) -> Value {
    let output = place.run(&[&["--format", "json"], arguments].concat());
    assert!(output.status.success(), "{arguments:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", said(&output)))
}

fn registered(made: &Value) -> Registered {
    let text = |name: &str| made[name].as_str().map(str::to_owned);
    Registered { id: text("client_id").unwrap(), secret: text("client_secret"), redirect_uris: Vec::new() }
}

#[rstest]
#[tokio::test]
async fn every_preset_makes_a_client_and_a_running_server_knows_it_at_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let service =
        json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    assert!(service["client_secret"].as_str().unwrap().starts_with("pck_"));
    let rules = service["rules"][0].as_str().unwrap();
    assert!(rules.starts_with(&format!("{}/admin/policies/api_", place.address())), "{rules}");
    for (preset, has_secret) in [("web", true), ("spa", false), ("native", false)] {
        let redirect = if preset == "native" { "http://127.0.0.1/cb" } else { "https://rp.test/cb" };
        let made = json(
            &place,
            &[
                "client",
                "create",
                "--preset",
                preset,
                "--name",
                "App",
                "--redirect-uri",
                redirect,
                "--api",
                ORDERS,
            ],
        );
        assert_eq!(made["client_secret"].is_string(), has_secret, "{preset}");
    }
    let robot =
        ["client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "viewer"];
    let robot = registered(&json(&place, &robot));
    let token = server.machine.client_credentials(&robot, ORDERS).await;
    assert_eq!(token.status, 200, "{}", token.text());
    for secret in [robot.secret.unwrap(), registered(&service).secret.unwrap()] {
        assert!(!server.log().contains(&secret));
    }
}

#[rstest]
#[tokio::test]
async fn a_command_that_is_refused_leaves_nothing_behind(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let wrong_role = place.run(&[
        "client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "veiwer",
    ]);
    assert_eq!(wrong_role.status.code(), Some(1), "{}", said(&wrong_role));
    assert!(said(&wrong_role).contains("did you mean viewer?"), "{}", said(&wrong_role));
    let wrong_form = place.run(&[
        "client",
        "create",
        "--preset",
        "service",
        "--name",
        "",
        "--api",
        "https://stock.example",
    ]);
    assert!(!wrong_form.status.success(), "{}", said(&wrong_form));
    let again = place.run(&[
        "client",
        "create",
        "--preset",
        "m2m",
        "--name",
        "Robot",
        "--api",
        "https://stock.example",
    ]);
    assert!(said(&again).contains("there is no API"), "{}", said(&again));

    let password = place.data_dir.join("password");
    std::fs::write(&password, "umbrella walnut fortnight\n").unwrap();
    let create = |role: &str| {
        let file = password.to_str().unwrap();
        place.run(&["user", "create", "ada", "--password-file", file, "--role", role])
    };
    let refused = create("ownr");
    assert!(said(&refused).contains("did you mean owner?"), "{}", said(&refused));
    let made = create("owner");
    assert!(made.status.success(), "the name is not taken: {}", said(&made));
    assert_eq!(create("owner").status.code(), Some(1), "now it is");
}

#[rstest]
#[tokio::test]
async fn keys_are_listed_and_rotated_and_links_are_made(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let keys = json(&place, &["key", "list"]);
    assert_eq!(keys.as_array().map(Vec::len), Some(3));
    let server = ServerProcess::start(&place).await;
    json(&place, &["key", "rotate", "--alg", "ES256", "--urgent"]);
    assert_eq!(json(&place, &["key", "list"]).as_array().map(Vec::len), Some(4));
    assert_eq!(place.run(&["key", "rotate", "--alg", "HS256"]).status.code(), Some(2));
    let link = place.run(&["bootstrap", "admin", "--link"]);
    assert!(said(&link).contains(&format!("{}/setup#k=pcl_", place.address())), "{}", said(&link));
    assert_eq!(server.machine.get("/setup").await.status, 200);
}

/// Somebody has a signing key: whatever it signed is worth nothing from now on, here and at whoever asks for our keys.
#[rstest]
#[tokio::test]
async fn a_key_that_is_revoked_counts_no_longer_at_a_running_server(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let robot =
        ["client", "create", "--preset", "m2m", "--name", "Robot", "--api", ORDERS, "--role", "viewer"];
    let robot = registered(&json(&place, &robot));
    let token = server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    let active = async |token: &str| {
        let answer = server.machine.post_as(&robot, "/introspect", &[("token", token)]).await;
        answer.json()["active"].as_bool().unwrap()
    };
    assert!(active(&token).await);
    let kid_of = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    let keys = json(&place, &["key", "list"]);
    let signing = keys.as_array().unwrap().iter().find(|key| key["alg"] == "ES256").map(kid_of).unwrap();
    assert_eq!(place.run(&["key", "revoke", "nonsense"]).status.code(), Some(1));
    json(&place, &["key", "revoke", &signing]);

    let started = std::time::Instant::now();
    while active(&token).await {
        assert!(started.elapsed().as_secs() < 20, "the server never heard of it");
        // The server looks by itself, each second.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let published = server.machine.get("/jwks").await.json();
    assert!(!published["keys"].as_array().unwrap().iter().map(kid_of).any(|kid| kid == signing));
    let next = server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
    assert!(active(&next).await, "another key signs");
}

#[rstest]
#[tokio::test]
async fn a_database_of_a_newer_program_is_left_alone(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    assert!(place.run(&["db", "migrate"]).status.success());
    let later =
        "INSERT INTO schema_migrations (number, name, checksum, applied_at) VALUES (9001, 'later', '', 0)";
    portcullis_tests::database::execute(place.database_url.as_deref().unwrap(), later).await;
    for command in [&["serve"][..], &["config", "check"], &["db", "migrate"], &["db", "status"]] {
        let refused = place.run(command);
        assert!(!refused.status.success(), "{command:?}");
        assert!(said(&refused).contains("9001"), "{command:?}: {}", said(&refused));
    }
}

#[rstest]
#[tokio::test]
async fn a_configuration_is_checked_as_a_start_does_and_nothing_is_made(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (folder, place) = place_on(database).await;
    let checked = json(&place, &["config", "check"]);
    assert_eq!(checked["issuer"], place.address());
    assert_eq!(checked["schema"]["applied"].as_u64(), (database == Postgres).then_some(0));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    let server = ServerProcess::start(&place).await;
    let checked = json(&place, &["config", "check"]);
    assert_eq!(checked["schema"]["applied"], checked["schema"]["known"]);
    drop(server);
    let key = place.data_dir.join("master.key");
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&key, readable).unwrap();
    let refused = place.run(&["config", "check"]);
    assert_eq!(refused.status.code(), Some(3), "{}", said(&refused));
    assert!(said(&refused).contains("master.key"), "{}", said(&refused));
}

/// The example service, as the README starts it.
struct Orders {
    child: Child,
    address: String,
}

impl Orders {
    async fn start(place: &Place, client: &Registered) -> Self {
        let program = std::path::PathBuf::from(required("PORTCULLIS_TEST_BINARY"));
        let program = program.parent().unwrap().join("examples/orders");
        let port = Place::new(&place.data_dir).port;
        let child = Command::new(program)
            .env("ORDERS_ISSUER", place.address())
            .env("ORDERS_AUDIENCE", ORDERS)
            .env("ORDERS_CLIENT_ID", &client.id)
            .env("ORDERS_CLIENT_SECRET", client.secret.as_deref().unwrap())
            .env("ORDERS_LISTEN", format!("127.0.0.1:{port}"))
            .stdout(Stdio::null())
            .spawn()
            .expect("tests/run builds the examples");
        let orders = Self { child, address: format!("http://127.0.0.1:{port}") };
        while orders.try_get("/health", None).await.is_none() {
            // Waiting for another program to start: there is no event to wait for.
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        orders
    }

    async fn try_get(&self, path: &str, token: Option<&str>) -> Option<Answer> {
        let request = agent().get(format!("{}{path}", self.address));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        Answer::try_to(request).await
    }

    async fn get(&self, token: Option<&str>) -> u16 {
        self.try_get("/orders", token).await.expect("the example answers").status.as_u16()
    }

    async fn post(&self, token: &str) -> u16 {
        let request = agent().post(format!("{}/orders", self.address)).bearer_auth(token);
        let request = request.header("content-type", "application/json").body("{\"item\": \"a gate\"}");
        Answer::to(request).await.status.as_u16()
    }
}

impl Drop for Orders {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_walk_of_the_readme_leads_where_it_says_sqlite() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    let server = ServerProcess::start(&place).await;
    // The commands of the README, which are to be found there word by word.
    let run = |command: &str| {
        let line = format!("portcullis {command} --format json > ");
        assert!(readme.contains(&line), "the README has no line `{line}`");
        json(&place, &command.split(' ').collect::<Vec<_>>())
    };
    let service = run("client create --preset service --name Orders --api https://orders.example");
    let robot = run("client create --preset m2m --name Robot --api https://orders.example --role viewer");
    let orders = Orders::start(&place, &registered(&service)).await;
    assert_eq!(orders.get(None).await, 401);
    let token = server.machine.client_credentials(&registered(&robot), ORDERS).await.member("access_token");
    assert_eq!(orders.post(&token).await, 403);
    assert_eq!(orders.get(Some(&token)).await, 200);

    let removed = "p, viewer, *, *, read";
    assert!(readme.contains(removed));
    let password = folder.path().join("password");
    std::fs::write(&password, "umbrella walnut fortnight\n").unwrap();
    json(
        &place,
        &["user", "create", "ada", "--password-file", password.to_str().unwrap(), "--role", "owner"],
    );
    let ada = portcullis_tests::visitor::Person {
        id: String::new(),
        sub: String::new(),
        username: "ada".to_owned(),
        password: "umbrella walnut fortnight".to_owned(),
    };
    let mut owner = portcullis_tests::visitor::Visitor::new(&place.address());
    owner.sign_in(&ada).await;
    let rules = service["rules"][0].as_str().unwrap().strip_prefix(&place.address()).unwrap();
    let page = owner.get(rules).await;
    let text = page.text();
    let (_, area) = text.split_once("<textarea").unwrap();
    let (_, area) = area.split_once('>').unwrap();
    let (area, _) = area.split_once("</textarea>").unwrap();
    assert!(area.contains(removed), "{area}");
    let form = portcullis_tests::visitor::the_form(&page, "policies")
        .with("rules", &portcullis_tests::markup::unescape(&area.replace(removed, "")))
        .with("message", "Nobody reads any more")
        .with("step", "activate");
    let activated = owner.submit(&form).await;
    assert_eq!(activated.status, 200, "{}", activated.text());
    let started = std::time::Instant::now();
    while orders.get(Some(&token)).await != 403 {
        assert!(started.elapsed().as_secs() < 20, "the service never heard of the new rules");
        // The service asks by itself, each second.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

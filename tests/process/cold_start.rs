//! A guarded service that goes on, starts and starts again while its issuer is away: two real programs and a folder.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use portcullis_guard::Clock;
use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::jwt;
use portcullis_tests::process::{Place, ServerProcess, eventually};
use portcullis_tests::service::GuardedService;
use reqwest::Method;
use serde_json::Value;
use tempfile::{TempDir, tempdir};

use crate::commands::{ORDERS, json, place_on, registered, said};
use crate::example::{Example, PATIENCE, example_program};

/// A server that has run, a token of it, and what the service is started with.
struct Scene {
    place: Place,
    token: String,
    service: Value,
    here: TempDir,
    _data: TempDir,
}

impl Scene {
    /// With the server running.
    async fn set() -> (Self, ServerProcess) {
        let (data, place) = place_on(Sqlite).await;
        let server = ServerProcess::start(&place).await;
        let create = |preset, more: &[&str]| {
            let start = ["client", "create", "--preset", preset, "--name", preset, "--api", ORDERS];
            json(&place, &[&start[..], more].concat())
        };
        let service = create("service", &[]);
        let robot = registered(&create("m2m", &["--role", "viewer"]));
        let token = server.machine.client_credentials(&robot, ORDERS).await.member("access_token");
        (Self { place, token, service, here: tempdir().unwrap(), _data: data }, server)
    }

    fn cache(&self) -> PathBuf {
        self.here.path().join("guard")
    }

    /// Starts the service, as `through` says: the program itself, or something that runs it.
    async fn serve(&self, mut through: Command) -> Example {
        through
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("ORDERS_ISSUER", self.place.address())
            .env("ORDERS_AUDIENCE", ORDERS)
            .env("ORDERS_CLIENT_ID", self.service["client_id"].as_str().unwrap())
            .env("ORDERS_CLIENT_SECRET", self.service["client_secret"].as_str().unwrap())
            .env("ORDERS_CACHE_DIR", self.cache());
        Example::start(through, Place::new(self.here.path()).port).await
    }

    async fn serve_plainly(&self) -> Example {
        self.serve(Command::new(example_program("orders"))).await
    }

    /// What reading and creating are answered, and whether the service is ready.
    async fn statuses(&self, orders: &Example) -> [u16; 3] {
        let url = |path| format!("{}{path}", orders.address);
        let ask = |method| agent().request(method, url("/orders")).bearer_auth(&self.token);
        let create = ask(Method::POST).json(&serde_json::json!({ "item": "a gate" }));
        [
            Answer::to(ask(Method::GET)).await.status.as_u16(),
            Answer::to(create).await.status.as_u16(),
            Answer::to(agent().get(url("/ready"))).await.status.as_u16(),
        ]
    }

    /// What the service says of its policy.
    async fn policy(&self, orders: &Example) -> Value {
        Answer::to(agent().get(format!("{}/ready", orders.address))).await.json()["policy"].clone()
    }

    /// The revision on the disk, once the keys that prove it are there too.
    fn kept(&self) -> Option<u64> {
        let names = fs::read_dir(self.cache()).ok()?.map(|entry| entry.unwrap().file_name());
        let names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        let whole = |kind| names.iter().find(move |name| name.starts_with(kind) && !name.contains('.'));
        let (_keys, policy) = (whole("keys-")?, whole("policy-")?);
        let file = fs::read_to_string(self.cache().join(policy)).unwrap();
        jwt::claims(file.lines().last().unwrap())["revision"].as_u64()
    }

    /// Waits until the disk holds the policy that is in force: nobody waits for the disk but whoever pulls the plug.
    async fn settles(&self, orders: &Example) {
        let in_force = self.policy(orders).await["revision"].as_u64().unwrap();
        eventually("it is on the disk", async || self.kept() == Some(in_force)).await;
    }

    /// Has the service run until the disk holds what it takes to start without the issuer.
    async fn runs_once(&self) {
        let orders = self.serve_plainly().await;
        self.becomes(&orders, [200, 403, 200]).await;
        self.settles(&orders).await;
    }

    /// Waits for the service to hear of what is new; it asks by itself.
    async fn becomes(&self, orders: &Example, statuses: [u16; 3]) {
        let since = Instant::now();
        while self.statuses(orders).await != statuses {
            assert!(since.elapsed() < PATIENCE, "{:?}", self.statuses(orders).await);
            // Another program has to notice: there is no event to wait for.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Has nobody allowed anything but to create.
    fn activate_creating(&self) {
        let rules = self.here.path().join("rules.csv");
        fs::write(&rules, "p, viewer, *, orders, create\n").unwrap();
        let run = |arguments: &[&str]| {
            let output = self.place.run(&[&["policy"], arguments, &["--api", ORDERS]].concat());
            assert!(output.status.success(), "{arguments:?}: {}", said(&output));
        };
        run(&["push", rules.to_str().unwrap()]);
        run(&["activate", "--message", "Create only"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_outlives_its_issuer_and_starts_without_it_sqlite() {
    let (scene, server) = Scene::set().await;
    let orders = scene.serve_plainly().await;
    assert_eq!(scene.statuses(&orders).await, [200, 403, 200]);
    scene.settles(&orders).await;
    server.kill();
    assert_eq!(scene.statuses(&orders).await, [200, 403, 200], "it goes on");
    drop(orders);
    let orders = scene.serve_plainly().await;
    assert_eq!(scene.statuses(&orders).await, [200, 403, 200], "it starts from the disk");
    assert_eq!(scene.policy(&orders).await["source"], "disk");

    let server = ServerProcess::start(&scene.place).await;
    scene.activate_creating();
    scene.becomes(&orders, [403, 201, 200]).await;
    assert_eq!(scene.policy(&orders).await["source"], "network");
    scene.settles(&orders).await;
    server.kill();
    drop(orders);
    let orders = scene.serve_plainly().await;
    assert_eq!(scene.statuses(&orders).await, [403, 201, 200], "the new policy is on the disk");
}

#[tokio::test]
async fn what_a_service_writes_to_a_file_while_its_issuer_is_away_is_short_and_plain_sqlite() {
    let (scene, server) = Scene::set().await;
    scene.runs_once().await;
    server.kill();
    let path = scene.here.path().join("orders.log");
    let mut program = Command::new(example_program("orders"));
    program.stderr(fs::File::create(&path).unwrap());
    let orders = scene.serve(program).await;
    let log = || fs::read_to_string(&path).unwrap();
    eventually("it misses the issuer", async || log().contains("the server cannot be listened to")).await;
    let server = ServerProcess::start(&scene.place).await;
    let back = ["keys are fetched again", "the policy is confirmed again", "the server is listened to again"];
    eventually("it hears of the issuer", async || back.iter().all(|line| log().contains(line))).await;
    orders.end();
    let log = log();
    let kid = jwt::header(&scene.token)["kid"].as_str().unwrap().to_owned();
    assert!(log.contains(&kid) && !log.contains("Some(") && !log.contains('\u{1b}'), "{log}");
    for line in ["keys could not be fetched", "the policy could not be refreshed"].iter().chain(&back) {
        assert_eq!(log.matches(line).count(), 1, "{log}");
    }
    assert_eq!(log.matches("serves_until=").count(), 2, "{log}");
    assert!(!server.log().contains('\u{1b}'), "{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_cut_off_is_not_used_and_the_service_recovers_by_itself_sqlite() {
    let (scene, server) = Scene::set().await;
    scene.runs_once().await;
    server.kill();
    for entry in fs::read_dir(scene.cache()).unwrap() {
        let path = entry.unwrap().path();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 2]).unwrap();
        let orders = scene.serve_plainly().await;
        // Without a list of revocations a service starts as one that has heard of none: it sets no limit on their age.
        let is_list = path.file_name().unwrap().to_str().unwrap().starts_with("revocations-");
        let expected = if is_list { [200, 403, 200] } else { [503, 503, 503] };
        assert_eq!(scene.statuses(&orders).await, expected, "{}", path.display());
        drop(orders);
        fs::write(&path, &whole).unwrap();
    }
    fs::remove_dir_all(scene.cache()).unwrap();
    let orders = scene.serve_plainly().await;
    assert_eq!(scene.statuses(&orders).await, [503, 503, 503]);
    let _server = ServerProcess::start(&scene.place).await;
    scene.becomes(&orders, [200, 403, 200]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_cannot_be_written_to_is_read_and_hinders_nothing_sqlite() {
    let (scene, server) = Scene::set().await;
    scene.runs_once().await;
    server.kill();
    let read_only = || {
        let cache = scene.cache().display().to_string();
        let script = format!("mount --bind -o ro {cache} {cache} && exec \"$@\"");
        let mut outer = Command::new("unshare");
        outer.args(["--mount", "--map-root-user", "sh", "-ec", &script, "sh"]).arg(example_program("orders"));
        outer
    };
    let kept = || {
        let entries = fs::read_dir(scene.cache()).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (fs::read(&path).unwrap(), path)).collect::<Vec<_>>()
    };
    let before = kept();
    let orders = scene.serve(read_only()).await;
    assert_eq!(scene.statuses(&orders).await, [200, 403, 200]);
    let _server = ServerProcess::start(&scene.place).await;
    scene.activate_creating();
    scene.becomes(&orders, [403, 201, 200]).await;
    assert!(kept() == before, "nothing could be written");
}

/// The clock of the machine, which the test puts forward.
#[expect(clippy::disallowed_methods, reason = "the server is a program of its own and reads the real clock")]
fn ahead_by(secs: &Arc<AtomicU64>) -> Clock {
    let (wall, steady, start) = (Arc::clone(secs), Arc::clone(secs), Instant::now());
    let more = |secs: &AtomicU64| Duration::from_secs(secs.load(Ordering::SeqCst));
    Clock::new(
        move || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + more(&wall),
        move || start.elapsed() + more(&steady),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn past_the_limit_a_service_is_closed_and_stays_so_across_a_restart_sqlite() {
    let (scene, server) = Scene::set().await;
    let (client, ahead) = (registered(&scene.service), Arc::new(AtomicU64::new(0)));
    let address = scene.place.address();
    let start = || {
        let clock = ahead_by(&ahead);
        let configure = |guard: portcullis_guard::GuardBuilder| guard.cache_dir(scene.cache()).clock(clock);
        GuardedService::start_with(&address, ORDERS, &client, configure)
    };
    let service = start().await;
    eventually("it is on the disk", async || scene.kept() == service.revision()).await;
    server.kill();
    assert_eq!(service.get("/orders", Some(&scene.token)).await.status, 200);
    drop(service);
    let service = start().await;
    assert_eq!(service.get("/orders", Some(&scene.token)).await.status, 200);
    assert_eq!(service.post("/orders", Some(&scene.token)).await.status, 403);

    // The token has expired too, by then; but by which keys, nobody can say.
    ahead.store(3_700, Ordering::SeqCst);
    for service in [service, start().await] {
        let closed = service.get("/orders", Some(&scene.token)).await;
        assert_eq!((closed.status.as_u16(), closed.header("retry-after")), (503, "1"));
        assert_eq!(closed.json()["code"], "unavailable");
        assert_eq!(
            service.get("/orders", None).await.status,
            401,
            "whoever brings no token is asked for one"
        );
    }
}

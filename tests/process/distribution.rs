//! A policy on its way to services: three of them behind two programs, under load, and with a program that dies.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis_tests::admin::{Admin, RegisteredApi};
use portcullis_tests::process::{Place, ServerProcess, two_places};
use portcullis_tests::registered::Registered;
use portcullis_tests::service::{GuardedService, REVISION};
use reqwest::Method;
use tempfile::TempDir;

const ORDERS: &str = "https://orders.test";
const ACTIVATIONS: u64 = 100;
const KILLS: u64 = 50;

/// How long news may take on a loaded machine before something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

/// Revisions take turns, so that each decides every request otherwise than the one before it.
const fn rules(revision: u64) -> &'static str {
    if revision.is_multiple_of(2) { "p, viewer, *, orders, read\n" } else { "p, viewer, *, orders, create\n" }
}

fn allows(revision: u64, method: &Method) -> bool {
    rules(revision).contains(if method == Method::GET { "read" } else { "create" })
}

/// One of two programs, an API with three services, and somebody who calls them.
struct Scene {
    _folder: TempDir,
    second: Place,
    one: ServerProcess,
    admin: Admin,
    api: RegisteredApi,
    /// The first two listen to the first program, the last to the second.
    services: Vec<Arc<GuardedService>>,
    caller: Registered,
}

impl Scene {
    /// With the second program.
    async fn new() -> (Self, ServerProcess) {
        let (folder, first, second) = two_places().await;
        let admin = Admin::in_place(&first);
        let (one, two) =
            (ServerProcess::start_unlimited(&first).await, ServerProcess::start_unlimited(&second).await);
        let api = admin.api(ORDERS).await;
        let caller = admin.machine_client(&[&api]).await;
        admin.assign(&api, "viewer", &caller.id).await;
        // The revision that an API begins with is neither of the two.
        admin.activate(&api, rules(2)).await;
        let client = admin.guard_client(&api).await;
        let mut services = Vec::new();
        for replica in [&one, &one, &two] {
            let service = GuardedService::listening(&one.address, &replica.address, ORDERS, &client).await;
            services.push(Arc::new(service));
        }
        (Self { _folder: folder, second, one, admin, api, services, caller }, two)
    }

    async fn token(&self) -> String {
        self.one.machine.client_credentials(&self.caller, ORDERS).await.member("access_token")
    }

    async fn active(&self) -> u64 {
        let policy = self.admin.get(&format!("/apis/{}/policy", self.api.id)).await.json();
        let revision = policy["number"].as_u64().unwrap_or_else(|| panic!("{policy}"));
        assert_eq!(policy["rules"], rules(revision), "a revision has the text it was made of");
        revision
    }
}

/// Asks once, and says what is wrong with the answer; otherwise gives the revision that decided.
async fn ask(service: &GuardedService, method: Method, token: &str) -> Result<u64, String> {
    let answer = match method {
        Method::GET => service.get("/orders", Some(token)).await,
        _ => service.post("/orders", Some(token)).await,
    };
    let revision = answer.header(REVISION).parse::<u64>();
    let revision =
        revision.map_err(|_| format!("{method}: {} by no revision: {}", answer.status, answer.text()))?;
    let expected = if allows(revision, &method) { 200 } else { 403 };
    if answer.status == expected {
        Ok(revision)
    } else {
        Err(format!("{method} by revision {revision}: {}", answer.status))
    }
}

/// Asks until it is over: how often, and everything that was wrong.
async fn load(service: Arc<GuardedService>, token: String, over: Arc<AtomicBool>) -> (u64, Vec<String>) {
    let (mut asked, mut newest, mut wrong) = (0, 0, Vec::new());
    while !over.load(Ordering::Relaxed) {
        for method in [Method::GET, Method::POST] {
            asked += 1;
            match ask(&service, method, &token).await {
                Ok(revision) if revision < newest => wrong.push(format!("{revision} after {newest}")),
                Ok(revision) => newest = revision,
                Err(error) => wrong.push(error),
            }
        }
    }
    (asked, wrong)
}

/// Waits until a service has a revision: other programs tell it, and there is no event to wait for.
async fn reached(service: &GuardedService, revision: u64) -> Duration {
    let started = Instant::now();
    while service.revision() != Some(revision) {
        assert!(started.elapsed() < PATIENCE, "{:?} instead of {revision}", service.revision());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    started.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_activations_under_load_bring_no_wrong_decision_postgres() {
    let (scene, two) = Scene::new().await;
    let token = scene.token().await;
    let over = Arc::new(AtomicBool::new(false));
    let load = |service: &Arc<GuardedService>| {
        tokio::spawn(load(Arc::clone(service), token.clone(), Arc::clone(&over)))
    };
    let loads: Vec<_> = scene.services.iter().map(load).collect();
    let replicas = [scene.admin.clone(), scene.admin.at(&two.address)];
    let mut slowest = Vec::new();
    for (revision, admin) in (3..3 + ACTIVATIONS).zip(replicas.iter().cycle()) {
        admin.activate(&scene.api, rules(revision)).await;
        let waits = join_all(scene.services.iter().map(|service| reached(service, revision))).await;
        slowest.extend(waits.into_iter().max());
        for service in &scene.services {
            assert_eq!(ask(service, Method::GET, &token).await, Ok(revision));
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut asked = 0;
    for load in loads {
        let (count, wrong) = load.await.expect("the load ran to its end");
        assert_eq!(wrong, Vec::<String>::new(), "of {count} decisions");
        assert!(count > ACTIVATIONS, "there was a load: {count}");
        asked += count;
    }
    slowest.sort_unstable();
    println!(
        "{asked} decisions; until the last service: {:?}, slowest {:?}",
        slowest.get(slowest.len() / 2),
        slowest.last()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_fifty_activations_leaves_the_old_or_the_new_revision_postgres() {
    let (scene, mut two) = Scene::new().await;
    let token = scene.token().await;
    let (mut current, mut activated, mut answered) = (2, 0, 0);
    for round in 0..KILLS {
        let request = scene.admin.at(&two.address).activation(&scene.api, rules(current + 1)).await;
        let sent =
            tokio::spawn(async move { request.send().await.is_ok_and(|answer| answer.status() == 200) });
        // Not to wait for anything: each round dies at another moment.
        tokio::time::sleep(Duration::from_micros(400 * round)).await;
        two.kill();
        let was_answered = sent.await.expect("it was sent");
        // What was on its way to the database when it died may arrive there later.
        two = ServerProcess::start_unlimited(&scene.second).await;
        let active = scene.active().await;
        assert!(active == current + 1 || (active == current && !was_answered), "{active} after {current}");
        activated += active - current;
        answered += u64::from(was_answered);
        for service in &scene.services[..2] {
            reached(service, active).await;
        }
        for service in &scene.services {
            for method in [Method::GET, Method::POST] {
                let revision = ask(service, method, &token).await.unwrap_or_else(|error| panic!("{error}"));
                assert!(revision <= active, "{revision} was never active");
            }
        }
        current = active;
    }
    for service in &scene.services {
        reached(service, current).await;
    }
    println!("{KILLS} kills: {activated} activations took place, {answered} of them were answered");
}

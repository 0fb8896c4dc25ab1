//! A shop whose customers and staff sign in at two servers.

use std::path::Path;

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::process::{Place, ServerProcess, eventually};
use portcullis_tests::proxied::free_port;
use portcullis_tests::registered::Registered;
use serde_json::json;
use tempfile::{TempDir, tempdir};

use crate::commands::{json as made, registered};
use crate::example::{Example, at_home, client_in, instructions};
use crate::terminal::Terminal;

const SHOP: &str = "https://shop.example";

/// Two servers, and what the example says.
struct Scene {
    /// Where the customers' server is, and the server unless it is away.
    customers: (Place, Option<ServerProcess>),
    staff: (Place, ServerProcess),
    blocks: [String; 4],
    port: u16,
    here: TempDir,
    _folders: [TempDir; 2],
}

impl Scene {
    async fn set() -> Self {
        let folders = [tempdir().unwrap(), tempdir().unwrap()];
        let places = folders.each_ref().map(|folder| Place::new(folder.path()));
        let [first, second] = places;
        let customers = (first.clone(), Some(ServerProcess::start(&first).await));
        let staff = (second.clone(), ServerProcess::start(&second).await);
        let blocks = <[String; 4]>::try_from(instructions("multi_issuer.rs")).expect("four blocks");
        let (here, port) = (tempdir().unwrap(), free_port());
        let scene = Self { customers, staff, blocks, port, here, _folders: folders };
        let [servers, register, ..] = &scene.blocks;
        let both = ["customers --listen 127.0.0.1:8080", "staff --listen 127.0.0.1:8090"];
        let both = both.map(|rest| format!("target/release/portcullis --data-dir {rest}\n"));
        assert_eq!(*servers, both.concat());
        scene.terminal().run(&scene.at_home(register));
        scene
    }

    fn terminal(&self) -> Terminal<'_> {
        Terminal { place: &self.customers.0, folder: self.here.path().to_owned() }
    }

    fn at_home(&self, block: &str) -> String {
        let options = |place: &Place| {
            format!("--data-dir {} --listen 127.0.0.1:{}", place.data_dir.display(), place.port)
        };
        let shop = format!("http://127.0.0.1:{}", self.port);
        let places = [
            ("--data-dir customers --listen 127.0.0.1:8080", options(&self.customers.0)),
            ("--data-dir staff --listen 127.0.0.1:8090", options(&self.staff.0)),
            ("http://localhost:8080", self.customers.0.address()),
            ("http://localhost:8090", self.staff.0.address()),
            ("http://127.0.0.1:8083", shop),
        ];
        at_home(block, &places.each_ref().map(|(theirs, ours)| (*theirs, ours.as_str())))
    }

    async fn open(&self) -> Example {
        let [_, _, open, _] = &self.blocks;
        Example::start(self.terminal().shell(&self.at_home(open)), self.port).await
    }

    /// A token of a customer.
    async fn customer(&self, client: &Registered) -> String {
        token(self.customers.1.as_ref().expect("the server is there"), client).await
    }

    fn client(&self, file: &str) -> Registered {
        client_in(&self.here.path().join(file))
    }
}

/// A token of a server, with every scope that the client may have.
async fn token(server: &ServerProcess, client: &Registered) -> String {
    let answer = server.machine.client_credentials(client, SHOP).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.member("access_token")
}

async fn get(shop: &Example, path: &str, token: &str) -> Answer {
    Answer::to(agent().get(format!("{}{path}", shop.address)).bearer_auth(token)).await
}

async fn post(shop: &Example, path: &str, token: &str) -> u16 {
    let request = agent().post(format!("{}{path}", shop.address)).bearer_auth(token);
    Answer::to(request.json(&json!({ "item": "a gate" }))).await.status.as_u16()
}

/// A server on a folder, which says that it is another one.
async fn in_the_name_of(issuer: &str, folder: &Path) -> ServerProcess {
    let place = Place { issuer: Some(issuer.to_owned()), ..Place::new(folder) };
    ServerProcess::start(&place).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_issuer_opens_what_is_meant_for_its_own_callers_sqlite() {
    let scene = Scene::set().await;
    let shop = scene.open().await;
    let [.., calls] = &scene.blocks;
    assert_eq!(scene.terminal().statuses(&scene.at_home(calls)), [200, 403, 200, 403]);

    let (ann, stan) = (scene.client("ann.json"), scene.client("stan.json"));
    let (ann_s, stan_s) = (scene.customer(&ann).await, token(&scene.staff.1, &stan).await);
    // A role of the customers' server is none of the staff's, whatever it is called.
    let create = |place: &Place, more: &[&str]| {
        let start = ["client", "create", "--preset", "m2m", "--name", "Eve", "--api", SHOP];
        registered(&made(place, &[&start[..], more].concat()))
    };
    let eve = create(&scene.customers.0, &["--role", "editor"]);
    let eve_s = scene.customer(&eve).await;
    assert_eq!(get(&shop, "/orders", &eve_s).await.status, 403, "neither the scope nor a role of the staff");
    assert_eq!(post(&shop, "/orders/1/cancel", &eve_s).await, 403);
    // Nor is a scope of the staff's server one of customers.
    let sid = create(&scene.staff.0, &["--scope", "orders"]);
    assert_eq!(post(&shop, "/orders", &token(&scene.staff.1, &sid).await).await, 403);

    let seen = get(&shop, "/orders", &stan_s).await;
    assert_eq!(seen.json()[0]["customer"], json!([scene.customers.0.address(), ann.id]));
    assert_eq!(get(&shop, "/orders", &ann_s).await.json().as_array().unwrap().len(), 1);
    assert_eq!(post(&shop, "/orders/1/cancel", &stan_s).await, 204);
    assert_eq!(get(&shop, "/orders", &ann_s).await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_signs_for_another_issuer_sqlite() {
    let scene = Scene::set().await;
    let shop = scene.open().await;
    let (ann, stan) = (scene.client("ann.json"), scene.client("stan.json"));
    assert_eq!(get(&shop, "/orders", &token(&scene.staff.1, &stan).await).await.status, 200);
    let genuine = scene.customer(&ann).await;
    assert_eq!(get(&shop, "/orders", &genuine).await.status, 200);

    // An issuer that nobody here knows: with the same API, its own keys, and the same kind of token.
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    let stranger = ServerProcess::start(&place).await;
    let service = ["client", "create", "--preset", "service", "--name", "Shop", "--api", SHOP];
    made(&place, &service);
    let editor =
        ["client", "create", "--preset", "m2m", "--name", "Mallory", "--api", SHOP, "--role", "editor"];
    let mallory = registered(&made(&place, &editor));
    let refused = get(&shop, "/orders", &token(&stranger, &mallory).await).await;
    assert_eq!((refused.status.as_u16(), refused.member("code").as_str()), (401, "invalid_token"));

    // The customers' server, with the very keys that the shop knows, says that it is the staff's.
    let Scene { customers: (place, server), staff, .. } = scene;
    let known = made(&place, &editor);
    drop(server);
    let pretender = in_the_name_of(&staff.0.address(), &place.data_dir).await;
    let forged = token(&pretender, &registered(&known)).await;
    assert_eq!(claims(&forged)["iss"], staff.0.address());
    assert_eq!(header(&forged)["kid"], header(&genuine)["kid"]);
    let refused = get(&shop, "/orders", &forged).await;
    assert_eq!((refused.status.as_u16(), refused.member("code").as_str()), (401, "invalid_token"));
    assert_eq!(get(&shop, "/orders", &token(&staff.1, &stan).await).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_away_takes_nothing_from_the_callers_of_the_other_sqlite() {
    let mut scene = Scene::set().await;
    let (ann, stan) = (scene.client("ann.json"), scene.client("stan.json"));
    let ann_s = scene.customer(&ann).await;
    let shop = scene.open().await;
    assert_eq!(get(&shop, "/orders", &ann_s).await.status, 200);

    scene.customers.1.take().expect("the server is there").kill();
    let stan_s = token(&scene.staff.1, &stan).await;
    assert_eq!(get(&shop, "/orders", &stan_s).await.status, 200);
    assert_eq!(get(&shop, "/orders", &ann_s).await.status, 200, "the keys are known");
    drop(shop);

    // A shop that starts meanwhile never saw the keys of the one that is away.
    let shop = scene.open().await;
    assert_eq!(get(&shop, "/orders", &stan_s).await.status, 200);
    let away = get(&shop, "/orders", &ann_s).await;
    assert_eq!(
        (away.status.as_u16(), away.member("code").as_str()),
        (503, "unavailable"),
        "never a false 401"
    );
    // Those of the other are served, so the shop is ready, and says whose keys it lacks.
    let ready = get(&shop, "/ready", "").await;
    assert_eq!((ready.status.as_u16(), &ready.json()["ready"]), (200, &json!(true)), "{}", ready.text());
    let usable: Vec<_> =
        ready.json()["issuers"].as_array().unwrap().iter().map(|issuer| issuer["usable"].clone()).collect();
    assert_eq!(usable, [json!(false), json!(true)], "{}", ready.text());

    let _back = ServerProcess::start(&scene.customers.0).await;
    let served = async || get(&shop, "/orders", &ann_s).await.status == 200;
    eventually("the customers are served again", served).await;
}

//! The routes of the example service, told to the server by itself and looked at by command.

use std::process::Command;

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess, eventually};
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::commands::{ORDERS, json as printed, place_on, said};
use crate::example::{Example, example_program};

/// What a command about the routes of the service prints.
fn routes(place: &Place, arguments: &[&str]) -> Value {
    printed(place, &[&["policy", "routes", "--api", ORDERS], arguments].concat())
}

async fn serve(place: &Place, service: &Value, version: &str) -> Example {
    let mut program = Command::new(example_program("orders"));
    program
        .env_clear()
        .env("ORDERS_ISSUER", place.address())
        .env("ORDERS_AUDIENCE", ORDERS)
        .env("ORDERS_CLIENT_ID", service["client_id"].as_str().unwrap())
        .env("ORDERS_CLIENT_SECRET", service["client_secret"].as_str().unwrap())
        .env("ORDERS_VERSION", version);
    let folder = tempdir().unwrap();
    Example::start(program, Place::new(folder.path()).port).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_tells_of_its_routes_by_itself(#[values(Sqlite, Postgres)] database: Database) {
    let (folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let service =
        printed(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    assert_eq!(routes(&place, &[]), json!([]));
    let none = place.run(&["policy", "routes", "report", "--api", ORDERS]);
    assert!(!none.status.success() && said(&none).contains("no service told of any"), "{}", said(&none));
    let _orders = serve(&place, &service, "1.0").await;
    eventually("the service tells of its routes", async || routes(&place, &["--pending"]) != json!([])).await;
    let pending = routes(&place, &["--pending"]);
    let inventory = &pending[0];
    assert_eq!((&inventory["version"], &inventory["announced_by"]), (&json!("1.0"), &service["client_id"]));
    let paths: Vec<_> = inventory["routes"].as_array().unwrap().iter().map(|it| it["path"].clone()).collect();
    assert_eq!(paths, ["/health", "/orders", "/orders", "/orders/{id}", "/ready"]);

    let table = place.run(&["policy", "routes", "--api", ORDERS, "--pending"]);
    assert!(said(&table).contains("GET HEAD  /orders/{id}  rbac(orders, read)"), "{}", said(&table));
    let digest = inventory["digest"].as_str().unwrap();
    for wrong in ["", &digest[..31], "no digits at all", &"0".repeat(64)] {
        let refused = place.run(&["policy", "routes", "approve", wrong, "--api", ORDERS]);
        assert!(
            !refused.status.success() && said(&refused).contains("names no routes"),
            "{}",
            said(&refused)
        );
    }
    let way = "1 inventory is pending: `policy routes --pending` prints what waits, `policy routes approve <DIGEST>`";
    for (arguments, code) in [(&["report"][..], 1), (&[], 0)] {
        let early = place.run(&[&["policy", "routes", "--api", ORDERS], arguments].concat());
        assert_eq!(early.status.code(), Some(code), "{}", said(&early));
        assert!(String::from_utf8_lossy(&early.stderr).contains(way), "{}", said(&early));
    }
    let approved = routes(&place, &["approve", &digest[..32]]);
    assert_eq!((&approved[0]["digest"], &approved[0]["state"]), (&json!(digest), &json!("approved")));
    assert_eq!(routes(&place, &[])[0]["digest"], digest);

    let rules = folder.path().join("rules.csv");
    std::fs::write(&rules, "p, viewer, *, orders, read\np, viewer, *, bills, read\n").unwrap();
    let push = place.run(&["policy", "push", rules.to_str().unwrap(), "--api", ORDERS]);
    assert!(push.status.success(), "{}", said(&push));
    let report = routes(&place, &["report", "--draft", "--digest", digest]);
    assert_eq!(
        (&report["unruled"][0]["action"], &report["unrouted"][0]["line"]),
        (&json!("create"), &json!(2))
    );
    let table = said(&place.run(&["policy", "routes", "--api", ORDERS, "report", "--draft"]));
    assert!(table.contains("route  POST /orders    orders  create  no rule"), "{table}");
    assert!(table.contains("rule   line 2, viewer  bills   read    no route"), "{table}");

    std::fs::write(&rules, "p, viewer, *, orders, raed\n").unwrap();
    let check = ["policy", "check", rules.to_str().unwrap()];
    assert_eq!(said(&place.run(&check)), "nothing is wrong\n", "a file alone says nothing of routes");
    let checked = printed(&place, &[&check[..], &["--api", ORDERS]].concat());
    let found = &checked["findings"][0];
    assert_eq!((&found["code"], &found["fix"]), (&json!("likely-typo"), &json!("read")), "{checked}");
    let unknown = place.run(&[&check[..], &["--api", "https://none.test"]].concat());
    assert!(!unknown.status.success() && said(&unknown).contains("there is no API"), "{}", said(&unknown));

    // Another version is another inventory; the server is started again, and knows what it was told.
    server.kill();
    let _server = ServerProcess::start(&place).await;
    let _next = serve(&place, &service, "1.1").await;
    eventually("the next version tells of its routes", async || routes(&place, &["--pending"]) != json!([]))
        .await;
    let next = routes(&place, &["--pending"])[0]["digest"].as_str().unwrap().to_owned();
    assert_eq!(routes(&place, &["reject", &next])[0]["state"], "rejected");
    assert_eq!(
        (routes(&place, &["--pending"]), routes(&place, &[])[0]["version"].clone()),
        (json!([]), json!("1.0"))
    );
}

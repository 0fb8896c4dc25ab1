//! What the log of a gateway says of what it refuses.

use std::fs;

use portcullis_guard::test_util::Issuer;
use portcullis_tests::agent::Answer;
use portcullis_tests::process::eventually;
use portcullis_tests::proxied::{self, Listening, free_port};
use serde_json::Value;
use tempfile::tempdir;

use super::started::forwarded;
use crate::commands::ORDERS;

/// The lines that say this, in order.
fn lines(gateway: &Listening, message: &str) -> Vec<Value> {
    let log = gateway.log();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.filter(|line| line["message"] == message).collect()
}

/// The path that the guard was asked about when it said a line.
fn path_of(refused: &Value) -> &str {
    refused["spans"][0]["url.path"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_route_that_was_forgotten_and_a_token_for_somebody_else_are_found_in_the_log() {
    let (issuer, folder, port) = (Issuer::start().await.unwrap(), tempdir().unwrap(), free_port());
    let file = folder.path().join("gateway.toml");
    let start = format!(
        "[gateway]\nlisten = \"127.0.0.1:{port}\"\nissuer = \"{}\"\naudience = \"{ORDERS}\"\n",
        issuer.url()
    );
    let log = "[log]\nfilter = \"info,portcullis_guard=debug\"\nformat = \"json\"\n";
    let route = "[[route]]\npath = \"/orders/{id}\"\nmethods = [\"GET\"]\nrequire = \"scope(orders)\"\n";
    fs::write(&file, format!("{start}{log}{route}")).unwrap();
    let gateway = proxied::gateway(&file, port).await;
    let token = issuer.mint(ORDERS).scope("orders").token();
    let asked = async |method: &str, target: &str, token: &str| {
        Answer::to(forwarded(&gateway, method, target).bearer_auth(token)).await.status.as_u16()
    };
    eventually("keys have come", async || asked("GET", "/orders/1", &token).await == 200).await;
    let (began, refused_before) = (lines(&gateway, "asked").len(), lines(&gateway, "refused").len());

    let endless = format!("/{}", "a".repeat(400));
    assert_eq!(asked("GET", "/reports?key=hush", &token).await, 403);
    assert_eq!(asked("PUT", "/orders/2?key=hush", &token).await, 403);
    assert_eq!(asked("HUSH", &format!("{endless}?key=hush"), &token).await, 403);
    assert_eq!(asked("GET", "/orders/3?key=hush", &issuer.mint(ORDERS).token()).await, 403);
    assert_eq!(asked("GET", "/orders/4?key=hush", &issuer.mint("https://other.example").token()).await, 401);
    assert_eq!(asked("GET", "/orders;5", &token).await, 400);
    assert_eq!(asked("GET", "orders", &token).await, 400);

    let unlisted = "no [[route]] is for this path and method";
    let cut = format!("{}..", &endless[..256]);
    let told = lines(&gateway, "asked").split_off(began);
    let told: Vec<_> = told
        .iter()
        .map(|line| {
            let field = |name: &str| line[name].as_str().unwrap_or_default();
            (
                field("http.request.method"),
                field("url.path"),
                line["http.status"].as_u64().unwrap(),
                field("cause"),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("GET", "/reports", 403, unlisted),
            ("PUT", "/orders/2", 403, unlisted),
            ("_OTHER", cut.as_str(), 403, unlisted),
            ("GET", "/orders/3", 403, ""),
            ("GET", "/orders/4", 401, ""),
            ("GET", "/orders;5", 400, ""),
            ("", "", 400, "path and query of the request are missing, are there twice, or are none"),
        ]
    );

    let refused = lines(&gateway, "refused").split_off(refused_before);
    let paths: Vec<_> = refused.iter().map(path_of).collect();
    assert_eq!(paths, ["/reports", "/orders/2", &cut, "/orders/3", "/orders/4", "/orders;5"]);
    for line in &refused[..3] {
        assert_eq!(line["cause"], "no route of the table is for this path and method", "{line}");
    }
    assert_eq!(refused[3]["cause"], "the token lacks the scope orders", "{}", refused[3]);
    assert!(refused[4]["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{}", refused[4]);
    assert!(!gateway.log().contains("hush") && !gateway.log().contains("HUSH"), "{}", gateway.log());
}

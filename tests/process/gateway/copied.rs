//! The files that people copy, as they are.

use std::fs;

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::process::eventually;
use portcullis_tests::proxied::{self, Upstream, free_port};

use super::{Ground, nginx_block, text_of};
use crate::commands::ORDERS;
use crate::terminal::adapted;

#[test]
fn the_page_shows_the_configuration_that_is_copied() {
    let page = text_of("auth-server/docs/gateway.md");
    assert!(page.contains(&format!("```nginx\n{}```", nginx_block())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_files_of_the_example_guard_a_service_sqlite() {
    let (ground, upstream) = (Ground::new().await, Upstream::start().await);
    let (asked, front) = (free_port(), free_port());
    let client = ground.policy.split('"').nth(1).expect("the client is named first");
    let secret = ground.here.path().join("secret").display().to_string();
    let (issuer, gateway_at) = (ground.place.address(), format!("127.0.0.1:{asked}"));
    let text = text_of("middleware/examples/gateway/gateway.toml");
    assert!(text.contains(ORDERS), "it is for the API of the other examples");
    let places = [
        ("127.0.0.1:8090", gateway_at.as_str()),
        ("http://localhost:8080", issuer.as_str()),
        ("cli_..", client),
        ("gateway.secret", secret.as_str()),
    ];
    let file = ground.here.path().join("gateway.toml");
    fs::write(&file, adapted(&text, &places)).unwrap();
    let gateway = proxied::gateway(&file, asked).await;
    let (service_at, front_at) = (format!("127.0.0.1:{}", upstream.port), format!("127.0.0.1:{front}"));
    let places = [
        ("127.0.0.1:8090", gateway_at.as_str()),
        ("127.0.0.1:8081", service_at.as_str()),
        ("127.0.0.1:8000", front_at.as_str()),
    ];
    let nginx = proxied::nginx(ground.here.path(), front, &adapted(&nginx_block(), &places)).await;
    let ready = format!("{}/readyz", gateway.address);
    eventually("the gateway is ready", async || Answer::to(agent().get(&ready)).await.status == 200).await;

    let orders = format!("{}/orders", nginx.address);
    let token = ground.token(&ground.viewer).await;
    let asks = async |request: reqwest::RequestBuilder| Answer::to(request).await.status.as_u16();
    assert_eq!(asks(agent().get(&orders)).await, 401);
    assert_eq!(asks(agent().get(&orders).bearer_auth(&token)).await, 200, "{}", gateway.log());
    assert_eq!(asks(agent().post(&orders).bearer_auth(&token).body("{}")).await, 403);
    assert_eq!(asks(agent().get(format!("{}/health", nginx.address))).await, 200);
    let seen = upstream.seen();
    let lines: Vec<&str> = seen.iter().map(|seen| seen.line.as_str()).collect();
    assert_eq!(lines, ["GET /orders", "GET /health"]);
    assert_eq!(seen[0].header("x-auth-subject"), ground.viewer.id);
    assert_eq!(seen[1].header("x-auth-subject"), "");
}

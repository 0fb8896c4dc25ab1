//! Started on its file and its folders, and again.

use std::fs;

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::process::{eventually, finished};
use portcullis_tests::proxied::{self, Listening, free_port, gateway_command};
use reqwest::RequestBuilder;
use tempfile::tempdir;

use super::{Ground, ROUTES};
use crate::commands::said;

/// Asks as Traefik does.
pub(super) fn forwarded(gateway: &Listening, method: &str, uri: &str) -> RequestBuilder {
    agent()
        .get(format!("{}/forward", gateway.address))
        .header("x-forwarded-method", method)
        .header("x-forwarded-uri", uri)
        .header("x-forwarded-proto", "https")
        .header("x-forwarded-host", "api.example.com")
        .header("x-forwarded-for", "192.0.2.1")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_from_a_folder_are_read_again_when_it_is_told_to_sqlite() {
    let ground = Ground::new().await;
    let (folder, port) = (ground.here.path().join("policy"), free_port());
    fs::create_dir(&folder).unwrap();
    let write = |rules: &str| fs::write(folder.join("policy.csv"), rules).unwrap();
    write("p, viewer, *, orders, read\n");
    let file = ground.file(port, &format!("[policy]\nfolder = \"{}\"\n{ROUTES}", folder.display()));
    let gateway = proxied::gateway(&file, port).await;
    let token = ground.token(&ground.viewer).await;
    let status = async |method: &str, uri: &str| {
        Answer::to(forwarded(&gateway, method, uri).bearer_auth(&token)).await.status.as_u16()
    };
    eventually("keys have come", async || status("GET", "/orders").await == 200).await;
    let refused = Answer::to(forwarded(&gateway, "DELETE", "/orders/1").bearer_auth(&token)).await;
    assert_eq!((refused.status.as_u16(), refused.header("content-type")), (403, "application/problem+json"));
    let envoy = agent().get(format!("{}/envoy/orders", gateway.address)).bearer_auth(&token);
    let envoy = envoy.header("x-forwarded-proto", "https").header("x-forwarded-for", "192.0.2.1");
    let answer = Answer::to(envoy).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-auth-roles")), (200, "viewer"));

    write("p, viewer, *, orders\n");
    gateway.signal("HUP");
    eventually("wrong rules are refused", async || gateway.log().contains("were not taken over")).await;
    assert_eq!(status("GET", "/orders").await, 200);
    write("p, viewer, *, orders, delete\n");
    gateway.signal("HUP");
    eventually("new rules hold", async || status("DELETE", "/orders/1").await == 200).await;
    assert_eq!(status("GET", "/orders").await, 403);
    assert!(gateway.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_starts_from_its_folder_while_the_server_is_away_sqlite() {
    let ground = Ground::new().await;
    let (folder, port) = (ground.here.path().join("kept"), free_port());
    let kept = format!("cache_dir = \"{}\"\n{}{ROUTES}", folder.display(), ground.policy);
    let file = ground.file(port, &kept);
    let token = ground.token(&ground.viewer).await;
    let status = async |gateway: &Listening, method: &str, uri: &str| {
        Answer::to(forwarded(gateway, method, uri).bearer_auth(&token)).await.status.as_u16()
    };
    let gateway = proxied::gateway(&file, port).await;
    eventually("keys and policy have come", async || status(&gateway, "GET", "/orders").await == 200).await;
    assert!(gateway.end().success());
    let Ground { server, here: _here, .. } = ground;
    server.kill();
    let gateway = proxied::gateway(&file, port).await;
    assert_eq!(status(&gateway, "GET", "/orders").await, 200, "{}", gateway.log());
    assert_eq!(status(&gateway, "DELETE", "/orders/1").await, 403);
    assert!(gateway.end().success());
    fs::remove_dir_all(&folder).unwrap();
    let gateway = proxied::gateway(&file, port).await;
    assert_eq!(status(&gateway, "GET", "/orders").await, 503, "what is kept nowhere is made up by nobody");
}

#[tokio::test]
async fn the_file_is_checked_without_a_start_and_nothing_else_counts_sqlite() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    let start = "[gateway]\nissuer = \"https://id.example\"\naudience = \"https://orders.example\"\n";
    let run = |text: &str, more: &[&str]| {
        fs::write(&file, text).unwrap();
        let mut command = gateway_command(&file);
        command.args(more);
        let output = finished(command);
        (output.status.code(), said(&output))
    };
    let good =
        format!("{start}[policy]\nclient_id = \"c\"\nclient_secret_file = \"{}\"\n{ROUTES}", file.display());
    let (code, printed) = run(&good, &["check"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("GET      /orders"), "{printed}");
    assert!(printed.contains("*        /open/{*rest}  public"), "{printed}");
    let (code, printed) = run(&good, &["check", "--format", "json"]);
    assert_eq!(code, Some(0), "{printed}");
    assert!(printed.contains("\"require\": \"rbac(orders, delete)\""), "{printed}");
    let (code, printed) = run(&good.replace("audience", "audiance"), &["check"]);
    assert_eq!(code, Some(3), "{printed}");
    assert!(
        printed.contains("gateway.toml:3: gateway.audiance: there is no such key; did you mean"),
        "{printed}"
    );
    let (code, printed) = run(&good.replace("/orders/{id}", "/orders/{id"), &["check"]);
    assert_eq!(code, Some(3), "{printed}");
    let keeping = |folder: &str| {
        let listen = format!("[gateway]\nlisten = \"127.0.0.1:{}\"", free_port());
        let cache = format!("cache_dir = \"{folder}\"\n[policy]");
        good.replace("[gateway]", &listen).replace("[policy]", &cache)
    };
    let (code, printed) = run(&keeping(&folder.path().join("new").display().to_string()), &["check"]);
    assert_eq!(code, Some(0), "{printed}");
    for more in [&["check"][..], &[]] {
        let (code, printed) = run(&keeping(&file.display().to_string()), more);
        assert_eq!(code, Some(3), "{printed}");
        assert!(printed.contains("gateway.cache_dir: ") && printed.contains("is no folder"), "{printed}");
    }
    for server in [&["--set", "server.issuer=https://x.example"][..], &["--issuer", "https://x.example"]] {
        let (code, printed) = run(&good, server);
        assert_eq!(code, Some(2), "{printed}");
    }
    let mut unnamed =
        std::process::Command::new(portcullis_tests::database::required("PORTCULLIS_TEST_BINARY"));
    unnamed.env_clear().env("PORTCULLIS_CONFIG", &file).arg("gateway");
    assert_eq!(finished(unnamed).status.code(), Some(2));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "it leaves no trace");
}

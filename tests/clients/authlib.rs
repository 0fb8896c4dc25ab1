//! Authlib, as Python's package index has it.

use rstest::rstest;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::program::Program;

#[rstest]
#[case::client_secret_basic("client_secret_basic")]
#[case::private_key_jwt("private_key_jwt")]
#[tokio::test]
async fn an_application_of_authlib(#[case] flow: &str) {
    let ground = Ground::new("https://orders.example").await;
    Program::start("python/bin/python", "authlib_client.py").run(flow, &ground, Value::Null).await;
}

#[tokio::test]
async fn an_application_of_authlib_that_registers_by_itself() {
    let ground = Ground::with("https://orders.example", &["registration.dynamic=token"]).await;
    let told = json!({ "initial_access_token": ground.initial_token().await });
    Program::start("python/bin/python", "authlib_client.py").run("registration", &ground, told).await;
}

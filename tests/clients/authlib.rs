//! Authlib of `PyPI`.

use rstest::rstest;
use serde_json::Value;

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

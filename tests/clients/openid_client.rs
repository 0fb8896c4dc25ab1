//! npm's `openid-client`.

use rstest::rstest;
use serde_json::{Value, json};

use crate::ground::Ground;
use crate::program::Program;

#[rstest]
#[case::client_credentials("client_credentials")]
#[case::code("code")]
#[case::device("device")]
#[case::discovery("discovery")]
#[case::dpop("dpop")]
#[case::form_post("form_post")]
#[case::jar("jar")]
#[case::jarm("jarm")]
#[case::par("par")]
#[case::private_key_jwt("private_key_jwt")]
#[case::refresh("refresh")]
#[case::revocation("revocation")]
#[case::sign_out("sign_out")]
#[tokio::test]
async fn a_flow_of_openid_client(#[case] flow: &str) {
    let ground = Ground::new("https://orders.example").await;
    Program::start("node", "openid-client.mjs").run(flow, &ground, Value::Null).await;
}

#[tokio::test]
async fn openid_client_registers_by_itself() {
    let ground = Ground::with("https://orders.example", &["registration.dynamic=token"]).await;
    let told = json!({ "initial_access_token": ground.initial_token().await });
    Program::start("node", "openid-client.mjs").run("registration", &ground, told).await;
}

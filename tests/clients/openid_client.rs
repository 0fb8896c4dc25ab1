//! npm's `openid-client`.

use rstest::rstest;
use serde_json::Value;

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
#[case::registration("registration")]
#[case::revocation("revocation")]
#[case::sign_out("sign_out")]
#[tokio::test]
async fn a_flow_of_openid_client(#[case] flow: &str) {
    let ground = Ground::new("https://orders.example").await;
    Program::start("node", "openid-client.mjs").run(flow, &ground, Value::Null).await;
}

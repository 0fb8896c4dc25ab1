//! Apache's `mod_oauth2`: an API that accepts our tokens, of which it knows nothing but where the metadata is.

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::jwt;
use portcullis_tests::proxied::free_port;
use reqwest::header::AUTHORIZATION;
use serde_json::json;

use crate::apache::Apache;
use crate::ground::Ground;
use crate::program::Program;

const AUDIENCE: &str = "https://orders.example";

const PAGE: &str =
    "<p><!--#echo var=\"OAUTH2_CLAIM_client_id\" --> at <!--#echo var=\"OAUTH2_CLAIM_aud\" --></p>";

/// An API that verifies tokens by these options, and takes them by this scheme.
async fn api(ground: &Ground, options: &str, scheme: &str) -> Apache {
    let metadata = format!("{}/.well-known/oauth-authorization-server", ground.issuer());
    let configuration = format!(
        "OAuth2TokenVerify metadata {metadata} \"{options}\"\nOAuth2AcceptTokenIn header name=Authorization&type={scheme}\n\
         <Location /protected>\nAuthType oauth2\nRequire valid-user\n</Location>"
    );
    Apache::start(free_port(), "oauth2", &configuration, PAGE).await
}

async fn ask(apache: &Apache, authorization: &str) -> Answer {
    let request = agent().get(format!("{}/protected/", apache.address));
    Answer::to(if authorization.is_empty() { request } else { request.header(AUTHORIZATION, authorization) })
        .await
}

#[tokio::test]
async fn mod_oauth2_accepts_a_token_of_ours_and_none_that_was_touched() {
    let ground = Ground::new(AUDIENCE).await;
    let robot = ground.admin.machine_client(&[&ground.api]).await;
    let apache = api(&ground, "verify.exp=required", "bearer").await;
    let token = ground.server.machine.client_credentials(&robot, AUDIENCE).await.member("access_token");

    let page = ask(&apache, &format!("Bearer {token}")).await;
    assert_eq!(page.status, 200, "{}\n{}", page.text(), apache.log());
    assert!(page.text().contains(&format!("{} at {AUDIENCE}", robot.id)), "{}", page.text());
    let nobody = ask(&apache, "").await;
    assert_eq!(nobody.status, 401, "{}", nobody.text());
    let forged = ask(&apache, &format!("Bearer {}", jwt::damaged(&token))).await;
    assert_eq!(forged.status, 401, "{}", forged.text());
    let other = Ground::new(AUDIENCE).await;
    let robot = other.admin.machine_client(&[&other.api]).await;
    let token = other.server.machine.client_credentials(&robot, AUDIENCE).await.member("access_token");
    let elsewhere = ask(&apache, &format!("Bearer {token}")).await;
    assert_eq!(elsewhere.status, 401, "{}", elsewhere.text());
}

#[tokio::test]
async fn mod_oauth2_accepts_a_token_that_is_bound_to_a_key_with_a_proof_and_not_without() {
    let ground = Ground::new(AUDIENCE).await;
    let apache = api(&ground, "verify.exp=required&type=dpop", "dpop").await;
    let page = json!({ "page": format!("{}/protected/", apache.address) });
    Program::start("node", "openid-client.mjs").run("dpop_at_api", &ground, page).await;
}

//! Clients register by tokens that an operator makes, and are known after the program was killed.

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess, eventually};
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::commands::{json, place_on, said};

async fn start(place: &Place) -> ServerProcess {
    let command = place.command(&["--set", "registration.dynamic=token"]);
    let mut server = ServerProcess::of(command, place);
    server.ready().await;
    server
}

async fn register(server: &ServerProcess, token: &str) -> Answer {
    let request = server.machine.request(Method::POST, "/register").bearer_auth(token);
    Answer::to(request.header("content-type", "application/json").body(web_metadata().to_string())).await
}

async fn read(server: &ServerProcess, own: &OwnRegistration) -> Answer {
    Answer::to(server.machine.request(Method::GET, &own.path).bearer_auth(&own.token)).await
}

#[rstest]
#[tokio::test]
async fn an_operator_lets_clients_register_and_switches_them_off(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place) = place_on(database).await;
    let server = start(&place).await;
    let made = json(&place, &["registration", "create-token", "--name", "Partners", "--uses", "2"]);
    let token = made["initial_access_token"].as_str().unwrap();
    let answer = register(&server, token).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let own = OwnRegistration::of(&answer);
    let listed = json(&place, &["registration", "list-tokens"]);
    assert_eq!((&listed[0]["id"], &listed[0]["uses_left"]), (&made["id"], &json!(1)));
    assert!(!listed.to_string().contains(token));
    json(&place, &["registration", "delete-token", made["id"].as_str().unwrap()]);
    assert_eq!(register(&server, token).await.status, 401);
    server.kill();
    let server = start(&place).await;
    assert_eq!(read(&server, &own).await.member("client_name"), "Partner");
    let clients = json(&place, &["registration", "list"]);
    assert_eq!((&clients[0]["client_id"], &clients[0]["source"]), (&json!(own.client.id), &json!("dynamic")));
    json(&place, &["registration", "disable", &own.client.id]);
    eventually("it is switched off", async || read(&server, &own).await.status == 403).await;
    json(&place, &["registration", "enable", &own.client.id]);
    let unknown = place.run(&["registration", "disable", "cli_00000000000070008000000000000001"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
    let nonsense = place.run(&["registration", "delete-token", "x"]);
    assert_eq!(nonsense.status.code(), Some(2), "{}", said(&nonsense));
}

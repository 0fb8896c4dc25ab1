//! Sockets that are closed when the permission ends: the server, a service and its callers.

use std::fs;
use std::process::Command;
use std::time::Instant;

use futures_util::{SinkExt, StreamExt};
use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::registered::Registered;
use rstest::rstest;
use tempfile::tempdir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::commands::{ORDERS, json, place_on, registered, said};
use crate::example::{Example, PATIENCE, example_program};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn join(chat: &Example, room: &str, token: &str) -> Result<Socket, u16> {
    let address = chat.address.replacen("http", "ws", 1);
    let mut request = format!("{address}/rooms/{room}").into_client_request().unwrap();
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn say(socket: &mut Socket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
}

/// What a socket hears next, or why it was closed.
async fn hear(socket: &mut Socket) -> String {
    match tokio::time::timeout(PATIENCE, socket.next()).await.expect("something is heard") {
        Some(Ok(Message::Text(text))) => text.to_string(),
        Some(Ok(Message::Close(Some(frame)))) => format!("{} {}", u16::from(frame.code), frame.reason),
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn revoke(server: &ServerProcess, client: &Registered, token: &str) {
    let request = agent()
        .post(format!("{}/revoke", server.address))
        .basic_auth(&client.id, client.secret.as_deref())
        .form(&[("token", token)]);
    assert_eq!(Answer::to(request).await.status, 200);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_lasts_as_long_as_the_permission(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    let create = |preset, more: &[&str]| {
        let start = ["client", "create", "--preset", preset, "--name", preset, "--api", ORDERS];
        json(&place, &[&start[..], more].concat())
    };
    let service = registered(&create("service", &[]));
    let robot = registered(&create("m2m", &["--role", "viewer"]));
    let nobody = registered(&create("m2m", &[]));
    let token = async |client| server.machine.client_credentials(client, ORDERS).await.member("access_token");
    let mut program = Command::new(example_program("chat"));
    let here = tempdir().unwrap();
    let port = Place::new(here.path()).port;
    program
        .env("CHAT_ISSUER", &server.address)
        .env("CHAT_AUDIENCE", ORDERS)
        .env("CHAT_CLIENT_ID", &service.id)
        .env("CHAT_CLIENT_SECRET", service.secret.as_deref().unwrap())
        .env("CHAT_LISTEN", format!("127.0.0.1:{port}"));
    let chat = Example::start(program, port).await;

    let (first, second) = (token(&robot).await, token(&robot).await);
    assert_eq!(join(&chat, "hall", &token(&nobody).await).await.err(), Some(403));
    assert_eq!(join(&chat, "hall", "none").await.err(), Some(401));
    let (mut one, mut other) =
        (join(&chat, "hall", &first).await.unwrap(), join(&chat, "hall", &second).await.unwrap());
    say(&mut one, "hello").await;
    let hello = format!("{}: hello", robot.id);
    assert_eq!((hear(&mut one).await, hear(&mut other).await), (hello.clone(), hello));

    // Whose token is taken back is put out, and whoever has another stays.
    let taken_back = Instant::now();
    revoke(&server, &robot, &first).await;
    assert_eq!(hear(&mut one).await, "1008 the access token was revoked");
    assert!(taken_back.elapsed().as_secs() < 2, "{:?}", taken_back.elapsed());
    let third = token(&robot).await;
    say(&mut other, &format!("/token {}", token(&nobody).await)).await;
    assert_eq!(hear(&mut other).await, "(the token is somebody else's)");
    say(&mut other, &format!("/token {third}")).await;
    assert_eq!(hear(&mut other).await, "(the token is taken)");
    revoke(&server, &robot, &second).await;
    say(&mut other, "still here").await;
    assert_eq!(hear(&mut other).await, format!("{}: still here", robot.id));

    // New rules hold for those who are there as well.
    let rules = here.path().join("rules.csv");
    fs::write(&rules, "p, editor, *, rooms, read\n").unwrap();
    for arguments in [&["push", rules.to_str().unwrap()][..], &["activate", "--message", "Editors only"]] {
        let output = place.run(&[&["policy"], arguments, &["--api", ORDERS]].concat());
        assert!(output.status.success(), "{}", said(&output));
    }
    assert_eq!(hear(&mut other).await, "1008 the caller may not do this any more");
    assert_eq!(join(&chat, "hall", &third).await.err(), Some(403));
}

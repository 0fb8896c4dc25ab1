//! Connections that are upgraded: the handler ends them.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use futures_util::{SinkExt, StreamExt};
use portcullis_guard::{Guard, GuardExt, GuardedRouter, Issuer, Permit, authenticated};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message as Sent};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::service::{Dial, builder};
use crate::signer::{ISSUER, NOW, Signer, jwks};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Says every message again, until the permission ends. A message that begins with `renew ` brings another token.
async fn echo(mut socket: WebSocket, permit: Permit) {
    loop {
        let message = tokio::select! {
            ended = permit.ended() => {
                let frame = CloseFrame { code: ended.close_code(), reason: ended.to_string().into() };
                let _ = socket.send(Message::Close(Some(frame))).await;
                return;
            }
            message = socket.recv() => message,
        };
        let Some(Ok(Message::Text(text))) = message else { return };
        let answer = match text.strip_prefix("renew ") {
            Some(token) => format!("{:?}", permit.renew(token).await),
            None => text.to_string(),
        };
        if socket.send(Message::Text(answer.into())).await.is_err() {
            return;
        }
    }
}

struct Setup {
    signer: Signer,
    dial: Dial,
    guard: Guard,
    address: std::net::SocketAddr,
}

impl Setup {
    async fn new() -> Self {
        let (signer, dial) = (Signer::eddsa("a"), Dial::new());
        let guard =
            builder(&dial).issuer(Issuer::static_jwks(ISSUER, jwks([&signer]))).build().await.unwrap();
        let careful = async |permit: Permit, upgrade: WebSocketUpgrade| -> Response {
            upgrade.on_upgrade(|socket| echo(socket, permit))
        };
        let careless = async |upgrade: WebSocketUpgrade| -> Response { upgrade.on_upgrade(async |_| {}) };
        let routes = GuardedRouter::new()
            .route("/echo", get(careful).guard(authenticated()))
            .route("/careless", get(careless).guard(authenticated()))
            .guarded_by(&guard);
        // Another guard around it is asked as well.
        let app = routes.layer(guard.require(authenticated()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { signer, dial, guard, address }
    }

    async fn connect(&self, path: &str, claims: &Value) -> Result<Socket, u16> {
        let mut request = format!("ws://{}{path}", self.address).into_client_request().unwrap();
        let token = format!("Bearer {}", self.signer.token(claims));
        request.headers_mut().insert("authorization", token.parse().unwrap());
        match connect_async(request).await {
            Ok((socket, _)) => Ok(socket),
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    async fn after(&self, secs: u64) {
        self.dial.turn(Duration::from_secs(secs));
        self.guard.refresh().await;
    }
}

async fn say(socket: &mut Socket, text: &str) -> Sent {
    socket.send(Sent::text(text)).await.unwrap();
    socket.next().await.unwrap().unwrap()
}

/// The code with which the other side has closed it.
async fn closed(socket: &mut Socket) -> Option<u16> {
    match socket.next().await {
        Some(Ok(Sent::Close(frame))) => frame.map(|frame| frame.code.into()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_socket_is_closed_when_the_token_expires() {
    let setup = Setup::new().await;
    let mut socket = setup.connect("/echo", &json!({ "exp": NOW + 100 })).await.unwrap();
    assert_eq!(say(&mut socket, "hello").await, Sent::text("hello"));
    assert_eq!(setup.guard.status().streams, 2, "at the inner guard and at the outer one");
    setup.after(131).await;
    assert_eq!(closed(&mut socket).await, Some(1008));
}

#[tokio::test]
async fn a_socket_goes_on_under_a_newer_token_of_the_same_caller_only() {
    let setup = Setup::new().await;
    let renewing = |claims: &Value| format!("renew {}", setup.signer.token(claims));
    let mut socket = setup.connect("/echo", &json!({ "exp": NOW + 100 })).await.unwrap();
    for (token, outcome) in [
        (renewing(&json!({ "sub": "mallory", "exp": NOW + 300 })), "Err(Stranger)"),
        (renewing(&json!({ "exp": NOW - 300, "iat": NOW - 600 })), "Err(Token)"),
        ("renew nothing".to_owned(), "Err(Token)"),
        (renewing(&json!({ "exp": NOW + 300, "cnf": { "jkt": "x" } })), "Err(Binding)"),
        (renewing(&json!({ "exp": NOW + 300 })), "Ok(())"),
    ] {
        assert_eq!(say(&mut socket, &token).await, Sent::text(outcome));
    }
    setup.after(131).await;
    assert_eq!(say(&mut socket, "still here").await, Sent::text("still here"));
    setup.after(200).await;
    assert_eq!(closed(&mut socket).await, Some(1008));
}

#[tokio::test]
async fn a_handler_that_would_not_end_it_gets_no_socket() {
    let setup = Setup::new().await;
    assert_eq!(setup.connect("/careless", &json!({})).await.err(), Some(500));
    assert_eq!(setup.connect("/echo", &json!({ "exp": NOW - 100, "iat": NOW - 200 })).await.err(), Some(401));
}

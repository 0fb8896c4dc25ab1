//! Rooms to talk in: whoever is in a room hears over a socket what is said there, for as long as the permission lasts.
//!
//! Start the server (`cargo run --release`), and register the service and somebody who may join rooms, from the root of the repository:
//!
//! ```sh
//! umask 077
//! alias portcullis=target/release/portcullis
//! portcullis client create --preset service --name Chat --api https://chat.example --format json > chat.json
//! portcullis client create --preset m2m --name Ann --api https://chat.example --role viewer --format json > ann.json
//! ```
//!
//! Start this service:
//!
//! ```sh
//! export CHAT_ISSUER=http://localhost:8080 CHAT_AUDIENCE=https://chat.example
//! export CHAT_CLIENT_ID=$(jq -r .client_id chat.json) CHAT_CLIENT_SECRET=$(jq -r .client_secret chat.json)
//! cargo run --release -p portcullis-guard --example chat
//! ```
//!
//! Ask for a room without a token (401), and join it with one (101, and the connection stays open until `curl` has had enough of it, after five seconds):
//!
//! ```sh
//! TOKEN=$(curl -s http://localhost:8080/token -u "$(jq -r '.client_id + ":" + .client_secret' ann.json)" \
//!   -d grant_type=client_credentials -d resource=https://chat.example | jq -r .access_token)
//! join() { curl -m 5 -s -i -N --http1.1 http://127.0.0.1:8082/rooms/hall -H 'Connection: Upgrade' -H 'Upgrade: websocket' \
//!   -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' "$@" | head -1; }
//! join
//! join -H "Authorization: Bearer $TOKEN"
//! ```
//!
//! Configured by the environment: `CHAT_ISSUER` and `CHAT_AUDIENCE`, where to listen (`CHAT_LISTEN`), and the client that
//! fetches the policy (`CHAT_CLIENT_ID` with `CHAT_CLIENT_SECRET`).
//!
//! A client goes on under a newer token when it says `/token` and the token.

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::get;
use http::StatusCode;
use portcullis_guard::{
    Guard, GuardExt, GuardedRouter, Issuer, Permit, Policy, PolicyEndpoint, Principal, public, rbac,
};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tracing_subscriber::EnvFilter;

/// The longest thing that can be said, in bytes, and how many are kept for whoever listens slowly.
const MAX_MESSAGE: usize = 4_096;
const BACKLOG: usize = 64;
/// How many rooms there may be, and how long their names.
const MAX_ROOMS: usize = 1_000;
const MAX_NAME: usize = 64;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let issuer = required("CHAT_ISSUER")?;
    let rules = format!("{}/policies/snapshot", issuer.trim_end_matches('/'));
    let rules = PolicyEndpoint::new(rules, required("CHAT_CLIENT_ID")?, required("CHAT_CLIENT_SECRET")?);
    let guard = Guard::builder()
        .issuer(Issuer::oidc(&issuer))
        .audience(required("CHAT_AUDIENCE")?)
        .policy(Policy::remote(rules))
        .build()
        .await?;
    let listen = env::var("CHAT_LISTEN").unwrap_or_else(|_| "127.0.0.1:8082".to_owned());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    tracing::info!(listen, "rooms are open");
    axum::serve(listener, app(&guard)).await?;
    Ok(())
}

fn app(guard: &Guard) -> Router {
    GuardedRouter::new()
        .route("/rooms/{room}", get(join).guard(rbac("rooms", "read")))
        .route("/health", get(async || "ok").guard(public()))
        .guarded_by(guard)
        .with_state(Rooms::default())
}

/// The permit says when it is over: without it the guard would not let the handler open a socket.
async fn join(
    State(rooms): State<Rooms>,
    Path(name): Path<String>,
    who: Principal,
    permit: Permit,
    upgrade: WebSocketUpgrade,
) -> Result<Response, StatusCode> {
    let room = rooms.room(name)?;
    let visit = Visit { heard: room.subscribe(), room, name: who.subject().to_owned(), permit };
    Ok(upgrade.max_message_size(MAX_MESSAGE).on_upgrade(|socket| visit.talk(socket)))
}

/// Every room that somebody is in.
#[derive(Clone, Default)]
struct Rooms(Arc<Mutex<HashMap<String, Sender<Arc<str>>>>>);

impl Rooms {
    fn room(&self, name: String) -> Result<Sender<Arc<str>>, StatusCode> {
        let mut rooms = self.open();
        rooms.retain(|_, room| room.receiver_count() > 0);
        if name.len() > MAX_NAME || (rooms.len() >= MAX_ROOMS && !rooms.contains_key(&name)) {
            return Err(StatusCode::NOT_FOUND);
        }
        Ok(rooms.entry(name).or_insert_with(|| channel(BACKLOG).0).clone())
    }

    fn open(&self) -> MutexGuard<'_, HashMap<String, Sender<Arc<str>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody in a room.
struct Visit {
    room: Sender<Arc<str>>,
    heard: Receiver<Arc<str>>,
    name: String,
    permit: Permit,
}

impl Visit {
    async fn talk(mut self, mut socket: WebSocket) {
        loop {
            let message = tokio::select! {
                ended = self.permit.ended() => {
                    let frame = CloseFrame { code: ended.close_code(), reason: ended.to_string().into() };
                    Message::Close(Some(frame))
                }
                heard = self.heard.recv() => match heard {
                    Ok(text) => Message::Text(text.to_string().into()),
                    Err(RecvError::Lagged(count)) => Message::Text(format!("({count} were missed)").into()),
                    Err(RecvError::Closed) => return,
                },
                said = socket.recv() => match said {
                    Some(Ok(Message::Text(text))) => match self.say(&text).await {
                        Some(answer) => answer,
                        None => continue,
                    },
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    _ => return,
                },
            };
            let is_over = matches!(message, Message::Close(_));
            if socket.send(message).await.is_err() || is_over {
                return;
            }
        }
    }

    /// Tells the room, or takes a newer token. Gives what only the speaker hears.
    async fn say(&self, text: &str) -> Option<Message> {
        let Some(token) = text.strip_prefix("/token ") else {
            // Nobody else may be there.
            _ = self.room.send(format!("{}: {text}", self.name).into());
            return None;
        };
        let outcome = self.permit.renew(token).await;
        let outcome = outcome.map_or_else(|error| error.to_string(), |()| "the token is taken".to_owned());
        Some(Message::Text(format!("({outcome})").into()))
    }
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}

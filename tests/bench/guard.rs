//! What the guard adds to a request: the same handler bare and guarded.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use reqwest::header::AUTHORIZATION;
use reqwest::{Client, Method, Request, Url};

use crate::child::Server;
use crate::load::{self, closed_loop};
use crate::report::Report;
use crate::roles::{BODY, JWKS};
use crate::tokens::Mint;

/// Requests of a round with one token.
const SEEN: u32 = 20_000;
/// Requests of a round with a token each.
const UNSEEN: u32 = 4_000;

/// One round: bare, seen, unseen.
pub(crate) async fn round(report: &mut Report) {
    let mint = Mint::new();
    let now = now();
    let tokens: Arc<[String]> = (0..UNSEEN).map(|n| mint.token(n, now)).collect();
    let client = load::client();
    let bare = bare(&client).await;
    let guarded = Server::start_role("guarded", &[(JWKS, &mint.jwks())]);
    let url: Url = guarded.base.parse().expect("an address");
    let seen_token = mint.token(UNSEEN, now);
    let seen_url = url.clone();
    let ask_seen = move || bearer(&seen_url, &seen_token);
    closed_loop(&client, guarded.pid(), SEEN / 10, "hello", ask_seen.clone()).await;
    let seen = closed_loop(&client, guarded.pid(), SEEN, "hello", ask_seen).await;
    let next = AtomicUsize::new(0);
    let ask_unseen = move || {
        let token = tokens.get(next.fetch_add(1, Ordering::Relaxed) % tokens.len());
        bearer(&url, token.expect("an index below the length"))
    };
    let unseen = closed_loop(&client, guarded.pid(), UNSEEN, "hello", ask_unseen).await;
    report.add("floor of hello", bare);
    report.add("guard, token seen before (added)", seen.cpu_micros - bare);
    report.add("guard, token not seen before (added)", unseen.cpu_micros - bare);
}

async fn bare(client: &Client) -> f64 {
    let floor = Server::start_role("floor", &[(BODY, "hello")]);
    let url: Url = floor.base.parse().expect("an address");
    let ask = move || Request::new(Method::GET, url.clone());
    closed_loop(client, floor.pid(), SEEN / 10, "hello", ask.clone()).await;
    closed_loop(client, floor.pid(), SEEN, "hello", ask).await.cpu_micros
}

fn bearer(url: &Url, token: &str) -> Request {
    let mut request = Request::new(Method::GET, url.clone());
    let value = format!("Bearer {token}").parse().expect("a token is a header value");
    request.headers_mut().insert(AUTHORIZATION, value);
    request
}

/// Seconds since 1970: the guarded process reads the same clock.
fn now() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "two real processes share the real clock here")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).expect("a clock after 1970").as_secs()
}

//! A bounded closed loop: so many requests over so many connections, every answer checked.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Request, Response, StatusCode};

use crate::cpu;

/// Connections that ask at the same time.
const CONNECTIONS: u32 = 4;

/// What one round cost the server.
#[derive(Clone, Copy)]
pub(crate) struct Cost {
    /// CPU microseconds of the server's process per operation.
    pub(crate) cpu_micros: f64,
    /// Operations per second that this loop completed; it shares the machine with the server.
    pub(crate) per_second: f64,
}

/// A client that keeps its connections and follows nothing.
pub(crate) fn client() -> Client {
    #[expect(clippy::disallowed_methods, reason = "the load driver speaks to loopback only")]
    let builder = Client::builder();
    builder
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a plain client")
}

/// Sends `total` requests to process `pid` and fails on the first answer that is not 200 with `expected` in its body.
pub(crate) async fn closed_loop(
    client: &Client,
    pid: u32,
    total: u32,
    expected: &'static str,
    make: impl Fn() -> Request + Send + Sync + 'static,
) -> Cost {
    let make = Arc::new(make);
    let before = cpu::of_process(pid);
    let started = Instant::now();
    let workers: Vec<_> = (0..CONNECTIONS)
        .map(|_| tokio::spawn(repeat(client.clone(), total / CONNECTIONS, expected, Arc::clone(&make))))
        .collect();
    for worker in workers {
        worker.await.expect("a worker ends");
    }
    let operations = f64::from(total / CONNECTIONS * CONNECTIONS);
    Cost {
        cpu_micros: cpu::of_process(pid).saturating_sub(before).as_secs_f64() * 1e6 / operations,
        per_second: operations / started.elapsed().as_secs_f64(),
    }
}

async fn repeat(client: Client, count: u32, expected: &'static str, make: Arc<impl Fn() -> Request>) {
    for _ in 0..count {
        let answer = client.execute(make()).await.expect("the server answers");
        check(answer, expected).await;
    }
}

async fn check(answer: Response, expected: &str) {
    let status = answer.status();
    let body = answer.text().await.expect("a body");
    assert!(status == StatusCode::OK && body.contains(expected), "{status}: {body}");
}

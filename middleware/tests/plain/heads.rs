//! Heads of requests, at a server as the example of hyper has it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use portcullis_guard::{Body, PeerAddress};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower::service_fn;

use crate::serve::serve;

/// A connection to a service that says who is at the other end.
fn connect() -> (DuplexStream, JoinHandle<Result<(), hyper::Error>>) {
    let (client, server) = duplex(1 << 20);
    let service = service_fn(async |request: Request<Incoming>| {
        let PeerAddress(peer) = *request.extensions().get().unwrap();
        Ok::<_, Infallible>(Response::new(Body::from(peer.to_string())))
    });
    let peer = SocketAddr::from(([192, 0, 2, 7], 40_000));
    (client, tokio::spawn(serve(server, peer, service)))
}

async fn answered(client: &mut DuplexStream) -> String {
    let mut answer = String::new();
    while !answer.ends_with("192.0.2.7:40000") {
        let mut bytes = [0; 1_024];
        let read = client.read(&mut bytes).await.unwrap();
        assert!(read > 0, "{answer}");
        answer.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
    }
    answer
}

// HT-07
#[tokio::test(start_paused = true)]
async fn a_head_that_comes_slowly_or_never_is_waited_for_ten_seconds_and_no_longer() {
    for start in ["", "GET /", "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "] {
        let (mut client, serving) = connect();
        client.write_all(start.as_bytes()).await.unwrap();
        let began = Instant::now();
        // A byte each second, as if there were more to come.
        while !serving.is_finished() {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if !start.is_empty() {
                let _ = client.write_all(b"x").await;
            }
        }
        let waited = began.elapsed();
        assert!(
            (Duration::from_secs(9)..=Duration::from_secs(12)).contains(&waited),
            "{start:?}: {waited:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_kept_open_is_not_waited_at_for_ever_either() {
    let (mut client, serving) = connect();
    for _ in 0..2 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(answered(&mut client).await.starts_with("HTTP/1.1 200"));
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(!serving.is_finished());
    }
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert!(serving.is_finished());
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_too_long_is_refused() {
    let lines = |count: usize, length: usize| {
        let line = |number: usize| format!("X-{number}: {}\r\n", "a".repeat(length));
        format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", (0..count).map(line).collect::<String>())
    };
    for (head, status) in [(lines(60, 10), "200"), (lines(70, 10), "431"), (lines(10, 10_000), "431")] {
        let (mut client, _serving) = connect();
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(std::str::from_utf8(&answer).unwrap(), format!("HTTP/1.1 {status}"));
    }
}

/// Everything that is said to these bytes until the connection is closed.
async fn said_at_last(request: &str) -> String {
    let (mut client, _serving) = connect();
    client.write_all(request.as_bytes()).await.unwrap();
    let began = Instant::now();
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    // Whoever is waited for as for one that may ask again is closed by the bound on heads, and no sooner.
    assert!(began.elapsed() < Duration::from_secs(1), "it stayed open: {request:?}");
    answer
}

const SECOND: &str = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";

// HT-05
#[tokio::test(start_paused = true)]
async fn a_request_whose_end_could_be_seen_in_two_places_is_refused_and_the_connection_closed() {
    for head in [
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +4",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "X-Folded: a\r\n b",
        "X-Lone: a\rContent-Length: 5",
    ] {
        let answer =
            said_at_last(&format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\n{SECOND}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
    }
}

// HT-05, RFC 9112 §6.3: hyper goes by the chunks, which is no refusal. What comes after them on the connection is nobody's.
#[tokio::test(start_paused = true)]
async fn a_request_with_a_length_and_chunks_is_the_last_of_its_connection() {
    let (length, chunked) = ("Content-Length: 42", "Transfer-Encoding: chunked");
    for head in
        [format!("{length}\r\n{chunked}"), format!("{chunked}\r\n{length}"), format!("{length}\n{chunked}")]
    {
        let answer =
            said_at_last(&format!("POST / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\n{SECOND}")).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{head:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{head:?}: {answer}");
    }
}

// HT-05, RFC 9112 §2.2
#[tokio::test(start_paused = true)]
async fn a_line_of_a_head_may_end_without_a_carriage_return() {
    let (mut client, serving) = connect();
    client.write_all(b"GET / HTTP/1.1\nHost: a\n\n").await.unwrap();
    assert!(answered(&mut client).await.starts_with("HTTP/1.1 200"));
    assert!(!serving.is_finished());
}

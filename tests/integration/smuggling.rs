//! Requests that a proxy in front could end elsewhere than this server does.

use std::time::Duration;

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::BareServer;
use rstest::rstest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Less than the ten seconds for which a connection is kept that may ask again.
const AT_ONCE: Duration = Duration::from_secs(5);

/// What is to be seen by nobody.
const SECOND: &str = "GET /jwks HTTP/1.1\r\nHost: a\r\n\r\n";

async fn connect(server: &BareServer, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.issuer.trim_start_matches("http://")).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream
}

/// Everything that the server says to these bytes, and whether it closes the connection then.
async fn said(server: &BareServer, request: &str) -> (String, bool) {
    let mut stream = connect(server, request).await;
    let mut answer = Vec::new();
    let closed = tokio::time::timeout(AT_ONCE, stream.read_to_end(&mut answer)).await.is_ok();
    (String::from_utf8(answer).unwrap(), closed)
}

/// One answer with this status, and no more of the connection.
async fn is_answered_once(server: &BareServer, request: &str, status: &str) {
    let (answer, closed) = said(server, request).await;
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    assert_eq!((answer.matches("HTTP/1.1 ").count(), closed), (1, true), "{request:?}: {answer}");
    assert!(server.log.lines_with("http.route=\"/jwks\"").is_empty(), "{request:?}: the second was read");
}

// HT-05
#[rstest]
#[tokio::test]
async fn a_request_that_could_end_in_two_places_is_refused_and_the_last_of_its_connection(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = BareServer::start_on(database).await;
    for head in [
        "Content-Length: 4\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: +5",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding : chunked",
        "X-Folded: a\r\n b",
        "X-Lone: a\rContent-Length: 5",
    ] {
        let request = format!("POST /revoke HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n0\r\n\r\n{SECOND}");
        is_answered_once(&server, &request, "400").await;
    }
    // The chunks that a body comes in are read as strictly.
    for chunks in [
        "4\nabcd\n0\n\n",
        "4\r\nabcd0\r\n\r\n",
        "4;a\nb\r\nabcd\r\n0\r\n\r\n",
        "0x4\r\nabcd\r\n0\r\n\r\n",
        "-1\r\n\r\n",
    ] {
        let head = "POST /revoke HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked";
        is_answered_once(&server, &format!("{head}\r\n\r\n{chunks}{SECOND}"), "400").await;
    }
    let old =
        format!("POST /revoke HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SECOND}");
    let (answer, closed) = said(&server, &old).await;
    assert!(answer.starts_with("HTTP/1.") && answer.contains(" 400 ") && closed, "{answer}");
}

// HT-05, RFC 9112 §6.3: either is to be read by its chunks or refused, and the connection closed. hyper reads it.
#[rstest]
#[tokio::test]
async fn a_request_with_a_length_and_chunks_is_answered_by_its_chunks_and_the_last_of_its_connection(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = BareServer::start_on(database).await;
    let (chunked, body) = ("Transfer-Encoding: chunked", format!("0\r\n\r\n{SECOND}"));
    // The first reader ends at the length behind what is hidden, or before it.
    for length in [
        format!("Content-Length: {}", body.len()),
        "Content-Length: 0".to_owned(),
        "Content-Length: 3".to_owned(),
    ] {
        for head in [
            format!("{length}\r\n{chunked}"),
            format!("{chunked}\r\n{length}"),
            format!("{length}\n{chunked}"),
        ] {
            let request = format!("GET /healthz/live HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n{body}");
            is_answered_once(&server, &request, "200").await;
        }
    }
}

// HT-05, RFC 9112 §2.2: the one row of it that is not refused.
#[rstest]
#[tokio::test]
async fn a_line_of_a_head_may_end_without_a_carriage_return(#[values(Sqlite, Postgres)] database: Database) {
    let server = BareServer::start_on(database).await;
    let last = "GET /healthz/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    let (answer, closed) = said(&server, &format!("GET /healthz/live HTTP/1.1\nHost: a\n\n{last}")).await;
    assert_eq!((answer.matches("HTTP/1.1 200 ").count(), closed), (2, true), "{answer}");
}

//! Connections that only cost: the server ends them, and serves others meanwhile.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use portcullis_tests::process::{Place, ServerProcess};
use tempfile::tempdir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// What a connection of HTTP/2 begins with (RFC 9113 §3.4), and settings that say nothing.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// A head that asks for `/jwks` by names and values of the static table of HPACK, and two that stand there in full.
const ASKING: &[u8] = b"\x82\x86\x04\x05/jwks\x01\x09localhost";

const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
const END_STREAM: u8 = 1;

/// RFC 9113 §7: the peer does what only costs.
const ENHANCE_YOUR_CALM: u32 = 0xb;

/// Streams of a flood that may be looked at: their numbers are odd.
const MOST_STREAMS: u32 = 2 * 1_000;

/// So much of either flood is sent unless it is ended.
const FLOOD: u32 = 100_000;

/// What all the floods of a test may cost the server.
const CPU: Duration = Duration::from_secs(1);

/// How long the end of a connection may be in coming on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(15);

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn server() -> (tempfile::TempDir, ServerProcess) {
    let folder = tempdir().unwrap();
    let server = ServerProcess::start(&Place::new(folder.path())).await;
    (folder, server)
}

async fn connect(server: &ServerProcess) -> TcpStream {
    TcpStream::connect(server.address.trim_start_matches("http://")).await.unwrap()
}

/// What the server said when it ended a connection of HTTP/2 (RFC 9113 §6.8).
#[derive(Debug)]
struct GoAway {
    last_stream: u32,
    error: u32,
}

/// How a connection of HTTP/2 ended, if the server said so.
async fn ended(mut reading: OwnedReadHalf) -> Option<GoAway> {
    let mut bytes = Vec::new();
    let whole = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut bytes)).await;
    // A reset is an end as well, and may come before all was read that was said.
    _ = whole.ok()?;
    let mut rest = &bytes[..];
    while let Some((head, behind)) = rest.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, behind) = behind.split_at_checked(length)?;
        if head[3] == GOAWAY {
            let number = |at: usize| payload[at..at + 4].try_into().map(u32::from_be_bytes).unwrap();
            return Some(GoAway { last_stream: number(0), error: number(4) });
        }
        rest = behind;
    }
    None
}

/// Sends parts of a flood until the connection is ended; gives how many went out, and how it ended.
async fn flood(server: &ServerProcess, parts: impl Iterator<Item = Vec<u8>>) -> (usize, Option<GoAway>) {
    let (reading, mut writing) = connect(server).await.into_split();
    let end = tokio::spawn(ended(reading));
    writing.write_all(PREFACE).await.unwrap();
    let mut sent = 0;
    for part in parts {
        if end.is_finished() || writing.write_all(&part).await.is_err() {
            break;
        }
        sent += 1;
    }
    (sent, end.await.unwrap())
}

/// What another client is told meanwhile, and how long the slowest answer took.
async fn served(server: &ServerProcess, requests: usize) -> Duration {
    let mut slowest = Duration::ZERO;
    for _ in 0..requests {
        let asked = Instant::now();
        let answer = server.machine.get("/jwks").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        slowest = slowest.max(asked.elapsed());
    }
    slowest
}

// HT-09
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_that_are_begun_only_to_be_reset_end_the_connection() {
    let (_folder, server) = server().await;
    served(&server, 1).await;
    let before = server.cpu_time();
    // A hundred requests in each part, and each is taken back at once.
    let pair = |number: u32| {
        let stream = 2 * number + 1;
        let asked = frame(HEADERS, END_HEADERS | END_STREAM, stream, ASKING);
        [asked, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    };
    let parts =
        || (0..FLOOD / 100).map(|part| (part * 100..(part + 1) * 100).flat_map(pair).collect::<Vec<u8>>());
    let floods = join_all((0..10).map(|_| flood(&server, parts())));
    let (floods, slowest) = tokio::join!(floods, served(&server, 50));
    let cost = server.cpu_time().saturating_sub(before);
    println!(
        "parts of 100 sent before the end: {floods:?}; CPU of the server {cost:?}; slowest other answer {slowest:?}"
    );
    for (sent, end) in floods {
        let GoAway { last_stream, error } = end.unwrap_or_else(|| panic!("it goes on after {sent} parts"));
        assert_eq!(error, ENHANCE_YOUR_CALM);
        assert!(last_stream < MOST_STREAMS, "{last_stream}");
    }
    assert!(cost < CPU, "{cost:?}");
    served(&server, 1).await;
}

// HT-09, RUSTSEC-2024-0332
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_goes_on_for_ever_ends_the_connection() {
    let (_folder, server) = server().await;
    served(&server, 1).await;
    let before = server.cpu_time();
    // A field that is to be held in no table, as `x: aaa..` of 8 KiB; a short one; and nothing at all.
    let long = [b"\0\x01x\x7f\x81\x3f".as_slice(), &[b'a'; 8_192]].concat();
    for field in [&long[..], b"\0\x01x\x01a", b""] {
        let begin = frame(HEADERS, END_STREAM, 1, ASKING);
        let more = (0..FLOOD / 10).map(|_| frame(CONTINUATION, 0, 1, field).repeat(10));
        let flood = flood(&server, std::iter::once(begin).chain(more));
        let ((sent, end), slowest) = tokio::join!(flood, served(&server, 20));
        println!(
            "parts of 10 of {} bytes each sent before the end: {sent}, {end:?}; slowest other answer {slowest:?}",
            field.len()
        );
        assert!(end.is_some(), "{} bytes each: it goes on after {sent} parts", field.len());
    }
    let cost = server.cpu_time().saturating_sub(before);
    println!("CPU of the server {cost:?}");
    assert!(cost < CPU, "{cost:?}");
    served(&server, 1).await;
}

// HT-07
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_connections_that_finish_no_head_are_closed_and_keep_nobody_out() {
    const IDLE: usize = 2_000;
    let (_folder, server) = server().await;
    let alone = served(&server, 200).await;
    let starts = ["", "G", "GET /jwks HTTP/1.1\r\nHost: a\r\nX-Slow: ", "PRI * HTTP/2.0\r\n"];
    let opened = Instant::now();
    let idle = join_all((0..IDLE).map(async |number| {
        let mut stream = connect(&server).await;
        stream.write_all(starts[number % starts.len()].as_bytes()).await.unwrap();
        stream
    }));
    let idle = idle.await;
    let beside = served(&server, 200).await;
    assert!(opened.elapsed() < Duration::from_secs(10), "they are closed by now, and nothing was shown");
    let closed = join_all(idle.into_iter().map(async |mut stream: TcpStream| {
        // A byte that comes late makes no head longer in coming.
        _ = stream.write_all(b"x").await;
        let mut answer = Vec::new();
        tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.map(drop)
    }));
    let open = closed.await.into_iter().filter(Result::is_err).count();
    println!(
        "slowest answer alone {alone:?}, beside {IDLE} idle connections {beside:?}; all closed after {:?}",
        opened.elapsed()
    );
    assert_eq!(open, 0, "still open after {:?}", opened.elapsed());
    assert!(beside < Duration::from_secs(1), "{beside:?}");
}

/// The most memory that a program ever had, in KiB (proc(5)).
fn most_resident(server: &ServerProcess) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

// HT-11
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_without_an_end_is_cut_off_and_takes_little_memory() {
    const CHUNK: usize = 64 * 1_024;
    const GIGABYTE: usize = 1 << 30;
    let (_folder, server) = server().await;
    served(&server, 20).await;
    let before = most_resident(&server);
    for path in ["/token", "/login", "/api/v1/users"] {
        let (mut reading, mut writing) = connect(&server).await.into_split();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/x-www-form-urlencoded\r\n");
        writing.write_all(format!("{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await.unwrap();
        let chunk = [format!("{CHUNK:x}\r\n").as_bytes(), &vec![b'x'; CHUNK], b"\r\n"].concat();
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while sent < GIGABYTE && writing.write_all(&chunk).await.is_ok() {
                sent += CHUNK;
            }
            sent
        });
        let mut answer = Vec::new();
        // The connection may be reset while there is more to come; what was said before counts.
        _ = tokio::time::timeout(PATIENCE, reading.read_to_end(&mut answer)).await.unwrap();
        let sent = sending.await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        println!("{path}: {sent} bytes sent, {} KiB more resident", most_resident(&server) - before);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        assert!(sent < GIGABYTE, "{path}: all of it was read");
    }
    let more = most_resident(&server) - before;
    assert!(more < 32 * 1_024, "{more} KiB more");
}

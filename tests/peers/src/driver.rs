//! Requests over loopback: a few connections that stay open, each with one request at a time, every answer checked.
//!
//! The driver has a processor of its own and never sleeps, so that it is late for nothing. It is one thread of plain sockets, and costs
//! the server what any client would.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Connections that ask at the same time.
const CONNECTIONS: usize = 8;
/// How long a run may take.
const LONGEST: Duration = Duration::from_secs(60);
/// An answer is as long as its head says, and no longer than this.
const ROOM: usize = 16 * 1024;

/// What is asked for, and what has to come.
pub(crate) struct Asked<'a> {
    /// One after the other, and again from the first.
    pub(crate) requests: &'a [Vec<u8>],
    pub(crate) status: &'a str,
    /// How the body ends.
    pub(crate) body: &'a str,
}

struct Connection {
    stream: TcpStream,
    answer: Vec<u8>,
    /// When the request that is under way was due.
    due: Option<Instant>,
}

/// What an open loop saw.
pub(crate) struct Latencies {
    /// From when each was due to its answer, in order.
    answers: Vec<Duration>,
    /// By how much each was sent too late for want of the driver itself, in order.
    late: Vec<Duration>,
}

impl Latencies {
    /// In milliseconds.
    pub(crate) fn p99(&self) -> f64 {
        percentile(&self.answers, 99)
    }

    pub(crate) fn late_p99(&self) -> f64 {
        percentile(&self.late, 99)
    }
}

fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted[rank - 1].as_secs_f64() * 1e3
}

/// Asks so often as fast as answers come, and gives back how many came in a second.
pub(crate) fn closed(server: SocketAddr, asked: &Asked<'_>, total: usize) -> f64 {
    let mut connections = connect(server);
    let (mut sent, mut answered) = (0, 0);
    let start = Instant::now();
    while answered < total {
        for connection in &mut connections {
            if connection.due.is_none() && sent < total {
                connection.ask(&asked.requests[sent % asked.requests.len()], Instant::now());
                sent += 1;
            }
            answered += usize::from(connection.look(asked).is_some());
        }
        assert!(start.elapsed() < LONGEST, "{answered} of {total} answers after {LONGEST:?}");
    }
    total as f64 / start.elapsed().as_secs_f64()
}

/// Asks at a fixed rate, whatever comes back: an answer counts from when its request was due, whether a connection was free or not.
pub(crate) fn open(server: SocketAddr, asked: &Asked<'_>, per_second: f64, total: usize) -> Latencies {
    let mut connections = connect(server);
    let (mut sent, mut answers, mut late) = (0_usize, Vec::with_capacity(total), Vec::with_capacity(total));
    let start = Instant::now();
    let due = |number: usize| start + Duration::from_secs_f64(number as f64 / per_second);
    // When the driver last came by with a connection to spare.
    let mut free_since = start;
    while answers.len() < total {
        let mut is_free = false;
        for connection in &mut connections {
            if let Some(due) = connection.look(asked) {
                answers.push(due.elapsed());
            }
            if connection.due.is_none() && sent < total && Instant::now() >= due(sent) {
                late.push(due(sent).max(free_since).elapsed());
                connection.ask(&asked.requests[sent % asked.requests.len()], due(sent));
                sent += 1;
            }
            is_free |= connection.due.is_none();
        }
        if !is_free {
            free_since = Instant::now();
        }
        assert!(start.elapsed() < LONGEST, "{} of {total} answers after {LONGEST:?}", answers.len());
    }
    answers.sort_unstable();
    late.sort_unstable();
    Latencies { answers, late }
}

fn connect(server: SocketAddr) -> Vec<Connection> {
    let connection = |_| {
        let stream = TcpStream::connect(server).expect("the server listens");
        stream.set_nodelay(true).expect("a socket of TCP");
        stream.set_nonblocking(true).expect("a socket");
        Connection { stream, answer: Vec::with_capacity(ROOM), due: None }
    };
    (0..CONNECTIONS).map(connection).collect()
}

impl Connection {
    fn ask(&mut self, request: &[u8], due: Instant) {
        self.stream.write_all(request).expect("there is room for one request");
        self.due = Some(due);
    }

    /// When the request was due whose answer is whole now.
    fn look(&mut self, asked: &Asked<'_>) -> Option<Instant> {
        let due = self.due?;
        let mut part = [0; ROOM];
        match self.stream.read(&mut part) {
            Ok(0) => panic!("the server hung up after {:?}", String::from_utf8_lossy(&self.answer)),
            Ok(length) => self.answer.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
            Err(error) => panic!("{error}"),
        }
        if !is_whole(&self.answer) {
            return None;
        }
        let text = String::from_utf8_lossy(&self.answer);
        let (status, body) = (&text[9..12], asked.body);
        assert!(status == asked.status && text.ends_with(body), "not {} and {body:?}: {text}", asked.status);
        self.answer.clear();
        self.due = None;
        Some(due)
    }
}

/// Whether an answer is as long as its head says.
fn is_whole(answer: &[u8]) -> bool {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return false };
    let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize =
        length.and_then(|length| length.trim().parse().ok()).expect("an answer that says its length");
    answer.len() == end + 4 + length
}

/// A request as it goes over the wire.
pub(crate) fn request(method: &str, path: &str, token: Option<&str>) -> Vec<u8> {
    let token = token.map_or_else(String::new, |token| format!("Authorization: Bearer {token}\r\n"));
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{token}\r\n").into_bytes()
}

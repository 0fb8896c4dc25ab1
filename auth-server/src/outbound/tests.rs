//! The way out over real sockets.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::trial::{Answer, Place, authority};
use super::*;
use crate::domain::clock::Timestamp;
use crate::outbound::rules::AddressRefused;

const INTERNAL: OutboundError = OutboundError::Refused(AddressRefused::Internal);

fn clock() -> Clock {
    Clock::manual(Timestamp::from_secs(1_800_000_000))
}

fn settings(allow: &[&str]) -> config::Outbound {
    let allow = allow.iter().map(|text| text.parse().unwrap()).collect();
    config::Outbound { allow, ca_file: Some(authority()) }
}

/// Whoever is looked up has these addresses.
fn leading_to(addresses: &[&str]) -> Resolver {
    let found: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    Resolver::Scripted(Arc::new(move |_| found.clone()))
}

fn out(allow: &[&str], resolver: Resolver) -> Outbound {
    Outbound::new(&settings(allow), resolver, clock()).unwrap()
}

fn url(text: impl AsRef<str>) -> ClientUrl {
    ClientUrl::parse(text.as_ref()).unwrap()
}

#[tokio::test]
async fn a_document_is_fetched_over_tls_from_a_host_of_the_list() {
    let place = Place::secure(Answer::ok("{}")).await;
    let out = out(&["rp.example"], leading_to(&["127.0.0.1"]));
    let fetched = out.get(&url(format!("https://rp.example:{}/keys?a=1", place.port())), 100).await;
    assert_eq!(fetched.as_deref(), Ok(b"{}".as_slice()));
    assert!(place.requests()[0].starts_with("GET /keys?a=1 HTTP/1.1\r\n"), "{:?}", place.requests());
}

#[tokio::test]
async fn a_form_is_sent_and_its_status_comes_back() {
    let place = Place::secure(Answer::of("400 Bad Request", "", "no")).await;
    let out = out(&["127.0.0.1"], Resolver::System);
    let sent = out.post_form(&url(format!("https://127.0.0.1:{}/x", place.port())), "a=b".to_owned()).await;
    assert_eq!(sent, Ok(400));
    let request = place.requests().remove(0).to_lowercase();
    assert!(request.contains("content-type: application/x-www-form-urlencoded\r\n"), "{request}");
    assert!(request.ends_with("\r\n\r\na=b"), "{request}");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_or_of_another_name_is_not_believed() {
    let place = Place::secure(Answer::ok("{}")).await;
    let resolver = leading_to(&["127.0.0.1"]);
    let without = config::Outbound { ca_file: None, ..settings(&["rp.example"]) };
    let out_without = Outbound::new(&without, resolver.clone(), clock()).unwrap();
    let at = |host: &str| url(format!("https://{host}:{}/", place.port()));
    assert!(matches!(
        out_without.get(&at("rp.example"), 10).await,
        Err(OutboundError::Transport(_) | OutboundError::NoTrust(_))
    ));
    let refused = out(&["third.example"], resolver).get(&at("third.example"), 10).await;
    assert!(
        matches!(&refused, Err(OutboundError::Transport(cause)) if cause.contains("certificate")),
        "{refused:?}"
    );
    assert_eq!(place.requests(), [""; 0], "nothing was said to it");
}

#[tokio::test]
async fn internal_addresses_are_not_even_connected_to() {
    let place = Place::plain(Answer::ok("{}")).await;
    let port = place.port();
    let by_name = out(&[], leading_to(&["127.0.0.1", "::1", "169.254.169.254", "10.0.0.1"]));
    assert_eq!(by_name.get(&url(format!("https://rp.example:{port}/")), 10).await, Err(INTERNAL));
    let nobody = out(&[], leading_to(&[]));
    let nowhere = OutboundError::Refused(AddressRefused::Nowhere);
    assert_eq!(nobody.get(&url(format!("https://rp.example:{port}/")), 10).await, Err(nowhere));
    for literal in [
        "https://127.0.0.1",
        "http://127.0.0.1",
        "http://localhost",
        "https://2130706433",
        "https://[::ffff:127.0.0.1]",
    ] {
        let out = out(&["192.168.0.0/16"], Resolver::System);
        let sent = out.post_form(&url(format!("{literal}:{port}/")), String::new()).await;
        assert_eq!(sent, Err(INTERNAL), "{literal}");
    }
    assert_eq!(place.connections(), 0);
}

#[tokio::test]
async fn plain_http_reaches_this_machine_where_the_list_says_so() {
    let place = Place::plain(Answer::ok("{}")).await;
    let port = place.port();
    for (allowed, host) in
        [("127.0.0.0/8", "127.0.0.1"), ("localhost", "localhost"), ("127.0.0.1", "localhost")]
    {
        let out = out(&[allowed], leading_to(&["127.0.0.1"]));
        let fetched = out.get(&url(format!("http://{host}:{port}/")), 10).await;
        assert_eq!(fetched.as_deref(), Ok(b"{}".as_slice()), "{allowed}: {host}");
    }
    let lied_to = out(&["localhost"], leading_to(&["192.0.2.1"]));
    assert_eq!(lied_to.get(&url(format!("http://localhost:{port}/")), 10).await, Err(INTERNAL));
}

#[tokio::test]
async fn a_name_is_looked_up_once_and_what_was_found_is_called() {
    let place = Place::secure(Answer::ok("{}")).await;
    let looked_up = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&looked_up);
    // The first answer may be called. Each later one leads into the network behind the server.
    let rebinding = Resolver::Scripted(Arc::new(move |_| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        vec![if first { [127, 0, 0, 1] } else { [127, 0, 0, 2] }.into()]
    }));
    let out = out(&["127.0.0.1"], rebinding);
    let address = url(format!("https://rp.example:{}/", place.port()));
    assert_eq!(out.get(&address, 10).await.as_deref(), Ok(b"{}".as_slice()));
    assert_eq!((looked_up.load(Ordering::SeqCst), place.connections()), (1, 1));
    // The next request looks it up again, and is judged by what is found then.
    assert_eq!(out.get(&address, 10).await, Err(INTERNAL));
    assert_eq!((looked_up.load(Ordering::SeqCst), place.connections()), (2, 1));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let target = Place::plain(Answer::ok("secret")).await;
    let location = format!("location: http://127.0.0.1:{}/\r\n", target.port());
    for status in ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"] {
        let place = Place::plain(Answer::of(status, &location, "")).await;
        let address = url(format!("http://127.0.0.1:{}/", place.port()));
        let out = out(&["127.0.0.1"], Resolver::System);
        let code: u16 = status[..3].parse().unwrap();
        assert_eq!(out.get(&address, 10).await, Err(OutboundError::Status(code)));
        assert_eq!(out.post_form(&address, "a=b".to_owned()).await, Ok(code));
    }
    assert_eq!(target.connections(), 0);
}

#[tokio::test]
async fn no_more_is_read_than_such_a_document_has() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless = Place::plain(Answer::Endless(head, b"4\r\naaaa\r\n")).await;
    let long = Place::plain(Answer::ok(&"a".repeat(101))).await;
    let out = out(&["127.0.0.1"], Resolver::System);
    let at = |place: &Place| url(format!("http://127.0.0.1:{}/", place.port()));
    assert_eq!(out.get(&at(&endless), 100).await, Err(OutboundError::TooLong));
    assert_eq!(out.get(&at(&long), 100).await, Err(OutboundError::TooLong));
    assert_eq!(out.get(&at(&long), 101).await.map(|body| body.len()), Ok(101));
    assert_eq!(out.post_form(&at(&endless), String::new()).await, Ok(200), "what it says beyond is not read");
}

/// Time stands still, and goes on by itself when nobody has anything to do: whoever is waited for is waited for to the end.
#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_waited_for_no_longer_than_five_seconds() {
    let place = Place::plain(Answer::Silence).await;
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let stalling = Place::plain(Answer::Endless(head, b"")).await;
    let out = out(&["127.0.0.1"], Resolver::System);
    for place in [place, stalling] {
        let begun = tokio::time::Instant::now();
        let fetched = out.get(&url(format!("http://127.0.0.1:{}/", place.port())), 100).await;
        assert_eq!(fetched, Err(OutboundError::Silent));
        assert!(begun.elapsed() <= DEADLINE + Duration::from_millis(100), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn nothing_is_kept_from_one_request_to_the_next() {
    let cookie = "set-cookie: a=b; Path=/\r\n";
    let place = Place::plain(Answer::of("200 OK", cookie, "{}")).await;
    let out = out(&["127.0.0.1"], Resolver::System);
    for _ in 0..2 {
        let address = url(format!("http://127.0.0.1:{}/x", place.port()));
        assert!(out.get(&address, 10).await.is_ok());
    }
    assert_eq!(place.connections(), 2);
    for request in place.requests() {
        let request = request.to_lowercase();
        for absent in ["cookie:", "authorization:", "referer:", "proxy-"] {
            assert!(!request.contains(absent), "{request}");
        }
    }
}

#[tokio::test]
async fn a_host_that_fails_is_left_alone_for_a_while() {
    let place = Place::plain(Answer::of("503 Away", "", "")).await;
    let clock = clock();
    let out = Outbound::new(&settings(&["127.0.0.1"]), Resolver::System, clock.clone()).unwrap();
    let address = url(format!("http://127.0.0.1:{}/", place.port()));
    for _ in 0..3 {
        assert_eq!(out.post_form(&address, String::new()).await, Ok(503));
    }
    assert_eq!(out.post_form(&address, String::new()).await, Err(OutboundError::LeftAlone));
    assert_eq!(place.connections(), 3);
    clock.advance(Duration::from_secs(1));
    assert_eq!(out.post_form(&address, String::new()).await, Ok(503));
}

#[test]
fn a_file_without_certificates_stops_a_start() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("empty.pem", ""), ("words.pem", "no certificate")] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        let settings = config::Outbound { ca_file: Some(file), ..config::Outbound::default() };
        let refused = Outbound::new(&settings, Resolver::System, clock()).unwrap_err().to_string();
        assert!(refused.contains("outbound.ca_file") && refused.contains(name), "{refused}");
    }
    let missing =
        config::Outbound { ca_file: Some(folder.path().join("no.pem")), ..config::Outbound::default() };
    assert!(Outbound::new(&missing, Resolver::System, clock()).is_err());
}

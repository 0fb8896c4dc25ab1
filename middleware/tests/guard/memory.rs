//! What large bodies take of the memory of the process: what is let through at a time, however much is sent.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::post;
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt;
use portcullis_guard::{Caps, GuardExt, GuardedRouter, InputPolicy, Uploads, authenticated, public};
use serde_json::json;

use crate::service::{guard_of, request, send};
use crate::signer::Signer;
use crate::tls::in_a_process_of_its_own;

const MIB: usize = 1 << 20;

/// What a process may hold more than before, at any moment of it. The caps let one MiB through at a time; a thousand are sent.
const FLAT: usize = 48 * MIB;

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<usize>().unwrap() * 1_024
}

/// The most that was resident whenever somebody looked, and how many bytes went by.
#[derive(Default)]
struct Watch {
    most: AtomicUsize,
    sent: AtomicUsize,
}

impl Watch {
    fn look(&self) {
        self.most.fetch_max(resident(), Ordering::Relaxed);
    }

    /// A body of chunks of 64 KiB, after its beginning; it is looked at the memory before each MiB.
    fn body(self: &Arc<Self>, beginning: &'static str, filling: u8, mib: usize) -> Body {
        let (watch, chunk) = (Arc::clone(self), Bytes::from(vec![filling; MIB / 16]));
        let rest = (0..mib * 16).map(move |number| {
            if number.is_multiple_of(16) {
                watch.look();
            }
            watch.sent.fetch_add(chunk.len(), Ordering::Relaxed);
            Ok::<_, Infallible>(chunk.clone())
        });
        Body::from_stream(stream::iter(
            std::iter::once(Ok(Bytes::from_static(beginning.as_bytes()))).chain(rest),
        ))
    }

    /// Nothing beyond what was resident before.
    fn assert_flat(&self, before: usize, what: &str) {
        self.look();
        let more = self.most.load(Ordering::Relaxed).saturating_sub(before);
        println!(
            "{what}: {} MiB sent, {} KiB more resident",
            self.sent.load(Ordering::Relaxed) / MIB,
            more / 1_024
        );
        assert!(more < FLAT, "{what}: {more} bytes more");
    }
}

/// Counts what it reads and keeps none of it.
async fn count(mut body: Body) -> (StatusCode, String) {
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return (StatusCode::BAD_REQUEST, "broken off".to_owned()) };
        length += frame.data_ref().map_or(0, Bytes::len);
    }
    (StatusCode::OK, length.to_string())
}

async fn service(signer: &Signer) -> Router {
    let guard = guard_of(signer).input(InputPolicy::strict().unpack(2_000)).build().await.unwrap();
    let uploads = Uploads::new().max_body(2_048 * MIB).max_file(2_048 << 20);
    let large = InputPolicy::strict().max_body(2_048 * MIB).uploads(uploads);
    let large = guard_of(signer).input(large).build().await.unwrap();
    let capped = guard_of(signer).caps(Caps::new().body(1 << 20)).build().await.unwrap();
    let whole = post(async |body: Bytes| body.len().to_string());
    GuardedRouter::new()
        .route("/json", whole.guard(authenticated()))
        .guarded_by(&guard)
        .merge(GuardedRouter::new().route("/stream", post(count).guard(authenticated())).guarded_by(&large))
        .merge(GuardedRouter::new().route("/capped", post(count).guard(public())).guarded_by(&capped))
}

// HT-11
#[tokio::test]
async fn a_body_of_a_gigabyte_is_refused_at_the_cap_or_goes_by() {
    let itself = "memory::a_body_of_a_gigabyte_is_refused_at_the_cap_or_goes_by";
    let Some(_) = in_a_process_of_its_own(itself) else { return };
    let signer = Signer::eddsa("a");
    let (service, token) = (service(&signer).await, signer.token(&json!({})));
    let file = "--xy\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.bin\"\r\n\
        Content-Type: application/octet-stream\r\n\r\n";
    let refused = StatusCode::PAYLOAD_TOO_LARGE;
    for (path, media, beginning, status, (sends, most)) in [
        ("/json", "application/json", "\"", refused, (1_024, 2)),
        ("/json", "application/x-www-form-urlencoded", "a=", refused, (1_024, 2)),
        ("/capped", "application/octet-stream", "x", refused, (1_024, 2)),
        ("/stream", "application/octet-stream", "x", StatusCode::OK, (1_024, 1_024)),
        // It ends without its end; what there is of it was handed on as it came.
        ("/stream", "multipart/form-data; boundary=xy", file, StatusCode::BAD_REQUEST, (256, 256)),
    ] {
        let (watch, before) = (Arc::new(Watch::default()), resident());
        let body = watch.body(beginning, b'x', sends);
        let asked = request("POST", path, &token).header("content-type", media).body(body).unwrap();
        let answer = send(&service, asked).await;
        assert_eq!(answer.status, status, "{path} {media}: {answer:?}");
        let sent = watch.sent.load(Ordering::Relaxed);
        assert!(sent <= most * MIB, "{path} {media}: {sent} bytes were read");
        watch.assert_flat(before, &format!("{path} as {media}"));
    }
}

// HT-11
#[tokio::test]
async fn a_body_that_grows_a_thousandfold_is_refused_at_the_cap() {
    let itself = "memory::a_body_that_grows_a_thousandfold_is_refused_at_the_cap";
    let Some(_) = in_a_process_of_its_own(itself) else { return };
    let signer = Signer::eddsa("a");
    let (service, token) = (service(&signer).await, signer.token(&json!({})));
    // A gigabyte of blanks in a megabyte, as many streams of gzip one after the other, which RFC 1952 §2.2 has read as one.
    let mut one = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    one.write_all(&vec![b' '; 16 * MIB]).unwrap();
    let one = one.finish().unwrap();
    for (what, packed) in [("one stream", one.clone()), ("64 streams", one.repeat(64))] {
        let (watch, before, sent) = (Arc::new(Watch::default()), resident(), packed.len());
        for _ in 0..20 {
            let asked = request("POST", "/json", &token).header("content-type", "application/json");
            let asked = asked.header("content-encoding", "gzip").body(Body::from(packed.clone())).unwrap();
            let answer = send(&service, asked).await;
            assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{what}: {answer:?}");
            watch.look();
        }
        watch.assert_flat(before, &format!("{what} of {sent} bytes"));
    }
}

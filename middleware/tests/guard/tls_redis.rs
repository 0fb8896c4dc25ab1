//! A Redis behind TLS: what is shared through it is shared with nobody whose certificate is not good.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::StatusCode;
use portcullis_guard::{Dpop, Limits, Quota, RedisSessions, StoreState};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::certificate::Certificate;
use crate::login::browser::{Browser, guard_at, service};
use crate::login::provider::Provider;
use crate::service::Dial;
use crate::shared_limits::{self, shared};
use crate::shared_proofs::{self, through};
use crate::tls::{good_and_bad, in_a_process_of_its_own, server};

/// The server of the test run as `rediss://localhost` shows it with a certificate; and how often somebody took that certificate.
async fn behind(certificate: &Certificate) -> (String, Arc<AtomicUsize>) {
    let config = server().with_no_client_auth();
    let config = config.with_single_cert(certificate.chain(), certificate.key()).unwrap();
    let (tls, tcp) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let url = format!("rediss://localhost:{}", tcp.local_addr().unwrap().port());
    let (plain, _) = shared_limits::server();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = tcp.accept().await {
            let Ok(mut stream) = tls.accept(stream).await else { continue };
            count.fetch_add(1, Ordering::SeqCst);
            let mut inner = TcpStream::connect(plain.trim_start_matches("redis://")).await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut inner).await });
        }
    });
    (url, taken)
}

// HT-20
#[tokio::test]
async fn limits_are_shared_through_no_redis_whose_certificate_is_not_good() {
    let itself = "tls_redis::limits_are_shared_through_no_redis_whose_certificate_is_not_good";
    let Some(file) = in_a_process_of_its_own(itself) else { return };
    for (certificate, is_good, why) in good_and_bad(&file) {
        let (url, taken) = behind(&certificate).await;
        let (_, prefix) = shared_limits::server();
        let setup = shared_limits::Setup::new();
        let limits = shared(Limits::new().by_identity(Quota::per_hour(4)), &url, &prefix);
        let replica = setup.replica(limits).await;
        assert_eq!(replica.guard.status().limits_shared, Some(is_good), "{why}");
        assert_eq!(replica.count(&setup.token("alice"), 5).await, if is_good { 4 } else { 2 }, "{why}");
        replica.guard.refresh().await;
        assert_eq!(taken.load(Ordering::SeqCst) > 0, is_good, "{why}");
    }
}

// HT-20
#[tokio::test]
async fn proofs_are_shared_through_no_redis_whose_certificate_is_not_good() {
    let itself = "tls_redis::proofs_are_shared_through_no_redis_whose_certificate_is_not_good";
    let Some(file) = in_a_process_of_its_own(itself) else { return };
    for (certificate, is_good, why) in good_and_bad(&file) {
        let (url, taken) = behind(&certificate).await;
        let (_, prefix) = shared_limits::server();
        let setup = shared_proofs::Setup::new();
        let replica = setup.replica(Dpop::new().shared(through(&url, &prefix))).await;
        assert_eq!(replica.guard.status().proofs_shared, Some(is_good), "{why}");
        assert_eq!(setup.status(&replica, &setup.named("a")).await, if is_good { 200 } else { 503 }, "{why}");
        replica.guard.refresh().await;
        assert_eq!(taken.load(Ordering::SeqCst) > 0, is_good, "{why}");
    }
}

// HT-20
#[tokio::test]
async fn sessions_are_kept_in_no_redis_whose_certificate_is_not_good() {
    let itself = "tls_redis::sessions_are_kept_in_no_redis_whose_certificate_is_not_good";
    let Some(file) = in_a_process_of_its_own(itself) else { return };
    for (certificate, is_good, why) in good_and_bad(&file) {
        let (url, taken) = behind(&certificate).await;
        let (_, prefix) = shared_limits::server();
        let dial = Dial::new();
        let provider = Provider::start(&dial).await;
        let store = RedisSessions::new(&url).unwrap().prefix(prefix);
        let guard = guard_at(&provider, &dial, |login| login.store(store), |guard| guard).await;
        guard.refresh().await;
        let state = if is_good { StoreState::Reached } else { StoreState::Away };
        assert_eq!(guard.status().sessions, Some(state), "{why}");
        let mut browser = Browser { service: service(&guard), cookies: BTreeMap::new() };
        if is_good {
            let location = browser.begin("/auth/login").await;
            browser.come_back(&provider.answer(&location)).await;
            assert_eq!(browser.fetch("/me").await.body, "alice", "{why}");
        } else {
            let answer = browser.open("/auth/login").await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{why}");
            guard.refresh().await;
        }
        assert_eq!(taken.load(Ordering::SeqCst) > 0, is_good, "{why}");
    }
}

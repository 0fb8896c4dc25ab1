//! Guards that end and start again with the same disk.

use std::fs;
use std::path::PathBuf;

use axum::body::Body;
use http::StatusCode;
use portcullis_guard::{Guard, GuardBuilder, Issuer, Policy, PolicyEndpoint};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

use crate::issuer::{Answer, TestIssuer};
use crate::policy::signed;
use crate::service::{Dial, fetch, request, send, service};
use crate::signer::{AUDIENCE, NOW, Signer, jwks};

pub(crate) const ALLOWED: &str = "p, viewer, *, orders, read";
pub(crate) const WITHDRAWN: &str = "p, admin, *, orders, read";
/// What reading and creating are answered under [`ALLOWED`].
pub(crate) const SERVED: [u16; 2] = [200, 403];
pub(crate) const CLOSED: [u16; 2] = [503, 503];

/// A machine on which guards start and end, and the issuer that they know.
pub(crate) struct Machine {
    pub(crate) issuer: TestIssuer,
    pub(crate) signer: Signer,
    pub(crate) dial: Dial,
    folder: TempDir,
}

impl Machine {
    /// One on which a guard ran, and heard of revision 7, until the issuer went away.
    pub(crate) async fn left_alone() -> Self {
        let machine = Self::new().await;
        machine.publish(&machine.signer, ALLOWED, &json!({}));
        let guard = machine.start().await;
        assert_eq!(guard.policy_revision(), Some(7));
        machine.issuer.leave();
        machine
    }

    pub(crate) async fn new() -> Self {
        let signer = Signer::es256("a");
        let issuer = TestIssuer::start(jwks([&signer])).await;
        Self { folder: tempdir().unwrap(), issuer, signer, dial: Dial::new() }
    }

    pub(crate) fn publish(&self, signer: &Signer, rules: &str, changes: &Value) {
        let mut claims = json!({ "revision": 7, "exp": NOW + 86_400 });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.issuer.hand_out(Answer::Document(signed(signer, &self.issuer.url, rules, &claims)));
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("guard")
    }

    pub(crate) fn endpoint(&self) -> PolicyEndpoint {
        PolicyEndpoint::new(format!("{}/policies/snapshot", self.issuer.url), "orders", "s3cret")
    }

    pub(crate) fn builder(&self, endpoint: PolicyEndpoint, audience: &str) -> GuardBuilder {
        Guard::builder()
            .issuer(Issuer::oidc(&self.issuer.url))
            .audience(audience)
            .policy(Policy::remote(endpoint))
            .cache_dir(self.cache())
            .clock(self.dial.clock_of_new_process())
            .manual_refresh()
    }

    pub(crate) async fn start(&self) -> Guard {
        self.builder(self.endpoint(), AUDIENCE).build().await.unwrap()
    }

    pub(crate) async fn start_with(&self, endpoint: PolicyEndpoint) -> Guard {
        self.builder(endpoint, AUDIENCE).build().await.unwrap()
    }

    pub(crate) fn token(&self, signer: &Signer) -> String {
        signer.token(&json!({ "iss": self.issuer.url, "exp": NOW + 80_000 }))
    }

    /// What reading and creating are answered.
    pub(crate) async fn statuses(&self, guard: &Guard) -> [u16; 2] {
        self.statuses_by(guard, &self.signer).await
    }

    pub(crate) async fn statuses_by(&self, guard: &Guard, signer: &Signer) -> [u16; 2] {
        let (service, token) = (service(guard), self.token(signer));
        let read = fetch(&service, "/orders", &token).await;
        let create = send(&service, request("POST", "/orders", &token).body(Body::empty()).unwrap()).await;
        for answer in [&read, &create] {
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!((answer.code().as_str(), answer.header("retry-after")), ("unavailable", "1"));
            }
        }
        [read, create].map(|answer| answer.status.as_u16())
    }

    pub(crate) fn file(&self, kind: &str) -> PathBuf {
        let entries = fs::read_dir(self.cache()).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().contains(kind)).collect();
        assert_eq!(files.len(), 1, "{files:?}");
        files.remove(0)
    }
}

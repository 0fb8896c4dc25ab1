//! A proof for each request (RFC 9449).

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use serde_json::{Value, json};

use crate::test_util::issuer::Issuer;
use crate::test_util::keys::{ProofKey, encoded, insert, nonce_of};

/// Who proves that a token is theirs, and where.
#[derive(Clone)]
pub(super) struct Proving {
    pub(super) key: Arc<ProofKey>,
    pub(super) origin: String,
    issuer: Option<Issuer>,
    /// What the service asked for last (§9).
    pub(super) nonce: Option<String>,
    /// What it asked for once, and takes no more.
    pub(super) old_nonce: Option<String>,
}

impl Proving {
    pub(super) fn new(key: Arc<ProofKey>, origin: &str) -> Self {
        let origin = origin.trim_end_matches('/').to_owned();
        Self { key, origin, issuer: None, nonce: None, old_nonce: None }
    }

    /// By the clock of an issuer.
    pub(super) fn by(self, issuer: &Issuer) -> Self {
        Self { issuer: Some(issuer.clone()), ..self }
    }

    /// With the nonce that an answer asks for, if it asks for one.
    pub(super) fn answering(self, headers: &HeaderMap) -> Self {
        let nonce = nonce_of(headers).map(str::to_owned).or(self.nonce);
        Self { nonce, ..self }
    }

    pub(super) fn now(&self) -> u64 {
        self.issuer.as_ref().map_or(0, Issuer::now)
    }

    /// What a proof says. No two have the same name.
    pub(super) fn claims(&self, method: &str, path: &str, token: &str) -> Value {
        let name = self.issuer.as_ref().map(Issuer::next_name);
        let path = path.split('?').next().unwrap_or_default();
        let mut claims = json!({
            "jti": name, "htm": method, "htu": format!("{}{path}", self.origin), "iat": self.now(),
            "ath": encoded(digest(&SHA256, token.as_bytes())),
        });
        if let Some(nonce) = &self.nonce {
            insert(&mut claims, "nonce", nonce.as_str().into());
        }
        claims
    }

    pub(super) fn proof(&self, method: &str, path: &str, token: &str) -> String {
        self.key.proof_of(&self.claims(method, path, token))
    }
}

impl fmt::Debug for Proving {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Proving").field("origin", &self.origin).finish_non_exhaustive()
    }
}

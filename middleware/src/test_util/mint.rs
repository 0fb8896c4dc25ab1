//! Tokens for tests: good ones, and ones that are good but for what a test changes.

use std::time::Duration;

use serde_json::{Value, json};

use super::issuer::Issuer;
use super::keys::{ProofKey, insert};
use super::register::Said;

/// A token in the making: an access token as RFC 9068 has it, good for five minutes, until something is changed.
#[derive(Clone, Debug)]
#[must_use = "no token is made before `token`"]
pub struct Mint {
    issuer: Issuer,
    header: Value,
    claims: Value,
}

impl Issuer {
    /// A token for an audience.
    pub fn mint(&self, audience: &str) -> Mint {
        let now = self.now();
        let header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": self.kid() });
        let claims = json!({
            "iss": self.url(), "aud": audience, "sub": "alice", "client_id": "test-client",
            "jti": self.next_name(), "iat": now, "exp": now + 300,
        });
        Mint { issuer: self.clone(), header, claims }
    }
}

impl Mint {
    /// Who is calling.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// By which client.
    pub fn client(self, client: &str) -> Self {
        self.claim("client_id", client)
    }

    /// In which roles.
    pub fn roles<'r>(self, roles: impl IntoIterator<Item = &'r str>) -> Self {
        self.claim("roles", roles.into_iter().collect::<Vec<_>>())
    }

    /// For which scopes, with spaces between.
    pub fn scope(self, scope: &str) -> Self {
        self.claim("scope", scope)
    }

    /// For how long, from now. A guard takes a token for its leeway longer: one that has expired for it was minted before the
    /// clock of the issuer went on.
    pub fn expires_in(self, lifetime: Duration) -> Self {
        let expiry = self.issuer.now().saturating_add(lifetime.as_secs());
        self.claim("exp", expiry)
    }

    /// Bound to a key (RFC 9449).
    pub fn bound_to(self, key: &ProofKey) -> Self {
        self.claim("cnf", json!({ "jkt": key.thumbprint() }))
    }

    /// Any claim.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.claims, name, value.into());
        self
    }

    /// Without a claim.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.as_object_mut().map(|claims| claims.remove(name));
        self
    }

    /// Any member of the header.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        insert(&mut self.header, name, value.into());
        self
    }

    /// The token, signed by the key that the issuer signs with now.
    pub fn token(&self) -> String {
        let token = self.issuer.sign(&self.header.to_string(), self.claims.to_string().as_bytes());
        self.issuer.register().know(&token, Said::Active(self.claims.clone()));
        token
    }

    /// A token that says nothing by itself: the issuer has to be [asked](crate::Introspection) about it.
    pub fn opaque(&self) -> String {
        let token = self.issuer.next_opaque();
        self.issuer.register().know(&token, Said::Active(self.claims.clone()));
        token
    }
}

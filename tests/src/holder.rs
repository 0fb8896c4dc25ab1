//! Clients that prove with each request that they have a key (RFC 9449).

use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::agent::Answer;
use crate::assertion::SigningKeys;
use crate::authorize::random_text;
use crate::registered::Registered;
use crate::server::BareServer;
use crate::token::Field;

/// A key, and the nonce that the server asked for last.
pub struct Holder {
    keys: SigningKeys,
    nonce: Mutex<Option<String>>,
}

impl Holder {
    /// A new key.
    pub fn generate() -> Self {
        Self { keys: SigningKeys::generate(), nonce: Mutex::new(None) }
    }

    /// The key as proofs carry it.
    ///
    /// # Panics
    ///
    /// When the key set of the key is empty.
    pub fn jwk(&self) -> Value {
        let jwks = self.keys.public_jwks();
        let key = jwks.pointer("/keys/0").expect("a key set holds its key");
        json!({ "crv": key["crv"], "kty": key["kty"], "x": key["x"], "y": key["y"] })
    }

    /// The thumbprint of the key (RFC 7638): its members in their order, without blanks.
    pub fn jkt(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.jwk().to_string().as_bytes()))
    }

    /// What a good proof for a request says, with the nonce that was asked for last.
    pub fn claims(&self, server: &BareServer, method: &str, path: &str) -> Value {
        let url = format!("{}{path}", server.issuer);
        let mut claims =
            json!({ "jti": random_text(), "htm": method, "htu": url, "iat": server.clock.now().as_secs() });
        let nonce = self.nonce.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Some(nonce), Some(members)) = (nonce, claims.as_object_mut()) {
            members.insert("nonce".to_owned(), json!(nonce));
        }
        claims
    }

    /// A proof that says this.
    pub fn proof(&self, claims: &Value) -> String {
        self.proof_with(&json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk() }), claims)
    }

    /// A proof with a header of the test's choice.
    pub fn proof_with(&self, header: &Value, claims: &Value) -> String {
        self.keys.sign_with(header, claims)
    }

    /// A proof for a request with an access token.
    pub fn proof_beside(&self, token: &str, mut claims: Value) -> String {
        let ath = json!(URL_SAFE_NO_PAD.encode(digest(&SHA256, token.as_bytes())));
        if let Some(members) = claims.as_object_mut() {
            members.insert("ath".to_owned(), ath);
        }
        self.proof(&claims)
    }

    /// Learns the nonce that an answer asks for.
    pub fn learn(&self, answer: &Answer) {
        let nonce = answer.header("dpop-nonce");
        if !nonce.is_empty() {
            *self.nonce.lock().unwrap_or_else(PoisonError::into_inner) = Some(nonce.to_owned());
        }
    }

    /// Learns the nonce of the time.
    pub async fn greet(&self, server: &BareServer) {
        let request = server.machine.request(reqwest::Method::POST, "/token").header("dpop", "hello");
        self.learn(&Answer::to(request).await);
    }

    /// The form of a client, with a proof; sent once more when another nonce is wanted.
    pub async fn post(
        &self,
        server: &BareServer,
        client: &Registered,
        path: &str,
        fields: &[Field<'_>],
    ) -> Answer {
        let request =
            || server.machine.form_of(client, path, fields).header("dpop", self.fresh(server, path));
        self.send(request).await
    }

    /// Sends a request; once more when another nonce is wanted.
    pub async fn send(&self, request: impl Fn() -> RequestBuilder) -> Answer {
        let answer = Answer::to(request()).await;
        self.learn(&answer);
        if answer.error() != "use_dpop_nonce" {
            return answer;
        }
        let answer = Answer::to(request()).await;
        self.learn(&answer);
        answer
    }

    /// Trades a refresh token.
    pub async fn refresh(&self, server: &BareServer, client: &Registered, token: &str) -> Answer {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token)];
        self.post(server, client, "/token", &fields).await
    }

    /// Asks who somebody is.
    pub async fn userinfo(&self, server: &BareServer, token: &str) -> Answer {
        let request = || {
            let proof = self.proof_beside(token, self.claims(server, "GET", "/userinfo"));
            let request = server.machine.request(reqwest::Method::GET, "/userinfo");
            request.header("authorization", format!("DPoP {token}")).header("dpop", proof)
        };
        self.send(request).await
    }

    fn fresh(&self, server: &BareServer, path: &str) -> String {
        self.proof(&self.claims(server, "POST", path))
    }
}

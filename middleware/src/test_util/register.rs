//! What the issuer knows of tokens when it is asked (RFC 7662).

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use serde_json::{Value, json};

use super::keys::insert;

/// What the issuer knows of tokens.
#[derive(Default)]
pub(super) struct Register {
    known: HashMap<String, Said>,
    /// Whether it signs what it says.
    pub(super) signs: bool,
    questions: usize,
    /// Who asked last.
    asker: Option<String>,
}

/// What is said of a token.
#[derive(Clone)]
pub(super) enum Said {
    /// That it is good, and has these claims.
    Active(Value),
    /// This, whatever it is.
    Verbatim { media: &'static str, body: String },
}

/// A question of a client.
pub(super) struct Asked {
    pub(super) client_id: String,
    token: String,
}

impl Asked {
    /// A form, from a client that says who it is: its secret is not looked at.
    pub(super) fn read(headers: &HeaderMap, form: &[u8]) -> Option<Self> {
        let credentials = headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Basic ")?;
        let credentials = String::from_utf8(STANDARD.decode(credentials).ok()?).ok()?;
        let (client_id, _) = credentials.split_once(':')?;
        let decoded =
            |text: &str| form_urlencoded::parse(text.as_bytes()).next().map(|(name, _)| name.into_owned());
        let token = form_urlencoded::parse(form).find(|(name, _)| name == "token")?.1.into_owned();
        Some(Self { client_id: decoded(client_id)?, token })
    }
}

impl Register {
    pub(super) fn know(&mut self, token: &str, said: Said) {
        self.known.insert(token.to_owned(), said);
    }

    pub(super) fn forget(&mut self, token: &str) {
        self.known.remove(token);
    }

    pub(super) fn claims(&self, token: &str) -> Option<&Value> {
        match self.known.get(token)? {
            Said::Active(claims) => Some(claims),
            Said::Verbatim { .. } => None,
        }
    }

    pub(super) const fn questions(&self) -> usize {
        self.questions
    }

    pub(super) fn asker(&self) -> Option<String> {
        self.asker.clone()
    }

    /// What is said of a token at a second of the Unix epoch.
    pub(super) fn answer(&mut self, asked: &Asked, now: u64) -> Said {
        self.questions += 1;
        self.asker = Some(asked.client_id.clone());
        let is_over =
            |claims: &Value| claims.get("exp").and_then(Value::as_u64).is_some_and(|exp| exp <= now);
        match self.known.get(&asked.token) {
            Some(Said::Active(claims)) if !is_over(claims) => Said::Active(described(claims)),
            Some(Said::Verbatim { media, body }) => Said::Verbatim { media, body: body.clone() },
            Some(Said::Active(_)) | None => Said::Active(json!({ "active": false })),
        }
    }
}

/// An answer about an access token with these claims.
pub(super) fn described(claims: &Value) -> Value {
    let mut answer = claims.clone();
    let is_bound = claims.get("cnf").is_some_and(|cnf| cnf.get("jkt").is_some());
    for (name, value) in
        [("active", json!(true)), ("token_type", json!(if is_bound { "DPoP" } else { "Bearer" }))]
    {
        if answer.get(name).is_none() {
            insert(&mut answer, name, value);
        }
    }
    answer
}

//! What an issuer for tests tells guards that listen: that the policy or the keys changed, and what was revoked.

use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::media_type::EVENT_STREAM;
use crate::revocation::Entry;

/// How often a stream says that it is still there.
const PULSE: Duration = Duration::from_secs(1);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Everything that was revoked.
#[derive(Default)]
pub(super) struct Revocations {
    entries: Mutex<Vec<Entry>>,
    /// Marked by everything that guards are to hear of.
    news: watch::Sender<()>,
}

/// What a guard is told, and how many revocations it knows then.
pub(super) struct Told {
    state: Value,
    seq: usize,
}

impl Revocations {
    /// Revokes tokens with this claim; only those that were issued by then, if that is said.
    pub(super) fn add(&self, claim: (&str, &str), issued_by: Option<u64>, until: u64) {
        self.entries().push(Entry::new(claim, issued_by, until));
        self.tell();
    }

    /// Something has changed.
    pub(super) fn tell(&self) {
        self.news.send_replace(());
    }

    /// What is new to a guard that knows so many revocations, beside the entity tags of the policy and of the keys.
    pub(super) fn told(&self, after: Option<usize>, policy: Option<&str>, keys: &str) -> Told {
        let entries = self.entries();
        let new = after.and_then(|after| entries.get(after..));
        let state = json!({
            "seq": entries.len(),
            "reset": new.is_none(),
            "policy": policy,
            "keys": keys,
            "revoked": new.unwrap_or(&entries),
        });
        Told { state, seq: entries.len() }
    }

    /// Tells a guard what holds now, or that and everything new from then on, until `tell` has no more to say.
    pub(super) fn answer<T>(&self, headers: &HeaderMap, tell: T) -> Response
    where
        T: Fn(Option<usize>) -> Option<Told> + Send + 'static,
    {
        let asked = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let after = asked(LAST_EVENT_ID).and_then(|after| after.parse().ok());
        if asked(header::ACCEPT) == Some(EVENT_STREAM) {
            let listening = Listening { news: self.news.subscribe(), tell, after, is_new: true };
            let events = Body::from_stream(stream::unfold(listening, Listening::next));
            return ([(header::CONTENT_TYPE, EVENT_STREAM)], events).into_response();
        }
        let state = tell(after).map(|told| told.state.to_string()).unwrap_or_default();
        ([(header::CONTENT_TYPE, "application/json")], state).into_response()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A guard that listens.
struct Listening<T> {
    news: watch::Receiver<()>,
    tell: T,
    after: Option<usize>,
    is_new: bool,
}

impl<T: Fn(Option<usize>) -> Option<Told>> Listening<T> {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !self.is_new && matches!(tokio::time::timeout(PULSE, self.news.changed()).await, Ok(Err(_))) {
            return None;
        }
        let Told { state, seq } = (self.tell)(self.after)?;
        (self.after, self.is_new) = (Some(seq), false);
        Some((Ok(Bytes::from(format!("data: {state}\n\n"))), self))
    }
}

/// What can be read of a token without a key: `jti` and `exp`.
pub(super) fn read(token: &str) -> Option<(String, u64)> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    Some((claims.get("jti")?.as_str()?.to_owned(), claims.get("exp")?.as_u64()?))
}

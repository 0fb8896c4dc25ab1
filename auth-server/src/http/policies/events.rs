//! What a guard has to know, once as JSON or again and again as server-sent events ([HTML §9.2]).
//!
//! An event is the whole state but for revocations, of which it holds those that are new since the event before. Its `id` is the
//! place of the last of them, so `Last-Event-ID` resumes where a connection was lost.
//!
//! [HTML §9.2]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::domain::client::Client;
use crate::http::error::Cause;
use crate::http::oauth::client_request::{ClientRequest, HeaderClient};
use crate::http::policies::refused;
use crate::services::events::{Ears, EventService, EventsError, GuardState};

const EVENT_STREAM: &str = "text/event-stream";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// nginx reads it, and passes each event on at once.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// For guards with a secret.
pub(super) async fn by_header(
    State(events): State<EventService>,
    headers: HeaderMap,
    HeaderClient(caller): HeaderClient,
) -> Response {
    answer(events, &headers, Arc::clone(caller.client.client())).await
}

/// For guards that sign assertions, or whose secret does not fit into a header.
pub(super) async fn by_form(
    State(events): State<EventService>,
    headers: HeaderMap,
    ClientRequest { caller, .. }: ClientRequest,
) -> Response {
    answer(events, &headers, Arc::clone(caller.client.client())).await
}

async fn answer(events: EventService, headers: &HeaderMap, client: Arc<Client>) -> Response {
    // What cannot be read is the place of nothing: everything is told.
    let after = headers.get(LAST_EVENT_ID).and_then(|value| value.to_str().ok()?.parse().ok());
    let state = match events.state(&client, after).await {
        Ok(state) => state,
        Err(error) => return failure(&error),
    };
    if !accepts_stream(headers) {
        return once(&state);
    }
    match events.listen() {
        Ok((place, ears)) => {
            let told = state.seq;
            streamed(Listener { events, client, ears, told, _place: place }, state)
        }
        Err(error) => failure(&error),
    }
}

fn accepts_stream(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .any(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(EVENT_STREAM)))
}

fn once(state: &GuardState) -> Response {
    let mut response = json(state).into_response();
    dressed(&mut response, "application/json");
    response
}

fn streamed(listener: Listener, first: GuardState) -> Response {
    let events = stream::unfold((listener, Some(first)), |(mut listener, first)| async move {
        let state = match first {
            Some(first) => first,
            None => listener.next().await?,
        };
        listener.told = state.seq;
        Some((Ok::<_, Infallible>(event(&state)), (listener, None)))
    });
    let mut response = Body::from_stream(events).into_response();
    dressed(&mut response, EVENT_STREAM);
    response.headers_mut().insert(BUFFERING, HeaderValue::from_static("no"));
    response
}

fn dressed(response: &mut Response, kind: &'static str) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
}

fn event(state: &GuardState) -> Bytes {
    let mut text = format!("id: {}\ndata: ", state.seq).into_bytes();
    text.extend(json(state));
    text.extend(b"\n\n");
    text.into()
}

/// Numbers, texts and lists of them: there is nothing that JSON could not say.
fn json(state: &GuardState) -> Vec<u8> {
    serde_json::to_vec(state).unwrap_or_default()
}

fn failure(error: &EventsError) -> Response {
    match error {
        EventsError::Snapshot(error) => refused(error),
        EventsError::Crowded => {
            let retry = [(RETRY_AFTER, HeaderValue::from_static("60"))];
            let mut response = (StatusCode::SERVICE_UNAVAILABLE, retry).into_response();
            response.extensions_mut().insert(Cause::of(error));
            response
        }
    }
}

/// A guard that listens; it holds its place until it goes.
struct Listener {
    events: EventService,
    client: Arc<Client>,
    ears: Ears,
    /// The place of the last revocation that it was told of.
    told: u64,
    _place: OwnedSemaphorePermit,
}

impl Listener {
    /// The next thing to say; `None` when it is not to be told anything any more.
    async fn next(&mut self) -> Option<GuardState> {
        loop {
            if !self.ears.wait().await {
                return None;
            }
            let state = match self.events.is_unchanged(&self.client).await {
                Ok(true) => self.events.state(&self.client, Some(self.told)).await,
                Ok(false) => return None,
                Err(error) => {
                    tracing::debug!(cause = %error, "a guard could not be told what holds");
                    continue;
                }
            };
            match state {
                Ok(state) => return Some(state),
                // A guard that hears nothing knows that what it knows grows old.
                Err(error) => tracing::debug!(cause = %error, "a guard could not be told what holds"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_for_those_who_ask_for_one() {
        let accepts = |value: &'static str| {
            accepts_stream(&HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(value))]))
        };
        assert!(accepts("text/event-stream") && accepts("application/json, TEXT/event-stream; q=0.9"));
        assert!(!accepts("*/*") && !accepts("application/json") && !accepts("text/event-streams"));
    }
}

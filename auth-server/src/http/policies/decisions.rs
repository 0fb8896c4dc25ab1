//! `/policies/decisions`: what a guard decided, each request once and with how often.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Deserialize;

use crate::domain::decision::DecisionRecord;
use crate::domain::secret::Digest32;
use crate::http::admin::body::JsonBody;
use crate::http::admin::problem::{Problem, ProblemKind};
use crate::http::oauth::client_request::HeaderClient;
use crate::services::admin_error::Thing;
use crate::services::policies::records::{Batch, MAX_RECORDS, RecordService, RecordsError};

/// The longest name of a batch.
const MAX_NAME: usize = 64;

/// What a guard sends. Newer guards may say more than is known here.
#[derive(Deserialize)]
pub(super) struct BatchDocument {
    /// The same when it is sent again.
    batch: String,
    /// How long ago the first of these may have been decided.
    #[serde(default)]
    age_secs: u64,
    /// How many decisions are not among these. Rules on trial were not tried on those.
    #[serde(default)]
    lost: u64,
    /// Whether something stands for each subject.
    #[serde(default)]
    pseudonymous: bool,
    /// The rules that would decide these otherwise: the hexadecimal digest by which they are named.
    shadow: Option<String>,
    decisions: Vec<DecisionDocument>,
}

#[derive(Deserialize)]
struct DecisionDocument {
    subject: String,
    roles: Vec<String>,
    #[serde(default)]
    domain: String,
    object: String,
    action: String,
    allowed: bool,
    revision: u64,
    count: u64,
}

/// `POST /policies/decisions`.
pub(super) async fn take(
    State(records): State<RecordService>,
    HeaderClient(caller): HeaderClient,
    JsonBody(document): JsonBody<BatchDocument>,
) -> Result<Response, Problem> {
    let batch = document.batch().map_err(|(pointer, complaint)| Problem::malformed(pointer, complaint))?;
    match records.take(caller.client.client(), batch, caller.now).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT.into_response()),
        Err(error) => Err(refused(&error)),
    }
}

impl BatchDocument {
    fn batch(self) -> Result<Batch, (&'static str, String)> {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || letter == '-';
        if self.batch.is_empty() || self.batch.len() > MAX_NAME || !self.batch.chars().all(is_plain) {
            return Err(("/batch", format!("has to be 1 to {MAX_NAME} letters, digits and hyphens")));
        }
        if self.decisions.len() > MAX_RECORDS {
            return Err(("/decisions", format!("has to be at most {MAX_RECORDS} records")));
        }
        let shadow = self.shadow.as_deref().map(str::parse::<Digest32>).transpose();
        let pseudonymous = self.pseudonymous;
        Ok(Batch {
            name: self.batch,
            age: Duration::from_secs(self.age_secs),
            lost: self.lost,
            shadow: shadow.map_err(|error| ("/shadow", error.to_string()))?,
            records: self.decisions.into_iter().map(|decision| decision.record(pseudonymous)).collect(),
        })
    }
}

impl DecisionDocument {
    fn record(self, pseudonymous: bool) -> DecisionRecord {
        let Self { subject, roles, domain, object, action, allowed, revision, count } = self;
        DecisionRecord {
            subject,
            pseudonymous,
            roles,
            domain,
            object,
            action,
            allowed,
            asked_by: None,
            revision,
            decisions: count,
        }
    }
}

fn refused(error: &RecordsError) -> Problem {
    let problem = match error {
        RecordsError::Crowded(wait) => {
            Problem::throttled(wait.as_secs() + u64::from(wait.subsec_nanos() > 0))
        }
        RecordsError::ServesNothing => Problem::new(ProblemKind::ServesNothing),
        RecordsError::Store(cause) => Problem::fault(cause),
        RecordsError::Unwanted => {
            Problem::not_found(Thing::Policy).with_detail("No records of decisions are kept here.")
        }
    };
    problem.because(error)
}

//! What a guard says about itself.

use std::time::Duration;

use serde::{Serialize, Serializer};

use crate::input::FieldReports;

/// What a guard knows, how old that is and where it came from: made by [`Guard::status`](crate::Guard::status).
///
/// As JSON, an age is a number of whole seconds named `age_secs`.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// Whether the guard has what it needs to decide, and none of it is too old: see [`Guard::is_ready`](crate::Guard::is_ready).
    pub ready: bool,
    /// The policy, if the guard is to have one.
    pub policy: Option<PolicyStatus>,
    /// The keys of each issuer: those of one that cannot be used have its tokens answered 503, also while the guard is ready.
    pub issuers: Vec<KeysStatus>,
    /// What is known of the issuer that is asked about tokens, if one is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection: Option<IntrospectionStatus>,
    /// How often each field of the guard's input policy that only reports was wrong.
    pub input_reports: Vec<FieldReports>,
    /// How many streams and upgraded connections are watched, because they last as long as the [`Permit`](crate::Permit) of their request.
    pub streams: usize,
    /// How long ago the server said what was revoked; nothing if it never did, or if there is none that would.
    #[serde(rename = "revocations_age_secs", serialize_with = "secs")]
    pub revocations_age: Option<Duration>,
    /// Whether limits are shared with the other replicas at the moment; nothing if they are not to be.
    pub limits_shared: Option<bool>,
    /// Whether used DPoP proofs are shared with the other replicas at the moment; nothing if they are not to be.
    pub proofs_shared: Option<bool>,
    /// Whether the [store](crate::SessionStore) of the login can be used; nothing if there is no login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sessions: Option<StoreState>,
}

/// Whether the place where sessions are kept can be used. While it cannot, requests with a session are answered 503, and nobody can sign in.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum StoreState {
    /// It cannot be reached, or takes too long.
    Away,
    /// It is there, and answers with errors: it is full, say, or is reading its data, or may not write.
    Failing,
    /// It can.
    Reached,
}

/// What a guard knows of its policy.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PolicyStatus {
    /// The revision that is held.
    pub revision: Option<u64>,
    /// Who said last that it holds; nothing if there is none yet.
    pub source: Option<Source>,
    /// How long ago a server said so; nothing if none has to.
    #[serde(rename = "age_secs", serialize_with = "secs")]
    pub age: Option<Duration>,
    /// Whether it is young enough to decide. Routes that [serve stale](crate::Requirement::serve_stale) may go by
    /// an older one.
    pub usable: bool,
    /// How its decisions compare with those of Casbin, where [some are](crate::Policy) made by both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comparison: Option<ComparisonStatus>,
}

/// How the decisions of a guard compare with those of Casbin: of all of them since it started, whatever the revision.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComparisonStatus {
    /// How many Casbin made as well.
    pub compared: u64,
    /// How many of these Casbin made otherwise. More than none is an alarm: by one of the two, somebody may do what the policy does
    /// not say.
    pub different: u64,
    /// How many were drawn, and there was no room for them.
    pub dropped: u64,
    /// How many were drawn, and Casbin has no answer to them.
    pub unanswered: u64,
    /// What of the policy that was compared last Casbin knows nothing of; nothing if it knows all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_out: Option<String>,
}

/// What a guard knows of the keys of an issuer.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct KeysStatus {
    /// Whose keys.
    pub issuer: String,
    /// How many can be used to verify.
    pub keys: usize,
    /// Who said last that they hold; nothing if there are none yet.
    pub source: Option<Source>,
    /// How long ago the issuer said so; nothing if it does not have to.
    #[serde(rename = "age_secs", serialize_with = "secs")]
    pub age: Option<Duration>,
    /// Whether they are young enough to verify tokens with. Routes that
    /// [serve stale](crate::Requirement::serve_stale) may go by older ones.
    pub usable: bool,
}

/// How it goes to ask the issuer about tokens. A guard is ready whatever this says: without requests it would not find out
/// that the issuer answers again.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct IntrospectionStatus {
    /// Whether the issuer answers. It does not when three questions in a row, and every one since, came to nothing.
    pub answers: bool,
    /// Of how many tokens it is remembered that they are good.
    pub tokens: usize,
}

/// Where knowledge came from.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The cache folder, and nobody has confirmed it since the guard started.
    Disk,
    /// The program itself, or its files.
    Local,
    /// The issuer or the server.
    Network,
}

/// What is known of something that may come from elsewhere.
pub(crate) struct Provenance {
    pub(crate) source: Option<Source>,
    pub(crate) age: Option<Duration>,
    pub(crate) usable: bool,
}

impl Provenance {
    /// What nobody has to confirm.
    pub(crate) const LOCAL: Self = Self { source: Some(Source::Local), age: None, usable: true };

    pub(crate) const fn of_policy(self, revision: Option<u64>) -> PolicyStatus {
        let Self { source, age, usable } = self;
        PolicyStatus { revision, source, age, usable, comparison: None }
    }
}

#[expect(clippy::ref_option, reason = "the signature is serde's")]
fn secs<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    age.map(|age| age.as_secs()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_seconds_in_json() {
        let policy = PolicyStatus {
            revision: Some(7),
            source: Some(Source::Disk),
            age: Some(Duration::from_millis(61_999)),
            usable: true,
            comparison: None,
        };
        let status = Status {
            ready: false,
            policy: Some(policy),
            issuers: Vec::new(),
            introspection: None,
            input_reports: Vec::new(),
            streams: 2,
            revocations_age: None,
            limits_shared: None,
            proofs_shared: None,
            sessions: Some(StoreState::Failing),
        };
        assert_eq!(
            serde_json::to_value(status).unwrap(),
            serde_json::json!({
                "ready": false,
                "policy": { "revision": 7, "source": "disk", "age_secs": 61, "usable": true },
                "issuers": [],
                "input_reports": [],
                "streams": 2,
                "revocations_age_secs": null,
                "limits_shared": null,
                "proofs_shared": null,
                "sessions": "failing",
            })
        );
    }
}

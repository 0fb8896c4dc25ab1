//! What is sent in one request, and names in place of subjects.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::table::Tuple;

/// The most requests of one batch.
pub(crate) const MAX_TUPLES: usize = 1_000;

/// What pseudonyms are made for: the client secret makes nothing else with this text.
const PURPOSE: &[u8] = b"portcullis decision records";

/// How many bytes of a digest are a pseudonym.
const PSEUDONYM_BYTES: usize = 16;

/// Some requests, under a name by which the server knows a repetition.
pub(crate) struct Batch {
    name: String,
    /// By the steady clock: none was decided before.
    begun: Duration,
    tuples: Vec<Tuple>,
    lost: u64,
}

#[derive(Serialize)]
struct Document<'a> {
    batch: &'a str,
    /// How long ago the first of them may have been decided.
    age_secs: u64,
    /// How many decisions are not told.
    lost: u64,
    pseudonymous: bool,
    decisions: &'a [Tuple],
}

impl Batch {
    pub(crate) const fn new(name: String, begun: Duration, tuples: Vec<Tuple>, lost: u64) -> Self {
        Self { name, begun, tuples, lost }
    }

    /// How many decisions are gone when this is not sent.
    pub(crate) fn decisions(&self) -> u64 {
        self.tuples.iter().map(|tuple| tuple.count).sum::<u64>() + self.lost
    }

    /// As it is sent at this moment of the steady clock.
    pub(crate) fn body(&self, now: Duration, pseudonymous: bool) -> Vec<u8> {
        let document = Document {
            batch: &self.name,
            age_secs: now.saturating_sub(self.begun).as_secs(),
            lost: self.lost,
            pseudonymous,
            decisions: &self.tuples,
        };
        // Numbers, texts and lists of them: there is nothing that JSON could not say.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

/// Makes names that stand for subjects: the same for the same, and nobody without the key can tell for whom.
pub(crate) struct Pseudonyms(hmac::Key);

impl Pseudonyms {
    /// Every replica of a service makes the same, because they have the same secret.
    pub(crate) fn new(secret: &str) -> Self {
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()), PURPOSE);
        Self(hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()))
    }

    pub(crate) fn replace(&self, subject: &mut Box<str>) {
        let tag = hmac::sign(&self.0, subject.as_bytes());
        *subject = URL_SAFE_NO_PAD.encode(tag.as_ref().get(..PSEUDONYM_BYTES).unwrap_or_default()).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(subject: &str) -> Tuple {
        Tuple {
            subject: subject.into(),
            roles: Box::new(["viewer".into()]),
            domain: "acme".into(),
            object: "orders".into(),
            action: "read".into(),
            allowed: true,
            revision: 7,
            count: 3,
        }
    }

    #[test]
    fn a_batch_says_what_was_decided_and_how_long_ago_it_began() {
        let secs = Duration::from_secs;
        let batch = Batch::new("g-1".to_owned(), secs(100), vec![tuple("alice")], 2);
        assert_eq!(batch.decisions(), 5);
        let said: serde_json::Value = serde_json::from_slice(&batch.body(secs(112), false)).unwrap();
        let expected = serde_json::json!({
            "batch": "g-1", "age_secs": 12, "lost": 2, "pseudonymous": false,
            "decisions": [{
                "subject": "alice", "roles": ["viewer"], "domain": "acme", "object": "orders", "action": "read",
                "allowed": true, "revision": 7, "count": 3,
            }],
        });
        assert_eq!(said, expected);
    }

    #[test]
    fn a_pseudonym_is_the_same_for_the_same_subject_and_secret_only() {
        let name = |secret: &str, subject: &str| {
            let mut subject = Box::from(subject);
            Pseudonyms::new(secret).replace(&mut subject);
            subject
        };
        assert_eq!(name("s3cret", "alice"), name("s3cret", "alice"));
        assert_ne!(name("s3cret", "alice"), name("s3cret", "bob"));
        assert_ne!(name("s3cret", "alice"), name("other", "alice"));
        assert_eq!(name("s3cret", "alice").len(), 22);
    }
}

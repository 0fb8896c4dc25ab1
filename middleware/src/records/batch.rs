//! What is sent in one request, and names in place of subjects.

use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;

use super::table::Tuple;

/// The most requests of one batch, and the most bytes of their names: servers take in no more than a mebibyte at once.
const MAX_TUPLES: usize = 1_000;
const MAX_NAMES: usize = 256 * 1_024;

/// What pseudonyms are made for: the client secret makes nothing else with this text.
const PURPOSE: &[u8] = b"portcullis decision records";

/// How many bytes of a digest are a pseudonym.
const PSEUDONYM_BYTES: usize = 16;

/// Some requests, under a name by which the server knows a repetition.
pub(crate) struct Batch {
    pub(crate) name: String,
    /// By the steady clock: none was decided before.
    pub(crate) begun: Duration,
    pub(crate) tuples: Vec<Tuple>,
    pub(crate) lost: u64,
    /// The rules on trial that would decide these otherwise. `None`: these are what was decided.
    pub(crate) shadow: Option<String>,
}

#[derive(Serialize)]
struct Document<'a> {
    batch: &'a str,
    /// How long ago the first of them may have been decided.
    age_secs: u64,
    /// How many decisions are not told.
    lost: u64,
    pseudonymous: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<&'a str>,
    decisions: &'a [Tuple],
}

/// Takes as many of these as fit into one batch.
pub(crate) fn cut(tuples: &mut Vec<Tuple>) -> Vec<Tuple> {
    let mut names = 0;
    let fits = |tuple: &&Tuple| {
        names += tuple.names();
        names <= MAX_NAMES
    };
    // One alone always fits.
    let count = tuples.iter().take(MAX_TUPLES).take_while(fits).count().max(1);
    let rest = tuples.split_off(count.min(tuples.len()));
    std::mem::replace(tuples, rest)
}

impl Batch {
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
            shadow: self.shadow.as_deref(),
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
        let batch = Batch {
            name: "g-1".to_owned(),
            begun: secs(100),
            tuples: vec![tuple("alice")],
            lost: 2,
            shadow: None,
        };
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
    fn a_batch_takes_a_thousand_requests_or_a_quarter_of_a_mebibyte_of_names() {
        let mut tuples: Vec<Tuple> = (0..1_500).map(|_| tuple("alice")).collect();
        assert_eq!([cut(&mut tuples).len(), cut(&mut tuples).len(), cut(&mut tuples).len()], [1_000, 500, 0]);
        let mut tuples: Vec<Tuple> = (0..300).map(|_| tuple(&"x".repeat(2_000))).collect();
        let sizes: Vec<usize> =
            std::iter::from_fn(|| Some(cut(&mut tuples).len()).filter(|size| *size > 0)).collect();
        assert_eq!(sizes.iter().sum::<usize>(), 300);
        assert!(sizes.iter().all(|size| size * 2_000 <= MAX_NAMES), "{sizes:?}");
        let mut large = vec![tuple(&"x".repeat(MAX_NAMES + 1)), tuple("alice")];
        assert_eq!(cut(&mut large).len(), 1, "nothing waits for ever");
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

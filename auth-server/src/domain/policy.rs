//! Policy sets: immutable revisions, and the draft that becomes the next one.

use crate::domain::clock::Timestamp;
use crate::domain::ids::ApiId;
use crate::domain::secret::Digest32;

/// What a policy says, and what it must keep saying.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PolicyText {
    /// The model, in casbin's notation.
    pub model: String,
    /// The rules, as CSV.
    pub rules: String,
    /// The decisions that the rules must keep, one a line. Rules that decide otherwise are not put in force.
    pub cases: String,
}

/// An immutable version of the rules of an API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyRevision {
    /// The API it protects.
    pub api: ApiId,
    /// Counts up from 1 within the API.
    pub number: u64,
    /// What it says.
    pub text: PolicyText,
    /// The digest of its text.
    pub sha256: Digest32,
    /// Who activated it.
    pub author: String,
    /// Why.
    pub message: String,
    /// When.
    pub created_at: Timestamp,
}

/// The next version of the rules of an API, while it is being written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyDraft {
    /// The API it is for.
    pub api: ApiId,
    /// What it says so far.
    pub text: PolicyText,
    /// Counts the times it was saved: of two people who write at once, one is told.
    pub version: u64,
    /// Who saved it last.
    pub updated_by: String,
    /// When.
    pub updated_at: Timestamp,
}

/// Rules of an API that services try beside those in force.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyShadow {
    /// The API.
    pub api: ApiId,
    /// What is tried. Cases are no part of it.
    pub text: PolicyText,
    /// The digest of its text.
    pub sha256: Digest32,
    /// Who wanted that.
    pub started_by: String,
    /// Since when.
    pub started_at: Timestamp,
    /// How many different requests would be decided otherwise.
    pub requests: u64,
    /// How often they were asked.
    pub decisions: u64,
    /// How many decisions more there were.
    pub lost: u64,
    /// How many decisions it was not tried on: there were too many different ones, or it takes too long.
    pub untried: u64,
}

/// Stands before the lengths when there are cases. No model is as long as this says, so a text without cases, whose digest
/// begins with the length of the model, never has the digest of one with cases.
const WITH_CASES: [u8; 8] = [0xff; 8];

impl PolicyText {
    /// The digest that names it. Without cases it is what it was before there were any.
    pub fn sha256(&self) -> Digest32 {
        let length = |text: &str| (text.len() as u64).to_be_bytes();
        let (model, rules) = (length(&self.model), length(&self.rules));
        if self.cases.is_empty() {
            return Digest32::of_parts(&[&model, self.model.as_bytes(), self.rules.as_bytes()]);
        }
        Digest32::of_parts(&[
            &WITH_CASES,
            &model,
            self.model.as_bytes(),
            &rules,
            self.rules.as_bytes(),
            self.cases.as_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(model: &str, rules: &str, cases: &str) -> Digest32 {
        let [model, rules, cases] = [model, rules, cases].map(str::to_owned);
        PolicyText { model, rules, cases }.sha256()
    }

    #[test]
    fn the_digest_knows_where_each_text_ends() {
        assert_eq!(digest("ab", "c", ""), digest("ab", "c", ""));
        let all = [("ab", "c", ""), ("a", "bc", ""), ("a", "b", "c"), ("a", "", "bc"), ("", "ab", "c")];
        for (position, one) in all.iter().enumerate() {
            for other in all.iter().skip(position + 1) {
                assert_ne!(
                    digest(one.0, one.1, one.2),
                    digest(other.0, other.1, other.2),
                    "{one:?} {other:?}"
                );
            }
        }
    }

    #[test]
    fn a_text_without_cases_keeps_the_digest_that_stored_revisions_have() {
        let stored = Digest32::of(b"\0\0\0\0\0\0\0\x02abc");
        assert_eq!(digest("ab", "c", ""), stored);
    }
}

//! Policy sets: immutable revisions, and the draft that becomes the next one.

use crate::domain::clock::Timestamp;
use crate::domain::ids::ApiId;
use crate::domain::secret::Digest32;

/// An immutable version of the rules of an API.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PolicyRevision {
    /// The API it protects.
    pub api: ApiId,
    /// Counts up from 1 within the API.
    pub number: u64,
    /// The model, in casbin's notation.
    pub model: String,
    /// The rules, as CSV.
    pub rules: String,
    /// Digest of model and rules.
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
    /// The model, in casbin's notation.
    pub model: String,
    /// The rules, as CSV.
    pub rules: String,
    /// Counts the times it was saved: of two people who write at once, one is told.
    pub version: u64,
    /// Who saved it last.
    pub updated_by: String,
    /// When.
    pub updated_at: Timestamp,
}

/// The digest that names the content of a revision.
pub fn content_digest(model: &str, rules: &str) -> Digest32 {
    let length = (model.len() as u64).to_be_bytes();
    Digest32::of_parts(&[&length, model.as_bytes(), rules.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_knows_where_the_model_ends() {
        assert_ne!(content_digest("ab", "c"), content_digest("a", "bc"));
        assert_eq!(content_digest("ab", "c"), content_digest("ab", "c"));
    }
}

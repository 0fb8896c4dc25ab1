//! A part of a long answer. The token of the next one belongs to the question and to the client that asked it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use crate::domain::secret::Digest32;
use crate::http::authzen::parts::{MALFORMED, Part};
use crate::services::fields::FieldErrors;
use crate::services::policies::search::Window;

/// How many results a page has unless the caller says otherwise.
const DEFAULT_LIMIT: u32 = 100;

/// The most results of a page, whatever the caller says.
const MAX_LIMIT: u32 = 1_000;

const DIGEST_BYTES: usize = 32;
const LIMIT_BYTES: usize = 4;

/// Which part is wanted.
#[derive(Default, Deserialize)]
pub(super) struct PageDocument {
    /// The `next_token` of the part before.
    token: Option<String>,
    /// The most results.
    limit: Option<u64>,
}

/// Which part this is.
#[derive(Serialize)]
pub(super) struct PageAnswer {
    /// Empty on the last page.
    next_token: String,
    /// How many results this one has.
    count: usize,
}

/// A page of the answer to one question.
pub(super) struct Leaf {
    question: Vec<u8>,
    limit: u32,
    after: Option<String>,
}

impl PageDocument {
    /// The page of the answer to `question`: bytes that are the same for the same question of the same client, and for no other.
    pub(super) fn of(&self, errors: &mut FieldErrors, question: Vec<u8>) -> Option<Leaf> {
        let limit = match self.limit(errors) {
            Part::Absent => None,
            Part::Refused => return None,
            Part::Whole(limit) => Some(limit),
        };
        // An empty token is how the last page says that there is no other.
        let Some(token) = self.token.as_deref().filter(|token| !token.is_empty()) else {
            return Some(Leaf { question, limit: limit.unwrap_or(DEFAULT_LIMIT), after: None });
        };
        let own = read(token).and_then(|(digest, size, after)| {
            let leaf = Leaf { question, limit: size.clamp(1, MAX_LIMIT), after: Some(after) };
            let is_same = leaf.digest() == digest && limit.is_none_or(|limit| limit == size);
            is_same.then_some(leaf)
        });
        if own.is_none() {
            let complaint =
                "is no token of this question: nothing but the token may differ from page to page";
            errors.refuse("/page/token", MALFORMED, complaint);
        }
        own
    }

    fn limit(&self, errors: &mut FieldErrors) -> Part<u32> {
        Part::read(self.limit, |limit| {
            if limit == 0 {
                errors.refuse("/page/limit", MALFORMED, "has to be at least 1");
                return None;
            }
            Some(u32::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT))
        })
    }
}

impl Leaf {
    pub(super) fn window(&self) -> Window {
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        Window { after: self.after.clone(), limit }
    }

    /// What is said about this page, with `count` results and more behind `next`.
    pub(super) fn answer(&self, count: usize, next: Option<&str>) -> PageAnswer {
        PageAnswer { next_token: next.map(|next| self.token(next)).unwrap_or_default(), count }
    }

    // It keeps nobody from a page: each is the client's own. It only finds out who mixes up questions, so that it takes no key.
    fn token(&self, after: &str) -> String {
        let limit = self.limit.to_be_bytes();
        URL_SAFE_NO_PAD.encode([&self.digest()[..], &limit, after.as_bytes()].concat())
    }

    fn digest(&self) -> [u8; DIGEST_BYTES] {
        let said = [&self.limit.to_be_bytes()[..], &self.question].concat();
        *Digest32::of(&said).as_bytes()
    }
}

fn read(token: &str) -> Option<([u8; DIGEST_BYTES], u32, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let (digest, rest) = bytes.split_first_chunk::<DIGEST_BYTES>()?;
    let (limit, after) = rest.split_first_chunk::<LIMIT_BYTES>()?;
    let after = String::from_utf8(after.to_vec()).ok()?;
    // It is compared in the database, where not every text may be.
    let is_name = !after.chars().any(char::is_control);
    is_name.then(|| (*digest, u32::from_be_bytes(*limit), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(token: Option<&str>, limit: Option<u64>) -> PageDocument {
        PageDocument { token: token.map(str::to_owned), limit }
    }

    fn leaf(token: Option<&str>, limit: Option<u64>, question: &str) -> Result<Leaf, FieldErrors> {
        let mut errors = FieldErrors::default();
        let leaf = page(token, limit).of(&mut errors, question.as_bytes().to_vec());
        errors.finish(leaf)
    }

    fn place(outcome: Result<Leaf, FieldErrors>) -> String {
        outcome.err().unwrap().iter().map(|error| error.pointer.as_str()).collect()
    }

    #[test]
    fn the_next_page_begins_where_the_one_before_ended() {
        let first = leaf(None, Some(7), "q").unwrap();
        assert_eq!((first.window().after, first.window().limit), (None, 7));
        let answer = first.answer(7, Some("orders"));
        for limit in [None, Some(7)] {
            let next = leaf(Some(&answer.next_token), limit, "q").unwrap().window();
            assert_eq!((next.after.as_deref(), next.limit), (Some("orders"), 7));
        }
        assert_eq!(first.answer(3, None).next_token, "");
        assert_eq!(leaf(Some(""), None, "q").unwrap().window().after, None);
    }

    #[test]
    fn a_token_of_another_question_or_of_nobody_is_refused() {
        let token = leaf(None, Some(7), "q").unwrap().answer(7, Some("orders")).next_token;
        assert_eq!(place(leaf(Some(&token), None, "another")), "/page/token");
        assert_eq!(place(leaf(Some(&token), Some(8), "q")), "/page/token");
        let mut resized = URL_SAFE_NO_PAD.decode(&token).unwrap();
        resized[DIGEST_BYTES] = 0xff;
        let resized = URL_SAFE_NO_PAD.encode(resized);
        // Whoever knows how a token is made can make one, but none with what no name has.
        let control = leaf(None, Some(7), "q").unwrap().answer(7, Some("a\u{0}b")).next_token;
        for foreign in ["x", "!", "AAAA", &token[1..], &resized, &control] {
            assert_eq!(place(leaf(Some(foreign), None, "q")), "/page/token", "{foreign}");
        }
    }

    #[test]
    fn a_page_has_at_least_one_result_and_at_most_a_thousand() {
        let size = |limit| leaf(None, limit, "q").map(|leaf| leaf.window().limit);
        assert_eq!(size(None).ok(), Some(100));
        assert_eq!(size(Some(1)).ok(), Some(1));
        for many in [1_000, 1_001, u64::MAX] {
            assert_eq!(size(Some(many)).ok(), Some(1_000));
        }
        assert_eq!(place(leaf(None, Some(0), "q")), "/page/limit");
    }
}

//! A refusal in the hands of the application.

use std::fmt;

use http::{HeaderValue, Response, StatusCode, header};

use super::{Dialect, Hint, Refusal};
use crate::body::Body;
use crate::decision::{Decision, Place};

/// Why an extractor of the guard, or its [`Decider`](crate::Decider), refused: as an answer, a problem document (RFC 9457); as a text,
/// what the caller may read.
#[derive(Debug)]
pub struct Rejection {
    refusal: Box<Refusal>,
    /// What the caller is asked for, and where, if the log has the refusal already.
    told: Option<(Vec<HeaderValue>, Place)>,
}

impl Rejection {
    /// The answer to a question of the application, which may say it in a language of its own: so the log has it from here.
    pub(crate) fn to_question(refusal: Refusal, hint: &Hint<'_>, place: Place) -> Self {
        refusal.log(Some(&place));
        let told = Some((refusal.challenge_headers(hint), place));
        Self { refusal: Box::new(refusal), told }
    }

    /// The status that means it. Of a [`Decider`](crate::Decider): 401 or 403, or 503 while it cannot be decided.
    pub fn status(&self) -> StatusCode {
        self.refusal.answer().0
    }

    /// The decision against the caller, where there was one.
    pub fn decision(&self) -> Option<Decision> {
        self.refusal.denied().map(|denied| denied.decision)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Box::new(refusal), told: None }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.refusal.detail())
    }
}

impl std::error::Error for Rejection {}

impl From<Rejection> for Response<Body> {
    fn from(rejection: Rejection) -> Self {
        let Rejection { refusal, told } = rejection;
        let Some((challenges, place)) = told else {
            refusal.log(None);
            return refusal.written(Dialect::Http, &Hint::default(), None);
        };
        let mut response = refusal.written(Dialect::Http, &Hint::default(), Some(place));
        response.headers_mut().remove(header::WWW_AUTHENTICATE);
        response
            .headers_mut()
            .extend(challenges.into_iter().map(|challenge| (header::WWW_AUTHENTICATE, challenge)));
        response
    }
}

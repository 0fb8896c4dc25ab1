//! The parts of a question. Everything that one lacks is noted, in the order of the specification: subject, action, resource,
//! and of each its type before its id.

use crate::services::fields::FieldErrors;
use crate::services::policies::decide::Asked;

/// The longest identifier of a subject or resource, and the longest name of an action, in bytes.
const MAX_TEXT: usize = 2048;

/// The type of a resource whose id is the object of rules. Of any other, the type is.
pub(super) const OBJECT: &str = "object";

/// The code of a member that is not there.
const MISSING: &str = "missing";
/// The code of a member that is there and cannot be used.
pub(super) const MALFORMED: &str = "malformed";

/// What a request says of one part.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Part<T> {
    /// Nothing.
    #[default]
    Absent,
    /// Something that cannot be used; what is wrong was noted.
    Refused,
    Whole(T),
}

impl<T> Part<T> {
    /// What was read of something that is there.
    pub(super) fn read<D>(document: Option<D>, read: impl FnOnce(D) -> Option<T>) -> Self {
        match document.map(read) {
            None => Self::Absent,
            Some(None) => Self::Refused,
            Some(Some(part)) => Self::Whole(part),
        }
    }

    /// The part. Notes that it is missing when nobody said anything of it.
    pub(super) fn found(self, errors: &mut FieldErrors, place: &str, name: &str) -> Option<T> {
        match self {
            Self::Absent => {
                missing(errors, place, name);
                None
            }
            Self::Refused => None,
            Self::Whole(part) => Some(part),
        }
    }
}

impl<T: Clone> Part<T> {
    /// This, or what holds where nothing is said.
    pub(super) fn or(self, default: &Self) -> Self {
        if matches!(self, Self::Absent) { default.clone() } else { self }
    }
}

fn missing(errors: &mut FieldErrors, place: &str, name: &str) {
    errors.refuse(format!("{place}/{name}"), MISSING, "is missing");
}

/// Who is asked about.
pub(super) fn asked(
    errors: &mut FieldErrors,
    place: &str,
    kind: Option<&str>,
    id: Option<&str>,
) -> Option<Asked> {
    let kind = text(errors, place, "subject/type", kind).and_then(|kind| of_kind(errors, place, &kind));
    let id = text(errors, place, "subject/id", id);
    Some(kind?(id?))
}

/// Somebody of a kind, by their name.
pub(super) fn of_kind(errors: &mut FieldErrors, place: &str, kind: &str) -> Option<fn(String) -> Asked> {
    match kind {
        "client" => Some(Asked::Client),
        "role" => Some(Asked::Role),
        "user" => Some(Asked::User),
        _ => {
            let complaint = "has to be `client`, `role` or `user`";
            errors.refuse(format!("{place}/subject/type"), MALFORMED, complaint);
            None
        }
    }
}

/// The object of rules that a resource is. Rules name objects, or kinds of them: so do guards.
pub(super) fn object(
    errors: &mut FieldErrors,
    place: &str,
    kind: Option<&str>,
    id: Option<&str>,
) -> Option<String> {
    let kind = text(errors, place, "resource/type", kind);
    let id = text(errors, place, "resource/id", id);
    let (kind, id) = (kind?, id?);
    Some(if kind == OBJECT { id } else { kind })
}

/// A text that may be compared with rules.
pub(super) fn text(errors: &mut FieldErrors, place: &str, name: &str, text: Option<&str>) -> Option<String> {
    match text {
        None => {
            missing(errors, place, name);
            None
        }
        Some(text) if text.is_empty() || text.len() > MAX_TEXT => {
            let complaint = "has to have at least one and at most 2048 bytes";
            errors.refuse(format!("{place}/{name}"), MALFORMED, complaint);
            None
        }
        Some(text) => Some(text.to_owned()),
    }
}

//! What holds of whatever a stranger sends to a guarded service: each function panics where it does not.
//!
//! `tests/any_bytes.rs` tries them with the seeds, and `fuzz/` with whatever it comes upon.

mod document;
mod form;
mod forwarded;
mod json;
mod jwks;
mod path;
mod proof;
mod service;
mod token;

pub(crate) use self::form::form;
pub(crate) use self::forwarded::forwarded;
pub(crate) use self::json::json;
pub(crate) use self::jwks::jwks;
pub(crate) use self::path::path;
pub(crate) use self::proof::proof;
pub(crate) use self::token::token;

//! Use cases and their transactions: no status codes, no headers, no HTML.

pub(crate) mod known_device;
pub(crate) mod login;
pub(crate) mod login_limits;
pub(crate) mod password;
pub(crate) mod password_quality;
pub(crate) mod visit;

//! Use cases and their transactions: no status codes, no headers, no HTML.

pub mod admin_error;
pub mod apis;
pub mod assignments;
pub mod audit;
pub(crate) mod authorize;
pub(crate) mod buckets;
pub mod caller;
pub(crate) mod callers;
pub(crate) mod client_auth;
pub mod clients;
pub mod fields;
pub(crate) mod health;
pub(crate) mod introspect;
pub(crate) mod known_device;
pub(crate) mod login;
pub(crate) mod login_limits;
pub(crate) mod logout;
pub(crate) mod mint;
pub mod organisations;
pub(crate) mod owners;
pub mod paging;
pub(crate) mod password;
pub(crate) mod password_quality;
pub(crate) mod permission;
pub mod policies;
pub(crate) mod revocations;
pub mod roles;
pub mod setup;
pub(crate) mod token;
#[cfg(test)]
pub(crate) mod trial;
pub(crate) mod trouble;
pub(crate) mod userinfo;
pub mod users;
pub mod version;
pub(crate) mod visit;

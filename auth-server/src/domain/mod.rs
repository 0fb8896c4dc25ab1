//! The rules of the product as types: no runtime, no web framework, no database, no clock of its own.

pub mod audit;
pub mod claims;
pub mod client;
pub mod clock;
pub mod code;
pub mod consent;
pub mod grant;
pub mod ids;
pub mod interaction;
pub mod issuer;
pub(crate) mod likeness;
pub mod oauth_error;
pub mod organisation;
pub mod parameters;
pub mod pkce;
pub mod policy;
pub mod rbac;
pub mod redirect_uri;
pub mod refresh;
pub mod revocation;
pub mod schedule;
pub mod scope;
pub mod secret;
pub mod session;
pub mod signing;
pub mod user;

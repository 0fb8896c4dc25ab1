//! Signing in at an issuer, and what becomes of the session.

mod answers;
mod backchannel;
pub(crate) mod browser;
mod configuration;
mod discovery;
mod pages;
pub(crate) mod provider;
mod renewal;
#[cfg(feature = "redis")]
mod replicas;
mod sign_in;
mod sign_out;
mod streams;

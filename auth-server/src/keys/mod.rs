//! Keys: sealed at rest, rotated by schedule, and the JWTs that they sign and verify.

pub(crate) mod certificate;
pub(crate) mod chain;
pub(crate) mod jwk;
pub(crate) mod jwks;
pub(crate) mod jwt;
pub(crate) mod master;
pub(crate) mod ring;
pub(crate) mod rotate;
pub(crate) mod seal;
mod signer;
pub(crate) mod subjects;
pub(crate) mod vault;

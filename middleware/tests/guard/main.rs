//! The guard in front of a service, with an issuer on the other side of a socket.

#[cfg(test)]
mod announced;
#[cfg(test)]
mod answers;
#[cfg(test)]
mod bound;
#[cfg(test)]
mod caps;
#[cfg(test)]
mod certificate;
#[cfg(test)]
mod certificates;
#[cfg(test)]
mod challenges;
#[cfg(test)]
mod changeover;
#[cfg(test)]
mod claims;
#[cfg(test)]
#[cfg(feature = "casbin")]
mod comparison;
#[cfg(test)]
mod cookies;
#[cfg(test)]
mod cors;
#[cfg(test)]
mod coverage;
#[cfg(test)]
mod crowds;
#[cfg(test)]
mod decider;
#[cfg(test)]
mod details;
#[cfg(test)]
mod discovery;
#[cfg(test)]
mod disk;
#[cfg(test)]
#[cfg(feature = "html")]
#[path = "../../src/input/html/evasions.rs"]
mod evasions;
#[cfg(test)]
mod explained;
#[cfg(test)]
#[cfg(feature = "html")]
mod fields;
#[cfg(test)]
mod forged_signatures;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod heads;
#[cfg(test)]
#[cfg(feature = "html")]
mod input;
#[cfg(test)]
mod introspection;
#[cfg(test)]
mod issuer;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod lasting;
#[cfg(test)]
mod late_bodies;
mod late_questions;
#[cfg(test)]
mod lengths;
#[cfg(test)]
mod limits;
#[cfg(test)]
#[cfg(feature = "redis")]
mod limits_away;
#[cfg(test)]
mod logged;
#[cfg(test)]
#[cfg(feature = "login")]
mod login;
#[cfg(test)]
mod machine;
#[cfg(test)]
#[cfg(feature = "html")]
mod memory;
#[cfg(test)]
mod metadata;
#[cfg(test)]
#[cfg(feature = "html")]
mod misread;
#[cfg(test)]
mod other_issuers;
#[cfg(test)]
mod outages;
#[cfg(test)]
mod panics;
#[cfg(test)]
mod permits;
#[cfg(test)]
mod policy;
#[cfg(test)]
mod questions;
#[cfg(all(feature = "login", feature = "redis"))]
mod quiet_outages;
#[cfg(test)]
mod records;
#[cfg(test)]
#[cfg(feature = "redis")]
mod redis;
#[cfg(test)]
mod renewed;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod request_ids;
#[cfg(test)]
#[cfg(feature = "derive")]
#[cfg(feature = "html")]
mod request_types;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod service;
#[cfg(test)]
#[cfg(feature = "redis")]
mod shared_limits;
#[cfg(test)]
#[cfg(feature = "redis")]
mod shared_proofs;
#[cfg(test)]
#[cfg(feature = "redis")]
mod shared_proofs_away;
#[cfg(test)]
mod short_form;
#[cfg(test)]
mod signed_answers;
#[cfg(test)]
mod signer;
#[cfg(test)]
mod stale;
#[cfg(test)]
mod stale_claims;
#[cfg(test)]
mod step_up;
#[cfg(test)]
mod streams;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tampered;
#[cfg(test)]
mod tls;
#[cfg(test)]
#[cfg(all(feature = "login", feature = "redis"))]
mod tls_redis;
#[cfg(test)]
mod token_forms;
#[cfg(test)]
mod tokens;
#[cfg(test)]
mod trial;
#[cfg(test)]
#[cfg(feature = "html")]
mod uploads;
#[cfg(test)]
mod websockets;

//! The outside world's memory: the only place with SQL.
//!
//! One portable text runs on SQLite and on PostgreSQL; where they differ, `dialect` has one named function. Every
//! aggregate has one file of free functions that take a [`Tx`] first.

pub mod account_deletions;
pub mod apis;
pub mod applications;
pub mod assignments;
pub mod audit;
mod cache;
pub mod ciba_requests;
pub mod cleanup;
pub mod client_removal;
pub mod clients;
mod commit;
pub mod consents;
pub mod credentials;
mod db;
pub mod decision_records;
pub mod details_types;
pub mod device_authorizations;
mod dialect;
pub mod epochs;
mod error;
pub mod forgotten;
pub mod grants;
pub mod initial_tokens;
pub mod interactions;
pub mod inventories;
pub mod invitations;
pub mod jobs;
pub mod leases;
pub mod letter_sign_ins;
pub mod logos;
pub mod logout_notices;
mod look;
pub mod mail_outbox;
mod migrations;
mod options;
pub mod organisations;
pub mod passkeys;
pub mod policies;
mod polled;
mod pools;
mod readers;
pub mod refresh_tokens;
pub mod registrations;
pub mod revocations;
pub mod roles;
mod row;
pub mod schedules;
pub mod second_steps;
pub mod secret_uses;
pub mod sessions;
pub mod shadows;
mod shared;
pub mod signing_keys;
pub mod single_use;
mod sqlite;
mod store;
mod tx;
pub mod users;
mod value;
mod watch;
mod writer;

pub use error::{Outcome, StoreError, Unique};
pub use migrations::SchemaStatus;
pub use options::StoreOptions;
pub use store::Store;
pub use tx::{Turn, Tx, Work};

#[cfg(test)]
pub(crate) mod tests;

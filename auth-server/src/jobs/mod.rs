//! Work that nobody waits for: taken from a queue in the database, by one replica at a time.

mod cleanup;
mod lease;
mod registrations;
mod runner;
mod schedule;

pub use runner::{JobFailure, Runner};

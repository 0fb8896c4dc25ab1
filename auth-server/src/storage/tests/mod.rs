//! What the store promises, on both databases.

mod aggregates;
mod audit;
mod cache;
mod cleanup;
mod jobs;
mod opening;
mod refresh;
mod schema;
mod single_use;
mod statements;
pub(crate) mod support;
mod transactions;

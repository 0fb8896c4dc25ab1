//! What the store promises, on both databases.

mod accounts;
mod apis;
mod applications;
mod audit;
mod begun;
mod cache;
mod ciba_requests;
mod cleanup;
mod contention;
mod decision_records;
mod devices;
mod flows;
mod handles;
mod inventories;
mod jobs;
mod logout_notices;
mod once;
mod opening;
mod redeemed;
mod refresh;
mod registry;
mod schema;
mod shadows;
mod single_use;
mod statements;
pub(crate) mod support;
mod transactions;

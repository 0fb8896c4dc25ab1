//! Portcullis: a sign-in server and the control plane of its policy guards.
//!
//! `ARCHITECTURE.md` beside this crate holds the map of the modules and the rules between them.

mod app;
pub mod cli;
pub mod config;
pub mod domain;
mod http;
pub mod jobs;
mod keys;
mod mail;
mod outbound;
pub mod services;
pub mod storage;
mod telemetry;

pub use crate::app::{App, Listeners, StartError};
pub use crate::config::Config;
pub use crate::domain::clock::{Clock, Timestamp};
pub use crate::domain::secret::Entropy;

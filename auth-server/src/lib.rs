//! Portcullis: a sign-in server and the control plane of its policy guards.
//!
//! `ARCHITECTURE.md` beside this crate holds the map of the modules and the rules between them.

pub mod config;
pub mod domain;
mod keys;
mod services;
pub mod storage;

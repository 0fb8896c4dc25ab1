//! The harness behind the suites of Portcullis: servers to test, and the parties that talk to them.
//!
//! A [`server::TestServer`] runs in the test's own process, on a port of its own, with a database of its own and a
//! clock that the test moves; as [`database::Database::Replicas`] it is two servers that take turns behind one address. [`process::ServerProcess`] is the real binary. Everything that talks to either goes over
//! TCP: a [`visitor::Visitor`] is a person's browser without a screen, [`browser::Browser`] one with a screen,
//! [`relying_party::RelyingParty`] an application written with somebody else's library.
//!
//! Nothing here is skipped quietly: a test that lacks PostgreSQL or chromedriver fails and says that `tests/run`
//! starts them.

pub mod admin;
pub mod agent;
pub mod assertion;
pub mod authenticator;
pub mod authorize;
pub mod balanced;
pub mod browser;
pub mod by_mail;
pub mod certificates;
pub mod ciba;
pub mod cutoff;
pub mod database;
pub mod decisions;
pub mod device;
pub mod document_at;
pub mod handshake;
pub mod holder;
pub mod instructions;
pub mod jwt;
pub mod keys_at;
pub mod landing;
pub mod log;
pub mod markup;
pub mod party;
pub mod passkey;
pub mod pinged;
pub mod post_office;
pub mod process;
pub mod provision;
pub mod proxied;
pub mod registered;
pub mod registering;
pub mod relying_party;
pub mod relying_suite;
pub mod rsa_keys;
pub mod script;
pub mod server;
pub mod service;
pub mod tls_service;
pub mod token;
pub mod told;
pub mod tunnel;
pub mod uncalled;
pub mod visitor;

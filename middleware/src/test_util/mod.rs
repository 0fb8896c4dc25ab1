//! For tests of services: an issuer that does what it is told, tokens of every kind, and requests that a service has to refuse.
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use portcullis_guard::test_util::{Issuer, Target, attack_suite};
//! use portcullis_guard::{Guard, GuardExt, GuardedRouter, scope};
//!
//! fn app(guard: &Guard) -> Router {
//!     GuardedRouter::new().route("/orders", get(async || "orders").guard(scope("orders"))).guarded_by(guard)
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let issuer = Issuer::start().await?;
//! let guard = Guard::oidc(issuer.url(), "https://orders.test").await?;
//! let token = issuer.mint("https://orders.test").scope("orders").token();
//! let report = attack_suite(&app(&guard), &issuer, &Target::get("/orders", &token)).await;
//! assert!(report.attacks() >= 100);
//! report.assert_all_refused();
//! # Ok(())
//! # }
//! ```

mod attack;
mod events;
mod issuer;
mod keys;
mod mint;
mod register;

pub use self::attack::{Report, Target, Unrefused, attack_suite, opaque_attack_suite};
pub use self::issuer::{Fault, Issuer};
pub use self::keys::ProofKey;
pub use self::mint::Mint;

//! The guard of the admin API: the very layer that services mount, in the same process.

use std::time::Duration;

use portcullis_guard::{
    BuildError, ClientCertificates, Clock as GuardClock, Dpop, Guard, InputPolicy, Issuer as Trusted, Limits,
    Policy, Proxies, Quota, SharedKeys, SharedPolicy,
};

use crate::domain::clock::Clock;
use crate::domain::issuer::Issuer;
use crate::http::admin::body::MAX_BODY_BYTES;
use crate::services::owners::ADMIN_API_PATH;

/// What the guard of the admin API reads while it works.
pub(crate) struct GuardParts {
    /// Who issues the tokens: this server.
    pub(crate) issuer: Issuer,
    /// Its keys, which it rotates itself.
    pub(crate) keys: SharedKeys,
    /// The policy in force.
    pub(crate) policy: SharedPolicy,
    /// Whose word about the address of a caller is believed.
    pub(crate) proxies: Proxies,
    /// What proofs of callers whose tokens are bound to a key are held to.
    pub(crate) dpop: Dpop,
    /// Where the certificates of callers are seen, if anywhere.
    pub(crate) certificates: Option<ClientCertificates>,
    /// Calls that one caller may make in a minute.
    pub(crate) per_minute: u32,
    /// The time.
    pub(crate) clock: Clock,
}

/// Builds the guard. It fetches nothing: its issuer, keys and policy are in this process.
pub(crate) async fn build(parts: GuardParts) -> Result<Guard, BuildError> {
    let GuardParts { issuer, keys, policy, proxies, dpop, certificates, per_minute, clock } = parts;
    let guard = Guard::builder()
        .issuer(Trusted::shared(issuer.as_str(), keys))
        .audience(issuer.endpoint(ADMIN_API_PATH))
        .policy(Policy::shared(policy))
        .input(InputPolicy::strict().max_body(MAX_BODY_BYTES).max_text(MAX_BODY_BYTES))
        .limits(Limits::new().by_identity(Quota::per_minute(per_minute)))
        .proxies(proxies)
        .clock(GuardClock::from_fn(move || since_epoch(&clock)))
        .dpop(dpop)
        .manual_refresh();
    match certificates {
        Some(certificates) => guard.client_certificates(certificates),
        None => guard,
    }
    .build()
    .await
}

fn since_epoch(clock: &Clock) -> Duration {
    Duration::from_micros(u64::try_from(clock.now().as_micros()).unwrap_or_default())
}

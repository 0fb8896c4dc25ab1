//! Tokens that are meant for somebody else, or come from elsewhere: most often a service or a client that is configured wrongly, whose
//! callers are told no more than that the token is invalid.

use std::time::Duration;

use crate::outage::{FORGOTTEN, OutageLog, OutageReport};

/// How much of a name is told.
const LONGEST: usize = 200;

/// Tells of such tokens: of a few names when they come first, and then ever more rarely, for strangers can make tokens up.
#[derive(Default)]
pub(super) struct Astray {
    addressed: OutageLog,
    issued: OutageLog,
}

impl Astray {
    /// A token with a good signature is for others.
    pub(super) fn addressed(&self, now: Duration, found: &str, own: &str) {
        let found = shown(found);
        if let Some(OutageReport { attempts, .. }) = seen(&self.addressed, now, &found) {
            tracing::warn!(
                aud = found,
                audience = own,
                attempts,
                "a good token was refused, for it is meant for another service: is it asked for with the right `resource`?"
            );
        }
    }

    /// A token names an issuer that is not trusted; nobody has looked at its signature.
    pub(super) fn issued(&self, now: Duration, found: &str, trusted: impl FnOnce() -> String) {
        let found = shown(found);
        if let Some(OutageReport { attempts, .. }) = seen(&self.issued, now, &found) {
            tracing::warn!(
                iss = found,
                trusted = trusted(),
                attempts,
                "a token was refused, for its issuer is not trusted"
            );
        }
    }
}

fn seen(log: &OutageLog, now: Duration, found: &str) -> Option<OutageReport> {
    log.calmed(now, FORGOTTEN);
    log.failed(now, &found, true)
}

/// What somebody else wrote, as far as it is told.
fn shown(name: &str) -> String {
    name.chars().take(LONGEST).collect()
}

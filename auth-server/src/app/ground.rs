//! What every service stands on.

use std::sync::Arc;

use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::keys::ring::KeyRing;
use crate::keys::seal::Sealer;
use crate::mail::{BadMail, Mailer};
use crate::outbound::Outbound;
use crate::services::backchannel::{LogoutNotices, LogoutSender, SenderParts};
use crate::services::mailing::{MailLimits, MailParts, MailService};
use crate::services::password::PasswordHasher;
use crate::storage::Store;

/// What every service stands on: opened first, and handed to each part that is built.
#[derive(Clone)]
pub(super) struct Ground {
    pub(super) config: Arc<Config>,
    pub(super) clock: Clock,
    pub(super) entropy: Entropy,
    pub(super) store: Store,
    pub(super) sealer: Sealer,
    pub(super) keys: KeyRing,
    pub(super) hasher: PasswordHasher,
    pub(super) outbound: Outbound,
    pub(super) notices: LogoutNotices,
    pub(super) mail: MailService,
}

impl Ground {
    /// What tells clients of sign-outs.
    pub(super) fn logout_sender(&self) -> LogoutSender {
        let Self { config, clock, entropy, store, keys, outbound, .. } = self.clone();
        LogoutSender::new(SenderParts { store, keys, issuer: config.issuer(), outbound, clock, entropy })
    }
}

/// What sends letters, if any are to be sent.
pub(super) fn mail(
    config: &Config,
    parts: (&Store, &Sealer, &Clock, &Entropy),
) -> Result<MailService, BadMail> {
    let Some(mailer) = Mailer::open(config)? else { return Ok(MailService::off()) };
    let (store, sealer, clock, entropy) = parts;
    let settings = &config.reach.mail;
    let limits =
        MailLimits { per_address_per_hour: settings.per_address_per_hour, timeout: settings.smtp.timeout() };
    Ok(MailService::new(MailParts {
        store: store.clone(),
        sealer: sealer.clone(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        mailer,
        limits,
    }))
}

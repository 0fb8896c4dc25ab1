//! Permissions that go on under a newer token.

use std::time::Duration;

use super::{Held, Seat};
use crate::ended::Ended;
use crate::introspection::Inquiry;
use crate::limit::{Halt, Stage, Standing};
use crate::records::Share;
use crate::refusal::Refusal;
use crate::token::Principal;

/// Why a permission does not go on under another token.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The token is bound to another key or certificate than the one before, or to none.
    #[error("the token is not bound as the one before")]
    Binding,
    /// The permission has ended before.
    #[error("it is too late: {0}")]
    Ended(Ended),
    /// The caller or their address is over a limit, or less than the quota can be given out at the moment. So soon they may try again.
    #[error("too many requests: again after {} s", .retry_after.as_secs_f64().ceil())]
    Limited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// With this token the caller may not do it.
    #[error("not with this token: {0}")]
    NotAllowed(Ended),
    /// The request had no token.
    #[error("the request had no token")]
    Anonymous,
    /// The token is not good.
    #[error("the token is not good")]
    Token,
    /// The token is somebody else's.
    #[error("the token is somebody else's")]
    Stranger,
    /// What would decide is not to be had: the keys of the issuer, or its word on the token.
    #[error("whether the token is good cannot be found out at the moment")]
    Unavailable,
}

impl Seat {
    /// What would be held under another token, if that is good enough. It is paid for as one more request of the caller.
    pub(super) async fn renewed(&self, token: &str) -> Result<Held, RenewError> {
        let mut standing = Standing::default();
        for stage in [Stage::Early, Stage::Late] {
            self.spend(stage, &mut standing).await?;
        }
        let requirement = &self.terms.requirement;
        let caller = self.newcomer(token, &mut standing).await?;
        let visit = self.held().visit.clone();
        let (token, inquiry, share) = (token.into(), Inquiry::default(), Share::default());
        let mut renewed = Held { caller, token, inquiry, visit, share };
        let (before, after) = (&self.held().caller, &renewed.caller);
        if (before.subject(), before.issuer()) != (after.subject(), after.issuer()) {
            return Err(RenewError::Stranger);
        }
        if before.confirmation() != after.confirmation() {
            return Err(RenewError::Binding);
        }
        self.guard.stays(requirement, &mut renewed).map_err(RenewError::NotAllowed)?;
        Ok(renewed)
    }

    /// Spends what one more request of the caller would, by the limits of a stage.
    async fn spend(&self, stage: Stage, standing: &mut Standing) -> Result<(), RenewError> {
        let caller = match stage {
            Stage::Early => None,
            Stage::Late => Some(self.held().caller.clone()),
        };
        loop {
            match self.terms.passage.spend(stage, self.address, caller.as_ref(), standing) {
                Ok(()) => return Ok(()),
                Err(Halt::Wait(loan)) => {
                    let reading = loan.settle().await?;
                    standing.pass(stage, reading);
                }
                Err(halt) => return Err(halt.into()),
            }
        }
    }

    /// Who sent a token with which something is to go on.
    async fn newcomer(&self, token: &str, standing: &mut Standing) -> Result<Principal, RenewError> {
        let scheme = self.held().scheme();
        let found = self.guard.find_out(&self.terms.requirement, (token, scheme)).await;
        found.map_err(|refusal| {
            if refusal.is_guess() {
                self.terms.passage.charge_guess(self.address, standing);
            }
            if matches!(refusal, Refusal::Token { .. }) { RenewError::Token } else { RenewError::Unavailable }
        })
    }
}

/// What becomes of a renewal that a limit does not let on.
impl From<Halt> for RenewError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Exceeded(exceeded) => Self::Limited { retry_after: exceeded.reading.reset },
            Halt::Closed | Halt::Uncounted | Halt::Wait(_) => Self::Unavailable,
        }
    }
}

//! Somebody who is signed in shows again that they know the password, before something that a stranger at their desk must not do.

use crate::domain::audit::AuditAction;
use crate::domain::user::{Password, User};
use crate::services::login::{BrowserTraits, Checked, LoginError, LoginService};
use crate::services::visit::Visit;
use crate::storage::credentials::{self, SignInRow};

/// What somebody typed as the current password.
pub(crate) struct PasswordProof<'a> {
    pub(crate) current: &'a str,
    pub(crate) user: &'a User,
    pub(crate) browser: BrowserTraits<'a>,
    pub(crate) visit: &'a Visit,
}

impl LoginService {
    /// The account with its password, where that was shown. Tries count as those to sign in do; one that fails is written down as one of
    /// what was to be done.
    pub(crate) async fn prove(
        &self,
        proof: &PasswordProof<'_>,
        action: AuditAction,
    ) -> Result<SignInRow, LoginError> {
        let username = &proof.user.username;
        let tried = self.admit(username.as_str(), Some(username), proof.browser, proof.visit)?;
        let row = credentials::for_sign_in(&mut self.store.read().await?, username).await?;
        let accepted = match Password::parse(proof.current) {
            Ok(current) => matches!(self.check(row.as_ref(), &current).await?, Checked::Accepted { .. }),
            Err(_) => false,
        };
        let proven = row.filter(|row| accepted && row.user.id == proof.user.id);
        let Some(row) = proven else {
            self.parts.limits.failed(&tried);
            return self.note_failure(action, Some(proof.user.clone()), proof.visit).await;
        };
        Ok(row)
    }
}

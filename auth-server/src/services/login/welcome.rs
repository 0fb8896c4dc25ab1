//! The first sign-in of somebody who just made the account.

use crate::services::login::start::Arrival;
use crate::services::login::{BrowserTraits, LoginError, LoginService, SignedIn};
use crate::services::visit::Visit;
use crate::storage::credentials::SignInRow;

impl LoginService {
    /// Signs in whoever just chose the password of this account. The browser is known from now on, and nobody is warned of it.
    pub(crate) async fn welcome(
        &self,
        row: SignInRow,
        browser: BrowserTraits<'_>,
        visit: &Visit,
    ) -> Result<SignedIn, LoginError> {
        self.start(Arrival { row, renewed: None, is_known: true, taken: None, browser, visit }).await
    }
}

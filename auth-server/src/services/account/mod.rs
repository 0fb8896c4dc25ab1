//! What people see and change of their own account. Whose it is says their session, and nothing that they send.

pub(crate) mod apps;
pub(crate) mod limits;
pub(crate) mod log;
pub(crate) mod profile;
pub(crate) mod sessions;

use crate::config::Sessions;
use crate::services::account::limits::ChangeLimits;
use crate::services::backchannel::LogoutNotices;
use crate::storage::Store;

/// Shows people their own account, and changes it for them.
#[derive(Clone)]
pub(crate) struct AccountService {
    store: Store,
    settings: Sessions,
    notices: LogoutNotices,
    limits: ChangeLimits,
}

impl AccountService {
    pub(crate) const fn new(
        store: Store,
        settings: Sessions,
        notices: LogoutNotices,
        limits: ChangeLimits,
    ) -> Self {
        Self { store, settings, notices, limits }
    }
}

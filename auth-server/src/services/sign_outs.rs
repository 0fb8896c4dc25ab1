//! What clients were told of sign-outs, for administrators.

use crate::domain::backchannel::{LogoutNotice, NoticeState};
use crate::services::admin_error::AdminError;
use crate::services::paging::{Page, PageQuery};
use crate::storage::{Store, logout_notices};

/// Shows what clients were told of sign-outs, and what they did not take.
#[derive(Clone)]
pub(crate) struct SignOutService {
    store: Store,
}

impl SignOutService {
    pub(crate) const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Lists notices, newest first.
    pub(crate) async fn list(
        &self,
        state: Option<NoticeState>,
        query: &PageQuery,
    ) -> Result<Page<LogoutNotice>, AdminError> {
        let mut tx = self.store.read().await?;
        let found = logout_notices::list(&mut tx, query.after(), query.probe(), state).await?;
        Ok(Page::of(found, query, |notice| notice.id.to_string()))
    }
}

//! Whether what went wrong passes by itself, so that whoever asked had better come back in a moment.

use std::error::Error;

use crate::services::admin_error::AdminError;
use crate::services::authorize::AuthorizeError;
use crate::services::callers::CallerRefusal;
use crate::services::policies::snapshot::SnapshotError;
use crate::services::setup::SetupError;
use crate::storage::StoreError;

/// Whether trying the same again soon may succeed: the database is busy, full, away or read-only.
pub(crate) fn is_temporary(error: &(dyn Error + 'static)) -> bool {
    if let Some(error) = error.downcast_ref::<StoreError>() {
        return error.is_temporary();
    }
    if let Some(AuthorizeError::Fault(error)) = error.downcast_ref::<AuthorizeError>() {
        return error.is_temporary();
    }
    if let Some(SnapshotError::Store(error)) = error.downcast_ref::<SnapshotError>() {
        return error.is_temporary();
    }
    let busy = |error: &AdminError| matches!(error, AdminError::Busy { .. });
    if let Some(SetupError::Failed(error)) = error.downcast_ref::<SetupError>() {
        return busy(error);
    }
    if let Some(CallerRefusal::Fault(error)) = error.downcast_ref::<CallerRefusal>() {
        return busy(error);
    }
    error.downcast_ref::<AdminError>().is_some_and(busy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trouble_of_the_database_is_found_wherever_it_is_wrapped() {
        let full = || StoreError::DiskFull;
        let errors: [Box<dyn Error>; 6] = [
            Box::new(full()),
            Box::new(AdminError::from(full())),
            Box::new(AuthorizeError::from(full())),
            Box::new(SetupError::from(full())),
            Box::new(SnapshotError::from(full())),
            Box::new(CallerRefusal::from(AdminError::from(full()))),
        ];
        for error in errors {
            assert!(is_temporary(error.as_ref()), "{error:?}");
        }
        assert!(!is_temporary(&StoreError::Panicked));
        assert!(!is_temporary(&SetupError::Code));
    }
}

//! What routes require in detail ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)).

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::token::Principal;

/// Details that a token has to have.
#[derive(Clone)]
pub(crate) struct Detailed {
    kind: Cow<'static, str>,
    accepts: Option<Accepts>,
}

type Accepts = Arc<dyn Fn(&Principal) -> bool + Send + Sync>;

impl Detailed {
    /// One of this type.
    pub(crate) const fn any(kind: Cow<'static, str>) -> Self {
        Self { kind, accepts: None }
    }

    /// One of this type that is accepted.
    pub(crate) fn accepted<T, F>(kind: Cow<'static, str>, accepts: F) -> Self
    where
        T: DeserializeOwned,
        F: Fn(&T) -> bool + Send + Sync + 'static,
    {
        let own = kind.clone();
        let accepts = move |caller: &Principal| caller.details::<T>(&own).iter().any(&accepts);
        Self { kind, accepts: Some(Arc::new(accepts)) }
    }

    pub(crate) fn kind(&self) -> &str {
        &self.kind
    }

    pub(crate) fn is_met_by(&self, caller: &Principal) -> bool {
        match &self.accepts {
            Some(accepts) => accepts(caller),
            None => !caller.details::<serde::de::IgnoredAny>(&self.kind).is_empty(),
        }
    }
}

/// Two checks are the same only if they are one.
impl PartialEq for Detailed {
    fn eq(&self, other: &Self) -> bool {
        self.kind == other.kind
            && match (&self.accepts, &other.accepts) {
                (None, None) => true,
                (Some(own), Some(other)) => Arc::ptr_eq(own, other),
                (None, Some(_)) | (Some(_), None) => false,
            }
    }
}

impl Eq for Detailed {}

/// What is checked beside the type cannot be written, and so not be read back.
impl fmt::Display for Detailed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.accepts {
            None => write!(out, "details({})", self.kind),
            Some(_) => write!(out, "details({}, checked)", self.kind),
        }
    }
}

impl fmt::Debug for Detailed {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

//! Why the server does not start.

use std::path::PathBuf;

use portcullis_guard::{BuildError, DpopError};

use crate::app::front::FrontError;
use crate::domain::rbac::InvalidAudience;
use crate::http::tls::TlsError;
use crate::keys::certificate::authorities::AuthoritiesError;
use crate::keys::master::MasterKeyError;
use crate::keys::vault::RingError;
use crate::mail::BadMail;
use crate::outbound::BadAuthorities;
use crate::services::admin_error::AdminError;
use crate::storage::StoreError;
/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The admin API cannot be made or read.
    #[error("the admin API cannot be opened: {0}")]
    Administration(AdminError),
    /// The description of the admin API cannot be written.
    #[error("the admin API cannot be described: {0}")]
    Description(#[from] serde_json::Error),
    /// The authorities of certificates cannot be read.
    #[error(transparent)]
    Authorities(#[from] AuthoritiesError),
    /// The guard of the admin API cannot be built.
    #[error("the guard of the admin API cannot be built: {0}")]
    Guard(#[from] BuildError),
    /// The issuer cannot name the admin API.
    #[error("the issuer cannot name the admin API")]
    Audience(#[source] InvalidAudience),
    /// The database did not answer for as long as a start waits.
    #[error(
        "the database did not answer within {waited_secs} s: {cause}. Is it running, and is database.url right?"
    )]
    DatabaseAway {
        /// How long was waited.
        waited_secs: u64,
        /// What was heard last.
        cause: StoreError,
    },
    /// There is a master key, so there was a database; it is gone or empty.
    #[error(
        "{} is empty, but the data folder holds the master key of an earlier one. Put the database back from your \
         backup; to begin anew and lose every user and client, move the folder away",
        database.display()
    )]
    DatabaseLost {
        /// The database.
        database: PathBuf,
    },
    /// Proofs of possession cannot be checked under this issuer.
    #[error("proofs of possession cannot be checked: {0}")]
    Proofs(#[from] DpopError),
    /// The pages, or the workers that hash passwords, cannot be made ready.
    #[error(transparent)]
    Front(#[from] FrontError),
    /// The signing keys cannot be loaded or made.
    #[error(transparent)]
    Keys(RingError),
    /// Letters cannot be sent as configured.
    #[error(transparent)]
    Mail(#[from] BadMail),
    /// There is no master key.
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    /// The keys were sealed with another master key.
    #[error(
        "the keys in the database were sealed with another master key than the one that is configured ({0}). Configure \
         the master key that belongs to this database; nothing was changed"
    )]
    OtherMasterKey(RingError),
    /// The certificate authorities of the addresses of clients cannot be read.
    #[error(transparent)]
    Outbound(#[from] BadAuthorities),
    /// TLS cannot be spoken.
    #[error("server.tls: {0}")]
    Tls(#[from] TlsError),
    /// The database refuses.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AdminError> for StartError {
    fn from(error: AdminError) -> Self {
        match error {
            AdminError::Store(error) => Self::Store(error),
            other => Self::Administration(other),
        }
    }
}

impl From<RingError> for StartError {
    fn from(error: RingError) -> Self {
        match error {
            RingError::Sealed { .. } => Self::OtherMasterKey(error),
            RingError::Store(error) => Self::Store(error),
            RingError::Damaged { .. }
            | RingError::Refused(_)
            | RingError::Shared(_)
            | RingError::Unknown { .. } => Self::Keys(error),
        }
    }
}

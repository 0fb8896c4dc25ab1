//! Assertions are used once, on any replica and at any endpoint, for as long as they would be accepted
//! ([RFC 7523 §3, 7](https://www.rfc-editor.org/rfc/rfc7523#section-3)).
//!
//! What a request writes uses its assertion up on the way. Where nothing did, because nothing is written or because the request is
//! refused, it is used up here: whoever shows one that was used before hears of that, and of nothing else.

use crate::domain::ids::ClientId;
use crate::domain::once::{ClientAssertion, Once};
use crate::services::client_auth::ClientAuthError;
use crate::services::client_auth::limits::ClientLimits;
use crate::services::registration::Arrival;
use crate::storage::{Store, StoreError, Unique, single_use};

/// Uses an assertion up by itself. One that was used before counts as a guess.
pub(crate) async fn use_up(
    (store, limits): (&Store, &ClientLimits),
    client: &ClientId,
    assertion: ClientAssertion,
    arrival: Arrival,
) -> Result<(), ClientAuthError> {
    let once = Once { assertion: Some(assertion), proof: None };
    let used = store.write(move |tx| Box::pin(async move { single_use::use_up(tx, &once).await })).await;
    match used {
        Err(StoreError::Conflict(Unique::Once)) if limits.is_exceeded(client.as_str(), arrival.address) => {
            Err(ClientAuthError::Throttled)
        }
        Err(StoreError::Conflict(Unique::Once)) => Err(ClientAuthError::Replayed),
        used => Ok(used?),
    }
}

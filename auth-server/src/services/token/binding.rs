//! What the tokens of a request are bound to ([RFC 9449 §5], [RFC 8705 §3]).
//!
//! [RFC 9449 §5]: https://www.rfc-editor.org/rfc/rfc9449#section-5
//! [RFC 8705 §3]: https://www.rfc-editor.org/rfc/rfc8705#section-3

use crate::domain::confirmation::Confirmation;
use crate::services::token::{TokenCaller, TokenError};

/// What the access token is bound to: the key of the proof that comes with the request, and the certificate of a client that is
/// held to it. A profile may demand one of the two: without a proof, the certificate then binds.
pub(super) fn of_access_token(caller: &TokenCaller) -> Result<Confirmation, TokenError> {
    let settings = &caller.client.client().settings;
    let constraint = settings.protocol.sender_constraint;
    let Confirmation { jkt, x5t } = caller.held.held();
    if jkt.is_none() && constraint.dpop_bound_access_tokens {
        return Err(TokenError::ProofMissing);
    }
    if constraint.tls_client_certificate_bound_access_tokens {
        return if x5t.is_none() {
            Err(TokenError::CertificateMissing)
        } else {
            Ok(Confirmation { jkt, x5t })
        };
    }
    match (jkt, x5t) {
        (None, None) if settings.profile.demands_bound_tokens() => Err(TokenError::NothingHeld),
        (None, x5t) if settings.profile.demands_bound_tokens() => Ok(Confirmation { jkt: None, x5t }),
        (jkt, _) => Ok(Confirmation { jkt, x5t: None }),
    }
}

/// What the refresh tokens are bound to: nothing, if the client has to prove who it is at each use of them; otherwise what the
/// access token is (RFC 9449 §5, RFC 8705 §4).
pub(super) fn of_refresh_tokens(caller: &TokenCaller) -> Result<Confirmation, TokenError> {
    if caller.client.is_confidential() { Ok(Confirmation::default()) } else { of_access_token(caller) }
}

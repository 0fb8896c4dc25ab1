//! Logout tokens (Back-Channel Logout §2.4).

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::domain::backchannel::{LogoutEvent, LogoutNotice, LogoutTokenClaims};
use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::issuer::Issuer;
use crate::domain::secret::Entropy;
use crate::keys::jwt::JwtType;
use crate::keys::ring::{KeyRing, SignError};

/// How long one counts: it is sent at once, and made anew for each attempt. §4 recommends two minutes at most.
const LIFETIME: Duration = Duration::from_mins(2);

/// Makes the token that tells a client of the end of a session, signed as its ID tokens are.
pub(super) fn make(
    (keys, issuer, entropy): (&KeyRing, &Issuer, &Entropy),
    notice: &LogoutNotice,
    client: &Client,
    now: Timestamp,
) -> Result<String, SignError> {
    let claims = LogoutTokenClaims {
        iss: issuer.as_str().to_owned(),
        sub: keys.subject_of(client, &notice.subject),
        aud: notice.client.clone(),
        iat: now.as_secs(),
        exp: now.plus(LIFETIME).as_secs(),
        jti: URL_SAFE_NO_PAD.encode(entropy.bytes::<16>()),
        sid: notice.session.clone(),
        events: LogoutEvent::default(),
    };
    keys.sign(client.settings.id_token_alg, JwtType::LogoutToken, &claims)
}

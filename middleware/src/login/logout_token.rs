//! The claims of a logout token (OpenID Connect Back-Channel Logout §2.4, §2.6).

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::signed::{Signatures, SignedFault, Times};
use crate::token::{Audience, NumericDate, is_current, part, present};

/// The longest logout token that is read.
const MAX_BYTES: usize = 8 * 1024;

/// The longest name in a claim.
const MAX_NAME: usize = 512;

/// The longest time that one may be good for: so long its name is kept.
const MAX_LIFETIME: u64 = 24 * 3_600;

/// What makes a token one that ends sessions.
const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

/// Why a logout token ends nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum LogoutTokenFault {
    #[error("it is meant for another client")]
    Audience,
    #[error("a claim is missing, empty or of the wrong type")]
    Claims,
    #[error("it has expired, was not issued yet or lives too long")]
    Dates,
    #[error("it does not say that somebody signed out")]
    Event,
    #[error("it has a nonce, as ID tokens have")]
    Nonce,
    #[error(transparent)]
    Signed(#[from] SignedFault),
}

#[derive(serde::Deserialize)]
struct Claims {
    aud: Audience,
    exp: NumericDate,
    iat: NumericDate,
    jti: String,
    events: Map<String, Value>,
    #[serde(default, deserialize_with = "present")]
    sub: Option<String>,
    #[serde(default, deserialize_with = "present")]
    sid: Option<String>,
    #[serde(default, deserialize_with = "present")]
    nonce: Option<IgnoredAny>,
}

/// Whose sessions end.
#[derive(Debug)]
pub(super) struct SignOut {
    /// Names the token, so that it counts once.
    pub(super) jti: String,
    pub(super) until_secs: u64,
    pub(super) sub: Option<String>,
    pub(super) sid: Option<String>,
}

/// Verifies a logout token.
pub(super) async fn verify(
    signatures: &Signatures,
    token: &str,
    client_id: &str,
) -> Result<SignOut, LogoutTokenFault> {
    let opened = signatures.open(token, &["logout+jwt", "JWT"], MAX_BYTES).await?;
    let claims: Claims = part(&opened.payload).map_err(SignedFault::from)?;
    let times = signatures.times();
    claims.check(client_id, times)?;
    let Claims { jti, exp, sub, sid, .. } = claims;
    Ok(SignOut { jti, until_secs: exp.0.saturating_add(times.leeway), sub, sid })
}

impl Claims {
    fn check(&self, client_id: &str, times: Times) -> Result<(), LogoutTokenFault> {
        // An ID token must never end anything, even where it has the event.
        if self.nonce.is_some() {
            return Err(LogoutTokenFault::Nonce);
        }
        if !self.events.get(EVENT).is_some_and(Value::is_object) {
            return Err(LogoutTokenFault::Event);
        }
        if !self.aud.includes(client_id) {
            return Err(LogoutTokenFault::Audience);
        }
        let names = [Some(&self.jti), self.sub.as_ref(), self.sid.as_ref()];
        let is_wrong = |name: &&String| name.is_empty() || name.len() > MAX_NAME;
        if names.iter().flatten().any(is_wrong) || (self.sub.is_none() && self.sid.is_none()) {
            return Err(LogoutTokenFault::Claims);
        }
        let lifetime = self.exp.0.checked_sub(self.iat.0);
        let is_begun = self.iat.0 <= times.now.saturating_add(times.leeway);
        let is_short = lifetime.is_some_and(|lifetime| lifetime <= MAX_LIFETIME);
        if !is_current(self.exp, times.leeway, times.now) || !is_begun || !is_short {
            return Err(LogoutTokenFault::Dates);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn check(changes: &Value) -> Result<(), LogoutTokenFault> {
        let mut claims = json!({
            "aud": "web", "exp": NOW + 120, "iat": NOW, "jti": "l1", "sid": "s1", "events": { EVENT: {} },
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let claims: Claims = serde_json::from_value(claims).map_err(|_| LogoutTokenFault::Claims)?;
        claims.check("web", Times { now: NOW, leeway: 30 })
    }

    #[test]
    fn a_logout_token_says_whose_session_ended_for_whom_and_nothing_else() {
        for good in [
            json!({}),
            json!({ "sub": "alice" }),
            json!({ "aud": ["api", "web"] }),
            json!({ "events": { EVENT: {}, "x": 1 } }),
        ] {
            assert_eq!(check(&good), Ok(()), "{good}");
        }
        for (bad, fault) in [
            (json!({ "nonce": "n" }), LogoutTokenFault::Nonce),
            (json!({ "nonce": "" }), LogoutTokenFault::Nonce),
            (json!({ "events": {} }), LogoutTokenFault::Event),
            (json!({ "events": { EVENT: "x" } }), LogoutTokenFault::Event),
            (json!({ "events": [EVENT] }), LogoutTokenFault::Claims),
            (json!({ "events": { "x": {} } }), LogoutTokenFault::Event),
            (json!({ "aud": "api" }), LogoutTokenFault::Audience),
            (json!({ "sid": "" }), LogoutTokenFault::Claims),
            (json!({ "sid": null }), LogoutTokenFault::Claims),
            (json!({ "jti": "" }), LogoutTokenFault::Claims),
            (json!({ "jti": 1 }), LogoutTokenFault::Claims),
            (json!({ "sub": "s".repeat(513) }), LogoutTokenFault::Claims),
            (json!({ "exp": NOW - 30, "iat": NOW - 60 }), LogoutTokenFault::Dates),
            (json!({ "iat": NOW + 31 }), LogoutTokenFault::Dates),
            (json!({ "exp": NOW + MAX_LIFETIME + 1 }), LogoutTokenFault::Dates),
            (json!({ "exp": NOW, "iat": NOW + 1 }), LogoutTokenFault::Dates),
        ] {
            assert_eq!(check(&bad), Err(fault), "{bad}");
        }
        let mut nobody =
            json!({ "aud": "web", "exp": NOW + 120, "iat": NOW, "jti": "l1", "events": { EVENT: {} } });
        let claims: Claims = serde_json::from_value(nobody.clone()).unwrap();
        assert_eq!(claims.check("web", Times { now: NOW, leeway: 30 }), Err(LogoutTokenFault::Claims));
        nobody.as_object_mut().unwrap().remove("jti");
        assert!(serde_json::from_value::<Claims>(nobody).is_err());
    }
}

//! The claims of an ID token (OpenID Connect Core §3.1.3.7).

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::ask::Ask;
use super::signed::{Opened, Signatures, SignedFault, Times};
use crate::jwks::Algorithm;
use crate::token::{Audience, NumericDate, is_current, part, present};

/// The longest ID token that is read.
const MAX_BYTES: usize = 16 * 1024;

/// The longest subject (OpenID Connect Core §2), and what else names somebody.
const MAX_NAME: usize = 255;

/// Why an ID token shows nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum IdTokenFault {
    #[error("the access token is not the one that it was issued with")]
    AccessToken,
    #[error("it is meant for another client")]
    Audience,
    #[error("the user did not sign in as was asked")]
    Ask,
    #[error("a claim is missing, empty or of the wrong type")]
    Claims,
    #[error("it has expired or was not issued yet")]
    Dates,
    #[error("it answers another request")]
    Nonce,
    #[error("it is about somebody else than before")]
    OtherSubject,
    #[error(transparent)]
    Signed(#[from] SignedFault),
}

#[derive(serde::Deserialize)]
struct Claims {
    sub: String,
    aud: Audience,
    exp: NumericDate,
    iat: NumericDate,
    #[serde(default, deserialize_with = "present")]
    azp: Option<String>,
    #[serde(default, deserialize_with = "present")]
    nonce: Option<String>,
    #[serde(default, deserialize_with = "present")]
    at_hash: Option<String>,
    #[serde(flatten)]
    session: SessionClaims,
}

#[derive(serde::Deserialize)]
struct SessionClaims {
    #[serde(default)]
    sid: Option<String>,
    #[serde(default)]
    auth_time: Option<NumericDate>,
    #[serde(default)]
    acr: Option<String>,
}

/// What an ID token has to say.
pub(super) struct Expected<'a> {
    pub(super) client_id: &'a str,
    /// The one of the request. None: this comes with a renewal, which has none (§12.2).
    pub(super) nonce: Option<&'a str>,
    pub(super) access_token: &'a str,
    pub(super) ask: &'a Ask,
}

/// Who signed in, as a verified ID token says.
#[derive(Clone, Debug, Eq, PartialEq, serde::Deserialize, serde::Serialize)]
pub(super) struct Who {
    pub(super) sub: String,
    pub(super) sid: Option<String>,
    pub(super) auth_time: Option<u64>,
    pub(super) acr: Option<String>,
}

/// Verifies an ID token.
pub(super) async fn verify(
    signatures: &Signatures,
    token: &str,
    expected: &Expected<'_>,
) -> Result<Who, IdTokenFault> {
    let Opened { payload, algorithm } = signatures.open(token, &["JWT"], MAX_BYTES).await?;
    let claims: Claims = part(&payload).map_err(SignedFault::from)?;
    claims.check(expected, algorithm, signatures.times())?;
    let Claims { sub, session: SessionClaims { sid, auth_time, acr }, .. } = claims;
    Ok(Who { sub, sid, auth_time: auth_time.map(|NumericDate(secs)| secs), acr })
}

impl Claims {
    fn check(&self, expected: &Expected<'_>, algorithm: Algorithm, times: Times) -> Result<(), IdTokenFault> {
        let names = [Some(&self.sub), self.session.sid.as_ref()];
        if names.into_iter().flatten().any(|name| name.is_empty() || name.len() > MAX_NAME) {
            return Err(IdTokenFault::Claims);
        }
        self.check_audience(expected.client_id)?;
        let is_begun = self.iat.0 <= times.now.saturating_add(times.leeway);
        if !is_current(self.exp, times.leeway, times.now) || !is_begun || self.exp < self.iat {
            return Err(IdTokenFault::Dates);
        }
        if expected.nonce.is_some_and(|nonce| self.nonce.as_deref() != Some(nonce)) {
            return Err(IdTokenFault::Nonce);
        }
        // §3.1.3.6: a code brings it or not; where it is there it has to fit.
        let half = || half_digest(expected.access_token, algorithm);
        if self.at_hash.as_ref().is_some_and(|own| *own != half()) {
            return Err(IdTokenFault::AccessToken);
        }
        self.check_ask(expected.ask, times)
    }

    /// Several audiences are ours only where the issuer says who asked for the token.
    fn check_audience(&self, own: &str) -> Result<(), IdTokenFault> {
        let is_alone = match &self.aud {
            Audience::One(_) => true,
            Audience::Several(names) => names.len() == 1,
        };
        let is_party = self.azp.as_ref().map_or(is_alone, |party| party == own);
        if self.aud.includes(own) && is_party { Ok(()) } else { Err(IdTokenFault::Audience) }
    }

    fn check_ask(&self, ask: &Ask, times: Times) -> Result<(), IdTokenFault> {
        let SessionClaims { auth_time, acr, .. } = &self.session;
        let is_recent = ask.max_age.is_none_or(|age| {
            let ends =
                auth_time.map(|NumericDate(then)| then.saturating_add(age).saturating_add(times.leeway));
            ends.is_some_and(|ends| ends >= times.now)
        });
        if is_recent && ask.accepts(acr.as_deref()) { Ok(()) } else { Err(IdTokenFault::Ask) }
    }
}

/// The left half of a digest, by the hash of the algorithm; that of Ed25519 is SHA-512.
fn half_digest(text: &str, algorithm: Algorithm) -> String {
    let hash = match algorithm {
        Algorithm::EdDsa => &SHA512,
        Algorithm::Es256 | Algorithm::Ps256 | Algorithm::Rs256 => &SHA256,
    };
    let digest = digest(hash, text.as_bytes());
    let (half, _) = digest.as_ref().split_at(digest.as_ref().len() / 2);
    URL_SAFE_NO_PAD.encode(half)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn check(changes: &Value, ask: &Ask) -> Result<(), IdTokenFault> {
        let mut claims = json!({
            "sub": "alice", "aud": "web", "exp": NOW + 300, "iat": NOW, "nonce": "n", "auth_time": NOW - 60, "acr": "phr",
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let claims: Claims = serde_json::from_value(claims).map_err(|_| IdTokenFault::Claims)?;
        let expected = Expected { client_id: "web", nonce: Some("n"), access_token: "token", ask };
        claims.check(&expected, Algorithm::Es256, Times { now: NOW, leeway: 30 })
    }

    #[test]
    fn an_id_token_is_for_this_client_and_this_request() {
        for good in [
            json!({}),
            json!({ "aud": ["web"] }),
            json!({ "aud": ["web", "api"], "azp": "web" }),
            json!({ "azp": "web" }),
            json!({ "at_hash": half_digest("token", Algorithm::Es256) }),
            json!({ "iat": NOW + 30 }),
            json!({ "exp": NOW - 29, "iat": NOW - 60 }),
        ] {
            assert_eq!(check(&good, &Ask::default()), Ok(()), "{good}");
        }
        for (bad, fault) in [
            (json!({ "aud": "api" }), IdTokenFault::Audience),
            (json!({ "aud": [] }), IdTokenFault::Audience),
            (json!({ "aud": ["web", "api"] }), IdTokenFault::Audience),
            (json!({ "aud": ["web", "api"], "azp": "api" }), IdTokenFault::Audience),
            (json!({ "aud": ["api"], "azp": "web" }), IdTokenFault::Audience),
            (json!({ "azp": "api" }), IdTokenFault::Audience),
            (json!({ "azp": null }), IdTokenFault::Claims),
            (json!({ "nonce": "m" }), IdTokenFault::Nonce),
            (json!({ "at_hash": half_digest("other", Algorithm::Es256) }), IdTokenFault::AccessToken),
            (json!({ "at_hash": half_digest("token", Algorithm::EdDsa) }), IdTokenFault::AccessToken),
            (json!({ "at_hash": "" }), IdTokenFault::AccessToken),
            (json!({ "exp": NOW - 30, "iat": NOW - 60 }), IdTokenFault::Dates),
            (json!({ "iat": NOW + 31 }), IdTokenFault::Dates),
            (json!({ "exp": NOW, "iat": NOW + 1 }), IdTokenFault::Dates),
            (json!({ "sub": "" }), IdTokenFault::Claims),
            (json!({ "sub": "s".repeat(256) }), IdTokenFault::Claims),
            (json!({ "sid": "" }), IdTokenFault::Claims),
            (json!({ "sub": 7 }), IdTokenFault::Claims),
        ] {
            assert_eq!(check(&bad, &Ask::default()), Err(fault), "{bad}");
        }
    }

    #[test]
    fn what_was_asked_for_has_to_have_happened() {
        let ask = |classes: Option<&str>, age| Ask { acr_values: classes.map(str::to_owned), max_age: age };
        let gone = json!({ "auth_time": null, "acr": null });
        for (changes, ask, outcome) in [
            (json!({}), ask(Some("phrh phr"), Some(30)), Ok(())),
            (json!({}), ask(None, Some(29)), Err(IdTokenFault::Ask)),
            (json!({}), ask(Some("phrh"), None), Err(IdTokenFault::Ask)),
            (gone.clone(), ask(None, Some(300)), Err(IdTokenFault::Ask)),
            (gone.clone(), ask(Some("phr"), None), Err(IdTokenFault::Ask)),
            (gone, ask(None, None), Ok(())),
        ] {
            assert_eq!(check(&changes, &ask), outcome, "{changes} {ask:?}");
        }
    }

    #[test]
    fn the_digest_of_an_access_token_is_that_of_the_specification() {
        // OpenID Connect Core, Appendix A.4: this access token, and `at_hash` in its ID token.
        let hash = half_digest("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", Algorithm::Rs256);
        assert_eq!(hash, "77QmUPtjPfzWtF2AnpK9RQ");
    }
}

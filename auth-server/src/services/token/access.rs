//! Whether an access token of ours still means what it says: its signature, its claims, and what stands behind it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::claims::{AccessTokenClaims, OFFLINE_ACCESS};
use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::issuer::Issuer;
use crate::domain::session::SessionState;
use crate::domain::signing::SigningAlg;
use crate::domain::user::{Sub, User};
use crate::keys::jwt::JwtType;
use crate::keys::ring::{KeyRing, SignError};
use crate::storage::grants::Standing;
use crate::storage::revocations::Marks;
use crate::storage::{Store, StoreError, Tx, grants, revocations};

/// Reads access tokens of this server.
#[derive(Clone)]
pub(crate) struct AccessTokens {
    store: Store,
    keys: KeyRing,
    issuer: Issuer,
}

/// An access token that was checked against the database.
#[derive(Debug)]
pub(crate) struct LiveToken {
    pub(crate) claims: AccessTokenClaims,
    /// Whom it was issued to.
    pub(crate) client: Arc<Client>,
    /// What stands behind it; `None` for a token of a client that acts for itself.
    pub(crate) standing: Option<Standing>,
}

impl AccessTokens {
    pub(crate) const fn new(store: Store, keys: KeyRing, issuer: Issuer) -> Self {
        Self { store, keys, issuer }
    }

    pub(crate) const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// What tokens for this client call this user.
    pub(crate) fn subject(&self, client: &Client, user: &User) -> Sub {
        self.keys.subject(client, user)
    }

    /// Signs an answer of the userinfo endpoint.
    pub(crate) fn sign_userinfo(
        &self,
        alg: SigningAlg,
        claims: &Map<String, Value>,
    ) -> Result<String, SignError> {
        self.keys.sign(alg, JwtType::UserInfo, claims)
    }

    /// Signs an answer about a token.
    pub(crate) fn sign_introspection(
        &self,
        alg: SigningAlg,
        claims: &impl Serialize,
    ) -> Result<String, SignError> {
        self.keys.sign(alg, JwtType::Introspection, claims)
    }

    /// The claims of a token that we signed as an access token and that has not expired.
    pub(crate) fn read(&self, token: &str, now: Timestamp) -> Option<AccessTokenClaims> {
        self.read_all(token, now).map(|(claims, _)| claims)
    }

    /// The claims of such a token, and beside them all that it says, also what is not known here.
    pub(crate) fn read_all(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Option<(AccessTokenClaims, Map<String, Value>)> {
        let verified = self.keys.verify(token).ok()?;
        // RFC 9068 §4: an ID token is signed by the same keys and must not pass.
        if !verified.header.is(JwtType::AccessToken) {
            return None;
        }
        let claims = AccessTokenClaims::deserialize(&verified.claims).ok()?;
        let holds = claims.iss == self.issuer.as_str() && now.as_secs() < claims.exp;
        holds.then_some((claims, verified.claims))
    }

    /// What is left of a token after everything that may have been revoked since.
    pub(crate) async fn check(
        &self,
        tx: &mut Tx,
        claims: AccessTokenClaims,
        now: Timestamp,
    ) -> Result<Option<LiveToken>, StoreError> {
        // A token does not outlive the client that it was issued to.
        let client = self.store.client(&claims.client_id).await?.filter(|client| client.is_enabled());
        let Some(client) = client else { return Ok(None) };
        // Nor what is bound to nothing the day that its client is held to more.
        if client.settings.profile.demands_bound_tokens() && claims.cnf.is_empty() {
            return Ok(None);
        }
        let Some(grant) = &claims.gid else {
            let revoked = revocations::concern(tx, &marks(&claims, &claims.sub)).await?;
            return Ok((!revoked).then_some(LiveToken { claims, client, standing: None }));
        };
        let standing = grants::standing(tx, grant).await?.filter(|standing| standing_holds(standing, now));
        let Some(standing) = standing else { return Ok(None) };
        // Services hear of the very same.
        if revocations::concern(tx, &marks(&claims, standing.user.sub.as_str())).await? {
            return Ok(None);
        }
        // What the client is to call the user may have changed since.
        if claims.sub != self.keys.subject(&client, &standing.user).as_str() {
            return Ok(None);
        }
        // It may have been exchanged: then it is the grant of another client, and ends with that one too.
        let giver = self.store.client(&standing.grant.client).await?;
        let holds = giver.is_some_and(|giver| giver.is_enabled());
        Ok(holds.then_some(LiveToken { claims, client, standing: Some(standing) }))
    }
}

/// What a token is revoked by.
fn marks<'a>(claims: &'a AccessTokenClaims, subject: &'a str) -> Marks<'a> {
    let issued_at = Timestamp::from_secs(claims.iat);
    Marks { token: &claims.jti, subject, client: &claims.client_id, issued_at }
}

/// Whether a grant is still good.
///
/// It ends with its session, unless the user allowed access while away: `offline_access` (OpenID Connect Core §11).
pub(crate) fn standing_holds(standing: &Standing, now: Timestamp) -> bool {
    let offline = standing.grant.scopes.contains(OFFLINE_ACCESS);
    standing.grant.revoked_at.is_none()
        && standing.user.is_enabled()
        && (offline || session_is_live(standing, now))
}

/// Whether the session in which a grant was given is still there.
pub(crate) fn session_is_live(standing: &Standing, now: Timestamp) -> bool {
    standing.session.as_ref().is_some_and(|session| session.state(now) == SessionState::Live)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::services::trial::{START, Trial};

    /// A token that the ring signs however little it says.
    fn signed(ring: &KeyRing, claims: &Value) -> String {
        ring.sign(SigningAlg::EdDsa, JwtType::AccessToken, claims).unwrap()
    }

    #[tokio::test]
    async fn jw_06_07_and_12_a_token_that_does_not_say_whom_it_is_for_who_made_it_and_until_when_is_none() {
        let trial = Trial::begin().await;
        let ring = trial.ring().await;
        let tokens = AccessTokens::new(trial.store.clone(), ring.clone(), trial.issuer.clone());
        let now = START.as_secs();
        let good = json!({ "iss": trial.issuer.as_str(), "sub": "ada", "aud": "https://orders.example", "client_id": "cli_01a21bbfa15779f5b3607f886d190e77",
            "exp": now + 300, "iat": now, "jti": "one" });
        assert!(tokens.read(&signed(&ring, &good), START).is_some());
        for name in ["iss", "sub", "aud", "client_id", "exp", "iat", "jti"] {
            let mut less = good.clone();
            less.as_object_mut().unwrap().remove(name);
            assert!(tokens.read(&signed(&ring, &less), START).is_none(), "without {name}");
            for value in [json!(null), json!([]), json!({}), json!(true)] {
                let mut other = good.clone();
                other[name] = value.clone();
                assert!(tokens.read(&signed(&ring, &other), START).is_none(), "{name}: {value}");
            }
        }
        for value in
            [json!("1"), json!((now + 300).to_string()), json!(1e300), json!(-1), json!(0), json!(now)]
        {
            let mut other = good.clone();
            other["exp"] = value.clone();
            assert!(tokens.read(&signed(&ring, &other), START).is_none(), "exp: {value}");
        }
        let mut foreign = good.clone();
        foreign["iss"] = json!("https://evil.test");
        assert!(tokens.read(&signed(&ring, &foreign), START).is_none());
    }
}

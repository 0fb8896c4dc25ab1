//! The JWT bearer grant ([RFC 7523 §2.1](https://www.rfc-editor.org/rfc/rfc7523#section-2.1)): a machine that another issuer knows,
//! such as the one of a build or of a cluster, shows what that issuer signed for it and gets a token of the client that it is here.
//!
//! It needs no secret: who may be the client, an administrator said with the issuer's keys and the exact subjects.

use std::time::Duration;

use serde_json::{Value, json};

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::client::Client;
use crate::domain::client_protocol::AssertionIssuer;
use crate::domain::clock::Timestamp;
use crate::domain::issuer::Issuer;
use crate::domain::once::Once;
use crate::domain::parameters::Parameters;
use crate::domain::secret::Digest32;
use crate::keys::jwks::ExternalKeys;
use crate::keys::jwt::{JwtType, VerifiedJwt};
use crate::services::client_auth::assertion::{Accepted, AssertionError, claimed, used_once};
use crate::services::token::{Authorization, TokenCaller, TokenError, TokenService, request};
use crate::storage::single_use::{self, Purpose};

/// How long an assertion may live. Clusters sign for an hour.
const LONGEST_LIFE: Duration = Duration::from_hours(1);

impl TokenService {
    /// A client shows what a trusted issuer says of it.
    pub(super) async fn jwt_bearer(
        &self,
        caller: &TokenCaller,
        owed: &mut Once,
        parameters: &Parameters,
    ) -> Result<Authorization, TokenError> {
        let client = caller.client.client();
        let assertion = request::required(parameters, "assertion")?;
        let (trusted, accepted) = verify(assertion, client, self.minter.issuer(), caller.now)?;
        // What can be refused without it is refused first: a mistake in the request spends no assertion.
        let authorization = self.as_itself(client, parameters).await?;
        let digest = Digest32::of_parts(&[trusted.issuer.as_bytes(), b" ", accepted.jti.as_bytes()]);
        let now = caller.now;
        let replay = AuditEvent::new(Actor::Client(client.id.clone()), AuditAction::AssertionReplayed)
            .from(Some(caller.address))
            .with(json!({ "issuer": trusted.issuer }))
            .refused();
        self.spend(owed, move |tx, owed| {
            Box::pin(async move {
                // The proof as well, even if it buys nothing.
                single_use::use_up(tx, owed).await?;
                owed.clear();
                let until = accepted.remember_until;
                if single_use::remember(tx, Purpose::GrantAssertionJti, &digest, until, now).await? {
                    return Ok(());
                }
                tx.audit(replay);
                Err(TokenError::AssertionReplayed)
            })
        })
        .await?;
        Ok(authorization)
    }
}

/// Verifies an assertion: who issued it is registered, with the keys that it signs with and whom it may speak of.
fn verify<'c>(
    assertion: &str,
    client: &'c Client,
    audience: &Issuer,
    now: Timestamp,
) -> Result<(&'c AssertionIssuer, Accepted), AssertionError> {
    let claimed = claimed(assertion, "iss").ok_or(AssertionError::Issuer)?;
    let mut known = client.settings.protocol.assertion_issuers.iter();
    let trusted = known.find(|known| known.issuer == claimed).ok_or(AssertionError::Issuer)?;
    let keys = ExternalKeys::parse(&trusted.jwks).map_err(|_| AssertionError::Keys)?;
    let token = keys.verify(assertion)?;
    if !client.settings.profile.permits_alg_named(&token.header.alg) {
        return Err(AssertionError::Algorithm);
    }
    check(&token, trusted, audience, now).map(|accepted| (trusted, accepted))
}

/// RFC 7523 §3, and RFC 8725 §3.11: an access token of that issuer is no assertion.
fn check(
    token: &VerifiedJwt,
    trusted: &AssertionIssuer,
    audience: &Issuer,
    now: Timestamp,
) -> Result<Accepted, AssertionError> {
    let text = |name: &str| token.claims.get(name).and_then(Value::as_str);
    if token.header.typ.is_some() && !token.header.is(JwtType::IdToken) {
        return Err(AssertionError::Type);
    }
    if text("iss") != Some(trusted.issuer.as_str())
        || !trusted.subjects.iter().any(|subject| text("sub") == Some(subject))
    {
        return Err(AssertionError::Issuer);
    }
    if !is_for(token.claims.get("aud"), audience) {
        return Err(AssertionError::Audience);
    }
    // Whoever shows a bound one has to prove that the key is theirs, and nobody does here.
    if token.claims.contains_key("cnf") {
        return Err(AssertionError::Type);
    }
    used_once(&token.claims, now, LONGEST_LIFE)
}

/// Whether this server alone is meant: an assertion for several could be carried from one to the other. Clusters write one name as
/// a list of one (RFC 7519 §4.1.3).
fn is_for(aud: Option<&Value>, audience: &Issuer) -> bool {
    let only = match aud {
        Some(Value::Array(names)) => match names.as_slice() {
            [only] => Some(only),
            _ => None,
        },
        other => other,
    };
    only.and_then(Value::as_str) == Some(audience.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::jwt::JwtHeader;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn outcome(typ: Option<&str>, change: &Value) -> Option<AssertionError> {
        let mut claims = json!({ "iss": "https://builds.example", "sub": "repo:a", "aud": "https://id.example.com",
            "iat": 1_000_000, "exp": 1_000_060, "jti": "a" });
        let claims = claims.as_object_mut().unwrap();
        claims.extend(change.as_object().unwrap().clone());
        let header: JwtHeader = serde_json::from_value(json!({ "alg": "ES256", "typ": typ })).unwrap();
        let token = VerifiedJwt { header, claims: claims.clone() };
        let trusted = AssertionIssuer {
            issuer: "https://builds.example".to_owned(),
            jwks: String::new(),
            subjects: vec!["repo:a".to_owned(), "repo:b".to_owned()],
        };
        check(&token, &trusted, &Issuer::parse("https://id.example.com").unwrap(), NOW).err()
    }

    #[test]
    fn an_assertion_is_of_its_issuer_for_this_server_and_about_who_is_meant() {
        for good in [
            json!({}),
            json!({ "sub": "repo:b" }),
            json!({ "exp": 1_003_600 }),
            json!({ "aud": ["https://id.example.com"] }),
        ] {
            assert_eq!(outcome(Some("JWT"), &good), None, "{good}");
            assert_eq!(outcome(None, &good), None, "{good}");
        }
        for (change, error) in [
            (json!({ "iss": "https://other.example" }), AssertionError::Issuer),
            (json!({ "sub": "repo:a " }), AssertionError::Issuer),
            (json!({ "sub": "REPO:A" }), AssertionError::Issuer),
            (json!({ "sub": ["repo:a"] }), AssertionError::Issuer),
            (json!({ "sub": null }), AssertionError::Issuer),
            (json!({ "aud": "https://id.example.com/token" }), AssertionError::Audience),
            (
                json!({ "aud": ["https://id.example.com", "https://id.example.com"] }),
                AssertionError::Audience,
            ),
            (json!({ "aud": ["https://id.example.com", "https://other.example"] }), AssertionError::Audience),
            (json!({ "aud": ["https://other.example"] }), AssertionError::Audience),
            (json!({ "aud": [["https://id.example.com"]] }), AssertionError::Audience),
            (json!({ "aud": [] }), AssertionError::Audience),
            (json!({ "exp": 1_000_000 }), AssertionError::Expiry),
            (json!({ "exp": 1_003_611 }), AssertionError::Expiry),
            (json!({ "exp": null }), AssertionError::Expiry),
            (json!({ "nbf": 1_000_060 }), AssertionError::FromTheFuture),
            (json!({ "jti": "" }), AssertionError::Jti),
            (json!({ "jti": null }), AssertionError::Jti),
            (json!({ "cnf": { "jkt": "x" } }), AssertionError::Type),
        ] {
            assert_eq!(outcome(None, &change), Some(error), "{change}");
        }
        for typ in ["at+jwt", "logout+jwt", "client-authentication+jwt"] {
            assert_eq!(outcome(Some(typ), &json!({})), Some(AssertionError::Type), "{typ}");
        }
    }
}

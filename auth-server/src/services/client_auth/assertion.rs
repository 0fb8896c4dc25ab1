//! `private_key_jwt`: rules for the assertion that a client signs
//! ([RFC 7523 §3](https://www.rfc-editor.org/rfc/rfc7523#section-3)).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::domain::client_concessions::AssertionAudience;
use crate::domain::clock::Timestamp;
use crate::domain::ids::ClientId;
use crate::domain::issuer::Issuer;
use crate::keys::jwt::{JwtError, JwtType, VerifiedJwt};

/// How far a client's clock may be ahead.
const LEEWAY: Duration = Duration::from_secs(10);
/// How long an assertion may live: its `jti` is remembered that long.
const LONGEST_LIFE: Duration = Duration::from_mins(10);
/// The endpoint that assertions are for where they are for one (RFC 7523 §3).
const TOKEN_ENDPOINT: &str = "/token";
/// The longest `jti`.
const LONGEST_JTI: usize = 256;

/// Why an assertion is not accepted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum AssertionError {
    #[error("the profile of the client does not permit its algorithm")]
    Algorithm,
    #[error("aud is not one string that names this server as the client has to name it")]
    Audience,
    #[error("it expired, lives too long, or does not say until when")]
    Expiry,
    #[error("iat or nbf lies in the future or is no time")]
    FromTheFuture,
    #[error("iss and sub are not both the client")]
    Issuer,
    #[error("jti is missing or too long")]
    Jti,
    #[error("the registered keys cannot be read")]
    Keys,
    #[error("the client registered another algorithm for its assertions")]
    OtherAlgorithm,
    #[error(transparent)]
    Signature(#[from] JwtError),
    #[error("it is another kind of token")]
    Type,
}

/// An assertion that was accepted, as far as one can tell without having seen others.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) jti: String,
    pub(crate) remember_until: Timestamp,
}

/// Whom an assertion may be for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Audience<'a> {
    pub(crate) issuer: &'a Issuer,
    /// The path of the endpoint that it was sent to.
    pub(crate) endpoint: &'a str,
    /// Whether endpoints count beside the issuer.
    pub(crate) rule: AssertionAudience,
}

impl Audience<'_> {
    /// Whether it is meant by this, and by nobody else. An endpoint that was not called does not count, but for the one that RFC 7523 §3
    /// names.
    fn is(&self, named: &str) -> bool {
        match self.rule {
            AssertionAudience::Issuer => named == self.issuer.as_str(),
            AssertionAudience::Endpoint => {
                named == self.issuer.as_str()
                    || [TOKEN_ENDPOINT, self.endpoint].iter().any(|path| named == self.issuer.endpoint(path))
            }
        }
    }
}

/// Whom an assertion claims to come from; nothing is verified.
pub(crate) fn claimed_subject(assertion: &str) -> Option<String> {
    claimed(assertion, "sub")
}

/// What a claim of an assertion says; nothing is verified.
pub(crate) fn claimed(assertion: &str, name: &str) -> Option<String> {
    let payload = URL_SAFE_NO_PAD.decode(assertion.split('.').nth(1)?).ok()?;
    let claims: Map<String, Value> = serde_json::from_slice(&payload).ok()?;
    claims.get(name)?.as_str().map(str::to_owned)
}

/// Checks an assertion whose signature is by a key of the client: its type, and every claim.
pub(crate) fn accept(
    token: &VerifiedJwt,
    client: &ClientId,
    audience: Audience<'_>,
    now: Timestamp,
) -> Result<Accepted, AssertionError> {
    // RFC 8725 §3.11: an access token signed by the same key must not pass.
    let typ = token.header.typ.as_deref().unwrap_or("JWT");
    let is_assertion =
        typ.eq_ignore_ascii_case("client-authentication+jwt") || token.header.is(JwtType::IdToken);
    if !is_assertion && token.header.typ.is_some() {
        return Err(AssertionError::Type);
    }
    check(&token.claims, client, audience, now)
}

fn check(
    claims: &Map<String, Value>,
    client: &ClientId,
    audience: Audience<'_>,
    now: Timestamp,
) -> Result<Accepted, AssertionError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(client.as_str()) || text("sub") != Some(client.as_str()) {
        return Err(AssertionError::Issuer);
    }
    // As one string: an assertion for several servers could be carried from one to the other.
    if !text("aud").is_some_and(|named| audience.is(named)) {
        return Err(AssertionError::Audience);
    }
    used_once(claims, now, LONGEST_LIFE)
}

/// When an assertion holds, and what it is called: it counts once, and has to end before anybody forgets it.
pub(crate) fn used_once(
    claims: &Map<String, Value>,
    now: Timestamp,
    longest: Duration,
) -> Result<Accepted, AssertionError> {
    let expires = seconds(claims, "exp").ok().flatten().ok_or(AssertionError::Expiry)?;
    let expires_at = Timestamp::from_secs(expires);
    if now >= expires_at || expires_at > now.plus(longest).plus(LEEWAY) {
        return Err(AssertionError::Expiry);
    }
    for name in ["iat", "nbf"] {
        let begins = seconds(claims, name).map_err(|()| AssertionError::FromTheFuture)?;
        if begins.is_some_and(|begins| Timestamp::from_secs(begins) > now.plus(LEEWAY)) {
            return Err(AssertionError::FromTheFuture);
        }
    }
    let jti = claims
        .get("jti")
        .and_then(Value::as_str)
        .filter(|jti| !jti.is_empty() && jti.len() <= LONGEST_JTI)
        .ok_or(AssertionError::Jti)?;
    Ok(Accepted { jti: jti.to_owned(), remember_until: expires_at })
}

/// A `NumericDate`; it may have a fraction (RFC 7519 §2).
fn seconds(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, ()> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(whole) = value.as_i64() {
        return Ok(Some(whole));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, and a saturated time is refused"
    )]
    value.as_f64().map(|number| Some(number.ceil() as i64)).ok_or(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const ISSUER: &str = "https://id.example.com";
    const CLIENT: &str = "cli_00000000000070008000000000000001";

    fn good() -> Value {
        json!({ "iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "exp": 1_000_060, "iat": 1_000_000, "jti": "a" })
    }

    fn outcome(claims: &Value) -> Result<Accepted, AssertionError> {
        let client = ClientId::parse(CLIENT).unwrap();
        let issuer = &Issuer::parse(ISSUER).unwrap();
        let audience = Audience { issuer, endpoint: "/par", rule: AssertionAudience::Issuer };
        check(claims.as_object().unwrap(), &client, audience, NOW)
    }

    fn with(name: &str, value: Value) -> Option<AssertionError> {
        let mut claims = good();
        claims[name] = value;
        outcome(&claims).err()
    }

    fn without(name: &str) -> Option<AssertionError> {
        let mut claims = good();
        claims.as_object_mut().unwrap().remove(name);
        outcome(&claims).err()
    }

    #[test]
    fn a_good_assertion_is_accepted_and_remembered_until_it_expires() {
        let accepted = outcome(&good()).unwrap();
        assert_eq!(accepted.jti, "a");
        assert_eq!(accepted.remember_until, Timestamp::from_secs(1_000_060));
        assert_eq!(without("iat"), None, "iat may be missing");
    }

    #[test]
    fn the_audience_is_the_issuer_as_one_string() {
        for other in [
            json!("https://other.example"),
            json!([ISSUER]),
            json!([ISSUER, "https://other.example"]),
            json!("https://id.example.com/token"),
            json!("https://id.example.com/"),
            json!(null),
        ] {
            assert_eq!(with("aud", other.clone()), Some(AssertionError::Audience), "{other}");
        }
        assert_eq!(without("aud"), Some(AssertionError::Audience));
    }

    #[test]
    fn where_endpoints_count_it_is_the_one_that_was_called_or_that_of_tokens() {
        let issuer = Issuer::parse(ISSUER).unwrap();
        let endpoints = Audience { issuer: &issuer, endpoint: "/par", rule: AssertionAudience::Endpoint };
        for good in [ISSUER, "https://id.example.com/token", "https://id.example.com/par"] {
            assert!(endpoints.is(good), "{good}");
        }
        for other in [
            "",
            "/par",
            "https://id.example.com/",
            "https://id.example.com/token/",
            "https://id.example.com/introspect",
            "https://id.example.com/par?x",
            "https://ID.example.com/token",
            "https://other.example/token",
        ] {
            assert!(!endpoints.is(other), "{other}");
        }
        let alone = Audience { rule: AssertionAudience::Issuer, ..endpoints };
        assert!(alone.is(ISSUER) && !alone.is("https://id.example.com/token"));
    }

    #[test]
    fn issuer_and_subject_are_the_client() {
        for name in ["iss", "sub"] {
            assert_eq!(with(name, json!("cli_other")), Some(AssertionError::Issuer));
            assert_eq!(without(name), Some(AssertionError::Issuer));
        }
    }

    #[test]
    fn it_must_expire_and_soon() {
        for bad in [
            json!(999_999),
            json!(1_000_000),
            json!(1_000_611),
            json!("soon"),
            json!(null),
            json!(1e300),
            json!(-1),
        ] {
            assert_eq!(with("exp", bad.clone()), Some(AssertionError::Expiry), "{bad}");
        }
        assert_eq!(without("exp"), Some(AssertionError::Expiry));
        assert_eq!(with("exp", json!(1_000_600)), None);
    }

    #[test]
    fn a_clock_that_is_a_little_ahead_is_forgiven() {
        for name in ["iat", "nbf"] {
            assert_eq!(with(name, json!(1_000_008)), None, "{name}");
            assert_eq!(with(name, json!(1_000_060)), Some(AssertionError::FromTheFuture), "{name}");
            assert_eq!(with(name, json!("now")), Some(AssertionError::FromTheFuture), "{name}");
        }
    }

    #[test]
    fn it_has_a_name_of_reasonable_length() {
        assert_eq!(without("jti"), Some(AssertionError::Jti));
        assert_eq!(with("jti", json!("")), Some(AssertionError::Jti));
        assert_eq!(with("jti", json!(7)), Some(AssertionError::Jti));
        assert_eq!(with("jti", json!("x".repeat(257))), Some(AssertionError::Jti));
    }

    #[test]
    fn the_claimed_subject_is_read_without_trust_and_without_panic() {
        let encoded = URL_SAFE_NO_PAD.encode(good().to_string());
        assert_eq!(claimed_subject(&format!("x.{encoded}.y")).as_deref(), Some(CLIENT));
        for odd in ["", ".", "a.b.c", "é.é.é", "x.W10.y"] {
            assert_eq!(claimed_subject(odd), None, "{odd}");
        }
    }
}

//! Request objects ([RFC 9101](https://www.rfc-editor.org/rfc/rfc9101)): an authorization request that the client signed.
//!
//! What the object says is the whole request. Nothing that stands beside it counts, or whoever carries the request could add to it
//! (section 6.3).

use std::time::Duration;

use serde_json::{Map, Value};

use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::issuer::Issuer;
use crate::domain::parameters::{Parameters, ParametersError};
use crate::domain::security_profile::SecurityProfile;
use crate::keys::jwt::{JwtHeader, JwtType, VerifiedJwt};
use crate::services::client_keys::ClientKeyError;

/// How far a client's clock may be ahead.
const LEEWAY: Duration = Duration::from_secs(10);
/// How long an object may be good, and how long ago it may have become so.
const LONGEST_LIFE: Duration = Duration::from_hours(1);
/// What an object says of itself, and not of the request (RFC 7519 §4.1).
const OF_THE_JWT: [&str; 7] = ["aud", "exp", "iat", "iss", "jti", "nbf", "sub"];

/// Why an object is not accepted. The texts go to the client.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum ObjectError {
    #[error("the request object is signed by an algorithm that the profile of the client does not permit")]
    Algorithm,
    #[error("the request object is not for this server: aud has to be its issuer")]
    Audience,
    #[error("client_id, and iss, of the request object have to be the client, and sub must not be")]
    Client,
    #[error("the request object lacks exp, iat, nbf or jti")]
    Incomplete,
    #[error("the keys of the client cannot be fetched at present")]
    KeysUnavailable,
    #[error("the request object holds a request or a request_uri")]
    Nested,
    #[error("the request object is signed by another algorithm than the client registered")]
    OtherAlgorithm,
    #[error("a member of the request object is no parameter")]
    Parameter,
    #[error("the request object is not signed by a key that the client registered")]
    Signature,
    #[error("the request object has expired, is not good yet, or is good for too long")]
    Time,
    #[error("the request object is another kind of token")]
    Type,
    #[error(
        "the request object needs nbf and exp, at most an hour apart: the profile of the client asks for them"
    )]
    Untimed,
}

impl From<ClientKeyError> for ObjectError {
    fn from(error: ClientKeyError) -> Self {
        match error {
            ClientKeyError::Algorithm => Self::Algorithm,
            ClientKeyError::OtherAlgorithm => Self::OtherAlgorithm,
            ClientKeyError::Jwt(_) | ClientKeyError::Missing => Self::Signature,
            ClientKeyError::Unavailable => Self::KeysUnavailable,
        }
    }
}

impl From<ParametersError> for ObjectError {
    fn from(_: ParametersError) -> Self {
        Self::Parameter
    }
}

/// Opens an object that is signed by a key of the client: the parameters that it holds.
pub(crate) fn open(
    token: VerifiedJwt,
    client: &Client,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Parameters, ObjectError> {
    check_type(&token.header)?;
    check(&token.claims, client, issuer, now)?;
    parameters(token.claims)
}

/// The same for a request that never goes through a browser ([CIBA §7.1.1]). It says when it was made and for how long it is good, and
/// has a name; who sends it says `iss` alone.
///
/// [CIBA §7.1.1]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#signed_auth_request
pub(crate) fn open_from_behind(
    mut token: VerifiedJwt,
    client: &Client,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Parameters, ObjectError> {
    let names_itself = token.claims.get("jti").and_then(Value::as_str).is_some_and(|jti| !jti.is_empty());
    if !names_itself || !["exp", "iat", "nbf"].iter().all(|name| token.claims.contains_key(*name)) {
        return Err(ObjectError::Incomplete);
    }
    token.claims.entry("client_id").or_insert_with(|| client.id.as_str().into());
    open(token, client, issuer, now)
}

/// RFC 9101 §10.8.1. Objects of older clients have no `typ`, or the general one (OpenID Connect Core §6.1).
fn check_type(header: &JwtHeader) -> Result<(), ObjectError> {
    let known = header.typ.is_none() || header.is(JwtType::RequestObject) || header.is(JwtType::IdToken);
    known.then_some(()).ok_or(ObjectError::Type)
}

fn check(
    claims: &Map<String, Value>,
    client: &Client,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<(), ObjectError> {
    let is_client = |name: &str| claims.get(name).and_then(Value::as_str) == Some(client.id.as_str());
    // RFC 9101 §10.8.2: with the client as its subject it would pass for an assertion.
    if !is_client("client_id") || !is_client("iss") || is_client("sub") {
        return Err(ObjectError::Client);
    }
    let is_here = |value: &Value| value.as_str() == Some(issuer.as_str());
    let for_us = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.iter().any(is_here),
        Some(audience) => is_here(audience),
        None => false,
    };
    if !for_us {
        return Err(ObjectError::Audience);
    }
    check_times(claims, client.settings.profile, now)
}

/// Times may be left out (RFC 9101 §4) where no profile asks for them, and those that are there hold.
fn check_times(
    claims: &Map<String, Value>,
    profile: SecurityProfile,
    now: Timestamp,
) -> Result<(), ObjectError> {
    let expires = time(claims, "exp")?;
    let begins = time(claims, "nbf")?;
    let is_timed = begins.zip(expires).is_some_and(|(from, to)| from < to && to <= from.plus(LONGEST_LIFE));
    if profile.demands_timed_objects() && !is_timed {
        return Err(ObjectError::Untimed);
    }
    let issued = time(claims, "iat")?;
    let in_time = expires.is_none_or(|at| now < at && at <= now.plus(LONGEST_LIFE).plus(LEEWAY))
        && begins.is_none_or(|at| at <= now.plus(LEEWAY) && at.plus(LONGEST_LIFE).plus(LEEWAY) >= now)
        && issued.is_none_or(|at| at <= now.plus(LEEWAY));
    in_time.then_some(()).ok_or(ObjectError::Time)
}

fn time(claims: &Map<String, Value>, name: &str) -> Result<Option<Timestamp>, ObjectError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    // A fraction is allowed (RFC 7519 §2), and a second too early or late is within the leeway.
    let whole = value.as_i64().or_else(|| value.as_f64().map(saturated)).ok_or(ObjectError::Time)?;
    Ok(Some(Timestamp::from_secs(whole)))
}

#[expect(clippy::cast_possible_truncation, reason = "the cast saturates, and a saturated time is refused")]
const fn saturated(seconds: f64) -> i64 {
    seconds as i64
}

/// The members as parameters: texts as they are, numbers in digits, objects and lists of objects as JSON (OpenID Connect Core §6.1,
/// RFC 9396 §5), and each entry of a list of texts by itself (RFC 8707 §2.1).
fn parameters(claims: Map<String, Value>) -> Result<Parameters, ObjectError> {
    let mut pairs = Vec::new();
    for (name, value) in claims {
        if OF_THE_JWT.contains(&name.as_str()) {
            continue;
        }
        match value {
            _ if name == "request" || name == "request_uri" => return Err(ObjectError::Nested),
            Value::Null => {}
            Value::String(text) => pairs.push((name, text)),
            Value::Array(texts) if texts.iter().all(Value::is_string) => {
                let texts = texts.iter().filter_map(Value::as_str);
                pairs.extend(texts.map(|text| (name.clone(), text.to_owned())));
            }
            other => pairs.push((name, other.to_string())),
        }
    }
    Ok(Parameters::of(pairs)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);
    const ISSUER: &str = "https://id.example.com";

    fn good(client: &Client) -> Value {
        json!({ "iss": client.id.as_str(), "client_id": client.id.as_str(), "aud": ISSUER, "exp": 1_000_060 })
    }

    fn with(name: &str, value: Value) -> Result<(), ObjectError> {
        let client = Client::sample();
        let mut claims = good(&client);
        claims[name] = value;
        check(claims.as_object().unwrap(), &client, &Issuer::parse(ISSUER).unwrap(), NOW)
    }

    fn opened(claims: Value) -> Result<String, ObjectError> {
        let Value::Object(claims) = claims else { panic!("an object") };
        parameters(claims).map(|parameters| parameters.encode())
    }

    #[test]
    fn it_is_of_the_client_and_for_this_server() {
        let client = Client::sample();
        assert_eq!(with("jti", json!("a")), Ok(()));
        assert_eq!(with("aud", json!(["https://other.example", ISSUER])), Ok(()));
        for aud in [json!(null), json!("https://other.example"), json!(["https://other.example"]), json!(7)] {
            assert_eq!(with("aud", aud.clone()), Err(ObjectError::Audience), "{aud}");
        }
        for name in ["iss", "client_id"] {
            for other in [json!(null), json!("cli_other"), json!(["x"])] {
                assert_eq!(with(name, other.clone()), Err(ObjectError::Client), "{name} {other}");
            }
        }
        assert_eq!(with("sub", json!("ada")), Ok(()));
        assert_eq!(with("sub", json!(client.id.as_str())), Err(ObjectError::Client), "an assertion");
    }

    #[test]
    fn its_times_hold_where_it_has_some() {
        for (name, second) in [("exp", 1_003_600), ("nbf", 1_000_010), ("nbf", 996_400), ("iat", 1_000_010)] {
            assert_eq!(with(name, json!(second)), Ok(()), "{name} {second}");
        }
        assert_eq!(with("nbf", json!(999_999.5)), Ok(()));
        for (name, second) in [
            ("exp", json!(1_000_000)),
            ("exp", json!(1_003_611)),
            ("exp", json!("soon")),
            ("exp", json!(null)),
            ("exp", json!(1e300)),
            ("nbf", json!(1_000_011)),
            ("nbf", json!(996_389)),
            ("iat", json!(1_000_011)),
        ] {
            assert_eq!(with(name, second.clone()), Err(ObjectError::Time), "{name} {second}");
        }
    }

    #[test]
    fn its_times_are_there_where_the_profile_of_the_client_asks_for_them() {
        let of = |profile, nbf: Option<i64>, exp: Option<i64>| {
            let mut client = Client::sample();
            client.settings.profile = profile;
            let mut claims = good(&client);
            claims.as_object_mut().unwrap().remove("exp");
            for (name, at) in [("nbf", nbf), ("exp", exp)] {
                if let Some(at) = at {
                    claims[name] = json!(at);
                }
            }
            check(claims.as_object().unwrap(), &client, &Issuer::parse(ISSUER).unwrap(), NOW)
        };
        let (begin, end) = (Some(999_000), Some(1_002_600));
        assert_eq!(of(SecurityProfile::Fapi2, begin, end), Ok(()));
        let no_time = (Some(1_000_005), Some(1_000_005));
        for (nbf, exp) in [(None, None), (begin, None), (None, end), (begin, Some(1_002_601)), no_time] {
            assert_eq!(of(SecurityProfile::Fapi2, nbf, exp), Err(ObjectError::Untimed), "{nbf:?} {exp:?}");
            for lenient in [SecurityProfile::None, SecurityProfile::Oauth21] {
                assert_eq!(of(lenient, nbf, exp), Ok(()), "{nbf:?} {exp:?}");
            }
        }
    }

    #[test]
    fn its_members_become_parameters() {
        let claims = json!({ "iss": "x", "exp": 1, "scope": "openid a", "max_age": 60, "state": null,
            "resource": ["https://a.test", "https://b.test"], "claims": { "userinfo": {} },
            "authorization_details": [{ "type": "x" }] });
        let expected = "authorization_details=%5B%7B%22type%22%3A%22x%22%7D%5D&claims=%7B%22userinfo%22%3A%7B%7D%7D&max_age=60\
             &resource=https%3A%2F%2Fa.test&resource=https%3A%2F%2Fb.test&scope=openid+a";
        assert_eq!(opened(claims).as_deref(), Ok(expected));
    }

    #[test]
    fn it_holds_no_other_and_nothing_that_no_form_could_carry() {
        for name in ["request", "request_uri"] {
            assert_eq!(opened(json!({ name: "x" })), Err(ObjectError::Nested), "{name}");
        }
        assert_eq!(opened(json!({ "state": "a\u{0}b" })), Err(ObjectError::Parameter));
        assert_eq!(opened(json!({ "state": "x".repeat(20_000) })), Err(ObjectError::Parameter));
    }
}

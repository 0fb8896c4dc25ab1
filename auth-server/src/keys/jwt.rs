//! The compact form of a signed JWT: written, and taken apart strictly.
//!
//! What the claims mean is for the caller to say; here it is decided who signed them and that nothing about the form is odd.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// The longest token that is looked at. Ours are below 2 KiB; a longer one is not ours and only costs time.
pub(crate) const MAX_JWT_LEN: usize = 16 * 1024;

/// What a token is, as its `typ` says. One kind is never accepted for another (RFC 8725 section 3.11).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum JwtType {
    /// RFC 9068 section 2.1.
    AccessToken,
    /// The answer to an authorization request (JARM), which has no `typ` of its own: ours keeps it apart.
    AuthorizationResponse,
    /// OpenID Connect Core asks for no `typ`; `JWT` is the one that every library takes.
    IdToken,
    /// RFC 9701 section 5.
    Introspection,
    /// OpenID Connect Back-Channel Logout section 2.4.
    LogoutToken,
    /// A policy snapshot for a guard.
    PolicySnapshot,
    /// Rules that a guard is to try beside those in force.
    PolicyShadow,
    /// RFC 9101 section 10.8.1.
    RequestObject,
    /// A signed answer of the userinfo endpoint. Libraries take no `typ` here but `JWT`; see [`VerifiedJwt::is_id_token`].
    UserInfo,
}

impl JwtType {
    pub(crate) const ALL: [Self; 9] = [
        Self::AccessToken,
        Self::AuthorizationResponse,
        Self::IdToken,
        Self::Introspection,
        Self::LogoutToken,
        Self::PolicySnapshot,
        Self::PolicyShadow,
        Self::RequestObject,
        Self::UserInfo,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::AuthorizationResponse => "oauth-authz-resp+jwt",
            Self::IdToken | Self::UserInfo => "JWT",
            Self::Introspection => "token-introspection+jwt",
            Self::LogoutToken => "logout+jwt",
            Self::PolicySnapshot => "portcullis-policy+jwt",
            Self::PolicyShadow => "portcullis-policy-shadow+jwt",
            Self::RequestObject => "oauth-authz-req+jwt",
        }
    }
}

/// The members of a header that matter here.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct JwtHeader {
    pub(crate) alg: String,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    /// Extensions that a recipient must understand. We understand none (RFC 7515 section 4.1.11).
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

impl JwtHeader {
    /// Whether the token says that it is of this kind; the prefix `application/` may be left out (RFC 7515 section 4.1.9).
    pub(crate) fn is(&self, kind: JwtType) -> bool {
        let typ = self.typ.as_deref().unwrap_or_default();
        let short = match typ.split_at_checked(12) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
            _ => typ,
        };
        short.eq_ignore_ascii_case(kind.as_str())
    }
}

/// A token whose signature was verified.
#[derive(Clone, Debug)]
pub(crate) struct VerifiedJwt {
    pub(crate) header: JwtHeader,
    pub(crate) claims: Map<String, Value>,
}

impl VerifiedJwt {
    /// Whether a token of ours is an ID token. A signed answer of the userinfo endpoint looks like one but never expires.
    pub(crate) fn is_id_token(&self) -> bool {
        self.header.is(JwtType::IdToken) && self.claims.contains_key("exp")
    }
}

/// Why a token is not believed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum JwtError {
    #[error("the signature does not match")]
    BadSignature,
    #[error("the token demands an extension that is not understood")]
    CriticalExtension,
    #[error("the token is not a signed JWT in compact form")]
    Malformed,
    #[error("the token is too long")]
    TooLong,
    #[error("no key of its issuer has the token's key id and algorithm")]
    UnknownKey,
}

/// A token taken apart, nothing verified yet.
pub(crate) struct CompactJwt<'a> {
    pub(crate) header: JwtHeader,
    /// What was signed: header and claims as they were sent.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
    payload: Vec<u8>,
}

impl<'a> CompactJwt<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, JwtError> {
        if token.len() > MAX_JWT_LEN {
            return Err(JwtError::TooLong);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(JwtError::Malformed)?;
        let header: JwtHeader = serde_json::from_slice(&decode(header)?).map_err(|_| JwtError::Malformed)?;
        if header.crit.is_some() {
            return Err(JwtError::CriticalExtension);
        }
        // A dot inside the payload (a JWE has five parts) fails here: it is no base64url.
        Ok(Self { header, signed, signature: decode(signature)?, payload: decode(payload)? })
    }

    /// Opens the claims. Only for a caller that has verified the signature.
    pub(crate) fn into_verified(self) -> Result<VerifiedJwt, JwtError> {
        let claims = serde_json::from_slice(&self.payload).map_err(|_| JwtError::Malformed)?;
        Ok(VerifiedJwt { header: self.header, claims })
    }
}

fn decode(part: &str) -> Result<Vec<u8>, JwtError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| JwtError::Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, payload: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload))
    }

    fn refusal(token: &str) -> Option<JwtError> {
        CompactJwt::parse(token).and_then(CompactJwt::into_verified).err()
    }

    #[test]
    fn a_token_is_taken_apart() {
        let text = token(r#"{"alg":"ES256","kid":"a","typ":"at+jwt"}"#, r#"{"sub":"x"}"#);
        let jwt = CompactJwt::parse(&text).unwrap();
        assert_eq!(jwt.signed, text.rsplit_once('.').unwrap().0);
        assert!(jwt.header.is(JwtType::AccessToken) && !jwt.header.is(JwtType::IdToken));
        assert_eq!(jwt.into_verified().unwrap().claims["sub"], "x");
    }

    #[test]
    fn typ_may_be_written_as_a_full_media_type() {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            let text = token(&format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#), "{}");
            assert!(CompactJwt::parse(&text).unwrap().header.is(JwtType::AccessToken), "{typ}");
        }
    }

    #[test]
    fn odd_forms_are_refused() {
        let good = token(r#"{"alg":"ES256"}"#, "{}");
        let malformed = [
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            &good[1..],
            &format!("{good}="),
            &format!("{good}.AAAA"),
            &format!(" {good}"),
            &token("{}", "{}"),
            &token(r#"{"alg":5}"#, "{}"),
            &token(r#"["ES256"]"#, "{}"),
            &token(r#"{"alg":"ES256"}"#, "[]"),
            &token(r#"{"alg":"ES256"}"#, ""),
            &token(r#"{"alg":"ES256","alg":"none"}"#, "{}"),
            "é.é.é",
        ];
        for text in malformed {
            assert_eq!(refusal(text), Some(JwtError::Malformed), "{text}");
        }
        assert_eq!(
            refusal(&token(r#"{"alg":"ES256","crit":["exp"]}"#, "{}")),
            Some(JwtError::CriticalExtension)
        );
        assert_eq!(refusal(&"a".repeat(MAX_JWT_LEN + 1)), Some(JwtError::TooLong));
        assert_eq!(refusal(&good), None);
    }
}

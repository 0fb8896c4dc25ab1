//! What a client says about itself in a request, before anything is checked.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::domain::oauth_error::OAuthErrorCode;
use crate::domain::parameters::{Parameters, ParametersError, decode};

/// The one `client_assertion_type` there is (RFC 7523 §2.2).
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// The longest assertion that is looked at.
const LONGEST_ASSERTION: usize = 8192;

/// What a client shows to prove who it is.
#[derive(Clone)]
pub(crate) enum ClientCredential {
    /// `private_key_jwt`. The client names itself in the assertion.
    Assertion { client_id: String, assertion: String },
    /// `client_secret_basic`.
    Basic { client_id: String, secret: Zeroizing<String> },
    /// Nothing: a public client.
    None { client_id: String },
    /// `client_secret_post`.
    Post { client_id: String, secret: Zeroizing<String> },
}

/// Why the request does not say clearly who sends it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum CredentialError {
    #[error("the Authorization header cannot be read")]
    Header,
    #[error("client_id does not fit the credential beside it")]
    Mismatch,
    #[error("the request does not say which client sends it")]
    Missing,
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error("the client authenticates in more than one way")]
    Several,
    #[error("client_assertion_type is missing or unknown, or the assertion is unreadable")]
    UnreadableAssertion,
}

impl CredentialError {
    pub(crate) const fn code(self) -> OAuthErrorCode {
        match self {
            Self::Header | Self::Missing | Self::UnreadableAssertion => OAuthErrorCode::InvalidClient,
            Self::Mismatch | Self::Parameters(_) | Self::Several => OAuthErrorCode::InvalidRequest,
        }
    }
}

impl ClientCredential {
    /// Reads the credential of a request from its `Authorization` header and its form.
    ///
    /// More than one way at once is refused ([RFC 6749 §2.3]): an attacker could add a second one that the next hop reads.
    ///
    /// [RFC 6749 §2.3]: https://www.rfc-editor.org/rfc/rfc6749#section-2.3
    pub(crate) fn read(authorization: Option<&str>, form: &Parameters) -> Result<Self, CredentialError> {
        let named = form.get("client_id")?;
        let secret = form.get("client_secret")?;
        let assertion = form.get("client_assertion")?;
        let assertion_type = form.get("client_assertion_type")?;
        match (authorization, secret, assertion) {
            (Some(header), None, None) => Self::basic(header, named),
            (None, Some(secret), None) => Ok(Self::Post {
                client_id: named.ok_or(CredentialError::Missing)?.to_owned(),
                secret: Zeroizing::new(secret.to_owned()),
            }),
            (None, None, Some(assertion)) => Self::assertion(assertion, assertion_type, named),
            (None, None, None) if assertion_type.is_some() => Err(CredentialError::UnreadableAssertion),
            (None, None, None) => {
                Ok(Self::None { client_id: named.ok_or(CredentialError::Missing)?.to_owned() })
            }
            _ => Err(CredentialError::Several),
        }
    }

    /// Who the client says it is.
    pub(crate) fn client_id(&self) -> &str {
        match self {
            Self::Assertion { client_id, .. }
            | Self::Basic { client_id, .. }
            | Self::None { client_id }
            | Self::Post { client_id, .. } => client_id,
        }
    }

    /// RFC 6749 §2.3.1: id and secret are form-encoded before they are joined by a colon.
    fn basic(header: &str, named: Option<&str>) -> Result<Self, CredentialError> {
        let (scheme, encoded) = header.split_once(' ').ok_or(CredentialError::Header)?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(CredentialError::Header);
        }
        let joined =
            STANDARD.decode(encoded.trim()).map(Zeroizing::new).map_err(|_| CredentialError::Header)?;
        let colon = joined.iter().position(|byte| *byte == b':').ok_or(CredentialError::Header)?;
        let (id, secret) = joined.split_at(colon);
        let client_id = decode(id).map_err(|_| CredentialError::Header)?;
        let secret = decode(secret.get(1..).unwrap_or_default()).map_err(|_| CredentialError::Header)?;
        if client_id.is_empty() || secret.is_empty() {
            return Err(CredentialError::Header);
        }
        if named.is_some_and(|named| named != client_id) {
            return Err(CredentialError::Mismatch);
        }
        Ok(Self::Basic { client_id, secret: Zeroizing::new(secret) })
    }

    fn assertion(assertion: &str, kind: Option<&str>, named: Option<&str>) -> Result<Self, CredentialError> {
        if kind != Some(JWT_BEARER) || assertion.len() > LONGEST_ASSERTION {
            return Err(CredentialError::UnreadableAssertion);
        }
        // Read before it is verified, only to find the client whose keys decide.
        let subject = crate::services::client_auth::assertion::claimed_subject(assertion)
            .ok_or(CredentialError::UnreadableAssertion)?;
        // RFC 7521 §4.2: client_id is unnecessary, and must name the same client.
        if named.is_some_and(|named| named != subject) {
            return Err(CredentialError::Mismatch);
        }
        Ok(Self::Assertion { client_id: subject, assertion: assertion.to_owned() })
    }
}

/// The way and the client, never the secret.
impl fmt::Debug for ClientCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = match self {
            Self::Assertion { .. } => "Assertion",
            Self::Basic { .. } => "Basic",
            Self::None { .. } => "None",
            Self::Post { .. } => "Post",
        };
        write!(f, "{way}({}, ..)", self.client_id())
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    use super::*;

    fn read(header: Option<&str>, form: &str) -> Result<ClientCredential, CredentialError> {
        ClientCredential::read(header, &Parameters::parse(form.as_bytes()).unwrap())
    }

    /// The way and the client, and never the secret.
    fn shown(header: Option<&str>, form: &str) -> String {
        format!("{:?}", read(header, form).unwrap())
    }

    fn basic(joined: &str) -> String {
        format!("Basic {}", STANDARD.encode(joined))
    }

    fn refusal(header: Option<&str>, form: &str) -> CredentialError {
        read(header, form).unwrap_err()
    }

    fn assertion(claims: &str) -> String {
        format!("{}.{}.AAAA", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn both_halves_of_basic_are_form_decoded() {
        let credential = read(Some(&basic("cli%5Fa:s%3Acr+t")), "").unwrap();
        assert!(
            matches!(&credential, ClientCredential::Basic { client_id, secret } if client_id == "cli_a" && secret.as_str() == "s:cr t")
        );
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_other_schemes_are_refused() {
        assert_eq!(shown(Some(&basic("a:b").replace("Basic", "bAsIc")), ""), "Basic(a, ..)");
        for header in
            ["Basic", "Basic ", "Basic ???", "Bearer abc", "", &basic("nocolon"), &basic(":b"), &basic("a:")]
        {
            assert_eq!(refusal(Some(header), "client_id=a"), CredentialError::Header, "{header}");
        }
        assert_eq!(refusal(Some(&basic("a:%ff")), ""), CredentialError::Header);
    }

    #[test]
    fn two_ways_at_once_are_refused() {
        let jwt = assertion(r#"{"sub":"a"}"#);
        let by_assertion = format!("client_assertion={jwt}&client_assertion_type={JWT_BEARER}");
        assert_eq!(refusal(Some(&basic("a:b")), "client_id=a&client_secret=b"), CredentialError::Several);
        assert_eq!(refusal(Some(&basic("a:b")), &by_assertion), CredentialError::Several);
        assert_eq!(
            refusal(None, &format!("client_id=a&client_secret=b&{by_assertion}")),
            CredentialError::Several
        );
    }

    #[test]
    fn a_client_id_beside_another_credential_must_agree() {
        assert_eq!(shown(Some(&basic("a:b")), "client_id=a"), "Basic(a, ..)");
        assert_eq!(refusal(Some(&basic("a:b")), "client_id=c"), CredentialError::Mismatch);
        let jwt = assertion(r#"{"sub":"a"}"#);
        let form = format!("client_assertion={jwt}&client_assertion_type={JWT_BEARER}&client_id=");
        assert_eq!(shown(None, &format!("{form}a")), "Assertion(a, ..)");
        assert_eq!(refusal(None, &format!("{form}b")), CredentialError::Mismatch);
    }

    #[test]
    fn an_assertion_needs_its_type_and_a_subject() {
        let good = assertion(r#"{"sub":"a"}"#);
        for form in [
            format!("client_assertion={good}"),
            format!("client_assertion={good}&client_assertion_type=saml"),
            format!("client_assertion_type={JWT_BEARER}"),
            format!("client_assertion={}&client_assertion_type={JWT_BEARER}", assertion("{}")),
            format!("client_assertion=x&client_assertion_type={JWT_BEARER}"),
        ] {
            assert_eq!(refusal(None, &form), CredentialError::UnreadableAssertion, "{form}");
        }
    }

    #[test]
    fn nothing_at_all_is_no_client_and_repeats_are_refused() {
        assert_eq!(refusal(None, ""), CredentialError::Missing);
        assert_eq!(refusal(None, "client_secret=x"), CredentialError::Missing);
        let repeated = CredentialError::Parameters(ParametersError::Repeated);
        assert_eq!(refusal(None, "client_id=a&client_id=a"), repeated);
        assert_eq!(refusal(None, "client_id=a&client_secret=x&client_secret=y"), repeated);
    }

    #[test]
    fn debug_output_never_shows_a_secret() {
        assert_eq!(shown(Some(&basic("a:hunter2")), ""), "Basic(a, ..)");
        assert_eq!(shown(None, "client_id=a&client_secret=hunter2"), "Post(a, ..)");
    }
}

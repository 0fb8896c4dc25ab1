//! What a client says of itself: the metadata of [RFC 7591 §2](https://www.rfc-editor.org/rfc/rfc7591#section-2) and of
//! [OpenID Connect Registration §2](https://openid.net/specs/openid-connect-registration-1_0.html#ClientMetadata), whether it sends them
//! or publishes them.
//!
//! Members that are not known here are ignored, and not told back.

use serde::Deserialize;
use serde_json::Value;

use crate::services::fields::FieldErrors;
use crate::services::registration::from_behind::FromBehind;

/// What is wrong with what a client says of itself (RFC 7591 §3.2.2).
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum MetadataError {
    #[error("{0}")]
    Metadata(String),
    #[error("{0}")]
    RedirectUri(String),
}

impl MetadataError {
    pub(super) fn of(member: &str, what: impl std::fmt::Display) -> Self {
        let said = format!("{member}: {what}");
        if member.starts_with("redirect_uris") { Self::RedirectUri(said) } else { Self::Metadata(said) }
    }
}

impl From<FieldErrors> for MetadataError {
    /// The first mistake, by the name that the member has in the metadata.
    fn from(errors: FieldErrors) -> Self {
        let Some(first) = errors.iter().next() else { return Self::of("metadata", "cannot be accepted") };
        let path = first.pointer.trim_start_matches('/');
        let path = path.strip_prefix("options/").unwrap_or(path);
        let path =
            path.strip_prefix("protocol/").or_else(|| path.strip_prefix("authentication/")).unwrap_or(path);
        let (member, rest) = path.split_once('/').unwrap_or((path, ""));
        let member = match member {
            "apis" | "serves" => "resource",
            "id_token_alg" => "id_token_signed_response_alg",
            "name" => "client_name",
            "preset" => "grant_types",
            "require_pushed_requests" => "require_pushed_authorization_requests",
            "scopes" => "scope",
            "sector_identifier" => "sector_identifier_uri",
            other => other,
        };
        let place = if rest.is_empty() { member.to_owned() } else { format!("{member}/{rest}") };
        Self::of(&place, &first.message)
    }
}

/// The members that mean something here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ClientMetadata {
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<String>,
    pub(super) client_secret_expires_at: Option<Value>,
    pub(super) client_id_issued_at: Option<Value>,
    pub(super) registration_access_token: Option<Value>,
    pub(super) registration_client_uri: Option<Value>,
    pub(super) redirect_uris: Option<Vec<String>>,
    pub(super) post_logout_redirect_uris: Option<Vec<String>>,
    pub(super) token_endpoint_auth_method: Option<String>,
    pub(super) grant_types: Option<Vec<String>>,
    pub(super) response_types: Option<Vec<String>>,
    pub(super) client_name: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) jwks: Option<Value>,
    pub(super) jwks_uri: Option<String>,
    pub(super) id_token_signed_response_alg: Option<String>,
    pub(super) userinfo_signed_response_alg: Option<String>,
    pub(super) subject_type: Option<String>,
    pub(super) sector_identifier_uri: Option<String>,
    pub(super) tls_client_auth_subject_dn: Option<String>,
    pub(super) tls_client_auth_san_dns: Option<String>,
    pub(super) tls_client_auth_san_uri: Option<String>,
    pub(super) tls_client_auth_san_ip: Option<String>,
    pub(super) tls_client_auth_san_email: Option<String>,
    pub(super) dpop_bound_access_tokens: Option<bool>,
    pub(super) tls_client_certificate_bound_access_tokens: Option<bool>,
    pub(super) authorization_signed_response_alg: Option<String>,
    pub(super) introspection_signed_response_alg: Option<String>,
    pub(super) require_signed_request_object: Option<bool>,
    pub(super) require_pushed_authorization_requests: Option<bool>,
    pub(super) backchannel_logout_uri: Option<String>,
    pub(super) backchannel_logout_session_required: Option<bool>,
    pub(super) client_uri: Option<String>,
    pub(super) logo_uri: Option<String>,
    pub(super) policy_uri: Option<String>,
    pub(super) tos_uri: Option<String>,
    pub(super) initiate_login_uri: Option<String>,
    pub(super) application_type: Option<String>,
    pub(super) default_max_age: Option<u32>,
    pub(super) request_object_signing_alg: Option<String>,
    pub(super) token_endpoint_auth_signing_alg: Option<String>,
    pub(super) contacts: Option<Vec<String>>,
    pub(super) software_id: Option<String>,
    pub(super) software_version: Option<String>,
    #[serde(flatten)]
    pub(super) unmet: Unmet,
    #[serde(flatten)]
    pub(super) from_behind: FromBehind,
}

/// Members that are understood, and that the server cannot do as they ask.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "the members are those of the specifications")]
pub(crate) struct Unmet {
    authorization_encrypted_response_alg: Option<Value>,
    id_token_encrypted_response_alg: Option<Value>,
    introspection_encrypted_response_alg: Option<Value>,
    userinfo_encrypted_response_alg: Option<Value>,
}

impl Unmet {
    /// Whoever asks that answers be encrypted must not get them plain.
    pub(super) fn check(&self) -> Result<(), MetadataError> {
        let Self {
            authorization_encrypted_response_alg,
            id_token_encrypted_response_alg,
            introspection_encrypted_response_alg,
            userinfo_encrypted_response_alg,
        } = self;
        for (member, asked) in [
            ("authorization_encrypted_response_alg", authorization_encrypted_response_alg),
            ("id_token_encrypted_response_alg", id_token_encrypted_response_alg),
            ("introspection_encrypted_response_alg", introspection_encrypted_response_alg),
            ("userinfo_encrypted_response_alg", userinfo_encrypted_response_alg),
        ] {
            if asked.is_some() {
                return Err(MetadataError::of(member, "nothing is encrypted here"));
            }
        }
        Ok(())
    }
}

impl ClientMetadata {
    /// Reads a JSON object.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, MetadataError> {
        let mut members = serde_json::Deserializer::from_slice(body);
        let unreadable = |error: serde_json::Error| {
            let place =
                if error.is_data() { "a member has the wrong type, or is there twice" } else { "no JSON" };
            MetadataError::Metadata(format!("the metadata cannot be read: {place}"))
        };
        // Of an array, the members of a struct would be taken in their order.
        if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'{') {
            return Err(MetadataError::Metadata("the metadata are no JSON object".to_owned()));
        }
        let read = Self::deserialize(&mut members).map_err(unreadable)?;
        members.end().map_err(unreadable)?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_object_is_not_read() {
        for bad in ["", "[]", "null", "7", "{", "{} {}", r#"{"client_name":"a","client_name":"b"}"#] {
            assert!(
                matches!(ClientMetadata::parse(bad.as_bytes()), Err(MetadataError::Metadata(_))),
                "{bad}"
            );
        }
    }
}

//! What a client can be held to as a whole: the one place that says what each profile asks.
//!
//! - [FAPI 2.0 Security Profile](https://openid.net/specs/fapi-security-profile-2_0-final.html)
//! - [OAuth 2.1](https://datatracker.ietf.org/doc/draft-ietf-oauth-v2-1/)

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::client_authentication::AuthMethod;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::signing::SigningAlg;

/// The longest life of a code (FAPI 2.0 §5.3.2.1).
const LONGEST_CODE: Duration = Duration::from_mins(1);
/// The longest life of a handle: less than ten minutes (FAPI 2.0 §5.3.2.2).
const LONGEST_HANDLE: Duration = Duration::from_secs(599);

/// A set of rules that a client is held to beyond those that hold for every client.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecurityProfile {
    /// The FAPI 2.0 Security Profile.
    Fapi2,
    /// What every client is held to, and nothing more.
    #[default]
    None,
    /// OAuth 2.1.
    Oauth21,
}

/// The text names no profile.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of fapi2, none, oauth21")]
pub struct UnknownProfile;

/// What becomes of a refresh token that is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Rotation {
    /// Another takes its place.
    EachUse,
    /// It stays, as long as it is used.
    Never,
}

/// Whether an application is one on a person's device.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Home {
    /// It is: answers reach it by a loopback address as well (RFC 8252 §7.3).
    Device,
    /// It is somewhere on the web.
    Web,
}

impl SecurityProfile {
    /// Every profile there is.
    pub const ALL: [Self; 3] = [Self::Fapi2, Self::None, Self::Oauth21];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fapi2 => "fapi2",
            Self::None => "none",
            Self::Oauth21 => "oauth21",
        }
    }

    /// Whether a client may prove by this who it is (FAPI 2.0 §5.3.2.1: confidential clients alone, by a signature or a certificate).
    pub const fn permits_method(self, method: AuthMethod) -> bool {
        match self {
            Self::Fapi2 => matches!(
                method,
                AuthMethod::PrivateKeyJwt | AuthMethod::SelfSignedTlsClientAuth | AuthMethod::TlsClientAuth
            ),
            Self::None | Self::Oauth21 => true,
        }
    }

    /// Whether JWTs of the client, and those for it, may be signed by this (FAPI 2.0 §5.4.1).
    pub const fn permits_alg(self, alg: SigningAlg) -> bool {
        match (self, alg) {
            (Self::Fapi2, SigningAlg::Rs256) => false,
            (Self::Fapi2, SigningAlg::EdDsa | SigningAlg::Es256 | SigningAlg::Ps256)
            | (Self::None | Self::Oauth21, _) => true,
        }
    }

    /// The same for the name of an algorithm. One that is unknown is permitted to nobody.
    pub fn permits_alg_named(self, name: &str) -> bool {
        name.parse().is_ok_and(|alg| self.permits_alg(alg))
    }

    /// Whether answers may be sent to this address: by https, beside what an application on a device may do (FAPI 2.0 §5.3.2.2, RFC 9700
    /// §2.6).
    pub fn permits_redirect(self, redirect: &RedirectUri, home: Home) -> bool {
        match (self, home) {
            (Self::None, _) | (Self::Fapi2 | Self::Oauth21, Home::Device) => true,
            (Self::Fapi2 | Self::Oauth21, Home::Web) => redirect.as_str().starts_with("https://"),
        }
    }

    /// Whether the server calls addresses of the client only by TLS (FAPI 2.0 §5.2.1).
    pub const fn demands_tls(self) -> bool {
        matches!(self, Self::Fapi2)
    }

    /// Whether authorization requests have to be pushed (FAPI 2.0 §5.3.2.2).
    pub const fn demands_pushed_requests(self) -> bool {
        matches!(self, Self::Fapi2)
    }

    /// Whether each authorization request has to bring a challenge (FAPI 2.0 §5.3.2.2, OAuth 2.1 §4.1.1). OAuth 2.1
    /// lets confidential clients go by their nonce, which is for them to check (§7.5.1): nobody here could say that they do.
    pub const fn demands_pkce(self) -> bool {
        match self {
            Self::Fapi2 | Self::Oauth21 => true,
            Self::None => false,
        }
    }

    /// Whether an assertion that proves who a client is names the issuer and nothing else (FAPI 2.0 §5.3.2.1).
    pub const fn demands_issuer_audience(self) -> bool {
        matches!(self, Self::Fapi2)
    }

    /// Whether an authorization request has to name its redirect URI, even if there is only one (FAPI 2.0 §5.3.2.2).
    pub const fn demands_named_redirect(self) -> bool {
        matches!(self, Self::Fapi2)
    }

    /// Whether a request that the client signs says from when until when it is good (FAPI 2.0 Message Signing §5.3.1).
    pub const fn demands_timed_objects(self) -> bool {
        matches!(self, Self::Fapi2)
    }

    /// Whether a client of which it is set what its answers are signed with gets no others (FAPI 2.0 Message Signing §5.4.1).
    pub const fn demands_signed_answers(self) -> bool {
        matches!(self, Self::Fapi2)
    }

    /// Whether access tokens have to be bound to a key or a certificate (FAPI 2.0 §5.3.2.1).
    pub const fn demands_bound_tokens(self) -> bool {
        matches!(self, Self::Fapi2)
    }

    /// Whether the token request has to repeat the redirect URI that the authorization request named. In OAuth 2.1 (§4.1.3, §10.2) it
    /// may: where it does, it has to be the same.
    pub const fn demands_repeated_redirect(self) -> bool {
        match self {
            Self::Fapi2 | Self::None => true,
            Self::Oauth21 => false,
        }
    }

    /// What becomes of a refresh token that is used. FAPI 2.0 §5.3.2.1 forbids rotation: what is bound to a client that proves who it is
    /// gains nothing by it, and a lost answer costs the grant.
    pub const fn rotation(self) -> Rotation {
        match self {
            Self::Fapi2 => Rotation::Never,
            Self::None | Self::Oauth21 => Rotation::EachUse,
        }
    }

    /// How long a code lives that usually lives so long.
    pub fn code_ttl(self, usual: Duration) -> Duration {
        match self {
            Self::Fapi2 => usual.min(LONGEST_CODE),
            Self::None | Self::Oauth21 => usual,
        }
    }

    /// How long a pushed request lives that usually lives so long.
    pub fn pushed_request_ttl(self, usual: Duration) -> Duration {
        match self {
            Self::Fapi2 => usual.min(LONGEST_HANDLE),
            Self::None | Self::Oauth21 => usual,
        }
    }
}

impl fmt::Display for SecurityProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SecurityProfile {
    type Err = UnknownProfile;

    fn from_str(raw: &str) -> Result<Self, UnknownProfile> {
        Self::ALL.into_iter().find(|profile| profile.as_str() == raw).ok_or(UnknownProfile)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_way_to_text_and_back() {
        for profile in SecurityProfile::ALL {
            assert_eq!(profile.as_str().parse(), Ok(profile));
            assert_eq!(serde_json::to_string(&profile).unwrap(), format!("\"{profile}\""));
        }
        for unknown in ["", "FAPI2", "fapi1", "fapi2 "] {
            assert_eq!(unknown.parse::<SecurityProfile>(), Err(UnknownProfile), "{unknown}");
        }
    }

    #[test]
    fn fapi2_takes_signatures_and_certificates_and_no_rs256() {
        use SecurityProfile::{Fapi2, None, Oauth21};
        let methods: Vec<&str> = AuthMethod::NAMED
            .into_iter()
            .filter(|method| Fapi2.permits_method(*method))
            .map(AuthMethod::as_str)
            .collect();
        assert_eq!(methods, ["private_key_jwt", "self_signed_tls_client_auth", "tls_client_auth"]);
        assert!(!Fapi2.permits_method(AuthMethod::ClientSecret));
        let algs: Vec<SigningAlg> =
            SigningAlg::ALL.into_iter().filter(|alg| Fapi2.permits_alg(*alg)).collect();
        assert_eq!(algs, [SigningAlg::EdDsa, SigningAlg::Es256, SigningAlg::Ps256]);
        for odd in ["none", "HS256", "RS256", ""] {
            assert!(!Fapi2.permits_alg_named(odd), "{odd}");
        }
        for profile in [None, Oauth21] {
            assert!(SigningAlg::ALL.into_iter().all(|alg| profile.permits_alg(alg)));
            assert!(AuthMethod::NAMED.into_iter().all(|method| profile.permits_method(method)));
        }
    }

    #[test]
    fn answers_go_by_https_but_to_applications_on_a_device() {
        let redirect = |raw| RedirectUri::parse(raw).unwrap();
        let (web, loopback) = (redirect("https://a.example/cb"), redirect("http://127.0.0.1/cb"));
        for profile in SecurityProfile::ALL {
            assert!(profile.permits_redirect(&web, Home::Web));
            assert!(profile.permits_redirect(&loopback, Home::Device));
            assert_eq!(profile.permits_redirect(&loopback, Home::Web), profile == SecurityProfile::None);
        }
    }

    #[test]
    fn fapi2_shortens_lives_and_never_lengthens_them() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_hours(1));
        assert_eq!(SecurityProfile::Fapi2.code_ttl(hour), Duration::from_mins(1));
        assert_eq!(SecurityProfile::Fapi2.pushed_request_ttl(hour), Duration::from_secs(599));
        for profile in SecurityProfile::ALL {
            assert_eq!((profile.code_ttl(second), profile.pushed_request_ttl(second)), (second, second));
        }
        assert_eq!(SecurityProfile::Oauth21.code_ttl(hour), hour);
    }
}

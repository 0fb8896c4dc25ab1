//! What a client wants of OpenID Connect.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::ciba::CibaSettings;
use crate::domain::signing::SigningAlg;

/// What a client wants of OpenID Connect beyond what every client gets.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct OpenIdSettings {
    /// What people are called in its tokens.
    pub subject: SubjectType,
    /// What answers of the userinfo endpoint are signed with; without it they are plain JSON (OpenID Connect Core §5.3.2).
    pub userinfo_alg: Option<SigningAlg>,
    /// Where others may send somebody who is to sign in there (OpenID Connect Core §4).
    pub initiate_login_uri: Option<String>,
    /// How long ago somebody may have signed in, where a request does not say it (`default_max_age`).
    pub default_max_age_secs: Option<u32>,
    /// What its request objects are signed by (`request_object_signing_alg`). Without it: whatever its keys sign by.
    pub request_object_alg: Option<SigningAlg>,
    /// Whether and how it may start sign-ins from behind (CIBA §4).
    pub ciba: Option<CibaSettings>,
    /// What kind of application it says that it is.
    pub application_type: Option<ApplicationType>,
}

/// What kind of application a client says that it is ([OpenID Connect Registration §2]).
///
/// [OpenID Connect Registration §2]: https://openid.net/specs/openid-connect-registration-1_0.html#ClientMetadata
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ApplicationType {
    /// One on a person's device.
    Native,
    /// One on the web.
    Web,
}

/// The text names no kind of application.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of native, web")]
pub struct UnknownApplicationType;

impl ApplicationType {
    /// Its name, as metadata have it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Web => "web",
        }
    }
}

impl FromStr for ApplicationType {
    type Err = UnknownApplicationType;

    fn from_str(raw: &str) -> Result<Self, UnknownApplicationType> {
        [Self::Native, Self::Web]
            .into_iter()
            .find(|known| known.as_str() == raw)
            .ok_or(UnknownApplicationType)
    }
}

/// What people are called in the tokens of a client (OpenID Connect Core §8).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectType {
    /// By a subject that only the clients of one sector know.
    Pairwise {
        /// The host that these clients share.
        sector: String,
    },
    /// By the subject that every client knows.
    #[default]
    Public,
}

impl SubjectType {
    /// The names of both, as metadata have them.
    pub const NAMES: [&'static str; 2] = ["pairwise", "public"];

    /// Its name, as metadata have it.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Pairwise { .. } => "pairwise",
            Self::Public => "public",
        }
    }

    /// The sector, where there is one.
    pub fn sector(&self) -> Option<&str> {
        match self {
            Self::Pairwise { sector } => Some(sector),
            Self::Public => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_nothing_means_public() {
        let pairwise = SubjectType::Pairwise { sector: "a.example".to_owned() };
        let settings = OpenIdSettings { subject: pairwise, ..OpenIdSettings::default() };
        let kept = serde_json::to_string(&settings).unwrap();
        assert_eq!(serde_json::from_str::<OpenIdSettings>(&kept).unwrap(), settings);
        assert_eq!(serde_json::from_str::<OpenIdSettings>("{}").unwrap().subject, SubjectType::Public);
        assert!(SubjectType::NAMES.contains(&settings.subject.as_str()));
        assert!(SubjectType::NAMES.contains(&SubjectType::Public.as_str()));
    }

    #[test]
    fn kinds_of_applications_survive_the_way_to_text_and_back() {
        for kind in [ApplicationType::Native, ApplicationType::Web] {
            assert_eq!(kind.as_str().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        for unknown in ["", "Web", "spa"] {
            assert_eq!(unknown.parse::<ApplicationType>(), Err(UnknownApplicationType), "{unknown}");
        }
    }
}

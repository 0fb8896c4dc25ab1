//! What a client is spared that all others are held to, because an administrator said so.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a client is spared. What is not said is spared nobody.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Concessions {
    /// Whether its authorization requests may come without a challenge.
    pub pkce: Pkce,
    /// Whom its assertions may be for.
    pub assertion_audience: AssertionAudience,
}

/// Whether authorization requests have to bring a challenge (RFC 7636). One that was sent is held to in any case.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Pkce {
    /// They may.
    Optional,
    /// Nothing else is accepted.
    #[default]
    Required,
}

impl Pkce {
    /// Whether nothing else is accepted.
    pub const fn is_required(self) -> bool {
        matches!(self, Self::Required)
    }
}

impl From<bool> for Pkce {
    fn from(required: bool) -> Self {
        if required { Self::Required } else { Self::Optional }
    }
}

/// Whom the assertions of a client may be for that prove who it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AssertionAudience {
    /// The issuer, the token endpoint, or the endpoint that they are sent to ([RFC 9126 §2]).
    ///
    /// [RFC 9126 §2]: https://www.rfc-editor.org/rfc/rfc9126#section-2
    Endpoint,
    /// The issuer alone.
    #[default]
    Issuer,
}

/// The text names no audience.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected one of endpoint, issuer")]
pub struct UnknownAudience;

impl AssertionAudience {
    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint",
            Self::Issuer => "issuer",
        }
    }
}

impl FromStr for AssertionAudience {
    type Err = UnknownAudience;

    fn from_str(raw: &str) -> Result<Self, UnknownAudience> {
        [Self::Endpoint, Self::Issuer].into_iter().find(|known| known.as_str() == raw).ok_or(UnknownAudience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_spared_nobody() {
        let kept = serde_json::from_str::<Concessions>("{}").unwrap();
        assert_eq!((kept.pkce, kept.assertion_audience), (Pkce::Required, AssertionAudience::Issuer));
        let both = Concessions { pkce: Pkce::Optional, assertion_audience: AssertionAudience::Endpoint };
        let text = serde_json::to_string(&both).unwrap();
        assert_eq!(text, r#"{"pkce":"optional","assertion_audience":"endpoint"}"#);
        assert_eq!(serde_json::from_str::<Concessions>(&text).unwrap(), both);
    }

    #[test]
    fn names_survive_the_way_to_text_and_back() {
        for audience in [AssertionAudience::Endpoint, AssertionAudience::Issuer] {
            assert_eq!(audience.as_str().parse(), Ok(audience));
            assert_eq!(serde_json::to_value(audience).unwrap(), audience.as_str());
        }
        for unknown in ["", "Issuer", "token_endpoint"] {
            assert_eq!(unknown.parse::<AssertionAudience>(), Err(UnknownAudience), "{unknown}");
        }
    }
}

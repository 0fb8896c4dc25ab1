//! How the answer to an authorization request travels.

use serde::{Deserialize, Serialize};

/// The `response_mode` of a request. The answers of `fragment` would reach scripts and histories that nobody counts on: it does not
/// exist here.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ResponseMode {
    /// In a form that the browser sends (OAuth 2.0 Form Post Response Mode §2).
    FormPost,
    /// In a form, signed (JARM §2.3.3).
    FormPostJwt,
    /// In the query of the redirect URI (RFC 6749 §4.1.2).
    #[default]
    Query,
    /// In the query, signed (JARM §2.3.1).
    QueryJwt,
}

impl ResponseMode {
    pub(crate) const ALL: [Self; 4] = [Self::FormPost, Self::FormPostJwt, Self::Query, Self::QueryJwt];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::FormPost => "form_post",
            Self::FormPostJwt => "form_post.jwt",
            Self::Query => "query",
            Self::QueryJwt => "query.jwt",
        }
    }

    /// What a request asks for. `jwt` is the default of its response type, signed: that of `code` is the query (JARM §2.3.4).
    pub(crate) fn parse(raw: Option<&str>) -> Option<Self> {
        match raw {
            None => Some(Self::Query),
            Some("jwt") => Some(Self::QueryJwt),
            Some(raw) => Self::ALL.into_iter().find(|mode| mode.as_str() == raw),
        }
    }

    /// Whether the answer is a signed JWT.
    pub(crate) const fn is_signed(self) -> bool {
        matches!(self, Self::FormPostJwt | Self::QueryJwt)
    }

    /// Whether the answer is a form.
    pub(crate) const fn is_form(self) -> bool {
        matches!(self, Self::FormPost | Self::FormPostJwt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_is_read_by_its_name_and_no_other_exists() {
        for mode in ResponseMode::ALL {
            assert_eq!(ResponseMode::parse(Some(mode.as_str())), Some(mode));
        }
        assert_eq!(ResponseMode::parse(None), Some(ResponseMode::Query));
        assert_eq!(ResponseMode::parse(Some("jwt")), Some(ResponseMode::QueryJwt));
        for other in ["fragment", "fragment.jwt", "web_message", "QUERY", ""] {
            assert_eq!(ResponseMode::parse(Some(other)), None, "{other}");
        }
    }
}

//! Where a sign-in leads that no application asked for.

use crate::domain::ids::ApiId;
use crate::services::policies::{RULES_PATH, rules_path};

/// Where a sign-in leads that no application asked for. A list and not an address: nobody can be sent elsewhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Next {
    #[default]
    Account,
    Password,
    Rulebooks,
    Rules(ApiId),
}

impl Next {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "password" => Self::Password,
            "rules" => Self::Rulebooks,
            name => ApiId::parse(name).map_or(Self::Account, Self::Rules),
        }
    }

    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Account => None,
            Self::Password => Some("password"),
            Self::Rulebooks => Some("rules"),
            Self::Rules(api) => Some(api.as_str()),
        }
    }

    pub(super) fn path(&self) -> String {
        match self {
            Self::Account => "/account".to_owned(),
            Self::Password => "/account/security/password".to_owned(),
            Self::Rulebooks => RULES_PATH.to_owned(),
            Self::Rules(api) => rules_path(api),
        }
    }

    /// The sign-in page that leads there.
    pub(super) fn login(&self) -> String {
        self.name().map_or_else(|| "/login".to_owned(), |name| format!("/login?next={name}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_one_of_our_pages_whatever_is_asked_for() {
        let api = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
        for (name, path) in [
            ("", "/account"),
            ("password", "/account/security/password"),
            (api, "/admin/policies/api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c"),
            ("https://evil.example", "/account"),
            ("//evil.example", "/account"),
            ("/\\evil.example", "/account"),
            ("api_../../login", "/account"),
        ] {
            assert_eq!(Next::named(name).path(), path);
        }
        assert_eq!(Next::named(api).login(), format!("/login?next={api}"));
    }
}

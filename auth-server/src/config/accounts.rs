//! The `accounts` section: how people come to accounts.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How people come to accounts.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accounts {
    /// Who makes an account without an administrator: `closed`, nobody; `invitation`, whoever an administrator invited; `open`, everybody
    /// with an address of mail. Unless it is `closed`, letters have to be sent (`mail.transport`).
    pub sign_up: SignUp,
}

/// Who makes an account without an administrator.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignUp {
    /// Nobody.
    #[default]
    Closed,
    /// Whoever an administrator invited.
    Invitation,
    /// Everybody with an address of mail.
    Open,
}

impl SignUp {
    /// Whether everybody may.
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Open)
    }

    /// Whether those may who were invited.
    pub const fn takes_invitations(self) -> bool {
        matches!(self, Self::Invitation | Self::Open)
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn accounts_that_people_make_take_letters() {
        for how in ["invitation", "open"] {
            let alone = format!("[accounts]\nsign_up = \"{how}\"");
            let refused = Config::from_toml(&alone).unwrap_err().to_string();
            assert!(refused.contains("accounts.sign_up") && refused.contains("mail.transport"), "{refused}");
            Config::from_toml(&format!("{alone}\n[mail]\ntransport = \"folder\"")).unwrap();
        }
        Config::from_toml("[accounts]\nsign_up = \"closed\"").unwrap();
    }
}

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
    /// Let people sign in by a code that is sent to the address of their account, if that is confirmed: it counts as one factor, like a
    /// password. Nobody who administers the server may. Letters have to be sent (`mail.transport`).
    pub sign_in_by_mail: bool,
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

    #[test]
    fn sign_ins_by_mail_take_letters_and_are_off_unless_somebody_wants_them() {
        let alone = "[accounts]\nsign_in_by_mail = true";
        let refused = Config::from_toml(alone).unwrap_err().to_string();
        assert!(
            refused.contains("accounts.sign_in_by_mail") && refused.contains("mail.transport"),
            "{refused}"
        );
        let config = Config::from_toml(&format!("{alone}\n[mail]\ntransport = \"folder\"")).unwrap();
        assert!(config.reach.accounts.sign_in_by_mail);
        assert!(!Config::from_toml("").unwrap().reach.accounts.sign_in_by_mail);
    }
}

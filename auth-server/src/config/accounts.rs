//! The `accounts` section: how people come to accounts, and leave them.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How people come to accounts, and leave them.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accounts {
    /// Who makes an account without an administrator: `closed`, nobody; `invitation`, whoever an administrator invited; `open`, everybody
    /// with an address of mail. Unless it is `closed`, letters have to be sent (`mail.transport`).
    pub sign_up: SignUp,
    /// Let people sign in by a code that is sent to the address of their account, if that is confirmed: it counts as one factor, like a
    /// password. Nobody who administers the server may. Letters have to be sent (`mail.transport`).
    pub sign_in_by_mail: bool,
    /// Who has an account deleted: `self`, its owner, who asks for it on the account pages; `closed`, administrators alone.
    pub deletion: Deletion,
    /// For how many days an account that its owner wants deleted is only switched off, and can be kept; with 0 it is gone at once.
    #[schemars(range(min = 0, max = 90))]
    pub deletion_grace_days: u32,
}

impl Accounts {
    /// How long an account that its owner wants deleted can be kept.
    pub fn deletion_grace(&self) -> Duration {
        Duration::from_hours(24) * self.deletion_grace_days
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            sign_up: SignUp::Closed,
            sign_in_by_mail: false,
            deletion: Deletion::Owner,
            deletion_grace_days: 14,
        }
    }
}

/// Who has an account deleted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Deletion {
    /// Administrators alone.
    Closed,
    /// Its owner, too.
    #[default]
    #[serde(rename = "self")]
    Owner,
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
    use crate::config::{Config, Deletion};

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

    #[test]
    fn an_account_is_kept_for_ninety_days_at_most() {
        let accounts = |text: &str| Config::from_toml(text).map(|config| config.reach.accounts);
        let days = |text: &str| accounts(text).unwrap().deletion_grace().as_secs() / 86_400;
        assert_eq!(days(""), 14);
        for allowed in [0, 1, 90] {
            assert_eq!(days(&format!("[accounts]\ndeletion_grace_days = {allowed}")), allowed);
        }
        for refused in ["91", "-1", "\"14 days\"", "1.5"] {
            let error = accounts(&format!("[accounts]\ndeletion_grace_days = {refused}")).unwrap_err();
            assert!(error.to_string().contains("accounts.deletion_grace_days"), "{error}");
        }
        let error = accounts("[accounts]\ndeletion_grace_days = 91").unwrap_err().to_string();
        assert!(error.contains("90"), "{error}");
    }

    #[test]
    fn who_deletes_accounts_is_one_of_two_words() {
        let deletion = |word: &str| {
            Config::from_toml(&format!("[accounts]\ndeletion = \"{word}\""))
                .map(|config| config.reach.accounts.deletion)
        };
        assert_eq!(deletion("self").unwrap(), Deletion::Owner);
        assert_eq!(deletion("closed").unwrap(), Deletion::Closed);
        let error = deletion("open").unwrap_err().to_string();
        assert!(error.contains("accounts.deletion"), "{error}");
    }
}

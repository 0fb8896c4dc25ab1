//! Where a sign-in leads that no application asked for.

use crate::domain::ids::{ApiId, InteractionId, StepId};
use crate::services::ciba::APPROVALS_PATH;
use crate::services::device::DEVICE_PATH;
use crate::services::policies::{
    RULES_PATH, activation_path, history_path, routes_path, rules_path, trial_path,
};

/// Where a sign-in leads that no application asked for. A list and not an address: nobody can be sent elsewhere.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) enum Next {
    #[default]
    Account,
    /// To what clients ask from behind.
    Approvals,
    /// To the applications that a person let in.
    Apps,
    /// To what is kept about a person.
    Data,
    /// To the page that has an account deleted.
    Deletion,
    /// To what a person is asked about a device.
    Device(InteractionId),
    /// To what happened to an account.
    Log,
    /// To the passkeys of an account.
    Passkeys,
    Password,
    Profile,
    Rulebooks,
    Rules(ApiId, Part),
    /// To the page that adds a second step.
    SecondStep,
    /// To what is asked at a sign-in.
    Security,
    Sessions,
}

/// Where somebody adds a second step whom a page of the administration sends.
pub(super) const ADD_FOR_ADMINISTRATION: &str = "/account/security?notice=administration";

/// Where the code of a sign-in is asked for.
pub(super) fn code_path(step: &StepId) -> String {
    format!("/login/code?step={step}")
}

/// Where an account can be kept that was to be deleted.
pub(super) fn leaving_path(proof: &StepId) -> String {
    format!("/login/leaving?proof={proof}")
}

/// What stands before the interaction that is about a device.
const DEVICE: &str = "device.";

/// Which of the pages of the rules of an API.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    Activation,
    Editor,
    History,
    Routes,
    Trial,
}

impl Next {
    pub(super) fn named(name: &str) -> Self {
        match name {
            "approvals" => Self::Approvals,
            "apps" => Self::Apps,
            "data" => Self::Data,
            "deletion" => Self::Deletion,
            "log" => Self::Log,
            "passkeys" => Self::Passkeys,
            "password" => Self::Password,
            "profile" => Self::Profile,
            "rules" => Self::Rulebooks,
            "second-step" => Self::SecondStep,
            "security" => Self::Security,
            "sessions" => Self::Sessions,
            name => match name.strip_prefix(DEVICE) {
                Some(id) => InteractionId::parse(id).map(Self::Device).unwrap_or_default(),
                None => Self::of_rules(name).unwrap_or_default(),
            },
        }
    }

    fn of_rules(name: &str) -> Option<Self> {
        let (api, part) = match name.split_once('.') {
            None => (name, Part::Editor),
            Some((api, "activation")) => (api, Part::Activation),
            Some((api, "history")) => (api, Part::History),
            Some((api, "routes")) => (api, Part::Routes),
            Some((api, "try")) => (api, Part::Trial),
            Some(_) => return None,
        };
        Some(Self::Rules(ApiId::parse(api).ok()?, part))
    }

    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::Account => None,
            Self::Approvals => Some("approvals".to_owned()),
            Self::Apps => Some("apps".to_owned()),
            Self::Data => Some("data".to_owned()),
            Self::Deletion => Some("deletion".to_owned()),
            Self::Device(id) => Some(format!("{DEVICE}{id}")),
            Self::Log => Some("log".to_owned()),
            Self::Passkeys => Some("passkeys".to_owned()),
            Self::Password => Some("password".to_owned()),
            Self::Profile => Some("profile".to_owned()),
            Self::Rulebooks => Some("rules".to_owned()),
            Self::Rules(api, Part::Activation) => Some(format!("{api}.activation")),
            Self::Rules(api, Part::Editor) => Some(api.to_string()),
            Self::Rules(api, Part::History) => Some(format!("{api}.history")),
            Self::Rules(api, Part::Routes) => Some(format!("{api}.routes")),
            Self::Rules(api, Part::Trial) => Some(format!("{api}.try")),
            Self::SecondStep => Some("second-step".to_owned()),
            Self::Security => Some("security".to_owned()),
            Self::Sessions => Some("sessions".to_owned()),
        }
    }

    pub(super) fn path(&self) -> String {
        match self {
            Self::Account => "/account".to_owned(),
            Self::Approvals => APPROVALS_PATH.to_owned(),
            Self::Apps => "/account/apps".to_owned(),
            Self::Data => "/account/data".to_owned(),
            Self::Deletion => "/account/data/deletion".to_owned(),
            Self::Device(id) => format!("{DEVICE_PATH}/confirm?interaction={id}"),
            Self::Log => "/account/log".to_owned(),
            Self::Passkeys => "/account/security/passkeys".to_owned(),
            Self::Password => "/account/security/password".to_owned(),
            Self::Profile => "/account/profile".to_owned(),
            Self::Rulebooks => RULES_PATH.to_owned(),
            Self::Rules(api, Part::Activation) => activation_path(api),
            Self::Rules(api, Part::Editor) => rules_path(api),
            Self::Rules(api, Part::History) => history_path(api),
            Self::Rules(api, Part::Routes) => routes_path(api),
            Self::Rules(api, Part::Trial) => trial_path(api),
            Self::SecondStep => "/account/security/second-step".to_owned(),
            Self::Security => "/account/security".to_owned(),
            Self::Sessions => "/account/sessions".to_owned(),
        }
    }

    /// The sign-in page that leads there.
    pub(super) fn login(&self) -> String {
        self.name().map_or_else(|| "/login".to_owned(), |name| format!("/login?next={name}"))
    }

    /// The same for somebody who is signed in, and has to do it again.
    pub(super) fn login_again(&self) -> String {
        self.name().map_or_else(|| "/login?switch".to_owned(), |name| format!("/login?next={name}&switch"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_in_leads_to_one_of_our_pages_whatever_is_asked_for() {
        let api = "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
        let rules = format!("/admin/policies/{api}");
        for (name, path) in [
            ("", "/account"),
            ("apps", "/account/apps"),
            ("data", "/account/data"),
            ("deletion", "/account/data/deletion"),
            ("log", "/account/log"),
            ("passkeys", "/account/security/passkeys"),
            ("password", "/account/security/password"),
            ("profile", "/account/profile"),
            ("second-step", "/account/security/second-step"),
            ("security", "/account/security"),
            ("sessions", "/account/sessions"),
            (api, rules.as_str()),
            ("https://evil.example", "/account"),
            ("//evil.example", "/account"),
            ("/\\evil.example", "/account"),
            ("api_../../login", "/account"),
            ("api_../../login.history", "/account"),
        ] {
            assert_eq!(Next::named(name).path(), path);
        }
        for part in ["activation", "history", "routes", "try"] {
            let next = Next::named(&format!("{api}.{part}"));
            assert_eq!(next.path(), format!("{rules}/{part}"));
            assert_eq!(next.login(), format!("/login?next={api}.{part}"));
        }
        let id = "itx_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
        let device = Next::named(&format!("device.{id}"));
        assert_eq!(device.path(), format!("/device/confirm?interaction={id}"));
        assert_eq!(device.login(), format!("/login?next=device.{id}"));
        for odd in ["device.", "device.itx_1", "device.../login", "device"] {
            assert_eq!(Next::named(odd), Next::Account, "{odd}");
        }
        assert_eq!(Next::named(&format!("{api}.settings")), Next::Account);
        assert_eq!(Next::named(api).login(), format!("/login?next={api}"));
    }
}

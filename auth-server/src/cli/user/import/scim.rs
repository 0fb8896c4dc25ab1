//! Users of SCIM 2.0 (RFC 7643 §4.1), or the answer that lists them (RFC 7644 §3.4.2).

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::cli::user::import::{Brought, no_json, unreadable, yes};
use crate::services::users::form::UserForm;
use crate::services::users::import::BroughtAccount;
use crate::services::users::profile::ProfileForm;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Account {
    user_name: String,
    #[serde(default)]
    name: PersonName,
    display_name: Option<String>,
    nick_name: Option<String>,
    locale: Option<String>,
    timezone: Option<String>,
    #[serde(default = "yes")]
    active: bool,
    #[serde(default)]
    emails: Vec<Email>,
    /// In clear text, as the specification has it.
    password: Option<String>,
    /// The hash of it, which the specification does not have.
    password_hash: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersonName {
    formatted: Option<String>,
    given_name: Option<String>,
    middle_name: Option<String>,
    family_name: Option<String>,
}

#[derive(Deserialize)]
struct Email {
    value: String,
    #[serde(default)]
    primary: bool,
}

pub(super) fn read(text: &str) -> Result<Brought, String> {
    let list: Value = serde_json::from_str(text).map_err(|error| no_json(&error))?;
    let users = list.get("Resources").unwrap_or(&list).as_array();
    let users = users.ok_or("there are no `Resources`, and it is no list of users")?;
    let mut brought = Brought::default();
    for (at, user) in users.iter().enumerate() {
        let place = format!("Resources/{at}");
        match Account::deserialize(user) {
            Ok(account) => brought.accounts.push(account.brought(place)),
            Err(_) => brought.unreadable.push(unreadable(place, user.get("userName"))),
        }
    }
    Ok(brought)
}

impl Account {
    fn brought(mut self, place: String) -> BroughtAccount {
        let spelled = [&self.name.given_name, &self.name.family_name];
        let spelled = spelled.map(|name| name.as_deref().unwrap_or_default()).join(" ");
        let name = self.name.formatted.take().or_else(|| self.display_name.take()).unwrap_or(spelled);
        let claims = [
            ("given_name", self.name.given_name),
            ("middle_name", self.name.middle_name),
            ("family_name", self.name.family_name),
            ("nickname", self.nick_name),
            ("locale", self.locale),
            ("zoneinfo", self.timezone),
        ];
        let said = claims.into_iter().filter_map(|(claim, value)| Some((claim.to_owned(), value?.into())));
        let first = self.emails.iter().position(|email| email.primary).unwrap_or_default();
        let form = UserForm {
            username: self.user_name,
            name: name.trim().to_owned(),
            email: self.emails.into_iter().nth(first).map(|email| email.value),
            organisation: None,
            password: self.password,
            profile: ProfileForm(said.collect::<Map<_, _>>()),
        };
        BroughtAccount { place, form, hash: self.password_hash, email_verified: false, enabled: self.active }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_and_its_users_alone_are_read_alike() {
        let user = json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "ada", "active": false, "displayName": "The Countess", "locale": "en-GB",
            "name": { "givenName": "Ada", "familyName": "Lovelace" },
            "emails": [{ "value": "home@example.org" }, { "value": "ada@example.org", "primary": true }],
            "passwordHash": "{SSHA}x",
        });
        for list in [json!([user]), json!({ "totalResults": 1, "Resources": [user] })] {
            let brought = read(&list.to_string()).unwrap();
            let account = &brought.accounts[0];
            assert_eq!((account.form.username.as_str(), account.form.name.as_str()), ("ada", "The Countess"));
            assert_eq!((account.form.email.as_deref(), account.enabled), (Some("ada@example.org"), false));
            assert_eq!((account.hash.as_deref(), account.email_verified), (Some("{SSHA}x"), false));
            assert_eq!(account.form.profile.0["given_name"], "Ada");
        }
    }

    #[test]
    fn users_that_are_written_otherwise_are_left_out() {
        let brought = read(r#"[{"userName":"ada","active":"yes"},{"userName":"bob"}]"#).unwrap();
        let [left_out] = &brought.unreadable[..] else { panic!("{brought:?}") };
        assert_eq!((left_out.place.as_str(), left_out.username.as_str()), ("Resources/0", "ada"));
        assert_eq!(brought.accounts.len(), 1);
        assert!(read("{}").unwrap_err().contains("no `Resources`"));
    }
}

//! What an admin says about a person's account.

use crate::domain::clock::Timestamp;
use crate::domain::ids::{OrganisationId, UserId};
use crate::domain::profile::Profile;
use crate::domain::secret::Entropy;
use crate::domain::user::{Email, InvalidPassword, Password, Sub, User, Username};
use crate::services::fields::{FieldErrors, NameError, display_name};
use crate::services::password_quality::{self, Weakness};
use crate::services::users::profile::ProfileForm;

/// The longest name of a person, in characters.
const MAX_NAME: usize = 200;

/// An account, as text from any edge.
#[derive(Clone, Default)]
pub struct UserForm {
    /// What the person types to sign in.
    pub username: String,
    /// What the person is called; may be empty.
    pub name: String,
    /// Where to write to.
    pub email: Option<String>,
    /// Where the account belongs. Without it: the first organisation.
    pub organisation: Option<String>,
    /// The first password. Without it nobody can sign in yet.
    pub password: Option<String>,
    /// What else is known about the person.
    pub profile: ProfileForm,
}

/// An account that can be kept.
#[derive(Clone, Debug)]
pub(crate) struct AccountDetails {
    /// What the person types to sign in.
    pub(crate) username: Username,
    /// What the person is called.
    pub(crate) name: String,
    /// Where to write to.
    pub(crate) email: Option<Email>,
    /// Where the account belongs.
    pub(crate) organisation: OrganisationId,
    /// The first password.
    pub(crate) password: Option<Password>,
    /// What else is known about the person.
    pub(crate) profile: Profile,
}

impl AccountDetails {
    /// A new account with these details.
    pub(crate) fn user(self, now: Timestamp, entropy: &Entropy) -> User {
        User {
            id: UserId::generate(now, entropy),
            sub: Sub::generate(entropy),
            organisation: self.organisation,
            username: self.username,
            name: self.name,
            email: self.email,
            email_verified_at: None,
            created_at: now,
            disabled_at: None,
            profile: self.profile,
        }
    }
}

impl UserForm {
    /// Checks every field.
    pub(crate) fn parse(&self) -> Result<AccountDetails, FieldErrors> {
        let mut errors = FieldErrors::default();
        let username = errors.take("/username", Username::parse(&self.username));
        let name = errors.take("/name", person_name(&self.name));
        let email = errors.take("/email", self.email.as_deref().map(Email::parse).transpose());
        let organisation = match self.organisation.as_deref() {
            None => Some(OrganisationId::first()),
            Some(raw) => errors.take("/organisation", OrganisationId::parse(raw)),
        };
        let name_for_password = username.as_ref().map_or("", Username::as_str);
        let password = self.password.as_deref().map(|raw| new_password(raw, name_for_password)).transpose();
        let password = errors.take("/password", password);
        let profile = self.profile.parse(&mut errors);
        let parsed = (|| {
            Some(AccountDetails {
                username: username?,
                name: name?,
                email: email?,
                organisation: organisation?,
                password: password?,
                profile: profile?,
            })
        })();
        errors.finish(parsed)
    }
}

/// A password that somebody chose for the account with this name.
pub(crate) fn new_password(raw: &str, username: &str) -> Result<Password, PasswordRefusal> {
    let password = Password::choose(raw)?;
    password_quality::check(&password, username)?;
    Ok(password)
}

/// What is said of a field with a password that is too easy to guess.
pub(crate) fn weak(weakness: Weakness) -> FieldErrors {
    FieldErrors::of("/password", "invalid", weakness.to_string())
}

/// Why a password is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum PasswordRefusal {
    #[error(transparent)]
    Length(#[from] InvalidPassword),
    #[error(transparent)]
    Weak(#[from] Weakness),
}

/// People may keep their name to themselves.
pub(crate) fn person_name(raw: &str) -> Result<String, NameError> {
    if raw.is_empty() { Ok(String::new()) } else { display_name(raw, MAX_NAME) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_wrong_field_is_reported_at_once() {
        let wrong = UserForm {
            username: "a b".to_owned(),
            name: " Ada".to_owned(),
            email: Some("ada".to_owned()),
            organisation: Some("acme".to_owned()),
            password: Some("short".to_owned()),
            ..UserForm::default()
        };
        let errors = wrong.parse().unwrap_err();
        let pointers: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/username", "/name", "/email", "/organisation", "/password"]);
        assert!(!errors.to_string().contains("short"));
    }

    #[test]
    fn a_password_that_is_easy_to_guess_is_refused() {
        for bad in ["password", "lovelace-1815"] {
            let form = UserForm {
                username: "lovelace".to_owned(),
                password: Some(bad.to_owned()),
                ..UserForm::default()
            };
            assert!(form.parse().unwrap_err().to_string().starts_with("/password"), "{bad}");
        }
    }

    #[test]
    fn a_user_name_is_enough() {
        let details = UserForm { username: "Ada".to_owned(), ..UserForm::default() }.parse().unwrap();
        assert_eq!(details.username.as_str(), "ada");
        assert_eq!(details.organisation, OrganisationId::first());
    }
}

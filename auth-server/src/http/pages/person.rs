//! A user, as pages show one.

use serde::Serialize;

use crate::domain::user::User;

/// A user, as pages show one.
#[derive(Serialize)]
pub(crate) struct Person {
    /// The first character of the name, for the round badge beside it.
    initial: String,
    /// The name, or the user name of somebody who has none.
    name: String,
    username: String,
    email: Option<String>,
}

impl Person {
    pub(crate) fn of(user: &User) -> Self {
        let username = user.username.as_str().to_owned();
        let name = if user.name.trim().is_empty() { username.clone() } else { user.name.clone() };
        let email = user.email.as_ref().map(|email| email.as_str().to_owned());
        Self { initial: name.chars().next().map(String::from).unwrap_or_default(), name, username, email }
    }
}

#[cfg(test)]
pub(super) fn sample() -> User {
    use crate::domain::clock::Timestamp;
    use crate::domain::ids::{OrganisationId, UserId};
    use crate::domain::profile::Profile;
    use crate::domain::secret::Entropy;
    use crate::domain::user::{Email, Sub, Username};

    let now = Timestamp::from_secs(1_800_000_000);
    User {
        id: UserId::generate(now, &Entropy::seeded(1)),
        sub: Sub::generate(&Entropy::seeded(1)),
        organisation: OrganisationId::first(),
        username: Username::parse("alice").unwrap(),
        name: "Alice <i>Example".to_owned(),
        email: Some(Email::parse("alice@example.com").unwrap()),
        email_verified_at: None,
        created_at: now,
        disabled_at: None,
        profile: Profile::default(),
    }
}

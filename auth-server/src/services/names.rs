//! What the people and programs are called that records name by their identifiers.

use std::collections::BTreeMap;

use crate::domain::audit::Actor;
use crate::services::admin_error::AdminError;
use crate::storage::{Store, Tx, clients, users};

/// Somebody whom a record names.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Named {
    /// A client, by its name.
    Client(String),
    /// Whoever ran a command on the server.
    Operator,
    /// A person: what they are called, and what they type to sign in.
    Person { name: String, username: String },
    /// The server itself.
    System,
    /// Somebody who is not known any more.
    Unknown,
}

/// Who is who.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<String, Named>);

impl Names {
    /// Who it is that a record calls `actor`.
    pub(crate) fn of(&self, actor: &str) -> &Named {
        self.0.get(actor).unwrap_or(&Named::Unknown)
    }

    /// What the client with this identifier is called: its identifier, if it is not known any more.
    pub(crate) fn of_client<'a>(&'a self, id: &'a str) -> &'a str {
        if let Named::Client(name) = self.of(id) { name } else { id }
    }
}

/// Finds out who is who.
#[derive(Clone)]
pub(crate) struct NameService {
    store: Store,
}

impl NameService {
    /// The service over this store.
    pub(crate) const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Finds out who these are.
    pub(crate) async fn find(&self, actors: &[&str]) -> Result<Names, AdminError> {
        let mut tx = self.store.read().await?;
        let mut names = BTreeMap::new();
        for actor in actors {
            if !names.contains_key(*actor) {
                names.insert((*actor).to_owned(), named(&mut tx, actor).await?);
            }
        }
        Ok(Names(names))
    }
}

async fn named(tx: &mut Tx, actor: &str) -> Result<Named, AdminError> {
    Ok(match actor.parse::<Actor>() {
        Ok(Actor::Operator) => Named::Operator,
        Ok(Actor::System) => Named::System,
        Ok(Actor::User(id)) => match users::find(tx, &id).await? {
            Some(user) => {
                let username = user.username.as_str().to_owned();
                Named::Person { name: user.name, username }
            }
            None => Named::Unknown,
        },
        Ok(Actor::Client(id)) => match clients::find(tx, &id).await? {
            Some(client) => Named::Client(client.name),
            None => Named::Unknown,
        },
        Ok(Actor::Anonymous) | Err(_) => Named::Unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::UserId;
    use crate::services::trial::{START, Trial};

    #[tokio::test]
    async fn whoever_is_known_has_a_name_and_others_do_not() {
        let trial = Trial::begin().await;
        let ada = trial.user("ada").await;
        let gone = UserId::generate(START, &trial.entropy);
        let asked = [ada.as_str(), gone.as_str(), "operator", "system", "anonymous", "no such thing"];
        let names = NameService::new(trial.store.clone()).find(&asked).await.unwrap();
        assert!(matches!(names.of(ada.as_str()), Named::Person { username, .. } if username == "ada"));
        assert_eq!((names.of("operator"), names.of("system")), (&Named::Operator, &Named::System));
        assert_eq!(names.of_client("cli_gone"), "cli_gone");
        for unknown in [gone.as_str(), "anonymous", "no such thing", "never asked for"] {
            assert_eq!(names.of(unknown), &Named::Unknown, "{unknown}");
        }
    }
}

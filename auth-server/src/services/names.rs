//! What the people and programs are called that records name by their identifiers.

use std::collections::BTreeMap;

use crate::domain::audit::Actor;
use crate::domain::ids::ClientId;
use crate::domain::user::User;
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

impl Named {
    /// What a person or a client is called. `None` for whoever has no name of their own.
    pub(crate) fn label(&self) -> Option<String> {
        match self {
            Self::Client(name) => Some(name.clone()),
            Self::Person { name, username } if name.trim().is_empty() || name == username => {
                Some(username.clone())
            }
            Self::Person { name, username } => Some(format!("{name} ({username})")),
            Self::Operator | Self::System | Self::Unknown => None,
        }
    }
}

/// Who is who.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<String, Named>);

impl Names {
    /// Who it is that a record calls `actor`.
    pub(crate) fn of(&self, actor: &str) -> &Named {
        self.0.get(actor).unwrap_or(&Named::Unknown)
    }

    /// What they are called, or else what the record calls them.
    pub(crate) fn label(&self, actor: &str) -> String {
        self.of(actor).label().unwrap_or_else(|| actor.to_owned())
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

    /// Finds out who these subjects of tokens are.
    pub(crate) async fn find_subjects(&self, subjects: &[&str]) -> Result<Names, AdminError> {
        let mut tx = self.store.read().await?;
        let mut names = BTreeMap::new();
        for name in subjects {
            if !names.contains_key(*name) {
                names.insert((*name).to_owned(), subject(&mut tx, name).await?);
            }
        }
        Ok(Names(names))
    }
}

/// Who the subject of a token is: a person, or a client that acts for itself.
async fn subject(tx: &mut Tx, subject: &str) -> Result<Named, AdminError> {
    if let Some(user) = users::find_by_sub(tx, subject).await? {
        return Ok(person(user));
    }
    let Ok(id) = ClientId::parse(subject) else { return Ok(Named::Unknown) };
    Ok(clients::find(tx, &id).await?.map_or(Named::Unknown, |client| Named::Client(client.name)))
}

fn person(user: User) -> Named {
    let username = user.username.as_str().to_owned();
    Named::Person { name: user.name, username }
}

async fn named(tx: &mut Tx, actor: &str) -> Result<Named, AdminError> {
    Ok(match actor.parse::<Actor>() {
        Ok(Actor::Operator) => Named::Operator,
        Ok(Actor::System) => Named::System,
        Ok(Actor::User(id)) => match users::find(tx, &id).await? {
            Some(user) => person(user),
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
        let label = |name: &str, username: &str| {
            Named::Person { name: name.to_owned(), username: username.to_owned() }.label().unwrap()
        };
        assert_eq!(
            [label("Ada L", "ada"), label(" ", "ada"), label("ada", "ada")],
            ["Ada L (ada)", "ada", "ada"]
        );
        assert_eq!(names.of("operator").label(), None);
        let subjects = NameService::new(trial.store.clone());
        let sub = {
            let mut tx = trial.store.read().await.unwrap();
            users::find(&mut tx, &ada).await.unwrap().unwrap().sub.as_str().to_owned()
        };
        let asked = [sub.as_str(), "~pseudonym", ada.as_str()];
        let known = subjects.find_subjects(&asked).await.unwrap();
        assert!(matches!(known.of(&sub), Named::Person { username, .. } if username == "ada"));
        assert_eq!((known.of("~pseudonym"), known.of(ada.as_str())), (&Named::Unknown, &Named::Unknown));
        assert_eq!(names.of_client("cli_gone"), "cli_gone");
        for unknown in [gone.as_str(), "anonymous", "no such thing", "never asked for"] {
            assert_eq!(names.of(unknown), &Named::Unknown, "{unknown}");
        }
    }
}

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

/// Who is who.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names(BTreeMap<String, Named>);

impl Names {
    /// Who it is that a record calls `actor`.
    pub(crate) fn of(&self, actor: &str) -> &Named {
        self.0.get(actor).unwrap_or(&Named::Unknown)
    }

    /// Each that was asked for, once.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Named)> {
        self.0.iter().map(|(actor, named)| (actor.as_str(), named))
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

    /// Finds out who these are, by the subjects of their tokens.
    pub(crate) async fn find_subjects(&self, subjects: &[&str]) -> Result<Names, AdminError> {
        let mut tx = self.store.read().await?;
        let mut names = BTreeMap::new();
        for subject in subjects {
            if !names.contains_key(*subject) {
                names.insert((*subject).to_owned(), bearer(&mut tx, subject).await?);
            }
        }
        Ok(Names(names))
    }
}

/// Whose tokens have this subject: a client's own, or those that a person has.
async fn bearer(tx: &mut Tx, subject: &str) -> Result<Named, AdminError> {
    Ok(match subject.parse::<ClientId>() {
        Ok(id) => clients::find(tx, &id).await?.map_or(Named::Unknown, |client| Named::Client(client.name)),
        Err(_) => users::find_by_sub(tx, subject).await?.map_or(Named::Unknown, person),
    })
}

fn person(user: User) -> Named {
    Named::Person { username: user.username.as_str().to_owned(), name: user.name }
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
    use crate::services::clients::form::ClientForm;
    use crate::services::trial::{START, Trial, operator};

    #[tokio::test]
    async fn whoever_is_known_has_a_name_and_others_do_not() {
        let trial = Trial::begin().await;
        let ada = trial.user("ada").await;
        let gone = UserId::generate(START, &trial.entropy);
        let asked = [ada.as_str(), gone.as_str(), "operator", "system", "anonymous", "no such thing"];
        let names = NameService::new(trial.store.clone()).find(&asked).await.unwrap();
        assert!(matches!(names.of(ada.as_str()), Named::Person { username, .. } if username == "ada"));
        assert_eq!((names.of("operator"), names.of("system")), (&Named::Operator, &Named::System));
        for unknown in [gone.as_str(), "anonymous", "no such thing", "never asked for"] {
            assert_eq!(names.of(unknown), &Named::Unknown, "{unknown}");
        }
    }

    async fn robot(trial: &Trial) -> ClientId {
        let form = ClientForm { name: "Robot".to_owned(), preset: "m2m".to_owned(), ..ClientForm::default() };
        trial.clients.create(&form, &operator()).await.unwrap().client.value.id
    }

    #[tokio::test]
    async fn subjects_of_tokens_are_people_and_clients() {
        let trial = Trial::begin().await;
        let (ada, robot) = (trial.user("ada").await, robot(&trial).await);
        let user = users::find(&mut trial.store.read().await.unwrap(), &ada).await.unwrap().unwrap();
        let gone = ClientId::generate(START, &trial.entropy);
        let asked =
            [user.sub.as_str(), robot.as_str(), gone.as_str(), ada.as_str(), "somebody else", robot.as_str()];
        let names = NameService::new(trial.store.clone()).find_subjects(&asked).await.unwrap();
        assert!(matches!(names.of(user.sub.as_str()), Named::Person { username, .. } if username == "ada"));
        assert_eq!(names.of(robot.as_str()), &Named::Client("Robot".to_owned()));
        for unknown in [gone.as_str(), ada.as_str(), "somebody else"] {
            assert_eq!(names.of(unknown), &Named::Unknown, "{unknown}");
        }
        assert_eq!(names.iter().count(), 5);
    }
}

//! The people and programs whose requests were recorded, by what they are called.

use std::collections::BTreeMap;

use portcullis_policy::{AskedBy, DecisionChange, Grantee, Replayed};

use crate::app::App;
use crate::cli::exit::Failure;
use crate::services::names::{NameService, Named, Names};

/// How many examples of one change are printed.
const SHOWN_EXAMPLES: usize = 2;

/// Who is who among subjects of tokens.
#[derive(Default)]
pub(super) struct Callers(Names);

impl Callers {
    /// Finds those that are printed of these changes.
    pub(super) async fn of(app: &App, replayed: &Replayed) -> Result<Self, Failure> {
        let examples = replayed.changes.iter().flat_map(examples).map(|asked| asked.subject.as_str());
        let users = replayed.changes.iter().filter_map(|change| match &change.grantee {
            Some(Grantee::User(user)) => Some(user.as_str()),
            _ => None,
        });
        let subjects: Vec<&str> = examples.chain(users).collect();
        Ok(Self(NameService::new(app.store().clone()).find_subjects(&subjects).await?))
    }

    /// The name of each subject that has one, for programs.
    pub(super) fn names(&self) -> BTreeMap<&str, &str> {
        self.0.iter().filter_map(|(subject, named)| Some((subject, called(named)?))).collect()
    }

    /// Whom a rule names.
    pub(super) fn grantee(&self, change: &DecisionChange) -> Option<String> {
        Some(match change.grantee.as_ref()? {
            Grantee::User(user) => format!("user:{}", self.shown(user)),
            role => role.to_string(),
        })
    }

    /// Those who asked most.
    pub(super) fn examples(&self, change: &DecisionChange) -> String {
        examples(change).map(|asked| self.example(asked)).collect::<Vec<_>>().join("; ")
    }

    fn example(&self, asked: &AskedBy) -> String {
        let place = if asked.domain.is_empty() { String::new() } else { format!(" in {}", asked.domain) };
        format!("{} ({}){place}", self.shown(&asked.subject), asked.roles.join(", "))
    }

    /// A subject as it stands in records and rules, and what it is called.
    fn shown(&self, subject: &str) -> String {
        called(self.0.of(subject)).map_or_else(|| subject.to_owned(), |name| format!("{subject} {name:?}"))
    }
}

fn examples(change: &DecisionChange) -> impl Iterator<Item = &AskedBy> {
    change.examples.iter().take(SHOWN_EXAMPLES)
}

fn called(named: &Named) -> Option<&str> {
    let name = match named {
        Named::Client(name) => name,
        // What they type to sign in tells two people of one name apart.
        Named::Person { username, .. } => username,
        Named::Operator | Named::System | Named::Unknown => return None,
    };
    Some(name.as_str()).filter(|name| !name.trim().is_empty())
}

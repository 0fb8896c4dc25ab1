//! The people and programs whose requests were recorded, by what they are called.

use std::collections::BTreeMap;

use portcullis_policy::{AskedBy, DecisionChange, Grantee, Replayed};

use crate::app::App;
use crate::cli::exit::Failure;
use crate::services::names::{NameService, Names};

/// How many examples of one change are printed.
const SHOWN_EXAMPLES: usize = 2;

/// Who is who among subjects of tokens, and among the clients that asked for somebody.
#[derive(Default)]
pub(super) struct Callers(Names);

impl Callers {
    /// Finds those whom these changes name.
    pub(super) async fn of(app: &App, replayed: &Replayed) -> Result<Self, Failure> {
        let examples = replayed.changes.iter().flat_map(|change| &change.examples);
        let examples = examples.flat_map(|asked| [Some(asked.subject.as_str()), asked.asker.as_deref()]);
        let users = replayed.changes.iter().filter_map(|change| match &change.grantee {
            Some(Grantee::User(user)) => Some(user.as_str()),
            _ => None,
        });
        let subjects: Vec<&str> = examples.flatten().chain(users).collect();
        Ok(Self(NameService::new(app.store().clone()).find_subjects(&subjects).await?))
    }

    /// The name of each subject that has one, for programs.
    pub(super) fn names(&self) -> BTreeMap<&str, String> {
        self.0.iter().filter_map(|(subject, named)| Some((subject, named.label()?))).collect()
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
        let client = asked.asker.as_deref().map(|client| format!(", asked by {}", self.shown(client)));
        let (who, roles) = (self.shown(&asked.subject), asked.roles.join(", "));
        format!("{who} ({roles}){place}{}", client.unwrap_or_default())
    }

    /// A subject as it stands in records and rules, and what it is called.
    fn shown(&self, subject: &str) -> String {
        self.0.of(subject).label().map_or_else(|| subject.to_owned(), |name| format!("{subject} {name:?}"))
    }
}

fn examples(change: &DecisionChange) -> impl Iterator<Item = &AskedBy> {
    change.examples.iter().take(SHOWN_EXAMPLES)
}

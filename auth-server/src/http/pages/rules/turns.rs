//! Requests that would be answered otherwise, as the pages of rules show them.

use portcullis_policy::{AskedBy, DecisionChange, Grantee, Replayed, Turn};
use serde::Serialize;

use crate::http::pages::rules::desk::{Entered, RulesDesk};
use crate::http::pages::rules::shown::WhoShown;
use crate::services::admin_error::AdminError;
use crate::services::names::Names;
use crate::services::permission::Permission;

/// How many rows are shown of what is lost, and of what is gained.
const MAX_ROWS: usize = 50;
/// How many callers are named in a row.
const MAX_EXAMPLES: usize = 3;

/// Who may see what people are called.
const READ_USERS: Permission = Permission { object: "users", action: "read" };

/// What is lost, and what is gained.
#[derive(Default, Serialize)]
pub(super) struct TurnsShown {
    denied: Vec<TurnShown>,
    allowed: Vec<TurnShown>,
    /// How many rows more there are.
    more: usize,
    /// Whether every change is known.
    complete: bool,
}

/// Requests of one kind.
#[derive(Serialize)]
struct TurnShown {
    /// Whom the rule names: a `role`, a `user`, or `somebody` where the model does not say.
    kind: &'static str,
    grantee: String,
    object: String,
    action: String,
    decisions: u64,
    callers: usize,
    examples: Vec<ExampleShown>,
    /// How many callers are not named.
    more: usize,
}

/// Somebody who asked.
#[derive(Serialize)]
struct ExampleShown {
    /// `None` for whom this server does not know, or where whoever looks may not see it.
    who: Option<WhoShown>,
    subject: String,
    domain: String,
    decisions: u64,
}

impl RulesDesk {
    /// What a replay found. People have their names for whoever may read these.
    pub(super) async fn turns(
        &self,
        entered: &Entered,
        replayed: &Replayed,
    ) -> Result<TurnsShown, AdminError> {
        let rows = |turn| replayed.changes.iter().filter(move |change| change.turn == turn).take(MAX_ROWS);
        let (denied, allowed) = (rows(Turn::Denied), rows(Turn::Allowed));
        let names = if self.may(&entered.who, READ_USERS) {
            let examples = denied.clone().chain(allowed.clone()).flat_map(examples);
            let subjects: Vec<&str> = examples.map(|example| example.subject.as_str()).collect();
            self.console.names.find_subjects(&subjects).await?
        } else {
            Names::default()
        };
        let shown = |change| TurnShown::of(change, &names);
        let (denied, allowed): (Vec<_>, Vec<_>) = (denied.map(shown).collect(), allowed.map(shown).collect());
        let more = replayed.changes.len() - denied.len() - allowed.len();
        Ok(TurnsShown { denied, allowed, more, complete: replayed.complete })
    }
}

fn examples(change: &DecisionChange) -> impl Iterator<Item = &AskedBy> {
    change.examples.iter().take(MAX_EXAMPLES)
}

impl TurnShown {
    fn of(change: &DecisionChange, names: &Names) -> Self {
        let (kind, grantee) = match &change.grantee {
            Some(Grantee::Role(role)) => ("role", role.clone()),
            Some(Grantee::User(user)) => ("user", user.clone()),
            Some(other) => ("role", other.to_string()),
            None => ("somebody", String::new()),
        };
        let examples: Vec<ExampleShown> = examples(change)
            .map(|asked| ExampleShown {
                who: WhoShown::known(names, &asked.subject),
                subject: asked.subject.clone(),
                domain: asked.domain.clone(),
                decisions: asked.decisions,
            })
            .collect();
        Self {
            kind,
            grantee,
            object: change.object.clone(),
            action: change.action.clone(),
            decisions: change.decisions,
            callers: change.callers,
            more: change.callers.saturating_sub(examples.len()),
            examples,
        }
    }
}

/// Rows of every kind.
#[cfg(test)]
pub(super) fn sample_turns() -> TurnsShown {
    let row = |kind: &'static str| TurnShown {
        kind,
        grantee: "<b>viewer</b>".to_owned(),
        object: "<b>/v1/orders</b>".to_owned(),
        action: "<b>read</b>".to_owned(),
        decisions: 1_234,
        callers: 7,
        examples: [Some("person"), Some("client"), None]
            .map(|kind| ExampleShown {
                who: kind.map(crate::http::pages::rules::shown::sample_who),
                subject: "<b>".to_owned(),
                domain: if kind.is_some() { "<b>acme</b>" } else { "" }.to_owned(),
                decisions: 5,
            })
            .into(),
        more: 4,
    };
    TurnsShown {
        denied: vec![row("role"), row("user"), row("somebody")],
        allowed: vec![row("role")],
        more: 3,
        complete: false,
    }
}

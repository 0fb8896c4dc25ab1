//! Requests that would be answered otherwise, as the pages of rules show them.

use std::collections::BTreeSet;

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
    conditional: Vec<TurnShown>,
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
    /// What the client is called that asked this server to decide, if one did.
    asker: Option<String>,
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
        let turns = [Turn::Denied, Turn::Conditional, Turn::Allowed].map(rows);
        let examples = || turns.iter().cloned().flatten().flat_map(examples);
        let askers: Vec<&str> = examples().filter_map(|example| example.asker.as_deref()).collect();
        let askers = self.console.names.find_subjects(&askers).await?;
        let names = if self.may(&entered.who, READ_USERS) {
            let subjects: Vec<&str> = examples().map(|example| example.subject.as_str()).collect();
            self.console.names.find_subjects(&subjects).await?
        } else {
            Names::default()
        };
        let shown = |change| TurnShown::of(change, &names, &askers);
        let [denied, conditional, allowed] = turns.map(|rows| rows.map(shown).collect::<Vec<_>>());
        let more = replayed.changes.len() - denied.len() - conditional.len() - allowed.len();
        Ok(TurnsShown { denied, conditional, allowed, more, complete: replayed.complete })
    }
}

fn examples(change: &DecisionChange) -> impl Iterator<Item = &AskedBy> {
    change.examples.iter().take(MAX_EXAMPLES)
}

impl TurnShown {
    fn of(change: &DecisionChange, names: &Names, askers: &Names) -> Self {
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
                asker: asked.asker.as_deref().map(|asker| askers.label(asker)),
                decisions: asked.decisions,
            })
            .collect();
        // Whoever was asked about by two clients is two examples and one caller.
        let callers: BTreeSet<_> =
            self::examples(change).map(|one| (&one.subject, &one.roles, &one.domain)).collect();
        Self {
            kind,
            grantee,
            object: change.object.clone(),
            action: change.action.clone(),
            decisions: change.decisions,
            callers: change.callers,
            more: change.callers.saturating_sub(callers.len()),
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
                asker: kind.is_none().then(|| "<b>shop</b>".to_owned()),
                decisions: 5,
            })
            .into(),
        more: 4,
    };
    TurnsShown {
        denied: vec![row("role"), row("user"), row("somebody")],
        conditional: vec![row("role")],
        allowed: vec![row("role")],
        more: 3,
        complete: false,
    }
}

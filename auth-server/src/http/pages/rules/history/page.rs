//! What the pages of what was in force show.

use serde::Serialize;

use crate::domain::policy::PolicyRevision;
use crate::http::extract::visit::Visitor;
use crate::http::pages::rules::desk::{Entered, ROLL_BACK, RulesDesk};
use crate::http::pages::rules::page::ApiShown;
use crate::http::pages::rules::shown::{DifferenceShown, WhoShown};
use crate::http::pages::when::TimeShown;
use crate::http::render::Page;
use crate::services::admin_error::AdminError;
use crate::services::names::Names;
use crate::services::paging::PageQuery;
use crate::services::policies::questions::Edition;

/// The list.
#[derive(Serialize)]
pub(super) struct HistoryPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    api: ApiShown,
    active_number: Option<u64>,
    revisions: Vec<RevisionShown>,
    /// Where the next page starts.
    next: Option<String>,
}

impl Page for HistoryPage {
    const TEMPLATE: &'static str = "history.html";
}

impl HistoryPage {
    pub(super) fn saying(self, notice: Option<&'static str>) -> Self {
        Self { notice, ..self }
    }
}

/// A revision without its text.
#[derive(Serialize)]
struct RevisionShown {
    number: u64,
    is_active: bool,
    author: WhoShown,
    message: String,
    at: TimeShown,
}

impl RevisionShown {
    fn of(revision: &PolicyRevision, active: Option<u64>, names: &Names) -> Self {
        Self {
            number: revision.number,
            is_active: active == Some(revision.number),
            author: WhoShown::of(names, &revision.author),
            message: revision.message.clone(),
            at: TimeShown::of(revision.created_at),
        }
    }
}

/// One revision.
#[derive(Serialize)]
pub(super) struct RevisionPage {
    problem: Option<&'static str>,
    api: ApiShown,
    active_number: Option<u64>,
    revision: RevisionShown,
    sha256: String,
    texts: Vec<TextShown>,
    comparison: ComparisonShown,
    /// `active`, the `same` text as what is, `forbidden` to whoever may not bring it back, or `ready`.
    state: &'static str,
    /// Why it is brought back, as somebody typed it.
    message: String,
    csrf_token: String,
}

impl Page for RevisionPage {
    const TEMPLATE: &'static str = "revision.html";
}

impl RevisionPage {
    /// The page with what stands against what was sent, and with what was typed.
    pub(super) fn refusing(self, problem: &'static str, message: String) -> Self {
        Self { problem: Some(problem), message, ..self }
    }
}

/// What a revision is compared with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Against {
    Active,
    Before,
}

/// What changes from another revision to this one.
#[derive(Serialize)]
struct ComparisonShown {
    /// `active` or `before`.
    against: &'static str,
    /// `None` where there is none to compare it with.
    difference: Option<DifferenceShown>,
}

/// One of the texts of a policy, in lines.
#[derive(Serialize)]
struct TextShown {
    /// Which: `cases`, `model` or `rules`.
    name: &'static str,
    lines: Vec<String>,
}

impl RulesDesk {
    /// A page of the list.
    pub(super) async fn history_page(
        &self,
        entered: &Entered,
        query: &PageQuery,
    ) -> Result<HistoryPage, AdminError> {
        let api = &entered.api;
        let found = self.console.policies.history(&api.id, query).await?;
        let authors: Vec<&str> = found.items.iter().map(|revision| revision.author.as_str()).collect();
        let names = self.console.names.find(&authors).await?;
        let shown = |revision| RevisionShown::of(revision, api.active_revision, &names);
        Ok(HistoryPage {
            problem: None,
            notice: None,
            api: ApiShown::of(api),
            active_number: api.active_revision,
            revisions: found.items.iter().map(shown).collect(),
            next: found.next,
        })
    }

    /// The page of one revision, for whoever looks.
    pub(super) async fn revision_page(
        &self,
        entered: &Entered,
        number: u64,
        against: Against,
        visitor: &Visitor,
    ) -> Result<RevisionPage, AdminError> {
        let Entered { api, who } = entered;
        let revision = self.console.policies.revision(&api.id, number).await?;
        let names = self.console.names.find(&[revision.author.as_str()]).await?;
        let active = self.active(&api.id).await?;
        let is_active = active.as_ref().is_some_and(|active| active.number == number);
        let state = match () {
            () if is_active => "active",
            () if active.is_some_and(|active| active.text == revision.text) => "same",
            () if !self.may(who, ROLL_BACK) => "forbidden",
            () => "ready",
        };
        // What is in force differs from itself in nothing; what it changed is more to the point.
        let against = if is_active { Against::Before } else { against };
        let texts = [
            ("rules", &revision.text.rules),
            ("cases", &revision.text.cases),
            ("model", &revision.text.model),
        ];
        let text = |(name, text): (&'static str, &String)| TextShown {
            name,
            lines: text.lines().map(str::to_owned).collect(),
        };
        Ok(RevisionPage {
            problem: None,
            api: ApiShown::of(api),
            active_number: api.active_revision,
            sha256: revision.sha256.hex(),
            texts: texts.map(text).into_iter().collect(),
            comparison: self.comparison(entered, number, against).await?,
            revision: RevisionShown::of(&revision, api.active_revision, &names),
            state,
            message: String::new(),
            csrf_token: self.guard.token(&visitor.visit.browser),
        })
    }

    async fn comparison(
        &self,
        entered: &Entered,
        number: u64,
        against: Against,
    ) -> Result<ComparisonShown, AdminError> {
        let (from, name) = match against {
            Against::Active => (Edition::Active, "active"),
            Against::Before => (Edition::Revision(number.saturating_sub(1)), "before"),
        };
        let to = Edition::Revision(number);
        let difference = match self.console.questions.compare(&entered.api.id, from, to).await {
            Ok(found) => Some(DifferenceShown::of(found)),
            Err(AdminError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(ComparisonShown { against: name, difference })
    }
}

#[cfg(test)]
fn sample_revision(number: u64, kind: &'static str) -> RevisionShown {
    RevisionShown {
        number,
        is_active: number == 7,
        author: crate::http::pages::rules::shown::sample_who(kind),
        message: "<b>Refunds</b> take two".to_owned(),
        at: TimeShown::of(crate::domain::clock::Timestamp::from_secs(1_800_000_000)),
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    use crate::http::pages::rules::page::sample_api;

    let page = |revisions, notice, next: Option<&str>| HistoryPage {
        problem: None,
        notice,
        api: sample_api(),
        active_number: Some(7),
        revisions,
        next: next.map(str::to_owned),
    };
    let all = ["person", "client", "operator", "system", "unknown"];
    let all = (3..8).zip(all).map(|(number, kind)| sample_revision(number, kind)).collect();
    vec![
        page(all, Some("restored"), Some("3")),
        HistoryPage { active_number: None, ..page(Vec::new(), None, None) },
    ]
}

#[cfg(test)]
pub(in crate::http::pages) fn revision_samples() -> Vec<impl Page> {
    use crate::http::pages::rules::page::sample_api;
    use crate::http::pages::rules::shown::sample_difference;

    let text = |name, text: &str| TextShown { name, lines: text.lines().map(str::to_owned).collect() };
    let page = |problem, state: &'static str, against, difference| RevisionPage {
        problem,
        api: sample_api(),
        active_number: (state != "ready").then_some(7),
        revision: sample_revision(if state == "active" { 7 } else { 3 }, "person"),
        sha256: "5f".repeat(32),
        texts: vec![text("rules", "# <b>\n\np, a"), text("cases", ""), text("model", "<b>")],
        comparison: ComparisonShown { against, difference },
        state,
        message: "<b>".to_owned(),
        csrf_token: "token".to_owned(),
    };
    let same = || Some(DifferenceShown::default());
    let mut all = vec![
        page(None, "active", "before", Some(sample_difference())),
        page(None, "active", "before", None),
        page(None, "same", "active", same()),
        page(None, "forbidden", "before", Some(sample_difference())),
        page(None, "ready", "active", Some(sample_difference())),
        page(None, "ready", "active", None),
    ];
    let problems = ["failing_cases", "lockout", "message", "owners_only", "stale", "unusable"];
    all.extend(problems.map(|problem| page(Some(problem), "ready", "active", Some(sample_difference()))));
    all.push(page(Some("stale"), "active", "before", None));
    all
}

//! What the page of a draft that is tried shows.

use serde::Serialize;

use crate::domain::policy::PolicyDraft;
use crate::http::extract::visit::Visitor;
use crate::http::pages::rules::desk::{Entered, RulesDesk};
use crate::http::pages::rules::page::ApiShown;
use crate::http::pages::rules::shown::WhoShown;
use crate::http::pages::rules::trial::SPANS;
use crate::http::pages::rules::turns::TurnsShown;
use crate::http::pages::when::TimeShown;
use crate::http::render::Page;
use crate::services::admin_error::AdminError;
use crate::services::permission::ACTIVATE_POLICIES;
use crate::services::policies::questions::{Edition, Seen};
use crate::services::policies::replay::{Recorded, Simulated, Successor};
use crate::services::policies::shadow::{Shadowed, without_cases};

/// How many rules are listed that decided nothing.
const MAX_UNUSED: usize = 50;
/// How much of such a rule is shown.
const MAX_TEXT: usize = 200;

/// The page.
#[derive(Serialize)]
pub(super) struct TrialPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    api: ApiShown,
    active_number: Option<u64>,
    days: u32,
    spans: [u32; 3],
    /// `errors`, the `same` rules as are active, `no_active`, or `ready`.
    state: &'static str,
    /// `None` where the draft cannot be tried.
    recorded: Option<RecordedShown>,
    on_trial: Option<OnTrialShown>,
    #[serde(flatten)]
    form: FormShown,
}

/// What puts a draft on trial, and takes it off.
#[derive(Serialize)]
struct FormShown {
    /// Whether whoever looks may do so.
    may: bool,
    /// The draft that it puts there.
    version: String,
    csrf_token: String,
}

impl Page for TrialPage {
    const TEMPLATE: &'static str = "try.html";
}

impl TrialPage {
    pub(super) fn saying(self, notice: Option<&'static str>) -> Self {
        Self { notice, ..self }
    }

    /// The page with what stands against what was sent.
    pub(super) fn refusing(self, problem: &'static str) -> Self {
        Self { problem: Some(problem), ..self }
    }
}

/// What the draft would have answered otherwise.
#[derive(Default, Serialize)]
struct RecordedShown {
    all: u64,
    denied: u64,
    conditional: u64,
    allowed: u64,
    losers: usize,
    turns: TurnsShown,
    gaps: GapsShown,
    unused: UnusedShown,
}

/// How much of what was decided is not known.
#[derive(Default, Serialize)]
struct GapsShown {
    /// How many days have records, where some have none.
    days: Option<usize>,
    lost: u64,
    pseudonymous: u64,
    partial: bool,
}

impl GapsShown {
    fn of(recorded: Recorded, span: u32) -> Self {
        let Recorded { days, lost, pseudonymous, partial } = recorded;
        let is_short = u32::try_from(days).is_ok_and(|days| days < span);
        Self { days: is_short.then_some(days), lost, pseudonymous, partial }
    }
}

/// Rules of the draft that decided nothing.
#[derive(Default, Serialize)]
struct UnusedShown {
    count: usize,
    total: usize,
    lines: Vec<LineShown>,
    more: usize,
}

#[derive(Serialize)]
struct LineShown {
    number: u32,
    text: String,
}

/// What services try.
#[derive(Serialize)]
struct OnTrialShown {
    /// Names the rules in the form that takes them away.
    sha256: String,
    /// Whether the draft says the same.
    is_draft: bool,
    by: WhoShown,
    at: TimeShown,
    requests: u64,
    decisions: u64,
    lost: u64,
    untried: u64,
    turns: TurnsShown,
}

impl RulesDesk {
    /// The page, for whoever looks.
    pub(super) async fn trial_page(
        &self,
        entered: &Entered,
        days: u32,
        visitor: &Visitor,
    ) -> Result<TrialPage, AdminError> {
        let Entered { api, who } = entered;
        let draft = self.console.policies.draft(&api.id).await?;
        let active = self.active(&api.id).await?;
        let bare = without_cases(draft.value.text.clone());
        let in_force = active.map(|active| without_cases(active.text));
        let (state, recorded) = match in_force {
            None => ("no_active", None),
            Some(rules) if rules == bare => ("same", None),
            Some(_) => match self.recorded(entered, &draft.value, days).await? {
                None => ("errors", None),
                found => ("ready", found),
            },
        };
        let on_trial = match self.console.questions.shadowed(&api.id).await {
            Ok(found) => {
                let is_draft = found.shadow.text == bare;
                Some(self.on_trial(entered, found, is_draft).await?)
            }
            Err(AdminError::NotFound(_)) => None,
            Err(error) => return Err(error),
        };
        Ok(TrialPage {
            problem: None,
            notice: None,
            api: ApiShown::of(api),
            active_number: api.active_revision,
            days,
            spans: SPANS,
            state,
            recorded,
            on_trial,
            form: FormShown {
                may: self.may(who, ACTIVATE_POLICIES),
                version: draft.version.as_str().to_owned(),
                csrf_token: self.guard.token(&visitor.visit.browser),
            },
        })
    }

    /// What the draft would have answered; `None` if it has errors.
    async fn recorded(
        &self,
        entered: &Entered,
        draft: &PolicyDraft,
        days: u32,
    ) -> Result<Option<RecordedShown>, AdminError> {
        let texts = (Edition::Active, Successor::Edition(Edition::Draft));
        let now = entered.who.caller.now;
        let found = match self.console.questions.replay(&entered.api.id, texts, days, now).await {
            Ok(found) => found,
            Err(AdminError::Policy(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let replayed = &found.replayed;
        Ok(Some(RecordedShown {
            all: replayed.all.decisions,
            denied: replayed.denied.decisions,
            conditional: replayed.conditional.decisions,
            allowed: replayed.allowed.decisions,
            losers: replayed.losers,
            turns: self.turns(entered, replayed).await?,
            gaps: GapsShown::of(found.recorded, days),
            unused: UnusedShown::of(&found, draft),
        }))
    }

    async fn on_trial(
        &self,
        entered: &Entered,
        found: Shadowed,
        is_draft: bool,
    ) -> Result<OnTrialShown, AdminError> {
        let Shadowed { shadow, replayed } = found;
        let names = self.console.names.find(&[shadow.started_by.as_str()]).await?;
        Ok(OnTrialShown {
            sha256: shadow.sha256.hex(),
            is_draft,
            by: WhoShown::of(&names, &shadow.started_by),
            at: TimeShown::of(shadow.started_at),
            requests: shadow.requests,
            decisions: shadow.decisions,
            lost: shadow.lost,
            untried: shadow.untried,
            turns: self.turns(entered, &replayed).await?,
        })
    }
}

impl UnusedShown {
    fn of(found: &Simulated, draft: &PolicyDraft) -> Self {
        // Somebody may have saved another one meanwhile, whose lines are others.
        let is_seen = found.after == Some(Seen::Draft(draft.version));
        let Some(rules) = found.replayed.rules.as_ref().filter(|_| is_seen) else { return Self::default() };
        let texts: Vec<&str> = draft.text.rules.lines().collect();
        let line = |number: &u32| {
            let place = usize::try_from(*number).ok()?.checked_sub(1)?;
            let text = texts.get(place)?.trim().chars().take(MAX_TEXT).collect();
            Some(LineShown { number: *number, text })
        };
        let lines: Vec<LineShown> = rules.unused.iter().take(MAX_UNUSED).filter_map(line).collect();
        let count = rules.total.saturating_sub(rules.used);
        Self { count, total: rules.total, more: count.saturating_sub(lines.len()), lines }
    }
}

#[cfg(test)]
pub(in crate::http::pages) fn samples() -> Vec<impl Page> {
    use crate::domain::clock::Timestamp;
    use crate::http::pages::rules::page::sample_api;
    use crate::http::pages::rules::shown::sample_who;
    use crate::http::pages::rules::trial::NOTICES;
    use crate::http::pages::rules::turns::sample_turns;

    let page = |state: &'static str, may| TrialPage {
        problem: None,
        notice: None,
        api: sample_api(),
        active_number: (state != "no_active").then_some(7),
        days: 7,
        spans: SPANS,
        state,
        recorded: None,
        on_trial: None,
        form: FormShown { may, version: "8".to_owned(), csrf_token: "token".to_owned() },
    };
    let line = |number| LineShown { number, text: "p, <b>".to_owned() };
    let full = || RecordedShown {
        all: 1_000,
        denied: 40,
        conditional: 9,
        allowed: 2,
        losers: 7,
        turns: sample_turns(),
        gaps: GapsShown { days: Some(2), lost: 9, pseudonymous: 4, partial: true },
        unused: UnusedShown { count: 5, total: 9, lines: vec![line(3), line(8)], more: 3 },
    };
    let calm = RecordedShown { all: 10, ..RecordedShown::default() };
    let on_trial = |is_draft, requests| OnTrialShown {
        sha256: "5f".repeat(32),
        is_draft,
        by: sample_who("person"),
        at: TimeShown::of(Timestamp::from_secs(1_800_000_000)),
        requests,
        decisions: requests,
        lost: requests,
        untried: requests,
        turns: if requests > 0 { sample_turns() } else { TurnsShown::default() },
    };
    let mut all = vec![
        page("no_active", true),
        page("same", true),
        page("errors", false),
        TrialPage { recorded: Some(RecordedShown::default()), days: 1, ..page("ready", true) },
        TrialPage { recorded: Some(calm), days: 30, ..page("ready", false) },
        TrialPage { recorded: Some(full()), on_trial: Some(on_trial(true, 3)), ..page("ready", true) },
        TrialPage { recorded: Some(full()), on_trial: Some(on_trial(false, 0)), ..page("ready", true) },
        TrialPage { on_trial: Some(on_trial(false, 3)), ..page("same", false) },
    ];
    all.extend(NOTICES.map(|notice| page("same", true).saying(Some(notice))));
    let problems = ["findings", "no_active", "not_on_trial", "owners_only", "same", "stale"];
    all.extend(
        problems.map(|problem| TrialPage { recorded: Some(full()), ..page("ready", true) }.refusing(problem)),
    );
    all
}

//! What the page of what is to come into force shows.

#[cfg(test)]
mod samples;

use portcullis_policy::Replayed;
use serde::Serialize;

use crate::domain::audit::Actor;
use crate::domain::policy::PolicyText;
use crate::domain::rbac::Api;
use crate::domain::schedule::{Ending, PolicySchedule};
use crate::http::extract::visit::Visitor;
#[cfg(test)]
pub(in crate::http::pages) use crate::http::pages::rules::activation::page::samples::samples;
use crate::http::pages::rules::desk::{Entered, RulesDesk, UPDATE_APIS};
use crate::http::pages::rules::page::ApiShown;
use crate::http::pages::rules::shown::{DifferenceShown, WhoShown};
use crate::http::pages::rules::trial::DEFAULT_DAYS;
use crate::http::pages::when::TimeShown;
use crate::http::render::Page;
use crate::services::admin_error::AdminError;
use crate::services::caller::Authority;
use crate::services::names::Names;
use crate::services::paging::PageQuery;
use crate::services::permission::ACTIVATE_POLICIES;
use crate::services::policies::questions::Edition;
use crate::services::policies::replay::Successor;

/// How many schedules that ended are listed.
const MAX_ENDED: usize = 10;

/// The page.
#[derive(Serialize)]
pub(super) struct ActivationPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    api: ApiShown,
    /// The revision in force, as the form carries it.
    active_number: String,
    waiting: Option<WaitingShown>,
    draft: DraftShown,
    order: Order,
    ended: Vec<EndedShown>,
    four_eyes: FourEyesShown,
    csrf_token: String,
}

impl Page for ActivationPage {
    const TEMPLATE: &'static str = "activation.html";
}

impl ActivationPage {
    pub(super) fn saying(self, notice: Option<&'static str>) -> Self {
        Self { notice, ..self }
    }

    /// The page with what stands against what was sent, and with what was typed.
    pub(super) fn refusing(self, problem: &'static str, order: Order) -> Self {
        Self { problem: Some(problem), order, ..self }
    }
}

/// What somebody typed.
#[derive(Default, Serialize)]
pub(super) struct Order {
    at: String,
    message: String,
}

impl Order {
    pub(super) fn of(at: &str, message: &str) -> Self {
        Self { at: at.trim().to_owned(), message: message.trim().to_owned() }
    }
}

/// What waits.
#[derive(Serialize)]
struct WaitingShown {
    id: String,
    activate_at: TimeShown,
    message: String,
    request: RequestShown,
    /// `given`, `missing` or `unneeded`.
    approval: &'static str,
    approved_by: Option<WhoShown>,
    /// The revision that it replaces.
    base: Option<u64>,
    /// Whether another came into force since, so that it will not be carried out.
    overtaken: bool,
    may: MayShown,
    /// `None` if it cannot be compared with anything.
    difference: Option<DifferenceShown>,
}

/// Who asked for it.
#[derive(Serialize)]
struct RequestShown {
    written_by: WhoShown,
    requested_by: WhoShown,
    requested_at: TimeShown,
}

/// What whoever looks may do about it.
#[derive(Serialize)]
struct MayShown {
    approve: bool,
    /// Whether they wrote it or asked for it, so that another has to approve it.
    own: bool,
    /// How taking it back is called: `cancel` or `decline`. `None` for whoever may not.
    cancel: Option<&'static str>,
}

/// What may be put off.
#[derive(Serialize)]
struct DraftShown {
    /// `ready`, `same` as what is in force, or `blocked` by what waits; `forbidden` to whoever may not.
    state: &'static str,
    version: u64,
    saved_by: WhoShown,
    /// Whether whoever looks saved it.
    own: bool,
    saved_at: TimeShown,
    difference: Option<DifferenceShown>,
    /// `None` where it cannot be said.
    glance: Option<GlanceShown>,
}

/// What the draft would take from those who asked lately.
#[derive(Serialize)]
struct GlanceShown {
    losers: usize,
    /// How many decisions stand under another condition.
    conditional: u64,
    /// Whether there is more than was looked at.
    partial: bool,
}

/// A schedule that ended.
#[derive(Serialize)]
struct EndedShown {
    at: TimeShown,
    how: &'static str,
    revision: Option<u64>,
    message: String,
    requested_by: WhoShown,
}

/// Whether it takes two.
#[derive(Serialize)]
struct FourEyesShown {
    on: bool,
    /// Whether whoever looks may turn it the other way.
    may_turn: bool,
    /// The state of the API that this is.
    version: String,
}

impl RulesDesk {
    /// The page as it is now for whoever looks.
    pub(super) async fn activation_page(
        &self,
        entered: &Entered,
        visitor: &Visitor,
    ) -> Result<ActivationPage, AdminError> {
        let Entered { api, who } = entered;
        let policies = &self.console.policies;
        let waiting = policies.waiting(&api.id).await?;
        let size = MAX_ENDED as u64 + 1;
        let listed = policies.schedules(&api.id, &PageQuery::new(None, Some(size))).await?.items;
        let draft = policies.draft(&api.id).await?.value;
        let actors = waiting.iter().chain(&listed).flat_map(|schedule| {
            let request = &schedule.request;
            [&request.written_by, &request.requested_by].into_iter().chain(&schedule.approved_by)
        });
        let actors: Vec<&str> = actors.chain([&draft.updated_by]).map(String::as_str).collect();
        let names = self.console.names.find(&actors).await?;
        let active = self.active(&api.id).await?;
        let is_active = |text: &PolicyText| active.as_ref().is_some_and(|active| active.text == *text);
        let state = match () {
            () if waiting.is_some() => "blocked",
            () if is_active(&draft.text) => "same",
            () if !self.may(who, ACTIVATE_POLICIES) => "forbidden",
            () => "ready",
        };
        let is_pending = matches!(state, "forbidden" | "ready");
        let difference = if is_pending { self.difference(entered, Edition::Draft).await? } else { None };
        let glance = if difference.is_some() { self.glance(entered).await? } else { None };
        let waiting = match waiting {
            Some(schedule) => Some(self.waiting(entered, schedule, &names).await?),
            None => None,
        };
        let ended = listed.iter().filter_map(|schedule| EndedShown::of(schedule, &names));
        let known = self.console.apis.show(&api.id).await?;
        let owns = who.caller.authority == Authority::Owner;
        Ok(ActivationPage {
            problem: None,
            notice: None,
            api: ApiShown::of(api),
            active_number: number(api),
            waiting,
            draft: DraftShown {
                state,
                version: draft.version,
                saved_by: WhoShown::of(&names, &draft.updated_by),
                own: is_own(&draft.updated_by, &who.caller.actor),
                saved_at: TimeShown::of(draft.updated_at),
                difference,
                glance,
            },
            order: Order::default(),
            ended: ended.take(MAX_ENDED).collect(),
            four_eyes: FourEyesShown {
                on: known.value.four_eyes,
                may_turn: self.may(who, UPDATE_APIS) && (owns || !(known.value.four_eyes || api.administers)),
                version: known.version.as_str().to_owned(),
            },
            csrf_token: self.guard.token(&visitor.visit.browser),
        })
    }

    async fn waiting(
        &self,
        entered: &Entered,
        schedule: PolicySchedule,
        names: &Names,
    ) -> Result<WaitingShown, AdminError> {
        let Entered { api, who } = entered;
        let difference = self.difference(entered, Edition::Schedule(schedule.id.clone())).await?;
        let request = schedule.request;
        let own = [&request.written_by, &request.requested_by].iter().any(|by| is_own(by, &who.caller.actor));
        let approval = match &schedule.approved_by {
            Some(_) => "given",
            None if api.four_eyes => "missing",
            None => "unneeded",
        };
        let may = self.may(who, ACTIVATE_POLICIES);
        let cancel = if is_own(&request.requested_by, &who.caller.actor) { "cancel" } else { "decline" };
        Ok(WaitingShown {
            id: schedule.id.to_string(),
            activate_at: TimeShown::of(schedule.activate_at),
            message: schedule.message,
            request: RequestShown {
                written_by: WhoShown::of(names, &request.written_by),
                requested_by: WhoShown::of(names, &request.requested_by),
                requested_at: TimeShown::of(request.requested_at),
            },
            approval,
            approved_by: schedule.approved_by.map(|by| WhoShown::of(names, &by)),
            base: schedule.base_revision,
            overtaken: schedule.base_revision != api.active_revision,
            may: MayShown {
                approve: may && !own && approval == "missing",
                own,
                cancel: may.then_some(cancel),
            },
            difference,
        })
    }

    /// Nothing where nothing was recorded, where one of the two cannot be used, or while somebody else tries a draft.
    async fn glance(&self, entered: &Entered) -> Result<Option<GlanceShown>, AdminError> {
        let texts = (Edition::Active, Successor::Edition(Edition::Draft));
        let now = entered.who.caller.now;
        match self.console.questions.glance(&entered.api.id, texts, DEFAULT_DAYS, now).await {
            Ok(Some(found)) if found.replayed.all.requests > 0 => {
                Ok(Some(GlanceShown::of(&found.replayed, found.recorded.partial)))
            }
            Ok(_) | Err(AdminError::NotFound(_) | AdminError::Policy(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What would change, or nothing where nothing is in force or what was to come has ended meanwhile.
    async fn difference(
        &self,
        entered: &Entered,
        to: Edition,
    ) -> Result<Option<DifferenceShown>, AdminError> {
        match self.console.questions.compare(&entered.api.id, Edition::Active, to).await {
            Ok(found) => Ok(Some(DifferenceShown::of(found))),
            Err(AdminError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl GlanceShown {
    fn of(replayed: &Replayed, partial: bool) -> Self {
        Self { losers: replayed.losers, conditional: replayed.conditional.decisions, partial }
    }
}

impl EndedShown {
    fn of(schedule: &PolicySchedule, names: &Names) -> Option<Self> {
        let end = schedule.end?;
        Some(Self {
            at: TimeShown::of(end.at),
            how: ended(end.how),
            revision: end.revision,
            message: schedule.message.clone(),
            requested_by: WhoShown::of(names, &schedule.request.requested_by),
        })
    }
}

/// The revision in force, as a form carries it.
pub(super) fn number(api: &Api) -> String {
    api.active_revision.map(|number| number.to_string()).unwrap_or_default()
}

/// Whether it was this one who did it.
pub(super) fn is_own(by: &str, actor: &Actor) -> bool {
    by == actor.as_str()
}

/// How an ending is called among the sentences of the pages.
fn ended(how: Ending) -> &'static str {
    match how {
        Ending::Activated => "activated",
        Ending::BaseMoved => "base_moved",
        Ending::Cancelled => "cancelled",
        Ending::FailingCases => "failing_cases",
        Ending::Lockout => "lockout",
        Ending::NotApproved => "not_approved",
        Ending::NotPermitted => "not_permitted",
        Ending::Unusable => "unusable",
    }
}

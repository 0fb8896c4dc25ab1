//! What the page of routes shows.

#[cfg(test)]
mod samples;

use portcullis_policy::{Fit, Route, RuleEffect, UnroutedRule, UnruledNeed};
use serde::Serialize;

use crate::domain::inventory::{InventoryState, RouteInventory};
use crate::http::extract::visit::Visitor;
use crate::http::pages::rules::desk::{Entered, RulesDesk, UPDATE};
use crate::http::pages::rules::page::ApiShown;
#[cfg(test)]
pub(in crate::http::pages) use crate::http::pages::rules::routes::page::samples::samples;
use crate::http::pages::rules::shown::WhoShown;
use crate::http::pages::when::TimeShown;
use crate::http::render::Page;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::names::Names;
use crate::services::policies::inventory::version;
use crate::services::policies::questions::Edition;
use crate::services::policies::route_report::{RouteReport, parsed};

/// How many rows of a table are shown.
const MAX_ROWS: usize = 100;
/// How many routes of one inventory are shown.
const MAX_ROUTES: usize = 300;

/// Which rules the routes are held against.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Of {
    Active,
    Draft,
}

/// The page.
#[derive(Serialize)]
pub(super) struct RoutesPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    api: ApiShown,
    active_number: Option<u64>,
    pending: Vec<InventoryShown>,
    /// Those that somebody looked at.
    known: Vec<InventoryShown>,
    report: ReportShown,
    /// Whether whoever looks may approve and reject.
    may: bool,
    csrf_token: String,
}

impl Page for RoutesPage {
    const TEMPLATE: &'static str = "routes.html";
}

impl RoutesPage {
    pub(super) fn saying(self, notice: Option<&'static str>) -> Self {
        Self { notice, ..self }
    }

    /// The page with what stands against what was sent.
    pub(super) fn refusing(self, problem: &'static str) -> Self {
        Self { problem: Some(problem), ..self }
    }
}

/// What one version of a service told.
#[derive(Serialize)]
struct InventoryShown {
    digest: String,
    /// What the form carries, so that nobody decides about something else.
    seen: String,
    version: Option<String>,
    state: &'static str,
    count: u64,
    announced_by: WhoShown,
    announced_at: TimeShown,
    decided: Option<DecidedShown>,
    /// Only of those that wait.
    routes: Vec<RouteShown>,
    more: usize,
}

#[derive(Serialize)]
struct DecidedShown {
    by: WhoShown,
    at: TimeShown,
}

#[derive(Serialize)]
struct RouteShown {
    methods: String,
    path: String,
    requires: String,
}

/// Whether routes and rules fit.
#[derive(Default, Serialize)]
struct ReportShown {
    /// `no_active`, `none_approved`, `unusable` or `ready`.
    state: &'static str,
    #[serde(flatten)]
    rules: RulesHeld,
    routes: usize,
    unruled: Vec<UnruledShown>,
    unruled_count: usize,
    unrouted: Vec<UnroutedShown>,
    unrouted_count: usize,
    more: usize,
    complete: bool,
}

/// Which rules the routes are held against.
#[derive(Default, Serialize)]
struct RulesHeld {
    /// `active` or `draft`.
    of: &'static str,
    /// Whether there is a draft that says something else.
    has_draft: bool,
    /// Whether the lines are those of the editor.
    in_editor: bool,
}

/// A permission that a route needs and that nobody can have.
#[derive(Serialize)]
struct UnruledShown {
    methods: String,
    path: String,
    object: String,
    action: String,
    denied_by: Option<u32>,
    closed: bool,
}

/// A rule that no route asks for.
#[derive(Serialize)]
struct UnroutedShown {
    line: u32,
    effect: &'static str,
    grantee: String,
    object: String,
    action: String,
}

impl RulesDesk {
    /// The page, for whoever looks.
    pub(super) async fn routes_page(
        &self,
        entered: &Entered,
        of: Of,
        visitor: &Visitor,
    ) -> Result<RoutesPage, AdminError> {
        let Entered { api, who } = entered;
        let found = self.console.inventories.list(&api.id).await?;
        let actors = found.iter().flat_map(|one| {
            let decided = one.decided.as_ref().map(|(by, _)| by.as_str());
            std::iter::once(one.announced.0.as_str()).chain(decided)
        });
        let names = self.console.names.find(&actors.collect::<Vec<_>>()).await?;
        let (mut pending, mut known) = (Vec::new(), Vec::new());
        for one in found {
            if one.state == InventoryState::Pending {
                pending.extend(self.pending(one, &names).await?);
            } else {
                known.push(InventoryShown::of(one, &names));
            }
        }
        Ok(RoutesPage {
            problem: None,
            notice: None,
            api: ApiShown::of(api),
            active_number: api.active_revision,
            pending,
            known,
            report: self.report(entered, of).await?,
            may: self.may(who, UPDATE),
            csrf_token: self.guard.token(&visitor.visit.browser),
        })
    }

    /// With its routes: whoever decides has to see them. `None` if it went meanwhile.
    async fn pending(
        &self,
        listed: RouteInventory,
        names: &Names,
    ) -> Result<Option<InventoryShown>, AdminError> {
        let found = match self.console.inventories.show(&listed.api, &listed.digest).await {
            Ok(found) => found.value,
            Err(AdminError::NotFound(Thing::Inventory)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let routes = parsed(&found.document)?.routes;
        // The version is that of the list: whoever decides decides about what is shown.
        let shown = InventoryShown::of(listed, names);
        let more = routes.len().saturating_sub(MAX_ROUTES);
        let routes = routes.iter().take(MAX_ROUTES).map(RouteShown::of).collect();
        Ok(Some(InventoryShown { routes, more, ..shown }))
    }

    async fn report(&self, entered: &Entered, of: Of) -> Result<ReportShown, AdminError> {
        let api = &entered.api.id;
        let draft = self.console.policies.draft(api).await?.value.text;
        let active = self.active(api).await?.map(|active| active.text);
        let is_same = active.as_ref().is_some_and(|active| active.rules == draft.rules);
        let (edition, name) = match of {
            Of::Active => (Edition::Active, "active"),
            Of::Draft => (Edition::Draft, "draft"),
        };
        let frame = |state| {
            let rules = RulesHeld {
                of: name,
                has_draft: active.as_ref().is_some_and(|active| *active != draft),
                in_editor: of == Of::Draft || is_same,
            };
            ReportShown { state, rules, ..ReportShown::default() }
        };
        match self.console.questions.route_report(api, edition, None).await {
            Ok(found) => Ok(frame("ready").filled(found.answer)),
            Err(AdminError::NotFound(Thing::Inventory)) => Ok(frame("none_approved")),
            Err(AdminError::NotFound(_)) => Ok(frame("no_active")),
            Err(AdminError::Policy(_)) => Ok(frame("unusable")),
            Err(error) => Err(error),
        }
    }
}

impl InventoryShown {
    fn of(inventory: RouteInventory, names: &Names) -> Self {
        let (by, at) = &inventory.announced;
        Self {
            seen: version(&inventory).as_str().to_owned(),
            digest: inventory.digest.hex(),
            state: inventory.state.as_str(),
            count: inventory.routes,
            announced_by: WhoShown::of(names, by),
            announced_at: TimeShown::of(*at),
            decided: inventory
                .decided
                .as_ref()
                .map(|(by, at)| DecidedShown { by: WhoShown::of(names, by), at: TimeShown::of(*at) }),
            version: inventory.version,
            routes: Vec::new(),
            more: 0,
        }
    }
}

impl RouteShown {
    fn of(route: &Route) -> Self {
        Self {
            methods: route.methods.join(" "),
            path: route.path.clone(),
            requires: route.requires.to_string(),
        }
    }
}

impl ReportShown {
    fn filled(self, report: RouteReport) -> Self {
        let Fit { unruled, unrouted, complete, .. } = report.fit;
        let more = [unruled.len(), unrouted.len()].map(|count| count.saturating_sub(MAX_ROWS)).iter().sum();
        Self {
            routes: report.routes,
            unruled_count: unruled.len(),
            unrouted_count: unrouted.len(),
            unruled: unruled.into_iter().take(MAX_ROWS).map(UnruledShown::of).collect(),
            unrouted: unrouted.into_iter().take(MAX_ROWS).map(UnroutedShown::of).collect(),
            more,
            complete,
            ..self
        }
    }
}

impl UnruledShown {
    fn of(need: UnruledNeed) -> Self {
        let UnruledNeed { methods, path, object, action, denied_by, closed, .. } = need;
        Self { methods: methods.join(" "), path, object, action, denied_by, closed }
    }
}

impl UnroutedShown {
    fn of(rule: UnroutedRule) -> Self {
        let effect = if rule.effect == RuleEffect::Deny { "deny" } else { "allow" };
        let UnroutedRule { line, grantee, object, action, .. } = rule;
        Self { line, effect, grantee: grantee.to_string(), object, action }
    }
}

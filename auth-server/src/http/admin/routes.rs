//! What services say about their routes, and how their policies fit.

use axum::extract::{Path, State};
use portcullis_policy::{RouteDocument, UnroutedRule, UnruledNeed};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::domain::clock::Timestamp;
use crate::domain::ids::ApiId;
use crate::domain::inventory::{InventoryState, RouteInventory};
use crate::domain::secret::Digest32;
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::body::Parameters;
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::precondition::IfMatch;
use crate::http::admin::problem::Problem;
use crate::http::admin::questions::answers::{SeenDocument, effect};
use crate::http::admin::questions::edition;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::fields::FieldErrors;
use crate::services::policies::announced::parsed;
use crate::services::policies::inventory::InventoryService;
use crate::services::policies::questions::{Answered, Edition, QuestionService};
use crate::services::policies::route_report::RouteReport;
use crate::services::version::Versioned;

/// The routes of one version of a service, as its guard announced them.
#[derive(Serialize, ToSchema)]
pub(crate) struct InventoryDocument {
    /// Names what was announced: SHA-256 in lower-case hexadecimal.
    #[schema(example = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08")]
    digest: String,
    /// The version of the service; null if it said none.
    version: Option<String>,
    /// `pending`, `approved` or `rejected`.
    state: &'static str,
    /// How many routes it has.
    route_count: u64,
    /// The routes, and what each requires; null in a list.
    #[schema(value_type = Option<Vec<Object>>)]
    routes: Option<Vec<portcullis_policy::Route>>,
    /// The client that announced it.
    announced_by: String,
    announced_at: String,
    /// Who approved or rejected it.
    decided_by: Option<String>,
    decided_at: Option<String>,
}

impl InventoryDocument {
    fn without_routes(inventory: RouteInventory) -> Self {
        let (announced_by, announced_at) = inventory.announced;
        let (decided_by, decided_at) = inventory.decided.unzip();
        Self {
            digest: inventory.digest.hex(),
            version: inventory.version,
            state: inventory.state.as_str(),
            route_count: inventory.routes,
            routes: None,
            announced_by,
            announced_at: announced_at.rfc3339(),
            decided_by,
            decided_at: decided_at.map(Timestamp::rfc3339),
        }
    }

    fn whole(mut inventory: RouteInventory) -> Result<Self, AdminError> {
        let RouteDocument { routes, .. } = parsed(&std::mem::take(&mut inventory.document))?;
        Ok(Self { routes: Some(routes), ..Self::without_routes(inventory) })
    }
}

/// The inventories of an API.
#[derive(Serialize, ToSchema)]
pub(crate) struct InventoryList {
    items: Vec<InventoryDocument>,
}

/// Which inventories to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct InventoryFilter {
    /// `pending`, `approved` or `rejected`. Without it: all.
    state: Option<String>,
}

/// Which routes, and which text.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RouteReportQuery {
    /// Which text: `active` (unless given), `draft`, the number of a revision or the name of a scheduled activation that waits.
    of: Option<String>,
    /// The inventory, approved or not. Without it: all that are approved, together.
    digest: Option<String>,
}

/// How the routes of a service and the rules of a text fit.
#[derive(Serialize, ToSchema)]
pub(crate) struct RouteReportDocument {
    of: SeenDocument,
    /// Whose routes were looked at.
    inventories: Vec<InventoryDocument>,
    /// How many different routes they have.
    route_count: usize,
    /// What routes need and no rule could allow to anybody.
    unruled: Vec<UnruledDocument>,
    /// Rules that say nothing about what a route needs.
    unrouted: Vec<UnroutedDocument>,
    /// Whether these are all: false when there are more than 10,000, or too many to look at each.
    complete: bool,
}

/// A permission that a route needs and that nobody can have.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnruledDocument {
    /// The methods of the route, or `*` alone for all of them.
    methods: Vec<String>,
    /// Its path.
    path: String,
    object: String,
    action: String,
    /// The line of the rule that denies it to everybody to whom another allows it; null if none allows it.
    denied_by: Option<u32>,
    /// Whether the route serves nobody for it. False where a scope, say, opens it as well.
    closed: bool,
}

/// A rule that no route asks for.
#[derive(Serialize, ToSchema)]
pub(crate) struct UnroutedDocument {
    /// Its line, from 1.
    line: u32,
    /// `allow` or `deny`.
    effect: &'static str,
    /// Whom it names: a role, or `user:` and a subject.
    grantee: String,
    domain: String,
    object: String,
    action: String,
}

impl From<UnruledNeed> for UnruledDocument {
    fn from(need: UnruledNeed) -> Self {
        Self {
            methods: need.methods,
            path: need.path,
            object: need.object,
            action: need.action,
            denied_by: need.denied_by,
            closed: need.closed,
        }
    }
}

impl From<UnroutedRule> for UnroutedDocument {
    fn from(rule: UnroutedRule) -> Self {
        Self {
            line: rule.line,
            effect: effect(rule.effect),
            grantee: rule.grantee.to_string(),
            domain: rule.domain,
            object: rule.object,
            action: rule.action,
        }
    }
}

impl From<Answered<RouteReport>> for RouteReportDocument {
    fn from(answered: Answered<RouteReport>) -> Self {
        let RouteReport { inventories, routes, fit } = answered.answer;
        Self {
            of: answered.seen.into(),
            inventories: inventories.into_iter().map(InventoryDocument::without_routes).collect(),
            route_count: routes,
            unruled: fit.unruled.into_iter().map(UnruledDocument::from).collect(),
            unrouted: fit.unrouted.into_iter().map(UnroutedDocument::from).collect(),
            complete: fit.complete,
        }
    }
}

/// Lists what services announced, newest first. An API has a few at most.
#[utoipa::path(get, path = "/apis/{api}/policy/routes", tag = "policies", operation_id = "listRouteInventories",
    params(("api" = String, Path), InventoryFilter), responses((status = 200, body = InventoryList)))]
pub(crate) async fn list(
    State(inventories): State<InventoryService>,
    Path(api): Path<String>,
    Parameters(filter): Parameters<InventoryFilter>,
) -> Result<Answer<InventoryList>, Problem> {
    let wanted = filter.state.as_deref().map(str::parse::<InventoryState>).transpose();
    let wanted = wanted
        .map_err(|unknown| AdminError::from(FieldErrors::of("/state", "invalid", unknown.to_string())))?;
    let found = inventories.list(&named::<ApiId>(&api, Thing::Api)?).await?;
    let listed = found.into_iter().filter(|inventory| wanted.is_none_or(|state| inventory.state == state));
    Ok(Answer::ok(InventoryList { items: listed.map(InventoryDocument::without_routes).collect() }))
}

/// Shows what a service announced, route by route.
#[utoipa::path(get, path = "/apis/{api}/policy/routes/{digest}", tag = "policies", operation_id = "showRouteInventory",
    params(("api" = String, Path), ("digest" = String, Path)), responses((status = 200, body = InventoryDocument)))]
pub(crate) async fn show(
    State(inventories): State<InventoryService>,
    Path((api, digest)): Path<(String, String)>,
) -> Result<Answer<InventoryDocument>, Problem> {
    let (api, digest) = place(&api, &digest)?;
    shown(inventories.show(&api, &digest).await?)
}

/// Says that these are the routes of that version of the service. What was approved for it before is forgotten.
#[utoipa::path(post, path = "/apis/{api}/policy/routes/{digest}/approve", tag = "policies",
    operation_id = "approveRouteInventory",
    params(("api" = String, Path), ("digest" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = InventoryDocument)))]
pub(crate) async fn approve(
    State(inventories): State<InventoryService>,
    Path((api, digest)): Path<(String, String)>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
) -> Result<Answer<InventoryDocument>, Problem> {
    let (api, digest) = place(&api, &digest)?;
    match inventories.approve(&api, &digest, &precondition, &caller).await {
        Ok(approved) => shown(approved),
        Err(error) => Err(refused(error, &inventories, &api, &digest).await),
    }
}

/// Says that these are not the routes of the service. It is remembered, so that the service does not ask again.
#[utoipa::path(post, path = "/apis/{api}/policy/routes/{digest}/reject", tag = "policies",
    operation_id = "rejectRouteInventory",
    params(("api" = String, Path), ("digest" = String, Path), ("If-Match" = String, Header)),
    responses((status = 200, body = InventoryDocument)))]
pub(crate) async fn reject(
    State(inventories): State<InventoryService>,
    Path((api, digest)): Path<(String, String)>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
) -> Result<Answer<InventoryDocument>, Problem> {
    let (api, digest) = place(&api, &digest)?;
    match inventories.reject(&api, &digest, &precondition, &caller).await {
        Ok(rejected) => shown(rejected),
        Err(error) => Err(refused(error, &inventories, &api, &digest).await),
    }
}

/// Forgets what a service announced, say of a version that does not run any more. One that runs announces it again.
#[utoipa::path(delete, path = "/apis/{api}/policy/routes/{digest}", tag = "policies",
    operation_id = "deleteRouteInventory",
    params(("api" = String, Path), ("digest" = String, Path), ("If-Match" = String, Header)),
    responses((status = 204, description = "It is forgotten.")))]
pub(crate) async fn delete(
    State(inventories): State<InventoryService>,
    Path((api, digest)): Path<(String, String)>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
) -> Result<Done, Problem> {
    let (api, digest) = place(&api, &digest)?;
    match inventories.delete(&api, &digest, &precondition, &caller).await {
        Ok(()) => Ok(Done),
        Err(error) => Err(refused(error, &inventories, &api, &digest).await),
    }
}

/// Lists routes that no rule opens, and rules that no route asks for.
#[utoipa::path(get, path = "/apis/{api}/policy/route-report", tag = "policies", operation_id = "reportRoutes",
    params(("api" = String, Path), RouteReportQuery), responses((status = 200, body = RouteReportDocument)))]
pub(crate) async fn report(
    State(questions): State<QuestionService>,
    Path(api): Path<String>,
    Parameters(query): Parameters<RouteReportQuery>,
) -> Result<Answer<RouteReportDocument>, Problem> {
    let edition = edition("/of", query.of.as_deref(), Edition::Active)?;
    let digest = match query.digest.as_deref() {
        Some(raw) => Some(named::<Digest32>(raw, Thing::Inventory)?),
        None => None,
    };
    let api = named::<ApiId>(&api, Thing::Api)?;
    Ok(Answer::ok(questions.route_report(&api, edition, digest.as_ref()).await?.into()))
}

#[expect(clippy::result_large_err, reason = "a problem is made once for a request that is refused")]
fn place(api: &str, digest: &str) -> Result<(ApiId, Digest32), Problem> {
    Ok((named(api, Thing::Api)?, named(digest, Thing::Inventory)?))
}

#[expect(clippy::result_large_err, reason = "a problem is made once for a request that is refused")]
fn shown(inventory: Versioned<RouteInventory>) -> Result<Answer<InventoryDocument>, Problem> {
    Ok(Answer::ok(InventoryDocument::whole(inventory.value)?).at(&inventory.version))
}

/// Says what it is now to somebody who expected something else.
async fn refused(
    error: AdminError,
    inventories: &InventoryService,
    api: &ApiId,
    digest: &Digest32,
) -> Problem {
    match error {
        AdminError::Stale => match inventories.show(api, digest).await {
            Ok(current) => {
                Problem::stale(&InventoryDocument::without_routes(current.value), &current.version)
            }
            Err(error) => error.into(),
        },
        error => error.into(),
    }
}

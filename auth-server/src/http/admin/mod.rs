//! The admin API, `/api/v1/..`, guarded by the layer that this project ships, and its description.
//!
//! Every route is mounted through [`Mount::at`], which writes the permission that it needs both into the guard and into
//! the description, so the two cannot differ.

mod answer;
mod apis;
mod assignments;
mod audit;
pub(crate) mod body;
mod caller;
mod cases;
mod client_authentication;
mod client_protocol;
pub(crate) mod clients;
mod consents;
mod denied;
mod details_types;
mod document;
pub(crate) mod guard;
mod initial_tokens;
mod invitations;
pub(crate) mod live;
mod organisations;
mod passkeys;
mod path;
mod policies;
mod precondition;
pub(crate) mod problem;
mod questions;
mod registrations;
mod replay;
mod roles;
mod routes;
mod schedules;
mod shadows;
mod sign_outs;
pub(crate) mod state;
#[cfg(test)]
mod tests;
mod users;

use std::convert::Infallible;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get};
use portcullis_guard::{Guard, rbac};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::http::admin::document::{Description, describe, skeleton};
use crate::http::admin::live::LiveCheck;
use crate::http::admin::problem::{Problem, ProblemKind};
use crate::http::admin::state::AdminState;
use crate::http::dpop::offer_nonce;
use crate::services::permission::Permission;

/// The path below which the routes of this version lie.
const BASE: &str = "/api/v1";

/// Where the description is.
const DESCRIPTION: &str = "/api/openapi.json";

/// The admin API behind its guard, and its description.
pub(crate) fn router<S>(
    guard: &Guard,
    live: &LiveCheck,
    state: AdminState,
) -> Result<Router<S>, serde_json::Error> {
    let (routes, document) = mounted(guard, live);
    let description = Description::of(&document)?;
    Ok(routes.route(DESCRIPTION, get(async move || description)).with_state(state))
}

/// The routes and the document that describes them.
fn mounted(guard: &Guard, live: &LiveCheck) -> (Router<AdminState>, OpenApi) {
    let mount = Mount { guard, live, router: OpenApiRouter::default() };
    let routes = audit_trail(policy(rbac_parts(things(mount)))).router;
    // A path that no route has is refused like a route that states no requirement: by the guard.
    let nowhere = any(async || Problem::new(ProblemKind::NotFound)).layer::<_, Infallible>(guard.clone());
    let routes = routes.route("/{*path}", nowhere);
    let routes = routes
        .layer(from_fn_with_state(live.clone(), denied::record))
        .layer(from_fn_with_state(live.proofs.clone(), offer_nonce));
    let (served, document) = OpenApiRouter::with_openapi(skeleton()).nest(BASE, routes).split_for_parts();
    (served.method_not_allowed_fallback(async || Problem::new(ProblemKind::MethodNotAllowed)), document)
}

/// The routes so far, and what every next one is put behind.
struct Mount<'a> {
    guard: &'a Guard,
    live: &'a LiveCheck,
    router: OpenApiRouter<AdminState>,
}

impl Mount<'_> {
    /// Adds a route for callers who may do `action` with `object`.
    fn at(mut self, permission: Permission, route: UtoipaMethodRouter<AdminState>) -> Self {
        let Permission { object, action } = permission;
        let (schemas, mut paths, methods) = route;
        for item in paths.paths.values_mut() {
            describe(item, &format!("{object}:{action}"));
        }
        let methods = methods
            .layer::<_, Infallible>(from_fn_with_state(self.live.clone(), live::check))
            .layer::<_, Infallible>(self.guard.require(rbac(object, action)));
        self.router = self.router.routes((schemas, paths, methods));
        self
    }
}

const fn may(object: &'static str, action: &'static str) -> Permission {
    Permission { object, action }
}

fn things(mount: Mount<'_>) -> Mount<'_> {
    mount
        .at(may("users", "read"), routes!(users::list))
        .at(may("users", "create"), routes!(users::create))
        .at(may("users", "read"), routes!(users::show))
        .at(may("users", "update"), routes!(users::update))
        .at(may("users", "update"), routes!(users::disable))
        .at(may("users", "update"), routes!(users::enable))
        .at(may("users", "update"), routes!(users::withdraw_deletion))
        .at(may("users", "update"), routes!(users::set_password))
        .at(may("users", "update"), routes!(users::sign_out))
        .at(may("users", "update"), routes!(users::reset_second_step))
        .at(may("users", "read"), routes!(passkeys::list))
        .at(may("users", "update"), routes!(passkeys::remove))
        .at(may("users", "read"), routes!(consents::list))
        .at(may("users", "update"), routes!(consents::withdraw))
        .at(may("users", "delete"), routes!(users::delete))
        .at(may("users", "read"), routes!(invitations::list))
        .at(may("users", "create"), routes!(invitations::create))
        .at(may("users", "create"), routes!(invitations::send))
        .at(may("users", "delete"), routes!(invitations::delete))
        .at(may("clients", "read"), routes!(clients::list))
        .at(may("clients", "create"), routes!(clients::create))
        .at(may("clients", "read"), routes!(clients::show))
        .at(may("clients", "update"), routes!(clients::update))
        .at(may("clients", "update"), routes!(clients::disable))
        .at(may("clients", "update"), routes!(clients::enable))
        .at(may("clients", "delete"), routes!(clients::delete))
        .at(may("clients", "rotate-secret"), routes!(client_authentication::rotate))
        .at(may("clients", "read"), routes!(client_authentication::list))
        .at(may("clients", "rotate-secret"), routes!(client_authentication::add))
        .at(may("clients", "rotate-secret"), routes!(client_authentication::retire))
        .at(may("clients", "read"), routes!(sign_outs::list))
        .at(may("clients", "read"), routes!(registrations::list))
        .at(may("clients", "update"), routes!(registrations::disable))
        .at(may("clients", "update"), routes!(registrations::enable))
        .at(may("clients", "read"), routes!(initial_tokens::list))
        .at(may("clients", "create"), routes!(initial_tokens::create))
        .at(may("clients", "delete"), routes!(initial_tokens::delete))
        .at(may("organisations", "read"), routes!(organisations::list))
        .at(may("organisations", "create"), routes!(organisations::create))
        .at(may("organisations", "read"), routes!(organisations::show))
}

fn rbac_parts(mount: Mount<'_>) -> Mount<'_> {
    mount
        .at(may("apis", "read"), routes!(apis::list))
        .at(may("apis", "create"), routes!(apis::create))
        .at(may("apis", "read"), routes!(apis::show))
        .at(may("apis", "update"), routes!(apis::update))
        .at(may("apis", "delete"), routes!(apis::delete))
        .at(may("apis", "read"), routes!(details_types::list))
        .at(may("apis", "update"), routes!(details_types::replace))
        .at(may("roles", "read"), routes!(roles::list))
        .at(may("roles", "create"), routes!(roles::create))
        .at(may("roles", "delete"), routes!(roles::delete))
        .at(may("assignments", "read"), routes!(assignments::list))
        .at(may("assignments", "create"), routes!(assignments::create))
        .at(may("assignments", "delete"), routes!(assignments::delete))
}

fn policy(mount: Mount<'_>) -> Mount<'_> {
    mount
        .at(may("policies", "read"), routes!(policies::active))
        .at(may("policies", "read"), routes!(policies::draft))
        .at(may("policies", "update"), routes!(policies::save_draft))
        .at(may("policies", "validate"), routes!(policies::validate))
        .at(may("policies", "activate"), routes!(policies::activate))
        .at(may("policies", "read"), routes!(policies::history))
        .at(may("policies", "read"), routes!(policies::revision))
        .at(may("policies", "rollback"), routes!(policies::rollback))
        .at(may("policies", "read"), routes!(schedules::list))
        .at(may("policies", "read"), routes!(schedules::show))
        .at(may("policies", "activate"), routes!(schedules::cancel))
        .at(may("policies", "activate"), routes!(schedules::approve))
        .at(may("policies", "read"), routes!(questions::explain))
        .at(may("policies", "read"), routes!(questions::who_can))
        .at(may("policies", "read"), routes!(questions::what_can))
        .at(may("policies", "read"), routes!(questions::diff))
        .at(may("policies", "read"), routes!(replay::replay))
        .at(may("policies", "read"), routes!(shadows::show))
        .at(may("policies", "activate"), routes!(shadows::start))
        .at(may("policies", "activate"), routes!(shadows::stop))
        .at(may("policies", "read"), routes!(routes::list))
        .at(may("policies", "read"), routes!(routes::show))
        .at(may("policies", "update"), routes!(routes::approve))
        .at(may("policies", "update"), routes!(routes::reject))
        .at(may("policies", "update"), routes!(routes::delete))
        .at(may("policies", "read"), routes!(routes::report))
}

fn audit_trail(mount: Mount<'_>) -> Mount<'_> {
    mount.at(may("audit", "read"), routes!(audit::list))
}

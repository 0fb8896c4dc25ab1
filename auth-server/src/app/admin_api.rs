//! Puts the admin API together: its guard, the check behind it, and its routes.

use axum::Router;

use crate::app::StartError;
use crate::app::administration::Administration;
use crate::app::ground::Ground;
use crate::app::protocol::nonce_secret;
use crate::http::admin;
use crate::http::admin::guard::{self, GuardParts};
use crate::http::admin::live::LiveCheck;
use crate::http::admin::state::{AdminState, Records};
use crate::http::dpop::{self, Proofs};
use crate::http::extract::address::proxies;
use crate::http::extract::certificate;
use crate::http::state::AppState;
use crate::services::sign_outs::SignOutService;

/// The routes of the admin API, behind the guard that services mount too.
pub(super) async fn open(
    ground: &Ground,
    administration: &Administration,
) -> Result<Router<AppState>, StartError> {
    let (issuer, addresses) = (ground.config.issuer(), ground.config.addresses());
    let parts = GuardParts {
        dpop: dpop::settings(&addresses, nonce_secret(ground)),
        certificates: certificate::source(ground.config.server.tls.client_certificates),
        issuer,
        keys: ground.keys.shared(),
        policy: administration.console.policy.shared(),
        proxies: proxies(&ground.config.server),
        per_minute: ground.config.limits.admin_per_caller_per_minute,
        clock: ground.clock.clone(),
    };
    let proofs = Proofs::new(&addresses, nonce_secret(ground), ground.clock.clone())?;
    let guard = guard::build(parts).await?;
    let live = LiveCheck {
        callers: administration.console.callers.clone(),
        clock: ground.clock.clone(),
        proofs,
        trail: administration.console.trail.clone(),
    };
    let state = AdminState {
        apis: administration.apis.clone(),
        assignments: administration.assignments.clone(),
        programs: administration.programs.clone(),
        inventories: administration.distribution.inventories.clone(),
        organisations: administration.organisations.clone(),
        people: administration.people.clone(),
        policies: administration.policies.clone(),
        questions: administration.console.questions.clone(),
        records: Records {
            audit: administration.audit.clone(),
            sign_outs: SignOutService::new(ground.store.clone()),
        },
        roles: administration.roles.clone(),
    };
    Ok(admin::router(&guard, &live, state)?)
}

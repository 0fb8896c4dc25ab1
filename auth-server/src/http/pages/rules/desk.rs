//! What the pages of rules work with, and who may enter them.

use axum::response::Response;
use http::StatusCode;

use crate::config::SecondStepFor;
use crate::domain::ids::ApiId;
use crate::domain::policy::PolicyRevision;
use crate::domain::rbac::Api;
use crate::domain::session::Acr;
use crate::http::error::Cause;
use crate::http::extract::form::FormGuard;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::failure;
use crate::http::pages::next::{ADD_FOR_ADMINISTRATION, Next, Part};
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Page, Pages};
use crate::http::state::Console;
use crate::services::admin_error::AdminError;
use crate::services::callers::{Administrator, Arrival};
use crate::services::permission::Permission;

pub(in crate::http::pages) const READ: Permission = Permission { object: "policies", action: "read" };

pub(super) const UPDATE: Permission = Permission { object: "policies", action: "update" };
pub(super) const ROLL_BACK: Permission = Permission { object: "policies", action: "rollback" };
pub(super) const UPDATE_APIS: Permission = Permission { object: "apis", action: "update" };

/// What the handlers work with.
#[derive(Clone)]
pub(in crate::http::pages) struct RulesDesk {
    pub(in crate::http::pages) pages: Pages,
    pub(in crate::http::pages) guard: FormGuard,
    pub(in crate::http::pages) console: Console,
    pub(in crate::http::pages) second_step: SecondStepFor,
}

/// What a page is led back to with, if it is one of the notices that it has.
pub(super) fn notice_of(asked: Option<&str>, known: &[&'static str]) -> Option<&'static str> {
    known.iter().copied().find(|notice| asked == Some(*notice))
}

/// Somebody at one of the pages of an API.
pub(super) struct Entered {
    pub(super) api: Api,
    pub(super) who: Administrator,
}

impl RulesDesk {
    /// The API and who asks, or the page that says why not.
    pub(super) async fn enter(
        &self,
        (raw, part): (&str, Part),
        visitor: &Visitor,
        needs: &[Permission],
        id: RequestId,
    ) -> Result<Entered, Response> {
        let api = ApiId::parse(raw).map_err(|_| self.nothing_here(id))?;
        let who = self.administrator(visitor, needs, id, Next::Rules(api.clone(), part)).await?;
        let api = self.console.apis.show(&api).await.map_err(|error| self.failed(id, &error))?;
        Ok(Entered { api: api.value, who })
    }

    /// Who asks, if it is somebody who may: whoever is not signed in is sent to do so, and then to `next`.
    pub(in crate::http::pages) async fn administrator(
        &self,
        visitor: &Visitor,
        needs: &[Permission],
        id: RequestId,
        next: Next,
    ) -> Result<Administrator, Response> {
        let visit = &visitor.visit;
        let Some(live) = &visit.session else {
            return Err(visitor.answer(self.pages.go(&next.login())));
        };
        let arrival = Arrival { address: Some(visit.address), now: visit.now };
        let administrator = self.console.callers.of_user(&live.user.id, arrival).await;
        let administrator = administrator.map_err(|error| self.failed(id, &error))?;
        let Some(missing) = needs.iter().find(|permission| !self.may(&administrator, **permission)) else {
            // Whoever is no administrator hears so, and is led nowhere.
            return match self.second_step {
                // Somebody administers who signed in before they did, by a letter.
                _ if live.session.is_by_letter_alone() => {
                    Err(visitor.answer(self.pages.go(&next.login_again())))
                }
                SecondStepFor::Administrators if live.session.acr != Acr::TwoFactors => {
                    Err(visitor.answer(self.pages.go(ADD_FOR_ADMINISTRATION)))
                }
                SecondStepFor::Administrators | SecondStepFor::Optional => Ok(administrator),
            };
        };
        self.console.trail.refused(&administrator.caller, &missing.to_string()).await;
        let page = ErrorPage::new(ErrorKind::Forbidden)
            .caused(Cause::said(format!("whoever is signed in lacks {missing}")));
        Err(self.pages.error(&page.reference(id.as_str())))
    }

    /// Whether somebody may do something: for what a page offers.
    pub(super) fn may(&self, who: &Administrator, permission: Permission) -> bool {
        self.console.policy.allows(&who.roles, permission)
    }

    /// Whether whoever is signed in may see rules at all.
    pub(in crate::http::pages) async fn may_read(&self, visitor: &Visitor) -> Result<bool, AdminError> {
        let visit = &visitor.visit;
        let Some(live) = &visit.session else { return Ok(false) };
        let arrival = Arrival { address: Some(visit.address), now: visit.now };
        let administrator = self.console.callers.of_user(&live.user.id, arrival).await?;
        Ok(self.may(&administrator, READ))
    }

    /// The page, or the one that says that it cannot be shown.
    pub(super) fn answer<P: Page>(
        &self,
        visitor: &Visitor,
        id: RequestId,
        status: StatusCode,
        page: Result<P, AdminError>,
    ) -> Response {
        match page {
            Ok(page) => visitor.answer(self.pages.show(status, &page)),
            Err(error) => self.failed(id, &error),
        }
    }

    /// The API as it is now, which may be what stood in the way of a form.
    pub(super) async fn again(&self, entered: Entered) -> Result<Entered, AdminError> {
        let api = self.console.apis.show(&entered.api.id).await?.value;
        Ok(Entered { api, ..entered })
    }

    /// The revision in force.
    pub(super) async fn active(&self, api: &ApiId) -> Result<Option<PolicyRevision>, AdminError> {
        match self.console.policies.active(api).await {
            Ok(revision) => Ok(Some(revision)),
            Err(AdminError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(in crate::http::pages) fn failed(&self, id: RequestId, error: &AdminError) -> Response {
        let kind = match error {
            AdminError::NotFound(_) => ErrorKind::NotFound,
            AdminError::OwnersOnly | AdminError::Lockout => ErrorKind::Forbidden,
            AdminError::Invalid(_) => ErrorKind::BadRequest,
            error => return failure::fault(&self.pages, id, error),
        };
        self.pages.error(&ErrorPage::new(kind).because(error).reference(id.as_str()))
    }

    pub(super) fn nothing_here(&self, id: RequestId) -> Response {
        self.pages.error(&ErrorPage::new(ErrorKind::NotFound).reference(id.as_str()))
    }

    pub(super) fn unreadable(&self, id: RequestId) -> Response {
        self.pages.error(&ErrorPage::new(ErrorKind::BadRequest).reference(id.as_str()))
    }
}

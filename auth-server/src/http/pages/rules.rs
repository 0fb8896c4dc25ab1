//! The page that edits the rules of an API: a text, a check, a draft, an activation.
//!
//! Two people may edit at once. Each form carries the version of the draft that it was filled from; a form that comes
//! second keeps its text and shows the other beside it, so nothing is lost and nothing is overwritten unseen.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use portcullis_policy::{Finding, PolicySource, Severity};
use serde::Serialize;

use crate::domain::ids::ApiId;
use crate::domain::rbac::Api;
use crate::http::extract::form::{Fields, FormGuard, OwnForm};
use crate::http::extract::link::LinkPath;
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::failure;
use crate::http::pages::next::Next;
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::http::render::{Page, Pages};
use crate::http::state::Console;
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::callers::Arrival;
use crate::services::permission::Permission;
use crate::services::policies::Activation;
use crate::services::version::{Precondition, Version};

/// The page.
#[derive(Serialize)]
struct RulesPage {
    problem: Option<&'static str>,
    notice: Option<&'static str>,
    api: ApiShown,
    /// The revision in force.
    active_number: Option<u64>,
    /// The version of the draft that the text was taken from or saved as.
    version: String,
    rules: String,
    /// What somebody else saved meanwhile.
    theirs: Option<String>,
    findings: Vec<FindingShown>,
    message: String,
    csrf_token: String,
}

impl Page for RulesPage {
    const TEMPLATE: &'static str = "policies.html";
}

/// An API, as pages show one.
#[derive(Serialize)]
pub(super) struct ApiShown {
    id: String,
    name: String,
    audience: String,
}

impl ApiShown {
    pub(super) fn of(api: &Api) -> Self {
        Self { id: api.id.to_string(), name: api.name.clone(), audience: api.audience.as_str().to_owned() }
    }
}

#[derive(Serialize)]
struct FindingShown {
    line: u32,
    column: u32,
    severity: &'static str,
    message: String,
}

impl FindingShown {
    fn of(finding: &Finding) -> Self {
        let severity = match finding.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let message = match &finding.fix {
            Some(fix) => format!("{} ({fix})", finding.message),
            None => finding.message.clone(),
        };
        Self { line: finding.line, column: finding.column, severity, message }
    }
}

pub(super) const READ: Permission = Permission { object: "policies", action: "read" };
const UPDATE: Permission = Permission { object: "policies", action: "update" };
const ACTIVATE: Permission = Permission { object: "policies", action: "activate" };

/// What the handlers work with.
#[derive(Clone)]
pub(super) struct RulesDesk {
    pub(super) pages: Pages,
    pub(super) guard: FormGuard,
    pub(super) console: Console,
}

/// What the form asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Activate,
    Check,
    Save,
}

impl Step {
    fn named(name: &str) -> Option<Self> {
        match name {
            "activate" => Some(Self::Activate),
            "check" => Some(Self::Check),
            "save" => Some(Self::Save),
            _ => None,
        }
    }

    const fn needs(self) -> &'static [Permission] {
        match self {
            Self::Activate => &[UPDATE, ACTIVATE],
            Self::Check => &[READ],
            Self::Save => &[UPDATE],
        }
    }
}

/// `GET /admin/policies/{api}`.
pub(super) async fn show(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    visitor: Visitor,
    id: RequestId,
) -> Response {
    let api = match desk.enter(&raw, &visitor, &[READ], id).await {
        Ok((api, _)) => api,
        Err(refusal) => return refusal,
    };
    match desk.page(&api, &visitor).await {
        Ok(page) => visitor.answer(desk.pages.show(StatusCode::OK, &page)),
        Err(error) => desk.failed(id, &error),
    }
}

/// `POST /admin/policies/{api}`.
pub(super) async fn edit(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let Some(step) = Step::named(fields.text("step")) else {
        return desk.pages.error(&ErrorPage::new(ErrorKind::BadRequest).reference(id.as_str()));
    };
    let (api, caller) = match desk.enter(&raw, &visitor, step.needs(), id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    match desk.take(step, &Edit { api: &api, caller: &caller, fields: &fields }, &visitor).await {
        Ok((status, page)) => visitor.answer(desk.pages.show(status, &page)),
        Err(error) => desk.failed(id, &error),
    }
}

/// One sent form.
struct Edit<'a> {
    api: &'a Api,
    caller: &'a Caller,
    fields: &'a Fields,
}

impl Edit<'_> {
    /// The text as the editor had it: browsers send every line end as two characters.
    fn rules(&self) -> String {
        self.fields.text("rules").replace("\r\n", "\n")
    }

    fn seen(&self) -> Precondition {
        Precondition::Matches(vec![Version::named(self.fields.text("version"))])
    }
}

impl RulesDesk {
    /// The API and who asks, or the page that says why not.
    async fn enter(
        &self,
        raw: &str,
        visitor: &Visitor,
        needs: &[Permission],
        id: RequestId,
    ) -> Result<(Api, Caller), Response> {
        let unknown = || self.pages.error(&ErrorPage::new(ErrorKind::NotFound).reference(id.as_str()));
        let api = ApiId::parse(raw).map_err(|_| unknown())?;
        let caller = self.administrator(visitor, needs, id, Next::Rules(api.clone())).await?;
        let api = self.console.apis.show(&api).await.map_err(|error| self.failed(id, &error))?;
        Ok((api.value, caller))
    }

    /// Who asks, if it is somebody who may: whoever is not signed in is sent to do so, and then to `next`.
    pub(super) async fn administrator(
        &self,
        visitor: &Visitor,
        needs: &[Permission],
        id: RequestId,
        next: Next,
    ) -> Result<Caller, Response> {
        let visit = &visitor.visit;
        let Some(live) = &visit.session else {
            return Err(visitor.answer(self.pages.go(&next.login())));
        };
        let arrival = Arrival { address: Some(visit.address), now: visit.now };
        let administrator = self.console.callers.of_user(&live.user.id, arrival).await;
        let administrator = administrator.map_err(|error| self.failed(id, &error))?;
        let roles = &administrator.roles;
        let Some(missing) = needs.iter().find(|permission| !self.console.policy.allows(roles, **permission))
        else {
            return Ok(administrator.caller);
        };
        self.console.trail.refused(&administrator.caller, &missing.to_string()).await;
        Err(self.pages.error(&ErrorPage::new(ErrorKind::Forbidden).reference(id.as_str())))
    }

    /// Whether whoever is signed in may see rules at all.
    pub(super) async fn may_read(&self, visitor: &Visitor) -> Result<bool, AdminError> {
        let visit = &visitor.visit;
        let Some(live) = &visit.session else { return Ok(false) };
        let arrival = Arrival { address: Some(visit.address), now: visit.now };
        let administrator = self.console.callers.of_user(&live.user.id, arrival).await?;
        Ok(self.console.policy.allows(&administrator.roles, READ))
    }

    /// The page as the stored draft fills it.
    async fn page(&self, api: &Api, visitor: &Visitor) -> Result<RulesPage, AdminError> {
        let draft = self.console.policies.draft(&api.id).await?;
        Ok(RulesPage {
            problem: None,
            notice: None,
            api: ApiShown::of(api),
            active_number: self.active_number(&api.id).await?,
            version: draft.version.as_str().to_owned(),
            rules: draft.value.rules,
            theirs: None,
            findings: Vec::new(),
            message: String::new(),
            csrf_token: self.guard.token(&visitor.visit.browser),
        })
    }

    async fn active_number(&self, api: &ApiId) -> Result<Option<u64>, AdminError> {
        match self.console.policies.active(api).await {
            Ok(revision) => Ok(Some(revision.number)),
            Err(AdminError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Does what the form asks for.
    async fn take(
        &self,
        step: Step,
        edit: &Edit<'_>,
        visitor: &Visitor,
    ) -> Result<(StatusCode, RulesPage), AdminError> {
        let mut page = self.page(edit.api, visitor).await?;
        edit.fields.text("message").trim().clone_into(&mut page.message);
        let stored = std::mem::replace(&mut page.rules, edit.rules());
        if step == Step::Activate && page.message.is_empty() {
            page.problem = Some("no_message");
            edit.fields.text("version").clone_into(&mut page.version);
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, page));
        }
        let model = self.console.policies.draft(&edit.api.id).await?.value.model;
        let source = PolicySource { model, rules: page.rules.clone() };
        match self.perform(step, edit, source, &mut page).await {
            Ok(()) => {
                let status =
                    if page.problem.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
                Ok((status, page))
            }
            Err(AdminError::Stale) => {
                page.problem = Some("conflict");
                page.theirs = Some(stored);
                Ok((StatusCode::CONFLICT, page))
            }
            Err(error) => Err(error),
        }
    }

    async fn perform(
        &self,
        step: Step,
        edit: &Edit<'_>,
        source: PolicySource,
        page: &mut RulesPage,
    ) -> Result<(), AdminError> {
        let api = &edit.api.id;
        let report = self.console.policies.validate(api, source.clone()).await?;
        page.findings = report.findings.iter().map(FindingShown::of).collect();
        let usable = report.findings.iter().all(|finding| finding.severity != Severity::Error);
        if step == Step::Check {
            edit.fields.text("version").clone_into(&mut page.version);
            set(page, usable, "checked");
            return Ok(());
        }
        let saved = self.console.policies.save_draft(api, source, &edit.seen(), edit.caller).await?;
        saved.version.as_str().clone_into(&mut page.version);
        if step == Step::Save {
            page.notice = Some("saved");
            return Ok(());
        }
        if usable {
            let precondition = Precondition::Matches(vec![saved.version]);
            let activation = Activation { precondition, message: page.message.clone() };
            page.active_number =
                Some(self.console.policies.activate(api, activation, edit.caller).await?.number);
            page.message.clear();
        }
        set(page, usable, "activated");
        Ok(())
    }

    pub(super) fn failed(&self, id: RequestId, error: &AdminError) -> Response {
        let kind = match error {
            AdminError::NotFound(_) => ErrorKind::NotFound,
            AdminError::OwnersOnly | AdminError::Lockout => ErrorKind::Forbidden,
            AdminError::Invalid(_) => ErrorKind::BadRequest,
            error => return failure::fault(&self.pages, id, error),
        };
        self.pages.error(&ErrorPage::new(kind).reference(id.as_str()))
    }
}

const fn set(page: &mut RulesPage, usable: bool, notice: &'static str) {
    if usable {
        page.notice = Some(notice);
    } else {
        page.problem = Some("findings");
    }
}

#[cfg(test)]
pub(super) fn sample_api() -> ApiShown {
    ApiShown {
        id: "api_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c".to_owned(),
        name: "<b>Orders API</b>".to_owned(),
        audience: "https://orders.example.com".to_owned(),
    }
}

#[cfg(test)]
pub(super) fn samples() -> Vec<impl Page> {
    let page = |problem, notice| RulesPage {
        problem,
        notice,
        api: sample_api(),
        active_number: Some(7),
        version: "8".to_owned(),
        rules: "# who may do what with orders\np, clerk, *, /orders/{id}, read, allow\n".to_owned(),
        theirs: None,
        findings: Vec::new(),
        message: String::new(),
        csrf_token: "token".to_owned(),
    };
    let finding = |severity| FindingShown { line: 4, column: 1, severity, message: "<b>".to_owned() };
    vec![
        RulesPage { active_number: None, ..page(None, None) },
        page(None, Some("saved")),
        page(None, Some("checked")),
        page(None, Some("activated")),
        page(Some("no_message"), None),
        RulesPage { findings: vec![finding("error"), finding("warning")], ..page(Some("findings"), None) },
        RulesPage { theirs: Some("</textarea><script>".to_owned()), ..page(Some("conflict"), None) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn putting_rules_in_force_takes_more_than_reading_them() {
        assert_eq!(Step::named("activate").map(Step::needs), Some([UPDATE, ACTIVATE].as_slice()));
        assert_eq!(Step::named("check").map(Step::needs), Some([READ].as_slice()));
        assert_eq!(Step::named("delete"), None);
    }
}

//! The page that edits the rules of an API: a text, a check, a draft, an activation.
//!
//! Two people may edit at once. Each form carries the version of the draft that it was filled from; a form that comes
//! second keeps its text and shows the other beside it, so nothing is lost and nothing is overwritten unseen. A form that
//! changed something leads back to the page, so reading it again sends nothing again.

pub(super) mod activation;
mod desk;
pub(super) mod history;
mod page;
pub(super) mod routes;
mod shown;
pub(super) mod trial;
mod turns;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use portcullis_policy::PolicyFile;
use serde::Deserialize;

use crate::domain::policy::{PolicyRevision, PolicyText};
use crate::domain::rbac::Api;
use crate::domain::secret::Digest32;
use crate::http::extract::form::{Fields, OwnForm};
use crate::http::extract::link::{LinkPath, LinkQuery};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Part;
use crate::http::pages::rules::desk::UPDATE;
pub(super) use crate::http::pages::rules::desk::{READ, RulesDesk};
pub(super) use crate::http::pages::rules::page::ApiShown;
use crate::http::pages::rules::page::{InForce, ReportShown, RulesPage, TextShown};
#[cfg(test)]
pub(super) use crate::http::pages::rules::page::{sample_api, samples};
use crate::http::pages::when::TimeShown;
use crate::services::admin_error::AdminError;
use crate::services::caller::Caller;
use crate::services::permission::{ACTIVATE_POLICIES, Permission};
use crate::services::policies::{Activation, Checked, rules_path};
use crate::services::version::{Precondition, Version};

/// What the form asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Activate,
    Check,
    Discard,
    Save,
}

impl Step {
    fn named(name: &str) -> Option<Self> {
        match name {
            "activate" => Some(Self::Activate),
            "check" => Some(Self::Check),
            "discard" => Some(Self::Discard),
            "save" => Some(Self::Save),
            _ => None,
        }
    }

    const fn needs(self) -> &'static [Permission] {
        match self {
            // And to write, if the text is not that of the draft.
            Self::Activate => &[ACTIVATE_POLICIES],
            Self::Check => &[READ],
            Self::Discard | Self::Save => &[UPDATE],
        }
    }
}

/// What the page may say when it is led back to.
const NOTICES: [&str; 3] = [ACTIVATED, DISCARDED, SAVED];
const ACTIVATED: &str = "activated";
const DISCARDED: &str = "discarded";
const SAVED: &str = "saved";

/// The query of the page.
#[derive(Deserialize)]
pub(super) struct RulesQuery {
    notice: Option<String>,
}

/// What came of a form.
enum Taken {
    /// Something changed; the page says what.
    Done(&'static str),
    /// The page with what is wrong, or with what a check found.
    Shown(StatusCode, Box<RulesPage>),
}

/// `GET /admin/policies/{api}`.
pub(super) async fn show(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<RulesQuery>,
) -> Response {
    let api = match desk.enter((&raw, Part::Editor), &visitor, &[READ], id).await {
        Ok(entered) => entered.api,
        Err(refusal) => return refusal,
    };
    match desk.page(&api, &visitor).await {
        Ok(mut page) => {
            page.notice = NOTICES.into_iter().find(|notice| query.notice.as_deref() == Some(*notice));
            visitor.answer(desk.pages.show(StatusCode::OK, &page))
        }
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
        return desk.unreadable(id);
    };
    let (api, caller) = match desk.enter((&raw, Part::Editor), &visitor, step.needs(), id).await {
        Ok(entered) => (entered.api, entered.who.caller),
        Err(refusal) => return refusal,
    };
    let mut edit = Edit { api: &api, caller: &caller, fields: &fields, may_write: step != Step::Activate };
    if step == Step::Activate {
        match desk.is_draft(&edit).await {
            Ok(true) => {}
            Ok(false) => match desk.enter((&raw, Part::Editor), &visitor, &[UPDATE], id).await {
                Ok(_) => edit.may_write = true,
                Err(refusal) => return refusal,
            },
            Err(error) => return desk.failed(id, &error),
        }
    }
    match desk.take(step, &edit, &visitor).await {
        Ok(Taken::Done(notice)) => {
            visitor.answer(desk.pages.go(&format!("{}?notice={notice}", rules_path(&api.id))))
        }
        Ok(Taken::Shown(status, page)) => visitor.answer(desk.pages.show(status, &*page)),
        Err(error) => desk.failed(id, &error),
    }
}

/// One sent form.
struct Edit<'a> {
    api: &'a Api,
    caller: &'a Caller,
    fields: &'a Fields,
    /// Whether a draft may be saved. Whoever only activates sends the draft as it is.
    may_write: bool,
}

impl Edit<'_> {
    /// The texts as the editors had them.
    fn text(&self) -> TextShown {
        TextShown::new(self.fields.text("rules"), self.fields.text("cases"))
    }

    /// The version of the draft that the form was filled from.
    fn version(&self) -> String {
        self.fields.text("version").to_owned()
    }
}

impl RulesDesk {
    /// The page as the stored draft fills it.
    async fn page(&self, api: &Api, visitor: &Visitor) -> Result<RulesPage, AdminError> {
        let draft = self.console.policies.draft(&api.id).await?;
        Ok(RulesPage {
            problem: None,
            notice: None,
            api: ApiShown::of(api),
            in_force: self.in_force(api, &draft.value.text).await?,
            version: draft.version.as_str().to_owned(),
            text: TextShown::of(&draft.value.text),
            theirs: None,
            report: ReportShown::default(),
            message: String::new(),
            csrf_token: self.guard.token(&visitor.visit.browser),
        })
    }

    /// What is in force beside this draft.
    async fn in_force(&self, api: &Api, draft: &PolicyText) -> Result<InForce, AdminError> {
        let active = self.active(&api.id).await?;
        let waiting = self.console.policies.waiting(&api.id).await?;
        let is_other = |active: &PolicyRevision| active.text.model != draft.model;
        Ok(InForce {
            model_name: model_name(draft),
            model: active.as_ref().is_some_and(is_other).then(|| draft.model.clone()),
            active_number: active.as_ref().map(|active| active.number),
            has_draft: active.is_none_or(|active| active.text != *draft),
            waits_until: waiting.map(|schedule| TimeShown::of(schedule.activate_at)),
            four_eyes: api.four_eyes,
        })
    }

    /// Whether a form holds the stored draft.
    async fn is_draft(&self, edit: &Edit<'_>) -> Result<bool, AdminError> {
        let draft = self.console.policies.draft(&edit.api.id).await?;
        Ok(edit.text() == TextShown::of(&draft.value.text))
    }

    /// Does what the form asks for.
    async fn take(&self, step: Step, edit: &Edit<'_>, visitor: &Visitor) -> Result<Taken, AdminError> {
        let mut page = self.page(edit.api, visitor).await?;
        edit.fields.text("message").trim().clone_into(&mut page.message);
        let stored = std::mem::replace(&mut page.text, edit.text());
        // Whoever saved the same is no conflict: it may have been this very form. The model belongs to what was saved, although
        // nobody edits it here: under another one the same rules mean something else.
        let same = stored == page.text && edit.fields.text("model") == page.in_force.model_name;
        let seen = if same { page.version.clone() } else { edit.version() };
        if step == Step::Activate && page.message.is_empty() {
            page.problem = Some("no_message");
            page.version = seen;
            return Ok(Taken::Shown(StatusCode::UNPROCESSABLE_ENTITY, Box::new(page)));
        }
        let refused = |mut page: RulesPage, problem, status| {
            page.problem = Some(problem);
            Ok(Taken::Shown(status, Box::new(page)))
        };
        match self.perform(step, edit, seen, &mut page).await {
            Ok(Some(notice)) => Ok(Taken::Done(notice)),
            Ok(None) if page.problem.is_none() => Ok(Taken::Shown(StatusCode::OK, Box::new(page))),
            Ok(None) => Ok(Taken::Shown(StatusCode::UNPROCESSABLE_ENTITY, Box::new(page))),
            Err(AdminError::Cases(_)) => refused(page, "failing_cases", StatusCode::CONFLICT),
            Err(AdminError::Lockout) => refused(page, "lockout", StatusCode::CONFLICT),
            Err(AdminError::NothingChanged) => refused(page, "nothing_changed", StatusCode::CONFLICT),
            Err(AdminError::OwnersOnly) => refused(page, "owners_only", StatusCode::FORBIDDEN),
            Err(AdminError::SelfApproval) => refused(page, "self_approval", StatusCode::FORBIDDEN),
            Err(AdminError::Stale) => {
                page.theirs = Some(stored);
                refused(page, "conflict", StatusCode::CONFLICT)
            }
            Err(error) => Err(error),
        }
    }

    /// Gives what the page is to say of a change, or leaves on the page what was found.
    async fn perform(
        &self,
        step: Step,
        edit: &Edit<'_>,
        seen: String,
        page: &mut RulesPage,
    ) -> Result<Option<&'static str>, AdminError> {
        let (policies, api) = (&self.console.policies, &edit.api.id);
        if step == Step::Discard {
            let active = policies.active(api).await?;
            policies.save_draft(api, active.text, &precondition(&seen), edit.caller).await?;
            return Ok(Some(DISCARDED));
        }
        let draft = policies.draft(api).await?;
        let TextShown { rules, cases } = &page.text;
        let text =
            PolicyText { model: draft.value.text.model.clone(), rules: rules.clone(), cases: cases.clone() };
        let checked = policies.validate(api, text.clone()).await?;
        let report = ReportShown::of(&checked, &page.text);
        page.report = if step == Step::Check { report.only_checked() } else { report };
        let found = problem(&checked);
        if step == Step::Check || found == Some("cases") {
            page.version = seen;
            page.problem = found;
            page.notice = found.is_none().then_some("checked");
            return Ok(None);
        }
        // Whoever activates what another wrote has not written it.
        let unchanged = step == Step::Activate && page.text == TextShown::of(&draft.value.text);
        let kept = match unchanged {
            // It is not saved again, and has to be what was looked at all the same.
            true if draft.version.as_str() == seen => draft,
            false if edit.may_write => {
                policies.save_draft(api, text, &precondition(&seen), edit.caller).await?
            }
            _ => return Err(AdminError::Stale),
        };
        kept.version.as_str().clone_into(&mut page.version);
        if step == Step::Save {
            return Ok(Some(SAVED));
        }
        // Whatever stands against it from here on, it is saved.
        page.in_force = self.in_force(edit.api, &kept.value.text).await?;
        if found == Some("findings") {
            page.problem = found;
            return Ok(None);
        }
        let activation =
            Activation { precondition: precondition(page.version.as_str()), message: page.message.clone() };
        policies.activate(api, activation, edit.caller).await?;
        Ok(Some(ACTIVATED))
    }
}

/// What stands against putting a text in force. Cases that cannot be read are not even saved.
fn problem(checked: &Checked) -> Option<&'static str> {
    if checked.report.errors().any(|finding| finding.file == PolicyFile::Cases) {
        Some("cases")
    } else if checked.report.has_errors() {
        Some("findings")
    } else {
        (!checked.is_usable()).then_some("failing_cases")
    }
}

/// Names the model of a text, so that a form knows by which one its rules were read.
fn model_name(text: &PolicyText) -> String {
    Digest32::of(text.model.as_bytes()).hex()
}

fn precondition(version: &str) -> Precondition {
    Precondition::Matches(vec![Version::named(version)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn putting_rules_in_force_takes_more_than_reading_them() {
        assert_eq!(Step::named("activate").map(Step::needs), Some([ACTIVATE_POLICIES].as_slice()));
        assert_eq!(Step::named("check").map(Step::needs), Some([READ].as_slice()));
        assert_eq!(Step::named("delete"), None);
    }
}

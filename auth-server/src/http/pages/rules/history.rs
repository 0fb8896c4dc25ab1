//! The pages of what was in force: the revisions of an API, and one of them with a way back to it.

mod page;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use crate::http::extract::form::{Fields, OwnForm};
use crate::http::extract::link::{LinkPath, LinkQuery};
use crate::http::extract::request_id::RequestId;
use crate::http::extract::visit::Visitor;
use crate::http::pages::next::Part;
use crate::http::pages::rules::desk::{Entered, READ, ROLL_BACK, RulesDesk, notice_of};
use crate::http::pages::rules::history::page::Against;
#[cfg(test)]
pub(in crate::http::pages) use crate::http::pages::rules::history::page::{revision_samples, samples};
use crate::services::admin_error::AdminError;
use crate::services::paging::PageQuery;
use crate::services::policies::{Restoration, history_path};

/// Revisions on one page.
const SHOWN: u64 = 20;

/// Where the list starts, and what it may say when it is led back to.
#[derive(Deserialize)]
pub(in crate::http::pages) struct HistoryQuery {
    after: Option<String>,
    notice: Option<String>,
}

/// What a revision is compared with.
#[derive(Deserialize)]
pub(in crate::http::pages) struct RevisionQuery {
    against: Option<String>,
}

/// `GET /admin/policies/{api}/history`.
pub(in crate::http::pages) async fn list(
    State(desk): State<RulesDesk>,
    LinkPath(raw): LinkPath<String>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<HistoryQuery>,
) -> Response {
    let entered = match desk.enter((&raw, Part::History), &visitor, &[READ], id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let page = desk.history_page(&entered, &PageQuery::new(query.after, Some(SHOWN))).await;
    let notice = notice_of(query.notice.as_deref(), &["restored"]);
    desk.answer(&visitor, id, StatusCode::OK, page.map(|page| page.saying(notice)))
}

/// `GET /admin/policies/{api}/history/{number}`.
pub(in crate::http::pages) async fn show(
    State(desk): State<RulesDesk>,
    LinkPath((raw, number)): LinkPath<(String, String)>,
    visitor: Visitor,
    id: RequestId,
    LinkQuery(query): LinkQuery<RevisionQuery>,
) -> Response {
    let entered = match desk.enter((&raw, Part::History), &visitor, &[READ], id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let Ok(number) = number.parse() else { return desk.nothing_here(id) };
    let against = if query.against.as_deref() == Some("before") { Against::Before } else { Against::Active };
    let page = desk.revision_page(&entered, number, against, &visitor).await;
    desk.answer(&visitor, id, StatusCode::OK, page)
}

/// `POST /admin/policies/{api}/history/{number}`.
pub(in crate::http::pages) async fn restore(
    State(desk): State<RulesDesk>,
    LinkPath((raw, number)): LinkPath<(String, String)>,
    id: RequestId,
    form: OwnForm,
) -> Response {
    let OwnForm { visitor, fields } = form;
    let entered = match desk.enter((&raw, Part::History), &visitor, &[ROLL_BACK], id).await {
        Ok(entered) => entered,
        Err(refusal) => return refusal,
    };
    let Ok(number) = number.parse() else { return desk.nothing_here(id) };
    let Some(restoration) = restoration(number, &fields) else { return desk.unreadable(id) };
    let message = restoration.message.clone();
    let (status, problem) = match desk.restored(&entered, restoration).await {
        Ok(()) => {
            let path = format!("{}?notice=restored", history_path(&entered.api.id));
            return visitor.answer(desk.pages.go(&path));
        }
        Err(error) => match said(&error) {
            Some(said) => said,
            None => return desk.failed(id, &error),
        },
    };
    let page = async {
        let entered = desk.again(entered).await?;
        desk.revision_page(&entered, number, Against::Active, &visitor).await
    };
    desk.answer(&visitor, id, status, page.await.map(|page| page.refusing(problem, message)))
}

/// What the page says to a revision that does not come back. `None` where there is nothing to say on it.
const fn said(error: &AdminError) -> Option<(StatusCode, &'static str)> {
    Some(match error {
        AdminError::Cases(_) => (StatusCode::CONFLICT, "failing_cases"),
        AdminError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "message"),
        AdminError::Lockout => (StatusCode::CONFLICT, "lockout"),
        AdminError::OwnersOnly => (StatusCode::FORBIDDEN, "owners_only"),
        AdminError::Policy(_) => (StatusCode::UNPROCESSABLE_ENTITY, "unusable"),
        AdminError::Stale => (StatusCode::CONFLICT, "stale"),
        _ => return None,
    })
}

/// What the form asks for: a revision over the one that the page showed.
fn restoration(number: u64, fields: &Fields) -> Option<Restoration> {
    let over = match fields.text("over") {
        "" => None,
        raw => Some(raw.parse().ok()?),
    };
    Some(Restoration { number, over, message: fields.text("message").trim().to_owned() })
}

impl RulesDesk {
    async fn restored(&self, entered: &Entered, restoration: Restoration) -> Result<(), AdminError> {
        let Entered { api, who } = entered;
        if restoration.over.is_none() && api.active_revision.is_some() {
            return Err(AdminError::Stale);
        }
        self.console.policies.restore(&api.id, restoration, &who.caller).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{Analysis, Cases, PolicySource, Report};

    use super::*;
    use crate::services::admin_error::Thing;
    use crate::services::fields::FieldErrors;

    #[test]
    fn what_keeps_a_revision_from_coming_back_is_said_on_its_page() {
        let analysis = Analysis::of(PolicySource::with_default_model("p, viewer, *, orders, read")).unwrap();
        let failing = analysis.test(&Cases::parse("deny, viewer, *, orders, read").unwrap());
        for (error, expected) in [
            (AdminError::Cases(Box::new(failing)), "failing_cases"),
            (AdminError::Invalid(FieldErrors::of("/message", "invalid", "x")), "message"),
            (AdminError::Lockout, "lockout"),
            (AdminError::OwnersOnly, "owners_only"),
            (AdminError::Policy(Report::default()), "unusable"),
            (AdminError::Stale, "stale"),
        ] {
            assert_eq!(said(&error).map(|(_, problem)| problem), Some(expected), "{error:?}");
        }
        for other in [AdminError::NotFound(Thing::Revision), AdminError::Compiler] {
            assert_eq!(said(&other), None, "{other:?}");
        }
    }
}

//! From what went wrong to the page that says so.

use std::error::Error;
use std::time::Duration;

use axum::response::Response;

use crate::http::extract::request_id::RequestId;
use crate::http::pages::next::leaving_path;
use crate::http::render::Pages;
use crate::http::render::error_page::{ErrorKind, ErrorPage};
use crate::services::authorize::interaction::InteractionError;
use crate::services::login::LoginError;
use crate::services::password::HashError;

/// Our own fault. The cause goes to the log, its reference to the page.
pub(super) fn fault(pages: &Pages, id: RequestId, error: &(dyn Error + 'static)) -> Response {
    pages.error(&ErrorPage::fault(error).reference(id.as_str()))
}

/// What is not there, or not for this person: nobody is told which.
pub(super) fn not_found(pages: &Pages, id: RequestId) -> Response {
    pages.error(&ErrorPage::new(ErrorKind::NotFound).reference(id.as_str()))
}

/// What no page of ours sends.
pub(super) fn bad_request(pages: &Pages, id: RequestId) -> Response {
    pages.error(&ErrorPage::new(ErrorKind::BadRequest).reference(id.as_str()))
}

/// What somebody does too often.
pub(super) fn throttled(pages: &Pages, id: RequestId, retry_after: Duration) -> Response {
    pages.error(&ErrorPage::new(ErrorKind::Throttled).retry_after(retry_after).reference(id.as_str()))
}

/// An interaction that cannot go on.
pub(super) fn interaction(pages: &Pages, id: RequestId, error: &InteractionError) -> Response {
    let kind = match error {
        // One that is unknown may have been there once: expired ones are swept away.
        InteractionError::Expired | InteractionError::Unknown => ErrorKind::Expired,
        InteractionError::Fault(cause) => return fault(pages, id, cause),
        InteractionError::Sign(cause) => return fault(pages, id, cause),
        InteractionError::Finished => ErrorKind::Consumed,
        InteractionError::Foreign => ErrorKind::Foreign,
        InteractionError::Throttled { retry_after } => return throttled(pages, id, *retry_after),
    };
    pages.error(&ErrorPage::new(kind).because(error).reference(id.as_str()))
}

/// A sign-in or a change of password that the form cannot be shown again for. `None` when it can.
pub(super) fn login(pages: &Pages, id: RequestId, error: &LoginError) -> Option<Response> {
    let page = match error {
        LoginError::Hash(HashError::Busy { retry_after }) => {
            ErrorPage::new(ErrorKind::Busy).retry_after(*retry_after)
        }
        LoginError::Hash(cause) => return Some(fault(pages, id, cause)),
        LoginError::Leaving(proof) => return Some(pages.go(&leaving_path(proof))),
        LoginError::StepGone => ErrorPage::new(ErrorKind::Expired),
        LoginError::NewPassword(_) | LoginError::Overtaken | LoginError::Wrong => return None,
        LoginError::Store(cause) => return Some(fault(pages, id, cause)),
        LoginError::Throttled(wait) => ErrorPage::new(ErrorKind::Throttled).retry_after(wait.retry_after),
    };
    Some(pages.error(&page.because(error).reference(id.as_str())))
}

/// A code that its form cannot be shown again for.
pub(super) fn step(pages: &Pages, id: RequestId, error: &LoginError) -> Response {
    login(pages, id, error).unwrap_or_else(|| {
        pages.error(&ErrorPage::new(ErrorKind::Expired).because(error).reference(id.as_str()))
    })
}

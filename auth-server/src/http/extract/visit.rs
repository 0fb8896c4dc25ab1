//! The visitor of a page.

use std::error::Error;

use axum::extract::{FromRef, FromRequestParts};
use axum::response::{IntoResponse, Response};
use http::header::USER_AGENT;
use http::request::Parts;

use crate::domain::clock::Clock;
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::http::extract::address::ClientAddress;
use crate::http::extract::cookies::{self, Keep};
use crate::http::extract::request_id::RequestId;
use crate::http::render::Pages;
use crate::http::render::error_page::ErrorPage;
use crate::services::login::{BrowserTraits, LoginService};
use crate::services::visit::{Sender, Visit};

/// Somebody opens a page or sends a form.
pub(crate) struct Visitor {
    pub(crate) visit: Visit,
    /// The cookie that says which accounts signed in here before.
    device: Option<String>,
    /// What the browser calls itself.
    user_agent: String,
    browser_is_new: bool,
}

impl Visitor {
    /// What the browser says of itself.
    pub(crate) fn traits(&self) -> BrowserTraits<'_> {
        BrowserTraits { device: self.device.as_deref(), user_agent: &self.user_agent }
    }

    /// Whether the browser showed nothing by which we know it.
    pub(crate) const fn is_new(&self) -> bool {
        self.browser_is_new
    }

    /// The visitor whom a client sends; what was allowed it before comes with the session, and so does what it pushed.
    pub(crate) async fn sent_by<S>(sender: &Sender, parts: &mut Parts, state: &S) -> Result<Self, Response>
    where
        S: Send + Sync,
        Clock: FromRef<S>,
        Entropy: FromRef<S>,
        LoginService: FromRef<S>,
        Pages: FromRef<S>,
    {
        let now = Clock::from_ref(state).now();
        let ClientAddress(address) =
            ClientAddress::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let Ok(id) = RequestId::from_request_parts(parts, state).await;
        let token = |name, kind| {
            cookies::read(&parts.headers, name).and_then(|raw| OpaqueToken::parse_as(kind, raw).ok())
        };
        let session = match token(cookies::SESSION, TokenKind::Session) {
            Some(session) => LoginService::from_ref(state)
                .session(&session, sender, now)
                .await
                .map_err(|error| fault(&Pages::from_ref(state), id, &error))?,
            None => None,
        };
        let browser = token(cookies::BROWSER, TokenKind::Browser);
        let browser_is_new = browser.is_none();
        let browser =
            browser.unwrap_or_else(|| OpaqueToken::generate(TokenKind::Browser, &Entropy::from_ref(state)));
        let user_agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        Ok(Self {
            visit: Visit { browser, session, address, now },
            device: cookies::read(&parts.headers, cookies::DEVICE).map(str::to_owned),
            user_agent: user_agent.unwrap_or_default().to_owned(),
            browser_is_new,
        })
    }

    /// Answers, and gives a browser that is new its cookie.
    pub(crate) fn answer(&self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        if self.browser_is_new {
            cookies::set(
                response.headers_mut(),
                cookies::BROWSER,
                self.visit.browser.expose(),
                Keep::UntilClosed,
            );
        }
        response
    }
}

impl<S> FromRequestParts<S> for Visitor
where
    S: Send + Sync,
    Clock: FromRef<S>,
    Entropy: FromRef<S>,
    LoginService: FromRef<S>,
    Pages: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        Self::sent_by(&Sender::default(), parts, state).await
    }
}

/// Whether somebody is signed in cannot be found out: then nobody is let in, and nobody is treated as a stranger.
fn fault(pages: &Pages, id: RequestId, error: &(dyn Error + 'static)) -> Response {
    pages.error(&ErrorPage::fault(error).reference(id.as_str()))
}

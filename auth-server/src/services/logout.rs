//! Sign-out that an application starts ([RP-Initiated Logout](https://openid.net/specs/openid-connect-rpinitiated-1_0.html)).
//!
//! An ID token of ours that speaks of the person and the session in this browser shows that the application may ask. Without one
//! the person is asked, because any site can send a browser here.

use std::sync::Arc;

use crate::domain::backchannel::NoticeState;
use crate::domain::client::Client;
use crate::domain::ids::{ClientId, SessionId};
use crate::domain::issuer::Issuer;
use crate::domain::parameters::{Parameters, ParametersError};
use crate::domain::user::Username;
use crate::keys::ring::KeyRing;
use crate::services::authorize::respond::append_query;
use crate::services::login::LoginService;
use crate::services::registration::Arrival;
use crate::services::registration::documents::DocumentService;
use crate::services::visit::{LiveSession, Visit};
use crate::storage::{Store, StoreError, logout_notices};

/// What an application may send, as it was sent.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct LogoutRequest {
    pub(crate) client_id: Option<String>,
    pub(crate) id_token_hint: Option<String>,
    /// Who is to sign out: a user name, an e-mail address or a `sub`.
    pub(crate) logout_hint: Option<String>,
    pub(crate) post_logout_redirect_uri: Option<String>,
    pub(crate) state: Option<String>,
    /// Carried, not followed: the pages speak one language.
    pub(crate) ui_locales: Option<String>,
}

impl LogoutRequest {
    /// Reads the request; unknown parameters are ignored.
    pub(crate) fn read(parameters: &Parameters) -> Result<Self, ParametersError> {
        let text = |name| parameters.get(name).map(|value| value.map(str::to_owned));
        Ok(Self {
            client_id: text("client_id")?,
            id_token_hint: text("id_token_hint")?,
            logout_hint: text("logout_hint")?,
            post_logout_redirect_uri: text("post_logout_redirect_uri")?,
            state: text("state")?,
            ui_locales: text("ui_locales")?,
        })
    }

    /// What the confirmation page carries on. Not the token: it did not speak of the person who is asked.
    pub(crate) fn carried(&self) -> Vec<(&'static str, &str)> {
        [
            ("client_id", &self.client_id),
            ("logout_hint", &self.logout_hint),
            ("post_logout_redirect_uri", &self.post_logout_redirect_uri),
            ("state", &self.state),
            ("ui_locales", &self.ui_locales),
        ]
        .into_iter()
        .filter_map(|(name, value)| value.as_deref().map(|value| (name, value)))
        .collect()
    }
}

/// What comes of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum LogoutOutcome {
    /// Ask the person; nothing was done.
    Confirm {
        request: LogoutRequest,
        /// The name of the application that asks.
        client: Option<String>,
    },
    /// Nobody is signed in any more.
    Done {
        /// Where the application wants the person back.
        redirect: Option<String>,
    },
}

/// Why a request gets an error page. The session stays.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LogoutError {
    #[error("names no application of this server")]
    ClientUnknown,
    #[error("does not name the application that the id_token_hint was issued to")]
    ClientMismatch,
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("is not an ID token of this server")]
    HintNotOurs,
    #[error("is not registered for this application, character for character")]
    RedirectNotRegistered(ClientId),
    #[error("needs client_id or id_token_hint beside it")]
    RedirectOfNobody,
}

impl LogoutError {
    /// The parameter to blame.
    pub(crate) const fn parameter(&self) -> &'static str {
        match self {
            Self::ClientMismatch | Self::ClientUnknown => "client_id",
            Self::Fault(_) => "",
            Self::HintNotOurs => "id_token_hint",
            Self::RedirectNotRegistered(_) | Self::RedirectOfNobody => "post_logout_redirect_uri",
        }
    }

    /// The application of this server that asked, where that was found out.
    pub(crate) const fn client(&self) -> Option<&ClientId> {
        match self {
            Self::RedirectNotRegistered(client) => Some(client),
            Self::ClientMismatch
            | Self::ClientUnknown
            | Self::Fault(_)
            | Self::HintNotOurs
            | Self::RedirectOfNobody => None,
        }
    }
}

/// Signs people out for applications.
#[derive(Clone)]
pub(crate) struct LogoutService {
    store: Store,
    keys: KeyRing,
    issuer: Issuer,
    login: LoginService,
    documents: DocumentService,
}

/// A request whose parts were found to fit together.
struct Checked {
    client: Option<Arc<Client>>,
    hint: Option<Hint>,
    redirect: Option<String>,
}

/// What an ID token of ours says.
struct Hint {
    session: SessionId,
    client: ClientId,
}

/// What a client was told of the end of a session, or is still to be told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Told {
    /// What people call it.
    pub(crate) client: String,
    pub(crate) state: NoticeState,
}

/// Clients that the page after a sign-out names.
const MAX_TOLD: u32 = 50;

impl LogoutService {
    pub(crate) const fn new(
        store: Store,
        keys: KeyRing,
        issuer: Issuer,
        login: LoginService,
        documents: DocumentService,
    ) -> Self {
        Self { store, keys, issuer, login, documents }
    }

    /// Answers the request of an application.
    pub(crate) async fn begin(
        &self,
        request: LogoutRequest,
        visit: &Visit,
    ) -> Result<LogoutOutcome, LogoutError> {
        let checked = self.check(&request, visit).await?;
        match (&visit.session, &checked.hint) {
            (None, Some(_)) => Ok(LogoutOutcome::Done { redirect: checked.redirect }),
            // Nobody to ask, and no proof that the application may send people on (RP-Initiated Logout §3).
            (None, None) => Ok(LogoutOutcome::Done { redirect: None }),
            (Some(live), Some(hint))
                if hint.is_of(live) && self.names(&request, live, checked.client.as_deref()) =>
            {
                self.login.sign_out(visit).await?;
                Ok(LogoutOutcome::Done { redirect: checked.redirect })
            }
            (Some(_), _) => {
                // The page has no token to tell the client from.
                let client_id = checked.client.as_ref().map(|client| client.id.to_string());
                let client = checked.client.map(|client| client.title());
                let request = LogoutRequest { client_id, id_token_hint: None, ..request };
                Ok(LogoutOutcome::Confirm { request, client })
            }
        }
    }

    /// Goes on after the person agreed.
    pub(crate) async fn confirm(
        &self,
        request: &LogoutRequest,
        visit: &Visit,
    ) -> Result<LogoutOutcome, LogoutError> {
        let checked = self.check(request, visit).await?;
        self.login.sign_out(visit).await?;
        Ok(LogoutOutcome::Done { redirect: checked.redirect })
    }

    /// What the clients of a session were told of its end.
    pub(crate) async fn told(&self, session: &SessionId) -> Result<Vec<Told>, StoreError> {
        let notices =
            logout_notices::list_by_session(&mut self.store.read().await?, session, MAX_TOLD).await?;
        let mut told = Vec::new();
        for notice in notices {
            if let Some(client) = self.store.client(&notice.client).await? {
                told.push(Told { client: client.title(), state: notice.state });
            }
        }
        Ok(told)
    }

    async fn check(&self, request: &LogoutRequest, visit: &Visit) -> Result<Checked, LogoutError> {
        let hint = request.id_token_hint.as_deref().map(|hint| self.read_hint(hint)).transpose()?;
        let named = request.client_id.as_deref().map(ClientId::parse).transpose();
        let named = named.map_err(|_| LogoutError::ClientUnknown)?;
        let issued_to = hint.as_ref().map(|hint| hint.client.clone());
        if let (Some(named), Some(issued_to)) = (&named, &issued_to)
            && named != issued_to
        {
            return Err(LogoutError::ClientMismatch);
        }
        let client = match named.or(issued_to) {
            Some(id) => {
                let arrival = Arrival { address: visit.address, now: visit.now };
                self.documents.ensure(&id, arrival).await.map_err(|_| LogoutError::ClientUnknown)?;
                let client = self.store.client(&id).await?.filter(|client| client.is_enabled());
                Some(client.ok_or(LogoutError::ClientUnknown)?)
            }
            None => None,
        };
        let redirect = redirect(request, client.as_deref())?;
        Ok(Checked { client, hint, redirect })
    }

    /// Whether a `logout_hint` means who is signed in; one that is not there means nobody else. A client with pairwise subjects
    /// knows people by those alone, and finds out nothing else by guessing.
    fn names(&self, request: &LogoutRequest, live: &LiveSession, client: Option<&Client>) -> bool {
        let Some(hint) = request.logout_hint.as_deref() else { return true };
        let LiveSession { session, user, .. } = live;
        let subject = client.map_or_else(|| user.sub.clone(), |client| self.keys.subject(client, user));
        if hint == subject.as_str() || hint == session.id.as_str() {
            return true;
        }
        let is_username = Username::parse(hint).is_ok_and(|username| username == user.username);
        let is_email = user.email.as_ref().is_some_and(|email| email.as_str().eq_ignore_ascii_case(hint));
        subject == user.sub && (is_username || is_email)
    }

    /// What an ID token of ours says. It may have expired: it is shown long after the sign-in (RP-Initiated Logout §2).
    fn read_hint(&self, hint: &str) -> Result<Hint, LogoutError> {
        let token = self.keys.verify(hint).map_err(|_| LogoutError::HintNotOurs)?;
        let text =
            |name: &str| token.claims.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        if !token.is_id_token() || text("iss") != self.issuer.as_str() {
            return Err(LogoutError::HintNotOurs);
        }
        let session = SessionId::parse(text("sid")).map_err(|_| LogoutError::HintNotOurs)?;
        let client = ClientId::parse(text("aud")).map_err(|_| LogoutError::HintNotOurs)?;
        Ok(Hint { session, client })
    }
}

impl Hint {
    /// Whether it speaks of the session in this browser, and so of who is signed in. Of any other the person is asked
    /// (RP-Initiated Logout §2).
    fn is_of(&self, live: &LiveSession) -> bool {
        self.session == live.session.id
    }
}

/// Where the person goes afterwards, with the state of the application.
fn redirect(request: &LogoutRequest, client: Option<&Client>) -> Result<Option<String>, LogoutError> {
    let Some(uri) = request.post_logout_redirect_uri.as_deref() else { return Ok(None) };
    let client = client.ok_or(LogoutError::RedirectOfNobody)?;
    if !client.accepts_post_logout(uri) {
        return Err(LogoutError::RedirectNotRegistered(client.id.clone()));
    }
    let Some(state) = request.state.as_deref() else { return Ok(Some(uri.to_owned())) };
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish();
    Ok(Some(append_query(uri, &query)))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::domain::redirect_uri::RedirectUri;

    fn client() -> Client {
        let post_logout_redirects = vec![RedirectUri::parse("https://rp.test/bye").unwrap()];
        Client { post_logout_redirects, ..Client::sample() }
    }

    fn request(query: &str) -> LogoutRequest {
        LogoutRequest::read(&Parameters::parse(query.as_bytes()).unwrap()).unwrap()
    }

    #[test]
    fn the_state_comes_back_at_the_registered_address() {
        let asked = request("post_logout_redirect_uri=https://rp.test/bye&state=a%26b");
        let target = redirect(&asked, Some(&client())).unwrap();
        assert_eq!(target.as_deref(), Some("https://rp.test/bye?state=a%26b"));
        assert_eq!(redirect(&request("state=x"), Some(&client())).unwrap(), None);
    }

    #[test]
    fn an_address_that_is_not_registered_or_of_nobody_is_refused() {
        for uri in
            ["https://rp.test/bye/", "https://rp.test/bye?x=1", "https://evil.test/", "javascript:alert(1)"]
        {
            let asked =
                LogoutRequest { post_logout_redirect_uri: Some(uri.to_owned()), ..LogoutRequest::default() };
            let refused = redirect(&asked, Some(&client()));
            assert!(matches!(refused, Err(LogoutError::RedirectNotRegistered(_))), "{uri}");
            assert!(matches!(redirect(&asked, None), Err(LogoutError::RedirectOfNobody)), "{uri}");
        }
    }

    #[test]
    fn the_confirmation_carries_everything_but_the_hint() {
        let asked = request(
            "client_id=c&id_token_hint=x.y.z&state=s&post_logout_redirect_uri=https://rp.test/bye&\
             logout_hint=ada&ui_locales=de",
        );
        let names: Vec<&str> = asked.carried().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["client_id", "logout_hint", "post_logout_redirect_uri", "state", "ui_locales"]);
        let twice = Parameters::parse(b"state=a&state=b").unwrap();
        assert_eq!(LogoutRequest::read(&twice), Err(ParametersError::Repeated));
    }
}

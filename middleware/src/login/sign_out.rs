//! Signing out, here and then at the issuer (OpenID Connect RP-Initiated Logout §2).

use http::Response;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, SET_COOKIE};
use serde_json::json;
use url::Url;

use super::Sessions;
use super::navigation::{is_navigation, see_other};
use super::page::Failure;
use super::session::Session;
use super::store::StoreFault;

use crate::body::Body;

/// The longest hint that is put into an address.
const MAX_HINT: usize = 4 * 1024;

impl Sessions {
    /// Signs out whoever has this browser. The guard has made sure that a page of this service asks for it.
    pub(crate) async fn sign_out(&self, headers: &HeaderMap) -> Response<Body> {
        let rules = self.rules();
        let session = match self.end_session(headers).await {
            Ok(session) => session,
            Err(fault) => {
                // The cookie stays: who is told to try again has to be able to.
                rules.say_away(&fault, "nobody can sign out");
                return Failure::Away.answered(headers, rules.places.after_logout());
            }
        };
        let target = match session {
            Some(session) => self.target(&session).await,
            None => rules.places.after_logout().to_owned(),
        };
        let mut response = if is_navigation(headers) { see_other(&target) } else { told(&target) };
        response.headers_mut().append(SET_COOKIE, rules.cookies.clear_session());
        response
    }

    /// Ends the session of a browser, if it has one.
    async fn end_session(&self, headers: &HeaderMap) -> Result<Option<Session>, StoreFault> {
        let rules = self.rules();
        let Some(handle) = rules.cookies.session(headers) else { return Ok(None) };
        let Some((visit, _)) = self.look_up(handle).await? else { return Ok(None) };
        self.end(handle).await?;
        if let Some(refresh) = visit.session.tokens.refresh.clone() {
            let sessions = self.clone();
            // Nobody waits for the issuer to hear of it.
            tokio::spawn(async move { sessions.rules().provider.revoke(&refresh).await });
        }
        Ok(Some(visit.session))
    }

    /// Where somebody goes whose session was ended here.
    async fn target(&self, session: &Session) -> String {
        let rules = self.rules();
        match rules.provider.places().await {
            Ok(places) => match &places.end_session {
                Some(endpoint) => self.end_at_issuer(endpoint, session).into(),
                None => rules.places.after_logout().to_owned(),
            },
            Err(fault) => {
                tracing::warn!(%fault, "somebody is signed out here and not at the issuer: where is not known");
                rules.places.after_logout().to_owned()
            }
        }
    }

    fn end_at_issuer(&self, endpoint: &Url, session: &Session) -> Url {
        let rules = self.rules();
        let mut url = endpoint.clone();
        let mut query = url.query_pairs_mut();
        query.append_pair("client_id", rules.provider.client.id());
        if session.tokens.id.len() <= MAX_HINT {
            query.append_pair("id_token_hint", &session.tokens.id);
        }
        if let Some(path) = &rules.places.after_logout {
            query.append_pair("post_logout_redirect_uri", &format!("{}{path}", rules.places.origin));
        }
        drop(query);
        url
    }
}

/// Tells a script where to go: it cannot follow a redirect to another origin.
fn told(target: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(json!({ "location": target }).to_string()));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

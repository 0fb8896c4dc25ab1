//! The page that leads to the issuer.

use axum_core::body::Body;
use http::Response;
use http::header::{HeaderMap, SET_COOKIE};

use super::Sessions;
use super::ask::Ask;
use super::fields::Fields;
use super::navigation::{see_other, way_to};
use super::page::Failure;
use super::return_path::ReturnPath;

/// Whoever was signed in so recently as was asked, and is asked again, would go round for ever.
const ROUND_SECS: u64 = 60;

impl Sessions {
    /// Leads a browser to the issuer.
    pub(crate) async fn depart(&self, query: &str, headers: &HeaderMap) -> Response<Body> {
        let Some((return_to, ask)) = read(query) else {
            return Failure::BadRequest.answered(headers, &self.start_over());
        };
        let again = self.login_path(&return_to, &ask);
        if !ask.is_empty() && self.goes_round(headers, &ask).await {
            tracing::warn!(?ask, "a sign-in was as it was asked for, and the access token does not say so");
            return Failure::NotStrong.answered(headers, &again);
        }
        let places = match self.rules().provider.places().await {
            Ok(places) => places,
            Err(fault) => {
                tracing::warn!(%fault, "nobody can sign in: where is not known");
                return Failure::Away.answered(headers, &again);
            }
        };
        match self.begin(headers, return_to, ask.clone()).await {
            Ok(departure) => {
                let url = self.authorization(&places.authorization, &departure, &ask);
                let mut response = see_other(url.as_str());
                response.headers_mut().append(SET_COOKIE, departure.cookie);
                response
            }
            Err(fault) => {
                tracing::warn!(%fault, "nobody can sign in");
                Failure::Away.answered(headers, &again)
            }
        }
    }

    /// The path where a sign-in begins that leads to the start page.
    pub(super) fn start_over(&self) -> String {
        self.rules().places.path("login")
    }

    /// The path where a sign-in begins that leads back there.
    pub(super) fn login_path(&self, back: &ReturnPath, ask: &Ask) -> String {
        way_to(&self.start_over(), Some(back), ask)
    }

    /// Whether the session was opened a moment ago by a sign-in that was asked for the same.
    async fn goes_round(&self, headers: &HeaderMap, ask: &Ask) -> bool {
        let rules = self.rules();
        let Some(handle) = rules.cookies.session(headers) else { return false };
        let Ok(Some((visit, _))) = self.look_up(handle).await else { return false };
        let ends = visit.session.opened_at.saturating_add(ROUND_SECS);
        visit.session.ask == *ask && rules.clock.unix_secs() < ends
    }
}

fn read(query: &str) -> Option<(ReturnPath, Ask)> {
    let fields = Fields::read(query.as_bytes())?;
    let return_to = fields.get("return_to").map_or_else(|| Some(ReturnPath::root()), ReturnPath::parse)?;
    Some((return_to, Ask::read(fields.get("acr_values"), fields.get("max_age"))?))
}

//! The page that leads to the issuer.

use std::net::IpAddr;

use http::Response;
use http::header::{HeaderMap, SET_COOKIE};

use super::ask::Ask;
use super::fields::Fields;
use super::navigation::{see_other, way_to};
use super::page::Failure;
use super::return_path::ReturnPath;
use super::store::StoreFault;
use super::{Rules, Sessions};
use crate::body::Body;
use crate::outage::{CALM, OutageReport};

/// Whoever was signed in so recently as was asked, and is asked again, would go round for ever.
const ROUND_SECS: u64 = 60;

/// Whether a person goes there, as far as the browser says (Fetch Metadata). A picture or a script of some page could otherwise have
/// the browsers of all who look at it begin sign-ins, until their networks have begun as many as they may.
fn is_navigation(headers: &HeaderMap) -> bool {
    let says =
        |name: &str, wanted: &str| headers.get(name).is_none_or(|said| said.as_bytes() == wanted.as_bytes());
    says("sec-fetch-mode", "navigate") && says("sec-fetch-dest", "document")
}

impl Sessions {
    /// Leads a browser to the issuer.
    pub(crate) async fn depart(
        &self,
        query: &str,
        headers: &HeaderMap,
        address: Option<IpAddr>,
    ) -> Response<Body> {
        let Some((return_to, ask)) = read(query).filter(|_| is_navigation(headers)) else {
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
                self.rules().say_away(&fault, "nobody can sign in: where is not known");
                return Failure::Away.answered(headers, &again);
            }
        };
        let begun = self.begin((headers, address), return_to, ask.clone()).await;
        self.note_crowd(begun.as_ref().err());
        match begun {
            Ok(departure) => {
                let url = self.authorization(&places.authorization, &departure, &ask);
                let mut response = see_other(url.as_str());
                response.headers_mut().append(SET_COOKIE, departure.cookie);
                response
            }
            Err(_) => Failure::Away.answered(headers, &again),
        }
    }

    /// Says to the log that no sign-in can be begun, and that some can again. Strangers can cause the one as often as they like, so
    /// that it is said ever more rarely.
    fn note_crowd(&self, fault: Option<&StoreFault>) {
        let Rules { underway, clock, .. } = self.rules();
        let (crowd, now) = (&underway.crowd, clock.steady());
        let Some(fault) = fault else {
            if let Some(OutageReport { lasted, attempts }) = crowd.calmed(now, CALM) {
                tracing::info!(attempts, for_secs = lasted.as_secs(), "sign-ins can be begun again");
            }
            return;
        };
        if let Some(OutageReport { attempts, .. }) = crowd.failed(now, fault, false) {
            tracing::warn!(%fault, attempts, "a sign-in cannot be begun");
        } else {
            tracing::debug!(%fault, "a sign-in cannot be begun");
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

//! Interactions: keeping a request while the person signs in and decides, in the browser where it began.

use std::time::Duration;

use crate::domain::claim::ClaimSet;
use crate::domain::clock::Timestamp;
use crate::domain::interaction::Interaction;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::registration::{About, Registration};
use crate::domain::scope::ScopeSet;
use crate::domain::user::User;
use crate::keys::ring::SignError;
use crate::services::authorize::decide::LoginReason;
use crate::services::authorize::request::AuthorizeRequest;
use crate::services::details::DetailView;
use crate::services::visit::Visit;
use crate::storage::{Outcome, StoreError};

/// Why an interaction does not go on. Each has its page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InteractionError {
    #[error("the interaction took too long")]
    Expired,
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("the interaction is finished")]
    Finished,
    #[error("the interaction belongs to another browser")]
    Foreign,
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("too many interactions of one network began")]
    Throttled {
        /// When the next one may begin.
        retry_after: Duration,
    },
    /// The identifier names nothing, or a client that is gone since.
    #[error("there is no such interaction")]
    Unknown,
}

impl Outcome for InteractionError {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Fault(_) | Self::Sign(_))
    }
}

/// What a page of an interaction shows.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one is made per page, and taken apart at once")]
pub(crate) enum InteractionView {
    Consent(ConsentView),
    Login(LoginView),
}

/// What the sign-in page shows.
#[derive(Clone, Debug)]
pub(crate) struct LoginView {
    /// The name of the application.
    pub(crate) client: String,
    /// What to fill in as the user name.
    pub(crate) login_hint: Option<String>,
    pub(crate) reason: LoginReason,
    /// Whether the application takes somebody who proves one factor.
    pub(crate) one_factor_will_do: bool,
}

/// What the consent page shows.
#[derive(Clone, Debug)]
pub(crate) struct ConsentView {
    /// The name of the application.
    pub(crate) client: String,
    /// What the page for signing in calls it.
    pub(crate) login_name: String,
    /// The host where the answer goes: a name can be chosen, a host cannot.
    pub(crate) redirect_host: String,
    /// What is known of it if it came by itself.
    pub(crate) stranger: Option<Stranger>,
    /// Who decides.
    pub(crate) user: User,
    /// What is asked for.
    pub(crate) asked: Asked,
    /// Where.
    pub(crate) places: Vec<PlaceView>,
}

/// What is asked for at one place.
#[derive(Clone, Debug)]
pub(crate) struct PlaceView {
    /// The API; `None` for this server.
    pub(crate) api: Option<String>,
    /// What belongs there.
    pub(crate) scopes: ScopeSet,
    /// What is asked for there in detail.
    pub(crate) details: Vec<DetailView>,
    /// What was allowed there before.
    pub(crate) allowed_before: Asked,
}

/// What a client asks of a person.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) scopes: ScopeSet,
    /// Claims that the scopes do not reveal.
    pub(crate) claims: ClaimSet,
}

/// An application that nobody here vouches for.
#[derive(Clone, Debug)]
pub(crate) struct Stranger {
    /// The host whose document describes it; `None` when it registered.
    pub(crate) document_host: Option<String>,
    /// Whether the answer goes to a program on the person's own machine: whichever listens there.
    pub(crate) runs_here: bool,
    /// What it says about itself.
    pub(crate) about: About,
    /// What its logo is served as, if it has one of its own host.
    pub(crate) logo: Option<String>,
}

impl Stranger {
    pub(super) fn of(registration: Registration, redirect: &RedirectUri, logo: Option<String>) -> Self {
        let document_host = registration.client.document().map(|url| url.host().to_owned());
        let home = document_host.clone().unwrap_or_else(|| redirect.host().to_owned());
        let about = of_host(registration.about, &home);
        let logo = logo.filter(|_| about.logo_uri.is_some());
        Self { document_host, runs_here: redirect.is_loopback(), about, logo }
    }
}

/// Without the pages of others: a link to somebody whom people trust would be borrowed trust.
fn of_host(about: About, home: &str) -> About {
    let is_own = |page: &String| is_of_host(page, home);
    About {
        client_uri: about.client_uri.filter(is_own),
        logo_uri: about.logo_uri.filter(is_own),
        policy_uri: about.policy_uri.filter(is_own),
        tos_uri: about.tos_uri.filter(is_own),
        ..about
    }
}

/// Whether a page is at the host where an application is at home, or below it.
pub(crate) fn is_of_host(page: &str, home: &str) -> bool {
    let url = url::Url::parse(page).ok();
    url.as_ref()
        .and_then(url::Url::host_str)
        .is_some_and(|host| host == home || host.strip_suffix(home).is_some_and(|below| below.ends_with('.')))
}

/// What the person decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ConsentDecision {
    Allow,
    Deny,
}

/// Makes sure that this browser may go on with the interaction now.
///
/// The browser comes first: to any other, a finished interaction looks like a running one.
pub(crate) fn check(interaction: &Interaction, visit: &Visit) -> Result<(), InteractionError> {
    if !interaction.browser.matches(&visit.browser.digest()) {
        Err(InteractionError::Foreign)
    } else if interaction.finished_at.is_some() {
        Err(InteractionError::Finished)
    } else if is_over(interaction, visit.now) {
        Err(InteractionError::Expired)
    } else {
        Ok(())
    }
}

fn is_over(interaction: &Interaction, now: Timestamp) -> bool {
    now >= interaction.expires_at
}

/// Reads the request that an interaction keeps. One that keeps the code of a device is none of these.
pub(crate) fn kept_request(interaction: &Interaction) -> Result<AuthorizeRequest, InteractionError> {
    if interaction.request.starts_with(DEVICE) {
        return Err(InteractionError::Unknown);
    }
    let corrupt = |_| StoreError::Corrupt { what: "interactions.request".to_owned() };
    serde_json::from_str(&interaction.request).map_err(|error| corrupt(error).into())
}

/// What stands before the code of a device that an interaction keeps.
pub(crate) const DEVICE: &str = "device ";

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    use super::*;
    use crate::domain::ids::{ClientId, InteractionId};
    use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    fn visit(browser: &OpaqueToken, now: Timestamp) -> Visit {
        Visit { browser: browser.clone(), session: None, address: IpAddr::V4(Ipv4Addr::LOCALHOST), now }
    }

    fn interaction(browser: &OpaqueToken) -> Interaction {
        let entropy = Entropy::seeded(7);
        Interaction {
            id: InteractionId::generate(NOW, &entropy),
            client: ClientId::generate(NOW, &entropy),
            browser: browser.digest(),
            request: "{}".to_owned(),
            prior_session: None,
            prior_proof: None,
            session: None,
            created_at: NOW,
            expires_at: NOW.plus(Duration::from_mins(1)),
            finished_at: None,
        }
    }

    #[test]
    fn only_the_browser_that_began_goes_on_and_only_in_time() {
        let entropy = Entropy::seeded(1);
        let own = OpaqueToken::generate(TokenKind::Browser, &entropy);
        let other = OpaqueToken::generate(TokenKind::Browser, &entropy);
        let running = interaction(&own);
        check(&running, &visit(&own, NOW)).unwrap();
        assert!(matches!(check(&running, &visit(&other, NOW)), Err(InteractionError::Foreign)));
        let late = NOW.plus(Duration::from_mins(1));
        assert!(matches!(check(&running, &visit(&own, late)), Err(InteractionError::Expired)));
    }

    #[test]
    fn a_finished_interaction_says_so_to_its_own_browser_only() {
        let entropy = Entropy::seeded(1);
        let own = OpaqueToken::generate(TokenKind::Browser, &entropy);
        let other = OpaqueToken::generate(TokenKind::Browser, &entropy);
        let finished = Interaction { finished_at: Some(NOW), ..interaction(&own) };
        assert!(matches!(check(&finished, &visit(&own, NOW)), Err(InteractionError::Finished)));
        assert!(matches!(check(&finished, &visit(&other, NOW)), Err(InteractionError::Foreign)));
    }

    #[test]
    fn what_cannot_be_read_back_is_a_fault_and_not_a_panic() {
        let own = OpaqueToken::generate(TokenKind::Browser, &Entropy::seeded(1));
        assert!(matches!(
            kept_request(&interaction(&own)),
            Err(InteractionError::Fault(StoreError::Corrupt { .. }))
        ));
        let of_a_device = Interaction { request: format!("{DEVICE}x"), ..interaction(&own) };
        assert!(matches!(kept_request(&of_a_device), Err(InteractionError::Unknown)));
    }

    #[test]
    fn only_pages_of_its_own_host_are_shown_of_a_stranger() {
        let shown = |page: &str| {
            let about = About { client_uri: Some(page.to_owned()), ..About::default() };
            of_host(about, "app.example").client_uri.is_some()
        };
        assert!(shown("https://app.example/") && shown("https://www.app.example/x"));
        for foreign in
            ["https://bank.example/", "https://evilapp.example/", "https://example/", "app.example"]
        {
            assert!(!shown(foreign), "{foreign}");
        }
    }
}

//! Authorization: from the request of a client to a code, with a person in between.

pub(crate) mod decide;
mod flow;
pub(crate) mod interaction;
pub(crate) mod limits;
pub(crate) mod request;
pub(crate) mod respond;

use std::time::Duration;

use crate::domain::client::Client;
use crate::domain::ids::{ApiId, InteractionId};
use crate::domain::issuer::Issuer;
use crate::domain::parameters::Parameters;
use crate::domain::secret::Entropy;
use crate::domain::user::Sub;
use crate::keys::jwt::JwtType;
use crate::keys::ring::KeyRing;
use crate::services::authorize::decide::SignIn;
use crate::services::authorize::flow::Flow;
use crate::services::authorize::interaction::{
    ConsentDecision, ConsentView, InteractionError, InteractionView,
};
use crate::services::authorize::limits::FlowLimits;
use crate::services::authorize::request::{AuthorizeRequest, PageError, RequestError, ReturnAddress};
use crate::services::visit::Visit;
use crate::storage::{Store, StoreError, consents, interactions};

/// Where the browser goes next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AuthorizeOutcome {
    /// To the consent page.
    Consent(InteractionId),
    /// To the sign-in page.
    Login(InteractionId),
    /// To the client, with a code or an error.
    Redirect(String),
}

/// Why a request is answered with a page and not at the redirect URI.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorizeError {
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("{parameter} {0}", parameter = .0.parameter())]
    Page(#[from] PageError),
    #[error("too many requests of one network began")]
    Throttled { retry_after: Duration },
}

/// What an administrator may set.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizeSettings {
    pub(crate) issuer: Issuer,
    pub(crate) code_ttl: Duration,
    pub(crate) interaction_ttl: Duration,
}

/// Answers authorization requests.
#[derive(Clone)]
pub(crate) struct AuthorizeService {
    store: Store,
    keys: KeyRing,
    entropy: Entropy,
    settings: AuthorizeSettings,
    limits: FlowLimits,
}

/// What stands between a request and a code: the client's mistake, or ours.
enum Stop {
    Fault(StoreError),
    Refused(RequestError),
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Fault(error)
    }
}

impl From<RequestError> for Stop {
    fn from(error: RequestError) -> Self {
        Self::Refused(error)
    }
}

impl AuthorizeService {
    pub(crate) const fn new(
        store: Store,
        keys: KeyRing,
        entropy: Entropy,
        settings: AuthorizeSettings,
        limits: FlowLimits,
    ) -> Self {
        Self { store, keys, entropy, settings, limits }
    }

    /// Answers an authorization request.
    pub(crate) async fn begin(
        &self,
        parameters: &Parameters,
        visit: &Visit,
    ) -> Result<AuthorizeOutcome, AuthorizeError> {
        let id = request::client_id(parameters)?;
        let client = self.store.client(&id).await?.filter(|client| client.is_enabled());
        let client = client.ok_or(PageError::ClientUnknown)?;
        let address = request::return_address(parameters, &client)?;
        match self.checked(parameters, &client, &address).await {
            Ok(request) => {
                let flow = Flow { request, client, visit, interaction: None };
                // A flow without an interaction finds none finished or foreign: only the store is left to fail.
                self.advance(flow).await.map_err(|error| match error {
                    InteractionError::Fault(fault) => AuthorizeError::Fault(fault),
                    InteractionError::Throttled { retry_after } => AuthorizeError::Throttled { retry_after },
                    _ => AuthorizeError::Page(PageError::ClientUnknown),
                })
            }
            Err(Stop::Refused(error)) => Ok(self.refused(&address, error)),
            Err(Stop::Fault(error)) => Err(error.into()),
        }
    }

    /// Says what the page of an interaction shows.
    pub(crate) async fn view(
        &self,
        id: &InteractionId,
        visit: &Visit,
    ) -> Result<InteractionView, InteractionError> {
        let flow = self.running(id, visit).await?;
        let Some(live) = visit.session.as_ref() else {
            return Ok(InteractionView::Login(flow.login_view(decide::LoginReason::NotSignedIn)));
        };
        if let SignIn::Needed(reason) = flow.sign_in() {
            return Ok(InteractionView::Login(flow.login_view(reason)));
        }
        let request = &flow.request;
        let mut tx = self.store.read().await?;
        let held = consents::find(&mut tx, &live.user.id, &request.client, request.resource.as_ref()).await?;
        let api = match &request.resource {
            Some(api) => self.store.api(api).await?.map(|api| api.name.clone()),
            None => None,
        };
        let redirect = flow.client.redirect_for(&request.address.uri).ok_or(InteractionError::Unknown)?;
        Ok(InteractionView::Consent(ConsentView {
            client: flow.client.name.clone(),
            redirect_host: redirect.host().to_owned(),
            user: live.user.clone(),
            scopes: request.scopes.clone(),
            allowed_before: held.map(|consent| consent.scopes).unwrap_or_default(),
            api,
        }))
    }

    /// Goes on after somebody signed in.
    pub(crate) async fn resume(
        &self,
        id: &InteractionId,
        visit: &Visit,
    ) -> Result<AuthorizeOutcome, InteractionError> {
        let flow = self.running(id, visit).await?;
        self.advance(flow).await
    }

    /// Goes on after somebody decided.
    pub(crate) async fn consent(
        &self,
        id: &InteractionId,
        visit: &Visit,
        decision: ConsentDecision,
    ) -> Result<AuthorizeOutcome, InteractionError> {
        let flow = self.running(id, visit).await?;
        match decision {
            ConsentDecision::Allow => self.allow(flow).await,
            ConsentDecision::Deny => self.deny(flow).await,
        }
    }

    async fn running<'v>(&self, id: &InteractionId, visit: &'v Visit) -> Result<Flow<'v>, InteractionError> {
        let interaction = interactions::find(&mut self.store.read().await?, id).await?;
        let interaction = interaction.ok_or(InteractionError::Unknown)?;
        interaction::check(&interaction, visit)?;
        let request = interaction::kept_request(&interaction)?;
        let client = self.store.client(&request.client).await?.filter(|client| client.is_enabled());
        let client = client.ok_or(InteractionError::Unknown)?;
        Ok(Flow { request, client, visit, interaction: Some(interaction) })
    }

    async fn checked(
        &self,
        parameters: &Parameters,
        client: &Client,
        address: &ReturnAddress,
    ) -> Result<AuthorizeRequest, Stop> {
        let draft = request::read(parameters, client, address)?;
        let mut request = draft.request;
        request.resource = self.resource(draft.resource, client).await?;
        request.expected = draft.id_token_hint.map(|hint| self.subject_of(hint)).transpose()?;
        Ok(request)
    }

    /// RFC 8707 §2. The issuer itself stands for no API: its tokens are for the userinfo endpoint.
    async fn resource(&self, audience: Option<&str>, client: &Client) -> Result<Option<ApiId>, Stop> {
        let Some(audience) = audience.filter(|audience| *audience != self.settings.issuer.as_str()) else {
            return Ok(None);
        };
        let api = self.store.api_by_audience(audience).await?;
        let allowed = api.filter(|api| client.settings.apis.contains(&api.id));
        Ok(Some(allowed.ok_or(RequestError::Resource)?.id.clone()))
    }

    /// The subject of an ID token of ours. It may have expired: it is a hint, and proves nothing (OpenID Connect Core §3.1.2.1).
    fn subject_of(&self, hint: &str) -> Result<Sub, RequestError> {
        let token = self.keys.verify(hint).map_err(|_| RequestError::HintNotOurs)?;
        let text =
            |name: &str| token.claims.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
        let ours = token.header.is(JwtType::IdToken) && text("iss") == self.settings.issuer.as_str();
        ours.then(|| Sub::parse(text("sub")).ok()).flatten().ok_or(RequestError::HintNotOurs)
    }

    fn refused(&self, address: &ReturnAddress, error: RequestError) -> AuthorizeOutcome {
        tracing::debug!(%error, "authorization request refused");
        AuthorizeOutcome::Redirect(respond::with_error(address, error, &self.settings.issuer))
    }
}

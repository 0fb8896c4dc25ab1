//! Authorization: from the request of a client to a code, with a person in between.

pub(crate) mod decide;
mod flow;
pub(crate) mod interaction;
pub(crate) mod limits;
mod parts;
pub(crate) mod pushed;
pub(crate) mod refusal;
pub(crate) mod request;
pub(crate) mod request_object;
pub(crate) mod respond;
pub(crate) mod response_mode;
mod views;
mod way;
pub(crate) mod wishes;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::config::SignUp;
use crate::domain::client::{Client, KeySource};
use crate::domain::client_protocol::PushedRequests;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ClientId, InteractionId};
use crate::domain::issuer::Issuer;
use crate::domain::parameters::Parameters;
use crate::domain::rbac::Api;
use crate::domain::reach::{Reach, scopes_of_any};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Entropy;
use crate::domain::user::Sub;
use crate::keys::ring::{KeyRing, SignError};
use crate::services::authorize::flow::Flow;
use crate::services::authorize::interaction::{ConsentDecision, InteractionError};
use crate::services::authorize::limits::FlowLimits;
use crate::services::authorize::refusal::{PageError, RequestError};
use crate::services::authorize::request::{AuthorizeRequest, ReturnAddress};
use crate::services::authorize::respond::{Recipient, Reply, Responder};
use crate::services::authorize::way::Way;
use crate::services::client_auth::limits::ClientLimits;
use crate::services::client_keys::ClientKeys;
use crate::services::details::{self, DetailsError};
use crate::services::id_token_hint;
use crate::services::registration::Arrival;
use crate::services::registration::documents::{DocumentService, Reading};
use crate::services::registration::error::DocumentError;
use crate::services::visit::Visit;
use crate::storage::{Store, StoreError, Unique, interactions};

/// Where the browser goes next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum AuthorizeOutcome {
    /// To the consent page.
    Consent(InteractionId),
    /// To the sign-in page.
    Login(InteractionId),
    /// To the client, with an error.
    Refused { why: Refused, reply: Reply },
    /// To the client, with a code.
    Reply(Reply),
    /// To the page for making an account.
    SignUp(InteractionId),
    /// To a page that tells the person first where the error would lead: nobody vouches for a client that came by itself
    /// (RFC 9700 §4.11.2).
    Told {
        why: Refused,
        /// The host that the answer goes to.
        host: String,
        reply: Reply,
    },
}

/// What a client is told, and which one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Refused {
    pub(crate) client: ClientId,
    pub(crate) error: RequestError,
}

impl Refused {
    fn of(to: Recipient<'_>, error: RequestError) -> Self {
        Self { client: to.client.id.clone(), error }
    }
}

/// Why a request is answered with a page and not at the redirect URI.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuthorizeError {
    #[error("client_id {0}")]
    Document(DocumentError),
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error("{parameter} {0}", parameter = .0.parameter())]
    Page(#[from] PageError),
    #[error(transparent)]
    Sign(#[from] SignError),
    #[error("too many requests of one network began")]
    Throttled { retry_after: Duration },
}

impl From<DocumentError> for AuthorizeError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Fault(fault) => Self::Fault(fault),
            DocumentError::Throttled { retry_after } => Self::Throttled { retry_after },
            other => Self::Document(other),
        }
    }
}

/// What an administrator may set.
#[derive(Clone, Debug)]
pub(crate) struct AuthorizeSettings {
    pub(crate) issuer: Issuer,
    pub(crate) code_ttl: Duration,
    pub(crate) interaction_ttl: Duration,
    pub(crate) pushed_request_ttl: Duration,
    /// Whether requests have to be pushed, of every client.
    pub(crate) pushed_requests: PushedRequests,
    /// How people come to accounts.
    pub(crate) sign_up: SignUp,
}

/// Answers authorization requests.
#[derive(Clone)]
pub(crate) struct AuthorizeService {
    store: Store,
    keys: KeyRing,
    entropy: Entropy,
    settings: AuthorizeSettings,
    limits: FlowLimits,
    pushes: ClientLimits,
    client_keys: ClientKeys,
    documents: DocumentService,
    responder: Responder,
}

/// What answering requests is bounded by, and what is known of clients beyond the database.
pub(crate) struct Surroundings {
    pub(crate) limits: FlowLimits,
    pub(crate) pushes: ClientLimits,
    pub(crate) client_keys: ClientKeys,
    pub(crate) documents: DocumentService,
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

impl From<DetailsError> for Stop {
    fn from(error: DetailsError) -> Self {
        match error {
            DetailsError::Fault(fault) => Self::Fault(fault),
            DetailsError::Parameters(error) => Self::Refused(error.into()),
            DetailsError::Refused(fault) => Self::Refused(RequestError::Details(fault)),
        }
    }
}

impl AuthorizeService {
    pub(crate) fn new(
        store: Store,
        keys: KeyRing,
        entropy: Entropy,
        settings: AuthorizeSettings,
        surroundings: Surroundings,
    ) -> Self {
        let Surroundings { limits, pushes, client_keys, documents } = surroundings;
        let responder = Responder::new(settings.issuer.clone(), keys.clone());
        Self { store, keys, entropy, settings, limits, pushes, client_keys, documents, responder }
    }

    /// Answers an authorization request.
    pub(crate) async fn begin(
        &self,
        parameters: &Parameters,
        visit: &Visit,
    ) -> Result<AuthorizeOutcome, AuthorizeError> {
        let id = request::client_id(parameters)?;
        let (mut visit, arrival) = (Cow::Borrowed(visit), Arrival { address: visit.address, now: visit.now });
        if self.documents.ensure(&id, arrival).await? == Reading::Fetched {
            visit.to_mut().forget();
        }
        let client = self.store.client(&id).await?.filter(|client| client.is_enabled());
        let client = client.ok_or(PageError::ClientUnknown)?;
        if let Some(handle) = pushed::handle(parameters)? {
            let (request, way) = self.pushed(&handle, &client, &visit).await?;
            return self.set_out(Flow { way, ..Flow::of(request, client, &visit) }).await;
        }
        let opened = self.opened(parameters, &client, visit.now).await;
        // The keys for it may have been fetched as well.
        if matches!((&opened, client.keys()), (Ok(Cow::Owned(_)), Some(KeySource::At(_)))) {
            visit.to_mut().forget();
        }
        // Of an object that cannot be opened, only what stands beside it is known.
        let said = opened.as_ref().map_or(parameters, Cow::as_ref);
        let address = request::return_address(said, &client)?;
        let checked = match &opened {
            Err(error) => Err((*error).into()),
            Ok(_) if self.must_push(&client) => Err(RequestError::NotPushed.into()),
            Ok(said) => self.checked(said, &client, &address).await,
        };
        match checked {
            Ok(request) => self.set_out(Flow::of(request, client, &visit)).await,
            Err(Stop::Refused(error)) => {
                let to = Recipient { client: &client, address: &address, now: visit.now };
                let is_silent = request::is_silent(said);
                Ok(if !is_silent && self.is_stranger(&client).await? {
                    self.told(to, error)?
                } else {
                    self.refused(to, error)?
                })
            }
            Err(Stop::Fault(error)) => Err(error.into()),
        }
    }

    /// The parameters of a request: those of its object, if it has one.
    async fn opened<'p>(
        &self,
        parameters: &'p Parameters,
        client: &Client,
        now: Timestamp,
    ) -> Result<Cow<'p, Parameters>, RequestError> {
        let Some(object) = parameters.get("request")? else {
            let missing = client.settings.protocol.request_objects.are_required();
            return if missing { Err(RequestError::ObjectMissing) } else { Ok(Cow::Borrowed(parameters)) };
        };
        if client.keys().is_none() {
            return Err(RequestError::RequestObject);
        }
        let registered = client.settings.protocol.openid.request_object_alg;
        let opened = match self.client_keys.verify(client, registered, object).await {
            Ok(token) => request_object::open(token, client, &self.settings.issuer, now),
            Err(error) => Err(error.into()),
        };
        opened.map(Cow::Owned).map_err(RequestError::Object)
    }

    /// RFC 9126 §5 and §6: one client may be held to it, or all.
    const fn must_push(&self, client: &Client) -> bool {
        self.settings.pushed_requests.are_required() || client.must_push()
    }

    /// The first step of a flow.
    async fn set_out(&self, flow: Flow<'_>) -> Result<AuthorizeOutcome, AuthorizeError> {
        // A flow without an interaction finds none finished or foreign: only the store is left to fail. Two codes never meet: what is
        // used already is the handle.
        self.advance(flow).await.map_err(|error| match error {
            InteractionError::Fault(StoreError::Conflict(Unique::Once)) => PageError::HandleUnknown.into(),
            InteractionError::Fault(fault) => AuthorizeError::Fault(fault),
            InteractionError::Sign(error) => AuthorizeError::Sign(error),
            InteractionError::Throttled { retry_after } => AuthorizeError::Throttled { retry_after },
            _ => AuthorizeError::Page(PageError::ClientUnknown),
        })
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
        // An address that was taken back meanwhile gets no answer any more, neither a code nor an error.
        let still_goes =
            |client: &Arc<Client>| client.is_enabled() && client.redirect_for(&request.address.uri).is_some();
        let client = self.store.client(&request.client).await?.filter(still_goes);
        let client = client.ok_or(InteractionError::Unknown)?;
        Ok(Flow { interaction: Some(interaction), way: Way::Kept, ..Flow::of(request, client, visit) })
    }

    async fn checked(
        &self,
        parameters: &Parameters,
        client: &Client,
        address: &ReturnAddress,
    ) -> Result<AuthorizeRequest, Stop> {
        let draft = request::read(parameters, client, address)?;
        let mut request = draft.request;
        request.fits(self.settings.sign_up)?;
        request.reach = self.reach(&draft.resources, parameters, client).await?;
        request.scopes = self.scopes_there(&request).await?;
        // Core §5.5.1.1: what cannot be met is a failed sign-in. Nobody has to sign in to find out, and a client that pushes hears of it then.
        if request.asks_for_the_impossible() {
            return Err(RequestError::AcrUnmet.into());
        }
        request.wishes.expected = draft.id_token_hint.map(|hint| self.subject_of(hint)).transpose()?;
        Ok(request)
    }

    /// The APIs that are asked for: those that are named (RFC 8707 §2), and those of what is asked for in detail. The issuer itself
    /// stands for no API: its tokens are for the userinfo endpoint.
    async fn reach(
        &self,
        resources: &[&str],
        parameters: &Parameters,
        client: &Client,
    ) -> Result<Reach, Stop> {
        let mut reach = Reach::default();
        for audience in resources.iter().filter(|audience| !self.settings.issuer.is_meant_by(audience)) {
            let api = self.store.api_by_audience(audience).await?;
            let allowed = api.filter(|api| client.settings.apis.contains(&api.id));
            reach.apis.add(allowed.ok_or(RequestError::Resource)?.id.clone());
        }
        if let Some(details) = details::asked(parameters)? {
            let places = details::places(&self.store, client, &details).await?;
            places.iter().for_each(|api| reach.apis.add(api.clone()));
            reach.details = details;
        }
        Ok(reach)
    }

    /// A scope that none of the APIs has is left out; if nothing remains, the request is refused. So is one without scopes and APIs.
    async fn scopes_there(&self, request: &AuthorizeRequest) -> Result<ScopeSet, Stop> {
        let apis = parts::apis(&self.store, &request.reach.apis).await?;
        let apis: Vec<&Api> = apis.iter().map(AsRef::as_ref).collect();
        let scopes = scopes_of_any(&request.scopes, &apis);
        let asks_for_nothing = scopes.is_empty() && (!request.scopes.is_empty() || apis.is_empty());
        if asks_for_nothing { Err(RequestError::Scope.into()) } else { Ok(scopes) }
    }

    /// The subject of an ID token of ours.
    fn subject_of(&self, hint: &str) -> Result<Sub, RequestError> {
        let token = id_token_hint::read(&self.keys, &self.settings.issuer, hint);
        let sub =
            token.as_ref().and_then(|token| token.claims.get("sub")).and_then(serde_json::Value::as_str);
        sub.and_then(|sub| Sub::parse(sub).ok()).ok_or(RequestError::HintNotOurs)
    }

    /// Nobody signed in yet, so whoever registers a client could make of this address one that leads anywhere.
    fn told(&self, to: Recipient<'_>, error: RequestError) -> Result<AuthorizeOutcome, SignError> {
        let redirect = to.client.redirect_for(&to.address.uri);
        let host = redirect.map(|redirect| redirect.host().to_owned()).unwrap_or_default();
        let reply = self.responder.error(to, error)?;
        Ok(AuthorizeOutcome::Told { why: Refused::of(to, error), host, reply })
    }

    fn refused(&self, to: Recipient<'_>, error: RequestError) -> Result<AuthorizeOutcome, SignError> {
        let reply = self.responder.error(to, error)?;
        Ok(AuthorizeOutcome::Refused { why: Refused::of(to, error), reply })
    }
}

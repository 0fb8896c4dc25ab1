//! Sign-ins that clients start from behind ([CIBA][core]): a client names somebody, who approves on a page of this server.
//!
//! Whoever names a person may be anybody's mistake, or an attacker's wish. So nothing is allowed without a click of that person on a page
//! that says who asks for what, from where; and no more requests wait for one person than fit on a page.
//!
//! [core]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html

pub(crate) mod error;
pub(crate) mod limits;
pub(crate) mod person;
pub(crate) mod ping;
mod request;

use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ciba::{CibaGrant, CibaRequest, CibaSettings};
use crate::domain::client::{Client, GrantType};
use crate::domain::clock::Timestamp;
use crate::domain::decoupled::INTERVAL;
use crate::domain::ids::{CibaRequestId, SessionId};
use crate::domain::issuer::Issuer;
use crate::domain::parameters::Parameters;
use crate::domain::reach::scopes_of_any;
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::domain::user::{User, Username};
use crate::keys::jwt::VerifiedJwt;
use crate::keys::ring::KeyRing;
use crate::services::authorize::request_object;
use crate::services::authorize::request_object::ObjectError;
use crate::services::ciba::error::CibaError;
use crate::services::ciba::limits::PeopleLimits;
use crate::services::ciba::ping::PingSender;
use crate::services::ciba::request::{Draft, Hint, PARAMETERS};
use crate::services::client_auth::limits::ClientLimits;
use crate::services::client_keys::ClientKeys;
use crate::services::token::TokenCaller;
use crate::services::{id_token_hint, resource};
use crate::storage::ciba_requests::{NewCibaRequest, Waiting};
use crate::storage::{Store, StoreError, ciba_requests, sessions, users};

/// Where people approve.
pub(crate) const APPROVALS_PATH: &str = "/approvals";
/// Requests of one client that wait for one person.
const WAITING_OF_CLIENT: usize = 3;
/// Requests of all clients that wait for one person: a page of them.
const WAITING_OF_ALL: u32 = 12;
/// How soon a client may try again that asked a person for too much: about then somebody has decided something.
const RETRY: Duration = Duration::from_mins(1);

/// What an administrator may set.
#[derive(Clone, Debug)]
pub(crate) struct CibaOptions {
    pub(crate) issuer: Issuer,
    pub(crate) grant: CibaGrant,
    /// The longest life of a request.
    pub(crate) request_ttl: Duration,
}

/// The counters of those who ask.
#[derive(Clone)]
pub(crate) struct CibaLimits {
    pub(crate) clients: ClientLimits,
    pub(crate) people: PeopleLimits,
}

/// What tells who asks, and whom is meant.
#[derive(Clone)]
pub(crate) struct CibaKeys {
    pub(crate) ours: KeyRing,
    pub(crate) clients: ClientKeys,
}

/// Takes requests of clients, and lets people decide about them. Clones share everything.
#[derive(Clone)]
pub(crate) struct CibaService(Arc<Parts>);

/// What it works with.
pub(crate) struct Parts {
    store: Store,
    entropy: Entropy,
    keys: CibaKeys,
    options: CibaOptions,
    limits: CibaLimits,
    pings: PingSender,
}

/// What a client is told ([CIBA §7.3]).
///
/// [CIBA §7.3]: https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#successful_authentication_request_acknowdlegment
#[derive(Debug)]
pub(crate) struct Acknowledgement {
    pub(crate) auth_req_id: OpaqueToken,
    pub(crate) expires_in: Duration,
    pub(crate) interval: Duration,
}

impl Deref for CibaService {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl CibaService {
    pub(crate) fn new(
        (store, entropy): (Store, Entropy),
        keys: CibaKeys,
        options: CibaOptions,
        limits: CibaLimits,
        pings: PingSender,
    ) -> Self {
        Self(Arc::new(Parts { store, entropy, keys, options, limits, pings }))
    }

    /// Whether any client may ask here.
    pub(crate) fn is_on(&self) -> bool {
        self.options.grant.is_allowed()
    }

    /// What tells clients of decisions.
    pub(crate) fn pings(&self) -> &PingSender {
        &self.pings
    }

    /// Takes a request.
    pub(crate) async fn begin(
        &self,
        caller: &TokenCaller,
        parameters: &Parameters,
    ) -> Result<Acknowledgement, CibaError> {
        let client = caller.client.client();
        if !self.is_on() {
            return Err(CibaError::Off);
        }
        let settings = client.settings.protocol.openid.ciba.as_ref();
        let is_trusted = caller.client.is_confidential() && client.allows(GrantType::Ciba);
        let settings = settings.filter(|_| is_trusted).ok_or(CibaError::NotAllowed)?;
        let throttled = |retry_after| CibaError::Throttled { retry_after };
        self.limits.clients.admit(client, caller.address, true).map_err(throttled)?;
        let said = self.opened(parameters, client, settings, caller.now).await?;
        let draft = request::read(&said, client, settings, self.options.request_ttl)?;
        let api = resource::named(&self.store, &self.options.issuer, draft.resource, client).await?;
        let scopes = scopes_of_any(&draft.scopes, api.as_deref().as_slice());
        let user = self.person(draft.hint, client).await?;
        self.limits.people.may_ask(&client.id, &user.id).map_err(throttled)?;
        let request = CibaRequest {
            id: CibaRequestId::generate(caller.now, &self.entropy),
            client: client.id.clone(),
            user: user.id,
            scopes,
            resource: api.map(|api| api.id.clone()),
            binding_message: draft.binding_message.clone(),
            wishes: draft.wishes.clone(),
            address: Some(caller.address),
            created_at: caller.now,
            expires_at: caller.now.plus(draft.life),
        };
        let auth_req_id = self.keep(request, &draft, caller.now).await?;
        Ok(Acknowledgement { auth_req_id, expires_in: draft.life, interval: INTERVAL })
    }

    /// The parameters of a request: those of its object, if the client signs its requests (§7.1.1).
    async fn opened<'p>(
        &self,
        parameters: &'p Parameters,
        client: &Client,
        settings: &CibaSettings,
        now: Timestamp,
    ) -> Result<Cow<'p, Parameters>, CibaError> {
        let (object, alg) = match (parameters.get("request")?, settings.request_alg) {
            (None, None) => return Ok(Cow::Borrowed(parameters)),
            (None, Some(_)) => return Err(CibaError::Unsigned),
            (Some(_), None) => return Err(CibaError::SigningUnknown),
            (Some(object), Some(alg)) => (object, alg),
        };
        if parameters.has_any(&PARAMETERS) {
            return Err(CibaError::Mixed);
        }
        let token = self.keys.clients.verify(client, Some(alg), object).await.map_err(ObjectError::from)?;
        Ok(Cow::Owned(request_object::open_from_behind(token, client, &self.options.issuer, now)?))
    }

    /// Finds whom a client means, among those whom it serves.
    async fn person(&self, hint: Hint<'_>, client: &Client) -> Result<User, CibaError> {
        let names = &self.limits.people;
        names.may_name(&client.id).map_err(|retry_after| CibaError::Throttled { retry_after })?;
        let found = match hint {
            Hint::Login(name) => match Username::parse(name) {
                Ok(name) => users::find_by_username(&mut self.store.read().await?, &name).await?,
                Err(_) => None,
            },
            Hint::IdToken(raw) => {
                let token = id_token_hint::read(&self.keys.ours, &self.options.issuer, raw);
                let token = token.filter(|token| text(token, "aud") == client.id.as_str());
                self.person_of(&token.ok_or(CibaError::IdTokenHint)?, client).await?
            }
        };
        let is_served = |user: &User| {
            client.organisation.as_ref().is_none_or(|organisation| *organisation == user.organisation)
        };
        let Some(user) = found.filter(|user| user.is_enabled() && is_served(user)) else {
            names.was_unknown(&client.id);
            return Err(CibaError::UnknownUser);
        };
        Ok(user)
    }

    /// Whom an ID token names. What a client alone calls somebody leads to nobody by itself: then the session does, as long as it is known.
    async fn person_of(&self, token: &VerifiedJwt, client: &Client) -> Result<Option<User>, StoreError> {
        let mut tx = self.store.read().await?;
        let sub = text(token, "sub");
        let user =
            match (client.settings.protocol.openid.subject.sector(), SessionId::parse(text(token, "sid"))) {
                (None, _) => users::find_by_sub(&mut tx, sub).await?,
                (Some(_), Err(_)) => None,
                (Some(_), Ok(session)) => match sessions::find(&mut tx, &session).await? {
                    Some(session) => users::find(&mut tx, &session.user).await?,
                    None => None,
                },
            };
        Ok(user.filter(|user| self.keys.ours.subject(client, user).as_str() == sub))
    }

    /// Keeps the request, unless too many wait for the person already. Nobody adds another one meanwhile.
    async fn keep(
        &self,
        request: CibaRequest,
        draft: &Draft<'_>,
        now: Timestamp,
    ) -> Result<OpaqueToken, CibaError> {
        let auth_req_id = OpaqueToken::generate(TokenKind::AuthReqId, &self.entropy);
        let told = draft.notification_token.as_ref();
        let new = NewCibaRequest {
            digest: auth_req_id.digest(),
            ping: told.map(|token| self.pings.sealed(&request.id, &auth_req_id, token)),
            request,
            interval: INTERVAL,
        };
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    let CibaRequest { client, user, .. } = &new.request;
                    users::hold(tx, user).await?;
                    let whose = (user, client);
                    let Waiting { of_client, of_all } =
                        ciba_requests::count_waiting(tx, whose, now, WAITING_OF_ALL).await?;
                    if of_client >= WAITING_OF_CLIENT || of_all >= WAITING_OF_ALL as usize {
                        return Err(CibaError::Flooded { retry_after: RETRY });
                    }
                    Ok(ciba_requests::insert(tx, &new).await?)
                })
            })
            .await?;
        Ok(auth_req_id)
    }
}

fn text<'t>(token: &'t VerifiedJwt, name: &str) -> &'t str {
    token.claims.get(name).and_then(serde_json::Value::as_str).unwrap_or_default()
}

//! The token endpoint: one file per grant turns a request into an [`Authorization`]; what is done with one is shared.

pub(crate) mod access;
mod authorization_code;
mod binding;
mod client_credentials;
mod decoupled;
mod error;
mod exchange_error;
mod family;
mod jwt_bearer;
mod refresh_token;
mod request;
mod settling;
mod target;
mod token_exchange;
mod wish;

use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::ciba::CibaGrant;
use crate::domain::claims::OPENID;
use crate::domain::client::{Client, GrantType};
use crate::domain::client_protocol::DeviceGrant;
use crate::domain::clock::Timestamp;
use crate::domain::confirmation::{Confirmation, KeyProof};
use crate::domain::details::Details;
use crate::domain::once::{ClientAssertion, Once};
use crate::domain::parameters::Parameters;
use crate::domain::rbac::{AccessTokenSettings, RoleName};
use crate::domain::reach::scopes_told;
use crate::domain::scope::ScopeSet;
use crate::domain::secret::OpaqueToken;
use crate::domain::user::Sub;
use crate::keys::seal::Sealer;
use crate::services::client_auth::AuthenticatedClient;
use crate::services::client_auth::limits::ClientLimits;
use crate::services::mint::{AccessToken, IdToken, Minter, Proof, SignedIn, Subject};
use crate::services::possession::Possession;
use crate::services::token::access::AccessTokens;
use crate::services::token::decoupled::Decoupled;
use crate::services::token::target::Target;
use crate::services::token::token_exchange::Exchanged;
use crate::storage::grants::Standing;
use crate::storage::{Store, assignments};

pub(crate) use crate::services::token::error::TokenError;

/// What an administrator may set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TokenSettings {
    pub(crate) access_ttl: Duration,
    pub(crate) refresh_ttl: Duration,
    pub(crate) refresh_absolute: Duration,
    pub(crate) refresh_retry_window: Duration,
    /// Whether any client may start sign-ins from behind.
    pub(crate) ciba_grant: CibaGrant,
    /// Whether any client may ask for sign-ins on devices.
    pub(crate) device_grant: DeviceGrant,
}

impl TokenSettings {
    /// Whether a grant is one that this server has switched on.
    const fn has(&self, grant: GrantType) -> bool {
        match grant {
            GrantType::Ciba => self.ciba_grant.is_allowed(),
            GrantType::DeviceCode => self.device_grant.is_allowed(),
            GrantType::AuthorizationCode
            | GrantType::ClientCredentials
            | GrantType::JwtBearer
            | GrantType::RefreshToken
            | GrantType::TokenExchange => true,
        }
    }
}

/// Exchanges grants for tokens.
#[derive(Clone)]
pub(crate) struct TokenService {
    store: Store,
    minter: Minter,
    sealer: Sealer,
    settings: TokenSettings,
    limits: ClientLimits,
    tokens: AccessTokens,
}

/// Who asks, from where, and when.
#[derive(Clone, Debug)]
pub(crate) struct TokenCaller {
    pub(crate) client: AuthenticatedClient,
    /// What it showed who it is by, as long as that is not used up: then it may have been used before.
    pub(crate) assertion: Option<ClientAssertion>,
    pub(crate) address: IpAddr,
    pub(crate) held: Possession,
    pub(crate) now: Timestamp,
}

impl TokenCaller {
    /// The caller with the proof that its request brought.
    pub(crate) fn proving(mut self, proof: Option<KeyProof>) -> Self {
        self.held.proof = proof;
        self
    }

    /// Whether the proof is signed as the client may sign, if there is one.
    pub(crate) fn may_sign(&self) -> bool {
        let profile = self.client.client().settings.profile;
        self.held.proof.as_ref().is_none_or(|proof| profile.permits_alg(proof.alg))
    }

    /// What it brought that counts once.
    pub(crate) fn once(&self) -> Once {
        Once { assertion: self.assertion, proof: self.held.proof.clone() }
    }
}

/// What a grant came to: everything that tokens need, and nothing that could still be refused.
struct Authorization {
    subject: Subject,
    allowed: Allowed,
    target: Target,
    roles: Vec<RoleName>,
    identity: Identity,
    refresh_token: Option<OpaqueToken>,
    exchanged: Option<Exchanged>,
}

/// What a token may be used for.
struct Allowed {
    scopes: ScopeSet,
    details: Details,
    /// Whether there were scopes, and none of them is of the API that the token is for: then the answer says so.
    narrowed_to_none: bool,
}

impl Allowed {
    /// These scopes.
    fn scopes(scopes: ScopeSet, details: Details) -> Self {
        Self { scopes, details, narrowed_to_none: false }
    }
}

/// What only an ID token says.
#[derive(Default)]
struct Identity {
    nonce: Option<String>,
    /// The claims about the person that were asked for.
    about: Map<String, Value>,
}

/// A successful answer ([RFC 6749 §5.1](https://www.rfc-editor.org/rfc/rfc6749#section-5.1)).
#[derive(Debug, Serialize)]
pub(crate) struct TokenResponse {
    pub(crate) access_token: String,
    /// What it is: said where it was exchanged (RFC 8693 §2.2.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) issued_token_type: Option<&'static str>,
    pub(crate) token_type: &'static str,
    pub(crate) expires_in: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refresh_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) id_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<ScopeSet>,
    /// What was granted in detail (RFC 9396 §7).
    #[serde(skip_serializing_if = "Details::is_empty")]
    pub(crate) authorization_details: Details,
}

impl TokenService {
    pub(crate) fn new(
        store: Store,
        minter: Minter,
        sealer: Sealer,
        settings: TokenSettings,
        limits: ClientLimits,
    ) -> Self {
        let tokens = AccessTokens::new(store.clone(), minter.keys().clone(), minter.issuer().clone());
        Self { store, minter, sealer, settings, limits, tokens }
    }

    /// Exchanges a grant for tokens.
    pub(crate) async fn exchange(
        &self,
        caller: &TokenCaller,
        parameters: &Parameters,
    ) -> Result<TokenResponse, TokenError> {
        let mut owed = caller.once();
        match self.granted(caller, &mut owed, parameters).await {
            Ok((authorization, binding)) => {
                self.issue(caller.client.client(), authorization, binding, caller.now)
            }
            Err(error) => Err(self.refused(caller, &owed, error).await),
        }
    }

    /// What the grant comes to, and what the access token is bound to. What the request brought is used up then.
    async fn granted(
        &self,
        caller: &TokenCaller,
        owed: &mut Once,
        parameters: &Parameters,
    ) -> Result<(Authorization, Confirmation), TokenError> {
        if !caller.may_sign() {
            return Err(TokenError::ProofAlgorithm);
        }
        let grant = request::grant_type(parameters)?;
        if !self.settings.has(grant) {
            return Err(TokenError::GrantTypeUnknown);
        }
        let client = caller.client.client();
        if !client.allows(grant) {
            return Err(TokenError::GrantNotAllowed);
        }
        self.limits
            .admit(client, caller.address, caller.assertion.is_none())
            .map_err(|retry_after| TokenError::Throttled { retry_after })?;
        let binding = binding::of_access_token(caller)?;
        let authorization = match grant {
            GrantType::AuthorizationCode => self.authorization_code(caller, owed, parameters).await?,
            GrantType::Ciba => self.decoupled(Decoupled::Ciba, caller, owed, parameters).await?,
            GrantType::ClientCredentials => self.client_credentials(caller, parameters).await?,
            GrantType::DeviceCode => self.decoupled(Decoupled::Device, caller, owed, parameters).await?,
            GrantType::JwtBearer => self.jwt_bearer(caller, owed, parameters).await?,
            GrantType::RefreshToken => self.refresh_token(caller, owed, parameters).await?,
            GrantType::TokenExchange => self.token_exchange(caller, owed, parameters).await?,
        };
        self.use_up(owed).await?;
        Ok((authorization, binding))
    }

    /// Signs. This happens after the transaction: the writer of the database does not wait for signatures.
    fn issue(
        &self,
        client: &Client,
        authorization: Authorization,
        binding: Confirmation,
        now: Timestamp,
    ) -> Result<TokenResponse, TokenError> {
        let Authorization { subject, allowed, target, roles, identity, refresh_token, exchanged } =
            authorization;
        let Allowed { scopes, details, narrowed_to_none } = allowed;
        let (audience, settings) = self.made_for(&target, client)?;
        let ttl = settings.ttl;
        let ttl = exchanged.as_ref().map_or(ttl, |exchanged| ttl.min(exchanged.ends_at.since(now)));
        let (organisation, user) = match &subject {
            Subject::Client => (client.organisation.clone(), None),
            Subject::User(user) => (Some(user.organisation.clone()), Some(user.clone())),
        };
        let access = AccessToken {
            client: client.id.clone(),
            subject,
            audience,
            scopes: scopes_told(&scopes, target.api()),
            details: details.clone(),
            roles,
            organisation,
            settings: AccessTokenSettings { ttl, ..settings },
            act: exchanged.as_ref().and_then(|exchanged| exchanged.act.clone()),
            binding,
        };
        let access_token = self.minter.access_token(&access, now)?;
        let id_token = match user.filter(|_| scopes.contains(OPENID)) {
            Some(user) => self.id_token(client, &user, identity, (&access_token, now))?,
            None => None,
        };
        Ok(TokenResponse {
            access_token,
            issued_token_type: exchanged.map(|_| token_exchange::ACCESS_TOKEN),
            token_type: access.binding.token_type(),
            expires_in: ttl.as_secs(),
            refresh_token: refresh_token.map(|token| token.expose().to_owned()),
            id_token,
            scope: (narrowed_to_none || !scopes.is_empty()).then_some(scopes),
            authorization_details: details,
        })
    }

    fn id_token(
        &self,
        client: &Client,
        user: &SignedIn,
        identity: Identity,
        (access_token, now): (&str, Timestamp),
    ) -> Result<Option<String>, TokenError> {
        let Identity { nonce, about } = identity;
        let token = IdToken { client: client.id.clone(), alg: client.settings.id_token_alg, nonce, about };
        Ok(self.minter.id_token(token, user, access_token, now)?)
    }

    /// Adds what is known about the user to what was granted, of which a token for one API carries what belongs there.
    async fn for_user(
        &self,
        client: &Client,
        standing: &Standing,
        (granted, details): (ScopeSet, &Details),
        target: Target,
    ) -> Result<Authorization, TokenError> {
        let scopes = self.scopes_at(&target, &standing.grant.reach.apis, &granted).await?;
        let details = self.details_at(client, target.id(), details).await?;
        let narrowed_to_none = scopes.is_empty() && !granted.is_empty();
        let allowed = Allowed { scopes, details, narrowed_to_none };
        let only = standing.grant.reach.apis.only();
        let roles = match (target.id(), &standing.at_issue) {
            (Some(api), Some(known)) if only == Some(api) => known.roles.clone(),
            (Some(api), _) => {
                let mut tx = self.store.read().await?;
                assignments::roles_of_user(&mut tx, &standing.user.id, api).await?
            }
            (None, _) => Vec::new(),
        };
        let sub = self.minter.subject(client, &standing.user);
        let subject = Subject::User(Box::new(signed_in(sub, standing)));
        // What the client may ask for can have shrunk since.
        let about = standing.grant.identity.claims.id_token.within(&client.scopes).of(&standing.user);
        let identity = Identity { nonce: None, about };
        Ok(Authorization { subject, allowed, target, roles, identity, refresh_token: None, exchanged: None })
    }
}

fn signed_in(sub: Sub, standing: &Standing) -> SignedIn {
    let Standing { grant, user, session, .. } = standing;
    SignedIn {
        sub,
        organisation: user.organisation.clone(),
        auth_time: grant.identity.auth_time,
        session: grant.session.clone(),
        grant: grant.id.clone(),
        proof: session.as_ref().map(|session| Proof { acr: session.acr, methods: session.methods.clone() }),
    }
}

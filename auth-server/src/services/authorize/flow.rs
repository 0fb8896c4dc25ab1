//! One authorization request on its way: what to do next, and doing it.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::client::Client;
use crate::domain::client_authentication::AuthMethod;
use crate::domain::clock::Timestamp;
use crate::domain::code::{CodeIdentity, CodePayload};
use crate::domain::consent::{Consent, ConsentNeed, ConsentPrompt, needs_consent};
use crate::domain::details::Detail;
use crate::domain::ids::{ApiId, GrantId, InteractionId, SessionId};
use crate::domain::interaction::Interaction;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::secret::{Digest32, OpaqueToken, TokenKind};
use crate::services::authorize::decide::{self, Seen, SessionAge, SignIn};
use crate::services::authorize::interaction::InteractionError;
use crate::services::authorize::parts::{Part, Parts};
use crate::services::authorize::refusal::RequestError;
use crate::services::authorize::request::{AuthorizeRequest, Prompt};
use crate::services::authorize::respond::Recipient;
use crate::services::authorize::way::Way;
use crate::services::authorize::{AuthorizeOutcome, AuthorizeService};
use crate::services::visit::{LiveSession, Remembered, Visit};
use crate::storage::single_use::Purpose;
use crate::storage::{StoreError, Tx, consents, interactions, single_use};

/// One authorization request on its way.
pub(super) struct Flow<'v> {
    pub(super) request: AuthorizeRequest,
    pub(super) way: Way,
    pub(super) client: Arc<Client>,
    pub(super) visit: &'v Visit,
    /// `None` as long as nobody had to be asked anything.
    pub(super) interaction: Option<Interaction>,
}

impl<'v> Flow<'v> {
    /// A request that the browser brought, and of which nobody was asked anything.
    pub(super) const fn of(request: AuthorizeRequest, client: Arc<Client>, visit: &'v Visit) -> Self {
        Self { request, way: Way::Front, client, visit, interaction: None }
    }

    /// Where the answer will go, as it is registered.
    pub(super) fn redirect(&self) -> Option<&RedirectUri> {
        self.client.redirect_for(&self.request.address.uri)
    }

    /// Whether another program could take the client's place: it proves nothing, and its answer goes to whichever program listens, or
    /// claims the scheme (RFC 8252 §8.6).
    fn can_be_impersonated(&self) -> bool {
        let is_public = self.client.authentication.method == AuthMethod::None;
        is_public && self.redirect().is_none_or(|redirect| !redirect.as_str().starts_with("https://"))
    }

    /// What is asked of the person, for the trail.
    fn asked(&self) -> Value {
        let (scope, claims) = (self.request.scopes.to_string(), self.request.single_claims());
        let reach = &self.request.reach;
        let mut asked = Map::new();
        asked.insert("scope".to_owned(), json!(scope));
        asked.insert("api".to_owned(), json!(reach.apis));
        if !claims.is_empty() {
            asked.insert("claims".to_owned(), json!(claims));
        }
        if !reach.details.is_empty() {
            // What they say may be private, and the trail is forever.
            let kinds: Vec<&str> = reach.details.iter().map(Detail::kind).collect();
            asked.insert("authorization_details_types".to_owned(), json!(kinds));
        }
        Value::Object(asked)
    }

    fn event(&self, live: &LiveSession, action: AuditAction) -> AuditEvent {
        AuditEvent::new(Actor::User(live.user.id.clone()), action)
            .on(&self.client.id)
            .from(Some(self.visit.address))
            .with(self.asked())
    }
}

/// What is written when a flow ends well.
struct Ending {
    interaction: Option<InteractionId>,
    consent: Option<(Vec<Consent>, AuditEvent)>,
    payload: CodePayload,
}

impl AuthorizeService {
    /// Whether the session of the browser will do.
    pub(super) fn sign_in(&self, flow: &Flow<'_>) -> SignIn {
        let Some(live) = flow.visit.session.as_ref() else {
            return decide::sign_in(&flow.request, None, flow.visit.now);
        };
        let began = flow.interaction.as_ref();
        let age = began.map_or(SessionAge::Older, |began| SessionAge::of(began, live));
        let subject = &self.keys.subject(&flow.client, &live.user);
        decide::sign_in(&flow.request, Some(Seen { live, age, subject }), flow.visit.now)
    }

    /// Does the next step of a flow.
    pub(super) async fn advance(&self, flow: Flow<'_>) -> Result<AuthorizeOutcome, InteractionError> {
        match (self.sign_in(&flow), flow.visit.session.as_ref()) {
            (SignIn::Refused(error), _) => self.refuse(flow, error).await,
            (SignIn::Needed(_), _) | (SignIn::Done, None) => {
                let next = if flow.request.creates(self.settings.sign_up) {
                    AuthorizeOutcome::SignUp
                } else {
                    AuthorizeOutcome::Login
                };
                self.kept(flow, None).await.map(next)
            }
            (SignIn::Done, Some(live)) => match self.consent_need(&flow, live).await? {
                ConsentNeed::None => self.finish(&flow, live, None).await,
                ConsentNeed::Ask if flow.request.asks_for(Prompt::None) => {
                    self.refuse(flow, RequestError::ConsentNeeded).await
                }
                ConsentNeed::Ask => {
                    let asked = live.session.id.clone();
                    self.kept(flow, Some(asked)).await.map(AuthorizeOutcome::Consent)
                }
            },
        }
    }

    /// The person allows it.
    pub(super) async fn allow(&self, mut flow: Flow<'_>) -> Result<AuthorizeOutcome, InteractionError> {
        let (SignIn::Done, Some(live)) = (self.sign_in(&flow), flow.visit.session.as_ref()) else {
            return self.advance(flow).await;
        };
        let asked = flow.interaction.as_ref().and_then(|interaction| interaction.session.as_ref());
        if asked != Some(&live.session.id) {
            // Somebody else signed in since the page was shown: that person was not asked yet.
            let asked = live.session.id.clone();
            return self.kept(flow, Some(asked)).await.map(AuthorizeOutcome::Consent);
        }
        let consent = |part: Part| Consent {
            user: live.user.id.clone(),
            client: flow.client.id.clone(),
            api: part.api.map(|api| api.id.clone()),
            scopes: part.scopes,
            claims: flow.request.single_claims(),
            details: part.lasting,
            granted_at: flow.visit.now,
        };
        let parts = Parts::of(&self.store, &flow.request).await?;
        // Nobody allows what they did not see.
        let shown = parts.shown(&flow.request.reach.details);
        let given = parts.all.into_iter().map(consent).collect();
        let event = flow.event(live, AuditAction::ConsentGranted);
        flow.request.reach.details = shown;
        self.finish(&flow, live, Some((given, event))).await
    }

    /// The person does not allow it.
    pub(super) async fn deny(&self, flow: Flow<'_>) -> Result<AuthorizeOutcome, InteractionError> {
        self.refuse(flow, RequestError::AccessDenied).await
    }

    async fn consent_need(&self, flow: &Flow<'_>, live: &LiveSession) -> Result<ConsentNeed, StoreError> {
        let request = &flow.request;
        let prompt =
            if request.asks_for(Prompt::Consent) { ConsentPrompt::Always } else { ConsentPrompt::WhenNeeded };
        // Whoever sent her here, she sees a page of ours before another program could have the answer.
        if flow.can_be_impersonated() && flow.interaction.is_none() {
            return Ok(ConsentNeed::Ask);
        }
        let claims = request.single_claims();
        let asked = (&request.scopes, &claims);
        // What does not depend on the past is decided without asking the database.
        let regardless = needs_consent(&flow.client, asked, None, prompt);
        // What was allowed before was allowed to a program that nobody can tell from another (RFC 6749 §10.2, RFC 8252 §8.6).
        let forgets = prompt == ConsentPrompt::Always || flow.can_be_impersonated();
        if regardless == ConsentNeed::None || forgets {
            return Ok(regardless);
        }
        let parts = Parts::of(&self.store, request).await?;
        for part in &parts.all {
            let api = part.api.as_ref().map(|api| &api.id);
            let held = self.held(flow, live, api).await?;
            if part.need(&flow.client, &claims, held.as_deref()) == ConsentNeed::Ask {
                return Ok(ConsentNeed::Ask);
            }
        }
        Ok(ConsentNeed::None)
    }

    /// What the person allowed the client before at an API, or at none.
    async fn held<'l>(
        &self,
        flow: &Flow<'_>,
        live: &'l LiveSession,
        api: Option<&ApiId>,
    ) -> Result<Option<Cow<'l, Consent>>, StoreError> {
        let client = &flow.client.id;
        match &live.remembered {
            Some(Remembered { client: known, consents }) if known == client => {
                Ok(consents.iter().find(|consent| consent.api.as_ref() == api).map(Cow::Borrowed))
            }
            Some(_) | None => {
                let mut tx = self.store.read().await?;
                Ok(consents::find(&mut tx, &live.user.id, client, api).await?.map(Cow::Owned))
            }
        }
    }

    /// Keeps the request on the server, bound to the browser, and notes which session is asked for consent.
    async fn kept(
        &self,
        flow: Flow<'_>,
        asked: Option<SessionId>,
    ) -> Result<InteractionId, InteractionError> {
        if let Some(interaction) = flow.interaction {
            let id = interaction.id.clone();
            if let Some(session) = asked.filter(|session| interaction.session.as_ref() != Some(session)) {
                self.store
                    .write(move |tx| {
                        Box::pin(async move { interactions::bind(tx, &interaction.id, &session).await })
                    })
                    .await?
                    .then_some(())
                    .ok_or(InteractionError::Finished)?;
            }
            return Ok(id);
        }
        // What a client without a secret pushed was counted then.
        let was_counted = flow.client.authentication.method == AuthMethod::None;
        let handle = flow.way.handle().copied();
        let admitted = match &handle {
            Some(handle) if was_counted => self.limits.admit_counted(handle, flow.visit.address),
            Some(_) | None => self.limits.admit(flow.visit.address),
        };
        admitted.map_err(|retry_after| InteractionError::Throttled { retry_after })?;
        let interaction = self.new_interaction(&flow, asked)?;
        let id = interaction.id.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    match &handle {
                        None => interactions::insert(tx, &interaction).await,
                        Some(handle) => interactions::insert_pushed(tx, &interaction, handle).await,
                    }
                })
            })
            .await?;
        Ok(id)
    }

    fn new_interaction(&self, flow: &Flow<'_>, asked: Option<SessionId>) -> Result<Interaction, StoreError> {
        let now = flow.visit.now;
        let request = serde_json::to_string(&flow.request);
        Ok(Interaction {
            id: InteractionId::generate(now, &self.entropy),
            client: flow.client.id.clone(),
            browser: flow.visit.browser.digest(),
            request: request.map_err(|error| StoreError::Unexpected { reason: error.to_string() })?,
            prior_session: flow.visit.session.as_ref().map(|live| live.session.id.clone()),
            prior_proof: flow.visit.session.as_ref().map(|live| live.session.auth_time),
            session: asked,
            created_at: now,
            expires_at: now.plus(self.settings.interaction_ttl),
            finished_at: None,
        })
    }

    /// Tells the client why it gets nothing, and ends the interaction. It is an answer, so it spends what was pushed.
    async fn refuse(
        &self,
        flow: Flow<'_>,
        error: RequestError,
    ) -> Result<AuthorizeOutcome, InteractionError> {
        self.spend(&flow).await?;
        let denied =
            matches!(error, RequestError::AccessDenied).then_some(flow.visit.session.as_ref()).flatten();
        let event = denied.map(|live| flow.event(live, AuditAction::ConsentRefused).refused());
        let now = flow.visit.now;
        if let Some(interaction) = flow.interaction {
            self.store
                .write(move |tx| {
                    Box::pin(async move {
                        end(tx, &interaction.id, now).await?;
                        if let Some(event) = event {
                            tx.audit(event);
                        }
                        Ok::<_, InteractionError>(())
                    })
                })
                .await?;
        }
        let to = Recipient { client: &flow.client, address: &flow.request.address, now };
        Ok(self.refused(to, error)?)
    }

    /// Issues the code. The interaction ends in the same transaction, so one interaction buys one code; and so does one pushed request,
    /// whose handle is spent by the statement that ends the interaction, or that stores the code where there is none.
    async fn finish(
        &self,
        flow: &Flow<'_>,
        live: &LiveSession,
        consent: Option<(Vec<Consent>, AuditEvent)>,
    ) -> Result<AuthorizeOutcome, InteractionError> {
        let now = flow.visit.now;
        let code = OpaqueToken::generate(TokenKind::AuthorizationCode, &self.entropy);
        let ttl = flow.client.settings.profile.code_ttl(self.settings.code_ttl);
        let (digest, expires_at) = (code.digest(), now.plus(ttl));
        let interaction = flow.interaction.as_ref().map(|interaction| interaction.id.clone());
        let (handle, payload) = (flow.way.handle().copied(), self.payload(flow, live));
        let ending = Ending { interaction, consent, payload };
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    if let Some(interaction) = &ending.interaction {
                        end(tx, interaction, now).await?;
                    }
                    if let Some((given, event)) = ending.consent {
                        for consent in given {
                            remember(tx, consent).await?;
                        }
                        tx.audit(event);
                    }
                    issue(tx, &digest, &ending.payload, expires_at, handle.as_ref()).await?;
                    Ok::<_, InteractionError>(())
                })
            })
            .await?;
        let to = Recipient { client: &flow.client, address: &flow.request.address, now };
        Ok(AuthorizeOutcome::Reply(self.responder.code(to, &code)?))
    }

    fn payload(&self, flow: &Flow<'_>, live: &LiveSession) -> CodePayload {
        let (request, now) = (&flow.request, flow.visit.now);
        let address = &request.address;
        CodePayload {
            grant: GrantId::generate(now, &self.entropy),
            client: request.client.clone(),
            user: live.user.id.clone(),
            session: live.session.id.clone(),
            // Empty when the request left it out: then the token request may leave it out too.
            redirect_uri: if address.named { address.uri.clone() } else { String::new() },
            binding: request.binding.clone(),
            identity: CodeIdentity {
                nonce: request.nonce.clone(),
                claims: request.wishes.claims.single.clone(),
            },
            scopes: request.scopes.clone(),
            reach: request.reach.clone(),
            auth_time: live.session.auth_time,
        }
    }
}

/// The most details that are remembered of one person, client and API: of more the last ones.
const MOST_DETAILS: usize = 32;

/// Adds to what was allowed before: a request for less takes nothing back.
async fn remember(tx: &mut Tx, consent: Consent) -> Result<(), StoreError> {
    let held = consents::find(tx, &consent.user, &consent.client, consent.api.as_ref()).await?;
    let Some(held) = held else { return consents::save(tx, &consent).await };
    let scopes = held.scopes.union(&consent.scopes);
    let claims = held.claims.union(&consent.claims).beyond(&scopes);
    let details = held.details.and(&consent.details, MOST_DETAILS);
    consents::save(tx, &Consent { scopes, claims, details, ..consent }).await
}

/// Stores a code, and spends the handle that it is issued for, if there is one.
async fn issue(
    tx: &mut Tx,
    code: &Digest32,
    payload: &CodePayload,
    expires_at: Timestamp,
    handle: Option<&Digest32>,
) -> Result<(), StoreError> {
    let purpose = Purpose::AuthorizationCode;
    match handle {
        None => single_use::issue_from_user(tx, purpose, code, payload, expires_at).await,
        Some(handle) => {
            let pushed = (Purpose::PushedRequest, handle);
            single_use::issue_from_user_for(tx, (purpose, code), payload, expires_at, pushed).await
        }
    }
}

/// Ends an interaction; of two requests that try, one succeeds, and so of two interactions that keep one pushed request.
async fn end(tx: &mut Tx, id: &InteractionId, now: Timestamp) -> Result<(), InteractionError> {
    if interactions::finish(tx, id, now).await? { Ok(()) } else { Err(InteractionError::Finished) }
}

//! What a person does about a device: types its code, sees who asks for what, decides.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::clock::Timestamp;
use crate::domain::decoupled::{Approval, Decision};
use crate::domain::device::UserCode;
use crate::domain::ids::{GrantId, InteractionId};
use crate::domain::interaction::Interaction;
use crate::domain::scope::ScopeSet;
use crate::domain::user::User;
use crate::services::authorize::interaction::{self, DEVICE, InteractionError};
use crate::services::device::DeviceService;
use crate::services::device::error::{Decided, EntryError, Step};
use crate::services::visit::{LiveSession, Visit};
use crate::storage::device_authorizations::NamedDevice;
use crate::storage::single_use::Purpose;
use crate::storage::{StoreError, Tx, device_authorizations, interactions, single_use};

/// What the code is sealed for while the person signs in.
const PURPOSE: &str = "user code of an interaction";

/// What the page shows that asks a person.
#[derive(Clone, Debug)]
pub(crate) enum DeviceView {
    /// Who asks for what.
    Confirm(Box<Confirmation>),
    /// Nobody is signed in.
    SignIn,
}

/// Who asks for what.
#[derive(Clone, Debug)]
pub(crate) struct Confirmation {
    /// The name of the application.
    pub(crate) client: String,
    /// What the device shows.
    pub(crate) code: UserCode,
    /// Who decides.
    pub(crate) user: User,
    /// What is asked for.
    pub(crate) scopes: ScopeSet,
    /// The API that access is asked to.
    pub(crate) api: Option<String>,
    /// From where the device asked.
    pub(crate) address: Option<IpAddr>,
    /// When it asked.
    pub(crate) asked_at: Timestamp,
}

/// An interaction about a device that waits.
struct Waiting {
    interaction: Interaction,
    code: UserCode,
    device: NamedDevice,
    client: String,
}

/// A decision with all that is written about it.
struct Verdict {
    interaction: InteractionId,
    device: NamedDevice,
    decision: Decision,
    approval: Approval,
    event: AuditEvent,
}

impl DeviceService {
    /// Somebody types a code. From then on the browser goes on with it, and no other one.
    pub(crate) async fn enter(&self, typed: &str, visit: &Visit) -> Result<InteractionId, EntryError> {
        if !self.is_on() {
            return Err(EntryError::Off);
        }
        // What cannot be a code is no guess.
        let code = UserCode::parse(typed).map_err(|_| EntryError::Unknown)?;
        self.limits.codes.admit(visit).map_err(|retry_after| EntryError::Throttled { retry_after })?;
        let Some(device) = self.device(&code).await?.filter(|device| waits(device, visit.now)) else {
            self.limits.codes.was_wrong();
            return Err(EntryError::Unknown);
        };
        let id = InteractionId::generate(visit.now, &self.entropy);
        let sealed = self.sealer.seal(PURPOSE, id.as_str().as_bytes(), code.shown().as_bytes());
        let interaction = Interaction {
            id: id.clone(),
            client: device.request.client,
            browser: visit.browser.digest(),
            request: format!("{DEVICE}{}", URL_SAFE_NO_PAD.encode(sealed)),
            prior_session: visit.session.as_ref().map(|live| live.session.id.clone()),
            prior_proof: visit.session.as_ref().map(|live| live.session.auth_time),
            session: None,
            created_at: visit.now,
            expires_at: visit.now.plus(self.settings.interaction_ttl).min(device.request.expires_at),
            finished_at: None,
        };
        self.store
            .write(move |tx| Box::pin(async move { interactions::insert(tx, &interaction).await }))
            .await?;
        Ok(id)
    }

    /// Says what the page of an interaction shows, and notes whom it is shown to: only that session can decide.
    pub(crate) async fn view(&self, id: &InteractionId, visit: &Visit) -> Step<DeviceView> {
        let Waiting { interaction, code, device, client } = self.waiting(id, visit).await?;
        let Some(live) = &visit.session else { return Ok(DeviceView::SignIn) };
        if interaction.session.as_ref() != Some(&live.session.id) {
            let (id, session) = (interaction.id, live.session.id.clone());
            let goes_on: bool = self
                .store
                .write(move |tx| Box::pin(async move { interactions::bind(tx, &id, &session).await }))
                .await?;
            goes_on.then_some(()).ok_or(InteractionError::Finished)?;
        }
        let request = device.request;
        let api = match &request.resource {
            Some(api) => self.store.api(api).await?.map(|api| api.name.clone()),
            None => None,
        };
        Ok(DeviceView::Confirm(Box::new(Confirmation {
            client,
            code,
            user: live.user.clone(),
            scopes: request.scopes,
            api,
            address: request.address,
            asked_at: request.created_at,
        })))
    }

    /// Somebody decides. What is allowed is what the device asked for, whatever the form says.
    pub(crate) async fn decide(
        &self,
        id: &InteractionId,
        visit: &Visit,
        decision: Decision,
    ) -> Step<Decided> {
        let Waiting { interaction, device, .. } = self.waiting(id, visit).await?;
        let Some(live) = &visit.session else { return Ok(Decided::AskAgain) };
        if interaction.session.as_ref() != Some(&live.session.id) {
            return Ok(Decided::AskAgain);
        }
        let verdict = Verdict {
            interaction: interaction.id,
            decision,
            approval: self.approval(&device, live, visit.now),
            event: event(&device, live, decision, visit),
            device,
        };
        let now = visit.now;
        self.store.write(move |tx| Box::pin(async move { write(tx, verdict, now).await })).await?;
        Ok(Decided::Done)
    }

    fn approval(&self, device: &NamedDevice, live: &LiveSession, now: Timestamp) -> Approval {
        let request = &device.request;
        Approval {
            grant: GrantId::generate(now, &self.entropy),
            client: request.client.clone(),
            user: live.user.id.clone(),
            session: live.session.id.clone(),
            scopes: request.scopes.clone(),
            resource: request.resource.clone(),
            auth_time: live.session.auth_time,
        }
    }

    async fn device(&self, code: &UserCode) -> Result<Option<NamedDevice>, StoreError> {
        let mut tx = self.store.read().await?;
        device_authorizations::find_by_user_code(&mut tx, &code.digest(&self.key)).await
    }

    async fn waiting(&self, id: &InteractionId, visit: &Visit) -> Step<Waiting> {
        let interaction = interactions::find(&mut self.store.read().await?, id).await?;
        let interaction = interaction.filter(|_| self.is_on()).ok_or(InteractionError::Unknown)?;
        let sealed = interaction.request.strip_prefix(DEVICE).ok_or(InteractionError::Unknown)?;
        interaction::check(&interaction, visit)?;
        let code = self.opened(id, sealed)?;
        let device = self.device(&code).await?.ok_or(InteractionError::Unknown)?;
        if device.request.decided_at.is_some() {
            return Err(InteractionError::Finished);
        }
        if visit.now >= device.request.expires_at {
            return Err(InteractionError::Expired);
        }
        let client = self.store.client(&device.request.client).await?.filter(|client| client.is_enabled());
        let client = client.ok_or(InteractionError::Unknown)?.name.clone();
        Ok(Waiting { interaction, code, device, client })
    }

    fn opened(&self, id: &InteractionId, sealed: &str) -> Result<UserCode, StoreError> {
        let corrupt = || StoreError::Corrupt { what: "interactions.request".to_owned() };
        let sealed = URL_SAFE_NO_PAD.decode(sealed).map_err(|_| corrupt())?;
        let text = self.sealer.open(PURPOSE, id.as_str().as_bytes(), &sealed).map_err(|_| corrupt())?;
        let text = str::from_utf8(&text).map_err(|_| corrupt())?;
        UserCode::parse(text).map_err(|_| corrupt())
    }
}

fn waits(device: &NamedDevice, now: Timestamp) -> bool {
    device.request.decided_at.is_none() && now < device.request.expires_at
}

fn event(device: &NamedDevice, live: &LiveSession, decision: Decision, visit: &Visit) -> AuditEvent {
    let request = &device.request;
    let action = match decision {
        Decision::Allow => AuditAction::DeviceAllowed,
        Decision::Deny => AuditAction::DeviceRefused,
    };
    let asked_from = request.address.map(|address| address.to_string());
    let detail =
        json!({ "scope": request.scopes.to_string(), "api": request.resource, "asked_from": asked_from });
    let event = AuditEvent::new(Actor::User(live.user.id.clone()), action)
        .on(&request.client)
        .from(Some(visit.address))
        .with(detail);
    if decision == Decision::Deny { event.refused() } else { event }
}

/// The interaction and the device are decided together, once: of two tabs one is too late.
async fn write(tx: &mut Tx, verdict: Verdict, now: Timestamp) -> Step<()> {
    let Verdict { interaction, device, decision, approval, event } = verdict;
    if !interactions::finish(tx, &interaction, now).await?
        || !device_authorizations::decide(tx, &device.digest, decision, now).await?
    {
        return Err(InteractionError::Finished);
    }
    if decision == Decision::Allow {
        let until = device.request.expires_at;
        single_use::issue_from_user(tx, Purpose::DeviceCode, &device.digest, &approval, until).await?;
    }
    tx.audit(event);
    Ok(())
}

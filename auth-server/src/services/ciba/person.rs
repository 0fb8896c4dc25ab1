//! What a person does about requests that clients started from behind: sees them, decides.

use serde_json::json;

use crate::domain::audit::{Actor, AuditAction, AuditEvent};
use crate::domain::ciba::CibaRequest;
use crate::domain::client::{Client, GrantType};
use crate::domain::clock::Timestamp;
use crate::domain::decoupled::{Approval, Decision};
use crate::domain::ids::{CibaRequestId, GrantId};
use crate::services::ciba::error::{Decided, Step};
use crate::services::ciba::{CibaService, WAITING_OF_ALL};
use crate::services::visit::{LiveSession, Visit};
use crate::storage::single_use::Purpose;
use crate::storage::{Tx, ciba_requests, single_use};

/// A request, as the page shows it.
#[derive(Clone, Debug)]
pub(crate) struct ShownRequest {
    pub(crate) request: CibaRequest,
    /// The name of the application.
    pub(crate) client: String,
    /// The name of the API that access is asked to.
    pub(crate) api: Option<String>,
    /// Whether the person has to sign in again before allowing it.
    pub(crate) wants_sign_in: bool,
}

/// A decision with all that is written about it.
struct Verdict {
    request: CibaRequest,
    decision: Decision,
    approval: Approval,
    event: AuditEvent,
}

impl CibaService {
    /// What waits for whoever is signed in.
    pub(crate) async fn waiting(&self, live: &LiveSession, now: Timestamp) -> Step<Vec<ShownRequest>> {
        let found =
            ciba_requests::waiting(&mut self.store.read().await?, &live.user.id, now, WAITING_OF_ALL).await?;
        let mut shown = Vec::with_capacity(found.len());
        for request in found {
            let Some(client) = self.store.client(&request.client).await?.filter(|client| may_ask(client))
            else {
                continue;
            };
            let api = match &request.resource {
                Some(api) => self.store.api(api).await?.map(|api| api.name.clone()),
                None => None,
            };
            let wants_sign_in = request.wishes.want_sign_in(&live.session, request.created_at, now);
            shown.push(ShownRequest { client: client.name.clone(), api, wants_sign_in, request });
        }
        Ok(shown)
    }

    /// Whoever is signed in decides. What is allowed is what the client asked for, whatever the form says, and of this person alone.
    pub(crate) async fn decide(
        &self,
        id: &CibaRequestId,
        (live, visit): (&LiveSession, &Visit),
        decision: Decision,
    ) -> Step<Decided> {
        let (user, now) = (&live.user.id, visit.now);
        let found = ciba_requests::find_waiting(&mut self.store.read().await?, (id, user), now).await?;
        let Some(request) = found.filter(|_| self.is_on()) else { return Ok(Decided::Gone) };
        if !self.store.client(&request.client).await?.is_some_and(|client| may_ask(&client)) {
            return Ok(Decided::Gone);
        }
        let wants_sign_in = request.wishes.want_sign_in(&live.session, request.created_at, now);
        if decision == Decision::Allow && wants_sign_in {
            return Ok(Decided::SignIn);
        }
        let verdict = Verdict {
            decision,
            approval: self.approval(&request, live, now),
            event: event(&request, decision, visit),
            request,
        };
        let is_first =
            self.store.write(move |tx| Box::pin(async move { write(tx, verdict, now).await })).await?;
        if !is_first {
            return Ok(Decided::Gone);
        }
        self.pings.wake();
        Ok(Decided::Done)
    }

    fn approval(&self, request: &CibaRequest, live: &LiveSession, now: Timestamp) -> Approval {
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
}

/// What a client asked for while it might is nobody's business any more once it may not: it would get no tokens.
fn may_ask(client: &Client) -> bool {
    client.is_enabled() && client.allows(GrantType::Ciba)
}

fn event(request: &CibaRequest, decision: Decision, visit: &Visit) -> AuditEvent {
    let action = match decision {
        Decision::Allow => AuditAction::CibaAllowed,
        Decision::Deny => AuditAction::CibaRefused,
    };
    let asked_from = request.address.map(|address| address.to_string());
    let detail = json!({
        "request": request.id, "scope": request.scopes.to_string(), "api": request.resource, "asked_from": asked_from,
    });
    let event = AuditEvent::new(Actor::User(request.user.clone()), action)
        .on(&request.client)
        .from(Some(visit.address))
        .with(detail);
    if decision == Decision::Deny { event.refused() } else { event }
}

/// Of two tabs one is too late: `false`.
async fn write(tx: &mut Tx, verdict: Verdict, now: Timestamp) -> Step<bool> {
    let Verdict { request, decision, approval, event } = verdict;
    let whose = (&request.id, &request.user);
    let Some(digest) = ciba_requests::decide(tx, whose, decision, now).await? else { return Ok(false) };
    if decision == Decision::Allow {
        single_use::issue_from_user(tx, Purpose::AuthReqId, &digest, &approval, request.expires_at).await?;
    }
    tx.audit(event);
    Ok(true)
}

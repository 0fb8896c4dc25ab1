//! Turning a verified token, or a signed-in person, into the caller of an admin use case.
//!
//! A token tells what was true when it was issued. The admin API asks again: its own server knows at once who was
//! switched off, signed out or demoted.

use std::net::IpAddr;

use crate::domain::audit::Actor;
use crate::domain::clock::Timestamp;
use crate::domain::confirmation::KeyProof;
use crate::domain::ids::{ClientId, GrantId, UserId};
use crate::domain::once::Once;
use crate::domain::rbac::{AssignmentSubject, RoleName};
use crate::services::admin_error::AdminError;
use crate::services::caller::{Authority, Caller};
use crate::services::owners::{Owners, is_owner};
use crate::services::token::access::standing_holds;
use crate::storage::revocations::Marks;
use crate::storage::{Store, StoreError, Tx, Unique, grants, revocations, single_use, users};

/// What a verified access token says about its caller.
#[derive(Clone, Debug)]
pub(crate) struct TokenFacts {
    /// `sub`.
    pub(crate) subject: String,
    /// `client_id`.
    pub(crate) client: ClientId,
    /// `jti`.
    pub(crate) token: String,
    /// `gid`: the grant that bought it. `None` when a client acts for itself.
    pub(crate) grant: Option<GrantId>,
    /// `roles`.
    pub(crate) roles: Vec<RoleName>,
    /// `iat`.
    pub(crate) issued_at: Timestamp,
}

/// Where and when a request came in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// From where.
    pub(crate) address: Option<IpAddr>,
    /// When.
    pub(crate) now: Timestamp,
}

/// Why a token that verifies is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallerRefusal {
    /// The server could not find out.
    #[error(transparent)]
    Fault(#[from] AdminError),
    /// The proof beside the token counts no longer.
    #[error("the proof of possession was used before, or is too old by now")]
    Proof,
    /// It is signed by what the client may not use.
    #[error("the profile of the client does not permit the algorithm of the proof of possession")]
    ProofAlgorithm,
    /// What the token says is no longer true.
    #[error("{0}")]
    Revoked(&'static str),
}

/// An administrator and what they hold.
#[derive(Clone, Debug)]
pub(crate) struct Administrator {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The roles that they hold in the admin API.
    pub(crate) roles: Vec<RoleName>,
}

/// Finds out who a caller is now.
#[derive(Clone)]
pub(crate) struct CallerService {
    store: Store,
    owners: Owners,
}

impl CallerService {
    /// The service over this store.
    pub(crate) const fn new(store: Store, owners: Owners) -> Self {
        Self { store, owners }
    }

    /// The caller behind a verified token, if everything that the token says is still true.
    pub(crate) async fn of_token(
        &self,
        facts: &TokenFacts,
        arrival: Arrival,
    ) -> Result<Caller, CallerRefusal> {
        let client = self.store.client(&facts.client).await.map_err(AdminError::from)?;
        if !client.is_some_and(|client| client.is_enabled()) {
            return Err(CallerRefusal::Revoked("the client is switched off"));
        }
        let mut tx = self.store.read().await.map_err(AdminError::from)?;
        let TokenFacts { token, client, issued_at, .. } = facts;
        let marks = Marks { token, subject: &facts.subject, client, issued_at: *issued_at };
        if revocations::concern(&mut tx, &marks).await.map_err(AdminError::from)? {
            return Err(CallerRefusal::Revoked("the token was revoked"));
        }
        let subject = subject(&mut tx, facts, arrival.now).await?;
        let held = self.owners.roles(&mut tx, &subject).await?;
        if !facts.roles.iter().all(|role| held.contains(role)) {
            return Err(CallerRefusal::Revoked("a role was taken away"));
        }
        Ok(caller(&subject, &held, arrival))
    }

    /// Uses up the proof beside a token of this client. The guard of each replica knows only those that it has seen itself, and no
    /// client's profile.
    pub(crate) async fn use_proof(&self, client: &ClientId, proof: KeyProof) -> Result<(), CallerRefusal> {
        let client = self.store.client(client).await.map_err(AdminError::from)?;
        if !client.is_some_and(|client| client.settings.profile.permits_alg(proof.alg)) {
            return Err(CallerRefusal::ProofAlgorithm);
        }
        let once = Once::from(proof);
        let work = self.store.write(move |tx| Box::pin(async move { single_use::use_up(tx, &once).await }));
        work.await.map_err(|error| match error {
            StoreError::Conflict(Unique::Once) => CallerRefusal::Proof,
            error => CallerRefusal::Fault(error.into()),
        })
    }

    /// The administrator that a signed-in person is. Without a role in the admin API nothing is permitted to them.
    pub(crate) async fn of_user(&self, user: &UserId, arrival: Arrival) -> Result<Administrator, AdminError> {
        let mut tx = self.store.read().await?;
        let subject = AssignmentSubject::User(user.clone());
        let enabled = users::find(&mut tx, user).await?.is_some_and(|user| user.is_enabled());
        let roles = if enabled { self.owners.roles(&mut tx, &subject).await? } else { Vec::new() };
        Ok(Administrator { caller: caller(&subject, &roles, arrival), roles })
    }
}

/// Who the token speaks for, if they still stand.
async fn subject(
    tx: &mut Tx,
    facts: &TokenFacts,
    now: Timestamp,
) -> Result<AssignmentSubject, CallerRefusal> {
    let Some(grant) = &facts.grant else {
        // A client acts for itself: its `sub` is its `client_id` (RFC 9068 §2.2).
        return if facts.subject == facts.client.as_str() {
            Ok(AssignmentSubject::Client(facts.client.clone()))
        } else {
            Err(CallerRefusal::Revoked("the token names no grant"))
        };
    };
    let standing = grants::standing(tx, grant).await.map_err(AdminError::from)?;
    match standing {
        Some(standing) if standing_holds(&standing, now) && standing.user.sub.as_str() == facts.subject => {
            Ok(AssignmentSubject::User(standing.user.id))
        }
        Some(_) | None => Err(CallerRefusal::Revoked("the grant has ended")),
    }
}

fn caller(subject: &AssignmentSubject, roles: &[RoleName], arrival: Arrival) -> Caller {
    let actor = match subject {
        AssignmentSubject::Client(id) => Actor::Client(id.clone()),
        AssignmentSubject::User(id) => Actor::User(id.clone()),
    };
    let authority = if roles.iter().any(is_owner) { Authority::Owner } else { Authority::Delegate };
    Caller { actor, authority, address: arrival.address, now: arrival.now }
}

//! What people allowed applications, and how it is taken back.

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::consent::Consent;
use crate::domain::ids::{ClientId, UserId};
use crate::domain::rbac::{Api, AssignmentSubject};
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::Caller;
use crate::services::paging::{Page, PageQuery};
use crate::services::users::{UserService, find};
use crate::storage::single_use::Purpose;
use crate::storage::{StoreError, Turn, Tx, ciba_requests, consents, grants, single_use, users};

/// A consent with the names that people know.
pub struct NamedConsent {
    /// What was allowed.
    pub consent: Consent,
    /// To whom; `None` when the client was deleted meanwhile.
    pub client: Option<std::sync::Arc<Client>>,
    /// Where.
    pub api: Option<std::sync::Arc<Api>>,
}

impl UserService {
    /// Lists what a person allowed, by client and API.
    pub async fn consents(&self, id: &UserId, query: &PageQuery) -> Result<Page<NamedConsent>, AdminError> {
        let mut tx = self.store.read().await?;
        find(&mut tx, id).await?;
        let after = query.after().unwrap_or_default();
        let after = after.split_once(' ').unwrap_or((after, ""));
        let found = consents::list(&mut tx, id, after, query.probe()).await?;
        drop(tx);
        let page = Page::of(found, query, |consent| {
            let api = consent.api.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{} {api}", consent.client)
        });
        let mut items = Vec::with_capacity(page.items.len());
        for consent in page.items {
            let client = self.store.client(&consent.client).await?;
            let api = match &consent.api {
                Some(api) => self.store.api(api).await?,
                None => None,
            };
            items.push(NamedConsent { consent, client, api });
        }
        Ok(Page { items, next: page.next })
    }

    /// Takes back what a person allowed a client: it is forgotten, and every grant ends with its tokens. The sessions of the person
    /// stay, and the next flow asks again.
    pub async fn withdraw(&self, id: &UserId, client: &str, caller: &Caller) -> Result<(), AdminError> {
        let client: ClientId = client.parse().map_err(|_| AdminError::NotFound(Thing::Client))?;
        let (id, caller, owners) = (id.clone(), caller.clone(), self.owners.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let user = find(tx, &id).await?;
                    owners.require_rank(tx, &AssignmentSubject::User(id), &caller).await?;
                    let had = take_back(tx, &user.id, &client, caller.now).await?;
                    if !had {
                        return Err(AdminError::NotFound(Thing::Consent));
                    }
                    let detail = json!({ "client": client.as_str() });
                    tx.audit(caller.event(AuditAction::ConsentWithdrawn).on(&user.id).with(detail));
                    Ok(())
                })
            })
            .await
    }
}

/// Forgets what a person allowed a client, and ends every grant with its tokens; gives whether there was something.
pub(crate) async fn take_back(
    tx: &mut Tx,
    user: &UserId,
    client: &ClientId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // First what is on its way, in the order in which redeeming takes it: whoever redeems is waited for.
    let mut had = ciba_requests::forget_between(tx, user, client).await?;
    for purpose in [Purpose::DeviceCode, Purpose::AuthorizationCode] {
        had |= single_use::forget_between(tx, purpose, user, client).await?;
    }
    // What is redeemed now made its grant, or finds no consent any more.
    users::hold(tx, user).await?;
    had |= consents::delete(tx, user, client).await?;
    had |= grants::revoke_between(tx, user, client, now).await?;
    Ok(had)
}

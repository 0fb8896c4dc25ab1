//! What a command makes in one go: a client with its API and its roles, or an account with its roles. All of it or nothing.

use std::collections::BTreeSet;

use crate::domain::client::Preset;
use crate::domain::ids::UserId;
use crate::domain::likeness::{near_addresses, nearest};
use crate::domain::rbac::{Api, Audience};
use crate::domain::user::User;
use crate::services::admin_error::AdminError;
use crate::services::apis::{ApiForm, ApiService};
use crate::services::assignments::{AssignmentForm, AssignmentService};
use crate::services::caller::Caller;
use crate::services::clients::form::ClientForm;
use crate::services::clients::{ClientService, CreatedClient};
use crate::services::users::UserService;
use crate::services::users::form::UserForm;
use crate::services::version::Versioned;
use crate::storage::{Outcome, Store, StoreError, Turn, Tx, apis, roles};

/// A client to make, along with what it needs.
#[derive(Clone, Debug)]
pub(crate) struct ClientOrder {
    /// The client. Which APIs it calls or serves is said by `audiences`.
    pub(crate) form: ClientForm,
    /// The APIs that it calls, or the one that it serves: that one is registered when it is new.
    pub(crate) audiences: Vec<String>,
    /// The roles that it gets in the first of them.
    pub(crate) roles: Vec<String>,
}

/// An account to make, along with what it may do.
pub(crate) struct UserOrder {
    /// The account.
    pub(crate) form: UserForm,
    /// The API whose roles are meant. Without it: the admin API.
    pub(crate) audience: Option<String>,
    /// The roles that it gets there.
    pub(crate) roles: Vec<String>,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvisionError {
    /// A part of it is refused.
    #[error(transparent)]
    Part(#[from] AdminError),
    /// There is no such API.
    #[error("there is no API with the audience {audience}{advice}")]
    UnknownApi {
        /// What was asked for.
        audience: String,
        /// What to do about it.
        advice: String,
    },
    /// The API has no such role.
    #[error("the API {audience} has no role {role}{advice}")]
    UnknownRole {
        /// Which API.
        audience: String,
        /// What was asked for.
        role: String,
        /// What to do about it.
        advice: String,
    },
}

impl From<StoreError> for ProvisionError {
    fn from(error: StoreError) -> Self {
        Self::Part(error.into())
    }
}

impl Outcome for ProvisionError {
    /// Half of it is worth nothing, so a refusal undoes what came before it.
    fn is_fault(&self) -> bool {
        true
    }
}

/// Makes several things in one transaction.
#[derive(Clone)]
pub(crate) struct ProvisionService {
    store: Store,
    parts: Parts,
}

/// The services that know how each thing is made.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) apis: ApiService,
    pub(crate) assignments: AssignmentService,
    pub(crate) clients: ClientService,
    pub(crate) users: UserService,
}

impl ProvisionService {
    /// The service over this store.
    pub(crate) const fn new(store: Store, parts: Parts) -> Self {
        Self { store, parts }
    }

    /// Makes a client, the API that it serves when that is new, and gives the client its roles.
    pub(crate) async fn client(
        &self,
        order: ClientOrder,
        caller: &Caller,
    ) -> Result<CreatedClient, ProvisionError> {
        let (parts, caller) = (self.parts.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    parts.client(tx, order, &caller).await
                })
            })
            .await
    }

    /// Makes an account and gives it its roles.
    pub(crate) async fn user(
        &self,
        order: UserOrder,
        caller: &Caller,
    ) -> Result<Versioned<User>, ProvisionError> {
        let UserOrder { form, audience, roles } = order;
        let draft = self.parts.users.draft(form, caller).await?;
        let (parts, caller) = (self.parts.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let user = UserService::add(tx, draft, &caller).await?;
                    let api = match &audience {
                        Some(audience) => known_api(tx, audience).await?,
                        None => parts.apis.admin_api_in(tx).await?,
                    };
                    let wish = Wish { api: &api, subject: user.value.id.as_str(), roles: &roles };
                    parts.give(tx, wish, &caller).await?;
                    Ok(user)
                })
            })
            .await
    }

    /// Gives an account a role, and says which there are if the API has no such role.
    pub(crate) async fn role(
        &self,
        api: &Api,
        user: &UserId,
        role: &str,
        caller: &Caller,
    ) -> Result<(), ProvisionError> {
        let (parts, caller) = (self.parts.clone(), caller.clone());
        let (api, user, roles) = (api.clone(), user.clone(), [role.to_owned()]);
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    parts.give(tx, Wish { api: &api, subject: user.as_str(), roles: &roles }, &caller).await
                })
            })
            .await
    }
}

impl Parts {
    async fn client(
        &self,
        tx: &mut Tx,
        order: ClientOrder,
        caller: &Caller,
    ) -> Result<CreatedClient, ProvisionError> {
        let ClientOrder { mut form, audiences, roles } = order;
        let serves = form.preset == Preset::Service.as_str();
        let mut apis = Vec::with_capacity(audiences.len());
        for audience in &audiences {
            apis.push(match find_api(tx, audience).await? {
                Some(api) => api,
                None if serves => self.new_api(tx, audience, &form.name, caller).await?,
                None => return Err(unknown_api(tx, audience).await?),
            });
        }
        let mut ids = apis.iter().map(|api| api.id.to_string());
        if serves {
            form.serves = ids.next();
        } else {
            form.apis = ids.collect();
        }
        let draft = self.clients.draft(&form, caller).map_err(AdminError::from)?;
        let created = self.clients.add(tx, draft, caller).await?;
        if let Some(api) = apis.first() {
            let wish = Wish { api, subject: created.client.value.id.as_str(), roles: &roles };
            self.give(tx, wish, caller).await?;
        }
        Ok(created)
    }

    async fn new_api(
        &self,
        tx: &mut Tx,
        audience: &str,
        name: &str,
        caller: &Caller,
    ) -> Result<Api, ProvisionError> {
        let form = ApiForm { audience: audience.to_owned(), name: name.to_owned(), ..ApiForm::default() };
        Ok(ApiService::add(tx, self.apis.draft(&form, caller)?, caller).await?)
    }

    /// Gives each role once, however often it was named.
    async fn give(&self, tx: &mut Tx, wish: Wish<'_>, caller: &Caller) -> Result<(), ProvisionError> {
        let Wish { api, subject, roles: wanted } = wish;
        let known = roles::list(tx, &api.id).await?;
        let known: Vec<&str> = known.iter().map(|role| role.name.as_str()).collect();
        for role in wanted.iter().collect::<BTreeSet<_>>() {
            if !known.contains(&role.as_str()) {
                return Err(unknown_role(api, role, &known));
            }
            let form = AssignmentForm { role: role.clone(), subject: subject.to_owned(), organisation: None };
            self.assignments.add(tx, api, &form, caller).await?;
        }
        Ok(())
    }
}

/// Roles of one API for somebody who was just made.
struct Wish<'a> {
    api: &'a Api,
    subject: &'a str,
    roles: &'a [String],
}

/// The API with this audience, which may be any text.
async fn find_api(tx: &mut Tx, audience: &str) -> Result<Option<Api>, StoreError> {
    match Audience::parse(audience) {
        Ok(audience) => apis::find_by_audience(tx, &audience).await,
        Err(_) => Ok(None),
    }
}

async fn known_api(tx: &mut Tx, audience: &str) -> Result<Api, ProvisionError> {
    match find_api(tx, audience).await? {
        Some(api) => Ok(api),
        None => Err(unknown_api(tx, audience).await?),
    }
}

/// The most APIs that are looked through for the one that was meant.
const LOOKED_THROUGH: u32 = 1000;

async fn unknown_api(tx: &mut Tx, audience: &str) -> Result<ProvisionError, StoreError> {
    let known = apis::list(tx, None, LOOKED_THROUGH).await?;
    let known: Vec<&str> = known.iter().map(|api| api.audience.as_str()).collect();
    let advice = match near_addresses(&known, audience).as_slice() {
        [] if known.is_empty() => ": there is none yet".to_owned(),
        [] => format!(": `api list` prints those that are, such as {}", known_by_name(&known)),
        [meant] => format!(": did you mean {meant}?"),
        several => format!(": did you mean one of {}?", known_by_name(several)),
    };
    Ok(ProvisionError::UnknownApi { audience: audience.to_owned(), advice })
}

/// A few of them.
fn known_by_name(audiences: &[&str]) -> String {
    const FEW: usize = 3;
    audiences.iter().take(FEW).copied().collect::<Vec<_>>().join(", ")
}

fn unknown_role(api: &Api, role: &str, known: &[&str]) -> ProvisionError {
    let audience = api.audience.as_str().to_owned();
    let advice = match nearest(known.iter().map(|name| ((*name).to_owned(), name)), role) {
        Some(meant) => format!(": did you mean {meant}?"),
        None => format!(": it has {}; `api roles --api {audience} --add {role}` adds it", known.join(", ")),
    };
    ProvisionError::UnknownRole { audience, role: role.to_owned(), advice }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::paging::PageQuery;
    use crate::services::trial::{Trial, operator};
    use crate::services::users::UserQuery;

    fn service(trial: &Trial) -> ProvisionService {
        let (apis, clients, users) = (trial.apis.clone(), trial.clients.clone(), trial.users.clone());
        ProvisionService::new(
            trial.store.clone(),
            Parts { apis, assignments: trial.assignments(), clients, users },
        )
    }

    fn order(preset: &str, audience: &str, roles: &[&str]) -> ClientOrder {
        ClientOrder {
            form: ClientForm {
                name: "Orders".to_owned(),
                preset: preset.to_owned(),
                ..ClientForm::default()
            },
            audiences: vec![audience.to_owned()],
            roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        }
    }

    #[tokio::test]
    async fn whatever_is_refused_leaves_neither_api_nor_client_nor_event() {
        let trial = Trial::begin().await;
        let (before, apis) = (trial.trail().await, trial.apis.list(&PageQuery::default()).await.unwrap());
        let audience = "https://orders.example";
        let good = order("service", audience, &[]);
        let nameless =
            ClientForm { redirect_uris: vec!["https://x.example".to_owned()], ..good.form.clone() };
        for wrong in [
            order("service", audience, &["viewer", "veiwer"]),
            order("m2m", audience, &[]),
            ClientOrder { form: nameless, ..good },
        ] {
            service(&trial).client(wrong, &operator()).await.unwrap_err();
        }
        assert_eq!(trial.trail().await, before);
        assert_eq!(trial.apis.list(&PageQuery::default()).await.unwrap(), apis);
        assert!(trial.clients.list(&PageQuery::default()).await.unwrap().items.is_empty());
    }

    #[tokio::test]
    async fn a_service_its_new_api_and_its_roles_are_made_together() {
        let trial = Trial::begin().await;
        let roles = ["viewer", "viewer", "editor"];
        let order = order("service", "https://orders.example", &roles);
        let client = service(&trial).client(order, &operator()).await.unwrap().client.value;
        let api = client.settings.serves.expect("it serves the new one");
        let held = trial.assignments().list(&api, &PageQuery::default()).await.unwrap().items;
        assert_eq!(held.len(), 2, "a role that is named twice is given once");
        assert!(held.iter().all(|held| held.subject.id() == client.id.as_str()));
    }

    #[tokio::test]
    async fn an_account_without_its_role_is_no_account() {
        let trial = Trial::begin().await;
        let wish = |role: &str, audience: Option<&str>| UserOrder {
            form: UserForm { username: "ada".to_owned(), ..UserForm::default() },
            audience: audience.map(str::to_owned),
            roles: vec![role.to_owned()],
        };
        for (role, audience, advice) in [
            ("ownr", None, "did you mean owner?"),
            ("king", None, "it has auditor, client-admin"),
            ("viewer", Some("https://id.example.com/apy"), "did you mean https://id.example.com/api?"),
            (
                "viewer",
                Some("https://orders.example"),
                "https://orders.example: `api list` prints those that are, such as https://id.example.com/api",
            ),
        ] {
            let refused = service(&trial).user(wish(role, audience), &operator()).await.unwrap_err();
            assert!(refused.to_string().contains(advice), "{refused}");
        }
        let everybody = trial.users.list(&UserQuery::default()).await.unwrap();
        assert!(everybody.items.is_empty());
        service(&trial).user(wish("owner", None), &operator()).await.unwrap();
    }
}

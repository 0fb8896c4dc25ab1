//! APIs: registering the services that tokens are for, and the admin API of the server itself.

mod changes;

use std::time::Duration;

use portcullis_policy::{ADMIN_API_RULES, DEFAULT_MODEL, STARTER_RULES, Snapshot};
use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::ids::{ApiId, RoleId};
use crate::domain::policy::PolicyText;
use crate::domain::rbac::{AccessTokenSettings, Api, Audience, Role, RoleName};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::Entropy;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::api_fields::{DEFAULT_TTL_SECS, take_alg, take_scopes, take_ttl};
use crate::services::apis::changes::{Changes, check_profiles, differences, is_named};
use crate::services::caller::{Authority, Caller};
use crate::services::fields::{FieldErrors, display_name};
use crate::services::owners::{ADMIN_API_PATH, Owners};
use crate::services::paging::{Page, PageQuery};
use crate::services::policies::candidate::source;
use crate::services::policies::publish::{Publication, add_revision};
use crate::services::version::{Precondition, Version, Versioned};
use crate::storage::{Store, Turn, Tx, apis, roles};

/// The longest name of an API, in characters.
const MAX_NAME: usize = 100;

/// The roles of a new API, named by [`STARTER_RULES`].
const STARTER_ROLES: [(&str, &str); 2] =
    [("viewer", "Reads everything."), ("editor", "Reads, creates and changes everything.")];

/// The roles of the admin API, named by [`ADMIN_API_RULES`].
const ADMIN_ROLES: [(&str, &str); 7] = [
    ("owner", "Everything, the keys included."),
    ("auditor", "Reads the audit trail and what is needed to understand it."),
    ("support", "Helps people who cannot get in."),
    ("user-admin", "Manages people."),
    ("client-admin", "Registers applications and the APIs that they call."),
    ("policy-editor", "Writes drafts of policies."),
    ("policy-approver", "Puts policies in force."),
];

/// A new API, as text from any edge.
#[derive(Clone, Debug, Default)]
pub struct ApiForm {
    /// An absolute URI without a fragment: the `aud` of its tokens.
    pub audience: String,
    /// What people call it.
    pub name: String,
    /// How long its access tokens live.
    pub access_token_ttl_secs: Option<u64>,
    /// What its access tokens are signed with: `ES256` (the default), `EdDSA`, `PS256` or `RS256`.
    pub access_token_signing_alg: Option<String>,
    /// The scopes that it has, space-delimited. Without it: it names none.
    pub scopes: Option<String>,
}

/// What can be changed about an API. Its audience cannot: services and tokens carry it.
#[derive(Clone, Debug)]
pub struct ApiPatch {
    /// What people call it.
    pub name: String,
    /// How long its access tokens live.
    pub access_token_ttl_secs: u64,
    /// What its access tokens are signed with. `None` leaves it as it is.
    pub access_token_signing_alg: Option<String>,
    /// Whether what one person wrote takes another to put it in force. `None` leaves it as it is.
    pub four_eyes: Option<bool>,
    /// The scopes that it has, space-delimited. `None` leaves them as they are.
    pub scopes: Option<String>,
}

impl ApiPatch {
    /// Changes nothing.
    pub fn keeping(api: &Api) -> Self {
        Self {
            name: api.name.clone(),
            access_token_ttl_secs: api.access_tokens.ttl.as_secs(),
            access_token_signing_alg: None,
            four_eyes: None,
            scopes: None,
        }
    }
}

/// Registers and changes APIs.
#[derive(Clone)]
pub struct ApiService {
    store: Store,
    entropy: Entropy,
    owners: Owners,
}

impl ApiService {
    /// The service over this store.
    pub(crate) const fn new(store: Store, entropy: Entropy, owners: Owners) -> Self {
        Self { store, entropy, owners }
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Registers an API with two roles and a policy for them in force.
    pub async fn create(&self, form: &ApiForm, caller: &Caller) -> Result<Versioned<Api>, AdminError> {
        Ok(versioned(self.register(self.draft(form, caller)?, caller).await?))
    }

    /// A new API, checked as far as that goes without the database.
    pub(crate) fn draft(&self, form: &ApiForm, caller: &Caller) -> Result<Registration, AdminError> {
        let api = self.parse(form, caller)?;
        let roles = self.roles(&api, &STARTER_ROLES, caller)?;
        let text = first_text(STARTER_RULES);
        Registration { api, roles, text }.checked()
    }

    /// Makes sure that the admin API, its roles and its policy exist. It may run on several replicas at once.
    pub async fn ensure_admin_api(&self, caller: &Caller) -> Result<(), AdminError> {
        let mut tx = self.store.read().await?;
        let exists = apis::find_admin(&mut tx).await?.is_some();
        let unmarked = apis::find_by_audience(&mut tx, self.owners.audience()).await?;
        drop(tx);
        if exists {
            return Ok(());
        }
        if let Some(unmarked) = unmarked {
            return self.mark_admin(unmarked.id).await;
        }
        let api = self.api(self.owners.audience().clone(), "Portcullis admin API".to_owned(), caller);
        let api = Api { administers: true, ..api };
        let roles = self.roles(&api, &ADMIN_ROLES, caller)?;
        let text = first_text(ADMIN_API_RULES);
        match self.register(Registration { api, roles, text }.checked()?, caller).await {
            // Another replica was faster.
            Ok(_) | Err(AdminError::Invalid(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The admin API of a database that was made before it had its mark.
    async fn mark_admin(&self, id: ApiId) -> Result<(), AdminError> {
        let work = self.store.write(move |tx| {
            Box::pin(async move {
                apis::mark_admin(tx, &id).await?;
                tx.invalidate();
                Ok(())
            })
        });
        work.await
    }

    /// Brings the audience of the admin API in step with the issuer, which an operator may change: roles, rules and owners stay.
    pub(crate) async fn follow_issuer(&self, caller: &Caller) -> Result<(), AdminError> {
        let wanted = self.owners.audience().clone();
        if self.admin_api().await?.audience == wanted {
            return Ok(());
        }
        let caller = caller.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = apis::find_admin(tx).await?.ok_or(AdminError::NotFound(Thing::Api))?;
                    let before = api.audience.to_string();
                    let api = Api { audience: wanted, ..api };
                    apis::update(tx, &api).await?;
                    let detail = json!({ "audience": api.audience.as_str(), "before": before });
                    tx.audit(caller.event(AuditAction::ApiUpdated).on(&api.id).with(detail));
                    tx.invalidate();
                    tracing::warn!(
                        issuer.before = before.trim_end_matches(ADMIN_API_PATH),
                        "the issuer changed: tokens that it issued are not accepted any more"
                    );
                    Ok(())
                })
            })
            .await
    }

    /// Lists APIs, oldest first.
    pub async fn list(&self, query: &PageQuery) -> Result<Page<Api>, AdminError> {
        let mut tx = self.store.read().await?;
        let found = apis::list(&mut tx, query.after(), query.probe()).await?;
        Ok(Page::of(found, query, |api| api.id.to_string()))
    }

    /// Shows an API.
    pub async fn show(&self, id: &ApiId) -> Result<Versioned<Api>, AdminError> {
        let mut tx = self.store.read().await?;
        find(&mut tx, id).await.map(versioned)
    }

    /// The API that tokens for the server's own admin API are for.
    pub async fn admin_api(&self) -> Result<Api, AdminError> {
        self.admin_api_in(&mut self.store.read().await?).await
    }

    /// The same, as part of something larger.
    pub(crate) async fn admin_api_in(&self, tx: &mut Tx) -> Result<Api, AdminError> {
        self.owners.api(tx).await
    }

    /// Replaces what can be changed about an API.
    pub async fn update(
        &self,
        id: &ApiId,
        patch: &ApiPatch,
        precondition: &Precondition,
        caller: &Caller,
    ) -> Result<Versioned<Api>, AdminError> {
        let changes = Changes::parse(patch)?;
        let (id, precondition, caller) = (id.clone(), precondition.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let before = find(tx, &id).await?;
                    if !precondition.holds(&versioned(before.clone()).version) {
                        return Err(AdminError::Stale);
                    }
                    Owners::require_owner_of(&before, &caller)?;
                    let after = changes.of(&before);
                    if before.four_eyes && !after.four_eyes && caller.authority != Authority::Owner {
                        return Err(AdminError::OwnersOnly);
                    }
                    check_profiles(tx, &before, &after).await?;
                    apis::update(tx, &after).await?;
                    let detail = json!({
                        "changed": differences(&before, &after), "four_eyes": after.four_eyes,
                        "scopes": after.scopes.to_string(), "access_token_signing_alg": after.access_tokens.alg,
                    });
                    tx.audit(caller.event(AuditAction::ApiUpdated).on(&after.id).with(detail));
                    tx.invalidate();
                    Ok(versioned(after))
                })
            })
            .await
    }

    /// Deletes an API that no client names, with its roles, its rules and all their revisions. The admin API stays.
    pub async fn delete(&self, id: &ApiId, caller: &Caller) -> Result<(), AdminError> {
        let (id, caller) = (id.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    let api = find(tx, &id).await?;
                    if api.administers {
                        return Err(AdminError::Conflict("The admin API cannot be deleted."));
                    }
                    if is_named(tx, &id).await? {
                        return Err(AdminError::Conflict(
                            "Clients ask for tokens for this API, or serve it. Change or delete them first.",
                        ));
                    }
                    apis::delete(tx, &id).await?;
                    let detail = json!({ "audience": api.audience.as_str() });
                    tx.audit(caller.event(AuditAction::ApiDeleted).on(&id).with(detail));
                    tx.invalidate();
                    Ok(())
                })
            })
            .await
    }

    fn parse(&self, form: &ApiForm, caller: &Caller) -> Result<Api, FieldErrors> {
        let mut errors = FieldErrors::default();
        let audience = errors.take("/audience", Audience::parse(&form.audience));
        if audience.as_ref().is_some_and(|audience| self.owners.is_of_this_server(audience)) {
            let message = "the addresses of this server are its own: tokens for them are for it";
            errors.refuse("/audience", "reserved", message);
        }
        if audience.as_ref().is_some_and(|audience| Audience::plain(audience.as_str()).is_some()) {
            // Clients write them as they like, and services compare what is in the token byte for byte.
            errors.refuse("/audience", "invalid", "scheme and host are written without capitals");
        }
        let name = errors.take("/name", display_name(&form.name, MAX_NAME));
        let ttl = take_ttl(&mut errors, form.access_token_ttl_secs.unwrap_or(DEFAULT_TTL_SECS));
        let scopes = take_scopes(&mut errors, form.scopes.as_deref().unwrap_or_default());
        let alg = form.access_token_signing_alg.as_deref();
        let alg = alg.map_or(Some(AccessTokenSettings::DEFAULT_ALG), |raw| take_alg(&mut errors, raw));
        let api = (|| {
            let access_tokens = AccessTokenSettings { ttl: ttl?, alg: alg? };
            Some(Api { access_tokens, scopes: scopes?, ..self.api(audience?, name?, caller) })
        })();
        errors.finish(api)
    }

    fn api(&self, audience: Audience, name: String, caller: &Caller) -> Api {
        Api {
            id: ApiId::generate(caller.now, &self.entropy),
            audience,
            name,
            access_tokens: AccessTokenSettings::living(Duration::from_secs(DEFAULT_TTL_SECS)),
            active_revision: None,
            created_at: caller.now,
            administers: false,
            four_eyes: false,
            shadow: None,
            scopes: ScopeSet::default(),
        }
    }

    fn roles(&self, api: &Api, named: &[(&str, &str)], caller: &Caller) -> Result<Vec<Role>, AdminError> {
        let mut errors = FieldErrors::default();
        let roles: Option<Vec<Role>> = named
            .iter()
            .map(|(name, description)| {
                let name = errors.take("/roles", RoleName::parse(name))?;
                let id = RoleId::generate(caller.now, &self.entropy);
                Some(Role { id, api: api.id.clone(), name, description: (*description).to_owned() })
            })
            .collect();
        Ok(errors.finish(roles)?)
    }

    async fn register(&self, registration: Registration, caller: &Caller) -> Result<Api, AdminError> {
        let caller = caller.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    Self::add(tx, registration, &caller).await
                })
            })
            .await
    }

    /// Adds an API with its roles and its policy, as part of something larger.
    pub(crate) async fn add(
        tx: &mut Tx,
        registration: Registration,
        caller: &Caller,
    ) -> Result<Api, AdminError> {
        let Registration { api, roles: starters, text } = registration;
        if apis::find_by_audience(tx, &api.audience).await?.is_some() {
            return Err(FieldErrors::of("/audience", "taken", "another API has this audience").into());
        }
        apis::insert(tx, &api).await?;
        for role in &starters {
            roles::insert(tx, role).await?;
        }
        let message = "The rules that a new API starts with".to_owned();
        let publication =
            Publication { message, draft_version: None, restores: None, over: None, text, put_off: None };
        let revision = add_revision(tx, &api, publication, caller).await?;
        let names: Vec<_> = starters.iter().map(|role| role.name.as_str()).collect();
        let detail = json!({ "audience": api.audience.as_str(), "roles": names });
        tx.audit(caller.event(AuditAction::ApiCreated).on(&api.id).with(detail));
        tx.invalidate();
        Ok(Api { active_revision: Some(revision.number), ..api })
    }
}

/// An API as it is first written.
pub(crate) struct Registration {
    api: Api,
    roles: Vec<Role>,
    text: PolicyText,
}

impl Registration {
    /// Refuses rules that could not be put in force.
    fn checked(self) -> Result<Self, AdminError> {
        Snapshot::compile(&source(&self.text), 1).map_err(AdminError::Policy)?;
        Ok(self)
    }
}

/// What the policy of a new API says.
fn first_text(rules: &str) -> PolicyText {
    PolicyText { model: DEFAULT_MODEL.to_owned(), rules: rules.to_owned(), cases: String::new() }
}

async fn find(tx: &mut Tx, id: &ApiId) -> Result<Api, AdminError> {
    apis::find(tx, id).await?.ok_or(AdminError::NotFound(Thing::Api))
}

fn versioned(api: Api) -> Versioned<Api> {
    let AccessTokenSettings { ttl, alg } = api.access_tokens;
    let settings = (ttl.as_secs(), alg.as_str(), api.four_eyes, api.scopes.to_string());
    let version =
        Version::of(&(api.id.as_str(), api.audience.as_str(), &api.name, settings, api.active_revision));
    Versioned { value: api, version }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::PolicySource;

    use super::*;
    use crate::services::trial::{START, Trial, delegate, operator};

    fn names(roles: &[(&str, &str)]) -> std::collections::BTreeSet<String> {
        roles.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    fn named_by(rules: &str) -> std::collections::BTreeSet<String> {
        let snapshot = Snapshot::compile(&PolicySource::with_default_model(rules), 1).unwrap();
        snapshot.roles().map(str::to_owned).collect()
    }

    #[test]
    fn built_in_roles_are_those_that_the_built_in_rules_name() {
        assert_eq!(names(&STARTER_ROLES), named_by(STARTER_RULES));
        assert_eq!(names(&ADMIN_ROLES), named_by(ADMIN_API_RULES));
    }

    #[tokio::test]
    async fn the_admin_api_is_made_once() {
        let trial = Trial::begin().await;
        let before = trial.trail().await;
        let system = Caller::system(START);
        let (one, other) =
            tokio::join!(trial.apis.ensure_admin_api(&system), trial.apis.ensure_admin_api(&system));
        one.unwrap();
        other.unwrap();
        assert_eq!(trial.trail().await, before);
        assert_eq!(trial.admin_api().await.active_revision, Some(1));
    }

    #[tokio::test]
    async fn a_new_api_has_two_roles_and_a_policy_in_force() {
        let trial = Trial::begin().await;
        let api = trial.api("https://orders.example").await;
        assert_eq!(api.active_revision, Some(1));
        assert_eq!(trial.trail().await, ["api.created", "api.created"], "the admin API and this one");
        let names: Vec<_> =
            trial.roles().list(&api.id).await.unwrap().into_iter().map(|role| role.name).collect();
        assert_eq!(names.iter().map(RoleName::as_str).collect::<Vec<_>>(), ["editor", "viewer"]);
        let form = ApiForm {
            audience: "https://orders.example".to_owned(),
            name: "Again".to_owned(),
            ..ApiForm::default()
        };
        let again = trial.apis.create(&form, &operator()).await;
        assert!(
            matches!(again, Err(AdminError::Invalid(errors)) if errors.to_string().contains("/audience"))
        );
    }

    #[tokio::test]
    async fn only_an_owner_changes_the_admin_api() {
        let trial = Trial::begin().await;
        let api = trial.admin_api().await;
        let patch = ApiPatch { name: "Mine".to_owned(), ..ApiPatch::keeping(&api) };
        let id = api.id;
        let refused = trial.apis.update(&id, &patch, &Precondition::Any, &delegate()).await;
        assert!(matches!(refused, Err(AdminError::OwnersOnly)));
    }
}

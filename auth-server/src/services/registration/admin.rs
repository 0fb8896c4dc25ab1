//! What administrators see of clients that came by themselves, and the tokens that let clients register.

use std::time::Duration;

use serde_json::json;

use crate::domain::audit::AuditAction;
use crate::domain::claims::SIGN_IN_SCOPES;
use crate::domain::client::{Client, GrantType};
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, ClientId, InitialTokenId};
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::registration::{Allowance, InitialToken, REGISTRABLE, Registration};
use crate::domain::scope::ScopeSet;
use crate::domain::secret::{Entropy, OpaqueToken, TokenKind};
use crate::services::admin_error::{AdminError, Thing};
use crate::services::caller::{Authority, Caller};
use crate::services::fields::{FieldErrors, display_name};
use crate::services::paging::{Page, PageQuery};
use crate::storage::{Store, Turn, Tx, apis, clients, initial_tokens, registrations};

/// The longest name of a token.
const MAX_NAME: usize = 100;
/// How long a token counts that nobody says it of.
const USUAL_DAYS: u32 = 7;
/// The longest that one counts.
const MAX_DAYS: u32 = 366;
/// The most clients that register by one token.
const MAX_USES: u32 = 100_000;
/// The most entries of each list.
const MAX_ENTRIES: usize = 100;

/// Shows clients that came by themselves, and makes the tokens that let them.
#[derive(Clone)]
pub(crate) struct RegistrationAdmin {
    store: Store,
    entropy: Entropy,
}

/// A token that is to be made, as text from any edge.
#[derive(Clone, Debug, Default)]
pub(crate) struct InitialTokenForm {
    /// What people call it.
    pub(crate) name: String,
    /// How many clients may register by it. Without it: one.
    pub(crate) uses: Option<u32>,
    /// For how many days it counts. Without it: seven.
    pub(crate) days: Option<u32>,
    /// The grants that a client may have. Without them: those of people.
    pub(crate) grants: Vec<String>,
    /// Space-delimited. Without it: none but those of people.
    pub(crate) scopes: Option<String>,
    /// The hosts where answers may be sent. Without them: every host.
    pub(crate) redirect_hosts: Vec<String>,
    /// The APIs that a client may ask tokens for.
    pub(crate) apis: Vec<String>,
}

/// A token that was just made.
#[derive(Debug)]
pub(crate) struct CreatedToken {
    pub(crate) token: InitialToken,
    /// The token itself, which nobody can ask for again.
    pub(crate) secret: OpaqueToken,
}

impl RegistrationAdmin {
    pub(crate) const fn new(store: Store, entropy: Entropy) -> Self {
        Self { store, entropy }
    }

    /// Lists what is known of clients that came by themselves, with the clients.
    pub(crate) async fn list(&self, query: &PageQuery) -> Result<Page<(Registration, Client)>, AdminError> {
        let mut tx = self.store.read().await?;
        let found = registrations::list(&mut tx, query.after(), query.probe()).await?;
        let page = Page::of(found, query, |registration| registration.client.to_string());
        let mut items = Vec::with_capacity(page.items.len());
        for registration in page.items {
            // It may have been taken away in between.
            if let Some(client) = clients::find(&mut tx, &registration.client).await? {
                items.push((registration, client));
            }
        }
        Ok(Page { items, next: page.next })
    }

    /// Names a client that came by itself, for what is done with it as with any other.
    pub(crate) async fn find(&self, client: &str) -> Result<ClientId, AdminError> {
        let none = AdminError::NotFound(Thing::Client);
        let Ok(id) = ClientId::parse(client) else { return Err(none) };
        let found = registrations::find(&mut self.store.read().await?, &id).await?;
        found.map(|found| found.client).ok_or(none)
    }

    /// Makes a token.
    pub(crate) async fn create_token(
        &self,
        form: &InitialTokenForm,
        caller: &Caller,
    ) -> Result<CreatedToken, AdminError> {
        let token = form.parse(InitialTokenId::generate(caller.now, &self.entropy), caller)?;
        let secret = OpaqueToken::generate(TokenKind::InitialAccess, &self.entropy);
        let (digest, added, caller) = (secret.digest(), token.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    tx.one_at_a_time(Turn::Administration).await?;
                    check_apis(tx, &added.allowance.apis, &caller).await?;
                    initial_tokens::insert(tx, &added, &digest).await?;
                    let detail = json!({ "name": added.name, "uses": added.uses_left,
                        "expires_at": added.expires_at.rfc3339() });
                    tx.audit(caller.event(AuditAction::InitialTokenCreated).on(&added.id).with(detail));
                    Ok::<_, AdminError>(())
                })
            })
            .await?;
        Ok(CreatedToken { token, secret })
    }

    /// Lists tokens, oldest first.
    pub(crate) async fn list_tokens(&self, query: &PageQuery) -> Result<Page<InitialToken>, AdminError> {
        let mut tx = self.store.read().await?;
        let found = initial_tokens::list(&mut tx, query.after(), query.probe()).await?;
        Ok(Page::of(found, query, |token| token.id.to_string()))
    }

    /// Takes a token away. Clients that registered by it stay.
    pub(crate) async fn delete_token(&self, id: &InitialTokenId, caller: &Caller) -> Result<(), AdminError> {
        let (id, caller) = (id.clone(), caller.clone());
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    if !initial_tokens::delete(tx, &id).await? {
                        return Err(AdminError::NotFound(Thing::InitialToken));
                    }
                    tx.audit(caller.event(AuditAction::InitialTokenDeleted).on(&id));
                    Ok(())
                })
            })
            .await
    }
}

impl InitialTokenForm {
    fn parse(&self, id: InitialTokenId, caller: &Caller) -> Result<InitialToken, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("/name", display_name(&self.name, MAX_NAME));
        let uses_left = bounded(&mut errors, "/uses", self.uses.unwrap_or(1), MAX_USES);
        let days = bounded(&mut errors, "/days", self.days.unwrap_or(USUAL_DAYS), MAX_DAYS);
        let allowance = self.allowance(&mut errors);
        let parsed = (|| {
            Some(InitialToken {
                id,
                name: name?,
                allowance: allowance?,
                uses_left: uses_left?,
                created_by: caller.actor.to_string(),
                created_at: caller.now,
                expires_at: expiry(caller.now, days?),
            })
        })();
        errors.finish(parsed)
    }

    fn allowance(&self, errors: &mut FieldErrors) -> Option<Allowance> {
        for (pointer, entries) in
            [("/grants", &self.grants), ("/redirect_hosts", &self.redirect_hosts), ("/apis", &self.apis)]
        {
            if entries.len() > MAX_ENTRIES {
                errors.refuse(pointer, "too-many", format!("must not have more than {MAX_ENTRIES} entries"));
                return None;
            }
        }
        let usual = [GrantType::AuthorizationCode, GrantType::RefreshToken];
        let grants = errors.take_each("/grants", &self.grants, |grant| registrable(grant));
        let hosts = errors.take_each("/redirect_hosts", &self.redirect_hosts, |host| host_name(host));
        let apis = errors.take_each("/apis", &self.apis, |api| ApiId::parse(api));
        let scopes = self.scopes.as_deref().unwrap_or(SIGN_IN_SCOPES);
        let scopes = errors.take("/scopes", ScopeSet::parse(scopes));
        let grants = grants.map(|grants| if grants.is_empty() { usual.to_vec() } else { grants });
        Some(Allowance { grants: grants?, scopes: scopes?.to_string(), redirect_hosts: hosts?, apis: apis? })
    }
}

fn registrable(grant: &str) -> Result<GrantType, &'static str> {
    let grant = grant.parse::<GrantType>().ok().filter(|grant| REGISTRABLE.contains(grant));
    grant.ok_or("expected one of authorization_code, client_credentials, refresh_token")
}

fn bounded(errors: &mut FieldErrors, pointer: &str, number: u32, most: u32) -> Option<u32> {
    if (1..=most).contains(&number) {
        return Some(number);
    }
    errors.refuse(pointer, "invalid", format!("must be from 1 to {most}"));
    None
}

fn expiry(now: Timestamp, days: u32) -> Timestamp {
    now.plus(Duration::from_hours(24) * days)
}

/// A host as it stands in a redirect URI.
fn host_name(raw: &str) -> Result<String, &'static str> {
    let of_itself = |scheme: &str| RedirectUri::parse_of_device(&format!("{scheme}://{raw}/")).ok();
    let uri = of_itself("https").or_else(|| of_itself("http"));
    match uri {
        Some(uri) if uri.host() == raw => Ok(raw.to_owned()),
        _ => Err("has to be the plain name of a host: no port, no path, no capitals"),
    }
}

/// The APIs exist, and nobody who comes by himself gets near the administration of the server unless an owner says so; and then nobody.
async fn check_apis(tx: &mut Tx, named: &[ApiId], caller: &Caller) -> Result<(), AdminError> {
    let mut errors = FieldErrors::default();
    for (position, id) in named.iter().enumerate() {
        let pointer = format!("/apis/{position}");
        match apis::find(tx, id).await? {
            None => errors.refuse(pointer, "unknown", "there is no such API"),
            Some(api) if api.administers && caller.authority != Authority::Owner => {
                return Err(AdminError::OwnersOnly);
            }
            Some(api) if api.administers => {
                errors.refuse(pointer, "contradiction", "the admin API is for nobody who registers himself");
            }
            Some(_) => {}
        }
    }
    Ok(errors.finish(Some(()))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::services::trial::{Trial, delegate, operator};

    fn form() -> InitialTokenForm {
        InitialTokenForm { name: "Partners".to_owned(), ..InitialTokenForm::default() }
    }

    fn pointers(form: &InitialTokenForm) -> Vec<String> {
        let id = InitialTokenId::generate(Timestamp::from_secs(1), &Entropy::seeded(1));
        let refused = form.parse(id, &operator()).unwrap_err();
        refused.iter().map(|error| error.pointer.clone()).collect()
    }

    #[test]
    fn every_wrong_field_of_a_token_is_named() {
        let bad = InitialTokenForm {
            name: String::new(),
            uses: Some(0),
            days: Some(MAX_DAYS + 1),
            grants: vec!["password".to_owned(), GrantType::ALL.map(GrantType::as_str).concat()],
            scopes: Some("a\"b".to_owned()),
            redirect_hosts: vec!["App.example".to_owned(), "app.example:443".to_owned(), "*".to_owned()],
            apis: vec!["orders".to_owned()],
        };
        assert_eq!(
            pointers(&bad),
            [
                "/name",
                "/uses",
                "/days",
                "/grants/0",
                "/grants/1",
                "/redirect_hosts/0",
                "/redirect_hosts/1",
                "/redirect_hosts/2",
                "/apis/0",
                "/scopes"
            ]
        );
        let many = InitialTokenForm { redirect_hosts: vec!["a.example".to_owned(); 101], ..form() };
        assert_eq!(pointers(&many), ["/redirect_hosts"]);
        for host in ["app.example", "127.0.0.1", "localhost", "[::1]"] {
            assert_eq!(host_name(host).as_deref(), Ok(host));
        }
    }

    #[tokio::test]
    async fn a_token_leads_nobody_to_the_administration() {
        let trial = Trial::begin().await;
        let admin = RegistrationAdmin::new(trial.store.clone(), trial.entropy.clone());
        let api = trial.apis.admin_api().await.unwrap().id.to_string();
        let near = InitialTokenForm { apis: vec![api], ..form() };
        let by = async |caller: &Caller| admin.create_token(&near, caller).await.unwrap_err();
        assert!(matches!(by(&delegate()).await, AdminError::OwnersOnly));
        assert!(matches!(by(&operator()).await, AdminError::Invalid(_)));
    }

    #[tokio::test]
    async fn a_token_is_shown_once_and_gone_when_it_is_taken_away() {
        let trial = Trial::begin().await;
        let admin = RegistrationAdmin::new(trial.store.clone(), trial.entropy.clone());
        let made = admin.create_token(&form(), &operator()).await.unwrap();
        let listed = admin.list_tokens(&PageQuery::default()).await.unwrap().items;
        assert_eq!(listed, std::slice::from_ref(&made.token));
        assert!(!format!("{listed:?}").contains(made.secret.expose()));
        admin.delete_token(&made.token.id, &operator()).await.unwrap();
        let again = admin.delete_token(&made.token.id, &operator()).await;
        assert!(matches!(again, Err(AdminError::NotFound(Thing::InitialToken))));
    }
}

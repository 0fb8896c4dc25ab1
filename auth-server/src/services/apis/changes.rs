//! What is changed about an API, and which clients that concerns.

use std::time::Duration;

use crate::domain::client::Client;
use crate::domain::ids::ApiId;
use crate::domain::rbac::{AccessTokenSettings, Api};
use crate::domain::scope::ScopeSet;
use crate::domain::signing::SigningAlg;
use crate::services::admin_error::AdminError;
use crate::services::api_fields::{SIGNING_ALG, take_alg, take_scopes, take_ttl};
use crate::services::apis::{ApiPatch, MAX_NAME};
use crate::services::fields::{FieldErrors, display_name};
use crate::storage::{StoreError, Tx, clients};

/// What is changed about an API, each part checked by itself.
pub(super) struct Changes {
    name: String,
    ttl: Duration,
    alg: Option<SigningAlg>,
    four_eyes: Option<bool>,
    scopes: Option<ScopeSet>,
}

impl Changes {
    pub(super) fn parse(patch: &ApiPatch) -> Result<Self, FieldErrors> {
        let mut errors = FieldErrors::default();
        let name = errors.take("/name", display_name(&patch.name, MAX_NAME));
        let ttl = take_ttl(&mut errors, patch.access_token_ttl_secs);
        let alg = patch.access_token_signing_alg.as_deref().and_then(|raw| take_alg(&mut errors, raw));
        let scopes = patch.scopes.as_deref().and_then(|raw| take_scopes(&mut errors, raw));
        let (name, ttl) = errors.finish(name.zip(ttl))?;
        Ok(Self { name, ttl, alg, four_eyes: patch.four_eyes, scopes })
    }

    /// The API with what was changed.
    pub(super) fn of(self, before: &Api) -> Api {
        Api {
            name: self.name,
            access_tokens: AccessTokenSettings {
                ttl: self.ttl,
                alg: self.alg.unwrap_or(before.access_tokens.alg),
            },
            four_eyes: self.four_eyes.unwrap_or(before.four_eyes),
            scopes: self.scopes.unwrap_or_else(|| before.scopes.clone()),
            ..before.clone()
        }
    }
}

/// What differs, by the names of the admin API.
pub(super) fn differences(before: &Api, after: &Api) -> Vec<&'static str> {
    [
        ("name", before.name != after.name),
        ("access_token_ttl_secs", before.access_tokens.ttl != after.access_tokens.ttl),
        ("access_token_signing_alg", before.access_tokens.alg != after.access_tokens.alg),
        ("four_eyes", before.four_eyes != after.four_eyes),
        ("scopes", before.scopes != after.scopes),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// Refuses a new algorithm that the profile of a client forbids which may ask for tokens for the API.
pub(super) async fn check_profiles(tx: &mut Tx, before: &Api, after: &Api) -> Result<(), AdminError> {
    let alg = after.access_tokens.alg;
    if alg == before.access_tokens.alg {
        return Ok(());
    }
    let held = |client: &Client| {
        client.settings.apis.contains(&after.id) && !client.settings.profile.permits_alg(alg)
    };
    let Some(client) = first_client(tx, held).await? else { return Ok(()) };
    let (profile, id) = (client.settings.profile, client.id);
    let message = format!(
        "the client {id} may ask for tokens for this API, and its profile {profile} permits ES256, EdDSA and PS256"
    );
    Err(FieldErrors::of(SIGNING_ALG, "contradiction", message).into())
}

/// Whether a client may ask for tokens for the API, or serves it.
pub(super) async fn is_named(tx: &mut Tx, api: &ApiId) -> Result<bool, AdminError> {
    let names =
        |client: &Client| client.settings.apis.contains(api) || client.settings.serves.as_ref() == Some(api);
    Ok(first_client(tx, names).await?.is_some())
}

/// The first client that is wanted. All of them are looked at: no index says it.
async fn first_client(
    tx: &mut Tx,
    wanted: impl Fn(&Client) -> bool + Send,
) -> Result<Option<Client>, StoreError> {
    const BATCH: u32 = 200;
    let mut after: Option<String> = None;
    loop {
        let batch = clients::list(tx, after.as_deref(), BATCH).await?;
        let Some(last) = batch.last().map(|client| client.id.to_string()) else { return Ok(None) };
        if let Some(found) = batch.into_iter().find(|client| wanted(client)) {
            return Ok(Some(found));
        }
        after = Some(last);
    }
}

//! The active revision of an API, signed for the guard that enforces it.

use std::sync::Arc;
use std::time::Duration;

use quick_cache::sync::Cache;
use serde::Serialize;

use crate::domain::client::Client;
use crate::domain::clock::Timestamp;
use crate::domain::ids::{ApiId, ClientId};
use crate::domain::issuer::Issuer;
use crate::domain::policy::PolicyText;
use crate::domain::rbac::Api;
use crate::domain::secret::Digest32;
use crate::domain::signing::SigningAlg;
use crate::keys::jwt::JwtType;
use crate::keys::ring::{KeyRing, SignError};
use crate::storage::{Store, StoreError, policies, shadows};

/// How long a signed snapshot is believed: a guard that starts while we are away uses the one on its disk.
const LIFETIME: Duration = Duration::from_hours(24);

/// How often a snapshot is signed anew although nothing changed. Times are cut to this step, so that every replica
/// says the same.
const STEP: Duration = Duration::from_hours(6);

/// How many signed snapshots are kept: one per service client in use.
const KEPT: usize = 256;

/// Signs what guards enforce.
#[derive(Clone)]
pub(crate) struct SnapshotService {
    store: Store,
    ring: KeyRing,
    issuer: Issuer,
    signed: Arc<Signed>,
}

/// What was signed last, by client.
struct Signed {
    active: Cache<ClientId, Arc<SignedSnapshot>>,
    shadows: Cache<ClientId, Arc<SignedSnapshot>>,
}

/// A signed snapshot, as one client gets it.
#[derive(Debug)]
pub(crate) struct SignedSnapshot {
    /// The JWS in compact form.
    pub(crate) jws: String,
    /// Changes with the revision and with the signature.
    pub(crate) entity_tag: String,
    edition: Edition,
}

/// What a signed snapshot depends on.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Edition {
    api: ApiId,
    what: What,
    issued_at: i64,
    /// The entity tag of the published keys: a signature is renewed when they change.
    keys: String,
}

/// Which rules of an API.
#[derive(Clone, Debug, Eq, PartialEq)]
enum What {
    /// Those in force.
    Revision(u64),
    /// Those that are tried beside them.
    Shadow(Digest32),
}

/// Why there is no snapshot.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SnapshotError {
    /// The API has no policy in force, or does not exist any more.
    #[error("the API has no policy in force")]
    NoPolicy,
    /// The client is not the guard of an API.
    #[error("the client serves no API")]
    ServesNothing,
    /// The snapshot could not be signed.
    #[error(transparent)]
    Sign(#[from] SignError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The claims of a snapshot. The receiver reads `api`, `revision`, `model` and `rules` as a
/// [`SnapshotDocument`](portcullis_policy::SnapshotDocument).
#[derive(Serialize)]
struct SnapshotClaims<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
    api: &'a str,
    revision: u64,
    model: &'a str,
    rules: &'a str,
    /// The name of rules that are only tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<String>,
}

impl SnapshotService {
    /// The service over this store and these keys.
    pub(crate) fn new(store: Store, ring: KeyRing, issuer: Issuer) -> Self {
        let signed = Signed { active: Cache::new(KEPT), shadows: Cache::new(KEPT) };
        Self { store, ring, issuer, signed: Arc::new(signed) }
    }

    /// The policy of the API that `client` serves. Nothing is read or signed unless something changed.
    pub(crate) async fn snapshot(
        &self,
        client: &Client,
        now: Timestamp,
    ) -> Result<Arc<SignedSnapshot>, SnapshotError> {
        let api = client.settings.serves.as_ref().ok_or(SnapshotError::ServesNothing)?;
        let api = self.store.api(api).await?.ok_or(SnapshotError::NoPolicy)?;
        let revision = api.active_revision.ok_or(SnapshotError::NoPolicy)?;
        self.signed(&self.signed.active, client, (&api, What::Revision(revision)), now).await
    }

    /// The rules that the guard is to try, if there are any.
    pub(crate) async fn shadow(
        &self,
        client: &Client,
        now: Timestamp,
    ) -> Result<Option<Arc<SignedSnapshot>>, SnapshotError> {
        let api = client.settings.serves.as_ref().ok_or(SnapshotError::ServesNothing)?;
        let api = self.store.api(api).await?.ok_or(SnapshotError::NoPolicy)?;
        let Some(sha256) = api.shadow else { return Ok(None) };
        match self.signed(&self.signed.shadows, client, (&api, What::Shadow(sha256)), now).await {
            // It has ended since.
            Err(SnapshotError::NoPolicy) => Ok(None),
            signed => signed.map(Some),
        }
    }

    async fn signed(
        &self,
        cache: &Cache<ClientId, Arc<SignedSnapshot>>,
        client: &Client,
        (api, what): (&Api, What),
        now: Timestamp,
    ) -> Result<Arc<SignedSnapshot>, SnapshotError> {
        let keys = self.ring.published().etag.trim_matches('"').to_owned();
        let edition = Edition { api: api.id.clone(), what, issued_at: step(now), keys };
        if let Some(signed) = cache.get(&client.id)
            && signed.edition == edition
        {
            return Ok(signed);
        }
        let signed = Arc::new(self.sign(client, api.audience.as_str(), edition).await?);
        cache.insert(client.id.clone(), Arc::clone(&signed));
        Ok(signed)
    }

    async fn sign(
        &self,
        client: &Client,
        audience: &str,
        edition: Edition,
    ) -> Result<SignedSnapshot, SnapshotError> {
        let Rules { name, revision, shadow, text } = self.rules(&edition).await?;
        let kind = if shadow.is_some() { JwtType::PolicyShadow } else { JwtType::PolicySnapshot };
        let claims = SnapshotClaims {
            iss: self.issuer.as_str(),
            aud: client.id.as_str(),
            iat: edition.issued_at,
            exp: Timestamp::from_secs(edition.issued_at).plus(LIFETIME).as_secs(),
            api: audience,
            revision,
            model: &text.model,
            rules: &text.rules,
            shadow,
        };
        let jws = self.ring.sign(SigningAlg::Es256, kind, &claims)?;
        let entity_tag = format!("\"{name}-{}-{}\"", edition.issued_at, edition.keys);
        Ok(SignedSnapshot { jws, entity_tag, edition })
    }

    async fn rules(&self, edition: &Edition) -> Result<Rules, SnapshotError> {
        let mut tx = self.store.read().await?;
        match &edition.what {
            What::Revision(number) => {
                let found = policies::find_revision(&mut tx, &edition.api, *number).await?;
                let text = found.ok_or(SnapshotError::NoPolicy)?.text;
                Ok(Rules { name: format!("r{number}"), revision: *number, shadow: None, text })
            }
            What::Shadow(sha256) => {
                let found = shadows::find(&mut tx, &edition.api).await?;
                let shadow = found.filter(|found| found.sha256 == *sha256).ok_or(SnapshotError::NoPolicy)?;
                let hex = sha256.hex();
                Ok(Rules { name: format!("s{hex}"), revision: 0, shadow: Some(hex), text: shadow.text })
            }
        }
    }
}

/// Rules that are to be signed.
struct Rules {
    /// What entity tags begin with.
    name: String,
    revision: u64,
    /// The name of rules that are only tried.
    shadow: Option<String>,
    text: PolicyText,
}

/// The last step before `now`, in seconds since 1970.
fn step(now: Timestamp) -> i64 {
    let secs = now.as_secs();
    let step = i64::try_from(STEP.as_secs()).unwrap_or(i64::MAX);
    secs.saturating_sub(secs.rem_euclid(step))
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{STARTER_RULES, SnapshotDocument};
    use serde_json::Value;

    use super::*;
    use crate::services::clients::form::ClientForm;
    use crate::services::trial::{START, Trial, operator};

    #[test]
    fn a_snapshot_lives_for_hours_after_it_was_signed_whenever_that_was() {
        for secs in [0, 1, 21_599, 21_600, 1_700_000_000] {
            let issued_at = step(Timestamp::from_secs(secs));
            assert!(issued_at <= secs, "it is not from the future");
            let left = Timestamp::from_secs(issued_at).plus(LIFETIME).since(Timestamp::from_secs(secs));
            assert!(left + STEP >= LIFETIME, "{secs}: {left:?}");
        }
    }

    async fn served(trial: &Trial) -> (Client, SnapshotService, KeyRing) {
        let api = trial.api("https://orders.example").await.id;
        let form = ClientForm {
            name: "Orders".to_owned(),
            preset: "service".to_owned(),
            serves: Some(api.to_string()),
            ..ClientForm::default()
        };
        let client = trial.clients.create(&form, &operator()).await.unwrap().client.value;
        let ring = trial.ring().await;
        (client, SnapshotService::new(trial.store.clone(), ring.clone(), trial.issuer.clone()), ring)
    }

    #[tokio::test]
    async fn a_guard_gets_the_policy_of_its_api_signed_and_addressed_to_it() {
        let trial = Trial::begin().await;
        let (client, snapshots, ring) = served(&trial).await;
        let signed = snapshots.snapshot(&client, START).await.unwrap();
        let jwt = ring.verify(&signed.jws).unwrap();
        assert!(jwt.header.is(JwtType::PolicySnapshot));
        let document: SnapshotDocument = serde_json::from_value(Value::Object(jwt.claims.clone())).unwrap();
        assert_eq!((document.api.as_str(), document.revision), ("https://orders.example", 1));
        assert_eq!(document.rules, STARTER_RULES);
        assert_eq!(jwt.claims["aud"], client.id.as_str());
        assert_eq!(jwt.claims["iss"], trial.issuer.as_str());
    }

    #[tokio::test]
    async fn an_unchanged_policy_is_neither_read_nor_signed_again() {
        let trial = Trial::begin().await;
        let (client, snapshots, _) = served(&trial).await;
        let first = snapshots.snapshot(&client, START).await.unwrap();
        let before = trial.store.statements();
        let second = snapshots.snapshot(&client, START).await.unwrap();
        assert_eq!(trial.store.statements(), before);
        assert!(Arc::ptr_eq(&first, &second));
    }

    #[tokio::test]
    async fn an_activation_or_the_end_of_a_step_changes_the_snapshot() {
        let trial = Trial::begin().await;
        let (client, snapshots, ring) = served(&trial).await;
        let first = snapshots.snapshot(&client, START).await.unwrap();
        let later = snapshots.snapshot(&client, START.plus(STEP)).await.unwrap();
        assert_ne!(first.entity_tag, later.entity_tag);
        let api = client.settings.serves.clone().unwrap();
        trial.policies().rollback(&api, 1, "Again", &operator()).await.unwrap();
        let new = snapshots.snapshot(&client, START).await.unwrap();
        assert_ne!(first.entity_tag, new.entity_tag);
        assert_eq!(ring.verify(&new.jws).unwrap().claims["revision"], 2);
    }

    #[tokio::test]
    async fn a_client_that_serves_nothing_gets_nothing() {
        let trial = Trial::begin().await;
        let (_, snapshots, _) = served(&trial).await;
        let form = ClientForm { name: "Robot".to_owned(), preset: "m2m".to_owned(), ..ClientForm::default() };
        let robot = trial.clients.create(&form, &operator()).await.unwrap().client.value;
        assert!(matches!(snapshots.snapshot(&robot, START).await, Err(SnapshotError::ServesNothing)));
    }
}

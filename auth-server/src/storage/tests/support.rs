//! A database per test, and things to put into it.

use std::time::Duration;

use tempfile::TempDir;

use crate::domain::backchannel::BackchannelLogout;
use crate::domain::claim::SingleClaims;
use crate::domain::client::{Client, ClientSettings, FirstParty, GrantType, Preset};
use crate::domain::client_authentication::{ClientAuthentication, ClientSecret};
use crate::domain::client_concessions::{AssertionAudience, Concessions, Pkce};
use crate::domain::client_protocol::{AnswerAlgs, ProtocolSettings, PushedRequests};
use crate::domain::client_url::ClientUrl;
use crate::domain::clock::{Clock, Timestamp};
use crate::domain::details::kind::DetailsTypeName;
use crate::domain::grant::{Grant, GrantIdentity};
use crate::domain::ids::{ApiId, ClientId, GrantId, Id, Kind, OrganisationId, SessionId, UserId};
use crate::domain::once::Once;
use crate::domain::profile::{AddressField, Profile, ProfileField};
use crate::domain::rbac::{AccessTokenSettings, Api, Audience};
use crate::domain::reach::Reach;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::scope::ScopeSet;
use crate::domain::secret::{Digest32, Entropy};
use crate::domain::security_profile::SecurityProfile;
use crate::domain::session::{Acr, AuthMethod, Session, SessionOrigin};
use crate::domain::signing::SigningAlg;
use crate::domain::user::{Email, Sub, User, Username};
use crate::storage::tx::Work;
use crate::storage::{Outcome, Store, StoreError, StoreOptions, Tx, apis, clients, grants, sessions, users};

/// The time at which every test begins.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Names a superuser's address of a private PostgreSQL.
const POSTGRES: &str = "PORTCULLIS_TEST_POSTGRES";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Backend {
    Postgres,
    Sqlite,
}

/// A migrated database of its own.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) place: Place,
}

/// Where a database is: a file in a folder that goes away with the test, or a database of the private cluster.
pub(crate) struct Place {
    pub(crate) options: StoreOptions,
    pub(crate) folder: Option<TempDir>,
}

/// A way for a transaction to end badly.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ending {
    Fault(StoreError),
    Refusal,
}

impl From<StoreError> for Ending {
    fn from(error: StoreError) -> Self {
        Self::Fault(error)
    }
}

impl Outcome for Ending {
    fn is_fault(&self) -> bool {
        matches!(self, Self::Fault(_))
    }
}

impl Fixture {
    pub(crate) async fn new(backend: Backend) -> Self {
        let place = Place::new(backend).await;
        let clock = Clock::manual(START);
        let store = Store::open(&place.options, clock.clone()).await.unwrap();
        assert!(store.migrate().await.unwrap().is_current());
        Self { store, clock, entropy: Entropy::os(), place }
    }

    /// A second store on the same database: another replica, or a command beside the server.
    pub(crate) async fn replica(&self) -> Store {
        Store::open(&self.place.options, self.clock.clone()).await.unwrap()
    }

    pub(crate) async fn read(&self) -> Tx {
        self.store.read().await.unwrap()
    }

    pub(crate) async fn write<T, W>(&self, work: W) -> T
    where
        W: for<'t> FnOnce(&'t mut Tx) -> Work<'t, Result<T, StoreError>> + Send + 'static,
        T: Send + 'static,
    {
        self.store.write(work).await.unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn id<K: Kind>(&self) -> Id<K> {
        Id::generate(self.now(), &self.entropy)
    }

    pub(crate) fn digest(&self) -> Digest32 {
        Digest32::of(&self.entropy.bytes::<32>())
    }

    pub(crate) async fn user(&self, name: &str) -> User {
        let user = User {
            id: self.id(),
            sub: Sub::generate(&self.entropy),
            organisation: OrganisationId::first(),
            username: Username::parse(name).unwrap(),
            name: "Ada Lovelace".to_owned(),
            email: Some(Email::parse("ada@example.org").unwrap()),
            email_verified_at: None,
            created_at: self.now(),
            disabled_at: None,
            profile: profile(self.now()),
        };
        let added = user.clone();
        self.write(move |tx| Box::pin(async move { users::insert(tx, &added).await })).await;
        user
    }

    pub(crate) async fn client(&self) -> Client {
        let client = Client {
            id: self.id(),
            name: "Orders".to_owned(),
            organisation: Some(OrganisationId::first()),
            authentication: ClientAuthentication::secret(ClientSecret {
                digest: self.digest(),
                created_at: self.now(),
            }),
            grants: vec![GrantType::AuthorizationCode, GrantType::Ciba, GrantType::RefreshToken],
            redirects: vec![RedirectUri::parse("https://orders.example/cb").unwrap()],
            post_logout_redirects: vec![RedirectUri::parse("https://orders.example/bye").unwrap()],
            scopes: scopes("openid email offline_access"),
            settings: ClientSettings {
                first_party: FirstParty::No,
                id_token_alg: SigningAlg::EdDsa,
                apis: vec![self.id()],
                details_types: vec![DetailsTypeName::parse("payment").unwrap()],
                serves: None,
                preset: Preset::Web,
                profile: SecurityProfile::Oauth21,
                protocol: ProtocolSettings {
                    pushed_requests: PushedRequests::Required,
                    answers: AnswerAlgs {
                        authorization_response_alg: Some(SigningAlg::Rs256),
                        introspection_response_alg: Some(SigningAlg::Ps256),
                    },
                    backchannel_logout: Some(BackchannelLogout {
                        uri: ClientUrl::parse("https://orders.example/backchannel").unwrap(),
                        session_required: true,
                    }),
                    ..ProtocolSettings::default()
                },
                concessions: Concessions {
                    pkce: Pkce::Optional,
                    assertion_audience: AssertionAudience::Endpoint,
                },
            },
            disabled_at: None,
        };
        let added = client.clone();
        self.write(move |tx| {
            Box::pin(async move {
                clients::insert(tx, &added).await?;
                tx.invalidate();
                Ok(())
            })
        })
        .await;
        client
    }

    pub(crate) async fn api(&self, audience: &str) -> Api {
        let api = Api {
            id: self.id::<crate::domain::ids::ApiKind>(),
            audience: Audience::parse(audience).unwrap(),
            name: "Orders".to_owned(),
            access_tokens: AccessTokenSettings { ttl: Duration::from_mins(5), alg: SigningAlg::Ps256 },
            active_revision: None,
            created_at: self.now(),
            administers: false,
            four_eyes: false,
            shadow: None,
            scopes: scopes("read write"),
        };
        let added = api.clone();
        self.write(move |tx| {
            Box::pin(async move {
                apis::insert(tx, &added).await?;
                tx.invalidate();
                Ok(())
            })
        })
        .await;
        api
    }

    pub(crate) async fn session(&self, user: &UserId, digest: &Digest32) -> Session {
        let session = Session {
            id: self.id(),
            user: user.clone(),
            auth_time: self.now(),
            created_at: self.now(),
            last_seen_at: self.now(),
            expires_at: self.now().plus(Duration::from_hours(24)),
            ended_at: None,
            methods: vec![AuthMethod::Password],
            acr: Acr::OneFactor,
            origin: SessionOrigin::new("192.0.2.1".parse().ok(), "Browser/1"),
        };
        let (added, digest) = (session.clone(), *digest);
        self.write(move |tx| Box::pin(async move { sessions::insert(tx, &added, &digest).await })).await;
        session
    }

    pub(crate) async fn grant(&self, client: &ClientId, user: &UserId, scope: &str) -> Grant {
        let claims = SingleClaims {
            id_token: "email nickname".parse().unwrap(),
            userinfo: "address".parse().unwrap(),
        };
        let grant = Grant {
            id: self.id::<crate::domain::ids::GrantKind>(),
            client: client.clone(),
            user: user.clone(),
            session: self.id(),
            scopes: scopes(scope),
            reach: Reach::default(),
            binding: crate::domain::confirmation::Confirmation::default(),
            created_at: self.now(),
            revoked_at: None,
            identity: GrantIdentity { auth_time: self.now(), claims },
        };
        self.insert_grant(&grant).await;
        grant
    }

    /// Waits until a transaction on PostgreSQL waits for another.
    pub(crate) async fn somebody_waits(&self) {
        let waiters =
            "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        let mut tx = self.read().await;
        while tx.fetch_all(waiters, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn insert_grant(&self, grant: &Grant) {
        let added = grant.clone();
        self.write(move |tx| {
            Box::pin(async move { grants::begin(tx, &added, None, &Once::default()).await.map(drop) })
        })
        .await;
    }

    /// A grant by which tokens can be issued.
    pub(crate) async fn any_grant(&self) -> (ClientId, UserId, SessionId, GrantId) {
        let client = self.client().await.id;
        let user = self.user("ada").await.id;
        let session = self.session(&user, &self.digest()).await.id;
        let grant = Grant { session: session.clone(), ..self.grant(&client, &user, "openid").await };
        let bound = Grant { id: self.id(), ..grant };
        self.insert_grant(&bound).await;
        (client, user, session, bound.id)
    }

    pub(crate) fn api_id(&self) -> ApiId {
        self.id()
    }
}

impl Place {
    pub(crate) async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Postgres => Self { options: StoreOptions::new(make_database().await), folder: None },
            Backend::Sqlite => {
                let folder = tempfile::tempdir().unwrap();
                let file = folder.path().join("portcullis.db");
                Self {
                    options: StoreOptions::new(format!("sqlite:{}", file.display())),
                    folder: Some(folder),
                }
            }
        }
    }

    /// A connection of one's own to the SQLite file.
    pub(crate) fn beside(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.options.url.strip_prefix("sqlite:").unwrap()).unwrap()
    }

    /// Runs SQL behind the back of the store.
    pub(crate) async fn tamper(&self, sql: &'static str) {
        if self.folder.is_some() {
            self.beside().execute_batch(sql).unwrap();
        } else {
            let pool = sqlx::PgPool::connect(&self.options.url).await.unwrap();
            sqlx::raw_sql(sql).execute(&pool).await.unwrap();
            pool.close().await;
        }
    }
}

pub(crate) fn scopes(raw: &str) -> ScopeSet {
    ScopeSet::parse(raw).unwrap()
}

async fn make_database() -> String {
    let Ok(server) = std::env::var(POSTGRES) else {
        panic!("{POSTGRES} is not set: this test needs PostgreSQL, and ./tests/run starts one for it");
    };
    let random = Digest32::of(&Entropy::os().bytes::<16>()).hex();
    let name = format!("store_{}", &random[..24]);
    let pool = sqlx::PgPool::connect(&server).await.unwrap();
    let create = format!("CREATE DATABASE {name} TEMPLATE template0");
    sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&pool).await.unwrap();
    pool.close().await;
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

fn profile(now: Timestamp) -> Profile {
    let mut profile = Profile::default();
    profile.set(ProfileField::Nickname, "the \u{e9}nchantress").unwrap();
    profile.set_address(AddressField::StreetAddress, "12 St James's Square\nLondon").unwrap();
    profile.updated(Some(now))
}

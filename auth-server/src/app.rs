//! The composition root: the one module that names every concrete type and puts them together.

mod admin_api;
mod administration;
mod arrivals;
mod background;
pub(crate) mod client_file;
mod front;
pub(crate) mod gateway;
mod ground;
mod listeners;
pub(crate) mod look;
mod protocol;
mod start_error;
mod tls;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::time::Instant;

use crate::app::administration::Administration;
use crate::app::arrivals::Arrivals;
use crate::app::front::FrontError;
use crate::app::ground::Ground;
pub use crate::app::listeners::Listeners;
pub use crate::app::start_error::StartError;
use crate::app::tls::Spoken;
use crate::config::Config;
use crate::domain::clock::Clock;
use crate::domain::issuer::Issuer;
use crate::domain::secret::Entropy;
use crate::http;
use crate::http::edge::Edge;
use crate::http::protocol::Protocol;
use crate::http::state::{AppState, Front, Parts};
use crate::http::tls::TlsError;
use crate::keys::master::{self, MasterKey, SealedData};
use crate::keys::ring::KeyRing;
use crate::keys::rotate::Schedule;
use crate::keys::seal::Sealer;
use crate::outbound::{Outbound, Resolver};
use crate::services::apis::ApiService;
use crate::services::assignments::AssignmentService;
use crate::services::backchannel::{LogoutNotices, LogoutSender};
use crate::services::caller::Caller;
use crate::services::ciba::ping::PingSender;
use crate::services::clients::ClientService;
use crate::services::health::HealthService;
use crate::services::invitations::InvitationService;
use crate::services::owners::ADMIN_API_PATH;
use crate::services::password::PasswordHasher;
use crate::services::policies::PolicyService;
use crate::services::policies::inventory::InventoryService;
use crate::services::policies::records::RecordsError;
use crate::services::provision::{Parts as Provisions, ProvisionService};
use crate::services::registration::admin::RegistrationAdmin;
use crate::services::roles::RoleService;
use crate::services::setup::SetupService;
use crate::services::sign_outs::SignOutService;
use crate::services::users::UserService;
use crate::storage::{Store, StoreError, StoreOptions, signing_keys};

/// Pause between two attempts to reach a database that is not there yet.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// The whole server, ready to serve: store open and migrated, keys made. Nothing listens yet. A clone is the same server.
#[derive(Clone)]
pub struct App {
    ground: Ground,
    front: Front,
    administration: Administration,
    protocol: Protocol,
    arrivals: Arc<Arrivals>,
    tls: Spoken,
    admin_api: Router<AppState>,
    logouts: LogoutSender,
}

impl App {
    /// Opens everything that the server stands on, and makes what a first start has to make.
    ///
    /// The order matters when a first start is cut short: database, master key, signing keys. At each point the next start finds
    /// either all that it needs or none of it.
    pub async fn open(config: Config, clock: Clock, entropy: Entropy) -> Result<Self, StartError> {
        // On the heap: it is large, and whoever starts a server would hold it in a future of their own.
        Box::pin(Self::opened(config, clock, entropy)).await
    }

    async fn opened(config: Config, clock: Clock, entropy: Entropy) -> Result<Self, StartError> {
        master::create_data_dir(config.data_dir())?;
        let store = open_store(&config, &clock).await?;
        refuse_lost_database(&config, &store).await?;
        store.migrate().await?;
        let master = MasterKey::obtain(&config, sealed_data(&store).await?, &entropy)?;
        let sealer = Sealer::from_master(&master, entropy.clone());
        let schedule = schedule(&config);
        let keys = KeyRing::open(store.clone(), sealer.clone(), clock.clone(), schedule).await?;
        let hasher = PasswordHasher::start(&config.passwords, entropy.clone()).map_err(FrontError::from)?;
        let outbound = Outbound::new(&config.reach.outbound, Resolver::System, clock.clone())?;
        let notices = LogoutNotices::new(entropy.clone());
        let mail = ground::mail(&config, (&store, &sealer, &clock, &entropy))?;
        let ground = Ground {
            config: Arc::new(config),
            clock,
            entropy,
            store,
            sealer,
            keys,
            hasher,
            outbound,
            notices,
            mail,
        };
        let administration = Box::pin(administration::open(&ground)).await?;
        let admin_api = admin_api::open(&ground, &administration).await?;
        let front =
            front::open(&ground, (administration.assignments.clone(), administration.people.users.owners()))?;
        let arrivals = Arc::new(arrivals::build(&ground, &administration));
        let authorities = tls::authorities(&ground.config.server.tls)?;
        let vouched = (authorities.clone(), arrivals.documents.clone());
        let protocol = protocol::build(&ground, &front.login, vouched)?;
        let tls = tls::open(&ground.config.server.tls, authorities.as_ref())?;
        let logouts = ground.logout_sender();
        Ok(Self { ground, front, administration, protocol, arrivals, tls, admin_api, logouts })
    }

    /// Answers requests on `listeners` until `stop` ends, then lets open ones finish. Jobs run meanwhile.
    pub async fn serve(self, listeners: impl Into<Listeners>, stop: impl Future<Output = ()>) {
        let edge = Edge::new(
            http::router(self.state(), self.admin_api.clone()),
            &self.ground.config,
            self.ground.entropy.clone(),
            self.front.pages.clone(),
        );
        let mut background =
            background::start(&self.ground, &self.administration, (&self.logouts, self.pings()));
        background.spawn(background::follow_certificate(self.tls.clone()));
        let uses = self.protocol.clients.uses().clone();
        background.spawn(background::note_uses(uses.clone()));
        let events = &self.administration.distribution.events;
        // Guards that listen would keep their connections open for ever.
        let stop = async {
            stop.await;
            events.close();
        };
        listeners::serve(listeners.into(), &self.tls, edge, &self.ground.config, stop).await;
        background.shutdown().await;
        Box::pin(background::note_the_last_uses(&uses)).await;
        Box::pin(background::record_the_last(self.administration.distribution.decisions.notes())).await;
        self.ground.store.close().await;
    }

    /// Takes the configured issuer over: the admin API has another address when that changed. Only a server does this; a command
    /// beside it may have been told another issuer, or none.
    pub(crate) async fn adopt_issuer(&self) -> Result<(), StartError> {
        let caller = Caller::system(self.ground.clock.now());
        Ok(self.administration.apis.follow_issuer(&caller).await?)
    }

    /// The issuer that the server was started with last: what a command prints links with.
    pub(crate) async fn served_issuer(&self) -> Result<Issuer, StartError> {
        let audience = self.administration.apis.admin_api().await?.audience;
        let served = audience.as_str().strip_suffix(ADMIN_API_PATH).and_then(|url| Issuer::parse(url).ok());
        Ok(served.unwrap_or_else(|| self.issuer()))
    }

    /// The database.
    pub const fn store(&self) -> &Store {
        &self.ground.store
    }

    /// The signing keys.
    pub const fn keys(&self) -> &KeyRing {
        &self.ground.keys
    }

    /// The issuer: the name of this server in every token.
    pub fn issuer(&self) -> Issuer {
        self.ground.config.issuer()
    }

    /// Accounts.
    pub const fn users(&self) -> &UserService {
        &self.administration.people.users
    }

    /// Accounts that are offered.
    pub(crate) const fn invitations(&self) -> &InvitationService {
        &self.administration.people.invitations
    }

    /// The programs that ask for tokens.
    pub const fn clients(&self) -> &ClientService {
        &self.administration.programs.clients
    }

    /// Clients that came by themselves, and the tokens that let them.
    pub(crate) const fn registrations(&self) -> &RegistrationAdmin {
        &self.administration.programs.registrations
    }

    /// The services that tokens are for.
    pub const fn apis(&self) -> &ApiService {
        &self.administration.apis
    }

    /// The roles of those services.
    pub const fn roles(&self) -> &RoleService {
        &self.administration.roles
    }

    /// Who holds which role.
    pub const fn assignments(&self) -> &AssignmentService {
        &self.administration.assignments
    }

    /// The rules of those services.
    pub const fn policies(&self) -> &PolicyService {
        &self.administration.policies
    }

    /// What services say about their routes.
    pub(crate) const fn inventories(&self) -> &InventoryService {
        &self.administration.distribution.inventories
    }

    /// Reads the certificate of this server again, as it does by itself every few seconds; gives whether it is another one.
    pub fn refresh_certificate(&self) -> Result<bool, TlsError> {
        self.tls.refresh()
    }

    /// Writes when secrets of clients were used, as it does by itself every few seconds.
    pub async fn note_secret_uses(&self) -> Result<(), StoreError> {
        self.protocol.clients.uses().flush().await
    }

    /// Writes what this server decided itself into the records, which it does by itself every few seconds.
    pub async fn record_decisions(&self) -> Result<(), RecordsError> {
        self.administration.distribution.decisions.notes().flush().await
    }

    /// Tells clients of the sign-outs that they are to be told of now, which it does by itself every few seconds, and waits until
    /// nothing is on its way any more.
    pub async fn tell_of_sign_outs(&self) -> Result<(), StoreError> {
        self.logouts.deliver_due().await?;
        self.logouts.settled().await;
        Ok(())
    }

    /// Tells clients of the decisions that they are to be told of now, as it does by itself every few seconds, and waits until nothing is
    /// on its way any more.
    pub async fn tell_of_decisions(&self) -> Result<(), StoreError> {
        self.pings().deliver_due().await?;
        self.pings().settled().await;
        Ok(())
    }

    /// Sends the letters that are due, as it does by itself every few seconds, and waits until nothing is on its way any more.
    pub async fn send_letters(&self) -> Result<(), StoreError> {
        self.ground.mail.deliver_due().await?;
        self.ground.mail.settled().await;
        Ok(())
    }

    fn pings(&self) -> &PingSender {
        self.protocol.decoupled.ciba.pings()
    }

    /// What clients were told of sign-outs.
    pub(crate) fn sign_outs(&self) -> SignOutService {
        SignOutService::new(self.store().clone())
    }

    /// What commands make in one go.
    pub(crate) fn provision(&self) -> ProvisionService {
        let Administration { apis, assignments, people, programs, .. } = self.administration.clone();
        let (clients, users) = (programs.clients, people.users);
        ProvisionService::new(self.store().clone(), Provisions { apis, assignments, clients, users })
    }

    /// The first administrator.
    pub const fn setup(&self) -> &SetupService {
        &self.administration.console.setup
    }

    /// What handlers are given. A new service is built in [`open`](Self::open) and named here.
    fn state(&self) -> AppState {
        AppState::new(Parts {
            clock: self.ground.clock.clone(),
            config: Arc::clone(&self.ground.config),
            console: self.administration.console.clone(),
            entropy: self.ground.entropy.clone(),
            front: self.front.clone(),
            keys: self.ground.keys.clone(),
            protocol: self.protocol.clone(),
            newcomers: self.arrivals.newcomers(),
            rulings: self.administration.distribution.rulings(),
            health: HealthService::new(self.ground.store.clone()),
        })
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("store", &self.ground.store).finish_non_exhaustive()
    }
}

/// Opens the database; waits for one that runs elsewhere and is not there yet.
pub(crate) async fn open_store(config: &Config, clock: &Clock) -> Result<Store, StartError> {
    reach(config, async |options| Store::open(options, clock.clone()).await).await
}

/// Tries until the database answers, for as long as a start waits.
async fn reach<T>(
    config: &Config,
    open: impl AsyncFn(&StoreOptions) -> Result<T, StoreError>,
) -> Result<T, StartError> {
    let wait = config.database.connect_timeout();
    let deadline = Instant::now() + wait;
    let options = StoreOptions {
        url: config.database_url().expose().to_owned(),
        max_connections: config.database.max_connections,
        connect_timeout: wait,
    };
    loop {
        match open(&options).await {
            Ok(opened) => return Ok(opened),
            Err(error) if !is_away(&error) || is_file(config) => return Err(error.into()),
            Err(cause) if Instant::now() + RETRY_EVERY >= deadline => {
                return Err(StartError::DatabaseAway { waited_secs: wait.as_secs(), cause });
            }
            Err(cause) => {
                tracing::warn!(%cause, "waiting for the database");
                tokio::time::sleep(RETRY_EVERY).await;
            }
        }
    }
}

/// A server that is being started looks like this; so does one with another address, which the last error tells.
const fn is_away(error: &StoreError) -> bool {
    matches!(error, StoreError::Busy | StoreError::CannotOpen { .. } | StoreError::Unavailable { .. })
}

/// A file does not come up later.
fn is_file(config: &Config) -> bool {
    config.database_url().expose().starts_with("sqlite:")
}

/// A SQLite file that vanished or was emptied must never look like a first start: that would hand the server to whoever comes first.
async fn refuse_lost_database(config: &Config, store: &Store) -> Result<(), StartError> {
    let url = config.database_url();
    let Some(file) = url.expose().strip_prefix("sqlite:") else { return Ok(()) };
    if master::exists_in(config) && store.schema_status().await?.applied == 0 {
        return Err(StartError::DatabaseLost { database: file.into() });
    }
    Ok(())
}

fn schedule(config: &Config) -> Schedule {
    Schedule { rotate_after: config.keys.rotate_after(), overlap: config.keys.overlap() }
}

async fn sealed_data(store: &Store) -> Result<SealedData, StoreError> {
    let any = signing_keys::any(&mut store.read().await?).await?;
    Ok(if any { SealedData::Exists } else { SealedData::None })
}

#[cfg(test)]
mod tests;

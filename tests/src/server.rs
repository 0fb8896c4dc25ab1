//! A server in the test's own process.

use std::ops::Deref;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use portcullis_server::config::{Config, MtlsUrl, SecretText};
use portcullis_server::domain::audit::Actor;
use portcullis_server::domain::clock::Clock;
use portcullis_server::domain::secret::Entropy;
use portcullis_server::services::assignments::AssignmentForm;
use portcullis_server::services::caller::Caller;
use portcullis_server::services::clients::form::ClientForm;
use portcullis_server::{App, Listeners};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::admin::Admin;
use crate::agent::Answer;
use crate::authorize::AuthorizeRequest;
use crate::balanced::Balancer;
use crate::database::Database;
use crate::log::{Log, PANICKED};
use crate::registered::Registered;
use crate::token::Machine;
use crate::visitor::{Person, Visitor};

/// A server on a port of its own, with a database of its own and a clock that stands still until the test moves it.
///
/// Nobody administrates it yet: for that there is [`TestServer`].
pub struct BareServer {
    /// What the server calls itself; its address as well, but for a replica's.
    pub issuer: String,
    /// The dial of its clock.
    pub clock: Clock,
    /// Asks its machine endpoints.
    pub machine: Machine,
    /// What it wrote to its log.
    pub log: Log,
    /// On the heap: whoever holds a server in a future would hold all of it.
    app: Box<App>,
    /// What a replica is started with as well.
    config: Box<Config>,
    data_dir: Arc<TempDir>,
    serving: Option<Serving>,
    /// Where it takes turns with another.
    other: Option<Box<Other>>,
}

/// What stands beside a server that takes turns with another.
struct Other {
    replica: BareServer,
    _balancer: Balancer,
}

/// A server that answers until it is told to stop.
struct Serving {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// A server with a program that administrates it.
pub struct TestServer {
    /// The administrator's program.
    pub admin: Admin,
    server: BareServer,
}

impl Deref for TestServer {
    type Target = BareServer;

    fn deref(&self) -> &BareServer {
        &self.server
    }
}

impl TestServer {
    /// Starts a server with the defaults of tests.
    pub async fn start_on(database: Database) -> Self {
        Self::start_with(database, |_| {}).await
    }

    /// Starts a server whose configuration the test changes first.
    pub async fn start_with(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let server = Box::pin(BareServer::start_with(database, change)).await;
        let owner = Box::pin(owner(&server.app, &server.clock)).await;
        let admin = Admin::new(&server.issuer, owner);
        Self { admin, server }
    }

    /// Another server on the same database, with the same name, configuration and clock, and an address of its own: as behind a
    /// balancer. Its `admin` is the same program, which asks this one.
    ///
    /// Replicas are always on PostgreSQL. On SQLite this is the second server that there is for a moment when one takes the place of
    /// another too early: whatever counts once has to count once then as well.
    pub async fn replica(&self) -> Self {
        let server = Box::pin(self.server.replica()).await;
        Self { admin: self.admin.at(&server.machine.url("")), server }
    }

    /// The same with another configuration, as after a restart: for what was made while something was different.
    pub async fn replica_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let server = Box::pin(self.server.replica_with(change)).await;
        Self { admin: self.admin.at(&server.machine.url("")), server }
    }

    /// Stops the server as an operator would, and waits until it has stopped.
    pub async fn stop(self) {
        Box::pin(self.server.stop()).await;
    }
}

impl BareServer {
    /// Starts a server that nobody administrates yet.
    pub async fn start_on(database: Database) -> Self {
        Self::start_with(database, |_| {}).await
    }

    /// Starts a server whose configuration the test changes first.
    ///
    /// # Panics
    ///
    /// When it does not start.
    pub async fn start_with(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let log = Log::of_this_process();
        let data_dir = tempfile::tempdir().expect("a temporary folder can be made");
        let front = free_port().await;
        let issuer = issuer_of(&front);
        let mut config = Config::for_tests(data_dir.path(), &issuer);
        config.database.url = Some(SecretText::new(database.create(data_dir.path()).await));
        change(&mut config);
        // Over TLS it goes by the name that the test gave it.
        let speaks_tls = config.server.tls.certificate.is_some();
        let issuer = if speaks_tls { config.issuer().as_str().to_owned() } else { issuer };
        let (listener, front) = match database {
            Database::Replicas => (free_port().await, Some(front)),
            Database::Postgres | Database::Sqlite => (front, None),
        };
        let own = issuer_of(&listener);
        // The present, because the parties on the other side read the clock of the machine.
        let clock = Clock::manual(Clock::system().now());
        let listeners = Listeners { first: listener, mtls: second(&mut config).await };
        let (app, serving) = Box::pin(serve(config.clone(), clock.clone(), listeners)).await;
        let machine = Machine::new(&issuer);
        let (config, data_dir) = (Box::new(config), Arc::new(data_dir));
        let serving = Some(serving);
        let mut server = Self { issuer, clock, machine, log, app, config, data_dir, serving, other: None };
        if let Some(front) = front {
            let replica = Box::pin(server.replica()).await;
            let addresses = vec![own, replica.machine.url("")];
            server.other = Some(Box::new(Other { replica, _balancer: Balancer::start(front, addresses) }));
        }
        server
    }

    /// See [`TestServer::replica`].
    async fn replica(&self) -> Self {
        self.replica_with(|_| {}).await
    }

    /// See [`TestServer::replica_with`].
    async fn replica_with(&self, change: impl FnOnce(&mut Config)) -> Self {
        let listener = free_port().await;
        let machine = Machine::new(&issuer_of(&listener));
        let mut config = self.config.clone();
        change(&mut config);
        let (app, serving) =
            Box::pin(serve(Config::clone(&config), self.clock.clone(), listener.into())).await;
        let (issuer, clock, log) = (self.issuer.clone(), self.clock.clone(), self.log.clone());
        let (data_dir, serving) = (Arc::clone(&self.data_dir), Some(serving));
        Self { issuer, clock, machine, log, app, config, data_dir, serving, other: None }
    }

    /// A browser that was never here.
    pub fn visitor(&self) -> Visitor {
        Visitor::through(&self.machine.url(""), &self.issuer)
    }

    /// What an application gets for somebody who comes from it with a browser that was never here.
    pub async fn tokens(&self, client: &Registered, request: &AuthorizeRequest, person: &Person) -> Answer {
        let callback = self.visitor().authorize(request, person).await;
        self.machine.redeem(client, request, &callback).await
    }

    /// Moves the clock.
    pub fn wait(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Moves the clock to the present, for parties on the other side that read the clock of the machine.
    pub fn catch_up(&self) {
        let behind = Clock::system().now().as_secs() - self.clock.now().as_secs();
        self.clock.advance(Duration::from_secs(u64::try_from(behind).unwrap_or_default()));
    }

    /// The look that every server takes each second at what another changed: clients, APIs and the like may be as old as that. One that
    /// is alone knows what it changed itself, or is wrong.
    ///
    /// # Panics
    ///
    /// When the database does not answer.
    pub async fn look(&self) {
        if self.other.is_none() {
            return;
        }
        for app in self.apps() {
            app.store().refresh_if_stale().await.expect("the database answers");
        }
    }

    /// Statements that the server ran so far, in transactions and reads.
    pub fn statements(&self) -> u64 {
        self.apps().map(|app| app.store().statements()).sum()
    }

    /// The application inside, and the one that it takes turns with.
    fn apps(&self) -> impl Iterator<Item = &App> {
        let other = self.other.as_deref().map(|other| &*other.replica.app);
        std::iter::once(&*self.app).chain(other)
    }

    /// The application inside, for what no endpoint shows.
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// The code of a new set-up link, as the server prints it when it starts.
    ///
    /// # Panics
    ///
    /// When somebody administrates the server already.
    pub async fn setup_code(&self) -> String {
        let link = self.app.setup().issue_link(Actor::System).await.expect("nobody administrates the server");
        link.expose().to_owned()
    }

    /// The folder with its data.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// Stops the server as an operator would, and waits until it has stopped.
    ///
    /// # Panics
    ///
    /// When the server panicked.
    pub async fn stop(mut self) {
        if let Some(other) = self.other.take() {
            Box::pin(other.replica.stop()).await;
        }
        if let Some(Serving { stop, task }) = self.serving.take() {
            _ = stop.send(());
            task.await.expect("the server does not panic");
        }
    }
}

/// Nobody who is done with a server leaves a panic of it behind: such a request was answered, and the answer might not tell.
impl Drop for BareServer {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(!self.log.holds(PANICKED), "{}", self.log.lines_with(PANICKED).join("\n"));
        }
    }
}

/// Opens a server, and has it answer.
async fn serve(config: Config, clock: Clock, listeners: Listeners) -> (Box<App>, Serving) {
    let app = Box::pin(App::open(config, clock, Entropy::os())).await;
    let app = Box::new(app.expect("the server starts"));
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn({
        let app = App::clone(&app);
        let until = async move { _ = stopped.await };
        async move { Box::pin(app.serve(listeners, until)).await }
    });
    (app, Serving { stop, task })
}

/// The second address, if the configuration has one: at a free port of this machine, whatever the test wrote.
async fn second(config: &mut Config) -> Option<TcpListener> {
    let second = config.server.tls.mtls.as_mut().filter(|second| second.listen.is_some())?;
    let listener = free_port().await;
    let url = MtlsUrl::try_from(issuer_of(&listener).replace("http://", "https://"));
    second.url = url.expect("it is an address");
    Some(listener)
}

async fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.expect("a free port exists")
}

/// `localhost`, because browsers keep `Secure` cookies of it without TLS.
fn issuer_of(listener: &TcpListener) -> String {
    let port = listener.local_addr().expect("a bound listener has an address").port();
    format!("http://localhost:{port}")
}

/// The first program that may use the admin API, made as the command line makes it.
async fn owner(app: &App, clock: &Clock) -> Registered {
    let caller = Caller::operator(clock.now());
    let api = app.apis().admin_api().await.expect("the admin API exists");
    let form = ClientForm {
        name: "Harness".to_owned(),
        preset: "m2m".to_owned(),
        apis: vec![api.id.to_string()],
        ..ClientForm::default()
    };
    let made = app.clients().create(&form, &caller).await.expect("the first client is made");
    let id = made.client.value.id.to_string();
    let role = AssignmentForm { role: "owner".to_owned(), subject: id.clone(), organisation: None };
    app.assignments().grant(&api.id, &role, &caller).await.expect("the first client becomes owner");
    let secret = made.secret.map(|secret| secret.expose().to_owned());
    Registered { id, secret, redirect_uris: Vec::new() }
}

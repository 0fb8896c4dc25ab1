//! Starts that succeed, starts that must not, and the first administrator.

use std::fs::{self, OpenOptions};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use tokio::net::TcpListener;

use super::*;
use crate::domain::audit::Actor;
use crate::domain::clock::Timestamp;
use crate::keys::master::MasterKeyError;
use crate::services::paging::PageQuery;
use crate::services::setup::{LINK_TTL, NewAdmin, SetupError};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A data folder, and a clock that the test moves.
struct Place {
    dir: tempfile::TempDir,
    clock: Clock,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir, clock: Clock::manual(Timestamp::from_secs(1_800_000_000)) }
    }

    fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    fn config(&self) -> Config {
        Config::for_tests(self.data(), "http://localhost:8080")
    }

    async fn open(&self) -> Result<App, StartError> {
        App::open(self.config(), self.clock.clone(), Entropy::os()).await
    }

    async fn app(&self) -> App {
        self.open().await.unwrap()
    }
}

fn ada(code: &str) -> NewAdmin {
    NewAdmin {
        code: code.to_owned(),
        username: "ada".to_owned(),
        password: "correct horse battery".to_owned(),
    }
}

async fn create(app: &App, form: &NewAdmin) -> Result<(), SetupError> {
    app.setup().create_admin(form, HERE, app.ground.clock.now()).await.map(drop)
}

async fn code(app: &App) -> String {
    app.setup().issue_link(Actor::System).await.unwrap().expose().to_owned()
}

#[tokio::test]
async fn a_first_start_makes_everything_and_lets_only_its_owner_read_it() {
    let place = Place::new();
    let app = place.app().await;
    assert_eq!(app.keys().list().len(), 4);
    assert!(app.setup().pending().await.unwrap());
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&place.data()), 0o700);
    let files: Vec<_> = fs::read_dir(place.data()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_link_makes_one_administrator_and_then_there_is_no_such_way_in() {
    let place = Place::new();
    let app = place.app().await;
    let (first, second) = (code(&app).await, code(&app).await);
    create(&app, &ada(&first)).await.unwrap();
    assert!(!app.setup().pending().await.unwrap());
    for used in [&first, &second] {
        assert!(matches!(create(&app, &ada(used)).await, Err(SetupError::Finished)));
    }
    assert!(matches!(app.setup().issue_link(Actor::Operator).await, Err(SetupError::Finished)));
    drop(app);
    assert!(!place.app().await.setup().pending().await.unwrap(), "a restart does not bring it back");
}

#[tokio::test]
async fn of_two_replicas_that_set_up_at_once_one_makes_the_administrator() {
    let place = Place::new();
    let (one, two) = (place.app().await, place.app().await);
    let (first, second) =
        (ada(&code(&one).await), NewAdmin { username: "bob".to_owned(), ..ada(&code(&two).await) });
    let (left, right) = tokio::join!(create(&one, &first), create(&two, &second));
    assert!(left.is_ok() != right.is_ok(), "{left:?} {right:?}");
    let lost = left.err().or(right.err()).unwrap();
    assert!(matches!(lost, SetupError::Finished), "{lost}");
}

#[tokio::test]
async fn a_wrong_an_old_and_a_foreign_code_make_nobody() {
    let place = Place::new();
    let app = place.app().await;
    let old = code(&app).await;
    place.clock.advance(LINK_TTL);
    let foreign = OpaqueTokenOf::session();
    for wrong in ["", "pcl_", "secret", old.as_str(), foreign.as_str()] {
        assert!(matches!(create(&app, &ada(wrong)).await, Err(SetupError::Code)), "{wrong}");
    }
    assert!(app.setup().pending().await.unwrap());
}

/// A secret of another kind.
struct OpaqueTokenOf;

impl OpaqueTokenOf {
    fn session() -> String {
        use crate::domain::secret::{OpaqueToken, TokenKind};
        OpaqueToken::generate(TokenKind::Session, &Entropy::os()).expose().to_owned()
    }
}

#[tokio::test]
async fn a_refused_form_does_not_use_up_the_link() {
    let place = Place::new();
    let app = place.app().await;
    let code = code(&app).await;
    let wrong = NewAdmin { password: "short".to_owned(), username: "a b".to_owned(), ..ada(&code) };
    let Err(SetupError::Invalid(errors)) = create(&app, &wrong).await else { panic!("refused") };
    let pointers: Vec<_> = errors.iter().map(|error| error.pointer.clone()).collect();
    assert_eq!(pointers, ["/username", "/password"]);
    create(&app, &ada(&code)).await.unwrap();
}

#[test]
fn the_page_is_open_to_this_machine_unless_configured() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let place = Place::new();
        let outside = IpAddr::from([192, 0, 2, 7]);
        let app = place.app().await;
        assert!(app.setup().is_open_to(HERE) && !app.setup().is_open_to(outside));
        let mut config = place.config();
        config.server.setup_from = crate::config::SetupFrom::Anywhere;
        let app = App::open(config, place.clock.clone(), Entropy::os()).await.unwrap();
        assert!(app.setup().is_open_to(outside));
    });
}

#[tokio::test]
async fn a_database_that_was_lost_or_emptied_never_looks_like_a_first_start() {
    for lose in [
        |file: &Path| fs::remove_file(file).unwrap(),
        |file: &Path| {
            OpenOptions::new().write(true).truncate(true).open(file).map(drop).unwrap();
        },
    ] {
        let place = Place::new();
        let app = place.app().await;
        app.store().close().await;
        drop(app);
        for name in ["portcullis.db-wal", "portcullis.db-shm"] {
            drop(fs::remove_file(place.data().join(name)));
        }
        lose(&place.data().join("portcullis.db"));
        let refused = place.open().await.unwrap_err();
        assert!(matches!(refused, StartError::DatabaseLost { .. }), "{refused}");
        let again = place.open().await.unwrap_err();
        assert!(matches!(again, StartError::DatabaseLost { .. }), "it stays refused: {again}");
    }
}

#[tokio::test]
async fn a_lost_or_foreign_master_key_stops_the_start_and_changes_nothing() {
    let place = Place::new();
    drop(place.app().await);
    let path = place.data().join("master.key");
    let good = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let missing = place.open().await.unwrap_err();
    assert!(matches!(missing, StartError::MasterKey(MasterKeyError::Missing { .. })), "{missing}");
    assert!(!path.exists(), "no new key is made");
    let mut config = place.config();
    config.keys.master_key =
        Some(crate::config::SecretText::new("sBcOqfNyQ5JXtV0fEw8cBl1tCkqFhM3aT9mLx7ZrG2U="));
    let foreign = App::open(config, place.clock.clone(), Entropy::os()).await.unwrap_err();
    assert!(matches!(foreign, StartError::OtherMasterKey(_)), "{foreign}");
    fs::write(&path, good).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(place.app().await.keys().list().len(), 4, "the same keys as before");
}

#[tokio::test]
async fn a_data_folder_that_cannot_be_made_is_named() {
    let place = Place::new();
    fs::write(place.data(), "a file where the folder should be").unwrap();
    let refused = place.open().await.unwrap_err().to_string();
    assert!(refused.contains(&place.data().display().to_string()), "{refused}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_waited_for_only_so_long() {
    let place = Place::new();
    let mut config = place.config();
    // Port 1 on this machine: nothing listens, and the refusal comes at once.
    config.database.url =
        Some(crate::config::SecretText::new("postgres://portcullis:hunter2@127.0.0.1:1/none"));
    config.database.connect_timeout_secs = 1;
    let refused = App::open(config, place.clock.clone(), Entropy::os()).await.unwrap_err();
    assert!(matches!(refused, StartError::DatabaseAway { waited_secs: 1, .. }), "{refused}");
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
}

#[tokio::test]
async fn a_server_answers_and_stops_when_it_is_told_to() {
    let place = Place::new();
    let app = place.app().await;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(app.serve(listener, async { drop(stopped.await) }));
    let answer = ask(address, "GET /healthz/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-content-type-options: nosniff\r\n"), "{answer}");
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), serving).await.unwrap().unwrap();
    let nobody = tokio::net::TcpStream::connect(address).await.unwrap_err();
    assert_eq!(nobody.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_policy_that_another_replica_activates_between_opening_and_serving_is_in_force() {
    let place = Place::new();
    let (one, two) = (place.app().await, place.app().await);
    let mut heard = one.store().invalidations();
    let caller = crate::services::caller::Caller::operator(place.clock.now());
    let api = two.apis().admin_api().await.unwrap().id;
    let revision = two.policies().rollback(&api, 1, "Once more", &caller).await.unwrap().number;
    heard.changed().await.unwrap();
    let live = one.administration.console.policy.clone();
    assert_ne!(live.shared().revision(), Some(revision), "it was opened before");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(one.serve(listener, async { drop(stopped.await) }));
    let in_force = async {
        while live.shared().revision() != Some(revision) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), in_force).await.expect("it is taken over");
    stop.send(()).unwrap();
    serving.await.unwrap();
}

#[tokio::test]
async fn a_folder_that_others_may_write_to_is_refused() {
    let place = Place::new();
    fs::create_dir(place.data()).unwrap();
    for mode in [0o777, 0o720, 0o702] {
        fs::set_permissions(place.data(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = place.open().await.unwrap_err();
        assert!(matches!(refused, StartError::MasterKey(_)), "{mode:o}: {refused}");
        assert!(refused.to_string().contains("chmod go-w"), "{refused}");
    }
    assert_eq!(fs::read_dir(place.data()).unwrap().count(), 0, "nothing is put there");
    fs::set_permissions(place.data(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(place.app().await.keys().list().len(), 4);
}

#[tokio::test]
async fn a_server_that_gets_another_address_keeps_its_owners_and_its_rules() {
    let place = Place::new();
    let before = place.app().await;
    let caller = crate::services::caller::Caller::operator(place.clock.now());
    let id = before.apis().admin_api().await.unwrap().id;
    before.policies().rollback(&id, 1, "Once more", &caller).await.unwrap();
    before.store().close().await;
    let mut config = place.config();
    config.server.issuer = Some("http://localhost:9090".parse().unwrap());
    // A command that was told another address changes nothing.
    let moved = App::open(config, place.clock.clone(), Entropy::os()).await.unwrap();
    assert_eq!(moved.served_issuer().await.unwrap(), before.issuer());
    moved.adopt_issuer().await.unwrap();
    assert_eq!(moved.served_issuer().await.unwrap().as_str(), "http://localhost:9090");
    let api = moved.apis().admin_api().await.unwrap();
    assert_eq!((api.id, api.active_revision), (id, Some(2)));
    assert_eq!(api.audience.as_str(), "http://localhost:9090/api");
    let all = moved.apis().list(&PageQuery::default()).await.unwrap();
    assert_eq!(all.items.len(), 1, "there is one admin API");
}

async fn ask(address: std::net::SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

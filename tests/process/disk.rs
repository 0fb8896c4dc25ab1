//! A data folder that has no room left, or that may no longer be written to.
//!
//! The program gets a disk of its own: a small one, mounted where only it sees it.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::process::{Place, ServerProcess, finished};
use portcullis_tests::provision::Provisioned;
use portcullis_tests::visitor::{Visitor, login_form};
use tempfile::{TempDir, tempdir};

/// Sign-ins after which a full disk must have been noticed.
const MOST_SIGN_INS: usize = 200;

/// A program whose data folder is a disk of eight MiB.
struct Disk {
    place: Place,
    provisioned: Provisioned,
    seed: PathBuf,
    _folder: TempDir,
}

impl Disk {
    async fn new() -> Self {
        let folder = tempdir().unwrap();
        let (seed, data) = (folder.path().join("seed"), folder.path().join("data"));
        fs::create_dir(&seed).unwrap();
        fs::create_dir(&data).unwrap();
        let place = Place::new(&seed);
        let provisioned = Provisioned::in_place(&place).await;
        Self { place: Place { data_dir: data, ..place }, provisioned, seed, _folder: folder }
    }

    /// Starts the program on its disk after one more step; not waited for.
    fn spawn(&self, step: &str) -> ServerProcess {
        ServerProcess::of(self.command(&["serve"], step), &self.place)
    }

    /// The program on its disk after one more step.
    fn command(&self, arguments: &[&str], step: &str) -> Command {
        let inner = self.place.command(arguments);
        let (data, seed) = (self.place.data_dir.display(), self.seed.display());
        let script = format!(
            "mount -t tmpfs -o size=8m,mode=700 tmpfs {data} && cp -a {seed}/. {data} && {step} && exec \"$@\""
        );
        let mut outer = Command::new("unshare");
        outer.args(["--mount", "--map-root-user", "sh", "-ec", &script, "sh"]);
        outer.arg(inner.get_program()).args(inner.get_args()).env_clear();
        outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        outer
    }

    /// A file on the disk of the program, as the program sees it.
    fn file(&self, server: &ServerProcess, name: &str) -> PathBuf {
        let root = Path::new("/proc").join(server.pid().to_string()).join("root");
        root.join(self.place.data_dir.join(name).strip_prefix("/").unwrap())
    }
}

/// Writes until there is no room left.
fn fill(file: &Path) {
    let mut file = File::create(file).unwrap();
    while file.write_all(&[0; 4096]).is_ok() {}
}

/// Signs in and out of nothing until the program cannot write it down; returns the answer that says so.
async fn first_refusal(server: &ServerProcess, disk: &Disk) -> portcullis_tests::agent::Answer {
    for _ in 0..MOST_SIGN_INS {
        let mut visitor = Visitor::new(&server.address);
        let page = visitor.open("/login").await;
        let person = &disk.provisioned.person;
        let answer = visitor.submit(&login_form(&page, &person.username, &person.password)).await;
        if answer.status != 303 {
            assert_eq!(visitor.session(), None, "nobody is signed in by halves");
            return answer;
        }
    }
    panic!("the program never noticed:\n{}", server.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_nothing_is_lost_sqlite() {
    let disk = Disk::new().await;
    let mut server = disk.spawn("true");
    server.ready().await;
    let held = disk.provisioned.refresh_token(&server).await;
    let filler = disk.file(&server, "filler");
    fill(&filler);

    let refused = first_refusal(&server, &disk).await;
    assert_eq!(refused.status, 503, "{}", refused.text());
    assert!(!refused.header("retry-after").is_empty());
    let refresh = server.machine.refresh(&disk.provisioned.client, &held).await;
    assert_eq!((refresh.status.as_u16(), refresh.error().as_str()), (503, "temporarily_unavailable"));
    assert_eq!(server.machine.get("/jwks").await.status, 200, "what needs no disk goes on");
    assert!(server.log().contains("the disk of the database is full"), "{}", server.log());

    fs::remove_file(&filler).unwrap();
    let refresh = server.machine.refresh(&disk.provisioned.client, &held).await;
    assert_eq!(refresh.status, 200, "the token was not spent: {}", refresh.text());
    let request = AuthorizeRequest::of(&disk.provisioned.client);
    Visitor::new(&server.address).authorize(&request, &disk.provisioned.person).await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[tokio::test]
async fn a_start_on_a_full_disk_is_refused_with_its_reason_sqlite() {
    let disk = Disk::new().await;
    let filler = disk.place.data_dir.join("filler");
    // The program has been here before; another one has taken the rest of the disk since.
    let step = format!("(dd if=/dev/zero of={} bs=4096 2>/dev/null || true)", filler.display());
    let mut server = disk.spawn(&step);
    let status = server.ended().await;
    let log = server.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("full") && !log.contains("panicked"), "{log}");
}

#[tokio::test]
async fn a_start_on_a_read_only_disk_is_refused_with_its_reason_sqlite() {
    let disk = Disk::new().await;
    let step = format!("mount -o remount,ro {}", disk.place.data_dir.display());
    let checked = finished(disk.command(&["config", "check"], &step));
    let told = String::from_utf8_lossy(&checked.stderr).into_owned();
    assert_eq!(checked.status.code(), Some(1), "{told}");
    assert!(told.contains("read-only") && !told.contains("panicked"), "{told}");
    let mut server = disk.spawn(&step);
    let status = server.ended().await;
    let log = server.log();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("read-only") && !log.contains("panicked"), "{log}");
}

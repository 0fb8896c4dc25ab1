//! Stopping.

use std::time::Duration;

use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::visitor::{Visitor, login_form};
use tempfile::tempdir;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_at_work_is_finished_before_the_program_ends_sqlite() {
    let folder = tempdir().unwrap();
    let place = Place::new(folder.path());
    let mut command = place.command(&["serve"]);
    // A hash that takes long enough to be interrupted.
    command.env("PORTCULLIS__PASSWORDS__MEMORY_KIB", "65536").env("PORTCULLIS__PASSWORDS__ITERATIONS", "8");
    let mut server = ServerProcess::of(command, &place);
    server.ready().await;
    let mut visitor = Visitor::new(&server.address);
    let page = visitor.open("/login").await;
    let form = login_form(&page, "nobody", "wrong password");
    let at_work = tokio::spawn(async move { visitor.submit(&form).await });
    server.busy().await;
    server.terminate();
    assert_eq!(at_work.await.unwrap().status, 422, "the answer arrives");
    assert_eq!(server.ended().await.code(), Some(0), "{}", server.log());
    let refused =
        tokio::net::TcpStream::connect(("127.0.0.1", place.port)).await.expect_err("nobody listens");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn an_idle_program_ends_at_once_sqlite() {
    let folder = tempdir().unwrap();
    let mut server = ServerProcess::start(&Place::new(folder.path())).await;
    server.terminate();
    let ended = tokio::time::timeout(Duration::from_secs(10), server.ended()).await;
    assert_eq!(ended.expect("it does not wait for nothing").code(), Some(0));
}

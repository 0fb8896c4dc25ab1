//! What a whole sign-in costs: from the request of an application to its tokens, in a browser that was never here.

use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::process::Place;
use portcullis_tests::provision::Provisioned;
use portcullis_tests::token::Machine;
use portcullis_tests::visitor::Visitor;

use crate::child::Server;
use crate::cpu;
use crate::report::Report;
use crate::server::program;

/// Sign-ins of a round.
const SIGN_INS: u32 = 40;
/// Sign-ins before anything is counted; the first one gives the account a hash with the server's own parameters.
const WARM_UP: u32 = 5;

/// One round on a data folder of its own: five requests a sign-in, one password hash among them.
pub(crate) async fn round(report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place::new(folder.path());
    let issuer = format!("http://127.0.0.1:{}", place.port);
    let place = Place { issuer: Some(issuer), ..place };
    let provisioned = Box::pin(Provisioned::in_place(&place)).await;
    let server = Server::start_portcullis(&program(), folder.path(), place.port);
    server.until_ready().await;
    let machine = Machine::new(&server.base);
    for _ in 0..WARM_UP {
        sign_in(&server, &machine, &provisioned).await;
    }
    let before = cpu::of_process(server.pid());
    for _ in 0..SIGN_INS {
        sign_in(&server, &machine, &provisioned).await;
    }
    let spent = cpu::of_process(server.pid()).saturating_sub(before);
    report.add("password sign-in, whole flow", spent.as_secs_f64() * 1e6 / f64::from(SIGN_INS));
}

async fn sign_in(server: &Server, machine: &Machine, provisioned: &Provisioned) {
    let request = AuthorizeRequest::of(&provisioned.client);
    let callback = Visitor::new(&server.base).authorize(&request, &provisioned.person).await;
    let tokens = machine.redeem(&provisioned.client, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

//! An operator invites people by a command, and a letter of a server that was killed makes the account at the next one.

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::post_office::PostOffice;
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::visitor::{Visitor, the_form};
use rstest::rstest;
use serde_json::json;

use crate::commands::{ORDERS, PASSWORD, json, place_on, said};

/// What a server and commands are told, so that letters leave and people may be invited.
fn settings(office: &PostOffice) -> Vec<String> {
    let all = [
        "accounts.sign_up=invitation",
        "mail.transport=smtp",
        "mail.host=127.0.0.1",
        "mail.tls=none",
        "mail.from=Example <id@mail.test>",
    ];
    let port = format!("mail.port={}", office.port);
    all.into_iter().chain([port.as_str()]).flat_map(|one| ["--set".to_owned(), one.to_owned()]).collect()
}

async fn start(place: &Place, office: &PostOffice) -> ServerProcess {
    let settings = settings(office);
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let mut server = ServerProcess::of(place.command(&settings), place);
    server.ready().await;
    server
}

#[rstest]
#[tokio::test]
async fn an_operator_invites_somebody_and_the_next_server_takes_the_letter(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let (_folder, place) = place_on(database).await;
    let server = start(&place, &office).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let settings = settings(&office);
    let with = |arguments: &[&str]| {
        let settings = settings.iter().map(String::as_str);
        settings.chain(arguments.iter().copied()).map(str::to_owned).collect::<Vec<_>>()
    };
    let run = |arguments: &[&str]| {
        let all = with(arguments);
        place.run(&all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let done = |arguments: &[&str]| {
        let all = with(arguments);
        json(&place, &all.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let role = format!("{ORDERS}:viewer");
    let made = done(&["user", "invite", "ada@example.org", "--role", &role, "--days", "2"]);
    let id = made[0]["id"].as_str().unwrap();
    assert_eq!(
        (&made[0]["invited_by"], &made[0]["roles"][0]["role"]),
        (&json!("operator"), &json!("viewer"))
    );
    assert_eq!(done(&["user", "invitations"]), made);
    let first = office.wait_for(1).await[0].code().unwrap();
    done(&["user", "invite-again", id]);
    let second = office.wait_for(2).await[1].code().unwrap();
    done(&["user", "invite", "bea@example.org"]);
    let listed = done(&["user", "invitations"]);
    done(&["user", "uninvite", listed[1]["id"].as_str().unwrap()]);
    server.kill();
    let server = start(&place, &office).await;
    let mut browser = Visitor::new(&place.address());
    let page = browser.open("/sign-up/new").await;
    let form = the_form(&page, "code-form").with("username", "ada").with("new-password", PASSWORD);
    assert_eq!(
        browser.submit(&form.clone().with("code", &first)).await.status,
        422,
        "another took its place"
    );
    let done_here = browser.submit(&form.with("code", &second)).await;
    assert_eq!(done_here.header("location"), "/account", "{}", done_here.text());
    assert_eq!(done(&["user", "invitations"]), json!([]));
    for (arguments, status, words) in [
        (&["user", "invite", "ada@example.org"][..], 1, "an account has this address"),
        (&["user", "invite", "eve"], 1, "e-mail address"),
        (&["user", "invite", "eve@example.org", "--role", "viewer"], 2, "expected an API and a role"),
        (&["user", "invite", "eve@example.org", "--role", "https://no.example:viewer"], 1, "there is no API"),
        (&["user", "uninvite", "x"], 2, "is no invitation"),
        (&["user", "invite-again", id], 1, "there is no such invitation"),
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", said(&output));
        assert!(said(&output).contains(words), "{arguments:?}: {}", said(&output));
    }
    let closed = place.run(&["user", "invite", "eve@example.org"]);
    assert_eq!(closed.status.code(), Some(1), "{}", said(&closed));
    assert!(said(&closed).contains("accounts.sign_up"), "{}", said(&closed));
    drop(server);
}

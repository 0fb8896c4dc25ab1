//! Accounts that administrators offer.

use std::time::Duration;

use portcullis_server::config::SignUp;
use portcullis_tests::admin::Admin;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::post_office::PostOffice;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::sign_up::{accounts, enter, events, letters, make, person, start};

const DAY: Duration = Duration::from_hours(24);

async fn invite(server: &TestServer, email: &str) -> Value {
    server.admin.post("/invitations", &json!({ "email": email })).await
}

/// The code of the newest invitation to an address.
async fn code(server: &TestServer, office: &PostOffice, address: &str) -> String {
    letters(server, office, ("You are invited", address)).await.last().unwrap().code().unwrap()
}

async fn pending(admin: &Admin) -> Vec<Value> {
    admin.get("/invitations").await.json()["items"].as_array().unwrap().clone()
}

async fn refused(admin: &Admin, document: &Value) -> (u16, Value) {
    let answer = admin.send(Method::POST, "/invitations", document).await;
    (answer.status.as_u16(), answer.json())
}

/// The pointers of the fields that are refused.
fn pointers(problem: &Value) -> Vec<String> {
    let errors = problem["errors"].as_array().unwrap().iter();
    errors.map(|error| error["pointer"].as_str().unwrap().to_owned()).collect()
}

/// A program with one role in the admin API.
async fn delegate(server: &TestServer, role: &str) -> Admin {
    let api = server.admin.admin_api().await;
    let program = server.admin.machine_client(&[&api]).await;
    server.admin.assign(&api, role, &program.id).await;
    Admin::new(&server.issuer, program)
}

#[rstest]
#[tokio::test]
async fn who_was_invited_has_the_account_that_was_offered(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(SignUp::Invitation, SignUp::Open)] how: SignUp,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, how).await;
    let acme = server.admin.post("/organisations", &json!({ "name": "Acme" })).await;
    let orders = server.admin.api("https://orders.test").await;
    let admin_api = server.admin.admin_api().await;
    let wish = json!({
        "email": "Ada@example.org", "organisation": acme["id"],
        "roles": [
            { "api": orders.id, "role": "viewer" }, { "api": orders.id, "role": "viewer" },
            { "api": admin_api.id, "role": "auditor" },
        ],
    });
    let made = server.admin.post("/invitations", &wish).await;
    assert_eq!((&made["email"], &made["organisation"]), (&json!("Ada@example.org"), &acme["id"]));
    assert_eq!(made["roles"].as_array().unwrap().len(), 2, "a role that is named twice is given once");
    assert!(made["invited_by"].as_str().unwrap().starts_with("cli_"));
    assert_eq!(pending(&server.admin).await, std::slice::from_ref(&made));
    let code = code(&server, &office, "Ada@example.org").await;
    assert!(!made.to_string().contains("pcm_"), "the link is in the letter alone");
    let mut visitor = server.visitor();
    assert!(enter(&mut visitor, &code).await.text().contains("Ada@example.org"));
    let done = make(&mut visitor, &code, "ada").await;
    assert_eq!((done.status.as_u16(), done.header("location")), (303, "/account"));
    let ada = accounts(&server).await.remove(0);
    assert_eq!((&ada["email"], &ada["organisation"]), (&json!("Ada@example.org"), &acme["id"]));
    assert!(ada["email_verified_at"].is_string());
    for (api, role, place) in [(&orders, "viewer", acme["id"].clone()), (&admin_api, "auditor", json!("*"))] {
        let listed = server.admin.get(&format!("/apis/{}/assignments", api.id)).await.json();
        let items = listed["items"].as_array().unwrap();
        let hers: Vec<_> = items.iter().filter(|held| held["subject"] == ada["id"]).collect();
        assert_eq!(hers.len(), 1, "{listed}");
        assert_eq!(hers[0]["organisation"], place);
        let roles = server.admin.get(&format!("/apis/{}/roles", api.id)).await.json();
        let roles = roles["items"].as_array().unwrap();
        let given = roles.iter().find(|known| known["id"] == hers[0]["role"]).unwrap();
        assert_eq!(given["name"], json!(role));
    }
    assert_eq!(pending(&server.admin).await, Vec::<Value>::new());
    let signed_up = events(&server, "user.signed_up").await;
    assert_eq!(signed_up[0]["detail"]["invitation"], made["id"]);
    assert_eq!(signed_up[0]["detail"]["invited_by"], made["invited_by"]);
    assert!(!server.admin.get("/audit?limit=100").await.text().contains('@'), "no address in the trail");
    assert_eq!(make(&mut server.visitor(), &code, "eve").await.status, 422, "once");
    assert_eq!(server.visitor().sign_in(&person("ada")).await.url.path(), "/account");
}

/// What was taken back, is too old, or was sent anew makes no account.
#[rstest]
#[tokio::test]
async fn an_invitation_dies_when_it_is_taken_back_and_with_its_time(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Invitation).await;
    let dead = async |code: &str, why: &str| {
        assert_eq!(enter(&mut server.visitor(), code).await.status, 422, "{why}");
        let refused = make(&mut server.visitor(), code, "eve").await;
        assert_eq!(refused.status, 422, "{why}");
        assert!(refused.text().contains("That code does not work"), "{why}");
    };
    let made = invite(&server, "ada@example.org").await;
    let first = code(&server, &office, "ada@example.org").await;
    let path = format!("/invitations/{}", made["id"].as_str().unwrap());
    server.wait(DAY);
    let again = server.admin.post(&format!("{path}/send"), &json!({})).await;
    assert!(again["expires_at"].as_str() > made["expires_at"].as_str(), "{again}");
    assert_eq!(again["created_at"], made["created_at"]);
    let second = code(&server, &office, "ada@example.org").await;
    assert_ne!(first, second);
    dead(&first, "another letter took its place").await;
    assert_eq!(enter(&mut server.visitor(), &second).await.status, 200);
    assert_eq!(server.admin.send(Method::DELETE, &path, &Value::Null).await.status, 204);
    dead(&second, "it was taken back").await;
    for (method, path) in [(Method::DELETE, path.clone()), (Method::POST, format!("{path}/send"))] {
        assert_eq!(server.admin.send(method, &path, &json!({})).await.status, 404, "{path}");
    }
    let short = json!({ "email": "bea@example.org", "days": 1 });
    server.admin.post("/invitations", &short).await;
    let late = code(&server, &office, "bea@example.org").await;
    server.wait(Duration::from_secs(24 * 60 * 60 - 1));
    assert_eq!(enter(&mut server.visitor(), &late).await.status, 200);
    server.wait(Duration::from_secs(1));
    dead(&late, "too old").await;
    assert_eq!(accounts(&server).await, Vec::<Value>::new());
}

/// Whoever sends one too often is told, and what was sent before works on.
#[rstest]
#[tokio::test]
async fn an_invitation_that_cannot_be_sent_again_now_keeps_its_link(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Invitation).await;
    let made = invite(&server, "ada@example.org").await;
    let path = format!("/invitations/{}/send", made["id"].as_str().unwrap());
    let mut last = code(&server, &office, "ada@example.org").await;
    for _ in 0..2 {
        server.admin.post(&path, &json!({})).await;
        last = code(&server, &office, "ada@example.org").await;
    }
    let refused = server.admin.send(Method::POST, &path, &json!({})).await;
    assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "3600"), "{}", refused.text());
    assert_eq!(code(&server, &office, "ada@example.org").await, last, "nothing was sent");
    assert_eq!(enter(&mut server.visitor(), &last).await.status, 200);
    server.wait(Duration::from_hours(1));
    server.admin.post(&path, &json!({})).await;
    assert_ne!(code(&server, &office, "ada@example.org").await, last);
}

/// What an invitation names has to be there, and an address that has an account needs none.
#[rstest]
#[tokio::test]
async fn every_wrong_field_of_an_invitation_is_named(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Invitation).await;
    server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let digits = "0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
    let wrong = json!({ "email": "ada", "organisation": "acme", "days": 0, "roles": [{ "api": "x", "role": "A B" }] });
    let (status, problem) = refused(&server.admin, &wrong).await;
    assert_eq!(status, 422);
    assert_eq!(pointers(&problem), ["/email", "/organisation", "/roles/0/api", "/roles/0/role", "/days"]);
    let absent = json!({
        "email": "ADA@example.org", "organisation": format!("org_{digits}"), "days": 30,
        "roles": [{ "api": format!("api_{digits}"), "role": "viewer" }, { "api": orders.id, "role": "king" }],
    });
    let (status, problem) = refused(&server.admin, &absent).await;
    assert_eq!(status, 422);
    assert_eq!(pointers(&problem), ["/email", "/organisation", "/roles/0/api", "/roles/1/role"]);
    for unknown in [
        json!({ "email": "b@example.org", "token": "x" }),
        json!({}),
        json!({ "email": "b@example.org", "days": 31 }),
    ] {
        assert!([400, 422].contains(&refused(&server.admin, &unknown).await.0), "{unknown}");
    }
    assert_eq!(pending(&server.admin).await, Vec::<Value>::new());
    assert_eq!(events(&server, "invitation.created").await, Vec::<Value>::new());
    server.app().send_letters().await.unwrap();
    assert_eq!(office.received(), []);
}

/// Nobody gives by an invitation what they could not give by hand, neither at first nor by sending again what somebody else made.
#[rstest]
#[tokio::test]
async fn nobody_gives_by_an_invitation_what_they_could_not_give_by_hand(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Invitation).await;
    let orders = server.admin.api("https://orders.test").await;
    let admin_api = server.admin.admin_api().await;
    let with = |email: &str, api: &str, role: &str| json!({ "email": email, "roles": [{ "api": api, "role": role }] });
    let people = delegate(&server, "user-admin").await;
    assert_eq!(refused(&people, &with("ada@example.org", &orders.id, "viewer")).await.0, 201);
    assert_eq!(refused(&people, &json!({ "email": "bea@example.org" })).await.0, 201);
    let (status, problem) = refused(&people, &with("eve@example.org", &admin_api.id, "auditor")).await;
    assert_eq!((status, &problem["type"]), (403, &json!("urn:portcullis:problem:owners-only")));
    let made = server.admin.post("/invitations", &with("cleo@example.org", &admin_api.id, "owner")).await;
    let path = format!("/invitations/{}", made["id"].as_str().unwrap());
    let again = people.send(Method::POST, &format!("{path}/send"), &json!({})).await;
    assert_eq!(again.status, 403, "{}", again.text());
    for other in ["support", "auditor", "client-admin"] {
        let delegate = delegate(&server, other).await;
        for (method, path) in [
            (Method::POST, "/invitations".to_owned()),
            (Method::POST, format!("{path}/send")),
            (Method::DELETE, path.clone()),
        ] {
            let answer = delegate.send(method, &path, &json!({ "email": "eve@example.org" })).await;
            assert_eq!(answer.status, 403, "{other} {path}");
        }
    }
    assert_eq!(people.send(Method::DELETE, &path, &json!({})).await.status, 403, "nor is it taken back");
    // Whoever makes accounts but gives no roles invites, and gives none.
    let rules = "p, owner, *, *, *\np, greeter, *, users, read\np, greeter, *, users, create";
    server.admin.post(&format!("/apis/{}/roles", admin_api.id), &json!({ "name": "greeter" })).await;
    server.admin.activate(&admin_api, rules).await;
    server.look().await;
    let greeter = delegate(&server, "greeter").await;
    assert_eq!(refused(&greeter, &json!({ "email": "dora@example.org" })).await.0, 201);
    let (status, problem) = refused(&greeter, &with("eve@example.org", &orders.id, "viewer")).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["/roles".to_owned()]));
    // A rule that asks for a strong sign-in to give roles gives none by an invitation, to owners neither.
    let rules = "p, owner, *, users, *\np, owner, *, apis, *\np, owner, *, policies, *\np, owner, *, assignments, read\n\
                 p, owner, *, assignments, *, allow, acr=urn:portcullis:acr:2fa";
    server.admin.activate(&admin_api, rules).await;
    server.look().await;
    let (status, problem) = refused(&server.admin, &with("eve@example.org", &orders.id, "viewer")).await;
    assert_eq!((status, pointers(&problem)), (422, vec!["/roles".to_owned()]));
    let addresses: Vec<_> = pending(&server.admin).await.iter().map(|found| found["email"].clone()).collect();
    assert!(!addresses.contains(&json!("eve@example.org")), "{addresses:?}");
}

/// Where nobody may be invited, nobody is, and what was offered before is not taken.
#[rstest]
#[tokio::test]
async fn where_accounts_are_closed_nobody_is_invited(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Closed).await;
    let (status, problem) = refused(&server.admin, &json!({ "email": "ada@example.org" })).await;
    assert_eq!(status, 409);
    assert!(problem["detail"].as_str().unwrap().contains("accounts.sign_up"), "{problem}");
    assert_eq!(pending(&server.admin).await, Vec::<Value>::new());
}

/// A role or an API that is gone by then is not given; the account is.
#[rstest]
#[tokio::test]
async fn what_is_gone_by_then_is_not_given(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Invitation).await;
    let orders = server.admin.api("https://orders.test").await;
    let wish = json!({ "email": "ada@example.org", "roles": [{ "api": orders.id, "role": "viewer" }] });
    server.admin.post("/invitations", &wish).await;
    let gone = server.admin.send(Method::DELETE, &format!("/apis/{}", orders.id), &Value::Null).await;
    assert!(gone.status.is_success(), "{}", gone.text());
    let code = code(&server, &office, "ada@example.org").await;
    assert_eq!(make(&mut server.visitor(), &code, "ada").await.status, 303);
    assert_eq!(
        events(&server, "assignment.created").await.iter().filter(|event| event["actor"] == "system").count(),
        0
    );
}

#[rstest]
#[tokio::test]
async fn invitations_are_listed_in_pages(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = start(database, &office, SignUp::Invitation).await;
    for name in ["ada", "bea", "cleo"] {
        server.wait(Duration::from_secs(1));
        invite(&server, &format!("{name}@example.org")).await;
    }
    let first = server.admin.get("/invitations?limit=2").await.json();
    let after = first["next"].as_str().unwrap();
    let rest = server.admin.get(&format!("/invitations?limit=2&after={after}")).await.json();
    let both = [&first, &rest].map(|page| page["items"].as_array().unwrap().clone()).concat();
    let emails: Vec<_> = both.iter().map(|found| found["email"].as_str().unwrap()).collect();
    assert_eq!(emails, ["ada@example.org", "bea@example.org", "cleo@example.org"]);
    assert_eq!(rest["next"], Value::Null);
    let unknown = Answer::to(server.admin.request(Method::GET, "/invitations?page=2").await).await;
    assert!(unknown.status.is_client_error(), "{}", unknown.status);
}

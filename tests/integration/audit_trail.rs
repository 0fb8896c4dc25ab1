//! What the audit trail says: one event for each change, one for each refusal.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis_server::Clock;
use portcullis_server::config::SignUp;
use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::passkey::Passkey;
use portcullis_tests::post_office::PostOffice;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::login_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::routes::{announce, document};

/// A route as the description spells it, a body for it, and the event that it leaves. `None` for a route that changes
/// nothing.
type Change = (&'static str, Value, Option<&'static str>);

/// Every route that is not a GET. The order matters: what one makes, those after it work on.
fn changes() -> Vec<Change> {
    let shop = |name| json!({ "name": name, "preset": "web", "redirect_uris": ["https://rp.test/cb"] });
    let rules = json!({ "rules": "p, viewer, *, orders, read" });
    let why = json!({ "message": "a test" });
    let in_an_hour = Clock::system().now().plus(Duration::from_hours(1)).rfc3339();
    let later = json!({ "message": "a test", "activate_at": in_an_hour });
    let password = json!({ "password": "violet anchor harbour" });
    let assignment = json!({ "role": "viewer", "subject": "{user}" });
    vec![
        ("POST /organisations", json!({ "name": "Acme" }), Some("organisation.created")),
        ("POST /invitations", json!({ "email": "bea@example.org" }), Some("invitation.created")),
        ("POST /invitations/{invitation}/send", json!({}), Some("invitation.sent_again")),
        ("DELETE /invitations/{invitation}", Value::Null, Some("invitation.deleted")),
        ("POST /users", json!({ "username": "ada" }), Some("user.created")),
        ("PUT /users/{user}", json!({ "username": "bea" }), Some("user.updated")),
        ("PUT /users/{user}/password", password, Some("password.changed")),
        ("POST /users/{user}/sign-out", json!({}), Some("user.signed_out")),
        // There is none, so nothing changes; what it does where there is one: see the tests of the second step.
        ("DELETE /users/{user}/second-step", Value::Null, None),
        ("DELETE /users/{user}/passkeys/{passkey}", Value::Null, Some("passkey.removed")),
        ("POST /users/{user}/disable", json!({}), Some("user.disabled")),
        ("POST /users/{user}/enable", json!({}), Some("user.enabled")),
        ("POST /clients", shop("Shop"), Some("client.created")),
        ("PUT /clients/{client}", shop("Store"), Some("client.updated")),
        ("POST /clients/{client}/secret", json!({}), Some("client.secret_rotated")),
        ("POST /clients/{client}/secrets", json!({}), Some("client.secret_added")),
        ("DELETE /clients/{client}/secrets/{secret}", Value::Null, Some("client.secret_retired")),
        ("POST /clients/{client}/disable", json!({}), Some("client.disabled")),
        ("POST /clients/{client}/enable", json!({}), Some("client.enabled")),
        ("POST /initial-access-tokens", json!({ "name": "Partners" }), Some("initial_token.created")),
        ("DELETE /initial-access-tokens/{token}", Value::Null, Some("initial_token.deleted")),
        ("POST /apis", json!({ "audience": "https://orders.test", "name": "Orders" }), Some("api.created")),
        ("PUT /apis/{api}", json!({ "name": "Sales", "access_token_ttl_secs": 60 }), Some("api.updated")),
        ("PUT /apis/{api}/authorization-details-types", json!({ "items": [] }), Some("api.updated")),
        ("POST /apis/{api}/roles", json!({ "name": "clerk" }), Some("role.created")),
        ("POST /apis/{api}/assignments", assignment, Some("assignment.created")),
        ("DELETE /apis/{api}/assignments/{assignment}", Value::Null, Some("assignment.deleted")),
        ("DELETE /apis/{api}/roles/{role}", Value::Null, Some("role.deleted")),
        ("POST /apis/{api}/policy/validate", rules.clone(), None),
        ("PUT /apis/{api}/policy/draft", rules, Some("policy.draft_saved")),
        ("PUT /apis/{api}/policy/shadow", Value::Null, Some("policy.shadow_started")),
        ("DELETE /apis/{api}/policy/shadow", Value::Null, Some("policy.shadow_stopped")),
        ("POST /apis/{api}/policy/activate", later, Some("policy.activation_scheduled")),
        ("DELETE /apis/{api}/policy/schedules/{schedule}", Value::Null, Some("policy.activation_cancelled")),
        ("POST /apis/{api}/policy/activate", why.clone(), Some("policy.activated")),
        ("POST /apis/{api}/policy/revisions/{number}/rollback", why, Some("policy.activated")),
        ("POST /apis/{api}/policy/routes/{digest}/approve", Value::Null, Some("routes.approved")),
        ("POST /apis/{api}/policy/routes/{digest}/reject", Value::Null, Some("routes.rejected")),
        ("DELETE /apis/{api}/policy/routes/{digest}", Value::Null, Some("routes.deleted")),
        ("DELETE /apis/{api}", Value::Null, Some("api.deleted")),
        ("DELETE /clients/{client}", Value::Null, Some("client.deleted")),
        ("DELETE /users/{user}", Value::Null, Some("user.deleted")),
    ]
}

/// What only a person may do, and no program: see the tests of the pages of rules.
const BY_A_PERSON: &str = "POST /apis/{api}/policy/schedules/{schedule}/approve";

/// What nobody allowed is not taken back: see the tests of consent.
const OF_PEOPLE: &str = "POST /users/{user}/consents/withdraw";

/// What nobody asked for is not taken back either: see the tests of accounts that are to be deleted.
const OF_LEAVERS: &str = "DELETE /users/{user}/deletion";

/// What is done to clients that came by themselves: see the tests of RFC 7592.
const OF_STRANGERS: [&str; 2] = ["POST /registrations/disable", "POST /registrations/enable"];

/// The ids of what was made, by the name that the description gives them.
#[derive(Default)]
struct Made(BTreeMap<String, String>);

impl Made {
    fn fill(&self, text: &str) -> String {
        let named = text.replace("{number}", "1");
        self.0.iter().fold(named, |text, (name, id)| text.replace(&format!("{{{name}}}"), id))
    }

    /// Remembers what a POST to a collection made: `users` holds what paths call `{user}`. What is put off has a place, too.
    fn note(&mut self, route: &str, answer: &Answer) {
        if answer.status == 202 {
            self.0.insert("schedule".to_owned(), answer.json()["id"].as_str().unwrap().to_owned());
        }
        let (Some(plural), 201) = (route.rsplit('/').next(), answer.status.as_u16()) else { return };
        let name = plural.rsplit('-').next().unwrap_or(plural).trim_end_matches('s').to_owned();
        let body = answer.json();
        let document = body.get(&name).unwrap_or(&body);
        self.0.insert(name, document["id"].as_str().unwrap().to_owned());
    }
}

/// The routes of the description that are not a GET.
async fn mutating(server: &TestServer) -> BTreeSet<String> {
    let document = server.machine.get("/api/openapi.json").await.json();
    let paths = document["paths"].as_object().unwrap().iter();
    let routes = paths.flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |key| (path, key)));
    let routes = routes.filter_map(|(path, key)| {
        let path = path.strip_prefix("/api/v1").unwrap_or(path);
        matches!(&**key, "post" | "put" | "patch" | "delete")
            .then(|| format!("{} {path}", key.to_uppercase()))
    });
    routes.collect()
}

/// The newest event of the trail.
async fn newest(server: &TestServer) -> Value {
    server.admin.get("/audit?limit=1").await.json()["items"][0].clone()
}

/// Announces a route as the guard of an API, which is an event of its own, and gives the digest of what was said.
async fn announced(server: &TestServer, api: &str) -> String {
    let orders =
        RegisteredApi { id: api.to_owned(), audience: "https://orders.test".to_owned(), name: String::new() };
    let guard = server.admin.guard_client(&orders).await;
    let (digest, text) = document(&orders.audience, "/a");
    let before = newest(server).await["seq"].as_u64().unwrap();
    for status in [201, 200] {
        assert_eq!(announce(server, &guard, &digest, &text).await.status, status);
    }
    let after = newest(server).await;
    assert_eq!((&after["action"], &after["actor"]), (&json!("routes.announced"), &json!(guard.id)));
    assert_eq!(after["seq"].as_u64(), Some(before + 1), "the second time nothing changed");
    let gone = server.admin.send(Method::DELETE, &format!("/clients/{}", guard.id), &Value::Null).await;
    assert!(gone.status.is_success(), "an API that a client serves is not deleted");
    digest
}

/// Adds a passkey as the owner of the account, and gives its identifier.
async fn added_passkey(server: &TestServer, user: &str) -> String {
    let mut owner = server.visitor();
    let page = owner.open("/login").await;
    let signed_in = owner.submit(&login_form(&page, "bea", "violet anchor harbour")).await;
    assert_eq!(signed_in.status, 303, "{}", signed_in.text());
    Passkey::add(&mut owner, &server.issuer).await;
    let listed = server.admin.get(&format!("/users/{user}/passkeys")).await.json();
    listed["items"][0]["id"].as_str().unwrap().to_owned()
}

#[rstest]
#[tokio::test]
async fn every_change_is_one_audit_event(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| {
        office.serve(config);
        config.reach.accounts.sign_up = SignUp::Invitation;
    })
    .await;
    let routes = changes();
    let known = routes
        .iter()
        .map(|(route, ..)| *route)
        .chain([BY_A_PERSON, OF_LEAVERS, OF_PEOPLE])
        .chain(OF_STRANGERS);
    let known: BTreeSet<String> = known.map(str::to_owned).collect();
    assert_eq!(known, mutating(&server).await, "every mutating route stands in the table, and no other");
    let mut made = Made::default();
    for (route, body, event) in routes {
        if route.contains("{digest}") && !made.0.contains_key("digest") {
            let digest = announced(&server, &made.0["api"]).await;
            made.0.insert("digest".to_owned(), digest);
        }
        if route.contains("{passkey}") {
            let passkey = added_passkey(&server, &made.0["user"]).await;
            made.0.insert("passkey".to_owned(), passkey);
        }
        let before = newest(&server).await["seq"].as_u64().unwrap();
        let (method, path) = route.split_once(' ').unwrap();
        let method: Method = method.parse().unwrap();
        let request = server.admin.request(method, &made.fill(path)).await.header("if-match", "*");
        let request = match &body {
            Value::Null => request,
            body => request.json(&serde_json::from_str::<Value>(&made.fill(&body.to_string())).unwrap()),
        };
        let answer = Answer::to(request).await;
        assert!(answer.status.is_success(), "{route}: {} {}", answer.status, answer.text());
        made.note(route, &answer);
        let after = newest(&server).await;
        let expected = before + u64::from(event.is_some());
        assert_eq!(after["seq"].as_u64(), Some(expected), "{route}: {after}");
        if let Some(event) = event {
            assert_eq!((&after["action"], &after["outcome"]), (&json!(event), &json!("success")), "{route}");
            assert!(after["actor"].as_str().unwrap().starts_with("cli_"), "{route}: {after}");
        }
    }
}

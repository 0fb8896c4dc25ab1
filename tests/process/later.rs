//! The commands that put an activation off, take it back, and say who may approve it.

use std::time::Duration;

use portcullis_server::Clock;
use portcullis_tests::admin::Admin;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::visitor::{Visitor, the_form};
use rstest::rstest;
use serde_json::Value;
use tempfile::TempDir;

use crate::commands::{ORDERS, PASSWORD, json, password_file, place_on, registered, said};
use crate::effects::person;

/// A long way off, and within the year that a schedule may lie ahead.
fn later() -> String {
    Clock::system().now().plus(Duration::from_hours(30 * 24)).rfc3339()
}

/// A server with an API that has a draft.
async fn with_draft(database: Database) -> (TempDir, Place, ServerProcess) {
    let (folder, place) = place_on(database).await;
    let server = ServerProcess::start(&place).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let rules = folder.path().join("rules.csv");
    std::fs::write(&rules, "p, viewer, *, orders, read\n").unwrap();
    let push = place.run(&["policy", "push", rules.to_str().unwrap(), "--api", ORDERS]);
    assert!(push.status.success(), "{}", said(&push));
    (folder, place, server)
}

#[track_caller]
fn refused(place: &Place, code: i32, arguments: &[&str], parts: &[&str]) {
    let output = place.run(&[arguments, &["--api", ORDERS]].concat());
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", said(&output));
    for part in parts {
        assert!(said(&output).contains(part), "{arguments:?}: {part}: {}", said(&output));
    }
}

fn put_off(place: &Place, at: &str) -> Value {
    json(place, &["policy", "schedule", "--api", ORDERS, "--at", at, "--message", "At night"])
}

fn listed(place: &Place) -> Value {
    json(place, &["policy", "schedule", "list", "--api", ORDERS])
}

#[rstest]
#[tokio::test]
async fn an_activation_is_put_off_listed_and_taken_back(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place, server) = with_draft(database).await;
    assert_eq!(listed(&place), serde_json::json!([]));
    let at = later();
    let asked = put_off(&place, &at);
    let asked = &asked[0];
    assert_eq!(
        (&asked["activate_at"], &asked["requested_by"], &asked["needs_approval"], &asked["end"]),
        (&at.as_str().into(), &"operator".into(), &false.into(), &Value::Null)
    );
    let table = said(&place.run(&["policy", "schedule", "list", "--api", ORDERS]));
    assert!(table.starts_with("SCHEDULE") && table.contains(&at) && table.contains("waits"), "{table}");
    refused(&place, 1, &["policy", "schedule", "--at", &at, "--message", "x"], &["waits already"]);

    let id = asked["id"].as_str().unwrap();
    refused(&place, 1, &["policy", "approve"], &["it needs no approval"]);
    let cancelled = place.run(&["policy", "schedule", "cancel", "--api", ORDERS]);
    let expected = format!("{id} is cancelled: no activation of {ORDERS} waits any more\n");
    assert_eq!((cancelled.status.code(), said(&cancelled)), (Some(0), expected));
    assert_eq!(listed(&place)[0]["end"]["how"], "cancelled");
    assert_eq!(
        json(&place, &["policy", "schedule", "--api", ORDERS, "list"]),
        listed(&place),
        "in either order"
    );
    let again = put_off(&place, &at);
    let cancelled = json(&place, &["policy", "schedule", "--api", ORDERS, "cancel"]);
    assert_eq!(cancelled, serde_json::json!({ "audience": ORDERS, "cancelled": again[0]["id"] }));
    let hint = "hint: `policy schedule list`";
    refused(&place, 1, &["policy", "schedule", "cancel", id], &["It has ended already", hint]);
    refused(&place, 1, &["policy", "schedule", "cancel"], &["no activation of https://orders.example waits"]);
    let other = "sch_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";
    refused(&place, 1, &["policy", "schedule", "cancel", other], &["no such scheduled activation", hint]);
    refused(&place, 1, &["policy", "approve"], &["no activation of https://orders.example waits"]);
    drop(server);
}

#[rstest]
#[tokio::test]
async fn a_time_that_is_none_is_wrong_usage_and_one_that_is_over_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place, server) = with_draft(database).await;
    let schedule = |at: &'static str| ["policy", "schedule", "--message", "x", "--at", at];
    refused(&place, 2, &schedule("tomorrow"), &["--at", "as RFC 3339 writes it"]);
    refused(&place, 2, &["policy", "schedule", "--at", "2030-01-31T09:00:00Z"], &["--message"]);
    refused(&place, 2, &["policy", "schedule", "--message", "x"], &["--at"]);
    refused(&place, 2, &["policy", "schedule", "cancel", "nonsense"], &["SCHEDULE"]);
    let both = ["policy", "schedule", "--at", "2030-01-31T09:00:00Z", "list"];
    refused(&place, 2, &both, &["`list` and `cancel` take neither"]);
    refused(&place, 1, &schedule("2020-01-31T09:00:00Z"), &["/activate_at: has to lie in the future"]);
    refused(&place, 1, &schedule("2999-01-31T09:00:00Z"), &["more than 365 days ahead"]);
    for command in [&["approve"][..], &["schedule", "list"], &["schedule", "cancel"]] {
        let nowhere = place.run(&[&["policy"], command, &["--api", "https://nowhere.test"]].concat());
        assert_eq!(nowhere.status.code(), Some(1), "{command:?}");
        assert!(said(&nowhere).contains("`api list` prints those that are"), "{}", said(&nowhere));
    }
    assert_eq!(listed(&place), serde_json::json!([]));
    drop(server);
}

/// Whoever runs a command is nobody in particular: they ask, and a person who signed in decides.
#[rstest]
#[tokio::test]
async fn where_it_takes_two_a_command_asks_and_approves_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (_folder, place, server) = with_draft(database).await;
    let four_eyes = |switch: &str| json(&place, &["api", "four-eyes", switch, "--api", ORDERS]);
    assert_eq!(four_eyes("on")["four_eyes"], true);
    assert_eq!(four_eyes("on")["four_eyes"], true, "which changes nothing");
    let id = four_eyes("on")["id"].as_str().unwrap().to_owned();
    let page = format!("{}/admin/policies/{id}/activation", place.address());
    refused(&place, 1, &["policy", "activate", "--message", "x"], &["another person", &page]);

    let at = later();
    let asked =
        place.run(&["policy", "schedule", "--api", ORDERS, "--at", &at, "--message", "Asked by a command"]);
    assert_eq!(asked.status.code(), Some(0), "{}", said(&asked));
    assert!(String::from_utf8_lossy(&asked.stderr).contains(&page), "{}", said(&asked));
    assert!(String::from_utf8_lossy(&asked.stdout).contains("needs approval"), "{}", said(&asked));
    assert_eq!(listed(&place)[0]["needs_approval"], true);
    let hint = format!("sign in and approve it at {page}");
    refused(&place, 1, &["policy", "approve"], &["another person", &hint]);
    assert_eq!(listed(&place)[0]["approved_by"], Value::Null);
    assert_eq!(four_eyes("off")["four_eyes"], false);
    refused(&place, 1, &["policy", "approve"], &["it needs no approval"]);

    let admin_api = format!("{}/api", place.address());
    let robot = ["--preset", "m2m", "--name", "Robot", "--api", &admin_api, "--role", "owner"];
    let robot = json(&place, &[&["client", "create"][..], &robot].concat());
    let trail = Admin::new(&place.address(), registered(&robot)).get("/audit?limit=50").await.json();
    let events: Vec<String> = trail["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["target"] == id.as_str())
        .map(|event| format!("{} by {}", event["action"].as_str().unwrap(), event["actor"].as_str().unwrap()))
        .collect();
    let expected = ["api.updated", "policy.activation_scheduled", "api.updated", "policy.draft_saved"];
    assert_eq!(events[..4], expected.map(|action| format!("{action} by operator")), "{trail}");
    drop(server);
}

#[tokio::test]
async fn what_commands_print_of_a_schedule_has_stable_keys() {
    let (_folder, place, server) = with_draft(Sqlite).await;
    let asked = put_off(&place, &later());
    let keys: Vec<&str> = asked[0].as_object().unwrap().keys().map(String::as_str).collect();
    let known = [
        "activate_at",
        "approved_by",
        "approved_by_name",
        "base_revision",
        "end",
        "id",
        "message",
        "needs_approval",
        "requested_at",
        "requested_by",
        "requested_by_name",
        "sha256",
        "written_by",
        "written_by_name",
    ];
    assert_eq!(keys, known);
    drop(server);
}

/// Whoever reads a history wants to know whom to ask; a program wants what never changes.
#[tokio::test]
async fn people_are_shown_by_their_names() {
    let (_folder, place, server) = with_draft(Sqlite).await;
    let password = password_file(&place);
    let owner = ["user", "create", "ada", "--name", "Ada L", "--password-file", &password, "--role", "owner"];
    let ada = json(&place, &owner);
    let mut visitor = Visitor::new(&server.address);
    visitor.sign_in(&person(&ada, PASSWORD)).await;
    let apis = json(&place, &["api", "list"]);
    let orders = apis.as_array().unwrap().iter().find(|api| api["audience"] == ORDERS).unwrap();
    let page = format!("/admin/policies/{}", orders["id"].as_str().unwrap());

    let at = later();
    let form = the_form(&visitor.open(&format!("{page}/activation")).await, "schedule");
    let form = form.with("at", &at[..16]).with("message", "At night").with("step", "schedule");
    assert_eq!(visitor.submit(&form).await.status, 303);
    let waits = listed(&place);
    assert_eq!(
        (&waits[0]["requested_by"], &waits[0]["requested_by_name"]),
        (&ada["id"], &"Ada L (ada)".into())
    );
    assert_eq!((&waits[0]["written_by"], &waits[0]["written_by_name"]), (&"operator".into(), &Value::Null));
    let table = said(&place.run(&["policy", "schedule", "list", "--api", ORDERS]));
    assert!(table.contains("  Ada L (ada)  ") && !table.contains("usr_"), "{table}");

    let form = the_form(&visitor.open(&page).await, "policies").with("message", "Now");
    assert_eq!(visitor.submit(&form.with("step", "activate")).await.status, 303);
    let history = json(&place, &["policy", "history", "--api", ORDERS]);
    assert_eq!((&history[0]["author"], &history[0]["author_name"]), (&ada["id"], &"Ada L (ada)".into()));
    let table = said(&place.run(&["policy", "history", "--api", ORDERS]));
    assert!(table.contains("  Ada L (ada)  Now\n") && !table.contains("usr_"), "{table}");
    drop(server);
}

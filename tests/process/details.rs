//! What operators say about an API: its scopes, and what can be asked for there in detail.

use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use rstest::rstest;
use serde_json::{Value, json};

use crate::commands::{ORDERS, json, place_on, said};

#[rstest]
#[tokio::test]
async fn scopes_and_types_of_an_api_are_printed_and_set(#[values(Sqlite, Postgres)] database: Database) {
    let (folder, place) = place_on(database).await;
    json(&place, &["client", "create", "--preset", "service", "--name", "Orders", "--api", ORDERS]);
    let scopes = |more: &[&str]| json(&place, &[&["api", "scopes", "--api", ORDERS], more].concat());
    assert_eq!(scopes(&[])["scopes"], "");
    assert_eq!(scopes(&["--to", "write read"])["scopes"], "read write");
    assert_eq!(scopes(&[])["scopes"], "read write");
    let reserved = place.run(&["api", "scopes", "--api", ORDERS, "--to", "openid"]);
    assert!(!reserved.status.success() && said(&reserved).contains("/scopes"), "{}", said(&reserved));

    let file = folder.path().join("types.json");
    let types = |schema: Value| {
        let types = json!({ "items": [{ "type": "payment", "title": "Make a payment", "schema": schema,
            "labels": [{ "member": "/amount", "label": "Amount" }], "consent": "remembered" }] });
        std::fs::write(&file, types.to_string()).unwrap();
        types
    };
    let wanted = types(json!({ "type": "object", "additionalProperties": false }));
    let set = ["api", "details-types", "--api", ORDERS, "--file", file.to_str().unwrap()];
    assert_eq!(json(&place, &set), wanted);
    let shown = json(&place, &["api", "details-types", "--api", ORDERS]);
    assert_eq!(shown, wanted, "what is printed can be set again");
    types(json!({ "type": "object" }));
    let open = place.run(&set);
    assert!(!open.status.success() && said(&open).contains("/items/0/schema"), "{}", said(&open));
    std::fs::write(&file, "nonsense").unwrap();
    assert!(!place.run(&set).status.success());
    assert_eq!(json(&place, &["api", "details-types", "--api", ORDERS]), wanted, "nothing of it was kept");

    let client = ["client", "create", "--preset", "m2m", "--name", "Job", "--api", ORDERS, "--details-type"];
    json(&place, &[&client[..], &["payment"]].concat());
    let unknown = place.run(&[&client[..], &["other"]].concat());
    assert!(
        !unknown.status.success() && said(&unknown).contains("authorization_details_types"),
        "{}",
        said(&unknown)
    );
}

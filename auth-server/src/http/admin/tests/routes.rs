use portcullis_policy::{Need, Route, RouteDocument};

use super::*;
use crate::domain::secret::Digest32;
use crate::services::callers::Arrival;

/// Announces two routes for an API, and gives the path of its policy and their digest.
async fn announced(console: &Console) -> (String, String) {
    let api = console.trial.api("https://orders.example").await;
    let form = ClientForm {
        name: "Guard".to_owned(),
        preset: "service".to_owned(),
        serves: Some(api.id.to_string()),
        ..ClientForm::default()
    };
    let id = console.trial.clients.create(&form, &operator()).await.unwrap().client.value.id;
    let guard = console.trial.store.client(&id).await.unwrap().unwrap();
    let need = |action: &str| Need::Rbac { action: action.to_owned(), object: "orders".to_owned() };
    let routes = ["read", "create"].map(|action| Route::every_method(format!("/{action}"), need(action)));
    let document = RouteDocument::new(api.audience.as_str(), Some("1.0".to_owned()), routes.to_vec());
    let digest = Digest32::of(&serde_json::to_vec(&document).unwrap());
    let arrival = Arrival { address: None, now: START };
    console.trial.inventories().announce(&guard, &digest, &document, arrival).await.unwrap();
    (format!("/api/v1/apis/{}/policy", api.id), digest.hex())
}

async fn tagged(console: &Console, method: &str, path: &str, token: &str, tag: &str) -> Heard {
    let mut request = asked(method, path, Some(token), &Value::Null);
    request.headers_mut().insert(IF_MATCH, tag.parse().unwrap());
    console.send(request).await
}

#[tokio::test]
async fn an_inventory_is_listed_shown_approved_and_forgotten() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let (path, digest) = announced(&console).await;
    let get = async |rest: &str| console.call("GET", &format!("{path}/{rest}"), &owner, &Value::Null).await;
    let listed = get("routes").await.body;
    let item = &listed["items"][0];
    assert_eq!((&item["digest"], &item["state"]), (&json!(digest), &json!("pending")));
    assert_eq!((&item["version"], &item["route_count"]), (&json!("1.0"), &json!(2)));
    assert_eq!((&item["routes"], &item["decided_by"]), (&Value::Null, &Value::Null));
    let place = format!("routes/{digest}");
    let shown = get(&place).await;
    let tag = shown.headers[ETAG].to_str().unwrap().to_owned();
    assert_eq!(
        shown.body["routes"][0],
        json!({"methods": ["*"], "path": "/create", "requires": {"rbac": {"action": "create", "object": "orders"}}})
    );

    let place = format!("{path}/{place}");
    let approved = tagged(&console, "POST", &format!("{place}/approve"), &owner, &tag).await;
    assert_eq!((approved.status, &approved.body["state"]), (StatusCode::OK, &json!("approved")));
    assert_eq!(approved.body["decided_by"], console.client.to_string());
    assert_ne!(approved.headers[ETAG], tag.as_str());
    assert_eq!(get("routes?state=pending").await.body["items"], json!([]));
    assert_eq!(get("routes?state=approved").await.body["items"][0]["digest"], digest);

    for (method, rest) in [("POST", "/reject"), ("DELETE", "")] {
        let late = tagged(&console, method, &format!("{place}{rest}"), &owner, &tag).await;
        assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
        assert_eq!(late.body["current"]["state"], "approved");
        let blind = console.call(method, &format!("{place}{rest}"), &owner, &Value::Null).await;
        assert_eq!(blind.status, StatusCode::PRECONDITION_REQUIRED);
    }
    let again = tagged(&console, "POST", &format!("{place}/approve"), &owner, "*").await;
    assert_eq!(
        (again.status, &again.body["type"]),
        (StatusCode::CONFLICT, &json!("urn:portcullis:problem:conflict"))
    );
    let tag = approved.headers[ETAG].to_str().unwrap();
    let rejected = tagged(&console, "POST", &format!("{place}/reject"), &owner, tag).await;
    assert_eq!((rejected.status, &rejected.body["state"]), (StatusCode::OK, &json!("rejected")));
    assert_eq!(tagged(&console, "DELETE", &place, &owner, "*").await.status, StatusCode::NO_CONTENT);
    assert_eq!(console.call("GET", &place, &owner, &Value::Null).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_report_tells_which_routes_and_rules_do_not_fit() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let (path, digest) = announced(&console).await;
    let get = async |rest: &str| console.call("GET", &format!("{path}/{rest}"), &owner, &Value::Null).await;
    let none = get("route-report").await;
    assert_eq!(
        (none.status, &none.body["detail"]),
        (StatusCode::NOT_FOUND, &json!("There is no such route inventory."))
    );
    let rules = json!({"rules": "p, viewer, *, orders, read\np, clerk, acme, stock, read\np, clerk, *, stock, *, deny"});
    console.put(&format!("{path}/draft"), &owner, "*", &rules).await;
    let found = get(&format!("route-report?of=draft&digest={digest}")).await;
    assert_eq!(found.status, StatusCode::OK, "{}", found.body);
    assert_eq!((&found.body["of"], &found.body["complete"]), (&json!({"draft_version": 1}), &json!(true)));
    assert_eq!(
        (&found.body["route_count"], &found.body["inventories"][0]["digest"]),
        (&json!(2), &json!(digest))
    );
    assert_eq!(
        found.body["unruled"],
        json!([{"methods": ["*"], "path": "/create", "object": "orders", "action": "create", "denied_by": null, "closed": true}])
    );
    assert_eq!(
        found.body["unrouted"],
        json!([
            {"line": 2, "effect": "allow", "grantee": "clerk", "domain": "acme", "object": "stock", "action": "read"},
            {"line": 3, "effect": "deny", "grantee": "clerk", "domain": "*", "object": "stock", "action": "*"},
        ])
    );
    for (rest, status) in [
        ("route-report?of=newest".to_owned(), 422),
        ("route-report?digest=x".to_owned(), 404),
        (format!("route-report?digest={}", "0".repeat(64)), 404),
        (format!("route-report?digest={digest}&of=9"), 404),
        ("routes?state=new".to_owned(), 422),
        ("routes?more=1".to_owned(), 400),
        ("routes/x".to_owned(), 404),
        (format!("routes/{}", digest.to_uppercase()), 404),
    ] {
        assert_eq!(get(&rest).await.status.as_u16(), status, "{rest}");
    }
    console.put(&format!("{path}/draft"), &owner, "*", &json!({"rules": "p, clerk"})).await;
    let broken = get(&format!("route-report?of=draft&digest={digest}")).await;
    assert_eq!(broken.body["report"]["findings"][0]["code"], "field-count");
}

#[tokio::test]
async fn who_may_only_read_policies_decides_about_no_routes() {
    let console = Console::open().await;
    let (path, digest) = announced(&console).await;
    let auditor = console.hold("auditor").await;
    let place = format!("{path}/routes/{digest}");
    let shown = console.call("GET", &place, &auditor, &Value::Null).await;
    assert_eq!(shown.status, StatusCode::OK, "{}", shown.body);
    for (method, rest) in [("POST", "/approve"), ("POST", "/reject"), ("DELETE", "")] {
        let refused = tagged(&console, method, &format!("{place}{rest}"), &auditor, "*").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{method} {rest}");
    }
}

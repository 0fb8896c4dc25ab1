use super::*;

const CASES: &str = "allow, viewer, acme, orders, read\r\n";

/// The path of the policy of a new API.
async fn policy(console: &Console) -> String {
    format!("/api/v1/apis/{}/policy", console.trial.api("https://orders.example").await.id)
}

/// Saves a draft and gives its version.
async fn draft(console: &Console, path: &str, owner: &str, body: &Value) -> String {
    let saved = console.put(&format!("{path}/draft"), owner, "*", body).await;
    assert_eq!(saved.status, StatusCode::OK, "{}", saved.body);
    saved.headers[ETAG].to_str().unwrap().to_owned()
}

/// A POST of something that is at a version.
async fn post(console: &Console, path: &str, owner: &str, tag: &str, body: &Value) -> Heard {
    let mut request = asked("POST", path, Some(owner), body);
    request.headers_mut().insert(IF_MATCH, tag.parse().unwrap());
    console.send(request).await
}

#[tokio::test]
async fn cases_come_back_byte_for_byte_and_stand_against_rules_that_break_them() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let path = policy(&console).await;
    let good = json!({"rules": "p, viewer, *, orders, read", "cases": CASES});
    let tag = draft(&console, &path, &owner, &good).await;
    let why = json!({"message": "Reading"});
    let active = post(&console, &format!("{path}/activate"), &owner, &tag, &why).await;
    assert_eq!((active.status, &active.body["cases"]), (StatusCode::OK, &json!(CASES)), "{}", active.body);

    let bad = json!({"rules": "p, viewer, *, orders, write"});
    let tried = console.call("POST", &format!("{path}/validate"), &owner, &bad).await;
    assert_eq!((&tried.body["usable"], &tried.body["cases"]["failed_total"]), (&json!(false), &json!(1)));
    assert_eq!(tried.body["cases"]["failed"][0]["line"], 1);
    let tag = draft(&console, &path, &owner, &bad).await;
    let refused = post(&console, &format!("{path}/activate"), &owner, &tag, &why).await;
    assert_eq!(refused.status, StatusCode::CONFLICT, "{}", refused.body);
    assert_eq!(refused.body["type"], "urn:portcullis:problem:failing-cases");
    let failed = &refused.body["cases"]["failed"][0];
    assert_eq!((&failed["line"], &failed["expected"]), (&json!(1), &json!("allow")));
    assert!(failed["explanation"].as_str().unwrap().starts_with("denied: no rule allows it"), "{failed}");
    let now = console.call("GET", &path, &owner, &Value::Null).await;
    assert_eq!(now.body, active.body);
}

#[tokio::test]
async fn cases_that_cannot_be_read_are_refused_with_their_place() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let path = policy(&console).await;
    let body = json!({"rules": "p, viewer, *, orders, read", "cases": "\nallow, viewer, acme, *, read"});
    let refused = console.put(&format!("{path}/draft"), &owner, "*", &body).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let finding = &refused.body["report"]["findings"][0];
    assert_eq!(
        (&finding["file"], &finding["line"], &finding["column"], &finding["code"]),
        (&json!("cases"), &json!(2), &json!(22), &json!("wildcard"))
    );
}

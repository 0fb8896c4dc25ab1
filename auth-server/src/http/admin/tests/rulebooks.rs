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

#[tokio::test]
async fn questions_are_answered_for_any_text_and_what_is_none_is_a_problem() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let path = policy(&console).await;
    let rules = "p, clerk, *, /orders/{id}, read\np, banned, *, *, *, deny\np, user:17, *, stock, read";
    draft(&console, &path, &owner, &json!({ "rules": rules })).await;
    let get = async |rest: &str| console.call("GET", &format!("{path}/{rest}"), &owner, &Value::Null).await;

    let why = get("explain?of=draft&roles=clerk,banned&object=/orders/17&action=read").await;
    assert_eq!(why.status, StatusCode::OK, "{}", why.body);
    assert_eq!((&why.body["reason"], &why.body["otherwise"]), (&json!("denied"), &json!(1)));
    assert_eq!(why.body["rule"]["grantee"], "banned");
    assert_eq!(why.body["of"], json!({"draft_version": 1}));
    let none = get("explain?of=1&roles=clerk&object=/orders/17&action=read").await;
    assert_eq!((&none.body["reason"], &none.body["unknown_roles"]), (&json!("no-rule"), &json!(["clerk"])));
    assert_eq!(get("explain?object=&action=read").await.body["reason"], "not-comparable");

    let who = get("who-can?of=draft&object=stock&action=read&limit=1").await;
    assert_eq!(
        (&who.body["allowed"][0]["grantee"], &who.body["allowed_total"]),
        (&json!("user:17"), &json!(1))
    );
    let what = get("what-can?of=draft&roles=clerk").await;
    assert_eq!(
        (&what.body["permissions"][0]["object"], &what.body["total"]),
        (&json!("/orders/{id}"), &json!(1))
    );
    let diff = get("diff").await;
    assert_eq!((&diff.body["from"]["revision"], &diff.body["to"]["draft_version"]), (&json!(1), &json!(1)));
    let changes = diff.body["changes"].as_array().unwrap();
    assert!(
        changes.iter().any(|change| change["grantee"] == "clerk" && change["after"]["kind"] == "allowed")
    );

    for (rest, status, kind) in [
        ("explain?object=x", 400, "malformed"),
        ("explain?object=x&action=y&action=z", 400, "malformed"),
        ("explain?object=x&action=y&of=newest", 422, "invalid"),
        ("explain?object=x&action=y&of=9", 404, "not-found"),
        ("what-can?limit=-1&roles=clerk", 400, "malformed"),
        ("what-can", 422, "invalid"),
        ("diff?from=0x1", 422, "invalid"),
    ] {
        let refused = get(rest).await;
        let expected = format!("urn:portcullis:problem:{kind}");
        assert_eq!((refused.status.as_u16(), &refused.body["type"]), (status, &json!(expected)), "{rest}");
    }
    draft(&console, &path, &owner, &json!({"rules": "p, clerk"})).await;
    let broken = get("diff").await;
    assert_eq!(broken.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(broken.body["report"]["findings"][0]["code"], "field-count");
}

#[tokio::test]
async fn an_activation_is_put_off_listed_and_taken_back() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let path = policy(&console).await;
    let tag = draft(&console, &path, &owner, &json!({"rules": "p, viewer, *, orders, read"})).await;
    let in_an_hour = START.plus(std::time::Duration::from_hours(1)).rfc3339();
    let at = |time: &str| json!({"message": "Later", "activate_at": time});
    let activate = format!("{path}/activate");
    for wrong in ["soon", "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z"] {
        let refused = post(&console, &activate, &owner, &tag, &at(wrong)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert_eq!(refused.body["errors"][0]["pointer"], "/activate_at", "{wrong}");
    }
    let accepted = post(&console, &activate, &owner, &tag, &at(&in_an_hour)).await;
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.body);
    let place = accepted.headers[LOCATION].to_str().unwrap().to_owned();
    let shown = console.call("GET", &place, &owner, &Value::Null).await;
    assert_eq!((shown.status, &shown.body), (StatusCode::OK, &accepted.body));
    assert_eq!(shown.body["text"]["rules"], "p, viewer, *, orders, read");
    assert_eq!(shown.body["request"]["requested_by"], console.client.to_string());
    let second = post(&console, &activate, &owner, &tag, &at(&in_an_hour)).await;
    assert_eq!(second.status, StatusCode::CONFLICT);
    let auditor = console.token(&console.audience(), &["auditor"]);
    console.hold("auditor").await;
    let forbidden = console.call("DELETE", &place, &auditor, &Value::Null).await;
    assert_eq!(forbidden.status, StatusCode::FORBIDDEN);
    let gone = console.call("DELETE", &place, &owner, &Value::Null).await;
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    assert_eq!(console.call("DELETE", &place, &owner, &Value::Null).await.status, StatusCode::CONFLICT);
    let listed = console.call("GET", &format!("{path}/schedules"), &owner, &Value::Null).await;
    let item = &listed.body["items"][0];
    assert_eq!((&item["end"]["how"], &item["text"]), (&json!("cancelled"), &Value::Null));
    for unknown in ["sch_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", "x"] {
        let missing = format!("{path}/schedules/{unknown}");
        assert_eq!(console.call("GET", &missing, &owner, &Value::Null).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_second_person_is_asked_for_by_a_problem_of_its_own() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let path = policy(&console).await;
    let api = path.strip_suffix("/policy").unwrap();
    let settings = json!({"name": "Orders", "access_token_ttl_secs": 300, "four_eyes": true});
    let changed = console.put(api, &owner, "*", &settings).await;
    assert_eq!(
        (changed.status, &changed.body["four_eyes"]),
        (StatusCode::OK, &json!(true)),
        "{}",
        changed.body
    );
    let kept = console.put(api, &owner, "*", &json!({"name": "Sales", "access_token_ttl_secs": 60})).await;
    assert_eq!(kept.body["four_eyes"], true);
    let tag = draft(&console, &path, &owner, &json!({"rules": "p, viewer, *, orders, read"})).await;
    let why = json!({"message": "Alone"});
    let refused = post(&console, &format!("{path}/activate"), &owner, &tag, &why).await;
    let expected = json!("urn:portcullis:problem:self-approval");
    assert_eq!((refused.status, &refused.body["type"]), (StatusCode::FORBIDDEN, &expected));
    let in_an_hour = START.plus(std::time::Duration::from_hours(1)).rfc3339();
    let later = json!({"message": "Alone", "activate_at": in_an_hour});
    let accepted = post(&console, &format!("{path}/activate"), &owner, &tag, &later).await;
    assert_eq!((accepted.status, &accepted.body["approved_by"]), (StatusCode::ACCEPTED, &Value::Null));
    let approve = format!("{}/approve", accepted.headers[LOCATION].to_str().unwrap());
    let refused = console.call("POST", &approve, &owner, &Value::Null).await;
    assert_eq!((refused.status, &refused.body["type"]), (StatusCode::FORBIDDEN, &expected));
    let off = json!({"name": "Orders", "access_token_ttl_secs": 300, "four_eyes": false});
    let changed = console.put(api, &owner, "*", &off).await;
    assert_eq!((changed.status, &changed.body["four_eyes"]), (StatusCode::OK, &json!(false)), "by an owner");
}

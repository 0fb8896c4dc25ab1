//! What callers do, and what is left of it.

use super::*;

#[tokio::test]
async fn what_was_revoked_since_a_token_was_issued_is_refused_at_once() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let demoted = console.token(&console.audience(), &["support"]);
    let heard = console.call("GET", "/api/v1/users", &demoted, &Value::Null).await;
    assert_eq!(
        heard.status,
        StatusCode::UNAUTHORIZED,
        "the client does not hold the role that its token carries"
    );
    assert_eq!(console.call("GET", "/api/v1/users", &owner, &Value::Null).await.status, StatusCode::OK);
    console.trial.clients.disable(&console.client, &operator()).await.unwrap();
    let heard = console.call("GET", "/api/v1/users", &owner, &Value::Null).await;
    assert_eq!(heard.status, StatusCode::UNAUTHORIZED);
    assert_eq!(heard.body["type"], "urn:portcullis:problem:token-revoked");
}

#[tokio::test]
async fn a_policy_is_written_checked_put_in_force_and_taken_back() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let api = console.trial.api("https://orders.example").await.id;
    let path = format!("/api/v1/apis/{api}/policy");
    let draft = console.call("GET", &format!("{path}/draft"), &owner, &Value::Null).await;
    let tag = draft.headers[ETAG].to_str().unwrap().to_owned();
    let bad = json!({"rules": "p, viewer, *, orders"});
    let report = console.call("POST", &format!("{path}/validate"), &owner, &bad).await;
    assert_eq!((report.status, &report.body["usable"]), (StatusCode::OK, &json!(false)));
    assert_eq!(report.body["findings"][0]["line"], 1);
    let saved = console.put(&format!("{path}/draft"), &owner, &tag, &bad).await;
    assert_eq!((saved.status, &saved.body["version"]), (StatusCode::OK, &json!(1)));
    let late = console.put(&format!("{path}/draft"), &owner, &tag, &bad).await;
    assert_eq!((late.status, &late.body["current"]["version"]), (StatusCode::PRECONDITION_FAILED, &json!(1)));
    let why = json!({"message": "Only reading"});
    let activate = |tag: String| {
        let mut request = asked("POST", &format!("{path}/activate"), Some(&owner), &why);
        request.headers_mut().insert(IF_MATCH, tag.parse().unwrap());
        request
    };
    let tag = saved.headers[ETAG].to_str().unwrap().to_owned();
    let refused = console.send(activate(tag.clone())).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", refused.body);
    assert_eq!(refused.body["report"]["findings"][0]["line"], 1);
    let good = json!({"rules": "p, viewer, *, orders, read"});
    let saved = console.put(&format!("{path}/draft"), &owner, &tag, &good).await;
    let active = console.send(activate(saved.headers[ETAG].to_str().unwrap().to_owned())).await;
    assert_eq!((active.status, &active.body["number"]), (StatusCode::OK, &json!(2)), "{}", active.body);
    let back = console.call("POST", &format!("{path}/revisions/1/rollback"), &owner, &why).await;
    assert_eq!((back.status, &back.body["number"]), (StatusCode::OK, &json!(3)));
    let history = console.call("GET", &format!("{path}/revisions"), &owner, &Value::Null).await;
    assert_eq!(history.body["items"].as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn an_attempt_to_do_what_one_may_not_is_recorded_and_a_burst_of_them_is_not() {
    let console = Console::open().await;
    let support = console.hold("support").await;
    for _ in 0..10 {
        let heard = console.call("POST", "/api/v1/users", &support, &json!({"username": "ada"})).await;
        assert_eq!(heard.status, StatusCode::FORBIDDEN);
    }
    let stale = console.token(&console.audience(), &["auditor"]);
    assert_eq!(
        console.call("POST", "/api/v1/users", &stale, &json!({})).await.status,
        StatusCode::FORBIDDEN,
        "the token does not even claim to be allowed"
    );
    let trail = console.trial.trail().await;
    assert_eq!(trail.iter().filter(|action| **action == "access.refused").count(), 3, "{trail:?}");
    let auditor = AuditService::new(console.trial.store.clone());
    let last = auditor.list(&PageQuery::new(None, Some(1))).await.unwrap().items.remove(0).event;
    assert_eq!((last.actor, last.outcome), (Actor::Client(console.client), AuditOutcome::Refused));
    assert_eq!(last.detail, json!({"needed": "rbac(users, create)"}));
}

#[tokio::test]
async fn what_is_deleted_is_gone_and_the_last_owner_and_the_admin_api_stay() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let delete = async |path: &str| console.call("DELETE", path, &owner, &Value::Null).await;
    let ada = format!("/api/v1/users/{}", console.trial.user("ada").await);
    assert_eq!(delete(&ada).await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&ada).await.status, StatusCode::NOT_FOUND);
    assert_eq!(console.call("GET", &ada, &owner, &Value::Null).await.status, StatusCode::NOT_FOUND);
    let again = console.call("POST", "/api/v1/users", &owner, &json!({"username": "ada"})).await;
    assert_eq!(again.status, StatusCode::CREATED, "the name is free again: {}", again.body);

    let admin_api = format!("/api/v1/apis/{}", console.trial.admin_api().await.id);
    assert_eq!(delete(&admin_api).await.status, StatusCode::CONFLICT);
    let api = console.trial.api("https://orders.example").await.id;
    let input = json!({"name": "Shop", "preset": "m2m", "apis": [api]});
    let made = console.call("POST", "/api/v1/clients", &owner, &input).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let api = format!("/api/v1/apis/{api}");
    let named = delete(&api).await;
    assert_eq!(named.status, StatusCode::CONFLICT, "a client asks for its tokens");
    let client = made.body["client"]["id"].as_str().unwrap();
    assert_eq!(delete(&format!("/api/v1/clients/{client}")).await.status, StatusCode::NO_CONTENT);
    assert_eq!(delete(&api).await.status, StatusCode::NO_CONTENT);
    assert_eq!(console.call("GET", &api, &owner, &Value::Null).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn injection_texts_are_names_and_nothing_else() {
    let console = Arc::new(Console::open().await);
    let owner = console.hold("owner").await;
    for text in
        ["' OR 1=1--", "x'; DROP TABLE users;--", "%", "_", "\" UNION SELECT 1", "<script>alert(1)</script>"]
    {
        let made = console.call("POST", "/api/v1/organisations", &owner, &json!({"name": text})).await;
        assert_eq!(
            (made.status, made.body["name"].as_str()),
            (StatusCode::CREATED, Some(text)),
            "{}",
            made.body
        );
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("username", text).finish();
        let found = console.call("GET", &format!("/api/v1/users?{query}"), &owner, &Value::Null).await;
        assert_eq!(
            (found.status, found.body["items"].as_array().map(Vec::len)),
            (StatusCode::OK, Some(0)),
            "{text}"
        );
    }
}

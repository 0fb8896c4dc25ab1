//! What callers send and are sent: fields that are wrong, secrets, and bodies that are no documents.

use super::*;

#[tokio::test]
async fn wrong_fields_are_all_named_and_no_value_is_repeated() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let body = json!({"username": "a b", "email": "nowhere", "password": "short77"});
    let heard = console.call("POST", "/api/v1/users", &owner, &body).await;
    assert_eq!(heard.status, StatusCode::UNPROCESSABLE_ENTITY);
    let pointers: Vec<_> =
        heard.body["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(pointers, ["/username", "/email", "/password"]);
    assert!(!heard.body.to_string().contains("short77"));
}

#[tokio::test]
async fn a_claim_of_tokens_cannot_be_set_on_a_user_or_a_client() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    for claim in ["sub", "iss", "aud", "roles", "scope", "cnf", "exp", "claims", "attributes"] {
        for (path, mut body) in [
            ("/api/v1/users", json!({"username": "ada"})),
            ("/api/v1/clients", json!({"name": "Robot", "preset": "m2m"})),
        ] {
            body[claim] = json!("x");
            let heard = console.call("POST", path, &owner, &body).await;
            assert_eq!(heard.status, StatusCode::BAD_REQUEST, "{path} {claim}");
            assert!(heard.body.to_string().contains("unknown field"), "{}", heard.body);
        }
    }
}

#[tokio::test]
async fn a_secret_is_in_the_answer_that_made_it_and_in_no_other() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let body = json!({"name": "Other robot", "preset": "m2m"});
    let made = console.call("POST", "/api/v1/clients", &owner, &body).await;
    let first = made.body["client_secret"].as_str().unwrap().to_owned();
    let path = made.headers[LOCATION].to_str().unwrap().to_owned();
    let rotated = console.call("POST", &format!("{path}/secret"), &owner, &Value::Null).await;
    let second = rotated.body["client_secret"].as_str().unwrap().to_owned();
    assert!(first.starts_with("pck_") && second.starts_with("pck_") && first != second);
    for path in [path.as_str(), "/api/v1/clients", "/api/v1/audit"] {
        let heard = console.call("GET", path, &owner, &Value::Null).await;
        assert_eq!(heard.status, StatusCode::OK, "{path}");
        let text = heard.body.to_string();
        assert!(
            !text.contains(&first) && !text.contains(&second) && !text.contains("client_secret\""),
            "{path}"
        );
    }
}

#[tokio::test]
async fn other_content_types_long_bodies_and_odd_queries_are_refused() {
    let console = Console::open().await;
    let owner = console.hold("owner").await;
    let mut form = asked("POST", "/api/v1/users", Some(&owner), &json!({"username": "ada"}));
    form.headers_mut().insert(CONTENT_TYPE, "text/plain".parse().unwrap());
    assert_eq!(console.send(form).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let long = json!({"username": "a".repeat(3 * 1024 * 1024)});
    assert_eq!(
        console.call("POST", "/api/v1/users", &owner, &long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    for query in ["limit=-1", "limit=1e9", "sort=name;drop", "order=asc", "limit=1&limit=2"] {
        let heard = console.call("GET", &format!("/api/v1/users?{query}"), &owner, &Value::Null).await;
        assert_eq!(heard.status, StatusCode::BAD_REQUEST, "{query}");
    }
    for user in ["ada", "bea"] {
        console.trial.user(user).await;
    }
    let heard = console.call("GET", "/api/v1/users?limit=1000000000", &owner, &Value::Null).await;
    assert_eq!(heard.status, StatusCode::OK);
    let one = console.call("GET", "/api/v1/users?limit=1", &owner, &Value::Null).await;
    assert_eq!(one.body["items"].as_array().unwrap().len(), 1);
    assert!(one.body["next"].is_string());
}

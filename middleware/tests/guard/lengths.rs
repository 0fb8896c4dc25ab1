//! How long strings may be that nobody declared, and fields of forms that are there twice.

use axum::body::Body;
use http::StatusCode;
use portcullis_guard::{Duplicates, Field, InputPolicy};
use serde_json::json;

use crate::service::{Answer, guard_of, request, send, service};
use crate::signer::Signer;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=xy";

async fn sent(input: InputPolicy, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
    let signer = Signer::eddsa("a");
    let app = service(&guard_of(&signer).input(input).build().await.unwrap());
    let request =
        headers.iter().fold(request("POST", path, &signer.token(&json!({}))), |asked, (name, value)| {
            asked.header(*name, *value)
        });
    send(&app, request.body(Body::from(body)).unwrap()).await
}

async fn post(input: InputPolicy, content_type: &str, body: String) -> Answer {
    sent(input, "/echo", &[("content-type", content_type)], body).await
}

fn part(content: &str) -> String {
    format!("--xy\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{content}\r\n--xy--\r\n")
}

#[tokio::test]
async fn a_string_that_is_not_declared_has_64_kib_at_most_wherever_it_stands() {
    let most = 64 * 1024;
    for (content_type, body) in [
        (JSON, (|text| format!(r#"{{"a":"{text}"}}"#)) as fn(&str) -> String),
        (FORM, |text| format!("a={text}")),
        (MULTIPART, part),
    ] {
        let fits = post(InputPolicy::strict(), content_type, body(&"x".repeat(most))).await;
        assert_eq!(fits.status, StatusCode::OK, "{content_type}");
        let long = post(InputPolicy::strict(), content_type, body(&"x".repeat(most + 1))).await;
        assert_eq!(long.status, StatusCode::UNPROCESSABLE_ENTITY, "{content_type}");
        let errors = json!([{ "pointer": "/a", "kind": "text", "rule": "too-long" }]);
        assert_eq!(long.problem()["errors"], errors, "{content_type}");
        assert!(!long.body.contains("xxxx"), "no value is said again");
    }
    // In bytes of UTF-8, however they are written.
    let escaped =
        post(InputPolicy::strict(), JSON, format!(r#"["{}"]"#, "\\u00e9".repeat(most / 2 + 1))).await;
    assert_eq!(escaped.problem()["errors"], json!([{ "pointer": "/0", "kind": "text", "rule": "too-long" }]));
}

#[tokio::test]
async fn how_long_a_string_may_be_can_be_said_and_what_is_declared_says_it_itself() {
    let short = || InputPolicy::strict().max_text(5);
    for (body, status) in [(r#"{"a":"12345"}"#, 200), (r#"{"a":"123456"}"#, 422), (r#"{"a":"ééé"}"#, 422)]
    {
        assert_eq!(post(short(), JSON, body.to_owned()).await.status, status, "{body}");
    }
    let declared = || short().field("/file", Field::opaque()).field("/name", Field::line().length(..=8));
    for (body, status) in [
        (r#"{"file":"aGVsbG8sIHdvcmxk"}"#, 200),
        (r#"{"name":"12345678"}"#, 200),
        (r#"{"name":"123456789"}"#, 422),
        (r#"{"other":"123456"}"#, 422),
    ] {
        assert_eq!(post(declared(), JSON, body.to_owned()).await.status, status, "{body}");
    }
    // What names a tree of numbers says nothing of the strings in it.
    let numbers = short().field("/**", Field::integer(1..=9));
    assert_eq!(post(numbers, JSON, r#"{"a":"123456"}"#.to_owned()).await.status, 422);
    let large = InputPolicy::strict().max_text(1 << 20);
    assert_eq!(post(large, JSON, format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000))).await.status, 200);
}

#[tokio::test]
async fn a_parameter_of_the_query_is_no_longer_than_a_string() {
    for (query, declares, status) in [
        ("a=12345&b=67890", false, 200),
        ("a=123456", false, 422),
        ("a=%31%32%33%34%35", false, 200),
        ("a=12345&b=123456", true, 422),
        ("sort=ascending&a=1", true, 200),
    ] {
        let short = InputPolicy::strict().max_text(5);
        let policy = if declares { short.query("sort", Field::one_of(["ascending"])) } else { short };
        let answer = sent(policy, &format!("/echo?{query}"), &[], String::new()).await;
        assert_eq!(answer.status, status, "{query}");
    }
}

#[tokio::test]
async fn where_the_first_counts_the_handler_gets_no_other() {
    let first = || InputPolicy::strict().form_duplicates(Duplicates::First);
    for (sent, got) in
        [("a=1&a=2", "a=1"), ("a=1&b=%20x&%61=2&&c=+&b=", "a=1&b=%20x&&c=+"), ("a=1&b=2", "a=1&b=2")]
    {
        let answer = post(first(), FORM, sent.to_owned()).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, got), "{sent}");
    }
    // Nothing is taken out of what cannot be read, of what is declared wrong, or of what is signed.
    assert_eq!(post(first(), FORM, "a=1&a=%zz".to_owned()).await.status, 400);
    let declared = first().field("/a", Field::integer(1..=9));
    assert_eq!(post(declared.clone(), FORM, "a=1&a=100".to_owned()).await.body, "a=1");
    assert_eq!(post(declared, FORM, "a=100&a=1".to_owned()).await.status, 422);
    let signed = [("content-type", FORM), ("content-digest", "sha-256=:AA==:")];
    let answer = sent(first(), "/echo", &signed, "a=1&a=2".to_owned()).await;
    assert_eq!(answer.problem()["errors"], json!([{ "pointer": "/a", "rule": "signed-body" }]));
    let own = post(first().signed_body(), FORM, "a=1&a=2".to_owned()).await;
    assert_eq!(own.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn where_nothing_can_be_taken_out_twice_is_refused() {
    let first = || InputPolicy::strict().form_duplicates(Duplicates::First);
    let parts = [part("1").replace("--xy--\r\n", ""), part("2")].concat();
    assert_eq!(post(first(), MULTIPART, parts).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let query = InputPolicy::strict().query_duplicates(Duplicates::First);
    assert_eq!(sent(query, "/echo?a=1&a=2", &[], String::new()).await.status, 422);
}

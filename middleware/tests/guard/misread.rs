//! Bodies of several parts, as the guard reads them and as `axum::extract::Multipart` does: of what the two would take apart
//! differently, nothing reaches a handler.

use axum::body::Body;
use axum::extract::Multipart;
use axum::routing::post;
use axum::{Json, Router};
use http::StatusCode;
use portcullis_guard::{Field, GuardExt, GuardedRouter, Html, InputPolicy, Uploads, authenticated};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::service::{Answer, guard_of, request, send};
use crate::signer::Signer;

const SCRIPT: &str = "<script>alert(1)</script>";

/// A service that says what its handler was given, and takes pictures alone for files.
async fn service() -> (Router, String) {
    let signer = Signer::eddsa("a");
    let policy = InputPolicy::strict()
        .html("/note", Html::inline())
        .field("/title", Field::line())
        .field("/draft", Field::line().report())
        .field("/blob", Field::opaque())
        .uploads(Uploads::new().types(["image/png"]));
    let guard = guard_of(&signer).input(policy).build().await.unwrap();
    let seen = async |mut body: Multipart| {
        let mut seen = Vec::new();
        while let Some(part) = body.next_field().await.unwrap() {
            let (name, file) = (part.name().map(str::to_owned), part.file_name().map(str::to_owned));
            seen.push(json!([name, file, part.text().await.unwrap()]));
        }
        Value::from(seen).to_string()
    };
    let router = GuardedRouter::new().route("/upload", post(seen).guard(authenticated())).guarded_by(&guard);
    (router, signer.token(&json!({})))
}

async fn sent((service, token): &(Router, String), disposition: &str, media: &str, content: &str) -> Answer {
    let head = format!("Content-Disposition: form-data; {disposition}\r\nContent-Type: {media}");
    let body = format!("--xy\r\n{head}\r\n\r\n{content}\r\n--xy--\r\n");
    let request =
        request("POST", "/upload", token).header("content-type", "multipart/form-data; boundary=xy");
    send(service, request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn a_name_that_hides_in_a_head_is_refused() {
    let service = service().await;
    let plain = sent(&service, "name=note", "text/plain", SCRIPT).await;
    assert_eq!((plain.status.as_u16(), plain.body.as_str()), (200, r#"[["note",null,""]]"#));
    for hidden in [
        "x=\"; name=note;\"; name=t",
        "name=note; FileName=a",
        "name=note; filename=\"a\\\"",
        "filename=\"a name=note; b\"; name=t",
        "filename=a; name=note",
        "name=t; x=\"; filename=../../etc/cron.d/x;\"",
        "name=\"t filename=../../etc/cron.d/x;\"",
        "name=\"t filenames\"; filename=a",
    ] {
        let refused = sent(&service, hidden, "text/plain", SCRIPT).await;
        assert_eq!(refused.status, 400, "{hidden}");
        assert_eq!(refused.problem()["errors"][0]["rule"], "part-head", "{hidden}");
    }
}

/// A handler that asks for the text of a part does not mind that it is a file.
#[tokio::test]
async fn no_declared_field_comes_as_a_file() {
    let service = service().await;
    for name in ["note", "title"] {
        let refused = sent(&service, &format!("name={name}; filename=a.png"), "image/png", SCRIPT).await;
        assert_eq!(refused.status, 422, "{name}");
        let told = &refused.problem()["errors"][0];
        assert_eq!((&told["rule"], &told["pointer"]), (&json!("type"), &json!(format!("/{name}"))));
    }
    for name in ["blob", "draft", "other"] {
        // Its content is none of a picture: that is found out further on.
        let refused = sent(&service, &format!("name={name}; filename=a.png"), "image/png", SCRIPT).await;
        assert_eq!(refused.problem()["errors"][0]["rule"], "file-type", "{name}");
    }
}

/// What `Json` of axum takes for JSON is checked as JSON, whatever it is called.
#[tokio::test]
async fn json_has_no_name_by_which_it_is_not_checked() {
    let signer = Signer::eddsa("a");
    let policy = InputPolicy::strict().html("/note", Html::inline()).field("/n", Field::integer(1..=9));
    let guard = guard_of(&signer).input(policy).build().await.unwrap();
    let handler = post(async |Json(order): Json<Value>| order.to_string());
    let app = GuardedRouter::new().route("/orders", handler.guard(authenticated())).guarded_by(&guard);
    for (name, is_json) in [
        ("application/json", true),
        ("application/json+x", true),
        ("application/JSON+xml", true),
        ("application/json+x; charset=utf-8", true),
        ("application/x+json", true),
        ("application/x+json+y", false),
        ("application/json-seq", false),
        ("application/jsonx", false),
        ("text/json", false),
    ] {
        let send_as = async |body: &'static str| {
            let request = request("POST", "/orders", &signer.token(&json!({}))).header("content-type", name);
            send(&app, request.body(Body::from(body)).unwrap()).await.status
        };
        let taken = send_as(r#"{"n":9}"#).await;
        assert_eq!(taken == StatusCode::OK, is_json, "{name}: {taken}");
        for wrong in [r#"{"n":10}"#, r#"{"a":1,"a":2}"#, r#"{"note":"<script>x</script>","n":1000}"#] {
            assert_ne!(send_as(wrong).await, StatusCode::OK, "{name}: {wrong}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_a_handler_sees_was_checked_as_what_it_sees(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "name", "filename", "Name", "FILENAME", "filename*", "x", "=", ";", "; ", " ", "\t", "\"", "\\", "note", "title", "a",
            "name=", "filename=", "; name=note", "; filename=a", "=\"", "\";", "%22", "utf-8''", ",",
        ]), 0..10),
        first in prop::bool::ANY,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let noise = pieces.concat();
        let disposition = if first { format!("name=t{noise}") } else { noise };
        let answer = runtime.block_on(async {
            sent(&service().await, &disposition, "text/plain", SCRIPT).await
        });
        if answer.status == 200 {
            let seen: Value = serde_json::from_str(&answer.body).unwrap();
            for part in seen.as_array().unwrap() {
                let name = part[0].as_str().unwrap_or(" ");
                prop_assert_eq!(name.trim_end(), name, "{}: {}", disposition, part);
                prop_assert!(part[1].is_null(), "no picture, {disposition}: {part}");
                prop_assert!(part[0] != "note" || part[2] == "", "not cleaned, {disposition}: {part}");
            }
        } else {
            prop_assert!(answer.status.is_client_error(), "{disposition}: {}", answer.status);
        }
    }
}

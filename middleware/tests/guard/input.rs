//! Bodies, as a client sends them.

use axum::Router;
use axum::body::Body;
use http::{Request, StatusCode};
use portcullis_guard::{BuildError, Duplicates, Html, InputError, InputPolicy};
use serde_json::json;

use crate::evasions::EVASIONS;
use crate::service::{Answer, guard_of, request, send, service};
use crate::signer::Signer;

async fn guarded(signer: &Signer, input: InputPolicy) -> Router {
    service(&guard_of(signer).input(input).build().await.unwrap())
}

async fn post(input: InputPolicy, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
    let signer = Signer::eddsa("a");
    let service = guarded(&signer, input).await;
    let request =
        headers.iter().fold(request("POST", "/echo", &signer.token(&json!({}))), |request, (name, value)| {
            request.header(*name, *value)
        });
    send(&service, request.body(body.into()).unwrap()).await
}

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

#[tokio::test]
async fn the_handler_gets_the_bytes_that_were_sent() {
    for body in [r#"{ "a" : 0.10, "b":12345678901234567890123, "t":"AT&T <3 \u00e9" }"#, "[]", "\"<script>\""]
    {
        let answer = post(InputPolicy::strict(), &[JSON], body).await;
        assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, body));
    }
    let untouched = post(InputPolicy::strict(), &[("content-type", "text/plain")], "\u{0}{{{").await;
    assert_eq!((untouched.status, untouched.body.as_str()), (StatusCode::OK, "\u{0}{{{"));
}

#[tokio::test]
async fn a_refusal_says_where_and_why_and_not_what() {
    let secret = r#"{"user":{"password":"hunter2\u0000"}}"#;
    let answer = post(InputPolicy::strict(), &[JSON], secret).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        answer.problem()["errors"],
        json!([{ "pointer": "/user/password", "kind": "text", "rule": "control-character" }])
    );
    assert!(!answer.body.contains("hunter2"));
    let twice = post(InputPolicy::strict(), &[JSON], r#"{"a":{"id":1,"id":2}}"#).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    assert_eq!(twice.problem()["errors"], json!([{ "pointer": "/a/id", "rule": "duplicate-member" }]));
}

#[tokio::test]
async fn malformed_bodies_are_refused_with_the_right_status() {
    let deep = "[".repeat(100_000);
    for (header, body, status) in [
        (JSON, "{", 400),
        (JSON, "{} x", 400),
        (JSON, "\u{feff}{}", 400),
        (JSON, &deep, 400),
        (JSON, r#""\ud800""#, 422),
        (("content-type", "application/json; charset=utf-16"), "{}", 415),
        (("content-type", "application/merge-patch+json"), "{", 400),
        (FORM, "a=%zz", 400),
        (FORM, "a=1&a=2", 422),
        (FORM, "a=%00", 422),
    ] {
        let answer = post(InputPolicy::strict(), &[header], body.to_owned()).await;
        assert_eq!(
            (answer.status.as_u16(), answer.code().as_str()),
            (status, "invalid_body"),
            "{header:?} {body:.20}"
        );
    }
    let list = post(InputPolicy::strict().form_duplicates(Duplicates::Allow), &[FORM], "a=1&a=2").await;
    assert_eq!(list.status, StatusCode::OK);
}

// HT-05
#[tokio::test]
async fn a_length_beside_a_coding_of_the_transfer_says_nothing() {
    // Servers are to take it away (RFC 9112 §6.3), and not every one does.
    for length in ["0", "1", "1000000000"] {
        let both = [JSON, ("content-length", length), ("transfer-encoding", "chunked")];
        let chunks = |text: &'static str| {
            Body::from_stream(futures_util::stream::iter([Ok::<_, std::io::Error>(text)]))
        };
        let twice = post(InputPolicy::strict(), &both, chunks(r#"{"a":1,"a":2}"#)).await;
        assert_eq!((twice.status.as_u16(), twice.code().as_str()), (400, "invalid_body"), "{length}");
        assert_eq!(post(InputPolicy::strict(), &both, chunks("{}")).await.status, StatusCode::OK, "{length}");
    }
}

// HT-11
#[tokio::test]
async fn a_big_body_is_413_and_a_compressed_one_415() {
    let small = || InputPolicy::strict().max_body(64);
    let long = format!("\"{}\"", "x".repeat(64));
    assert_eq!(post(small(), &[JSON], long.clone()).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(
        post(small(), &[JSON, ("content-length", "66")], long).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let announced = post(small(), &[JSON, ("content-length", "1000000000")], Body::empty()).await;
    assert_eq!(announced.status, StatusCode::PAYLOAD_TOO_LARGE);
    let chunks = futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>("[[[[".to_owned()));
    assert_eq!(post(small(), &[JSON], Body::from_stream(chunks)).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let packed = post(small(), &[JSON, ("content-encoding", "gzip")], vec![0x1f, 0x8b]).await;
    assert_eq!(
        (packed.status, packed.header("accept-encoding")),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "identity")
    );
}

// HT-11
#[tokio::test]
async fn a_packed_body_is_unpacked_where_that_is_wanted() {
    let gzip = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        std::io::Write::write_all(&mut encoder, text).unwrap();
        encoder.finish().unwrap()
    };
    let policy = || InputPolicy::strict().html("/note", Html::inline()).unpack(50);
    let coded = ("content-encoding", "gzip");
    let plain = post(policy(), &[JSON, coded], gzip(br#"{ "a": 0.10 }"#)).await;
    assert_eq!((plain.status, plain.body.as_str()), (StatusCode::OK, r#"{ "a": 0.10 }"#));
    let dirty = post(policy(), &[JSON, coded], gzip(br#"{"note":"<b onclick=x>y"}"#)).await;
    assert_eq!(dirty.body, r#"{"note":"<b>y</b>"}"#);
    let wrong = post(policy(), &[JSON, coded], gzip(br#"{"a":1,"a":2}"#)).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    let bomb = post(policy(), &[JSON, coded], gzip(&vec![b' '; 900_000])).await;
    assert_eq!(bomb.status, StatusCode::PAYLOAD_TOO_LARGE);
    let signed = post(policy(), &[JSON, coded, ("content-digest", "sha-256=:x:")], gzip(b"{}")).await;
    assert_eq!(signed.status, StatusCode::UNPROCESSABLE_ENTITY);
    let other = post(policy(), &[JSON, ("content-encoding", "br")], "{}").await;
    assert_eq!(
        (other.status, other.header("accept-encoding")),
        (StatusCode::UNSUPPORTED_MEDIA_TYPE, "gzip, deflate")
    );
}

// XS-07
#[tokio::test]
async fn html_that_would_keep_the_cleaner_busy_is_refused_before_it_sees_it() {
    let attributes = |number: usize| {
        let names = (0..number).map(|number| format!("{number:x}")).collect::<Vec<_>>();
        format!("<p {}>", names.join(" "))
    };
    for html in [
        // As much as a body may hold, and as much as a field may.
        "<div>".repeat(200_000),
        "<div>".repeat(3_000),
        attributes(100_000),
        attributes(3_000),
        format!("<b {}>{}", attributes(90), "<p>x".repeat(1_000)),
    ] {
        let policy = InputPolicy::strict().html("/note", Html::rich());
        let answer = post(policy, &[JSON], json!({ "note": html }).to_string()).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{html:.40}");
        assert_eq!(
            answer.problem()["errors"],
            json!([{ "pointer": "/note", "kind": "html", "rule": "html-length" }])
        );
    }
}

// XS-05, through the whole guard
#[tokio::test]
async fn declared_html_is_cleaned_and_the_rest_is_not() {
    let policy = InputPolicy::strict().html("/note", Html::inline());
    let body = r#"{"note":"<b onclick=x()>hi</b><script>alert(1)</script>","title":"<b>","price":0.10}"#;
    let answer = post(policy.clone(), &[JSON], body).await;
    assert_eq!(answer.body, r#"{"note":"<b>hi</b>","title":"<b>","price":0.10}"#);
    let signed = post(policy.clone(), &[JSON, ("content-digest", "sha-256=:x:")], body).await;
    assert_eq!((signed.status, signed.code().as_str()), (StatusCode::UNPROCESSABLE_ENTITY, "invalid_body"));
    let form = post(policy, &[FORM], "title=%3Cb%3E&note=%3Cscript%3Ex").await;
    assert_eq!(form.body, "title=%3Cb%3E&note=");
}

#[tokio::test]
async fn a_body_is_not_read_for_callers_who_may_not_send_it() {
    let service = guarded(&Signer::eddsa("a"), InputPolicy::strict()).await;
    let request = Request::post("/echo").header(JSON.0, JSON.1);
    let unread = Body::from_stream(futures_util::stream::once(async {
        panic!("the body was read") as Result<String, std::io::Error>
    }));
    let answer = send(&service, request.body(unread).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_field_that_is_no_pointer_is_not_built() {
    let signer = Signer::eddsa("a");
    let built = guard_of(&signer).input(InputPolicy::strict().html("note", Html::inline())).build().await;
    assert!(matches!(built, Err(BuildError::Input(InputError::NotAPointer(_)))));
}

// XS-05
#[tokio::test]
async fn what_goes_around_filters_comes_to_the_handler_clean_or_not_at_all() {
    let signer = Signer::eddsa("a");
    let service = guarded(&signer, InputPolicy::strict().html("/note", Html::inline())).await;
    let (token, cleaner) = (signer.token(&json!({})), Html::inline().cleaner().unwrap());
    for text in EVASIONS {
        let body = json!({ "note": text }).to_string();
        let request = request("POST", "/echo", &token).header("content-type", "application/json");
        let answer = send(&service, request.body(Body::from(body)).unwrap()).await;
        if answer.status == StatusCode::UNPROCESSABLE_ENTITY {
            assert!(text.contains(['\0', '\u{c}']), "{text}: {answer:?}");
            continue;
        }
        let note: serde_json::Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!(note["note"], cleaner.clean(text).unwrap().as_str(), "{text}");
    }
}

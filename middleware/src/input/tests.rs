//! The input policy as a whole: what comes out of it for what goes in.

use std::io;

use bytes::Bytes;
use futures_util::{Stream, TryStreamExt};
use http::{Request, header};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use proptest::prelude::*;

use super::fault::Rule;
use super::*;

use crate::body::Body;

fn policy() -> Arc<InputRules> {
    let policy = InputPolicy::strict().html("/note", Html::inline()).html("/comments/*/html", Html::rich());
    policy.build().unwrap().into_rules()
}

fn request(media: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().header(header::CONTENT_TYPE, media).body(body.into()).unwrap()
}

/// A body that comes in chunks.
pub(super) fn streamed(chunks: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> Body {
    Body::new(StreamBody::new(chunks.map_ok(Frame::data)))
}

async fn run_by(policy: Arc<InputRules>, request: Request<Body>) -> Result<Request<Body>, Fault> {
    let (mut parts, body) = request.into_parts();
    let media = policy.begin(&mut parts, &Parameters::default())?.unwrap();
    Ok(policy.apply(media, Request::from_parts(parts, body)).await?.request)
}

async fn run(request: Request<Body>) -> Result<Request<Body>, Fault> {
    run_by(policy(), request).await
}

async fn json(body: &str) -> Result<Bytes, Fault> {
    let request = run(request("application/json", body.to_owned())).await?;
    Ok(request.into_body().collect().await.unwrap().to_bytes())
}

async fn form(body: &str) -> Result<Bytes, Fault> {
    let request = run(request("application/x-www-form-urlencoded", body.to_owned())).await?;
    Ok(request.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn text_survives_whatever_it_looks_like() {
    for text in [
        "AT&T",
        "O'Brian",
        "a<b && c>d",
        "Vec::<u8>::new()",
        "I <3 you",
        "👩‍👩‍👧‍👦",
        "if a<b then c>d",
        "<script>alert(1)</script>",
        "1 < 2",
        "&amp;",
        "tab\tline\r\n",
        "\u{200f}rtl",
        "e\u{301}",
        "'; DROP TABLE users; --",
        "C:\\path",
    ] {
        let body = serde_json::json!({ "text": text, "nested": [{ "html": text }] }).to_string();
        assert_eq!(json(&body).await.unwrap(), body);
    }
}

#[tokio::test]
async fn what_could_hold_no_declared_field_is_refused() {
    for body in
        ["0.10", "true", r#""text""#, r#"["text"]"#, r#"{"comments":"text"}"#, r#"{"comments":[["text"]]}"#]
    {
        assert_eq!(json(body).await.unwrap_err().rule, Rule::Type, "{body}");
    }
    for body in
        ["null", "{}", r#"{"comments":null}"#, r#"{"comments":{"a":{"html":"x"}}}"#, r#"{"other":["text"]}"#]
    {
        assert_eq!(json(body).await.unwrap(), body);
    }
}

#[tokio::test]
async fn a_field_that_only_reports_lets_nothing_by_that_another_refuses() {
    let reported = Field::line().report();
    let policy = InputPolicy::strict().field("/a/*", reported).field("/a/b", Field::ident());
    let policy = policy.build().unwrap().into_rules();
    for body in [r#"{"a":"x y"}"#, r#"{"a":true}"#] {
        let request = request("application/json", body);
        assert_eq!(run_by(Arc::clone(&policy), request).await.unwrap_err().rule, Rule::Type, "{body}");
    }
    let lenient = InputPolicy::strict().field("/a/*", Field::line().report()).build().unwrap().into_rules();
    let request = request("application/json", r#"{"a":"x"}"#);
    assert!(run_by(lenient, request).await.is_ok());
}

#[tokio::test]
async fn bodies_without_html_come_out_byte_for_byte() {
    for body in [
        r#"{"a":[0.10,12345678901234567890123,1e400,-0]}"#,
        " { \"b\" : 1 ,\t\"a\" : 2 } \n",
        r#"{"a":"\u0041\/\u00e9"}"#,
        r#"{"price":117.63331139400017,"big":1E+2}"#,
        r#"{"note":"plain","comments":[{"html":"also plain"}]}"#,
        r#"{"note":"\u0070lain"}"#,
        r#"{"note":null,"comments":[{"html":null}]}"#,
        "",
    ] {
        assert_eq!(json(body).await.unwrap(), body);
    }
    for body in ["", "a=1&b=2", "a=%41+%2B&&b", "note=plain+text&text=%3Cb%3E"] {
        assert_eq!(form(body).await.unwrap(), body);
    }
}

#[tokio::test]
async fn declared_html_is_cleaned_in_place() {
    let body = r#"{ "price": 0.10, "note": "\u003cb\u003ehi<script>x</script>", "text":"<i>", "comments":[{"html":"<img src=x onerror=y>"},{"html":"ok"}] }"#;
    let clean = r#"{ "price": 0.10, "note": "<b>hi</b>", "text":"<i>", "comments":[{"html":"<img src=\"x\">"},{"html":"ok"}] }"#;
    assert_eq!(json(body).await.unwrap(), clean);
    assert_eq!(json(clean).await.unwrap(), clean, "cleaning is idempotent");
    assert_eq!(
        form("x=%3Cb%3E&note=%3Cb+onclick%3Dx%3Ehi&y=0").await.unwrap(),
        "x=%3Cb%3E&note=%3Cb%3Ehi%3C%2Fb%3E&y=0"
    );
}

#[tokio::test]
async fn a_cleaned_request_says_so_and_has_the_right_length() {
    let mut dirty = request("application/json", r#"{"note":"<b>"}"#);
    dirty.headers_mut().insert(header::CONTENT_LENGTH, 14.into());
    let clean = run(dirty).await.unwrap();
    assert_eq!(clean.headers()[header::CONTENT_LENGTH], "18");
    assert_eq!(clean.extensions().get::<InputReport>().unwrap().rewritten, ["/note"]);
    let untouched = run(request("application/json", r#"{"note":"b"}"#)).await.unwrap();
    let report = untouched.extensions().get::<InputReport>();
    assert_eq!(report, None);
}

#[tokio::test]
async fn a_signed_body_is_refused_rather_than_changed() {
    let signed = |body: &'static str| {
        let mut request = request("application/json", body);
        request.headers_mut().insert("x-hub-signature-256", "sha256=x".parse().unwrap());
        request
    };
    let fault = run(signed(r#"{"note":"<b>"}"#)).await.unwrap_err();
    assert_eq!(fault, Fault { pointer: "/note".into(), ..Fault::whole(Rule::SignedBody) });
    let harmless = r#"{"note":"b","text":"<b>"}"#;
    let passed = run(signed(harmless)).await.unwrap();
    assert_eq!(passed.into_body().collect().await.unwrap().to_bytes(), harmless);
}

#[tokio::test]
async fn what_follows_a_body_is_handed_on_and_may_be_its_signature() {
    let sent = |body: &'static str, name: &'static str| {
        let trailers = [(http::HeaderName::from_static(name), http::HeaderValue::from_static("x"))];
        let body = http_body_util::Full::new(Bytes::from(body));
        let body = body.with_trailers(async { Some(Ok(http::HeaderMap::from_iter(trailers))) });
        run(request("application/json", Body::new(body)))
    };
    let passed = sent(r#"{"note":"<b>"}"#, "x-time").await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(passed.trailers().unwrap()["x-time"], "x");
    assert_eq!(passed.to_bytes(), r#"{"note":"<b></b>"}"#);
    let passed =
        sent(r#"{"note":"b"}"#, "content-digest").await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(passed.trailers().unwrap()["content-digest"], "x");
    assert_eq!(sent(r#"{"note":"<b>"}"#, "content-digest").await.unwrap_err().rule, Rule::SignedBody);
}

#[tokio::test]
async fn a_body_past_the_cap_is_refused_while_it_is_read() {
    let chunks =
        futures_util::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from_static(&[b' '; 8_192])));
    let endless = run(request("application/json", streamed(chunks))).await;
    assert_eq!(endless.unwrap_err().rule, Rule::Size);
}

#[tokio::test]
async fn html_is_bounded_per_field_and_in_total() {
    let body = |fields: usize, length: usize| {
        let html = format!("<{}", "x".repeat(length - 1));
        let comments: Vec<_> = (0..fields).map(|_| serde_json::json!({ "html": html })).collect();
        serde_json::json!({ "comments": comments }).to_string()
    };
    assert_eq!(json(&body(4, 16 * 1024)).await.err(), None);
    let fault = json(&body(1, 16 * 1024 + 1)).await.unwrap_err();
    assert_eq!(
        (fault.pointer.as_str(), fault.kind, fault.rule),
        ("/comments/0/html", Some("html"), Rule::HtmlLength)
    );
    assert_eq!(json(&body(5, 16 * 1024)).await.unwrap_err().rule, Rule::HtmlLength);
}

#[tokio::test]
async fn html_that_only_reports_stays_as_it_is() {
    let policy = InputPolicy::strict().field("/html/*", super::Field::html(Html::inline()).report());
    let policy = policy.build().unwrap().into_rules();
    for body in
        [r#"{"html":["<b>"]}"#.to_owned(), serde_json::json!({ "html": ["<i>".repeat(6_000)] }).to_string()]
    {
        let passed = run_by(Arc::clone(&policy), request("application/json", body.clone())).await.unwrap();
        let report = passed.extensions().get::<InputReport>().cloned().unwrap_or_default();
        let told: Vec<_> = report.reported.iter().map(|field| (field.pointer.as_str(), field.kind)).collect();
        assert_eq!((told, report.rewritten), (vec![("/html/0", "html")], vec![]));
        assert_eq!(passed.into_body().collect().await.unwrap().to_bytes(), body);
    }
    assert_eq!(policy.reports().iter().map(|field| field.count).collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn of_many_fields_some_are_told_all_are_counted_and_not_every_one_is_changed() {
    use super::Field;
    let policy = InputPolicy::strict()
        .field("/a/*", Field::line().report())
        .field("/b/*", Field::line().trimmed().rewrite())
        .build()
        .unwrap()
        .into_rules();
    let sent = |name: &str, count: usize| {
        let body = serde_json::json!({ name: vec![" \n"; count] }).to_string();
        run_by(Arc::clone(&policy), request("application/json", body))
    };
    let passed = sent("a", 2_000).await.unwrap();
    assert_eq!(passed.extensions().get::<InputReport>().unwrap().reported.len(), 32);
    assert_eq!(policy.reports().iter().map(|field| field.count).collect::<Vec<_>>(), [2_000]);
    assert_eq!(
        sent("b", 1_000).await.unwrap().extensions().get::<InputReport>().unwrap().rewritten.len(),
        1_000
    );
    assert_eq!(sent("b", 1_001).await.unwrap_err().rule, Rule::Members);
}

#[tokio::test]
async fn a_body_that_breaks_off_is_refused() {
    for media in ["application/json", "application/x-www-form-urlencoded"] {
        let chunks = [Ok(Bytes::from_static(b"[1")), Err(std::io::Error::other("away"))];
        let body = streamed(futures_util::stream::iter(chunks));
        assert_eq!(run(request(media, body)).await.unwrap_err(), Fault::whole(Rule::Interrupted));
    }
}

#[tokio::test]
async fn a_pattern_holds_for_the_whole_text_and_an_open_one_lets_no_control_character_through() {
    use super::{Field, FieldFault};
    for expression in ["a)|(?:b", "a|b)(?:", "(", "a{1000}{1000}{1000}"] {
        let error =
            InputPolicy::strict().field("/a", Field::pattern(expression)).build().map(drop).unwrap_err();
        assert!(
            matches!(error, InputError::Field { fault: FieldFault::Pattern(_), .. }),
            "{expression}: {error}"
        );
    }
    let policy = InputPolicy::strict()
        .field("/a", Field::pattern("a|b"))
        .field("/tree/**", Field::integer(1..=9))
        .build()
        .unwrap()
        .into_rules();
    for (body, rule) in [
        (r#"{"a":"b"}"#, None),
        (r#"{"a":"ab"}"#, Some(Rule::Pattern)),
        (r#"{"tree":{"text":"x","number":9}}"#, None),
        (r#"{"tree":{"text":"\u0001"}}"#, Some(Rule::Control)),
        (r#"{"tree":{"number":10}}"#, Some(Rule::Range)),
    ] {
        let outcome = run_by(Arc::clone(&policy), request("application/json", body)).await;
        assert_eq!(outcome.err().map(|fault| fault.rule), rule, "{body}");
    }
}

proptest! {
    #[test]
    fn what_serde_writes_passes_unchanged(text in "\\PC{0,40}", number in any::<f64>(), deep in prop::collection::vec("\\PC{0,8}", 0..8)) {
        let body = serde_json::json!({ "text": text, "number": number, "deep": deep }).to_string();
        prop_assert!(policy().check(Media::Json, body.as_bytes()).unwrap().candidates.is_empty());
    }

    #[test]
    fn what_is_not_said_to_change_does_not_change_and_the_rest_stays_in_place(
        (strings, number) in (prop::collection::vec("[ -~é\u{a0}\n😀]{0,12}", 6), "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,4})?(e-?[0-9])?"),
        space in "[ \t\r\n]{0,3}",
        is_escaped in any::<bool>(),
    ) {
        let written = |text: &String| {
            let plain = serde_json::Value::from(text.as_str()).to_string();
            if is_escaped { plain.replace('e', "\\u0065").replace('/', "\\/") } else { plain }
        };
        let written: Vec<String> = strings.iter().map(written).collect();
        let [note, html, plain, list, name, last] = written.as_slice() else { unreachable!() };
        let body = format!(
            "{space}{{\"note\":{space}{note},\"n\":{number}{space},\"comments\":[{{\"html\":{html}}}],{plain}:{list},\"z\":[{name},{last}]}}{space}"
        );
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let Ok(request) = runtime.block_on(run(request("application/json", body.clone()))) else { return Ok(()) };
        let report = request.extensions().get::<InputReport>().cloned().unwrap_or_default();
        let after = runtime.block_on(request.into_body().collect()).unwrap().to_bytes();
        let after = std::str::from_utf8(&after).unwrap();
        if report.rewritten.is_empty() {
            prop_assert_eq!(after, body);
        } else {
            // All but the declared fields, byte for byte.
            let (head, tail) = (format!("{space}{{\"note\":{space}"), format!(",{plain}:{list},\"z\":[{name},{last}]}}{space}"));
            let number = format!(",\"n\":{number}{space},\"comments\":[{{\"html\":");
            prop_assert!(after.starts_with(&head) && after.ends_with(&tail) && after.contains(&number), "{} became {}", body, after);
            let again = runtime.block_on(json(after)).unwrap();
            prop_assert_eq!(again, after);
        }
    }

    #[test]
    fn what_passes_is_json_to_serde_too(body in "[\\[\\]{}:,\"\\\\a0-9.eE+u \\-]{0,24}") {
        if policy().check(Media::Json, body.as_bytes()).is_ok() && !body.is_empty() {
            let read = serde_json::from_str::<serde::de::IgnoredAny>(&body);
            prop_assert!(read.is_ok(), "{}: {:?}", body, read);
        }
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = policy().check(Media::Json, &body);
        let _ = policy().check(Media::Form, &body);
    }
}

//! What is declared of paths, queries, headers and bodies, and what no body may be.

use std::io::Write;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use portcullis_guard::test_util::Issuer;
use portcullis_guard::{Field, Guard, GuardExt, GuardedRouter, Html, InputPolicy, Uploads, authenticated};

use super::{AUDIENCE, assert_answered, assert_refused};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const MULTIPART: &str = "multipart/form-data; boundary=xy";

/// What a handler does that takes whatever comes, and says when it did not come whole.
async fn take(body: Body) -> (StatusCode, Bytes) {
    match body.collect().await {
        Ok(body) => (StatusCode::OK, body.to_bytes()),
        Err(_) => (StatusCode::BAD_REQUEST, Bytes::new()),
    }
}

fn policy() -> InputPolicy {
    InputPolicy::strict()
        .max_body(64 * 1024)
        .max_text(1_000)
        .unpack(10)
        .uploads(
            Uploads::new().types(["image/png", "text/plain"]).max_files(2).max_file(2_000).max_body(1 << 20),
        )
        .path("id", Field::integer(1..=999))
        .query("sort", Field::one_of(["asc", "desc"]))
        .header("x-tenant", Field::one_of(["acme", "umbrella"]))
        .field("/quantity", Field::integer(1..=99))
        .field("/name", Field::line().length(..=10))
        .field("/mode", Field::one_of(["a", "b"]))
        .field("/blob", Field::opaque())
        .html("/note", Html::inline())
}

struct Scene {
    app: Router,
    token: String,
}

impl Scene {
    async fn new(policy: InputPolicy) -> Self {
        let issuer = Issuer::start().await.unwrap();
        let keys = portcullis_guard::Issuer::oidc(issuer.url());
        let guard = Guard::builder().issuer(keys).audience(AUDIENCE).input(policy);
        let guard = guard.build().await.unwrap();
        let app = GuardedRouter::new()
            .route("/items/{id}", get(async || "item").guard(authenticated()))
            .route("/body", post(take).guard(authenticated()))
            .guarded_by(&guard);
        Self { app, token: issuer.mint(AUDIENCE).token() }
    }

    fn asking(&self, method: &str, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method).uri(path);
        request.header("authorization", format!("Bearer {}", self.token))
    }

    fn get(&self, path: &str) -> Request<Body> {
        self.asking("GET", path).body(Body::empty()).unwrap()
    }

    fn with(&self, headers: &[(&str, &[u8])]) -> Request<Body> {
        let request = self.asking("GET", "/items/7");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(Body::empty()).unwrap()
    }

    fn post(&self, content_type: &str, body: impl Into<Body>) -> Request<Body> {
        self.asking("POST", "/body").header("content-type", content_type).body(body.into()).unwrap()
    }

    fn packed(&self, coding: &str, body: Vec<u8>) -> Request<Body> {
        let request = self.asking("POST", "/body").header("content-type", JSON);
        request.header("content-encoding", coding).body(body.into()).unwrap()
    }

    async fn refuses(&self, attacks: Vec<(&str, Request<Body>)>) {
        assert_refused(&self.app, attacks.into_iter().map(|(attack, request)| (attack.to_owned(), request)))
            .await;
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn what_is_declared_of_a_head_is_held_to() {
    let scene = Scene::new(policy()).await;
    let (acme, other): (&[u8], &[u8]) = (b"acme", b"umbrella");
    assert_answered(&scene.app, scene.get("/items/7?sort=asc&q=x")).await;
    assert_answered(&scene.app, scene.with(&[("x-tenant", acme)])).await;
    scene
        .refuses(vec![
            ("a number of a path that is too low", scene.get("/items/0")),
            ("a number of a path that is too high", scene.get("/items/1000")),
            ("a word for a number of a path", scene.get("/items/x")),
            ("a parameter of a query that is no choice", scene.get("/items/7?sort=up")),
            ("a second parameter of a query that is no choice", scene.get("/items/7?sort=asc&sort=up")),
            ("a long parameter of a query", scene.get(&format!("/items/7?q={}", "x".repeat(1_001)))),
            ("a header that is no choice", scene.with(&[("x-tenant", b"mallory")])),
            ("a header that is there twice", scene.with(&[("x-tenant", acme), ("x-tenant", other)])),
            ("a header that is no text", scene.with(&[("x-tenant", b"\xff")])),
        ])
        .await;
    let required =
        Scene::new(InputPolicy::strict().max_text(1_000).required_header("x-tenant", Field::ident())).await;
    assert_answered(&required.app, required.with(&[("x-tenant", acme)])).await;
    required.refuses(vec![("a header that has to be there", required.with(&[]))]).await;
    let long =
        required.asking("GET", &format!("/items/7?q={}", "x".repeat(1_001))).header("x-tenant", "acme");
    required.refuses(vec![("a long query", long.body(Body::empty()).unwrap())]).await;
}

#[tokio::test]
async fn what_is_declared_of_a_body_is_held_to() {
    let scene = Scene::new(policy()).await;
    let (fits, long) = ("x".repeat(1_000), "x".repeat(1_001));
    let good = format!(r#"{{"quantity":7,"name":"a gate","mode":"a","other":"{fits}","blob":"{long}"}}"#);
    assert_answered(&scene.app, scene.post(JSON, good)).await;
    assert_answered(&scene.app, scene.post(FORM, format!("quantity=7&name=a+gate&other={fits}"))).await;
    let json = |body: &str| scene.post(JSON, body.to_owned());
    scene
        .refuses(vec![
            ("a number that is too high", json(r#"{"quantity":100}"#)),
            ("a text in place of a number", json(r#"{"quantity":"7"}"#)),
            ("a list in place of a number", json(r#"{"quantity":[7]}"#)),
            ("a truth in place of a text", json(r#"{"name":true}"#)),
            ("a text that is too long", json(r#"{"name":"a very long gate"}"#)),
            ("a text of two lines", json(r#"{"name":"a\ngate"}"#)),
            ("a text that is no choice", json(r#"{"mode":"c"}"#)),
            ("a list in place of its fields", json(r#"["a gate"]"#)),
            ("a long string", json(&format!(r#"{{"other":"{long}"}}"#))),
            ("a long string in a list", json(&format!(r#"{{"others":["{long}"]}}"#))),
            ("a long field of a form", scene.post(FORM, format!("other={long}"))),
            ("a number of a form that is too high", scene.post(FORM, "quantity=100")),
        ])
        .await;
    let signed =
        scene.asking("POST", "/body").header("content-type", JSON).header("content-digest", "sha-256=:AA==:");
    let changing = signed.body(Body::from(r#"{"note":"<b>soon"}"#)).unwrap();
    scene.refuses(vec![("a signed body that would change", changing)]).await;
}

/// A part of a form, with its name and what else is said of it.
fn part(said: &str, content: &str) -> String {
    format!("--xy\r\nContent-Disposition: form-data; {said}\r\n\r\n{content}\r\n")
}

fn file(name: &str, content_type: &str, content: &str) -> String {
    let said = format!("form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {content_type}");
    format!("--xy\r\nContent-Disposition: {said}\r\n\r\n{content}\r\n")
}

#[tokio::test]
async fn forms_with_files_are_held_to_what_they_may_be() {
    let scene = Scene::new(policy()).await;
    let send = |parts: &[String]| scene.post(MULTIPART, [parts.concat().as_str(), "--xy--\r\n"].concat());
    let text = |name: &str| file(name, "text/plain", "notes");
    let good =
        [part("name=\"quantity\"", "7"), part("name=\"other\"", "a & b"), text("a.txt"), text("b.txt")];
    assert_answered(&scene.app, send(&good)).await;
    let mut no_text = part("name=\"other\"", "?").into_bytes();
    if let Some(at) = no_text.iter().rposition(|byte| *byte == b'?') {
        no_text[at] = 0xff;
    }
    let no_text = scene.post(MULTIPART, [no_text.as_slice(), b"--xy--\r\n"].concat());
    let many: Vec<String> = (0..=1_000).map(|number| part(&format!("name=\"f{number}\""), "")).collect();
    scene
        .refuses(vec![
            ("a part that is too high a number", send(&[part("name=\"quantity\"", "100")])),
            ("a part with a NUL", send(&[part("name=\"other\"", "a\0")])),
            ("a long part", send(&[part("name=\"other\"", &"x".repeat(1_001))])),
            ("parts that are longer than a body", send(&[part("name=\"blob\"", &"x".repeat(70_000))])),
            ("a part that is no text", no_text),
            ("a part that is there twice", send(&[part("name=\"a\"", "1"), part("name=\"a\"", "2")])),
            ("another charset of parts", send(&[part("name=\"_charset_\"", "utf-16")])),
            ("very many parts", send(&many)),
            ("three files", send(&[text("a.txt"), text("b.txt"), text("c.txt")])),
            ("a long file", send(&[file("a.txt", "text/plain", &"x".repeat(2_001))])),
            ("a file of another type", send(&[file("a.svg", "image/svg+xml", "<svg/>")])),
            (
                "a file that is not of its type",
                send(&[file("a.png", "image/png", "<script>alert(1)</script>")]),
            ),
            ("a file with the name of a path", send(&[file("../../etc/passwd", "text/plain", "x")])),
            ("a file that was not chosen and is there", send(&[file("", "text/plain", "x")])),
            (
                "a file in place of a number",
                send(&[part("name=\"quantity\"; filename=\"a.txt\"\r\nContent-Type: text/plain", "7")]),
            ),
            ("a name inside a name", send(&[part("name=\"other; name=quantity\"", "100")])),
        ])
        .await;
}

/// A list of this many bytes that packs badly, with blanks at its end.
fn long_list(length: usize) -> Vec<u8> {
    let word = |number: u64| format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let texts = (0..64).map(|text| (0..56).map(|at| word(text * 56 + at)).collect::<String>());
    let mut list = format!("{{\"others\":[\"{}\"]}}", texts.collect::<Vec<_>>().join("\",\"")).into_bytes();
    assert!(list.len() + 100 < length, "{} bytes", list.len());
    list.resize(length, b' ');
    list
}

#[tokio::test]
async fn a_packed_body_is_not_let_grow_and_not_followed_by_another() {
    let scene = Scene::new(policy()).await;
    let padded = |length: usize| [b"{}".as_slice(), " ".repeat(length).as_bytes()].concat();
    assert_answered(&scene.app, scene.packed("gzip", gzip(br#"{"name":"a gate"}"#))).await;
    assert_answered(&scene.app, scene.packed("deflate", deflate(&padded(16_000)))).await;
    assert_answered(&scene.app, scene.packed("gzip", gzip(&long_list(64 * 1024)))).await;
    assert_answered(&scene.app, scene.packed("deflate", deflate(&long_list(64 * 1024)))).await;
    let signed =
        scene.asking("POST", "/body").header("content-type", JSON).header("content-encoding", "gzip");
    let signed = signed.header("content-digest", "sha-256=:AA==:").body(gzip(b"{}").into()).unwrap();
    scene
        .refuses(vec![
            ("a packed body that grows out of proportion", scene.packed("gzip", gzip(&padded(40_000)))),
            ("a packed body that grows too long", scene.packed("deflate", deflate(&padded(1 << 20)))),
            ("a packed body a little too long", scene.packed("deflate", deflate(&long_list(64 * 1024 + 2)))),
            ("a packed body a little too long", scene.packed("gzip", gzip(&long_list(64 * 1024 + 2)))),
            (
                "a packed body with more behind it",
                scene.packed("deflate", [deflate(b"{}"), b"{}".to_vec()].concat()),
            ),
            ("a packed body in an unknown coding", scene.packed("br", b"{}".to_vec())),
            ("a packed body that is signed", signed),
        ])
        .await;
}

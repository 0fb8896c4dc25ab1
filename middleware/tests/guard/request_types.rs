//! Request types that say what their fields are.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::routing::{get, post};
use axum::{Form, Router};
use http::StatusCode;
use portcullis_guard::{
    Duplicates, FieldFault, FieldList, GuardExt, GuardedRouter, Html, InputError, InputFields, InputPolicy,
    authenticated,
};
use serde::Deserialize;
use serde_json::json;

use crate::service::{Answer, guard_of, request, send};
use crate::signer::Signer;

#[derive(Debug, Deserialize, InputFields, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Article {
    #[input(line, length = 1..=20, trimmed, rewrite)]
    main_title: String,
    #[input(html = "inline")]
    lead: Option<String>,
    #[input(html = Html::custom().element("p", []))]
    body: Option<String>,
    #[input(each(ident, length = ..=9))]
    #[serde(default)]
    tags: Vec<String>,
    #[input(nested)]
    #[serde(default)]
    authors: HashMap<String, Author>,
    #[input(nested)]
    #[serde(flatten)]
    page: Page<Author>,
    #[serde(default)]
    free: String,
}

#[derive(Debug, Deserialize, InputFields, PartialEq)]
struct Author {
    #[input(nested)]
    #[serde(alias = "mail")]
    contact: Contact,
}

#[derive(Debug, Deserialize, InputFields, PartialEq)]
struct Contact(#[input(email)] String);

#[derive(Debug, Deserialize, InputFields, PartialEq)]
struct Page<T> {
    #[input(integer = 1..=9)]
    number: Option<i64>,
    #[input(nested)]
    items: Option<Vec<T>>,
}

#[derive(Deserialize, InputFields)]
struct Filter {
    #[input(one_of = ["asc", "desc"])]
    #[expect(dead_code, reason = "the guard looks at it, nobody else")]
    sort: Option<String>,
}

async fn service(signer: &Signer) -> Router {
    let guard = guard_of(signer).build().await.unwrap();
    let articles = InputPolicy::strict().body_fields::<Article>().query_fields::<Filter>().build().unwrap();
    // What the handler makes of it is what was checked.
    let read = async |body: Bytes| {
        serde_json::from_slice::<Article>(&body).expect("an article");
        body
    };
    GuardedRouter::new().route("/", post(read).guard(authenticated()).input(&articles)).guarded_by(&guard)
}

async fn send_to(path: &str, body: &'static str) -> Answer {
    let signer = Signer::eddsa("a");
    let request = request("POST", path, &signer.token(&json!({}))).header("content-type", "application/json");
    send(&service(&signer).await, request.body(body.into()).unwrap()).await
}

#[tokio::test]
async fn a_body_is_held_to_what_its_type_says() {
    for (body, pointer, kind, rule) in [
        (r#"{"mainTitle":""}"#, "/mainTitle", "line", "too-short"),
        (r#"{"mainTitle":"a","tags":["x","a b"]}"#, "/tags/1", "ident", "identifier"),
        (r#"{"authors":{"x":{"contact":"nobody"}}}"#, "/authors/x/contact", "email", "email"),
        (r#"{"authors":{"x":{"mail":"nobody"}}}"#, "/authors/x/mail", "email", "email"),
        (r#"{"number":10}"#, "/number", "integer", "range"),
        (r#"{"items":[{"contact":"a@b.test"},{"contact":"c"}]}"#, "/items/1/contact", "email", "email"),
    ] {
        let answer = send_to("/", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        assert_eq!(
            answer.problem()["errors"],
            json!([{ "pointer": pointer, "kind": kind, "rule": rule }]),
            "{body}"
        );
    }
    let answer = send_to("/?sort=up", r#"{"mainTitle":"a"}"#).await;
    assert_eq!(answer.problem()["errors"][0]["parameter"], "sort");
}

#[tokio::test]
async fn what_its_type_lets_be_put_right_is_and_the_rest_stays() {
    let body =
        r#"{ "mainTitle":" A < B ", "lead":"<p>x<b>y", "body":"<p>x<b>y", "free":" <b>", "number": 1 }"#;
    let answer = send_to("/?sort=asc&other=up", body).await;
    let right = r#"{ "mainTitle":"A < B", "lead":"<p>x<b>y</b></p>", "body":"<p>xy</p>", "free":" <b>", "number": 1 }"#;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, right));
}

#[derive(Debug, Deserialize, InputFields)]
struct Comment {
    #[input(html = "inline")]
    #[expect(dead_code, reason = "the guard looks at it, nobody else")]
    text: String,
    #[input(each(ident))]
    #[serde(default)]
    #[expect(dead_code, reason = "the guard looks at it, nobody else")]
    tags: Vec<String>,
}

#[derive(Debug, Deserialize, InputFields)]
struct Thread {
    #[input(nested)]
    #[expect(dead_code, reason = "the guard looks at it, nobody else")]
    comments: Vec<Comment>,
}

#[derive(Debug, Deserialize, InputFields)]
struct Free(
    #[input(opaque)]
    #[expect(dead_code, reason = "the guard looks at it, nobody else")]
    String,
);

#[derive(Debug, Deserialize, InputFields)]
struct Open {
    #[serde(flatten)]
    #[input(nested)]
    #[expect(dead_code, reason = "the guard looks at it, nobody else")]
    rest: HashMap<String, Free>,
    #[input(ident)]
    #[expect(dead_code, reason = "the guard looks at it, nobody else")]
    name: String,
}

/// What a service says to a body that serde reads as `T`, which is the rule that it breaks.
async fn refused<T: InputFields>(media: &str, body: &'static str) -> String {
    let signer = Signer::eddsa("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let input = InputPolicy::strict().body_fields::<T>().form_duplicates(Duplicates::Allow).build().unwrap();
    let service = GuardedRouter::new()
        .route("/", post(async |body: Bytes| body).guard(authenticated()).input(&input))
        .guarded_by(&guard);
    let request = request("POST", "/", &signer.token(&json!({}))).header("content-type", media);
    let answer = send(&service, request.body(body.into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {}", answer.body);
    let error = &answer.problem()["errors"][0];
    format!("{}: {}", error["pointer"].as_str().unwrap(), error["rule"].as_str().unwrap())
}

#[tokio::test]
async fn what_is_not_where_its_name_is_does_not_get_by() {
    let json = "application/json";
    assert!(serde_json::from_str::<Comment>(r#"["<script>", ["a b"]]"#).is_ok(), "serde takes it");
    assert_eq!(refused::<Comment>(json, r#"["<script>", ["a b"]]"#).await, ": type");
    assert_eq!(
        refused::<Thread>(json, r#"{"comments":[{"text":""},["<script>"]]}"#).await,
        "/comments/1: type"
    );
    assert_eq!(refused::<Thread>(json, r#"{"comments":"<script>"}"#).await, "/comments: type");
    assert_eq!(refused::<Thread>(json, r#"{"comments":[true]}"#).await, "/comments/0: type");
    assert_eq!(refused::<Comment>(json, r#"{"text":"","tags":"a b"}"#).await, "/tags: type");
    assert_eq!(refused::<Open>(json, r#"{"name":"a b","other":" \u0000"}"#).await, "/name: identifier");
}

#[tokio::test]
async fn the_items_of_a_list_are_held_to_their_rule_in_forms_too() {
    let form = "application/x-www-form-urlencoded";
    assert_eq!(refused::<Comment>(form, "tags=x&tags=a+b").await, "/tags: identifier");
    let parts = "--x\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\na b\r\n--x--\r\n";
    assert_eq!(refused::<Comment>("multipart/form-data; boundary=x", parts).await, "/tags: identifier");
}

struct Tree;

impl InputFields for Tree {
    fn declare(fields: &mut FieldList) {
        fields.nested::<Vec<Self>>("children");
    }
}

#[test]
fn a_type_whose_fields_have_no_place_is_refused_at_the_start() {
    let refused = |policy: InputPolicy| match policy.build() {
        Err(InputError::Field { place, fault }) => (place, fault),
        other => panic!("{other:?}"),
    };
    let (place, fault) = refused(InputPolicy::strict().body_fields::<Tree>());
    assert!(place == "/children/*" && matches!(fault, FieldFault::EndlessType), "{place}: {fault}");
    let (place, fault) = refused(InputPolicy::strict().query_fields::<Author>().query_fields::<Article>());
    assert!(place == "/authors/*/contact" && matches!(fault, FieldFault::NestedInQuery), "{place}: {fault}");
    assert!(InputPolicy::strict().body_fields::<Contact>().build().is_err(), "a body is no single value");
}

#[derive(Debug, Deserialize, InputFields)]
struct Search {
    #[input(ident, length = ..=9)]
    word: String,
    #[input(each(one_of = ["a", "b"]))]
    #[serde(default)]
    #[expect(dead_code, reason = "the guard looks at it, nobody else")]
    kinds: Vec<String>,
}

/// A form of axum is in the query of a `GET`, and in the body of a `POST`.
#[tokio::test]
async fn a_form_is_held_to_its_type_wherever_it_is_read_from() {
    let signer = Signer::eddsa("a");
    let guard = guard_of(&signer).build().await.unwrap();
    let input = InputPolicy::strict()
        .form_fields::<Search>()
        .form_duplicates(Duplicates::Allow)
        .query("page", portcullis_guard::Field::integer(1..=9))
        .build()
        .unwrap();
    let read = async |Form(Search { word, .. }): Form<Search>| word;
    let routes = GuardedRouter::new().route("/", get(read).post(read).guard(authenticated()).input(&input));
    let service = routes.guarded_by(&guard);
    let ask = async |method, path, body: &'static str| {
        let request = request(method, path, &signer.token(&json!({})));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        send(&service, request.body(body.into()).unwrap()).await
    };
    assert_eq!(ask("GET", "/?word=tea&page=2&other=a+b", "").await.body, "tea");
    assert_eq!(ask("POST", "/?word=a+b", "word=tea").await.body, "tea", "the query is no form there");
    for (method, path, body) in [
        ("GET", "/?word=a+b", ""),
        ("HEAD", "/?word=a+b", ""),
        ("GET", "/?word=tea&kinds=a&kinds=c", ""),
        ("POST", "/", "word=a+b"),
        ("POST", "/", "word=tea&kinds=c"),
        ("GET", "/?word=tea&page=x", ""),
    ] {
        let answer = ask(method, path, body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{method} {path} {body}");
        assert!(method != "GET" || answer.problem()["errors"][0]["parameter"].is_string(), "{answer:?}");
    }
}

#[test]
fn a_type_that_no_query_could_hold_is_no_form() {
    let refused = |policy: InputPolicy| match policy.build() {
        Err(InputError::Field { place, fault }) => format!("{place}: {fault:?}"),
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(InputPolicy::strict().form_fields::<Comment>()), "?text: HtmlInQuery");
    assert_eq!(refused(InputPolicy::strict().form_fields::<Thread>()), "/comments/*/text: NestedInQuery");
}

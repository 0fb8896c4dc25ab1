//! Declared fields, as a client sends them.

use axum::Router;
use axum::body::Bytes;
use axum::routing::{get, post};
use axum::{Extension, Json};
use http::StatusCode;
use portcullis_guard::{
    BuildError, Field, FieldFault, Guard, GuardExt, GuardedRouter, Html, InputError, InputPolicy,
    InputReport, RouteTable, authenticated,
};
use serde_json::json;
use tower::Layer;

use crate::outages::Log;
use crate::service::{Answer, guard_of, request, send};
use crate::signer::Signer;

/// `/echo` says the body again, `/report` what the guard had to say, `/strict` is held to a policy of its own.
fn service(guard: &Guard) -> Router {
    let own =
        InputPolicy::strict().field("/n", Field::integer(1..=9)).signed_body().html("/h", Html::inline());
    let report = async |report: Option<Extension<InputReport>>| {
        let Extension(report) = report.unwrap_or_default();
        let reported = report.reported.iter().map(|field| (&field.pointer, field.kind, field.rule));
        Json(json!({ "rewritten": report.rewritten, "reported": reported.collect::<Vec<_>>() }))
    };
    GuardedRouter::new()
        .route("/echo", post(async |body: Bytes| body).guard(authenticated()))
        .route("/query", get(async || "asked").guard(authenticated()))
        .route("/report", post(report).guard(authenticated()))
        .route("/strict", post(async |body: Bytes| body).guard(authenticated()).input(&own.build().unwrap()))
        .guarded_by(guard)
}

struct Caller {
    signer: Signer,
    guard: Guard,
}

impl Caller {
    async fn of(policy: InputPolicy) -> Self {
        let signer = Signer::eddsa("a");
        let guard = guard_of(&signer).input(policy).build().await.unwrap();
        Self { signer, guard }
    }

    async fn send(&self, method: &str, path: &str, body: &'static str) -> Answer {
        let request = request(method, path, &self.signer.token(&json!({})));
        let request = request.header("content-type", "application/json");
        send(&service(&self.guard), request.body(body.into()).unwrap()).await
    }
}

fn orders() -> InputPolicy {
    InputPolicy::strict()
        .field("/title", Field::line().length(1..=20).trimmed().rewrite())
        .field("/lines/*/quantity", Field::integer(1..=99))
        .field("/contact", Field::email())
        .field("/website", Field::url(["https"]).report())
        .field("/meta/**", Field::line().length(..=8))
        .field("/password", Field::opaque())
}

#[tokio::test]
async fn a_field_that_is_wrong_is_refused_with_place_kind_and_rule() {
    let caller = Caller::of(orders()).await;
    for (body, pointer, kind, rule) in [
        (r#"{"title":"a\nb"}"#, "/title", "line", "line-break"),
        (r#"{"title":"  "}"#, "/title", "line", "too-short"),
        (r#"{"title":7}"#, "/title", "line", "type"),
        (r#"{"title":{"a":"b"}}"#, "/title", "line", "type"),
        (r#"{"lines":[{"quantity":1},{"quantity":100}]}"#, "/lines/1/quantity", "integer", "range"),
        (r#"{"lines":[{"quantity":"1"}]}"#, "/lines/0/quantity", "integer", "type"),
        (r#"{"lines":[{"quantity":1.5}]}"#, "/lines/0/quantity", "integer", "number"),
        (r#"{"contact":"secret-person"}"#, "/contact", "email", "email"),
        (r#"{"meta":{"a":["b","123456789"]}}"#, "/meta/a/1", "line", "too-long"),
        (r#"{"other":"\u0007"}"#, "/other", "text", "control-character"),
    ] {
        let answer = caller.send("POST", "/echo", body).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}");
        let expected = json!([{ "pointer": pointer, "kind": kind, "rule": rule }]);
        assert_eq!(
            (answer.code().as_str(), &answer.problem()["errors"]),
            ("invalid_body", &expected),
            "{body}"
        );
        assert!(!answer.body.contains("secret-person"));
    }
}

#[tokio::test]
async fn what_is_right_passes_byte_for_byte_and_what_can_be_put_right_is() {
    let caller = Caller::of(orders()).await;
    let right = r#"{ "title" : "AT\u0026T", "lines":[{"quantity":99}], "contact":"o'brian@example.org","contact2":"x",
        "website":null, "meta":{"a":[1,true,null,"x"]}, "password":"\u0000\b <b>" }"#;
    let answer = caller.send("POST", "/echo", right).await;
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, right));
    let answer = caller.send("POST", "/echo", r#"{"title":"\u00a0 a < b\n","price":0.10}"#).await;
    assert_eq!(answer.body, r#"{"title":"a < b","price":0.10}"#);
}

#[tokio::test]
async fn a_field_that_only_reports_is_logged_without_what_it_says() {
    let caller = Caller::of(orders()).await;
    let (log, _set) = Log::begin();
    let answer = caller.send("POST", "/echo", r#"{"website":"javascript:alert(1)","title":"a"}"#).await;
    assert_eq!(answer.status, StatusCode::OK);
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for said in [
        "a field breaks a rule that only reports",
        "input.field=\"/website\"",
        "input.pointer=\"/website\"",
        "input.kind=\"url\"",
        "input.rule=\"url\"",
    ] {
        assert!(lines[0].contains(said), "{said}: {lines:?}");
    }
    assert!(!lines[0].contains("javascript"), "{lines:?}");
    caller.send("POST", "/echo", r#"{"website":"https://example.org"}"#).await;
    assert_eq!(log.lines(), [""; 0]);
}

#[tokio::test]
async fn a_field_that_only_reports_passes_is_told_to_the_handler_and_counted() {
    let caller = Caller::of(orders().query("page", Field::integer(1..=9).report())).await;
    let body = r#"{"title":" a","website":"javascript:alert(1)"}"#;
    let answer = caller.send("POST", "/report?page=0", body).await;
    let reported = json!([["?page", "integer", "range"], ["/website", "url", "url"]]);
    assert_eq!(answer.body, json!({ "rewritten": ["/title"], "reported": reported }).to_string());
    assert_eq!(caller.send("POST", "/echo", r#"{"website":"x"}"#).await.body, r#"{"website":"x"}"#);
    let counts = serde_json::to_value(caller.guard.status()).unwrap()["input_reports"].clone();
    let expected = json!([
        { "field": "/website", "kind": "url", "count": 2 },
        { "field": "?page", "kind": "integer", "count": 1 },
    ]);
    assert_eq!(counts, expected);
}

#[tokio::test]
async fn a_query_is_refused_and_never_changed() {
    let caller = Caller::of(InputPolicy::strict().query("sort", Field::one_of(["asc", "desc"]))).await;
    for (path, status) in [
        ("/query?sort=asc&q=AT%26T+%3C3", 200),
        ("/query?tag=a&tag=b", 200),
        ("/query?sort=up", 422),
        ("/query?q=%00", 422),
        ("/query?q=%ff", 400),
        ("/query?q=100%", 400),
    ] {
        assert_eq!(caller.send("GET", path, "").await.status.as_u16(), status, "{path}");
    }
    let refused = caller.send("GET", "/query?sort=up", "").await;
    let expected = json!([{ "parameter": "sort", "kind": "enum", "rule": "choice" }]);
    assert_eq!((refused.code().as_str(), &refused.problem()["errors"]), ("invalid_query", &expected));
}

#[tokio::test]
async fn a_route_may_have_an_input_policy_of_its_own() {
    let caller = Caller::of(orders()).await;
    let allowed = caller.send("POST", "/strict", r#"{"title":7,"n":9}"#).await;
    assert_eq!(allowed.status, StatusCode::OK, "{}", allowed.body);
    let refused = caller.send("POST", "/strict", r#"{"n":10}"#).await;
    assert_eq!(refused.problem()["errors"][0]["rule"], "range");
    // It says that the body is signed.
    let signed = caller.send("POST", "/strict", r#"{"h":"<b onclick=x>y</b>"}"#).await;
    assert_eq!(signed.problem()["errors"], json!([{ "pointer": "/h", "rule": "signed-body" }]));

    let own = InputPolicy::strict().field("/n", Field::integer(1..=9)).build().unwrap();
    let echo = tower::service_fn(async |request: http::Request<portcullis_guard::Body>| {
        Ok::<_, std::convert::Infallible>(http::Response::new(request.into_body()))
    });
    let table = RouteTable::new().route("/a", authenticated()).input(&own).route("/b", authenticated());
    let table = table.guarded_by(&caller.guard).unwrap().layer(echo);
    for (path, status) in [("/a", 422), ("/b", 200)] {
        let request = request("POST", path, &caller.signer.token(&json!({})));
        let request = request.header("content-type", "application/json");
        let request = request.body(axum::body::Body::from(r#"{"n":0}"#)).unwrap();
        let answer = tower::ServiceExt::oneshot(table.clone(), request).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path}");
    }
}

#[tokio::test]
async fn a_policy_that_cannot_be_kept_is_not_built() {
    let signer = Signer::eddsa("a");
    for (policy, name) in [
        (InputPolicy::strict().field("/a", Field::email().rewrite()), "/a"),
        (InputPolicy::strict().query("a", Field::line().trimmed().rewrite()), "?a"),
        (InputPolicy::strict().query("a", Field::html(Html::inline()).reject()), "?a"),
    ] {
        match guard_of(&signer).input(policy).build().await {
            Err(BuildError::Input(InputError::Field { place, fault })) => {
                assert_eq!(place, name);
                assert!(matches!(fault, FieldFault::NothingToRewrite | FieldFault::HtmlInQuery), "{fault}");
            }
            other => panic!("{other:?}"),
        }
    }
}

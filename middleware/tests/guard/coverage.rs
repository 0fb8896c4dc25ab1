//! Reports on what the routes of a service have.

use axum::Router;
use axum::routing::{any, get, post};
use http::Method;
use portcullis_guard::{
    Coverage, Guard, GuardExt, GuardedRouter, InputPolicy, Key, Limit, Limits, Quota, RouteTable, Unguarded,
    authenticated, optional, public, rbac, scope,
};

use crate::service::guard_of;
use crate::signer::Signer;

async fn handler() {}

async fn guard() -> Guard {
    let limits = Limits::new().limit(Limit::new("day", Key::subject(), Quota::per_day(10)));
    guard_of(&Signer::es256("a")).limits(limits).build().await.unwrap()
}

fn routes() -> GuardedRouter {
    let exports = Limit::new("exports", Key::subject(), Quota::per_day(5));
    let input = InputPolicy::strict().build().unwrap();
    GuardedRouter::new()
        .route("/orders", get(handler).guard(rbac("orders", "read")))
        .route("/orders", post(handler).guard(rbac("orders", "create").limit(exports)).input(&input))
        .route("/me", any(handler).guard(authenticated()))
        .route("/health", get(handler).guard(public()))
}

fn route(path: &str, methods: &[&str]) -> Unguarded {
    Unguarded::Route {
        path: path.to_owned(),
        methods: methods.iter().map(|&method| method.to_owned()).collect(),
    }
}

#[tokio::test]
async fn the_report_is_a_table_of_what_each_route_has() {
    let coverage = routes().coverage(&guard().await);
    let lines = [
        "METHODS   PATH     REQUIRES                              LIMITS       INPUT",
        "GET HEAD  /orders  rbac(orders, read)                    day          guard",
        "POST      /orders  rbac(orders, create), limit exports   day exports  own",
        "*         /me      authenticated                         day          guard",
        "GET HEAD  /health  public                                day          guard",
    ];
    let expected: Vec<String> =
        lines.iter().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let text = coverage.to_string();
    let told: Vec<String> =
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(told, expected);
    let column = |line: &str| line.find('/').or_else(|| line.find("PATH"));
    assert_eq!(text.lines().map(column).collect::<Vec<_>>(), [Some(10); 5], "{text}");
    let create = &coverage.routes()[1];
    assert_eq!((create.path(), create.methods()), ("/orders", &["POST".to_owned()][..]));
    assert_eq!(
        (create.limits(), create.has_own_input(), create.is_open()),
        (&["day", "exports"][..], true, false)
    );
    assert_eq!(create.requirement().to_string(), "rbac(orders, create), limit exports");
}

#[tokio::test]
async fn a_table_of_routes_has_the_same_report() {
    let guard = guard_of(&Signer::es256("a")).build().await.unwrap();
    let table = RouteTable::new().route("/shop.v1.Orders/List", rbac("orders", "read")).methods(
        [Method::GET, Method::HEAD],
        "/docs",
        optional(),
    );
    let told: Vec<String> = table
        .coverage(&guard)
        .routes()
        .iter()
        .map(|route| format!("{} {} {}", route.methods().join(" "), route.path(), route.requirement()))
        .collect();
    assert_eq!(told, ["* /shop.v1.Orders/List rbac(orders, read)", "GET HEAD /docs optional"]);
    table.coverage(&guard).assert_open_only(["/docs"]);
}

#[tokio::test]
async fn what_is_added_behind_the_back_of_the_guard_is_found() {
    let guard = guard().await;
    let coverage = routes().coverage(&guard);
    let app = || routes().guarded_by(&guard);
    coverage.assert_no_unguarded(&app());
    let merged = Router::new().route("/late", get(handler).put(handler));
    for (app, expected) in [
        (app().route("/metrics", get(handler)), vec![route("/metrics", &["GET", "HEAD"])]),
        (app().route("/orders", axum::routing::delete(handler)), vec![route("/orders", &["DELETE"])]),
        (app().merge(merged), vec![route("/late", &["GET", "HEAD", "PUT"])]),
        (app().fallback(handler), vec![Unguarded::Fallback]),
        (
            app().nest_service("/files", get(handler)),
            vec![route("/files", &["*"]), route("/files/", &["*"]), route("/files/{*rest}", &["*"])],
        ),
    ] {
        assert_eq!(coverage.unguarded(&app), expected);
    }
}

#[tokio::test]
async fn what_is_meant_to_be_open_is_said_and_what_is_nested_is_found_below_its_path() {
    let guard = guard().await;
    let coverage = || routes().coverage(&guard);
    let app = routes().guarded_by(&guard).route("/metrics", get(handler));
    coverage().leave_open("/metrics").assert_no_unguarded(&app);
    let nested = Router::new().nest("/v1", app);
    assert_eq!(coverage().unguarded(&nested).len(), 4);
    let other = GuardedRouter::new().route("/other", get(handler).guard(scope("a")));
    let both = coverage().leave_open("/metrics").under("/v1").merge(other.coverage(&guard));
    both.assert_no_unguarded(&nested.merge(other.guarded_by(&guard)));
    assert!(both.to_string().ends_with("not guarded, and meant to be: /v1/metrics\n"), "{both}");
}

/// What an assertion says when it fails.
fn complaint(assertion: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let said = std::panic::catch_unwind(assertion).expect_err("it holds");
    *said.downcast::<String>().unwrap()
}

#[tokio::test]
async fn the_assertions_end_a_test_with_what_they_found() {
    let guard = guard().await;
    let coverage = routes().coverage(&guard);
    coverage.assert_open_only(["/health"]);
    let open = |named: &'static [&'static str]| {
        let coverage = std::panic::AssertUnwindSafe(&coverage);
        complaint(move || coverage.assert_open_only(named.iter().copied()))
    };
    assert!(open(&[]).contains(r#"open beside: ["/health"]"#), "{}", open(&[]));
    assert!(open(&["/health", "/me"]).contains(r#"not open: ["/me"]"#));
    let app = routes().guarded_by(&guard).route("/metrics", get(handler)).fallback(handler);
    let unguarded = std::panic::AssertUnwindSafe((&coverage, &app));
    let said = complaint(move || {
        let (coverage, app): (&Coverage, &Router) = *unguarded;
        coverage.assert_no_unguarded(app);
    });
    assert!(said.contains("GET HEAD /metrics") && said.contains("a fallback answers"), "{said}");
}

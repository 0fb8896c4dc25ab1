//! The page of what services told of their routes, and of whether these and the rules fit.

use portcullis_policy::{Need, Route, RouteDocument};
use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{text_of, unescape};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Visitor, the_form};
use rstest::rstest;

use crate::routes::announce;
use crate::rules_activation::{notice, refused, save};
use crate::rules_page::{administrator, path};

const ORDERS: &str = "https://orders.test";
const RULES: &str = "p, viewer, *, orders, read\np, viewer, *, bills, read\n";

fn page_of(api: &RegisteredApi) -> String {
    format!("{}/routes", path(api))
}

async fn scene(database: Database) -> (TestServer, RegisteredApi, Registered, Visitor) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.api(ORDERS).await;
    server.admin.activate(&api, RULES).await;
    let guard = server.admin.guard_client(&api).await;
    let owner = administrator(&server, "owner").await;
    (server, api, guard, owner)
}

/// Has a version of a service tell of a route that reads orders, and of one for each of these actions.
async fn tell(server: &TestServer, guard: &Registered, version: &str, actions: &[&str]) {
    let need = |action: &str| Need::Rbac { action: action.to_owned(), object: "orders".to_owned() };
    let mut routes = vec![Route::every_method("/orders", need("read"))];
    routes
        .extend(actions.iter().map(|action| Route::every_method(format!("/orders/{action}"), need(action))));
    let document = RouteDocument::new(ORDERS, Some(version.to_owned()), routes);
    let text = serde_json::to_string(&document).unwrap();
    let name = portcullis_server::domain::secret::Digest32::of(text.as_bytes()).hex();
    let answer = announce(server, guard, &name, &text).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

async fn press(visitor: &mut Visitor, page: &Answer, form: &str, step: &str) -> Answer {
    let answer = visitor.submit(&the_form(page, form).with("step", step)).await;
    visitor.follow(answer).await
}

/// What lies between an `id` and the end of the table or section that has it.
fn part(page: &Answer, id: &str) -> String {
    // Paths may break where a segment ends.
    let text = unescape(&page.text()).replace("<wbr>", "");
    let (_, rest) = text.split_once(&format!("id=\"{id}\"")).unwrap_or_else(|| panic!("{id}: {text}"));
    let end = ["</table>", "</section>"].iter().filter_map(|end| rest.find(end)).min().unwrap();
    rest[..end].to_owned()
}

#[rstest]
#[tokio::test]
async fn routes_are_looked_at_approved_and_held_against_the_rules(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, api, guard, mut owner) = Box::pin(scene(database)).await;
    let empty = owner.get(&page_of(&api)).await;
    assert!(text_of(&empty.text(), "empty").is_some(), "{}", empty.text());
    assert!(unescape(&empty.text()).contains("service_version("), "it says how");
    assert!(!empty.text().contains("id=\"report\""), "there is nothing to report on");

    tell(&server, &guard, "1.0", &["create"]).await;
    let page = owner.get(&page_of(&api)).await;
    let pending = unescape(&page.text()).replace("<wbr>", "");
    for shown in ["Version 1.0", "/orders/create", "rbac(orders, create)", "Test guard"] {
        assert!(pending.contains(shown), "{shown}: {pending}");
    }
    assert!(text_of(&page.text(), "no-report").unwrap().starts_with("Approve the routes"), "{pending}");

    let approved = press(&mut owner, &page, "pending-1-form", "approve").await;
    assert_eq!(notice(&approved), "The routes are approved. The report counts them.");
    assert!(text_of(&approved.text(), "nothing-pending").is_some());
    let sum = text_of(&approved.text(), "sum").unwrap();
    let expected = "Routes: 2. Permissions that they need and no rule could give anybody: 1. Rules that no route asks for: 1.";
    assert_eq!(sum, expected);
    let unruled = part(&approved, "unruled");
    assert!(unruled.contains("/orders/create") && unruled.contains("No rule allows it."), "{unruled}");
    let unrouted = part(&approved, "unrouted");
    assert!(unrouted.contains("?line=2#rules\">Line 2</a>") && unrouted.contains("bills"), "{unrouted}");
    assert!(part(&approved, "known-1").contains("owner-person"), "who approved it");

    // The draft fits; lines of the active rules are not those of the editor then.
    save(&mut owner, &api, "p, viewer, *, orders, read\np, viewer, *, orders, create\n").await;
    let active = owner.get(&page_of(&api)).await;
    assert!(!part(&active, "unrouted").contains("?line="), "{}", active.text());
    let draft = owner.get(&format!("{}?of=draft", page_of(&api))).await;
    assert!(text_of(&draft.text(), "sum").unwrap().starts_with("Every route is opened"), "{}", draft.text());
    save(&mut owner, &api, "p, viewer\n").await;
    let broken = owner.get(&format!("{}?of=draft", page_of(&api))).await;
    assert!(text_of(&broken.text(), "no-report").unwrap().contains("have errors"), "{}", broken.text());

    let forgotten = press(&mut owner, &approved, "known-1-form", "forget").await;
    assert!(notice(&forgotten).starts_with("The routes are forgotten."));
    assert!(text_of(&forgotten.text(), "empty").is_some());
}

#[rstest]
#[tokio::test]
async fn what_somebody_else_decided_meanwhile_is_said(#[values(Sqlite, Postgres)] database: Database) {
    let (server, api, guard, mut owner) = Box::pin(scene(database)).await;
    let mut editor = administrator(&server, "policy-editor").await;
    tell(&server, &guard, "1.0", &[]).await;
    let seen = owner.get(&page_of(&api)).await;
    let looked_at = seen_by(&mut editor, &api).await;
    let rejected = press(&mut editor, &looked_at, "pending-1-form", "reject").await;
    assert!(notice(&rejected).starts_with("The routes are rejected."));
    refused(&press(&mut owner, &seen, "pending-1-form", "approve").await, 409, "while you looked");
    let again = the_form(&rejected, "known-1-form").with("step", "reject");
    refused(&editor.submit(&again).await, 409, "decided already");
    assert_eq!(press(&mut editor, &rejected, "known-1-form", "forget").await.status, 200);
    refused(&press(&mut owner, &seen, "pending-1-form", "approve").await, 409, "not known any more");
}

async fn seen_by(visitor: &mut Visitor, api: &RegisteredApi) -> Answer {
    visitor.get(&page_of(api)).await
}

#[rstest]
#[tokio::test]
async fn only_who_may_write_rules_decides_about_routes(#[values(Sqlite, Postgres)] database: Database) {
    let (server, api, guard, mut owner) = Box::pin(scene(database)).await;
    tell(&server, &guard, "1.0", &[]).await;
    let mut nobody = server.visitor();
    let sent_away = nobody.get(&page_of(&api)).await.location().expect("first one signs in");
    assert_eq!(sent_away.query(), Some(format!("next={}.routes", api.id).as_str()));
    let mut clerk = administrator(&server, "client-admin").await;
    assert_eq!(clerk.get(&page_of(&api)).await.status, 403, "rules are not their business");
    let mut approver = administrator(&server, "policy-approver").await;
    let page = seen_by(&mut approver, &api).await;
    assert!(text_of(&page.text(), "no-decision").is_some() && !page.text().contains("pending-1-form"));
    let form = the_form(&owner.get(&page_of(&api)).await, "pending-1-form").with("step", "approve");
    let token =
        the_form(&approver.get(&path(&api)).await, "policies").value("csrf_token").unwrap().to_owned();
    assert_eq!(approver.submit(&form.clone().with("csrf_token", &token)).await.status, 403);

    let foreign = [("sec-fetch-site", "cross-site"), ("origin", "https://evil.test")];
    assert_eq!(owner.submit_from(&form, &foreign).await.status, 403);
    assert_eq!(owner.submit(&form.clone().without("csrf_token")).await.status, 403);
    assert_eq!(owner.submit(&form.clone().with("step", "other")).await.status, 400);
    assert_eq!(owner.submit(&form.clone().with("digest", "x")).await.status, 400);
    let unknown = form.clone().with("digest", &"00".repeat(32));
    refused(&owner.submit(&unknown).await, 409, "not known any more");
    let still = seen_by(&mut owner, &api).await;
    assert!(still.text().contains("pending-1-form"), "nothing was decided");

    let admin_api = server.admin.admin_api().await;
    let guard = server.admin.guard_client(&admin_api).await;
    let routes = vec![Route::every_method("/users", Need::Public)];
    let document = RouteDocument::new(&admin_api.audience, None, routes);
    let text = serde_json::to_string(&document).unwrap();
    let name = portcullis_server::domain::secret::Digest32::of(text.as_bytes()).hex();
    assert_eq!(announce(&server, &guard, &name, &text).await.status, 201);
    let mut editor = administrator(&server, "policy-editor").await;
    let page = seen_by(&mut editor, &admin_api).await;
    refused(&press(&mut editor, &page, "pending-1-form", "approve").await, 403, "Only an owner");
}

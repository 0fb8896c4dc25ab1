//! Protected Resource Metadata ([RFC 9728](https://www.rfc-editor.org/rfc/rfc9728)): a service behind the guard, and this server.

use portcullis_guard::ProtectedResource;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use portcullis_tests::token::Machine;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

const ORDERS: &str = "https://orders.test";

/// A client knows the address of the service and has credentials, and nothing else.
#[rstest]
#[tokio::test]
async fn section_5_a_client_finds_its_way_from_a_refusal_to_an_answer(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let robot = server.admin.machine_client(&[&orders]).await;
    server.admin.assign(&orders, "viewer", &robot.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let described = ProtectedResource::new().name("Orders");
    let service = GuardedService::start_with(&server.issuer, ORDERS, &guard, |guard| {
        guard.protected_resource(described)
    })
    .await;

    let refused = service.get("/orders", None).await;
    let challenge = refused.header("www-authenticate");
    assert_eq!(refused.status, 401, "{}", refused.text());
    let (_, place) = challenge.split_once("resource_metadata=\"").unwrap_or_else(|| panic!("{challenge}"));
    let place = place.split('"').next().unwrap();
    // Section 3: between the host and the path of the identifier.
    assert_eq!(place, format!("{ORDERS}/.well-known/oauth-protected-resource"));
    let document = service.get(place.strip_prefix(ORDERS).unwrap(), None).await;
    assert_eq!((document.status.as_u16(), document.header("content-type")), (200, "application/json"));
    let document = document.json();
    // Section 3.3: it is of the resource that it was asked of.
    assert_eq!((&document["resource"], &document["resource_name"]), (&json!(ORDERS), &json!("Orders")));
    assert_eq!(document["authorization_servers"], json!([server.issuer]));
    assert!(
        document["bearer_methods_supported"].as_array().is_none_or(|ways| ways.contains(&json!("header")))
    );

    let issuer = Machine::new(document["authorization_servers"][0].as_str().unwrap());
    let metadata = issuer.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["issuer"], document["authorization_servers"][0]);
    let endpoint = metadata["token_endpoint"].as_str().unwrap().strip_prefix(&server.issuer).unwrap();
    // RFC 8707: the identifier is what the client asks for a token for.
    let fields = [("grant_type", "client_credentials"), ("resource", document["resource"].as_str().unwrap())];
    let bought = issuer.post_as(&robot, endpoint, &fields).await;
    assert_eq!(bought.status, 200, "{}", bought.text());
    let answer = service.get("/orders", Some(&bought.member("access_token"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // A token that is no good leads to the same place.
    let refused = service.get("/orders", Some("x")).await;
    assert!(refused.header("www-authenticate").contains(place), "{:?}", refused.headers);
}

/// This server lists no resources (section 4), and calls none its own but by the audience of their tokens.
#[rstest]
#[tokio::test]
async fn section_4_the_metadata_of_the_server_list_no_resource(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    server.admin.api(ORDERS).await;
    for place in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let metadata = server.machine.get(place).await.json();
        assert_eq!(metadata.get("protected_resources"), None, "{place}");
        assert!(!metadata.to_string().contains(ORDERS), "{place}: {metadata}");
    }
    let nowhere = server.machine.request(Method::GET, "/.well-known/oauth-protected-resource");
    assert_eq!(Answer::to(nowhere).await.status, 404);
}

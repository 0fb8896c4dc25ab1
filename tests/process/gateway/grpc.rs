//! Asked by a client of gRPC, as Envoy does.

use envoy_types::pb::envoy::service::auth::v3::attribute_context::{HttpRequest, Request as Attributes};
use envoy_types::pb::envoy::service::auth::v3::authorization_client::AuthorizationClient;
use envoy_types::pb::envoy::service::auth::v3::check_response::HttpResponse;
use envoy_types::pb::envoy::service::auth::v3::{AttributeContext, CheckRequest, CheckResponse};
use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::process::eventually;
use portcullis_tests::proxied::{self, free_port};
use tonic::Code;
use tonic::transport::Channel;

use super::{Ground, IDENTITY, ROUTES};

/// Asks as Envoy does over gRPC.
async fn called(
    client: &mut AuthorizationClient<Channel>,
    (method, path): (&str, &str),
    more: &[(&str, &str)],
) -> CheckResponse {
    let own = [("x-forwarded-for", "192.0.2.1"), ("x-forwarded-proto", "https"), ("x-auth-roles", "owner")];
    let headers = own.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let http = HttpRequest {
        method: method.to_owned(),
        path: path.to_owned(),
        host: "api.example.com".to_owned(),
        headers: headers.collect(),
        ..HttpRequest::default()
    };
    let request = Some(Attributes { http: Some(http), ..Attributes::default() });
    let attributes = Some(AttributeContext { request, ..AttributeContext::default() });
    client.check(CheckRequest { attributes }).await.unwrap().into_inner()
}

/// The status of HTTP, and that of gRPC.
fn statuses(answer: &CheckResponse) -> (i32, i32) {
    let told = answer.status.as_ref().unwrap().code;
    match answer.http_response.as_ref().unwrap() {
        HttpResponse::OkResponse(_) => (200, told),
        HttpResponse::DeniedResponse(denied) => (denied.status.unwrap().code, told),
        HttpResponse::ErrorResponse(_) => panic!("Envoy could let it pass: {answer:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn envoy_is_answered_over_grpc_as_over_http_sqlite() {
    let ground = Ground::new().await;
    let port = free_port();
    let file = ground.file(port, &format!("{}{ROUTES}", ground.policy));
    let gateway = proxied::gateway(&file, port).await;
    let mut client = AuthorizationClient::connect(gateway.address.clone()).await.unwrap();
    let bearer = async |client| format!("Bearer {}", ground.token(client).await);
    let (viewer, stranger) = (bearer(&ground.viewer).await, bearer(&ground.stranger).await);
    let ready = format!("{}/readyz", gateway.address);
    eventually("the gateway is ready", async || Answer::to(agent().get(&ready)).await.status == 200).await;

    let passed = called(&mut client, ("GET", "/orders?page=1"), &[("authorization", &viewer)]).await;
    assert_eq!(statuses(&passed), (200, 0), "{}", gateway.log());
    let Some(HttpResponse::OkResponse(ok)) = passed.http_response else { panic!("it passed") };
    let pairs = ok.headers.iter().filter_map(|line| line.header.as_ref());
    let set: Vec<_> = pairs.map(|pair| (pair.key.as_str(), pair.value.as_str())).collect();
    assert!(set.contains(&("x-auth-roles", "viewer")), "{set:?}");
    assert!(set.contains(&("x-auth-subject", &ground.viewer.id)), "{set:?}");
    for name in IDENTITY {
        let is_removed = ok.headers_to_remove.iter().any(|removed| removed == name);
        assert_ne!(set.iter().any(|(own, _)| *own == name), is_removed, "{name}");
    }

    for (line, more, expected) in [
        (("GET", "/orders"), &[][..], (401, 16)),
        (("GET", "/orders"), &[("authorization", "Bearer no.such.token")], (401, 16)),
        (("GET", "/orders"), &[("authorization", stranger.as_str())], (403, 7)),
        (("DELETE", "/orders/1"), &[("authorization", viewer.as_str())], (403, 7)),
        (("GET", "/nowhere"), &[("authorization", viewer.as_str())], (403, 7)),
        (("GET", "/open/..%2forders"), &[("authorization", viewer.as_str())], (400, 3)),
        (("POST", "/open/x"), &[], (200, 0)),
    ] {
        let answer = called(&mut client, line, more).await;
        assert_eq!(statuses(&answer), expected, "{line:?}: {answer:?}");
    }
    let nothing = client.check(CheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(statuses(&nothing), (400, 3));

    let long = "a".repeat(256 * 1024);
    let http = HttpRequest { body: long, ..HttpRequest::default() };
    let request = Some(Attributes { http: Some(http), ..Attributes::default() });
    let attributes = Some(AttributeContext { request, ..AttributeContext::default() });
    let refused = client.check(CheckRequest { attributes }).await.unwrap().into_inner();
    assert_eq!(statuses(&refused), (413, 3));
    let answer = called(&mut client, ("GET", "/orders"), &[("authorization", &viewer)]).await;
    assert_eq!(statuses(&answer), (200, 0), "the connection goes on");
    assert!(!gateway.log().contains(viewer.trim_start_matches("Bearer ")));
    assert!(gateway.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_no_proxy_is_not_answered_over_grpc_sqlite() {
    let ground = Ground::new().await;
    let port = free_port();
    let others = format!("trusted_proxies = [\"192.0.2.0/24\"]\n{}{ROUTES}", ground.policy);
    let gateway = proxied::gateway(&ground.file(port, &others), port).await;
    let mut client = AuthorizationClient::connect(gateway.address.clone()).await.unwrap();
    let refused = client.check(CheckRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
}

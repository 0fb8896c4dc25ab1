//! [Authorization of the Model Context Protocol](https://modelcontextprotocol.io/specification/2026-07-28/basic/authorization): what it
//! asks of an authorization server beyond the texts that it refers to.

use portcullis_server::config::Dynamic;
use portcullis_server::domain::clock::Clock;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::jwt;
use portcullis_tests::markup::text_of;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use portcullis_tests::visitor::login_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::document_scene::{self, accepting, assert_refused, is_accepted, request, server};
use crate::resource::{ORDERS, Resource};

const TOOLS: &str = "https://tools.example/Mcp";

#[rstest]
#[tokio::test]
async fn a_resource_is_known_whatever_the_case_of_its_scheme_and_host(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let tools = server.admin.api(TOOLS).await;
    let client = server.admin.native_client(&[&tools]).await;
    let robot = server.admin.machine_client(&[&tools]).await;
    let native = client.redirect_uris.first().expect("it has one").clone();
    for resource in [TOOLS, "HTTPS://tools.example/Mcp", "https://Tools.EXAMPLE/Mcp"] {
        let request = AuthorizeRequest::of(&client).with("redirect_uri", &native).with("resource", resource);
        let callback = server.visitor().authorize(&request, &ada).await;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", callback.code()),
            ("redirect_uri", native.as_str()),
            ("code_verifier", request.pkce.verifier.as_str()),
            ("resource", resource),
        ];
        let answer = server.machine.token(&client, &fields).await;
        assert_eq!(answer.status, 200, "{resource}: {}", answer.text());
        assert_eq!(jwt::claims(&answer.member("access_token"))["aud"], TOOLS, "as it is registered");
        let own = server.machine.client_credentials(&robot, resource).await;
        assert_eq!(own.status, 200, "{resource}: {}", own.text());
        assert_eq!(jwt::claims(&own.member("access_token"))["aud"], TOOLS);
    }
    for other in [
        "https://tools.example/mcp",
        "https://tools.example/Mcp/",
        "https://tools.example:443/Mcp",
        "http://tools.example/Mcp",
        "https://Xtools.example/Mcp",
    ] {
        let answer = server.machine.client_credentials(&robot, other).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (400, "invalid_target"), "{other}");
    }
    // So there is one spelling that services publish.
    for audience in ["https://Tools.example/v2", "HTTPS://tools.example/v2"] {
        let refused =
            server.admin.send(Method::POST, "/apis", &json!({ "audience": audience, "name": "Tools" })).await;
        assert_eq!(refused.status, 422, "{audience}: {}", refused.text());
        assert_eq!(refused.json()["errors"][0]["pointer"], "/audience", "{}", refused.text());
    }
}

/// Where neither a challenge nor the metadata name scopes, a client asks for none.
#[rstest]
#[tokio::test]
async fn a_request_for_a_service_that_names_no_scopes_needs_none(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let tools = server.admin.api(TOOLS).await;
    server.admin.assign(&tools, "viewer", &ada.id).await;
    let client = server.admin.native_client(&[&tools]).await;
    let request = AuthorizeRequest::of(&client).without("scope").with("resource", TOOLS);
    // Whoever asks for no scope asks for something all the same, and the person is asked.
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&client), &ada).await;
    let silent =
        AuthorizeRequest::of(&client).without("scope").with("resource", TOOLS).with("prompt", "none");
    let silent = visitor.open(&silent.path()).await.location().expect("it is answered");
    assert_eq!(Callback::of(&silent).error(), "consent_required");
    let tokens = server.tokens(&client, &request, &ada).await;
    let token = jwt::claims(&tokens.member("access_token"));
    assert_eq!((&token["aud"], &token["roles"]), (&json!(TOOLS), &json!(["viewer"])));
    assert_eq!((&token["scope"], &tokens.json()["scope"]), (&Value::Null, &Value::Null));
    let again = server.machine.refresh(&client, &tokens.member("refresh_token")).await;
    assert_eq!(jwt::claims(&again.member("access_token"))["aud"], TOOLS, "{}", again.text());
    // Without a place, or for this server alone, it asks for nothing.
    for nothing in ["", &server.issuer] {
        let request = AuthorizeRequest::of(&client).without("scope").with("resource", nothing);
        let callback = server.visitor().authorize(&request, &ada).await;
        assert_eq!(callback.error(), "invalid_scope", "{nothing}");
    }
}

/// What a client gets that does not name the resource is for this server, and no service takes it.
#[rstest]
#[tokio::test]
async fn a_client_that_came_by_itself_reaches_a_service_only_if_it_names_it(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        accepting(config);
        config.reach.registration.dynamic = Dynamic::Open;
        config.reach.registration.apis = vec![TOOLS.to_owned()];
    })
    .await;
    let ada = server.admin.user("ada").await;
    let tools = server.admin.api(TOOLS).await;
    server.admin.assign(&tools, "viewer", &ada.id).await;
    let guard = server.admin.guard_client(&tools).await;
    let service = GuardedService::start(&server.issuer, TOOLS, &guard).await;
    let place = DocumentAt::start().await;
    place.publish(&place.good());
    let registered = OwnRegistration::of(&server.register(None, &web_metadata()).await).client;
    for client in [&registered, &document_scene::client(&place)] {
        let request = AuthorizeRequest::of(client).with("scope", "openid offline_access");
        let without = server.tokens(client, &request, &ada).await;
        assert_eq!(without.status, 200, "{}", without.text());
        let renewed = server.machine.refresh(client, &without.member("refresh_token")).await;
        for token in [&without, &renewed] {
            let access = token.member("access_token");
            assert_ne!(jwt::claims(&access)["aud"], TOOLS);
            for refused in
                [service.get("/orders", Some(&access)).await, service.post("/orders", Some(&access)).await]
            {
                assert_eq!(refused.status, 401, "{}", refused.text());
            }
        }
        let named = server.tokens(client, &request.with("resource", TOOLS), &ada).await;
        let answer = service.get("/orders", Some(&named.member("access_token"))).await;
        assert_eq!(answer.status, 200, "{} {}", named.text(), answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn a_document_without_what_it_has_to_say_describes_no_client(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    for missing in ["client_id", "client_name", "redirect_uris"] {
        let place = DocumentAt::start().await;
        let mut document: Value = place.good();
        document.as_object_mut().expect("it is an object").remove(missing);
        place.publish(&document);
        assert_refused(&server, &request(&place), missing).await;
        let whole = DocumentAt::start().await;
        whole.publish(&whole.good());
        assert!(is_accepted(&server, &request(&whole)).await, "with {missing}");
    }
}

#[rstest]
#[tokio::test]
async fn the_page_shows_where_the_answer_goes(#[values(Sqlite, Postgres)] database: Database) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let mut document = place.good();
    document["redirect_uris"] = json!(["http://localhost:3000/cb", place.beside("/callback")]);
    place.publish(&document);
    let device = request(&place).with("redirect_uri", "http://localhost:49152/cb");
    for (request, host) in [(device, "localhost"), (request(&place), "127.0.0.1")] {
        let mut visitor = server.visitor();
        let login = visitor.open(&request.path()).await;
        let sent = visitor.submit(&login_form(&login, &ada.username, &ada.password)).await;
        let consent = visitor.follow(sent).await.text();
        assert_eq!(text_of(&consent, "redirect-host").as_deref(), Some(host), "{consent}");
    }
}

/// Whatever is wrong with a token, the service behind the guard refuses it as OAuth 2.1 has it.
#[rstest]
#[tokio::test]
async fn section_token_handling_and_section_security_privilege_restriction_no_other_token_is_taken(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let resource = Resource::on(database).await;
    let now = Clock::system().now().as_secs();
    let same = Resource::claims(&json!({}));
    for (why, token) in [
        ("it has expired", resource.token(&json!({ "exp": now - 60 }))),
        ("for another service", resource.token(&json!({ "aud": "https://stock.test" }))),
        ("for one that begins alike", resource.token(&json!({ "aud": format!("{ORDERS}.evil.test") }))),
        ("for nobody", resource.token(&json!({ "aud": null }))),
        ("of another issuer", resource.token(&json!({ "iss": resource.server.issuer }))),
        ("of another kind", resource.keys.sign_as("JWT", &same)),
        ("of another key", SigningKeys::generate().sign_as("at+jwt", &same)),
        ("it was changed", jwt::damaged(&resource.token(&json!({})))),
        ("it is none", "x".to_owned()),
    ] {
        resource.assert_refused(&token, why).await;
    }
    let own = resource.server.admin.token().await;
    resource.assert_refused(&own, "of the server, for itself").await;
    resource.assert_open().await;
}

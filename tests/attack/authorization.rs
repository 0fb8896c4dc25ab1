//! Group AZ: the authorization endpoint and redirect URIs.

use portcullis_server::config::{Config, Dynamic};
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::{Victim, assert_page_without_redirect};

/// Sends each redirect URI for a client that registered only `registered`; each must end on a page.
async fn none_is_accepted(server: &TestServer, registered: &str, attempts: &[&str]) {
    let preset = if registered.starts_with("http://") { "native" } else { "web" };
    let client = json!({ "name": "Victim", "preset": preset, "redirect_uris": [registered] });
    let client = server.admin.client(client).await;
    for attempt in attempts {
        let request = AuthorizeRequest::of(&client).with("redirect_uri", attempt);
        assert_page_without_redirect(&server.visitor().open(&request.path()).await, attempt);
    }
    let good = server.visitor().open(&AuthorizeRequest::of(&client).path()).await;
    assert_eq!(good.url.path(), "/login", "the registered one still works");
}

#[rstest]
#[tokio::test]
async fn az_01_prefix_and_suffix_hosts_get_a_page(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let attempts = [
        "https://rp.test/cb.evil",
        "https://rp.test.evil.test/cb",
        "https://rp.test/cbx",
        "https://evil.test/https://rp.test/cb",
        "https://rp.test/cb?x=1",
        "https://rp.test/cb/",
        "https://rp.test:8443/cb",
        "https://rp.test",
        " https://rp.test/cb",
        "https://rp.test/cb ",
    ];
    none_is_accepted(&server, "https://rp.test/cb", &attempts).await;
}

#[rstest]
#[tokio::test]
async fn az_02_path_traversal_gets_a_page(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let attempts = [
        "https://rp.test/cb/../evil",
        "https://rp.test/cb/..%2f..%2fevil",
        "https://rp.test/cb/.",
        "https://rp.test/x/../cb",
        "https://rp.test/./cb",
        "https://rp.test//cb",
        "https://rp.test/%63b",
        "https://rp.test/cb%00",
        "https://rp.test\\cb",
    ];
    none_is_accepted(&server, "https://rp.test/cb", &attempts).await;
}

#[rstest]
#[tokio::test]
async fn az_04_userinfo_before_a_loopback_port_gets_a_page(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let attempts = [
        "http://127.0.0.1:80@evil.test/cb",
        "http://localhost:1@evil.test/cb",
        "http://127.0.0.1@evil.test/cb",
        "http://127.0.0.1:80#@evil.test/cb",
        "http://127.0.0.1:80\\@evil.test/cb",
        "http://127.0.0.1.evil.test/cb",
        "http://127.0.0.1:99999/cb",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:+80/cb",
        "http://user@127.0.0.1:80/cb",
        "http://127.1:80/cb",
        "http://localhost:80/cb",
        "http://[::1]:80/cb",
        "https://127.0.0.1:80/cb",
    ];
    none_is_accepted(&server, "http://127.0.0.1/cb", &attempts).await;
}

#[rstest]
#[tokio::test]
async fn az_06_another_case_gets_a_page(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let attempts = ["HTTPS://rp.test/cb", "https://RP.test/cb", "https://rp.test/CB"];
    none_is_accepted(&server, "https://rp.test/cb", &attempts).await;
}

#[rstest]
#[tokio::test]
async fn az_07_a_dot_is_only_a_dot(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    none_is_accepted(
        &server,
        "https://foo.rp.test/cb",
        &["https://fooxrp.test/cb", "https://foo.rpxtest/cb"],
    )
    .await;
}

#[rstest]
#[tokio::test]
async fn az_08_a_fragment_is_refused_in_both_places(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let dynamic = |config: &mut Config| config.reach.registration.dynamic = Dynamic::Token;
    let server = TestServer::start_with(database, dynamic).await;
    let attempts = ["https://rp.test/cb#x", "https://rp.test/cb%23x", "https://rp.test/cb#"];
    none_is_accepted(&server, "https://rp.test/cb", &attempts).await;
    let token = server.initial_token(json!({})).await;
    for uri in
        ["https://rp.test/cb#x", "https://rp.test/cb#", "https://rp.test/cb%23x", "https://rp.test/cb?a=%23x"]
    {
        let document = json!({ "name": "Bad", "preset": "web", "redirect_uris": [uri] });
        assert_eq!(server.admin.send(Method::POST, "/clients", &document).await.status, 422, "{uri}");
        let registration = server.register(Some(&token), &json!({ "redirect_uris": [uri] })).await;
        assert_eq!(registration.error(), "invalid_redirect_uri", "{uri}");
    }
}

#[rstest]
#[tokio::test]
async fn az_10_dangerous_schemes_are_refused_everywhere(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let dangerous = [
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "blob:https://rp.test/x",
        "about:blank",
        "view-source:https://rp.test",
    ];
    none_is_accepted(&server, "https://rp.test/cb", &dangerous).await;
    for preset in ["web", "spa", "native"] {
        for uri in dangerous {
            for member in ["redirect_uris", "post_logout_redirect_uris"] {
                let mut document =
                    json!({ "name": "Bad", "preset": preset, "redirect_uris": ["https://rp.test/cb"] });
                document[member] = json!([uri]);
                let answer = server.admin.send(Method::POST, "/clients", &document).await;
                assert_eq!(answer.status, 422, "{preset} {member} {uri}");
            }
        }
    }
    let good = server.admin.web_client(&[]).await;
    let path = format!("/clients/{}", good.id);
    let known = server.admin.get(&path).await;
    let bad = json!({ "name": "Bad", "preset": "web", "redirect_uris": ["javascript:alert(1)"] });
    let update =
        server.admin.request(Method::PUT, &path).await.header("if-match", known.header("etag")).json(&bad);
    assert_eq!(Answer::to(update).await.status, 422);
}

#[rstest]
#[tokio::test]
async fn az_13_an_unknown_or_disabled_client_gets_a_page(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    for id in ["nope", "", "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c", "' OR 1=1--", "%00", &"x".repeat(5000)] {
        let request = AuthorizeRequest::of(&shop).with("client_id", id);
        assert_page_without_redirect(&server.visitor().open(&request.path()).await, id);
    }
    server.admin.post(&format!("/clients/{}/disable", shop.id), &json!({})).await;
    server.look().await;
    let answer = server.visitor().open(&AuthorizeRequest::of(&shop).path()).await;
    assert_page_without_redirect(&answer, "a disabled client");
}

#[rstest]
#[tokio::test]
async fn az_14_no_other_response_type_and_no_token_in_a_url(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let types = ["token", "id_token", "id_token token", "code token", "code id_token", "none", "CODE", ""];
    for kind in types {
        let answer = visitor.open(&AuthorizeRequest::of(&shop).with("response_type", kind).path()).await;
        let target = answer.location().unwrap_or_else(|| panic!("{kind}: {}", answer.text()));
        let error = Callback::of(&target).error().to_owned();
        assert!(matches!(&*error, "unsupported_response_type" | "invalid_request"), "{kind}: {error}");
        assert!(!target.as_str().contains("access_token"), "{target}");
        assert_eq!(target.fragment(), None, "{target}");
    }
    for mode in ["fragment", "web_message", "fragment.jwt", "x"] {
        let answer = visitor.open(&AuthorizeRequest::of(&shop).with("response_mode", mode).path()).await;
        let error = answer.location().map(|target| Callback::of(&target).error().to_owned());
        assert!(error.as_deref().is_none_or(|error| error == "invalid_request"), "{mode}: {error:?}");
        assert!(error.is_some() || answer.status == 400, "{mode}: {}", answer.status);
    }
}

#[rstest]
#[tokio::test]
async fn az_16_an_omitted_redirect_uri_with_two_registered_gets_a_page(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let two = ["https://rp.test/cb", "https://rp.test/other"];
    let client = server.admin.client(json!({ "name": "Two", "preset": "web", "redirect_uris": two })).await;
    let request = AuthorizeRequest::of(&client).without("redirect_uri");
    assert_page_without_redirect(&server.visitor().open(&request.path()).await, "two registered");
}

#[rstest]
#[tokio::test]
async fn az_18_signing_in_never_leads_to_another_site(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let targets = [
        "//evil.test",
        "/\\evil.test",
        "/%09/evil.test",
        "https:evil.test",
        "////evil.test",
        "/%5cevil.test",
        "https://evil.test",
        "\\\\evil.test",
        "javascript:alert(1)",
    ];
    let mut signed_in = 0;
    for name in ["next", "return_to", "redirect", "continue", "interaction", "url"] {
        for target in targets {
            let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, target).finish();
            let mut visitor = server.visitor();
            let page = visitor.open(&format!("/login?{query}")).await;
            assert_ne!(page.url.host_str(), Some("evil.test"), "{name}={target}");
            assert_eq!(page.location(), None, "{name}={target}");
            if !page.text().contains("id=\"login\"") {
                continue;
            }
            let form = login_form(&page, &ada.username, &ada.password).with(name, target);
            let sent = visitor.submit(&form).await;
            if let Some(next) = sent.location() {
                signed_in += 1;
                assert_eq!(next.origin().ascii_serialization(), server.issuer, "{name}={target}");
            }
        }
    }
    assert!(signed_in > targets.len(), "nearly every page lets one sign in, and leads on: {signed_in}");
}

#[rstest]
#[tokio::test]
async fn az_21_a_request_uri_is_never_fetched_nor_honoured(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let ours = format!("http://{address}/request.jwt");
    for uri in [ours.as_str(), "urn:ietf:params:oauth:request_uri:unknown", "https://evil.test/r"] {
        let answer =
            server.visitor().open(&AuthorizeRequest::of(&shop).with("request_uri", uri).path()).await;
        let error = answer.location().map(|target| Callback::of(&target).error().to_owned());
        if uri.starts_with("urn:") {
            // Nobody knows the redirect URI of a request that is not there.
            assert_eq!((answer.status.as_u16(), error), (400, None), "{uri}");
            assert_eq!(text_of(&answer.text(), "error-code").as_deref(), Some("invalid_request_uri"));
        } else {
            assert_eq!(error.as_deref(), Some("request_uri_not_supported"), "{uri}: {}", answer.status);
        }
    }
    let answer = server.visitor().open(&AuthorizeRequest::of(&shop).with("request", "a.b.c").path()).await;
    let error = answer.location().map(|target| Callback::of(&target).error().to_owned());
    assert_eq!(error.as_deref(), Some("request_not_supported"));
    let own = tokio::net::TcpStream::connect(address).await.unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap(), "nobody connected before");
}

#[rstest]
#[tokio::test]
async fn az_22_every_answer_names_its_issuer(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let mut victim = Victim::of(&server).await;
    let issuer = server.machine.get("/.well-known/openid-configuration").await.member("issuer");
    assert_eq!(victim.callback.get("iss"), issuer);
    let request = AuthorizeRequest::of(&victim.shop);
    for bad in [
        request.clone().with("prompt", "none login"),
        request.clone().with("response_type", "token"),
        request.clone().without("code_challenge"),
        request.clone().with("max_age", "-1"),
        request.with("resource", "https://unknown.test"),
    ] {
        let answer = victim.visitor.open(&bad.path()).await;
        let target = answer.location().unwrap_or_else(|| panic!("{bad:?}: {}", answer.text()));
        let callback = Callback::of(&target);
        assert_ne!(callback.error(), "", "{target}");
        assert_eq!(callback.get("iss"), issuer, "{target}");
        assert_eq!(callback.get("state"), bad.get("state"), "{target}");
    }
}

#[rstest]
#[tokio::test]
async fn az_24_credentials_are_never_sent_on(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let page = visitor.open(&AuthorizeRequest::of(&shop).path()).await;
    let sent = visitor.submit(&login_form(&page, &ada.username, &ada.password)).await;
    // RFC 9700 §4.12: 307 and 308 would make the browser post the password again.
    assert_eq!(sent.status, 303);
    let page = visitor.follow(sent).await;
    let allowed = visitor.submit(&the_form(&page, "consent").with("decision", "allow")).await;
    assert_eq!(allowed.status, 303);
}

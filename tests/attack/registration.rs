//! Group SS: clients that come by themselves, and addresses that they would have this server call.

use portcullis_server::config::{Config, Documents, Dynamic};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use portcullis_tests::uncalled::Uncalled;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::assert_page_without_redirect;

fn takes_clients(config: &mut Config) {
    config.reach.registration.dynamic = Dynamic::Token;
    config.reach.registration.client_id_metadata_documents = Documents::Any;
}

/// Addresses at hosts that are not to be called.
fn addresses(nobody: &Uncalled) -> Vec<String> {
    let both = |host: String| [format!("http://{host}/keys"), format!("https://{host}/keys")];
    nobody.hosts().into_iter().flat_map(both).collect()
}

#[rstest]
#[tokio::test]
async fn ss_01_nobody_registers_unless_somebody_lets_him(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let closed = TestServer::start_on(database).await;
    for token in [None, Some("x")] {
        assert_eq!(closed.register(token, &web_metadata()).await.status, 404, "it is off unless it is set");
    }
    let by_token = TestServer::start_with(database, takes_clients).await;
    let once = by_token.initial_token(json!({ "uses": 1 })).await;
    let administrator = by_token.admin.token().await;
    assert_eq!(by_token.register(Some(&once), &web_metadata()).await.status, 201);
    for token in [None, Some("x"), Some(administrator.as_str()), Some(once.as_str())] {
        let refused = by_token.register(token, &web_metadata()).await;
        assert_eq!(refused.status, 401, "{}", refused.text());
    }
    let listed = by_token.admin.get("/registrations").await.json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
}

#[rstest]
#[tokio::test]
async fn ss_02_no_address_of_this_network_is_called_for_a_client_that_registers(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, takes_clients).await;
    let token = server.initial_token(json!({ "uses": 50 })).await;
    let nobody = Uncalled::listen().await;
    for address in addresses(&nobody) {
        for member in ["jwks_uri", "sector_identifier_uri", "backchannel_logout_uri"] {
            let mut metadata = web_metadata();
            metadata[member] = json!(address);
            if member == "jwks_uri" {
                metadata["token_endpoint_auth_method"] = json!("private_key_jwt");
            }
            let refused = server.register(Some(&token), &metadata).await;
            let told = (refused.status.as_u16(), refused.error());
            assert_eq!(told, (400, "invalid_client_metadata".to_owned()), "{member}: {address}");
            assert!(refused.text().contains(member), "{}", refused.text());
        }
        // Without an image a client only looks plainer.
        let mut metadata = web_metadata();
        metadata["logo_uri"] = json!(address);
        let answer = server.register(Some(&token), &metadata).await;
        assert!(matches!(answer.status.as_u16(), 201 | 400), "{address}: {}", answer.text());
    }
    nobody.assert_nobody_came().await;
}

#[rstest]
#[tokio::test]
async fn ss_02_no_address_of_this_network_is_called_for_a_client_that_an_administrator_makes(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, takes_clients).await;
    let nobody = Uncalled::listen().await;
    let known = server.admin.web_client(&[]).await;
    let path = format!("/clients/{}", known.id);
    let version = server.admin.get(&path).await.header("etag").to_owned();
    for address in addresses(&nobody) {
        let at = |options: Value| json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"], "options": options });
        let documents = [
            ("jwks_uri", at(json!({ "jwks_uri": address }))),
            ("backchannel_logout_uri", at(json!({ "protocol": { "backchannel_logout_uri": address } }))),
        ];
        for (member, document) in documents {
            let refused = server.admin.send(Method::POST, "/clients", &document).await;
            assert_eq!(refused.status, 422, "{member}: {address}: {}", refused.text());
            assert!(refused.text().contains(member), "{}", refused.text());
            let update = server.admin.request(Method::PUT, &path).await.header("if-match", &version);
            let refused = portcullis_tests::agent::Answer::to(update.json(&document)).await;
            assert_eq!(refused.status, 422, "{member}: {address}: {}", refused.text());
        }
    }
    nobody.assert_nobody_came().await;
}

#[rstest]
#[tokio::test]
async fn ss_02_no_address_of_this_network_is_asked_which_client_it_describes(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, takes_clients).await;
    let nobody = Uncalled::listen().await;
    for address in addresses(&nobody) {
        let client = Registered {
            id: address.clone(),
            secret: None,
            redirect_uris: vec![format!("https://{}/cb", address.split('/').nth(2).unwrap())],
        };
        let page = server.visitor().open(&AuthorizeRequest::of(&client).path()).await;
        assert_page_without_redirect(&page, &address);
    }
    nobody.assert_nobody_came().await;
}

#[rstest]
#[tokio::test]
async fn ss_07_nobody_gives_himself_what_an_administrator_gives(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, takes_clients).await;
    let token = server.initial_token(json!({ "uses": 50 })).await;
    let mut metadata = web_metadata();
    for (member, value) in [
        ("client_id", json!("chosen")),
        ("client_secret", json!("chosen")),
        ("first_party", json!(true)),
        ("skip_consent", json!(true)),
        ("scope", json!("openid admin")),
        ("role", json!("owner")),
        ("options", json!({ "first_party": true })),
    ] {
        metadata[member] = value;
    }
    let answer = server.register(Some(&token), &metadata).await;
    assert!(matches!(answer.status.as_u16(), 201 | 400), "{}", answer.text());
    metadata["scope"] = json!("openid");
    let own = OwnRegistration::of(&server.register(Some(&token), &metadata).await);
    assert_ne!(own.client.id, "chosen");
    assert!(own.client.secret.as_deref().is_some_and(|secret| secret.starts_with("pck_")));
    let kept = server.admin.get(&format!("/clients/{}", own.client.id)).await.json();
    let settings = &kept["settings"];
    assert_eq!((&settings["first_party"], &settings["apis"]), (&json!(false), &json!([])), "{kept}");
    assert_eq!(kept["scopes"], "openid", "{kept}");
    let token = server.machine.client_credentials(&own.client, &format!("{}/api", server.issuer)).await;
    assert_eq!(token.error(), "unauthorized_client");
}

#[rstest]
#[tokio::test]
async fn ss_10_the_token_of_one_registration_opens_no_other(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, takes_clients).await;
    let token = server.initial_token(json!({ "uses": 50 })).await;
    let [a, b] = [
        OwnRegistration::of(&server.register(Some(&token), &web_metadata()).await),
        OwnRegistration::of(&server.register(Some(&token), &web_metadata()).await),
    ];
    let mut change = web_metadata();
    change["client_id"] = json!(b.client.id);
    for (method, body) in [(Method::GET, None), (Method::PUT, Some(&change)), (Method::DELETE, None)] {
        for stolen in [Some(a.token.as_str()), Some(token.as_str()), None] {
            let refused = server.about_registration(method.clone(), &b.path, stolen, body).await;
            assert!(matches!(refused.status.as_u16(), 401 | 403), "{method}: {}", refused.status);
        }
        let own = server.about_registration(Method::GET, &b.path, Some(&b.token), None).await;
        assert_eq!(own.status, 200, "{method}: {}", own.text());
    }
}

//! [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html) §2 to §4: what a request says, and what its ID token
//! says; and [Initiating User Registration](https://openid.net/specs/openid-connect-prompt-create-1_0.html).

use aws_lc_rs::digest::{self, SHA256, SHA512};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::relying_party::RelyingParty;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::oidc_core::{ALL_SCOPES, client, held_to};

#[rstest]
#[tokio::test]
async fn section_3_1_2_1_wishes_that_are_not_known_are_no_errors(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = held_to(&server, json!({})).await;
    for (name, value) in [
        ("display", "page"),
        ("display", "popup"),
        ("display", "touch"),
        ("display", "wap"),
        ("display", "hologram"),
        ("ui_locales", "de-AT fr en"),
        ("ui_locales", "not_a_locale !"),
        ("claims_locales", "ja-Kana-JP"),
        ("acr_values", "urn:portcullis:acr:1fa"),
        ("acr_values", "urn:example:gold urn:example:silver"),
        ("login_hint", "somebody"),
    ] {
        let request = AuthorizeRequest::of(&shop).with(name, value);
        let tokens = server.tokens(&shop, &request, &ada).await;
        assert_eq!(tokens.status, 200, "{name}={value}: {}", tokens.text());
        assert_eq!(claims(&tokens.member("id_token"))["acr"], "urn:portcullis:acr:1fa", "{name}={value}");
        let pushed = server.machine.post_as(&shop, "/par", &request.fields_without("client_id")).await;
        assert_eq!(pushed.status, 201, "{name}={value}: {}", pushed.text());
    }
    for name in ["display", "ui_locales", "acr_values"] {
        let twice = AuthorizeRequest::of(&shop).with(name, "page").and(name, "page");
        let callback = server.visitor().authorize(&twice, &ada).await;
        assert_eq!(callback.error(), "invalid_request", "{name} twice");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_1_the_metadata_say_what_is_known(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["display_values_supported"], json!(["page", "popup", "touch", "wap"]));
    assert_eq!(metadata["ui_locales_supported"], json!(["en"]));
    assert_eq!(metadata["acr_values_supported"], json!(["urn:portcullis:acr:1fa", "urn:portcullis:acr:2fa"]));
    assert_eq!(metadata["prompt_values_supported"], json!(["consent", "login", "none", "select_account"]));
    let page = server.visitor().open("/login").await.text();
    assert!(page.contains("lang=\"en\""), "the language of the pages");
}

/// Whether an `id_token_hint` names whoever is signed in is told silently, and its client does not have to be the one that asks.
#[rstest]
#[tokio::test]
async fn section_3_1_2_1_a_hint_is_an_id_token_of_this_server(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (shop, forum) = (held_to(&server, json!({})).await, held_to(&server, json!({})).await);
    let signed = held_to(&server, json!({ "userinfo_signed_response_alg": "ES256" })).await;
    let mut visitor = server.visitor();
    let mut bought = Vec::new();
    for client in [&shop, &forum, &signed] {
        let request = AuthorizeRequest::of(client);
        let callback = visitor.authorize(&request, &ada).await;
        bought.push(server.machine.redeem(client, &request, &callback).await);
    }
    let silently =
        |hint: &str| AuthorizeRequest::of(&shop).with("prompt", "none").with("id_token_hint", hint);
    for tokens in &bought {
        visitor.authorize(&silently(&tokens.member("id_token")), &ada).await.code();
    }
    let userinfo = server.machine.userinfo(&bought[2].member("access_token")).await.text();
    assert_eq!(claims(&userinfo)["sub"], ada.sub);
    for other in [userinfo, bought[0].member("access_token"), "x".to_owned()] {
        let callback = visitor.authorize(&silently(&other), &ada).await;
        assert_eq!(callback.error(), "invalid_request", "{other}");
        let logout = format!("/logout?id_token_hint={other}");
        let answer = visitor.open(&logout).await;
        assert_eq!(answer.status, 400, "{other}");
    }
}

/// Initiating User Registration 1.0 §4: whoever does not know the value says so.
#[rstest]
#[tokio::test]
async fn prompt_create_section_4_is_refused_where_people_do_not_register(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = held_to(&server, json!({})).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    for prompt in ["create", "create login"] {
        let request = AuthorizeRequest::of(&shop).with("prompt", prompt);
        let callback = visitor.authorize(&request, &ada).await;
        assert_eq!((callback.error(), callback.get("state")), ("invalid_request", request.get("state")));
        assert!(callback.get("error_description").contains("prompt=create"), "{callback:?}");
        let pushed = server.machine.post_as(&shop, "/par", &request.fields_without("client_id")).await;
        assert_eq!((pushed.status.as_u16(), pushed.error().as_str()), (400, "invalid_request"));
    }
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert!(!metadata["prompt_values_supported"].as_array().unwrap().contains(&json!("create")));
}

#[rstest]
#[case::es256("ES256")]
#[case::eddsa("EdDSA")]
#[case::ps256("PS256")]
#[case::rs256("RS256")]
#[tokio::test]
async fn section_3_1_3_6_at_hash_is_half_the_hash_of_the_algorithm(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] algorithm: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = client(&server, ALL_SCOPES, json!({ "id_token_alg": algorithm })).await;
    // A library of others verifies the signature.
    let party = RelyingParty::discover(&server.issuer, &shop).await;
    let begun = party.begin(&["offline_access"]);
    let callback = server.visitor().walk(begun.url.as_str(), &ada).await;
    let signed_in = party.finish(begun, &callback).await;
    assert_eq!(header(&signed_in.id_token)["alg"], algorithm);
    let half = |token: &str| {
        // Ed25519 is used with SHA-512 (RFC 8032 §5.1).
        let (function, length) = if algorithm == "EdDSA" { (&SHA512, 32) } else { (&SHA256, 16) };
        URL_SAFE_NO_PAD.encode(&digest::digest(function, token.as_bytes()).as_ref()[..length])
    };
    assert_eq!(claims(&signed_in.id_token)["at_hash"], half(&signed_in.access_token));
    let refreshed = server.machine.refresh(&shop, signed_in.refresh_token.as_deref().unwrap()).await;
    let (id_token, access_token) = (refreshed.member("id_token"), refreshed.member("access_token"));
    assert_eq!(claims(&id_token)["at_hash"], half(&access_token), "{}", refreshed.text());
    assert_eq!(header(&id_token)["alg"], algorithm);
    // §3.3.2.11: for ID tokens that come beside the code, and there are none.
    assert!(claims(&id_token).get("c_hash").is_none() && claims(&id_token).get("s_hash").is_none());
}

#[rstest]
#[tokio::test]
async fn section_2_each_algorithm_of_id_tokens_has_its_own_key(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert_eq!(
        metadata["id_token_signing_alg_values_supported"],
        json!(["EdDSA", "ES256", "PS256", "RS256"])
    );
    let keys = server.machine.get("/jwks").await.json()["keys"].as_array().unwrap().clone();
    let of = |alg: &str| keys.iter().find(|key| key["alg"] == alg).unwrap_or_else(|| panic!("{alg}"));
    assert_eq!(of("PS256")["kty"], "RSA");
    assert_ne!(of("PS256")["n"], of("RS256")["n"], "a key has one algorithm (RFC 8725 §3.1)");
    let odd = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "id_token_alg": "PS512" } });
    let refused = server.admin.send(Method::POST, "/clients", &odd).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    assert!(refused.text().contains("/options/id_token_alg"), "{}", refused.text());
}

#[rstest]
#[tokio::test]
async fn section_4_a_client_can_say_where_others_may_begin_its_sign_in(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let uri = "https://rp.test/start?tenant=1";
    let shop = held_to(&server, json!({ "initiate_login_uri": uri })).await;
    let shown = server.admin.get(&format!("/clients/{}", shop.id)).await.json();
    assert_eq!(shown["settings"]["protocol"]["initiate_login_uri"], uri);
    for bad in ["http://rp.test/start", "https://me@rp.test/start", "javascript:alert(1)", "/start", ""] {
        let document = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "options": { "protocol": { "initiate_login_uri": bad } } });
        let refused = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{bad}: {}", refused.text());
        assert!(refused.text().contains("/options/protocol/initiate_login_uri"), "{bad}: {}", refused.text());
    }
    let robot =
        json!({ "name": "Robot", "preset": "m2m", "options": { "protocol": { "initiate_login_uri": uri } } });
    let refused = server.admin.send(Method::POST, "/clients", &robot).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
}

/// A request that another site begins is an authorization request of the client like any other (§4).
#[rstest]
#[tokio::test]
async fn section_4_the_sign_in_that_others_began_names_the_person_by_a_hint(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = held_to(&server, json!({ "initiate_login_uri": "https://rp.test/start" })).await;
    let request = AuthorizeRequest::of(&shop).with("login_hint", "ada");
    let page = server.visitor().open(&request.path()).await;
    assert_eq!(the_form(&page, "login").value("username"), Some("ada"));
    let silent = server.visitor().open(&request.with("prompt", "none").path()).await;
    assert_eq!(Callback::of(&silent.location().unwrap()).error(), "login_required");
}

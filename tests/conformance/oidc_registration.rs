//! [OpenID Connect Dynamic Client Registration 1.0](https://openid.net/specs/openid-connect-registration-1_0.html): what it says beyond
//! RFC 7591 and RFC 7592.

use portcullis_server::config::Dynamic;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::rsa_keys::RsaKeys;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

async fn server(database: Database) -> TestServer {
    TestServer::start_with(database, |config| config.reach.registration.dynamic = Dynamic::Open).await
}

fn with(members: Value) -> Value {
    let mut metadata = web_metadata();
    if let (Some(whole), Value::Object(members)) = (metadata.as_object_mut(), members) {
        whole.extend(members);
    }
    metadata
}

#[rstest]
#[tokio::test]
async fn section_2_requests_may_be_signed_by_rs256(#[values(Sqlite, Postgres)] database: Database) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let keys = RsaKeys::generate();
    let signs = with(json!({ "jwks": keys.jwks("RS256"), "request_object_signing_alg": "RS256" }));
    let own = OwnRegistration::of(&server.register(None, &signs).await);
    let request = AuthorizeRequest::of(&own.client);
    let object = keys.sign(&json!({ "alg": "RS256" }), &request.object(&server.issuer));
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &own.client.id).append_pair("request", &object);
    let callback = server.visitor().walk(&format!("/authorize?{}", query.finish()), &ada).await;
    assert_eq!(callback.get("state"), request.get("state"));
    let tokens = server.machine.redeem(&own.client, &request, &callback).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn section_2_each_id_token_has_auth_time(#[values(Sqlite, Postgres)] database: Database) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    for members in [json!({}), json!({ "require_auth_time": true })] {
        let own = OwnRegistration::of(&server.register(None, &with(members.clone())).await);
        let tokens = server.tokens(&own.client, &AuthorizeRequest::of(&own.client), &ada).await;
        let claims = jwt::claims(&tokens.member("id_token"));
        assert_eq!(claims["auth_time"], json!(server.clock.now().as_secs()), "{members}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_an_application_on_the_web_gets_its_answers_there_and_the_type_is_told_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let of = |kind: &str, uri: &str| {
        with(
            json!({ "application_type": kind, "redirect_uris": [uri], "token_endpoint_auth_method": "none" }),
        )
    };
    let (web, device) = ("https://partner.test/callback", "http://127.0.0.1/callback");
    for (kind, uri) in [
        ("web", web),
        ("native", device),
        ("native", "http://localhost/callback"),
        ("native", "com.example.partner:/callback"),
        // RFC 8252 §7.2.
        ("native", web),
    ] {
        let answer = server.register(None, &of(kind, uri)).await;
        assert_eq!(answer.status, 201, "{kind} {uri}: {}", answer.text());
        assert_eq!(answer.member("application_type"), kind, "{uri}");
        let own = OwnRegistration::of(&answer);
        let read = server.about_registration(Method::GET, &own.path, Some(&own.token), None).await;
        assert_eq!(read.member("application_type"), kind, "{uri}");
    }
    for uri in
        [device, "http://localhost/callback", "com.example.partner:/callback", "https://localhost/callback"]
    {
        let refused = server.register(None, &of("web", uri)).await;
        assert_eq!((refused.status.as_u16(), &*refused.error()), (400, "invalid_redirect_uri"), "{uri}");
        let why = refused.member("error_description");
        assert!(why.starts_with("redirect_uris/0: "), "{uri}: {why}");
    }
    let unknown = server.register(None, &of("service", web)).await;
    assert_eq!((unknown.status.as_u16(), &*unknown.error()), (400, "invalid_client_metadata"));
    // Nobody says what it did not say.
    let silent = server.register(None, &with(json!({ "redirect_uris": [device] }))).await;
    assert_eq!((silent.status.as_u16(), silent.json().get("application_type")), (201, None));
    let document = json!({ "name": "Shop", "preset": "web", "redirect_uris": [device],
        "options": { "protocol": { "application_type": "web" } } });
    let refused = server.admin.send(Method::POST, "/clients", &document).await;
    assert_eq!(refused.json()["errors"][0]["pointer"], "/redirect_uris/0", "{}", refused.text());
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_name_without_a_language_is_shown_as_it_is(
    #[values(Sqlite, Postgres)] database: Database,
) {
    const NAME: &str = "Ünïcode, 例 & Söhne";
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let named = with(json!({ "client_name": NAME, "client_name#de": "Anders" }));
    let answer = server.register(None, &named).await;
    assert_eq!(answer.json()["client_name"], NAME);
    let own = OwnRegistration::of(&answer);
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let page = visitor.open(&AuthorizeRequest::of(&own.client).path()).await.text();
    assert!(page.contains("Ünïcode, 例 &amp; Söhne") && !page.contains("Anders"), "{page}");
}

#[rstest]
#[tokio::test]
async fn section_3_2_what_is_not_kept_is_not_told_back(#[values(Sqlite, Postgres)] database: Database) {
    let server = server(database).await;
    let asked = json!({
        "default_acr_values": ["urn:example:gold"],
        "request_uris": ["https://partner.test/request.jwt"],
        "require_auth_time": true,
    });
    let answer = server.register(None, &with(asked.clone())).await;
    let own = OwnRegistration::of(&answer);
    let read = server.about_registration(Method::GET, &own.path, Some(&own.token), None).await;
    for member in asked.as_object().expect("an object").keys() {
        for told in [&answer, &read] {
            assert_eq!(told.json().get(member), None, "{member}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_3_2_each_client_has_an_identifier_and_a_secret_of_its_own(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let [one, other] =
        [server.register(None, &web_metadata()).await, server.register(None, &web_metadata()).await];
    for member in ["client_id", "client_secret", "registration_access_token", "registration_client_uri"] {
        assert_ne!(one.member(member), other.member(member), "{member}");
    }
    for answer in [&one, &other] {
        let place = format!("{}/register/{}", server.issuer, answer.member("client_id"));
        assert_eq!(answer.member("registration_client_uri"), place, "it is below the issuer");
    }
    // Neither is of any use to the other.
    let (one, other) = (OwnRegistration::of(&one), OwnRegistration::of(&other));
    let mut mixed = one.client.clone();
    mixed.secret = other.client.secret;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    let refused = server.machine.token(&mixed, &fields).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (401, "invalid_client"));
}

//! [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html): what authentication requests, token requests and assertions
//! are refused for.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::basic;
use portcullis_tests::visitor::login_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::signed_in::{SignedIn, assert_leads_nowhere, told, told_at_callback};

#[rstest]
#[tokio::test]
async fn section_3_1_2_1_a_request_without_its_redirect_uri_or_with_another_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let good = AuthorizeRequest::of(&shop);
    for bad in [
        good.clone().without("redirect_uri"),
        good.clone().with("redirect_uri", "https://rp.test/CB"),
        good.with("redirect_uri", "https://rp.test/cb/"),
    ] {
        assert_leads_nowhere(&server, &bad, "another redirect URI").await;
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_1_and_15_1_prompt_none_shows_nothing_and_stands_alone(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    let silent = AuthorizeRequest::of(&scene.shop).with("prompt", "none");
    assert_eq!(told_at_callback(&scene.server, &silent).await.error(), "login_required");
    for (scope, error) in [("openid email", "consent_required"), ("openid", "")] {
        let answer = scene.visitor.get(&silent.clone().with("scope", scope).path()).await;
        let callback = Callback::of(&answer.location().expect("no page is shown"));
        assert_eq!((callback.error(), callback.get("state")), (error, silent.get("state")), "{scope}");
    }
    for both in ["none login", "none consent", "login none", "none select_account"] {
        let callback = told_at_callback(&scene.server, &silent.clone().with("prompt", both)).await;
        assert_eq!(callback.error(), "invalid_request", "{both}");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_1_and_15_1_whoever_signed_in_too_long_ago_signs_in_again(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    scene.server.wait(Duration::from_mins(2));
    let request = AuthorizeRequest::of(&scene.shop).with("max_age", "60");
    let page = scene.visitor.open(&request.path()).await;
    assert!(page.text().contains("id=\"login\""), "{}", page.url);
    let silent = scene.visitor.get(&request.clone().with("prompt", "none").path()).await;
    assert_eq!(Callback::of(&silent.location().unwrap()).error(), "login_required");
    let callback = scene.visitor.authorize(&request, &scene.person).await;
    let tokens = scene.server.machine.redeem(&scene.shop, &request, &callback).await;
    let now = scene.server.clock.now().as_secs();
    assert_eq!(claims(&tokens.member("id_token"))["auth_time"], now);
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_2_and_3_1_2_6_what_is_wrong_is_told_by_its_code_with_the_state(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let good = AuthorizeRequest::of(&shop);
    for (request, error) in [
        (good.clone().with("response_type", "id_token"), "unsupported_response_type"),
        (good.clone().with("scope", "no-such-scope"), "invalid_scope"),
        (good.clone().with("max_age", "soon"), "invalid_request"),
        (good.clone().with("id_token_hint", "x.y.z"), "invalid_request"),
        (good.clone().with("request", "x.y.z"), "request_not_supported"),
        (good.clone().with("request_uri", "https://rp.test/r"), "request_uri_not_supported"),
        (good.clone().with("registration", "{}"), "registration_not_supported"),
        (good.clone().and("nonce", "again"), "invalid_request"),
    ] {
        let callback = told_at_callback(&server, &request).await;
        assert_eq!((callback.error(), callback.get("state")), (error, request.get("state")), "{request:?}");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_3_whoever_is_not_signed_in_is_asked_and_a_forged_form_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let page = visitor.open(&AuthorizeRequest::of(&shop).path()).await;
    assert_eq!(page.url.path(), "/login");
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    let form = login_form(&page, &ada.username, &ada.password);
    for headers in [&[("origin", "https://evil.test")][..], &[("sec-fetch-site", "cross-site")], &[]] {
        assert_eq!(visitor.submit_from(&form, headers).await.status, 403, "{headers:?}");
        assert_eq!(visitor.session(), None, "{headers:?}");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_3_1_and_12_1_a_client_that_does_not_authenticate_as_it_registered_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = SignedIn::on(database).await;
    let server = &scene.server;
    let refresh = scene.redeem().await.member("refresh_token");
    let bare = Registered { secret: None, ..scene.shop.clone() };
    assert_eq!(told(&server.machine.refresh(&bare, &refresh).await), (401, "invalid_client".to_owned()));
    let thief = server.admin.web_client(&[]).await;
    assert_eq!(told(&server.machine.refresh(&thief, &refresh).await), (400, "invalid_grant".to_owned()));
    let by_post = json!({ "name": "Robot", "preset": "m2m",
        "options": { "authentication": { "token_endpoint_auth_method": "client_secret_post" } } });
    let by_post = server.admin.client(by_post).await;
    let refused = server.machine.token(&by_post, &[("grant_type", "client_credentials")]).await;
    assert_eq!(told(&refused), (401, "invalid_client".to_owned()), "by a header");
}

#[rstest]
#[tokio::test]
async fn section_3_1_3_2_a_code_that_is_used_or_of_others_or_for_another_address_is_refused(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let mut scene = SignedIn::on(database).await;
    let thief = scene.server.admin.web_client(&[]).await;
    let refused = (400, "invalid_grant".to_owned());
    assert_eq!(told(&scene.redeem_with(&thief, &[]).await), refused);
    let elsewhere = [("redirect_uri", Some("https://rp.test/other"))];
    assert_eq!(told(&scene.redeem_with(&scene.shop, &elsewhere).await), refused);
    assert_eq!(told(&scene.redeem_with(&scene.shop, &[("code", Some("pcc_x"))]).await), refused);
    assert_eq!(scene.redeem().await.status, 200);
    assert_eq!(told(&scene.redeem().await), refused, "a second time");
    scene.again().await;
    scene.server.wait(Duration::from_mins(1));
    assert_eq!(told(&scene.redeem().await), refused, "too late");
}

/// Section 9: one method at once, and what an assertion has to hold.
#[rstest]
#[tokio::test]
async fn section_9_a_client_that_authenticates_twice_or_by_half_an_assertion_is_refused(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let server = TestServer::start_on(database).await;
    let keys = SigningKeys::generate();
    let signer = json!({ "name": "Signer", "preset": "m2m", "jwks": keys.public_jwks() });
    let signer = server.admin.client(signer).await;
    let robot = server.admin.machine_client(&[]).await;
    let grant = ("grant_type", "client_credentials");
    let present = async |assertion: &str| {
        let fields = [grant, ("client_assertion_type", BEARER), ("client_assertion", assertion)];
        server.machine.post("/token", &fields).await
    };
    let good = || assertion_of(&signer.id, &server.issuer, server.clock.now());
    for claim in ["iss", "sub", "aud", "jti", "exp"] {
        let mut half = good();
        half.as_object_mut().unwrap().remove(claim);
        assert_eq!(told(&present(&keys.sign(&half)).await), (401, "invalid_client".to_owned()), "{claim}");
        let mut wrong = good();
        wrong[claim] = if claim == "jti" { Value::from(7) } else { json!("x") };
        assert_eq!(told(&present(&keys.sign(&wrong)).await), (401, "invalid_client".to_owned()), "{claim}");
    }
    let once = keys.sign(&good());
    assert_eq!(present(&once).await.status, 200);
    assert_eq!(told(&present(&once).await), (401, "invalid_client".to_owned()), "a second time");
    let secret = robot.secret.as_deref().unwrap();
    let both =
        server.machine.request(Method::POST, "/token").header("authorization", basic(&robot.id, secret));
    let both = both.form(&[grant, ("client_id", &*robot.id), ("client_secret", secret)]);
    assert_eq!(told(&Answer::to(both).await), (400, "invalid_request".to_owned()));
}

#[rstest]
#[tokio::test]
async fn section_11_offline_access_is_left_out_where_the_client_may_not_refresh(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.reach.registration.dynamic = portcullis_server::config::Dynamic::Open;
    })
    .await;
    let ada = server.admin.user("ada").await;
    let mut metadata = portcullis_tests::registering::web_metadata();
    metadata["grant_types"] = json!(["authorization_code"]);
    let own = portcullis_tests::registering::OwnRegistration::of(&server.register(None, &metadata).await);
    let request = AuthorizeRequest::of(&own.client).with("scope", "openid offline_access");
    let tokens = server.tokens(&own.client, &request, &ada).await;
    assert_eq!(
        (tokens.status.as_u16(), tokens.json().get("refresh_token")),
        (200, None),
        "{}",
        tokens.text()
    );
    assert_eq!(tokens.member("scope"), "openid");
}

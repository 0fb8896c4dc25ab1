//! OpenID Connect Back-Channel Logout 1.0 (<https://openid.net/specs/openid-connect-backchannel-1_0.html>), sections 2.1 to 2.7: who is
//! told what, and when.

use std::collections::BTreeSet;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::server::TestServer;
use portcullis_tests::told::Told;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::sign_out_scene::{
    BYE, Scene, application, id_token, notices, sign_in, sign_out, start, told_client,
};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

#[tokio::test]
async fn section_2_1_support_is_published() {
    let server = TestServer::start_on(Sqlite).await;
    for path in ["/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"] {
        let metadata = server.machine.get(path).await.json();
        assert_eq!(metadata["backchannel_logout_supported"], true);
        assert_eq!(metadata["backchannel_logout_session_supported"], true);
        assert!(metadata["claims_supported"].as_array().unwrap().contains(&json!("sid")));
    }
}

#[tokio::test]
async fn section_2_2_what_is_registered_is_checked_as_a_whole() {
    let server = start(Sqlite).await;
    let (uri, session) =
        ("/options/protocol/backchannel_logout_uri", "/options/protocol/backchannel_logout_session_required");
    let at = |address: &str| application("Shop", &json!({ "backchannel_logout_uri": address }));
    let mut machine = at("https://rp.test/x");
    machine["preset"] = json!("m2m");
    for list in ["redirect_uris", "post_logout_redirect_uris"] {
        machine[list] = json!([]);
    }
    let mut without_openid = at("https://rp.test/x");
    without_openid["scopes"] = json!("profile");
    for (document, pointer) in [
        (at("https://rp.test/x#y"), uri),
        (at("http://rp.test/x"), uri),
        (at("https://a:b@rp.test/x"), uri),
        (at("/backchannel"), uri),
        (at("ftp://rp.test/x"), uri),
        (at("https://10.0.0.1/x"), uri),
        (at("https://169.254.169.254/x"), uri),
        (at("https://[::1]/x"), uri),
        (at("http://127.0.0.2/x"), uri),
        (machine, uri),
        (without_openid, uri),
        (application("Shop", &json!({ "backchannel_logout_session_required": true })), session),
    ] {
        let refused = server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{document}: {}", refused.text());
        assert!(refused.text().contains(pointer), "{document}: {}", refused.text());
    }
    let protocol = json!({
        "backchannel_logout_uri": "https://rp.test/x?tenant=1", "backchannel_logout_session_required": true,
    });
    let made = server.admin.post("/clients", &application("Shop", &protocol)).await;
    let shown = &made["client"]["settings"]["protocol"];
    for (name, value) in protocol.as_object().unwrap() {
        assert_eq!(&shown[name], value);
    }
}

#[rstest]
#[tokio::test]
async fn section_2_3_who_got_an_id_token_in_the_session_is_told_and_nobody_else(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let server = &scene.server;
    let (mut forum, mut wiki, mut desk) = (Told::start().await, Told::start().await, Told::start().await);
    let in_session = told_client(server, "Forum", &forum).await;
    sign_in(server, &mut scene.browser, &in_session, &scene.ada).await;
    // Another session of the same person, a client that redeemed no code, and one that is not told.
    let elsewhere = told_client(server, "Wiki", &wiki).await;
    sign_in(server, &mut server.visitor(), &elsewhere, &scene.ada).await;
    let begun = told_client(server, "Desk", &desk).await;
    scene.browser.authorize(&AuthorizeRequest::of(&begun), &scene.ada).await;
    let silent = server.admin.web_client(&[]).await;
    sign_in(server, &mut scene.browser, &silent, &scene.ada).await;

    sign_out(&mut scene.browser).await;
    let told = [scene.told.token_by_now(), forum.token_by_now()].map(|token| claims(&token.expect("told")));
    assert_eq!(told[0]["aud"], scene.shop.id);
    assert_eq!(told[1]["aud"], in_session.id);
    assert_eq!(told[0]["sid"], told[1]["sid"]);
    scene.server.app().tell_of_sign_outs().await.unwrap();
    for other in [&mut wiki, &mut desk, &mut scene.told, &mut forum] {
        assert_eq!(other.token_by_now(), None);
    }
}

#[rstest]
#[tokio::test]
async fn section_2_4_a_client_with_pairwise_subjects_is_told_the_one_that_it_knows(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let mut forum = Told::start().await;
    let protocol = json!({ "backchannel_logout_uri": forum.uri, "subject_type": "pairwise" });
    let client = scene.server.admin.client(application("Forum", &protocol)).await;
    let known = sign_in(&scene.server, &mut scene.browser, &client, &scene.ada).await;
    assert_ne!(known["sub"], json!(scene.ada.sub));
    sign_out(&mut scene.browser).await;
    assert_eq!(claims(&forum.token().await)["sub"], known["sub"]);
    assert_eq!(claims(&scene.told.token().await)["sub"], json!(scene.ada.sub));
}

#[rstest]
#[tokio::test]
async fn section_2_3_without_the_scope_openid_there_is_nothing_to_tell(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let mut forum = Told::start().await;
    let client = told_client(&scene.server, "Forum", &forum).await;
    let request = AuthorizeRequest::of(&client).with("scope", "profile");
    let callback = scene.browser.authorize(&request, &scene.ada).await;
    let tokens = scene.server.machine.redeem(&client, &request, &callback).await;
    assert_eq!(
        (tokens.status.as_u16(), tokens.member("id_token")),
        (200, String::new()),
        "{}",
        tokens.text()
    );
    sign_out(&mut scene.browser).await;
    assert!(scene.told.token_by_now().is_some());
    assert_eq!(forum.token_by_now(), None);
}

#[rstest]
#[case("ES256")]
#[case("EdDSA")]
#[case("RS256")]
#[tokio::test]
async fn section_2_4_a_logout_token_says_what_it_has_to_and_is_no_id_token(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] alg: &str,
) {
    let mut scene = Scene::on(database).await;
    let mut document = application("Forum", &json!({ "backchannel_logout_uri": scene.told.uri }));
    document["options"]["id_token_alg"] = json!(alg);
    let forum = scene.server.admin.client(document).await;
    let id_token = id_token(&scene.server, &mut scene.browser, &forum, &scene.ada).await;
    sign_out(&mut scene.browser).await;
    let tokens = [scene.told.token().await, scene.told.token().await];
    let jtis: BTreeSet<String> = tokens.iter().map(|token| claims(token)["jti"].to_string()).collect();
    assert_eq!(jtis.len(), 2, "each has a name of its own");
    let token = tokens.iter().find(|token| claims(token)["aud"] == json!(forum.id)).unwrap();
    let (head, body, of_id) = (header(token), claims(token), claims(&id_token));
    assert_eq!(head["typ"], "logout+jwt");
    assert_eq!((&head["alg"], &head["kid"]), (&json!(alg), &header(&id_token)["kid"]));
    for name in ["iss", "sub", "aud", "sid"] {
        assert_eq!(body[name], of_id[name], "{name}");
    }
    assert_eq!(body["events"], json!({ EVENT: {} }));
    let (now, iat, exp) =
        (scene.server.clock.now().as_secs(), body["iat"].as_i64().unwrap(), body["exp"].as_i64().unwrap());
    assert_eq!(iat, now);
    assert!((1..=120).contains(&(exp - iat)), "{body}");
    assert!(body["jti"].as_str().unwrap().len() >= 16);
    let members: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(members, ["aud", "events", "exp", "iat", "iss", "jti", "sid", "sub"], "no nonce, ever");
    // Section 4: it is accepted for nothing else.
    let hint = scene.browser.open(&format!("/logout?id_token_hint={token}")).await;
    assert_eq!(hint.status, 400);
    assert_eq!(scene.server.machine.userinfo(token).await.status, 401);
}

/// The ways in which sessions end.
#[derive(Clone, Copy, Debug)]
enum Way {
    Account,
    AdminPassword,
    AdminSignsOut,
    Application,
    NewSignIn,
    OwnPassword,
    UserDeleted,
    UserDisabled,
}

#[rstest]
#[case(Way::Account)]
#[case(Way::AdminPassword)]
#[case(Way::AdminSignsOut)]
#[case(Way::Application)]
#[case(Way::NewSignIn)]
#[case(Way::OwnPassword)]
#[case(Way::UserDeleted)]
#[case(Way::UserDisabled)]
#[tokio::test]
async fn section_2_5_clients_are_told_however_a_session_ends(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] way: Way,
) {
    let mut scene = Scene::on(database).await;
    let Scene { server, browser, ada, shop, .. } = &mut scene;
    let user = format!("/users/{}", ada.id);
    match way {
        Way::Account => _ = sign_out(browser).await,
        Way::AdminPassword => {
            let document = json!({ "password": "another anchor harbour 9" });
            let path = format!("{user}/password");
            assert_eq!(server.admin.send(Method::PUT, &path, &document).await.status, 204);
        }
        Way::AdminSignsOut => _ = server.admin.post(&format!("{user}/sign-out"), &Value::Null).await,
        Way::Application => {
            let asked = browser.open("/logout").await;
            browser.submit(&the_form(&asked, "logout")).await;
        }
        Way::NewSignIn => {
            // Somebody else's: whoever signs in again keeps the session.
            let bob = server.admin.user("bob").await;
            let request = AuthorizeRequest::of(shop).with("prompt", "login");
            browser.authorize(&request, &bob).await;
        }
        Way::OwnPassword => {
            let page = browser.open("/account/security/password").await;
            let form = the_form(&page, "change-password-form")
                .with("password", &ada.password)
                .with("new-password", "another anchor harbour 9");
            assert_eq!(browser.submit(&form).await.status, 303);
        }
        Way::UserDeleted => {
            assert_eq!(Answer::to(server.admin.request(Method::DELETE, &user).await).await.status, 204);
        }
        Way::UserDisabled => _ = server.admin.post(&format!("{user}/disable"), &Value::Null).await,
    }
    let told = claims(&scene.told.token().await);
    assert_eq!((&told["sid"], &told["sub"]), (&json!(scene.sid), &json!(scene.ada.sub)), "{way:?}");
    scene.server.app().tell_of_sign_outs().await.unwrap();
    assert_eq!(scene.told.token_by_now(), None, "told once");
    assert_eq!(notices(&scene.server, "delivered").await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn section_2_5_every_session_of_a_person_is_told_of(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    let second = sign_in(&scene.server, &mut scene.server.visitor(), &scene.shop, &scene.ada).await;
    scene.server.admin.post(&format!("/users/{}/sign-out", scene.ada.id), &Value::Null).await;
    let told =
        [scene.told.token().await, scene.told.token().await].map(|token| claims(&token)["sid"].clone());
    let expected: BTreeSet<String> =
        [json!(scene.sid), second["sid"].clone()].map(|sid| sid.to_string()).into();
    assert_eq!(told.map(|sid| sid.to_string()).into_iter().collect::<BTreeSet<_>>(), expected);
}

#[rstest]
#[tokio::test]
async fn section_2_5_applications_are_told_before_the_person_is_led_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let hint = id_token(&scene.server, &mut scene.browser, &scene.shop, &scene.ada).await;
    let answer =
        scene.browser.open(&format!("/logout?id_token_hint={hint}&post_logout_redirect_uri={BYE}")).await;
    assert_eq!(answer.location().map(String::from).as_deref(), Some(BYE));
    assert!(scene.told.token_by_now().is_some());
}

#[rstest]
#[tokio::test]
async fn section_2_7_refresh_tokens_with_offline_access_outlive_the_session_and_others_do_not(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let mut refresh = Vec::new();
    for scope in ["openid", "openid offline_access"] {
        let request = AuthorizeRequest::of(&scene.shop).with("scope", scope).with("prompt", "consent");
        let callback = scene.browser.authorize(&request, &scene.ada).await;
        let tokens = scene.server.machine.redeem(&scene.shop, &request, &callback).await;
        refresh.push(tokens.member("refresh_token"));
    }
    sign_out(&mut scene.browser).await;
    assert_eq!(scene.server.machine.refresh(&scene.shop, &refresh[1]).await.status, 200);
    assert_eq!(scene.server.machine.refresh(&scene.shop, &refresh[0]).await.error(), "invalid_grant");
}

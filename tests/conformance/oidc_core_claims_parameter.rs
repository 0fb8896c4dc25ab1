//! [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html) §5.5: single claims on request.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::oidc_core::{ALL_SCOPES, asking, client, held_to, known_person, names, profile, userinfo};

#[rstest]
#[tokio::test]
async fn section_5_5_claims_are_told_where_they_were_asked_for(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let shop = held_to(&server, json!({})).await;
    let asked = json!({
        "userinfo": { "given_name": { "essential": true }, "phone_number": null, "picture#de": null, "no_such_claim": null },
        "id_token": { "email": null, "address": { "essential": false }, "auth_time": { "essential": true },
            "http://example.info/claims/groups": { "values": ["a", "b"] } },
        "no_such_place": { "email": null },
    });
    let tokens = server.tokens(&shop, &asking(&shop, "openid", &asked), &ada).await;
    let info = userinfo(&server, &tokens).await;
    let known = profile();
    assert_eq!(
        info,
        json!({ "sub": ada.sub, "given_name": known["given_name"], "phone_number": known["phone_number"] })
    );
    let id_token = claims(&tokens.member("id_token"));
    assert_eq!((&id_token["email"], &id_token["address"]), (&json!("ada@example.org"), &known["address"]));
    assert!(id_token["auth_time"].is_i64());
    for absent in ["given_name", "phone_number", "email_verified", "http://example.info/claims/groups"] {
        assert_eq!(id_token.get(absent), None, "{absent}");
    }
    assert_eq!(tokens.json()["scope"], "openid", "no scope was granted for it");
}

#[rstest]
#[tokio::test]
async fn section_5_5_a_claim_needs_a_client_that_may_ask_for_its_scope(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let shop = client(&server, "openid email", json!({})).await;
    let asked = json!({ "userinfo": { "email": null, "nickname": { "essential": true } }, "id_token": { "phone_number": null } });
    let tokens = server.tokens(&shop, &asking(&shop, "openid", &asked), &ada).await;
    let info = userinfo(&server, &tokens).await;
    assert_eq!(names(&info), ["email", "sub"], "{info}");
    assert_eq!(claims(&tokens.member("id_token")).get("phone_number"), None);
    // A request that asks for no ID token asks for nobody's claims.
    let request = asking(&shop, "email", &asked);
    let callback = server.visitor().authorize(&request, &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    let refused = server.machine.userinfo(&tokens.member("access_token")).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (403, "insufficient_scope"));
}

#[rstest]
#[tokio::test]
async fn section_5_5_the_person_is_asked_for_each_claim_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let shop = held_to(&server, json!({})).await;
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    let nickname = asking(&shop, "openid", &json!({ "userinfo": { "nickname": null } }));
    let silent = visitor.authorize(&nickname.clone().with("prompt", "none"), &ada).await;
    assert_eq!(silent.error(), "consent_required");
    let page = visitor.open(&nickname.path()).await;
    the_form(&page, "consent");
    assert!(page.text().contains("See your nickname"), "{}", page.text());
    assert!(page.text().contains("the enchantress of numbers"), "the value that would be shared is shown");
    assert!(!page.text().contains("1815-12-10"), "and no other");
    visitor.authorize(&nickname, &ada).await.code();
    let again = AuthorizeRequest::of(&shop).with("prompt", "none").with("claims", nickname.get("claims"));
    visitor.authorize(&again, &ada).await.code();
    // What was allowed for one claim says nothing of another, and nothing of the whole scope.
    for more in [
        asking(&shop, "openid", &json!({ "id_token": { "nickname": null, "gender": null } })),
        AuthorizeRequest::of(&shop).with("scope", "openid profile"),
    ] {
        let silent = visitor.authorize(&more.clone().with("prompt", "none"), &ada).await;
        assert_eq!(silent.error(), "consent_required", "{more:?}");
    }
    // The whole scope says it of each of its claims.
    visitor.authorize(&AuthorizeRequest::of(&shop).with("scope", "openid profile"), &ada).await.code();
    let gender = asking(&shop, "openid", &json!({ "id_token": { "gender": null } })).with("prompt", "none");
    visitor.authorize(&gender, &ada).await.code();
}

#[rstest]
#[tokio::test]
async fn section_5_5_who_declines_gives_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let shop = held_to(&server, json!({})).await;
    let request = asking(&shop, "openid", &json!({ "userinfo": { "phone_number_verified": null } }));
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let page = visitor.open(&request.path()).await;
    assert!(
        page.text().contains("See whether somebody made sure of your telephone number"),
        "{}",
        page.text()
    );
    let answer = visitor.submit(&the_form(&page, "consent").with("decision", "deny")).await;
    assert_eq!(Callback::of(&answer.location().unwrap()).error(), "access_denied");
}

/// What the person allowed holds for as long as the grant does, as far as the client may still ask for it.
#[rstest]
#[tokio::test]
async fn section_5_5_claims_survive_a_refresh_and_not_the_client_that_may_no_longer_ask(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let shop = held_to(&server, json!({})).await;
    let asked = json!({ "userinfo": { "nickname": null }, "id_token": { "gender": null } });
    let tokens = server.tokens(&shop, &asking(&shop, "openid offline_access", &asked), &ada).await;
    let before = server.statements();
    let refreshed = server.machine.refresh(&shop, &tokens.member("refresh_token")).await;
    let taken = server.statements() - before;
    assert!(taken <= 3, "{taken} statements");
    assert_eq!(names(&userinfo(&server, &refreshed).await), ["nickname", "sub"]);
    assert_eq!(claims(&refreshed.member("id_token"))["gender"], "female");
    let shown = server.admin.get(&format!("/clients/{}", shop.id)).await;
    let put = server.admin.request(Method::PUT, &format!("/clients/{}", shop.id)).await;
    let narrowed = json!({ "name": "Test shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "scopes": "openid offline_access" });
    let answer = Answer::to(put.header("if-match", shown.header("etag")).json(&narrowed)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let over = server.machine.userinfo(&refreshed.member("access_token")).await;
    assert_eq!(over.status, 401, "it was issued to a client that might ask for more");
    server.wait(Duration::from_secs(1));
    let later = server.machine.refresh(&shop, &refreshed.member("refresh_token")).await;
    assert_eq!(names(&userinfo(&server, &later).await), ["sub"]);
    assert_eq!(claims(&later.member("id_token")).get("gender"), None);
}

#[rstest]
#[tokio::test]
async fn section_5_5_a_flow_with_claims_costs_no_statement_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let shop = client(&server, ALL_SCOPES, json!({ "first_party": true })).await;
    let asked = json!({ "userinfo": { "nickname": null }, "id_token": { "gender": null } });
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    let plain = AuthorizeRequest::of(&shop).with("scope", "openid profile");
    let mut taken = Vec::new();
    for request in [&plain, &asking(&shop, "openid profile", &asked)] {
        let before = server.statements();
        let callback = visitor.authorize(request, &ada).await;
        let tokens = server.machine.redeem(&shop, request, &callback).await;
        taken.push(server.statements() - before);
        let gender = claims(&tokens.member("id_token"))["gender"].clone();
        assert_eq!(gender.is_null(), request.get("claims").is_empty(), "{}", tokens.text());
    }
    assert_eq!(taken[0], taken[1]);
}

#[rstest]
#[tokio::test]
async fn section_5_5_claims_come_pushed_and_signed_too(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let asked = json!({ "userinfo": { "nickname": null } });
    let shop = held_to(&server, json!({})).await;
    let request = asking(&shop, "openid", &asked);
    let pushed = server.machine.post_as(&shop, "/par", &request.fields_without("client_id")).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &shop.id).append_pair("request_uri", &pushed.member("request_uri"));
    let callback = server.visitor().walk(&format!("/authorize?{}", query.finish()), &ada).await;
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(names(&userinfo(&server, &tokens).await), ["nickname", "sub"]);

    let keys = SigningKeys::generate();
    let bank = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb"], "scopes": ALL_SCOPES,
        "jwks": keys.public_jwks() });
    let bank = server.admin.client(bank).await;
    let request = AuthorizeRequest::of(&bank);
    let mut object = request.object(&server.issuer);
    // In an object it is an object (§6.1).
    object["claims"] = asked;
    let object = keys.sign_as("oauth-authz-req+jwt", &object);
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &bank.id).append_pair("request", &object);
    let callback = server.visitor().walk(&format!("/authorize?{}", query.finish()), &ada).await;
    let proof = assertion_fields(&keys, &bank.id, &server.issuer, server.clock.now());
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", "https://rp.test/cb"),
        ("code_verifier", &request.pkce.verifier),
    ];
    fields.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
    let tokens = server.machine.post("/token", &fields).await;
    assert_eq!(names(&userinfo(&server, &tokens).await), ["nickname", "sub"]);
}

#[rstest]
#[tokio::test]
async fn section_5_5_what_is_no_claims_request_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = held_to(&server, json!({})).await;
    let deep = format!(r#"{{"id_token":{{"a":{{"value":{}1{}}}}}}}"#, "[".repeat(20), "]".repeat(20));
    let long = format!(r#"{{"x":"{}"}}"#, "x".repeat(8 * 1024));
    for bad in [
        "{",
        "[]",
        "\"userinfo\"",
        r#"{"userinfo":[]}"#,
        r#"{"userinfo":{"email":true}}"#,
        r#"{"userinfo":{"email":{"essential":"yes"}}}"#,
        r#"{"userinfo":{"email":{"values":"x"}}}"#,
        r#"{"userinfo":{},"userinfo":{"email":null}}"#,
        r#"{"id_token":{"sub":{"value":7}}}"#,
        &deep,
        &long,
    ] {
        let request = AuthorizeRequest::of(&shop).with("claims", bad);
        let callback = server.visitor().authorize(&request, &ada).await;
        assert_eq!(
            (callback.error(), callback.get("state")),
            ("invalid_request", request.get("state")),
            "{bad}"
        );
        assert!(callback.get("error_description").starts_with("claims "), "{callback:?}");
        let pushed = server.machine.post_as(&shop, "/par", &request.fields_without("client_id")).await;
        assert_eq!((pushed.status.as_u16(), pushed.error().as_str()), (400, "invalid_request"), "{bad}");
    }
}

#[rstest]
#[tokio::test]
async fn section_5_5_1_1_an_essential_acr_is_met_or_the_sign_in_fails(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = held_to(&server, json!({})).await;
    let asking = |acr: Value| asking(&shop, "openid", &json!({ "id_token": { "acr": acr } }));
    let one = "urn:portcullis:acr:1fa";
    for met in [
        json!({ "essential": true, "values": ["urn:example:gold", one] }),
        json!({ "essential": true, "value": one }),
        json!({ "essential": true }),
        // A wish that cannot be met is no error.
        json!({ "values": ["urn:example:gold"] }),
        json!({ "essential": false, "value": "urn:example:gold" }),
    ] {
        let tokens = server.tokens(&shop, &asking(met.clone()), &ada).await;
        assert_eq!(claims(&tokens.member("id_token"))["acr"], one, "{met}");
    }
    for unmet in [
        json!({ "essential": true, "values": ["urn:example:gold", "urn:example:silver"] }),
        json!({ "essential": true, "value": "urn:example:gold" }),
        // One that others have.
        json!({ "essential": true, "value": "urn:portcullis:acr:2fa" }),
    ] {
        let request = asking(unmet.clone());
        let callback = server.visitor().authorize(&request, &ada).await;
        assert_eq!(callback.error(), "unmet_authentication_requirements", "{unmet}");
        assert_eq!(callback.get("state"), request.get("state"));
    }
}

#[rstest]
#[tokio::test]
async fn section_3_1_2_2_nobody_is_signed_in_but_the_subject_that_is_named(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, bob) = (server.admin.user("ada").await, server.admin.user("bob").await);
    let shop = held_to(&server, json!({})).await;
    let of = |place: &str, sub: &Value| asking(&shop, "openid", &json!({ place: { "sub": sub } }));
    let mut visitor = server.visitor();
    visitor.authorize(&AuthorizeRequest::of(&shop), &ada).await;
    for place in ["id_token", "userinfo"] {
        for named in [json!({ "value": ada.sub }), json!({ "essential": true, "values": [bob.sub, ada.sub] })]
        {
            let request = of(place, &named);
            let callback = visitor.authorize(&request, &ada).await;
            let tokens = server.machine.redeem(&shop, &request, &callback).await;
            assert_eq!(claims(&tokens.member("id_token"))["sub"], ada.sub);
        }
        for other in [json!({ "value": bob.sub }), json!({ "value": "nobody" }), json!({ "value": ada.id })] {
            let silent = visitor.authorize(&of(place, &other).with("prompt", "none"), &ada).await;
            assert_eq!(silent.error(), "login_required", "{place} {other}");
        }
    }
    // Somebody signs in, but it is not the one.
    let callback = visitor.authorize(&of("id_token", &json!({ "value": bob.sub })), &ada).await;
    assert_eq!(callback.error(), "login_required");
}

//! Section 7: access tokens that are bound to a key, here and at a service; and the whole way to it.

use portcullis_guard::Dpop;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use super::{ORDERS, redemption, refused, tokens_of_a_public_client, told};

// CA-14
#[rstest]
#[tokio::test]
async fn section_7_and_7_1_userinfo_takes_a_bound_token_with_a_proof_and_not_otherwise(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let app = server.admin.native_client(&[]).await;
    let (holder, thief) = (Holder::generate(), Holder::generate());
    let tokens = tokens_of_a_public_client(&server, &app, &holder).await;
    let token = tokens.member("access_token");
    let told_of = holder.userinfo(&server, &token).await;
    assert_eq!(told_of.status, 200, "{}", told_of.text());
    assert!(!told_of.header("dpop-nonce").is_empty());
    let get = |scheme: &str, token: &str, proof: Option<String>| {
        let request = server.machine.request(Method::GET, "/userinfo");
        let request = request.header("authorization", format!("{scheme} {token}"));
        match proof {
            Some(proof) => request.header("dpop", proof),
            None => request,
        }
    };
    let claims = || holder.claims(&server, "GET", "/userinfo");
    let good = || holder.proof_beside(&token, claims());
    thief.greet(&server).await;
    let foreign = thief.proof_beside(&token, thief.claims(&server, "GET", "/userinfo"));
    let spent = good();
    assert_eq!(Answer::to(get("DPoP", &token, Some(spent.clone()))).await.status, 200);
    for (what, request, error) in [
        ("as a bearer token", get("Bearer", &token, None), "invalid_token"),
        ("as a bearer token with a proof", get("Bearer", &token, Some(good())), "invalid_token"),
        ("without a proof", get("DPoP", &token, None), "invalid_token"),
        ("by another key", get("DPoP", &token, Some(foreign)), "invalid_token"),
        ("for no token", get("DPoP", &token, Some(holder.proof(&claims()))), "invalid_dpop_proof"),
        (
            "for another token",
            get("DPoP", &token, Some(holder.proof_beside("x", claims()))),
            "invalid_dpop_proof",
        ),
        ("with a proof that was used", get("DPoP", &token, Some(spent)), "invalid_dpop_proof"),
    ] {
        let answer = Answer::to(request).await;
        assert_eq!(told(&answer), refused(401, error), "{what}: {}", answer.text());
        let challenge = answer.header("www-authenticate");
        assert!(challenge.starts_with("DPoP ") && challenge.contains("algs=\""), "{what}: {challenge}");
    }
    let form = server.machine.post("/userinfo", &[("access_token", token.as_str())]).await;
    assert_eq!(told(&form), refused(401, "invalid_token"), "in a form");
    let mut old = claims();
    old["nonce"] = json!("made-up");
    let nonce = Answer::to(get("DPoP", &token, Some(holder.proof_beside(&token, old)))).await;
    assert_eq!(told(&nonce), refused(401, "use_dpop_nonce"));
    assert!(nonce.header("www-authenticate").contains("error=\"use_dpop_nonce\""));
}

#[rstest]
#[tokio::test]
async fn section_7_1_an_unbound_token_is_no_dpop_token(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let app = server.admin.native_client(&[]).await;
    let tokens = server.tokens(&app, &AuthorizeRequest::of(&app), &ada).await;
    let token = tokens.member("access_token");
    assert_eq!(server.machine.userinfo(&token).await.status, 200);
    let answer = Holder::generate().userinfo(&server, &token).await;
    assert_eq!(told(&answer), refused(401, "invalid_token"), "{}", answer.text());
    let nothing = server.machine.get("/userinfo").await;
    let schemes: Vec<_> = nothing.headers.get_all("www-authenticate").iter().collect();
    assert_eq!((nothing.status.as_u16(), schemes.len()), (401, 2), "{schemes:?}");
}

#[rstest]
#[tokio::test]
async fn section_7_the_admin_api_takes_a_bound_token_with_a_proof_and_not_otherwise(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let api = server.admin.admin_api().await;
    let robot = server.admin.machine_client(&[&api]).await;
    server.admin.assign(&api, "owner", &robot.id).await;
    let holder = Holder::generate();
    let fields = [("grant_type", "client_credentials"), ("resource", api.audience.as_str())];
    let token = holder.post(&server, &robot, "/token", &fields).await.member("access_token");
    let get = || server.machine.request(Method::GET, "/api/v1/users");
    assert_eq!(Answer::to(get().bearer_auth(&token)).await.status, 401);
    let proof = holder.proof_beside(&token, holder.claims(&server, "GET", "/api/v1/users"));
    let proven = || get().header("authorization", format!("DPoP {token}")).header("dpop", &proof);
    let answer = Answer::to(proven()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(Answer::to(proven()).await.status, 401, "a proof counts once");
}

/// The whole way of an application on a person's device, to a service behind the guard.
#[rstest]
#[tokio::test]
async fn section_3_a_public_client_signs_in_calls_a_service_and_refreshes_with_its_key(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.activate(&orders, "p, reader, *, orders, read, allow\n").await;
    server.admin.post(&format!("/apis/{}/roles", orders.id), &json!({ "name": "reader" })).await;
    server.admin.assign(&orders, "reader", &ada.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let service =
        GuardedService::start_with(&server.issuer, ORDERS, &guard, |guard| guard.dpop(Dpop::new())).await;
    let app = server.admin.native_client(&[&orders]).await;
    let (holder, thief) = (Holder::generate(), Holder::generate());
    let request = AuthorizeRequest::of(&app)
        .with("scope", "openid offline_access")
        .with("resource", ORDERS)
        .with("dpop_jkt", &holder.jkt());
    let callback = server.visitor().authorize(&request, &ada).await;
    let tokens = holder.post(&server, &app, "/token", &redemption(&request, &callback)).await;
    assert_eq!(tokens.json()["token_type"], "DPoP", "{}", tokens.text());
    let refreshed = holder.refresh(&server, &app, &tokens.member("refresh_token")).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text());
    for token in [tokens.member("access_token"), refreshed.member("access_token")] {
        let claims = |holder: &Holder| {
            let mut claims = holder.claims(&server, "GET", "/");
            claims["htu"] = json!(format!("{ORDERS}/orders"));
            holder.proof_beside(&token, claims)
        };
        assert_eq!(service.get("/orders", Some(&token)).await.status, 401, "as a bearer token");
        assert_eq!(service.get_proven("/orders", &token, &claims(&thief)).await.status, 401);
        let answer = service.get_proven("/orders", &token, &claims(&holder)).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, format!("orders of {}", ada.sub)));
    }
    let stolen = thief.refresh(&server, &app, &refreshed.member("refresh_token")).await;
    assert_eq!(told(&stolen), refused(400, "invalid_grant"), "{}", stolen.text());
    assert_eq!(holder.refresh(&server, &app, &refreshed.member("refresh_token")).await.status, 200);
}

//! Several groups: what counts once counts once at all replicas together, and what has ended at one has ended at each.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_guard::{Dpop, RedisProofs};
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, random_text};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::required;
use portcullis_tests::holder::Holder;
use portcullis_tests::markup::text_of;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use portcullis_tests::visitor::{Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::Victim;

const ORDERS: &str = "https://orders.test";

/// A form of a client with a proof of the test's choice.
async fn proven(
    server: &TestServer,
    client: &Registered,
    form: (&str, &[(&str, &str)]),
    proof: &str,
) -> Answer {
    Answer::to(server.machine.form_of(client, form.0, form.1).header("dpop", proof)).await
}

/// A request with a bound token and a proof.
async fn bound(server: &TestServer, path: &str, (token, proof): (&str, &str)) -> Answer {
    let request = server.machine.request(Method::GET, path);
    Answer::to(request.header("authorization", format!("DPoP {token}")).header("dpop", proof)).await
}

#[rstest]
#[tokio::test]
async fn ca_10_a_proof_counts_once_where_tokens_are_issued(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let robot = server.admin.machine_client(&[&orders]).await;
    let shop = server.admin.web_client(&[]).await;
    let replicas = [&server, &server.replica().await];
    let holder = Holder::generate();
    holder.greet(&server).await;
    let request = AuthorizeRequest::of(&shop);
    let (own, pushed) =
        ([("grant_type", "client_credentials"), ("resource", ORDERS)], request.fields_without("client_id"));
    for (client, path, fields, good) in [(&robot, "/token", &own[..], 200), (&shop, "/par", &pushed, 201)] {
        for first in replicas {
            let proof = holder.proof(&holder.claims(&server, "POST", path));
            assert_eq!(proven(first, client, (path, fields), &proof).await.status, good, "{path}");
            for second in replicas {
                let replay = proven(second, client, (path, fields), &proof).await;
                let told = (replay.status.as_u16(), replay.error());
                assert_eq!(told, (400, "invalid_dpop_proof".to_owned()), "{path}");
            }
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ca_10_a_proof_counts_once_beside_a_token(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let api = server.admin.admin_api().await;
    let robot = server.admin.machine_client(&[&api]).await;
    server.admin.assign(&api, "owner", &robot.id).await;
    let app = server.admin.native_client(&[]).await;
    let replicas = [&server, &server.replica().await];
    let holder = Holder::generate();
    let request = AuthorizeRequest::of(&app);
    let callback = server.visitor().authorize(&request, &ada).await;
    let redemption = [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", &request.pkce.verifier),
    ];
    let hers = holder.post(&server, &app, "/token", &redemption).await.member("access_token");
    let own = [("grant_type", "client_credentials"), ("resource", &*api.audience)];
    let own = holder.post(&server, &robot, "/token", &own).await.member("access_token");
    for (path, token) in [("/userinfo", &hers), ("/api/v1/users", &own)] {
        for first in replicas {
            let proof = holder.proof_beside(token, holder.claims(&server, "GET", path));
            let good = bound(first, path, (token, &proof)).await;
            assert_eq!(good.status, 200, "{path}: {}", good.text());
            assert!(!good.header("dpop-nonce").is_empty(), "{path}: the nonce to use next");
            for second in replicas {
                let replay = bound(second, path, (token, &proof)).await;
                assert_eq!(replay.status, 401, "{path}: {}", replay.text());
                let challenge = replay.header("www-authenticate");
                assert!(challenge.starts_with("DPoP "), "{path}: {challenge}");
                assert!(challenge.contains("error=\"invalid_dpop_proof\""), "{path}: {challenge}");
            }
        }
        let proof = holder.proof_beside(token, holder.claims(&server, "GET", path));
        let shown = (0..20).map(|number| bound(replicas[number % 2], path, (token, &proof)));
        let answers = join_all(shown).await;
        let good = answers.iter().filter(|answer| answer.status == 200).count();
        let refused = answers.iter().filter(|answer| answer.status == 401).count();
        assert_eq!((good, refused), (1, 19), "{path}");
    }
    // A token that counts no longer is told so by the scheme that it came by.
    server.admin.post(&format!("/clients/{}/disable", robot.id), &json!({})).await;
    let proof = holder.proof_beside(&own, holder.claims(&server, "GET", "/api/v1/users"));
    let revoked = bound(&server, "/api/v1/users", (&own, &proof)).await;
    assert_eq!(revoked.status, 401, "{}", revoked.text());
    let challenge = revoked.header("www-authenticate");
    assert!(challenge.starts_with("DPoP ") && challenge.contains("error=\"invalid_token\""), "{challenge}");
}

#[rstest]
#[tokio::test]
async fn ca_10_services_that_share_used_proofs_take_one_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let robot = server.admin.machine_client(&[&orders]).await;
    server.admin.assign(&orders, "viewer", &robot.id).await;
    let guard = server.admin.guard_client(&orders).await;
    let proofs = RedisProofs::new(required("PORTCULLIS_TEST_REDIS"), [7; 32])
        .prefix(format!("test:{}", random_text()))
        .patience(Duration::from_secs(20));
    let service = || {
        let dpop = Dpop::new().shared(proofs.clone());
        GuardedService::start_with(&server.issuer, ORDERS, &guard, |guard| guard.dpop(dpop))
    };
    let replicas = [&service().await, &service().await];
    let holder = Holder::generate();
    let fields = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    let token = holder.post(&server, &robot, "/token", &fields).await.member("access_token");
    server.catch_up();
    for first in replicas {
        let mut claims = holder.claims(&server, "GET", "/orders");
        claims["htu"] = json!(format!("{ORDERS}/orders"));
        let proof = holder.proof_beside(&token, claims);
        let good = first.get_proven("/orders", &token, &proof).await;
        assert_eq!(good.status, 200, "{}", good.text());
        for second in replicas {
            assert_eq!(second.get_proven("/orders", &token, &proof).await.status, 401);
        }
    }
}

#[rstest]
#[tokio::test]
async fn az_21_a_pushed_request_is_used_once(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let replicas = [&server, &server.replica().await];
    for (pushed_at, used_at) in [(0, 1), (1, 0), (0, 0)] {
        let request = AuthorizeRequest::of(&shop);
        let pushed =
            replicas[pushed_at].machine.post_as(&shop, "/par", &request.fields_without("client_id")).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("client_id", &shop.id)
            .append_pair("request_uri", &pushed.member("request_uri"))
            .finish();
        let path = format!("/authorize?{query}");
        let callback = replicas[used_at].visitor().walk(&path, &ada).await;
        assert_eq!(callback.get("state"), request.get("state"));
        callback.code();
        for replica in replicas {
            let again = replica.visitor().open(&path).await;
            assert_eq!((again.status.as_u16(), again.location()), (400, None), "{}", again.text());
            assert_eq!(text_of(&again.text(), "error-code").as_deref(), Some("invalid_request_uri"));
        }
    }
}

#[rstest]
#[tokio::test]
async fn rt_01_a_replay_at_another_replica_burns_the_family(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let replicas = [&server, &server.replica().await];
    for (own, other) in [(0, 1), (1, 0)] {
        let (victim, first) = Victim::refresh_token_of(&server, &format!("ada-{own}")).await;
        let second = replicas[own].machine.refresh(&victim.shop, &first).await.member("refresh_token");
        let third = replicas[own].machine.refresh(&victim.shop, &second).await;
        assert_eq!(replicas[other].machine.refresh(&victim.shop, &first).await.error(), "invalid_grant");
        for replica in replicas {
            let refused = replica.machine.refresh(&victim.shop, &third.member("refresh_token")).await;
            assert_eq!(refused.error(), "invalid_grant");
            assert!(!replica.machine.is_active(&victim.shop, &third.member("access_token")).await);
        }
    }
}

#[rstest]
#[tokio::test]
async fn in_04_what_was_revoked_at_one_replica_is_dead_at_the_other_at_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let replicas = [&server, &server.replica().await];
    for (here, there) in [(0, 1), (1, 0)] {
        let (victim, refresh) = Victim::refresh_token_of(&server, &format!("ada-{here}")).await;
        let tokens = replicas[here].machine.refresh(&victim.shop, &refresh).await;
        let (access, refresh) = (tokens.member("access_token"), tokens.member("refresh_token"));
        assert_eq!(replicas[there].machine.userinfo(&access).await.status, 200);
        assert_eq!(replicas[here].machine.revoke(&victim.shop, &access).await.status, 200);
        for replica in replicas {
            assert_eq!(replica.machine.userinfo(&access).await.status, 401);
            assert!(!replica.machine.is_active(&victim.shop, &access).await);
        }
        let next = replicas[there].machine.refresh(&victim.shop, &refresh).await;
        assert_eq!(next.status, 200, "only that token was revoked: {}", next.text());
        let (access, refresh) = (next.member("access_token"), next.member("refresh_token"));
        assert_eq!(replicas[here].machine.revoke(&victim.shop, &refresh).await.status, 200);
        for replica in replicas {
            assert_eq!(replica.machine.refresh(&victim.shop, &refresh).await.error(), "invalid_grant");
            assert_eq!(replica.machine.userinfo(&access).await.status, 401);
        }
    }
}

async fn is_signed_in(browser: &Visitor, replica: &TestServer) -> bool {
    browser.moved_to(&replica.machine.url("")).open("/account").await.url.path() == "/account"
}

#[rstest]
#[tokio::test]
async fn se_16_and_rt_07_whoever_was_signed_out_at_one_replica_is_at_the_other_at_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let replicas = [&server, &server.replica().await];
    let deeds: [(&str, Method, Value); 3] = [
        ("sign-out", Method::POST, json!({})),
        ("password", Method::PUT, json!({ "password": "set by an administrator" })),
        ("disable", Method::POST, json!({})),
    ];
    for (number, (deed, method, document)) in deeds.into_iter().enumerate() {
        let (victim, refresh) = Victim::refresh_token_of(&server, &format!("ada-{number}")).await;
        let (here, there) = (replicas[number % 2], replicas[(number + 1) % 2]);
        assert!(is_signed_in(&victim.visitor, here).await && is_signed_in(&victim.visitor, there).await);
        let path = format!("/users/{}/{deed}", victim.person.id);
        let done = here.admin.send(method, &path, &document).await;
        assert!(done.status.is_success(), "{deed}: {}", done.text());
        assert!(!is_signed_in(&victim.visitor, there).await, "{deed}");
        assert_eq!(there.machine.refresh(&victim.shop, &refresh).await.error(), "invalid_grant", "{deed}");
    }
    let (victim, _) = Victim::refresh_token_of(&server, "ada").await;
    let mut there = victim.visitor.moved_to(&replicas[1].machine.url(""));
    let page = there.open("/account").await;
    there.submit(&the_form(&page, "sign-out-form")).await;
    assert!(!is_signed_in(&victim.visitor, replicas[0]).await, "by herself");
}

/// What a replica keeps in memory is a second old at most.
#[rstest]
#[tokio::test]
async fn az_13_a_client_that_was_switched_off_at_one_replica_gets_nothing_at_the_other(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (victim, refresh) = Victim::refresh_token_of(&server, "ada").await;
    let replica = server.replica().await;
    let tokens = replica.machine.refresh(&victim.shop, &refresh).await;
    assert_eq!(tokens.status, 200, "the replica knows the client by now: {}", tokens.text());
    server.admin.post(&format!("/clients/{}/disable", victim.shop.id), &json!({})).await;
    // The look that every replica takes each second.
    replica.app().store().refresh_if_stale().await.unwrap();
    let refused = replica.machine.refresh(&victim.shop, &tokens.member("refresh_token")).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (401, "invalid_client"));
    let page = replica.visitor().open(&AuthorizeRequest::of(&victim.shop).path()).await;
    crate::assert_page_without_redirect(&page, "a client that is switched off");
}

//! Two programs on one PostgreSQL.

use futures_util::future::join_all;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::jwt::header;
use portcullis_tests::process::{ServerProcess, eventually, two_places};
use portcullis_tests::provision::Provisioned;
use portcullis_tests::visitor::Visitor;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_that_start_at_once_on_an_empty_database_share_it_postgres() {
    let (_folder, first, second) = two_places().await;
    let mut one = ServerProcess::spawn(&first);
    let mut two = ServerProcess::spawn(&second);
    one.ready().await;
    two.ready().await;
    let (keys_one, keys_two) = (one.machine.get("/jwks").await.json(), two.machine.get("/jwks").await.json());
    assert_eq!(keys_one, keys_two, "they sign with the same keys");
    assert_eq!(keys_one["keys"].as_array().map(Vec::len), Some(4));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_of_one_program_is_redeemed_at_the_other_and_a_replay_at_neither_postgres() {
    let (_folder, first, second) = two_places().await;
    let provisioned = Provisioned::in_place(&first).await;
    let one = ServerProcess::start(&first).await;
    let two = ServerProcess::start(&second).await;
    for (from, to) in [(&one, &two), (&two, &one)] {
        let request = AuthorizeRequest::of(&provisioned.client).with("scope", "openid offline_access");
        // The pages of both answer under one name; a browser reaches whichever the balancer picks.
        let mut visitor = Visitor::through(&from.address, &one.address);
        let callback = visitor.authorize(&request, &provisioned.person).await;
        let tokens = to.machine.redeem(&provisioned.client, &request, &callback).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        let access = tokens.member("access_token");
        assert_eq!(from.machine.userinfo(&access).await.status, 200);
        for server in [from, to] {
            let replay = server.machine.redeem(&provisioned.client, &request, &callback).await;
            assert_eq!(replay.error(), "invalid_grant");
        }
        for server in [from, to] {
            assert_eq!(
                server.machine.userinfo(&access).await.status,
                401,
                "the replay revoked what it bought"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fifty_redemptions_at_two_programs_one_succeeds_postgres() {
    let (_folder, first, second) = two_places().await;
    let provisioned = Provisioned::in_place(&first).await;
    let one = ServerProcess::start(&first).await;
    let two = ServerProcess::start(&second).await;
    for _ in 0..3 {
        let request = AuthorizeRequest::of(&provisioned.client);
        let callback = Visitor::new(&one.address).authorize(&request, &provisioned.person).await;
        let redeem = |number: usize| {
            let server = if number.is_multiple_of(2) { &one } else { &two };
            server.machine.redeem(&provisioned.client, &request, &callback)
        };
        let answers = join_all((0..50).map(redeem)).await;
        let good = answers.iter().filter(|answer| answer.status == 200).count();
        let refused = answers.iter().filter(|answer| answer.error() == "invalid_grant").count();
        assert_eq!((good, refused), (1, 49));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sign_out_at_one_program_holds_at_the_other_at_once_postgres() {
    let (_folder, first, second) = two_places().await;
    let provisioned = Provisioned::in_place(&first).await;
    let one = ServerProcess::start(&first).await;
    let two = ServerProcess::start(&second).await;
    let mut here = Visitor::new(&one.address);
    let account = here.sign_in(&provisioned.person).await;
    let mut there = here.moved_to(&two.address);
    assert_eq!(there.get("/account").await.status, 200);
    here.submit(&portcullis_tests::visitor::the_form(&account, "sign-out-form")).await;
    assert_ne!(there.get("/account").await.status, 200);
}

/// Somebody has a signing key: what it signed is worth nothing at either program soon after an operator said so at one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_was_revoked_counts_at_neither_program_postgres() {
    let (_folder, first, second) = two_places().await;
    let provisioned = Provisioned::in_place(&first).await;
    let one = ServerProcess::start(&first).await;
    let two = ServerProcess::start(&second).await;
    let request = AuthorizeRequest::of(&provisioned.client);
    let callback = Visitor::new(&one.address).authorize(&request, &provisioned.person).await;
    let token = one.machine.redeem(&provisioned.client, &request, &callback).await.member("access_token");
    let kid = header(&token)["kid"].as_str().unwrap().to_owned();
    for server in [&one, &two] {
        assert_eq!(server.machine.userinfo(&token).await.status, 200);
    }
    let revoked = first.run(&["key", "revoke", &kid]);
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    for server in [&one, &two] {
        eventually("the key is gone", async || server.machine.userinfo(&token).await.status == 401).await;
        let published = server.machine.get("/jwks").await.json();
        assert!(published["keys"].as_array().unwrap().iter().all(|key| key["kid"] != kid), "{published}");
    }
}

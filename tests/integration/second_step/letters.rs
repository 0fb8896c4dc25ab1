//! What people are told of their second step.

use std::time::Duration;

use portcullis_tests::authenticator::{Authenticator, recovery_codes};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::markup::link_of;
use portcullis_tests::post_office::{PostOffice, Received};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::the_form;
use rstest::rstest;

use super::{PAGE, STEP};

#[rstest]
#[tokio::test]
async fn each_change_is_told_by_mail(#[values(Sqlite, Postgres)] database: Database) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| office.serve(config)).await;
    let ada = server.admin.user("ada").await;
    let mut here = server.visitor();
    here.sign_in(&ada).await;
    let app = Authenticator::add(&mut here, &server).await;
    let mut lost = server.visitor();
    let page = lost.begin(&ada).await;
    let page = lost.open(&link_of(&page.text(), "use-recovery").unwrap().replace("&amp;", "&")).await;
    assert_eq!(lost.give(&page, &app.recovery[0]).await.status, 303);
    let page = lost.open(PAGE).await;
    recovery_codes(&lost.submit(&the_form(&page, "recovery-codes-form")).await);
    lost.submit(&the_form(&page, "remove-form")).await;
    server.app().send_letters().await.unwrap();
    let received = office.received();
    for (subject, says) in [
        ("Your sign-in has a second step", "From the address"),
        ("A recovery code of yours was used", "are left: 9"),
        ("New recovery codes were made", "From the address"),
        ("Your sign-in has no second step any more", "From the address"),
    ] {
        let found: Vec<_> =
            received.iter().filter(|letter| letter.header("Subject").as_deref() == Some(subject)).collect();
        assert_eq!(found.len(), 1, "{subject}: {received:?}");
        assert!(found[0].body().contains(says), "{subject}: {}", found[0].body());
        assert!(app.recovery.iter().all(|code| !found[0].body().contains(code.as_str())));
    }
}

#[rstest]
#[tokio::test]
async fn an_owner_hears_once_a_day_that_somebody_knows_the_password(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let office = PostOffice::start().await;
    let server = TestServer::start_with(database, |config| {
        office.serve(config);
        config.limits.login_per_address_per_minute = 10_000;
        config.limits.login_per_account_per_minute = 10_000;
    })
    .await;
    let ada = server.admin.user("ada").await;
    let mut here = server.visitor();
    here.sign_in(&ada).await;
    let app = Authenticator::add(&mut here, &server).await;
    server.wait(STEP);
    let told = async || {
        server.app().send_letters().await.unwrap();
        let is_it =
            |letter: &Received| letter.header("Subject").as_deref() == Some("Somebody knows your password");
        office.received().into_iter().filter(is_it).collect::<Vec<_>>()
    };
    let guess = async |times: usize| {
        for _ in 0..times {
            let mut stranger = server.visitor();
            let page = stranger.begin(&ada).await;
            let wrong = app.wrong_code(server.clock.now());
            assert_eq!(stranger.give(&page, &wrong).await.status, 422);
        }
    };
    guess(4).await;
    // Its owner gets in: whoever begins anew is no stranger yet.
    let mut own = server.visitor();
    let page = own.begin(&ada).await;
    assert_eq!(own.give(&page, &app.code(server.clock.now())).await.status, 303);
    guess(4).await;
    assert_eq!(told().await, []);
    guess(1).await;
    let letters = told().await;
    assert_eq!(letters.len(), 1);
    assert_eq!(letters[0].to, ["ada@example.org"]);
    let body = letters[0].body();
    for said in [&*format!("{}/recover", server.issuer), "127.0.0.1"] {
        assert!(body.contains(said), "{said}: {body}");
    }
    for hours in [1, 22] {
        server.wait(Duration::from_hours(hours));
        guess(1).await;
    }
    assert_eq!(told().await.len(), 1, "once a day");
    server.wait(Duration::from_hours(1));
    guess(1).await;
    assert_eq!(told().await.len(), 2);
    // A browser in which the step was taken is the owner's, who may be clumsy.
    server.wait(Duration::from_hours(25));
    let page = own.open("/login?switch").await;
    let page = own.begin_at(&page, &ada).await;
    assert_eq!(own.give(&page, &app.wrong_code(server.clock.now())).await.status, 422);
    assert_eq!(told().await.len(), 2);
}

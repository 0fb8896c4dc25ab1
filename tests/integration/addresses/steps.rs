//! What becomes of a second step when an address is put back.

use std::time::Duration;

use portcullis_tests::authenticator::{Authenticator, recovery_codes};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::link_of;
use portcullis_tests::visitor::{Person, the_form};
use rstest::rstest;
use serde_json::json;

use super::{CHANGED, NEW, STEP_REMOVED, Scene, confirm, put_back};

/// What a thief adds, before or after they change the address, does not keep the owner out; what the owner had keeps out whoever reads
/// old mail.
#[rstest]
#[case::after(None, Duration::from_hours(70), true)]
#[case::before(Some(Duration::from_hours(71)), Duration::ZERO, true)]
#[case::of_the_owner(Some(Duration::from_hours(73)), Duration::ZERO, false)]
#[tokio::test]
async fn whoever_puts_an_address_back_gets_past_no_step_but_their_own(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] before: Option<Duration>,
    #[case] after: Duration,
    #[case] goes: bool,
) {
    let mut scene = Scene::start(database).await;
    let add = async |scene: &mut Scene| Authenticator::add(&mut scene.visitor, &scene.server).await;
    let mut app = None;
    if let Some(earlier) = before {
        app = Some(add(&mut scene).await);
        scene.server.wait(earlier);
        scene.visitor = scene.server.visitor();
        let page = scene.visitor.begin(&scene.ada).await;
        let code = app.as_ref().unwrap().code(scene.server.clock.now());
        assert_eq!(scene.visitor.give(&page, &code).await.status, 303);
    }
    let code = scene.code_for("thief@evil.test").await;
    confirm(&scene.server, &code).await;
    let back = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    if before.is_none() {
        scene.server.wait(after);
        scene.visitor = scene.server.visitor();
        scene.visitor.sign_in(&scene.ada).await;
        app = Some(add(&mut scene).await);
    }
    let (mut owner, page) = put_back(&scene.server, &back).await;
    let set = owner.submit(&the_form(&page, "new-password-form").with("new-password", NEW)).await;
    assert_eq!(set.header("location"), "/login?renewed", "{}", set.text());
    let renewed = Person { password: NEW.to_owned(), ..scene.ada.clone() };
    let event = &scene.events("address.returned").await[0];
    let detail =
        json!({ "second_step_removed": goes, "recovery_codes_removed": goes, "passkeys_removed": 0 });
    assert_eq!(event["detail"], detail);
    let told: Vec<_> = scene.letters(STEP_REMOVED).await.into_iter().map(|letter| letter.to).collect();
    let removed = scene.events("second_step.removed").await;
    if goes {
        assert_eq!(scene.server.visitor().sign_in(&renewed).await.url.path(), "/account", "by the password");
        assert_eq!(told, [["ada@example.org"]]);
        assert_eq!(
            (&removed[0]["actor"], &removed[0]["detail"]),
            (&json!("anonymous"), &json!({ "by": "letter" }))
        );
    } else {
        let mut visitor = scene.server.visitor();
        let page = visitor.begin(&renewed).await;
        scene.server.wait(Duration::from_secs(30));
        let code = app.unwrap().code(scene.server.clock.now());
        assert_eq!(visitor.give(&page, &code).await.status, 303);
        assert_eq!((told.len(), removed.len()), (0, 0));
    }
}

/// Recovery codes that somebody made who was in are theirs, also beside a step of the owner.
#[rstest]
#[tokio::test]
async fn recovery_codes_of_whoever_changed_the_address_are_worth_nothing_once_it_is_back(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::start(database).await;
    let app = Authenticator::add(&mut scene.visitor, &scene.server).await;
    scene.server.wait(Duration::from_hours(24 * 7));
    scene.visitor = scene.server.visitor();
    let page = scene.visitor.begin(&scene.ada).await;
    let code = app.code(scene.server.clock.now());
    assert_eq!(scene.visitor.give(&page, &code).await.status, 303);
    let page = scene.visitor.open("/account/security").await;
    let made = scene.visitor.submit(&the_form(&page, "recovery-codes-form")).await;
    let theirs = recovery_codes(&made).remove(0);
    let code = scene.code_for("thief@evil.test").await;
    confirm(&scene.server, &code).await;
    let back = scene.letters(CHANGED).await.pop().unwrap().code().unwrap();
    let (mut owner, page) = put_back(&scene.server, &back).await;
    owner.submit(&the_form(&page, "new-password-form").with("new-password", NEW)).await;
    let renewed = Person { password: NEW.to_owned(), ..scene.ada.clone() };
    let mut visitor = scene.server.visitor();
    let page = visitor.begin(&renewed).await;
    let link = link_of(&page.text(), "use-recovery").unwrap().replace("&amp;", "&");
    let page = visitor.open(&link).await;
    assert_eq!(visitor.give(&page, &theirs).await.status, 422);
    let detail =
        json!({ "second_step_removed": false, "recovery_codes_removed": true, "passkeys_removed": 0 });
    assert_eq!(scene.events("address.returned").await[0]["detail"], detail);
}

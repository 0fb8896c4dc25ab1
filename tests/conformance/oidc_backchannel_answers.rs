//! OpenID Connect Back-Channel Logout 1.0 (<https://openid.net/specs/openid-connect-backchannel-1_0.html>), section 2.8: what comes of the
//! answers of applications, and who sees it.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::told::Told;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::sign_out_scene::{Scene, application, notices, sign_in, sign_out, told_client};

#[rstest]
#[case(200)]
#[case(204)]
#[tokio::test]
async fn section_2_8_a_client_that_took_it_is_told_once(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] status: u16,
) {
    let mut scene = Scene::on(database).await;
    scene.told.answer(status);
    let page = sign_out(&mut scene.browser).await;
    assert!(
        page.text().contains("Shop") && page.text().contains("Signed out there, too."),
        "{}",
        page.text()
    );
    assert!(scene.told.token_by_now().is_some());
    scene.try_again_after(Duration::from_hours(1)).await;
    assert_eq!(scene.told.token_by_now(), None);
    let delivered = &notices(&scene.server, "delivered").await[0];
    assert_eq!((&delivered["attempts"], &delivered["last_error"]), (&json!(1), &Value::Null));
    assert_eq!(delivered["session"], scene.sid);
}

#[rstest]
#[tokio::test]
async fn section_2_8_a_client_that_refuses_is_not_told_again_and_the_administrator_sees_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    scene.told.answer(400);
    let page = sign_out(&mut scene.browser).await;
    assert!(page.text().contains("It could not be told."), "{}", page.text());
    assert!(scene.told.token_by_now().is_some());
    scene.try_again_after(Duration::from_hours(1)).await;
    assert_eq!(scene.told.token_by_now(), None);
    let failed = notices(&scene.server, "failed").await;
    assert_eq!(
        (failed.len(), &failed[0]["client"], &failed[0]["attempts"]),
        (1, &json!(scene.shop.id), &json!(1))
    );
    assert!(failed[0]["last_error"].as_str().unwrap().contains("400"), "{failed:?}");
    let trail = scene.server.admin.get("/audit?limit=200").await.json();
    let event =
        trail["items"].as_array().unwrap().iter().find(|event| event["action"] == "logout.undelivered");
    let event = event.expect("it is in the audit trail");
    assert_eq!((&event["actor"], &event["target"]), (&json!("system"), &json!(scene.shop.id)));
    assert_eq!((&event["outcome"], &event["detail"]["session"]), (&json!("refused"), &json!(scene.sid)));
}

#[rstest]
#[tokio::test]
async fn section_2_8_a_client_that_is_away_is_told_later_each_time_with_a_new_token(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    scene.told.answer(503);
    let page = sign_out(&mut scene.browser).await;
    assert!(page.text().contains("It did not answer yet. We go on trying."), "{}", page.text());
    let first = claims(&scene.told.token().await);
    // Not before its time: half of the wait at least.
    scene.try_again_after(Duration::from_secs(2)).await;
    assert_eq!(scene.told.token_by_now(), None);
    scene.try_again_after(Duration::from_secs(4)).await;
    let second = claims(&scene.told.token().await);
    assert_ne!(first["jti"], second["jti"], "a client may have noted the first one");
    let waiting = &notices(&scene.server, "waiting").await[0];
    assert_eq!((&waiting["attempts"], &waiting["settled_at"]), (&json!(2), &Value::Null));
    scene.told.answer(200);
    scene.try_again_after(Duration::from_secs(11)).await;
    assert!(scene.told.token_by_now().is_some());
    let again = scene.browser.open(&page_again(&page)).await;
    assert!(again.text().contains("Signed out there, too."), "{}", again.text());
    assert!(!again.text().contains("look-again"), "nothing is left to wait for");
}

/// The way to the same page again.
fn page_again(page: &Answer) -> String {
    let text = page.text();
    let link = text.split("id=\"look-again\"").next().unwrap().rsplit("href=\"").next().unwrap().to_owned();
    let path = link.split('"').next().unwrap().replace("&amp;", "&");
    path.replace("&#x2f;", "/")
}

#[rstest]
#[tokio::test]
async fn section_2_8_a_client_that_stays_away_is_given_up_and_the_administrator_sees_it(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    scene.told.answer(500);
    sign_out(&mut scene.browser).await;
    for _ in 0..20 {
        scene.try_again_after(Duration::from_hours(1)).await;
    }
    let failed = notices(&scene.server, "failed").await;
    assert_eq!((failed.len(), &failed[0]["attempts"]), (1, &json!(15)));
    assert!(failed[0]["last_error"].as_str().unwrap().contains("500"), "{failed:?}");
    let mut told = 0;
    while scene.told.token_by_now().is_some() {
        told += 1;
    }
    assert_eq!(told, 15);
    let trail = scene.server.admin.get("/audit?limit=200").await.text();
    assert!(trail.contains("logout.undelivered"));
}

#[rstest]
#[tokio::test]
async fn section_2_8_a_redirect_is_no_acknowledgement(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    scene.told.answer(302);
    sign_out(&mut scene.browser).await;
    assert!(scene.told.token_by_now().is_some());
    assert_eq!(notices(&scene.server, "waiting").await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn which_applications_somebody_uses_is_shown_in_their_browser_only(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::on(database).await;
    let page = sign_out(&mut scene.browser).await;
    assert!(page.text().contains("id=\"told\""), "{}", page.text());
    let path = format!("{}?{}", page.url.path(), page.url.query().unwrap());
    let stranger = scene.server.visitor().open(&path).await;
    assert_eq!(stranger.status, 200);
    assert!(!stranger.text().contains("Shop"), "{}", stranger.text());
    let bare = scene.browser.open(&format!("/logged-out?session={}", scene.sid)).await;
    assert!(!bare.text().contains("Shop"), "{}", bare.text());
}

#[rstest]
#[tokio::test]
async fn only_who_may_read_clients_sees_what_they_were_told(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::on(database).await;
    let bare = Answer::to(scene.server.machine.request(Method::GET, "/api/v1/sign-outs")).await;
    assert_eq!(bare.status, 401);
    let wrong = scene.server.admin.get("/sign-outs?state=dead").await;
    assert_eq!(wrong.status, 422, "{}", wrong.text());
}

#[rstest]
#[tokio::test]
async fn a_client_that_is_not_told_any_more_is_not_called(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    scene.told.answer(503);
    sign_out(&mut scene.browser).await;
    scene.told.token().await;
    let path = format!("/clients/{}", scene.shop.id);
    let known = scene.server.admin.get(&path).await;
    let change =
        scene.server.admin.request(Method::PUT, &path).await.header("if-match", known.header("etag"));
    let changed = Answer::to(change.json(&application("Shop", &json!({})))).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    scene.try_again_after(Duration::from_hours(1)).await;
    assert_eq!(scene.told.token_by_now(), None);
    assert_eq!(notices(&scene.server, "failed").await.len(), 1);
}

#[rstest]
#[tokio::test]
async fn a_client_that_takes_its_time_holds_up_nobody_else(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::on(database).await;
    scene.told.answer(503);
    sign_out(&mut scene.browser).await;
    scene.told.token().await;
    // As many as are sent at one time, so the last of them finds no place beside the slow one in the first handful.
    let mut others = Vec::new();
    let mut browser = scene.server.visitor();
    for number in 0..16 {
        let told = Told::start().await;
        told.answer(503);
        let client = told_client(&scene.server, &format!("Shop {number}"), &told).await;
        sign_in(&scene.server, &mut browser, &client, &scene.ada).await;
        others.push(told);
    }
    sign_out(&mut browser).await;
    for told in &mut others {
        told.token().await;
    }
    scene.told.hold();
    let others_first = async {
        for told in &mut others {
            told.token().await;
        }
        // It may be the last that is asked again; held as it is, it stays in this state.
        let slow = loop {
            let waiting = notices(&scene.server, "waiting").await;
            let slow = waiting.iter().find(|notice| notice["client"] == json!(scene.shop.id)).unwrap();
            if slow["attempts"] != 1 {
                break slow.clone();
            }
        };
        assert_eq!(slow["attempts"], 2);
        assert!(slow["last_error"].as_str().unwrap().contains("503"), "still on its way: {slow}");
        scene.told.go_on();
    };
    tokio::join!(scene.try_again_after(Duration::from_hours(1)), others_first);
}

//! Where people sign in, as the metadata of the issuer says.

use std::time::Duration;

use http::StatusCode;
use serde_json::json;

use crate::login::browser::World;

#[tokio::test]
async fn an_issuer_that_takes_its_time_to_say_where_to_sign_in_holds_up_nobody_who_knows_it() {
    let world = World::new().await;
    let before = world.provider.told().asked.metadata;
    world.dial.turn(Duration::from_mins(11));
    world.provider.hold_metadata();
    let mut looks = world.browser();
    let looks = tokio::spawn(async move { looks.open("/auth/login").await });
    world.provider.has_been_asked_for_metadata(before + 1).await;
    for _ in 0..3 {
        world.browser().begin("/auth/login").await;
    }
    // It goes on when who began it has gone.
    looks.abort();
    assert!(looks.await.is_err());
    world.provider.told().metadata =
        json!({ "authorization_endpoint": format!("{}/elsewhere", world.provider.url) });
    world.provider.let_metadata_go();
    while !world.browser().begin("/auth/login").await.contains("/elsewhere?") {
        tokio::task::yield_now().await;
    }
    assert_eq!(world.provider.told().asked.metadata, before + 1, "one looks for all");

    // Where nothing is known, everybody waits for the one look.
    world.dial.turn(Duration::from_hours(25));
    world.provider.hold_metadata();
    let all = [(); 3].map(|()| {
        let mut browser = world.browser();
        tokio::spawn(async move { browser.open("/auth/login").await.status })
    });
    world.provider.has_been_asked_for_metadata(before + 2).await;
    world.provider.let_metadata_go();
    for one in all {
        assert_eq!(one.await.unwrap(), StatusCode::SEE_OTHER);
    }
    assert_eq!(world.provider.told().asked.metadata, before + 2);
}

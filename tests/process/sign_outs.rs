//! Applications are told of sign-outs although a program is killed, and once although two run.

use futures_util::FutureExt as _;
use portcullis_tests::admin::Admin;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::process::{Place, ServerProcess, eventually, two_places};
use portcullis_tests::registered::Registered;
use portcullis_tests::told::Told;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpListener;

use crate::commands::{PASSWORD, json, password_file, place_on, registered, said};

/// Somebody, and an application that is told.
struct Parties {
    ada: Person,
    shop: Registered,
    admin: Admin,
}

impl Parties {
    fn in_place(place: &Place, told: &Told) -> Self {
        let made = json(place, &["user", "create", "ada", "--password-file", &password_file(place)]);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let (username, password) = ("ada".to_owned(), PASSWORD.to_owned());
        let ada = Person { id: text("id"), sub: text("sub"), username, password };
        let create = ["client", "create", "--preset", "web", "--name", "Shop", "--first-party"];
        let uris = ["--redirect-uri", "https://rp.test/cb", "--backchannel-logout-uri", &told.uri];
        let client = registered(&json(place, &[&create[..], &uris].concat()));
        let shop = Registered { redirect_uris: vec!["https://rp.test/cb".to_owned()], ..client };
        Self { ada, shop, admin: Admin::in_place(place) }
    }

    /// Signs in at the application, and out at the server.
    async fn come_and_go(&self, server: &ServerProcess, mut browser: Visitor) -> String {
        let request = AuthorizeRequest::of(&self.shop);
        let callback = browser.authorize(&request, &self.ada).await;
        let tokens = server.machine.redeem(&self.shop, &request, &callback).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        let account = browser.open("/account").await;
        browser.submit(&the_form(&account, "sign-out-form")).await;
        claims(&tokens.member("id_token"))["sid"].as_str().unwrap().to_owned()
    }

    async fn are_settled(&self, admin: &Admin, count: usize) -> bool {
        let listed = admin.get("/sign-outs?state=delivered").await.json();
        listed["items"].as_array().is_some_and(|items| items.len() == count)
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_taken_before_a_kill_9_is_told_after_it(#[values(Sqlite, Postgres)] database: Database) {
    let (_folder, place) = place_on(database).await;
    let mut told = Told::start().await;
    told.answer(503);
    let parties = Parties::in_place(&place, &told);
    assert_eq!(json(&place, &["sign-outs"]), json!([]), "nobody signed out yet");
    let server = ServerProcess::start(&place).await;
    let sid = parties.come_and_go(&server, Visitor::new(&server.address)).await;
    assert_eq!(claims(&told.token().await)["sid"], sid.as_str());
    server.kill();
    let waiting = json(&place, &["sign-outs", "--state", "waiting"]);
    assert_eq!((&waiting[0]["client"], &waiting[0]["session"]), (&json!(parties.shop.id), &json!(sid)));
    assert_eq!(json(&place, &["sign-outs", "--state", "failed"]), json!([]));
    let refused = place.run(&["sign-outs", "--state", "lost"]);
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    told.answer(200);
    let _server = ServerProcess::start(&place).await;
    let mut again = claims(&told.token().await);
    // The first program may have been about to try once more.
    while again["sid"] != sid.as_str() {
        again = claims(&told.token().await);
    }
    eventually("it is delivered", async || parties.are_settled(&parties.admin, 1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_programs_tell_each_application_once_postgres() {
    let (_folder, first, second) = two_places().await;
    let mut told = Told::start().await;
    let parties = Parties::in_place(&first, &told);
    let one = ServerProcess::start(&first).await;
    let two = ServerProcess::start(&second).await;
    told.answer(503);
    for server in [&one, &two, &one] {
        parties.come_and_go(server, Visitor::through(&server.address, &one.address)).await;
        told.token().await;
    }
    // Now both come to all of them.
    told.answer(200);
    let other = parties.admin.at(&two.address);
    eventually("all are delivered", async || parties.are_settled(&other, 3).await).await;
    let mut sids = Vec::new();
    while let Some(token) = told.token_by_now() {
        sids.push(claims(&token)["sid"].to_string());
    }
    let tried = sids.len();
    sids.sort();
    sids.dedup();
    assert_eq!((sids.len(), tried), (3, 3), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_of_the_environment_are_not_asked() {
    let (_folder, place) = place_on(Sqlite).await;
    let mut told = Told::start().await;
    let parties = Parties::in_place(&place, &told);
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let mut command = place.command(&["serve"]);
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        command.env(name, &address);
    }
    let mut server = ServerProcess::of(command, &place);
    server.ready().await;
    let sid = parties.come_and_go(&server, Visitor::new(&server.address)).await;
    assert_eq!(claims(&told.token().await)["sid"], sid.as_str());
    assert!(proxy.accept().now_or_never().is_none(), "nobody came by the proxy");
}

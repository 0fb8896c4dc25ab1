//! A service with pages: the server, the service and a person with a browser.

use std::time::Duration;

use portcullis_tests::admin::Admin;
use portcullis_tests::agent::Answer;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::text_of;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;
use url::Url;

use crate::commands::{PASSWORD, json, password_file};
use crate::example::{Example, Ground, instructions};

/// A server, a shop that was started as it says itself, and somebody who has an account.
struct Town {
    ground: Ground,
    shop: Example,
    ada: Person,
    admin: Admin,
}

impl Town {
    /// With a shop that renews its access token for each request.
    async fn at(database: Database) -> Self {
        // Longer than any access token lasts.
        Self::started(database, "export WEBAPP_RENEW_EARLY_SECS=3600\n").await
    }

    async fn at_usual_pace(database: Database) -> Self {
        Self::started(database, "").await
    }

    async fn started(database: Database, setting: &str) -> Self {
        let ground = Ground::new(database, "http://127.0.0.1:8087").await;
        let [register, start] = <[String; 2]>::try_from(instructions("webapp.rs")).expect("two blocks");
        ground.terminal().run(&ground.at_home(&register));
        let place = &ground.place;
        let made = json(place, &["user", "create", "ada", "--password-file", &password_file(place)]);
        let text = |name: &str| made[name].as_str().unwrap().to_owned();
        let (username, password) = ("ada".to_owned(), PASSWORD.to_owned());
        let ada = Person { id: text("id"), sub: text("sub"), username, password };
        let admin = Admin::in_place(place);
        let shop = ground.start(&format!("{setting}{start}")).await;
        Self { ground, shop, ada, admin }
    }

    fn visitors(&self) -> (Visitor, Visitor) {
        (Visitor::new(&self.shop.address), Visitor::new(self.issuer()))
    }

    fn issuer(&self) -> &str {
        &self.ground.server.address
    }
}

async fn open(browser: &mut Visitor, path: &str) -> Answer {
    let request = browser.request(Method::GET, path).header("sec-fetch-mode", "navigate");
    browser.send(request).await
}

fn leads_to(answer: &Answer) -> Url {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.location().expect("it leads somewhere")
}

fn path_of(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

/// Walks from a page of the shop to the issuer, signs in there and comes back.
async fn sign_in(town: &Town, (at_shop, at_server): (&mut Visitor, &mut Visitor), page: &str) -> Answer {
    let login = leads_to(&open(at_shop, page).await);
    assert_eq!(login.path(), "/auth/login");
    let issuer = leads_to(&open(at_shop, &path_of(&login)).await);
    assert_eq!(issuer.origin(), Url::parse(town.issuer()).unwrap().origin());
    let callback = at_server.walk(&path_of(&issuer), &town.ada).await;
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["code", "state", "iss"] {
        query.append_pair(name, callback.get(name));
    }
    let back = leads_to(&open(at_shop, &format!("/auth/callback?{}", query.finish())).await);
    open(at_shop, &path_of(&back)).await
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_sign_in_see_their_page_and_sign_out(#[values(Sqlite, Postgres)] database: Database) {
    let town = Town::at(database).await;
    let (mut at_shop, mut at_server) = town.visitors();
    assert!(open(&mut at_shop, "/").await.text().contains("Sign in"));

    let page = sign_in(&town, (&mut at_shop, &mut at_server), "/orders?page=2").await;
    assert_eq!((page.status.as_u16(), page.url.query()), (200, Some("page=2")), "{}", page.text());
    assert!(page.text().contains(&town.ada.sub), "{}", page.text());
    assert_eq!(at_shop.cookies().count(), 1, "one cookie, with nothing but an id");

    // Each request by a newer access token, the refresh token of which comes from the one before.
    let mut tokens = Vec::new();
    for _ in 0..4 {
        let page = open(&mut at_shop, "/orders").await;
        assert_eq!(page.status, 200, "{}", page.text());
        let token = text_of(&page.text(), "token").unwrap();
        assert!(!tokens.contains(&token));
        tokens.push(token);
    }

    let form = the_form(&page, "logout");
    let copy = at_shop.clone();
    let origin =
        [("origin", &*town.shop.address), ("sec-fetch-site", "same-origin"), ("sec-fetch-mode", "navigate")];
    let away = leads_to(&at_shop.submit_from(&form, &origin).await);
    assert!(away.as_str().starts_with(&format!("{}/logout?", town.issuer())), "{away}");
    let home = at_server.open(&path_of(&away)).await;
    assert_eq!(home.location().map(String::from), Some(format!("{}/", town.shop.address)), "{}", home.text());
    for mut browser in [at_shop, copy] {
        assert_eq!(leads_to(&open(&mut browser, "/orders").await).path(), "/auth/login");
    }
    assert_ne!(at_server.open("/account").await.url.path(), "/account", "and at the issuer");
}

/// The server tells the shop of a sign-out elsewhere, so nothing has to expire first: its access tokens are good for minutes.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_signs_out_elsewhere_is_signed_out_here_within_a_second(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let town = Town::at_usual_pace(database).await;
    let (mut at_shop, mut at_server) = town.visitors();
    for way in [Way::AtTheIssuer, Way::ByTheAdministrator, Way::WithANewPassword] {
        assert_eq!(sign_in(&town, (&mut at_shop, &mut at_server), "/orders").await.status, 200);
        let token = |page: &Answer| text_of(&page.text(), "token").unwrap();
        let before = open(&mut at_shop, "/orders").await;
        assert_eq!(token(&before), token(&open(&mut at_shop, "/orders").await), "no renewal yet");
        let gone = std::time::Instant::now();
        town.sign_out_elsewhere(&mut at_server, way).await;
        let mut page = open(&mut at_shop, "/orders").await;
        while page.status == 200 && gone.elapsed() < Duration::from_secs(1) {
            page = open(&mut at_shop, "/orders").await;
        }
        assert_eq!(leads_to(&page).path(), "/auth/login", "{way:?}");
    }
}

/// How somebody is signed out elsewhere.
#[derive(Clone, Copy, Debug)]
enum Way {
    AtTheIssuer,
    ByTheAdministrator,
    WithANewPassword,
}

impl Town {
    async fn sign_out_elsewhere(&self, at_server: &mut Visitor, way: Way) {
        match way {
            Way::AtTheIssuer => {
                let asked = at_server.open("/logout").await;
                let sent = at_server.submit(&the_form(&asked, "logout")).await;
                let done = at_server.follow(sent).await;
                assert!(done.text().contains("Signed out there, too."), "{}", done.text());
            }
            Way::ByTheAdministrator => {
                self.admin.post(&format!("/users/{}/sign-out", self.ada.id), &Value::Null).await;
            }
            Way::WithANewPassword => {
                let page = at_server.open("/account/security/password").await;
                let form = the_form(&page, "change-password-form")
                    .with("password", PASSWORD)
                    .with("new-password", "another anchor harbour 9");
                assert_eq!(at_server.submit(&form).await.status, 303);
            }
        }
    }
}

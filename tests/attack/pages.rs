//! Pages of every kind that people meet, for what holds for all of them.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database;
use portcullis_tests::server::{BareServer, TestServer};
use portcullis_tests::visitor::{Person, the_form};
use reqwest::Method;

/// One page of each kind.
pub(crate) async fn html_pages(server: &TestServer, database: Database) -> Vec<Answer> {
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    let mut pages = vec![
        visitor.open("/login").await,
        visitor.open("/nothing/here").await,
        visitor.open("/authorize?client_id=nope").await,
        visitor.open(&AuthorizeRequest::of(&shop).path()).await,
    ];
    pages.push(visitor.sign_in(&Person { password: "wrong".to_owned(), ..ada.clone() }).await);
    pages.push(visitor.sign_in(&ada).await);
    for path in
        ["", "/apps", "/data", "/data/deletion", "/log", "/profile", "/security/password", "/sessions"]
    {
        pages.push(visitor.open(&format!("/account{path}")).await);
    }
    pages.push(visitor.open(&AuthorizeRequest::of(&shop).path()).await);
    for path in ["/device", "/device/done", "/device/denied", "/approvals", "/logout", "/logged-out"] {
        pages.push(visitor.open(path).await);
    }
    let television = server.admin.device_client("openid", &[]).await;
    let codes = server.machine.device_codes(&television, &[("scope", "openid")]).await;
    pages.push(visitor.reach_device(&codes.user, &ada).await);
    let unsafe_post = visitor.request(Method::POST, "/consent").header("origin", "https://evil.test");
    pages.push(visitor.send(unsafe_post.form(&[("a", "b")])).await);
    // The code is in the page: once it is asked for, and once it is there at once.
    let posted = AuthorizeRequest::of(&shop).with("response_mode", "form_post");
    let consent = visitor.open(&posted.path()).await;
    pages.push(visitor.submit(&the_form(&consent, "consent").with("decision", "allow")).await);
    pages.push(visitor.open(&posted.path()).await);
    assert_eq!(pages.iter().filter(|page| leads_away(page)).count(), 2, "both hold a code");
    pages.extend(setup_pages(database).await);
    for page in &pages {
        assert!(page.header("content-type").starts_with("text/html"), "{} {}", page.url, page.status);
    }
    pages
}

/// The page that makes the first administrator, and the same with what was typed, the code among it.
async fn setup_pages(database: Database) -> [Answer; 2] {
    let server = BareServer::start_on(database).await;
    let code = server.setup_code().await;
    let mut visitor = server.visitor();
    let page = visitor.open("/setup").await;
    let form = the_form(&page, "setup").with("code", &code).with("username", "a b");
    let again = visitor.submit(&form.with("new-password", "a password for the first one")).await;
    assert!(again.text().contains(&code), "{} {}", again.status, again.text());
    [page, again]
}

/// Whether its form leads to an application.
pub(crate) fn leads_away(page: &Answer) -> bool {
    page.text().contains("id=\"form-post\"")
}

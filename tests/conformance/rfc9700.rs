//! OAuth 2.0 Security ([RFC 9700](https://www.rfc-editor.org/rfc/rfc9700)): what no other suite shows of it.

use portcullis_server::config::Dynamic;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::markup::{link_of, text_of};
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

/// An API that strangers may ask for.
const TOOLS: &str = "https://tools.example";

async fn stranger(database: Database) -> (TestServer, OwnRegistration) {
    let server =
        TestServer::start_with(database, |config| config.reach.registration.dynamic = Dynamic::Token).await;
    let tools = server.admin.api(TOOLS).await;
    let token = server.initial_token(json!({ "apis": [tools.id] })).await;
    let own = OwnRegistration::of(&server.register(Some(&token), &web_metadata()).await);
    (server, own)
}

/// Whoever registers a client could make of this server one that leads anywhere: an error is enough for it.
#[rstest]
#[tokio::test]
async fn section_4_11_2_an_error_leads_to_a_stranger_only_if_the_person_wants_it_to(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, own) = stranger(database).await;
    let wrong = AuthorizeRequest::of(&own.client).with("scope", "no-such-scope");
    let page = server.visitor().open(&wrong.path()).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None), "{}", page.text());
    let html = page.text();
    assert_eq!(text_of(&html, "redirect-host").as_deref(), Some("partner.test"));
    assert_eq!(text_of(&html, "error-code").as_deref(), Some("invalid_scope"));
    let link = link_of(&html, "told-go").unwrap();
    assert!(link.starts_with("https://partner.test/callback?error=invalid_scope&"), "{link}");
    // The same where it is known before anybody signs in that no sign-in will do (RFC 9470 §5).
    let gold =
        AuthorizeRequest::of(&own.client).with("resource", TOOLS).with("acr_values", "urn:example:gold");
    let page = server.visitor().open(&gold.path()).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None), "{}", page.text());
    assert_eq!(text_of(&page.text(), "error-code").as_deref(), Some("unmet_authentication_requirements"));
    // A form waits for the person as well.
    let form = server.visitor().open(&wrong.clone().with("response_mode", "form_post").path()).await;
    assert_eq!(form.status, 400);
    assert!(form.text().contains("value=\"invalid_scope\"") && !form.text().contains("form_post.js"));
    // Silent requests are answered where nobody looks at a page.
    let silent = server.visitor().open(&wrong.with("prompt", "none").path()).await;
    let told = silent.location().expect("nobody is asked").query().unwrap_or_default().to_owned();
    assert!(told.contains("error=invalid_scope"), "{told}");
}

#[rstest]
#[tokio::test]
async fn section_4_11_2_a_client_that_an_administrator_vouches_for_is_told_at_once(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, own) = stranger(database).await;
    let shop = server.admin.web_client(&[]).await;
    for client in [&shop, &own.client] {
        let wrong = AuthorizeRequest::of(client).with("scope", "no-such-scope");
        let answer = server.visitor().open(&wrong.path()).await;
        assert_eq!(answer.location().is_some(), client.id == shop.id, "{}", answer.text());
    }
}

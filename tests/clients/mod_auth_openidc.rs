//! Apache's `mod_auth_openidc`: pages that somebody sees after signing in.

use portcullis_tests::proxied::free_port;
use portcullis_tests::visitor::Visitor;
use serde_json::json;
use url::Url;

use crate::apache::Apache;
use crate::ground::Ground;
use crate::pages::{End, go};

const PAGE: &str = "<p id=\"sub\"><!--#echo var=\"OIDC_CLAIM_sub\" --></p>\
    <p id=\"name\"><!--#echo var=\"OIDC_CLAIM_preferred_username\" --></p>\
    <p id=\"email\"><!--#echo var=\"OIDC_CLAIM_email\" --></p>";

#[tokio::test]
async fn a_page_of_mod_auth_openidc_is_seen_after_signing_in_and_not_after_signing_out() {
    let ground = Ground::new("https://orders.example").await;
    let port = free_port();
    let address = format!("http://127.0.0.1:{port}");
    let document = json!({
        "name": "Foreign site", "preset": "web", "redirect_uris": [format!("{address}/callback")],
        "post_logout_redirect_uris": [format!("{address}/")],
    });
    let site = ground.admin.client(document).await;
    let configuration = format!(
        "OIDCProviderMetadataURL {}/.well-known/openid-configuration\nOIDCClientID {}\nOIDCClientSecret {}\n\
         OIDCRedirectURI {address}/callback\nOIDCDefaultLoggedOutURL {address}/\nOIDCScope \"openid profile email\"\n\
         OIDCPKCEMethod S256\nOIDCCryptoPassphrase \"known to this test only\"\nOIDCPassClaimsAs environment\n\
         <LocationMatch ^/(protected|callback)>\nAuthType openid-connect\nRequire valid-user\n</LocationMatch>",
        ground.issuer(),
        site.id,
        site.secret.as_deref().unwrap_or_default()
    );
    let apache = Apache::start(port, "auth_openidc", &configuration, PAGE).await;
    let (mut at_site, mut at_server) = (Visitor::new(&apache.address), ground.visitor());

    let sent_away = at_site.open("/protected/").await;
    let target = sent_away.location().unwrap_or_else(|| panic!("{}\n{}", sent_away.text(), apache.log()));
    assert!(target.as_str().starts_with(ground.issuer()), "{target}");
    let End::Elsewhere(back) = go(&mut at_server, &ground.person, &target).await else { panic!("{target}") };
    let page = at_site.open(&within(&back)).await;
    assert_eq!(page.status, 200, "{}\n{}", page.text(), apache.log());
    let person = &ground.person;
    for shown in [&person.sub, &person.username, &format!("{}@example.org", person.username)] {
        assert!(page.text().contains(shown.as_str()), "{}", page.text());
    }

    let leaving = at_site.open(&format!("/callback?logout={}/", apache.address.replace(':', "%3A"))).await;
    let target = leaving.location().unwrap_or_else(|| panic!("{}\n{}", leaving.text(), apache.log()));
    assert!(target.as_str().starts_with(ground.issuer()), "{target}");
    let End::Elsewhere(home) = go(&mut at_server, &ground.person, &target).await else { panic!("{target}") };
    assert!(home.as_str().starts_with(&apache.address), "{home}");
    // Neither here nor there is anybody signed in.
    let sent_away = at_site.open("/protected/").await;
    let target = sent_away.location().expect("the page is protected");
    let silent = format!("{}&prompt=none", within(&target));
    let refused = at_server.open(&silent).await.location().expect("nobody is asked");
    assert!(refused.query().unwrap_or_default().contains("error=login_required"), "{refused}");
}

/// An address without its origin.
fn within(url: &Url) -> String {
    url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
}

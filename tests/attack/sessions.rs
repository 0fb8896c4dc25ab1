//! Group SE: sessions, sign-in, consent and sign-out.

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{BROWSER, Person, SESSION, login_form, the_form};
use rstest::rstest;
use serde_json::json;

use crate::Victim;
use crate::pages::{html_pages, leads_away};

const OWN_PAGE: [(&str, &str); 2] = [("sec-fetch-site", "same-origin"), ("origin", "null")];

#[rstest]
#[tokio::test]
async fn se_01_signing_in_makes_a_new_session(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let (ada, mallory) = (server.admin.user("ada").await, server.admin.user("mallory").await);
    // Mallory plants her own session before Ada signs in at the same computer.
    let mut attacker = server.visitor();
    attacker.sign_in(&mallory).await;
    let planted = attacker.session().unwrap().to_owned();
    let mut victim = server.visitor();
    victim.plant_cookie(SESSION, &planted);
    let page = victim.open("/login?switch=1").await;
    let form = if page.text().contains("id=\"login\"") {
        login_form(&page, &ada.username, &ada.password)
    } else {
        let page = victim.open("/login").await;
        login_form(&page, &ada.username, &ada.password)
    };
    assert_eq!(victim.submit(&form).await.status, 303);
    assert_ne!(victim.session(), Some(planted.as_str()));
    let page = attacker.open("/account").await;
    assert!(!page.text().contains("ada of the tests"), "the planted session never becomes hers");
    for invented in ["pcs_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "x", ""] {
        let mut visitor = server.visitor();
        visitor.plant_cookie(SESSION, invented);
        visitor.sign_in(&ada).await;
        assert_ne!(visitor.session(), Some(invented));
    }
}

#[rstest]
#[tokio::test]
async fn se_02_a_sign_in_form_of_another_site_is_refused(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let page = visitor.open("/login").await;
    let good = login_form(&page, &ada.username, &ada.password);
    let foreign: [&[(&str, &str)]; 6] = [
        &[("origin", "https://evil.test")],
        &[("origin", "null")],
        &[],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[("sec-fetch-site", "same-site"), ("origin", "https://other.rp.test")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.test")],
    ];
    for headers in foreign {
        let answer = visitor.submit_from(&good, headers).await;
        assert_eq!(answer.status, 403, "{headers:?}");
        assert_eq!(visitor.session(), None, "{headers:?}");
    }
    let without = visitor.submit_from(&good.clone().without("csrf_token"), &OWN_PAGE).await;
    assert_eq!(without.status, 403);
    let mut stranger = server.visitor();
    stranger.open("/login").await;
    let stolen = stranger.submit_from(&good, &OWN_PAGE).await;
    assert_eq!(stolen.status, 403, "a token of another browser");
    assert_eq!(stranger.session(), None);
    assert_eq!(visitor.submit_from(&good, &OWN_PAGE).await.status, 303);
}

#[rstest]
#[tokio::test]
async fn se_04_every_cookie_is_locked_to_this_host(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let mut visitor = server.visitor();
    let page = visitor.open("/login").await;
    let mut lines = page.cookies();
    let signed_in = visitor.submit(&login_form(&page, &ada.username, &ada.password)).await;
    lines.extend(signed_in.cookies());
    let account = visitor.open("/account").await;
    lines.extend(visitor.submit(&the_form(&account, "sign-out-form")).await.cookies());
    assert!(lines.iter().any(|line| line.starts_with(SESSION)), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with(BROWSER)), "{lines:?}");
    for line in lines {
        let attributes: Vec<String> = line.split(';').map(|part| part.trim().to_ascii_lowercase()).collect();
        let has = |attribute: &str| attributes.iter().any(|found| found == attribute);
        assert!(line.starts_with("__Host-") && line.len() < 4096, "{line}");
        assert!(has("secure") && has("httponly") && has("path=/"), "{line}");
        assert!(has("samesite=lax") || has("samesite=strict"), "{line}");
        assert!(!attributes.iter().any(|found| found.starts_with("domain")), "{line}");
    }
}

#[rstest]
#[tokio::test]
async fn se_06_prompt_none_shows_nothing(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let answer = server.visitor().get(&AuthorizeRequest::of(&shop).with("prompt", "none").path()).await;
    let callback = Callback::of(&answer.location().expect("no page is shown"));
    assert_eq!((callback.target.as_str(), callback.error()), ("https://rp.test/cb", "login_required"));
}

#[rstest]
#[tokio::test]
async fn se_08_max_age_forces_a_fresh_sign_in_and_claims_tell_the_truth(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let mut victim = Victim::of(&server).await;
    let first = server.clock.now().as_secs();
    server.wait(Duration::from_mins(2));
    let fresh_enough = AuthorizeRequest::of(&victim.shop).with("max_age", "300");
    let answer = victim.visitor.open(&fresh_enough.path()).await;
    let callback = Callback::of(&answer.location().unwrap());
    let tokens = server.machine.redeem(&victim.shop, &fresh_enough, &callback).await;
    assert_eq!(claims(&tokens.member("id_token"))["auth_time"], first);
    for max_age in ["60", "0"] {
        let request = AuthorizeRequest::of(&victim.shop).with("max_age", max_age);
        let page = victim.visitor.open(&request.path()).await;
        assert!(page.text().contains("id=\"login\""), "max_age={max_age}");
        let silent = victim.visitor.open(&request.clone().with("prompt", "none").path()).await;
        assert_eq!(Callback::of(&silent.location().unwrap()).error(), "login_required", "max_age={max_age}");
        let callback = victim.visitor.authorize(&request, &victim.person).await;
        let tokens = server.machine.redeem(&victim.shop, &request, &callback).await;
        assert_eq!(claims(&tokens.member("id_token"))["auth_time"], server.clock.now().as_secs());
        server.wait(Duration::from_mins(2));
    }
}

#[rstest]
#[tokio::test]
async fn se_08_a_class_of_sign_in_that_did_not_happen_is_not_claimed(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("acr_values", "phr phrh urn:mfa");
    let tokens = server.tokens(&shop, &request, &ada).await;
    let claims = claims(&tokens.member("id_token"));
    assert!(!["phr", "phrh", "urn:mfa"].contains(&claims["acr"].as_str().unwrap_or_default()), "{claims}");
    assert_eq!(claims["amr"], json!(["pwd"]));
}

#[rstest]
#[tokio::test]
async fn se_09_consent_cannot_be_forged_nor_bent(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (shop, evil) = (server.admin.web_client(&[]).await, server.admin.web_client(&[]).await);
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let request = AuthorizeRequest::of(&shop);
    let page = visitor.open(&request.path()).await;
    let form = the_form(&page, "consent").with("decision", "allow");
    for headers in [&[("origin", "https://evil.test")][..], &[("sec-fetch-site", "cross-site")], &[]] {
        assert_eq!(visitor.submit_from(&form, headers).await.status, 403, "{headers:?}");
    }
    assert_eq!(visitor.submit(&form.clone().without("csrf_token")).await.status, 403);
    assert_eq!(
        visitor.submit(&form.clone().with("interaction", "itx_unknown")).await.status.as_u16() / 100,
        4
    );
    let bent = form
        .with("client_id", &evil.id)
        .with("redirect_uri", "https://evil.test/cb")
        .with("scope", "openid email offline_access");
    let answer = visitor.submit(&bent).await;
    let callback = Callback::of(&answer.location().unwrap());
    assert_eq!(callback.target, "https://rp.test/cb");
    let tokens = server.machine.redeem(&shop, &request, &callback).await;
    assert_eq!(tokens.member("scope"), "openid");
}

#[rstest]
#[tokio::test]
async fn se_09_consent_of_another_person_in_another_browser_is_refused(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let (ada, mallory) = (server.admin.user("ada").await, server.admin.user("mallory").await);
    let shop = server.admin.web_client(&[]).await;
    let mut attacker = server.visitor();
    attacker.sign_in(&mallory).await;
    let page = attacker.open(&AuthorizeRequest::of(&shop).path()).await;
    let interaction = the_form(&page, "consent").value("interaction").unwrap().to_owned();
    // Ada is lured into Mallory's interaction.
    let mut victim = server.visitor();
    victim.sign_in(&ada).await;
    for path in [format!("/consent?interaction={interaction}"), format!("/login?interaction={interaction}")] {
        let answer = victim.open(&path).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    let own = victim.open(&AuthorizeRequest::of(&shop).path()).await;
    let form = the_form(&own, "consent").with("decision", "allow").with("interaction", &interaction);
    let answer = victim.submit(&form).await;
    assert_eq!((answer.status.as_u16(), answer.location()), (403, None));
}

#[rstest]
#[tokio::test]
async fn se_11_two_tabs_keep_their_own_parameters(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let (shop, forum) = (server.admin.web_client(&[]).await, server.admin.web_client(&[]).await);
    let mut visitor = server.visitor();
    let (first, second) = (AuthorizeRequest::of(&shop), AuthorizeRequest::of(&forum));
    let page_one = visitor.open(&first.path()).await;
    let page_two = visitor.open(&second.path()).await;
    let sent = visitor.submit(&login_form(&page_one, &ada.username, &ada.password)).await;
    let consent_one = visitor.follow(sent).await;
    let sent = visitor.submit(&login_form(&page_two, &ada.username, &ada.password)).await;
    let consent_two = visitor.follow(sent).await;
    let finish = async |visitor: &mut portcullis_tests::visitor::Visitor, page: &Answer| {
        let answer = visitor.submit(&the_form(page, "consent").with("decision", "allow")).await;
        Callback::of(&answer.location().unwrap_or_else(|| panic!("{} {}", answer.status, answer.text())))
    };
    let two = finish(&mut visitor, &consent_two).await;
    assert_eq!(two.get("state"), second.get("state"));
    // The second tab signed in anew; the first asks who agrees before it goes on.
    let one = visitor.authorize(&first, &ada).await;
    assert_eq!(one.get("state"), first.get("state"));
    assert_eq!(server.machine.redeem(&forum, &second, &two).await.status, 200);
    assert_eq!(server.machine.redeem(&shop, &first, &one).await.status, 200);
    assert!(consent_one.status.is_success());
}

/// One person in one browser: what a form decides is the request that it names, whatever page it was on.
#[rstest]
#[tokio::test]
async fn se_11_a_form_that_names_the_request_of_the_other_tab_decides_about_that_one_alone(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let forum = json!({ "name": "Forum", "preset": "web", "redirect_uris": ["https://forum.test/cb"] });
    let forum = server.admin.client(forum).await;
    let requests = [AuthorizeRequest::of(&shop).with("scope", "openid email"), AuthorizeRequest::of(&forum)];
    let mut visitor = server.visitor();
    let [one, two] = [visitor.open(&requests[0].path()).await, visitor.open(&requests[1].path()).await];
    let other = the_form(&two, "login").value("interaction").unwrap().to_owned();
    let form = login_form(&one, &ada.username, &ada.password);
    assert_ne!(form.value("interaction"), Some(&*other));
    // Signed in on the page of tab one for the request of tab two.
    let sent = visitor.submit(&form.with("interaction", &other)).await;
    let two = the_form(&visitor.follow(sent).await, "consent").with("decision", "allow");
    assert_eq!(two.value("interaction"), Some(&*other));
    let one = the_form(&visitor.open(&requests[0].path()).await, "consent").with("decision", "allow");
    assert_ne!(one.value("interaction"), Some(&*other));
    // Allowed on the page of tab one for the request of tab two.
    let allowed = visitor.submit(&one.clone().with("interaction", &other)).await;
    let callback = Callback::of(&allowed.location().unwrap());
    assert_eq!(
        (&*callback.target, callback.get("state")),
        ("https://forum.test/cb", requests[1].get("state"))
    );
    assert_eq!(server.machine.redeem(&shop, &requests[0], &callback).await.error(), "invalid_grant");
    let tokens = server.machine.redeem(&forum, &requests[1], &callback).await;
    assert_eq!((tokens.status.as_u16(), &*tokens.member("scope")), (200, "openid"), "{}", tokens.text());
    let late = visitor.submit(&two).await;
    assert!(late.status.is_client_error() && late.location().is_none(), "it was decided: {}", late.status);
    // Nothing was decided in tab one by that.
    let callback = Callback::of(&visitor.submit(&one).await.location().unwrap());
    assert_eq!((&*callback.target, callback.get("state")), ("https://rp.test/cb", requests[0].get("state")));
    let tokens = server.machine.redeem(&shop, &requests[0], &callback).await;
    assert_eq!(tokens.member("scope").split(' ').count(), 2, "{}", tokens.text());
}

#[rstest]
#[tokio::test]
async fn se_11_a_finished_interaction_is_finished(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let page = visitor.open(&AuthorizeRequest::of(&shop).path()).await;
    let form = the_form(&page, "consent").with("decision", "allow");
    assert_eq!(visitor.submit(&form).await.status, 303);
    let again = visitor.submit(&form).await;
    assert!(again.status.is_client_error(), "{}", again.status);
    assert_eq!(again.location(), None, "no second code");
    let request = AuthorizeRequest::of(&server.admin.web_client(&[]).await);
    let page = visitor.open(&request.path()).await;
    let form = the_form(&page, "consent").with("decision", "allow");
    server.wait(Duration::from_mins(21));
    let late = visitor.submit(&form).await;
    assert_eq!((late.status.as_u16(), late.location()), (410, None));
}

#[rstest]
#[tokio::test]
async fn se_12_no_page_can_be_framed(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    for page in html_pages(&server, database).await {
        let policy = page.header("content-security-policy");
        assert!(policy.contains("frame-ancestors 'none'"), "{}: {policy}", page.url);
        assert_eq!(page.header("x-frame-options"), "DENY", "{}", page.url);
    }
}

#[rstest]
#[tokio::test]
async fn se_14_another_site_cannot_sign_somebody_out(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let mut victim = Victim::of(&server).await;
    let id_token = victim.redeem(&server).await.member("id_token");
    let other = server.admin.user("mallory").await;
    let request = AuthorizeRequest::of(&victim.shop);
    let hint_of_other = server.tokens(&victim.shop, &request, &other).await.member("id_token");
    let forged = portcullis_tests::jwt::damaged(&id_token);
    for path in [
        "/logout".to_owned(),
        format!("/logout?client_id={}", victim.shop.id),
        format!("/logout?id_token_hint={forged}"),
        format!("/logout?id_token_hint={hint_of_other}"),
    ] {
        let page = victim.visitor.open(&path).await;
        assert_eq!(page.location(), None, "{path}");
        assert_eq!(victim.visitor.open("/account").await.url.path(), "/account", "{path} kept the session");
    }
    let page = victim.visitor.open("/logout").await;
    let form = the_form(&page, "logout");
    assert_eq!(victim.visitor.submit_from(&form, &[("origin", "https://evil.test")]).await.status, 403);
    assert_eq!(victim.visitor.open("/account").await.url.path(), "/account");
}

#[rstest]
#[tokio::test]
async fn se_16_a_session_ended_on_the_server_is_ended(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let is_signed_in = async |visitor: &mut portcullis_tests::visitor::Visitor| {
        visitor.open("/account").await.url.path() == "/account"
    };
    // Sign-out.
    let mut visitor = server.visitor();
    let account = visitor.sign_in(&ada).await;
    let mut copy = visitor.clone();
    visitor.submit(&the_form(&account, "sign-out-form")).await;
    assert!(!is_signed_in(&mut copy).await, "sign-out");
    // A changed password ends the others.
    let (mut here, mut there) = (server.visitor(), server.visitor());
    here.sign_in(&ada).await;
    there.sign_in(&ada).await;
    let page = here.open("/account/security/password").await;
    let form = the_form(&page, "change-password-form").with("password", &ada.password);
    here.submit(&form.with("new-password", "something else entirely")).await;
    assert!(!is_signed_in(&mut there).await, "changed password");
    // An administrator.
    let ada = Person { password: "something else entirely".to_owned(), ..ada };
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    assert!(is_signed_in(&mut visitor).await);
    server.admin.post(&format!("/users/{}/disable", ada.id), &json!({})).await;
    assert!(!is_signed_in(&mut visitor).await, "disabled");
}

#[rstest]
#[tokio::test]
async fn se_19_no_page_tells_another_site_where_it_was(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    for page in html_pages(&server, database).await {
        assert_eq!(page.header("referrer-policy"), "no-referrer", "{}", page.url);
        let text = page.text().replace("&#x2f;", "/");
        for attribute in ["src=\"", "href=\"", "action=\""] {
            for reference in text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()) {
                let local =
                    reference.starts_with('/') || reference.starts_with('#') || reference.starts_with('?');
                // The one form that leads to an application is the way in which the code comes to it.
                let to_application =
                    leads_away(&page) && (attribute, reference) == ("action=\"", "https://rp.test/cb");
                let fits = to_application || (local && !reference.starts_with("//"));
                assert!(fits, "{}: {attribute}{reference}", page.url);
            }
        }
    }
}

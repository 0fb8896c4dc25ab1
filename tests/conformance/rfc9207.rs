//! Authorization Server Issuer Identification ([RFC 9207](https://www.rfc-editor.org/rfc/rfc9207)).

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, the_form};
use rstest::rstest;

/// What comes back to the application, in whichever way.
fn come_back(answer: &Answer) -> Callback {
    match answer.location() {
        Some(target) => Callback::of(&target),
        None => Callback::of_form(&the_form(answer, "form-post")),
    }
}

/// Who an answer is from, and what it answers: in the JWT where it is one, and then nowhere else.
fn told(callback: &Callback, mode: &str) -> [String; 4] {
    let names = ["iss", "state", "error", "code"];
    if !mode.ends_with("jwt") {
        return names.map(|name| callback.get(name).to_owned());
    }
    assert_eq!(callback.get("iss"), "", "section 2.4: the iss of the JWT is enough");
    let said = claims(callback.get("response"));
    names.map(|name| said[name].as_str().unwrap_or_default().to_owned())
}

/// Goes to the question whether to allow it, and says no.
async fn denied(browser: &mut Visitor, request: &AuthorizeRequest) -> Answer {
    let page = browser.open(&request.path()).await;
    browser.submit(&the_form(&page, "consent").with("decision", "deny")).await
}

#[rstest]
#[tokio::test]
async fn section_2_every_answer_in_every_mode_says_who_gives_it(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("query", "form_post", "jwt", "query.jwt", "form_post.jwt")] mode: &str,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = || AuthorizeRequest::of(&shop).with("response_mode", mode);
    let mut browser = server.visitor();
    let is_from_here = |callback: &Callback, request: &AuthorizeRequest, error: &str| {
        let [iss, state, said, code] = told(callback, mode);
        assert_eq!((&*iss, &*state, &*said), (&*server.issuer, request.get("state"), error));
        assert_eq!(code.is_empty(), !error.is_empty(), "{callback:?}");
    };
    for (bent, error) in [
        (request().with("prompt", "none"), "login_required"),
        (request().with("scope", "no-such-scope"), "invalid_scope"),
        (request().with("response_type", "token"), "unsupported_response_type"),
        (request().with("resource", "https://nobody.test"), "invalid_target"),
        (request().without("code_challenge"), "invalid_request"),
    ] {
        let answer = browser.open(&bent.path()).await;
        is_from_here(&come_back(&answer), &bent, error);
    }
    browser.sign_in(&ada).await;
    let asked = request();
    let answer = denied(&mut browser, &asked).await;
    is_from_here(&come_back(&answer), &asked, "access_denied");
    let silent = request().with("prompt", "none");
    let answer = browser.open(&silent.path()).await;
    is_from_here(&come_back(&answer), &silent, "consent_required");
    let good = request();
    let callback = browser.authorize(&good, &ada).await;
    is_from_here(&callback, &good, "");
}

#[rstest]
#[tokio::test]
async fn section_2_the_answer_to_a_request_that_was_pushed_says_so_too(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let walk = async |request: &AuthorizeRequest, person: &Person| {
        let pushed = server.machine.post_as(&shop, "/par", &request.fields_without("client_id")).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &shop.id).append_pair("request_uri", &pushed.member("request_uri"));
        server.visitor().walk(&format!("/authorize?{}", query.finish()), person).await
    };
    let good = AuthorizeRequest::of(&shop);
    let silent = good.clone().with("prompt", "none");
    for (request, error) in [(good, ""), (silent, "login_required")] {
        let callback = walk(&request, &ada).await;
        assert_eq!((callback.error(), callback.get("iss")), (error, &*server.issuer));
    }
}

/// Whoever compares must find it the same byte for byte (section 2.4), at whichever of several replicas.
#[rstest]
#[tokio::test]
async fn section_2_3_it_is_the_issuer_of_both_documents_and_of_the_tokens(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    for replica in [&server, &server.replica().await] {
        let request = AuthorizeRequest::of(&shop);
        let callback = replica.visitor().authorize(&request, &ada).await;
        let tokens = replica.machine.redeem(&shop, &request, &callback).await;
        let mut names = vec![callback.get("iss").to_owned()];
        for place in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
            let document = replica.machine.get(place).await.json();
            assert_eq!(document["authorization_response_iss_parameter_supported"], true, "{place}");
            names.push(document["issuer"].as_str().unwrap().to_owned());
        }
        for kind in ["id_token", "access_token"] {
            names.push(claims(&tokens.member(kind))["iss"].as_str().unwrap().to_owned());
        }
        assert!(names.iter().all(|name| *name == server.issuer), "{names:?}");
    }
}

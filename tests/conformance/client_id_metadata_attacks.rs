//! Documents that describe clients
//! ([OAuth Client ID Metadata Document](https://datatracker.ietf.org/doc/html/draft-ietf-oauth-client-id-metadata-document-02)): what
//! those get who write them with bad intent, or come after whoever wrote them.

use std::time::Duration;

use portcullis_server::config::Documents;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::jwt;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor, login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::document_scene::{accepting, client, is_accepted, page, request, server};

/// A request to the token endpoint with the proof that these keys make.
async fn signed(server: &TestServer, client: &str, keys: &SigningKeys, fields: &[(&str, &str)]) -> Answer {
    let proof = assertion_fields(keys, client, &server.issuer, server.clock.now());
    let mut all = fields.to_vec();
    all.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
    server.machine.post("/token", &all).await
}

fn signing(place: &DocumentAt, keys: &SigningKeys) -> Value {
    let mut document = place.good();
    document["token_endpoint_auth_method"] = json!("private_key_jwt");
    document["jwks"] = keys.public_jwks();
    document
}

/// What somebody allowed, redeemed with a proof.
async fn redeemed(server: &TestServer, place: &DocumentAt, keys: &SigningKeys, ada: &Person) -> Answer {
    let request = request(place);
    let callback = server.visitor().authorize(&request, ada).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", request.pkce.verifier.as_str()),
    ];
    signed(server, &place.client_id, keys, &fields).await
}

#[rstest]
#[tokio::test]
async fn section_8_4_1_keys_that_a_document_gives_up_prove_nothing_any_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let (old, new) = (SigningKeys::generate(), SigningKeys::generate());
    place.publish(&signing(&place, &old));
    let first = redeemed(&server, &place, &old, &ada).await;
    assert_eq!(first.status, 200, "{}", first.text());
    place.publish(&signing(&place, &new));
    server.wait(Duration::from_hours(1));
    let token = first.member("refresh_token");
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let by_old = signed(&server, &place.client_id, &old, &refresh).await;
    assert_eq!((by_old.status.as_u16(), by_old.error().as_str()), (401, "invalid_client"));
    let by_new = signed(&server, &place.client_id, &new, &refresh).await;
    assert_eq!(by_new.status, 200, "{}", by_new.text());
}

/// Whoever could take over the host would otherwise need no key for what was given to somebody with one.
#[rstest]
#[tokio::test]
async fn section_8_4_a_client_that_proves_nothing_any_more_keeps_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let keys = SigningKeys::generate();
    place.publish(&signing(&place, &keys));
    let first = redeemed(&server, &place, &keys, &ada).await;
    let access = first.member("access_token");
    assert_eq!(server.machine.userinfo(&access).await.status, 200);
    let renamed = {
        let mut document = signing(&place, &keys);
        document["client_name"] = json!("Another name");
        document
    };
    place.publish(&renamed);
    server.wait(Duration::from_hours(1));
    let token = first.member("refresh_token");
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let second = signed(&server, &place.client_id, &keys, &refresh).await;
    assert_eq!(second.status, 200, "another name takes nothing away: {}", second.text());
    place.publish(&place.good());
    server.wait(Duration::from_hours(1));
    let refused = server.machine.refresh(&client(&place), &second.member("refresh_token")).await;
    assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_grant"));
}

/// Signs in and looks where that leads.
async fn after_login(visitor: &mut Visitor, request: &AuthorizeRequest, person: &Person) -> Answer {
    let login = visitor.open(&request.path()).await;
    let sent = visitor.submit(&login_form(&login, &person.username, &person.password)).await;
    visitor.follow(sent).await
}

/// RFC 8252 §8.6: any program on the device can claim to be one that was allowed once.
#[rstest]
#[tokio::test]
async fn section_8_a_program_that_could_be_any_other_is_allowed_each_time(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let mut document = place.good();
    document["redirect_uris"] = json!(["http://127.0.0.1/cb", place.beside("/callback")]);
    place.publish(&document);
    let on_device = request(&place).with("redirect_uri", "http://127.0.0.1:49152/cb");
    let mut visitor = server.visitor();
    assert!(after_login(&mut visitor, &on_device, &ada).await.text().contains("id=\"consent\""));
    visitor.authorize(&on_device, &ada).await.code();
    let again = visitor.open(&on_device.path()).await;
    assert!(again.text().contains("id=\"consent\""), "{}", again.text());
    let silent = visitor.open(&on_device.clone().with("prompt", "none").path()).await;
    let told = silent.location().expect("it is told").query().unwrap_or_default().to_owned();
    assert!(told.contains("consent_required"), "{told}");
    // What only the host of the document gets is not asked twice.
    let own = visitor.open(&request(&place).path()).await;
    assert!(own.location().is_some_and(|to| to.query().unwrap_or_default().contains("code=")));
}

#[rstest]
#[tokio::test]
async fn section_8_1_a_page_of_somebody_else_is_not_shown_as_one_of_the_client(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let mut document = place.good();
    document["client_name"] = json!("Bank of Example");
    document["client_uri"] = json!("https://bank.example/");
    document["tos_uri"] = json!(place.beside("/terms"));
    place.publish(&document);
    let consent = after_login(&mut server.visitor(), &request(&place), &ada).await.text();
    assert!(consent.contains("id=\"document-host\">127.0.0.1<"), "{consent}");
    assert!(!consent.contains("bank.example") && consent.contains("Its terms"), "{consent}");
}

/// Whether a name leads inside, and who listens where, is not told to whoever asks.
#[rstest]
#[tokio::test]
async fn section_8_6_of_addresses_that_cannot_be_asked_nothing_is_told(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let inward = TestServer::start_with(database, |config| {
        accepting(config);
        config.reach.outbound.allow.clear();
    })
    .await;
    let server = server(database).await;
    let (listens, place) = (DocumentAt::start().await, DocumentAt::start().await);
    listens.hang_up();
    place.say("404 Not Found", "", "");
    let mut pages = Vec::new();
    for (server, id) in [
        (&inward, listens.client_id.clone()),
        (&inward, "https://10.0.0.1/client.json".to_owned()),
        (&server, listens.client_id.clone()),
        (&server, "https://127.0.0.1:9/client.json".to_owned()),
    ] {
        let text = page(server, &request(&place).with("client_id", &id)).await.text();
        let (_, said) = text.split_once("leads to a document that").unwrap_or_else(|| panic!("{id}: {text}"));
        pages.push(said.split('<').next().unwrap_or_default().trim().to_owned());
    }
    assert!(pages.iter().all(|said| said == "cannot be fetched"), "{pages:?}");
    // Nor by a program that asks: a name that leads inside, and one that there is not.
    for path in ["/token", "/par", "/introspect", "/revoke"] {
        let mut answers = Vec::new();
        for id in ["https://localhost/client.json", "https://nobody.invalid/client.json"] {
            let answer = inward.machine.post(path, &[("client_id", id), ("token", "x")]).await;
            answers.push((answer.status.as_u16(), answer.text()));
        }
        assert_eq!(answers.first(), answers.get(1), "{path}");
    }
    let told = page(&server, &request(&place)).await.text();
    assert!(told.contains("cannot be fetched: the answer has the status 404"), "{told}");
}

#[rstest]
#[tokio::test]
async fn section_4_a_sector_is_that_of_clients_which_all_stand_in_one_list(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, list) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let place = DocumentAt::start().await;
    let sector = list.client_id.replace("127.0.0.1", "localhost");
    let mut document = place.good();
    document["subject_type"] = json!("pairwise");
    document["sector_identifier_uri"] = json!(sector);
    place.publish(&document);
    list.publish(&json!(["https://other.example/cb"]));
    assert!(!is_accepted(&server, &request(&place)).await, "it is not in the list");
    list.publish(&json!(["https://other.example/cb", place.beside("/callback")]));
    server.wait(Duration::from_mins(1));
    let tokens = server.tokens(&client(&place), &request(&place), &ada).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    assert_ne!(jwt::claims(&tokens.member("id_token"))["sub"], json!(ada.sub));
}

#[rstest]
#[tokio::test]
async fn section_8_9_a_host_that_looks_like_a_named_one_is_another(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let place = DocumentAt::start().await;
    place.publish(&place.good());
    let server = TestServer::start_with(database, |config| {
        accepting(config);
        config.reach.registration.client_id_metadata_documents = Documents::AllowListed;
        config.reach.registration.document_hosts = vec!["app.example".to_owned()];
    })
    .await;
    for host in [
        "app.example.evil.example",
        "evilapp.example",
        "sub.app.example",
        "app.example.",
        "app.example:8443@127.0.0.1",
        "xn--pp-example-x3b.example",
        "APP.example",
    ] {
        let id = format!("https://{host}/client.json");
        let answer = page(&server, &request(&place).with("client_id", &id)).await;
        assert_eq!((answer.status.as_u16(), answer.location()), (400, None), "{host}: {}", answer.text());
        assert!(!answer.text().contains("fetched"), "{host}: nobody was asked: {}", answer.text());
    }
    assert_eq!(place.asked(), 0);
}

/// Otherwise what anybody wrote would have this server send people anywhere after its operator had closed the door.
#[rstest]
#[tokio::test]
async fn section_8_4_after_a_sign_out_nobody_is_sent_on_by_a_client_that_is_none_any_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, place) = (server(database).await, DocumentAt::start().await);
    let ada = server.admin.user("ada").await;
    let mut document = place.good();
    document["post_logout_redirect_uris"] = json!([place.beside("/bye")]);
    document["client_name"] = json!("Bank of Example");
    place.publish(&document);
    let path = {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &place.client_id);
        query.append_pair("post_logout_redirect_uri", &place.beside("/bye"));
        format!("/logout?{}", query.finish())
    };
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let asked = visitor.open(&path).await;
    assert_eq!(asked.status, 200, "{}", asked.text());
    assert!(asked.text().contains("127.0.0.1 asks to end"), "{}", asked.text());
    assert!(!asked.text().contains("Bank of Example"), "{}", asked.text());
    place.say("404 Not Found", "", "");
    server.wait(Duration::from_hours(1));
    let gone = visitor.open(&path).await;
    assert_eq!((gone.status.as_u16(), gone.location()), (400, None), "{}", gone.text());
}

/// The client says how long its document or its keys take, and the person may change their mind meanwhile.
#[rstest]
#[tokio::test]
async fn what_is_taken_back_while_the_client_is_fetched_is_asked_for_again(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(false, true)] by_object: bool,
) {
    let (server, place, keys) = (server(database).await, DocumentAt::start().await, SigningKeys::generate());
    let ada = server.admin.user("ada").await;
    place.publish_for(&place.good(), "max-age=300");
    let jwks = keys.public_jwks().to_string();
    place.say_at("/jwks", "200 OK", "content-type: application/json\r\n", jwks.as_bytes());
    let wish = json!({ "name": "Signer", "preset": "web", "redirect_uris": [place.beside("/callback")],
        "options": { "jwks_uri": place.beside("/jwks") } });
    let signer = server.admin.client(wish).await;
    let (client, path) = if by_object {
        let object = AuthorizeRequest::of(&signer).object(&server.issuer);
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &signer.id);
        query.append_pair("request", &keys.sign_as("oauth-authz-req+jwt", &object));
        (signer.id.clone(), format!("/authorize?{}", query.finish()))
    } else {
        (place.client_id.clone(), request(&place).path())
    };
    let mut visitor = server.visitor();
    visitor.walk(&path, &ada).await;
    assert!(visitor.open(&path).await.location().is_some(), "nobody is asked twice");
    server.wait(Duration::from_mins(11));
    place.hold();
    let asked = place.asked();
    let opening = tokio::spawn(async move { visitor.open(&path).await });
    place.is_asked(asked + 1).await;
    let withdraw = format!("/users/{}/consents/withdraw", ada.id);
    let withdrawn = server.admin.send(Method::POST, &withdraw, &json!({ "client": client })).await;
    assert_eq!(withdrawn.status, 204, "{}", withdrawn.text());
    place.go_on();
    the_form(&opening.await.unwrap(), "consent");
}

//! OAuth 2.0 Demonstrating Proof of Possession ([RFC 9449](https://www.rfc-editor.org/rfc/rfc9449)).

mod codes;
mod grants;
mod resources;

use std::time::Duration;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const ORDERS: &str = "https://orders.test";
const FOR_ORDERS: [Field<'_>; 2] = [("grant_type", "client_credentials"), ("resource", ORDERS)];

/// A machine that may ask for tokens for the orders.
async fn machine(server: &TestServer) -> Registered {
    let orders = server.admin.api(ORDERS).await;
    server.admin.machine_client(&[&orders]).await
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

/// A token request of a client with exactly this proof.
async fn with_proof(server: &TestServer, client: &Registered, fields: &[Field<'_>], proof: &str) -> Answer {
    Answer::to(server.machine.form_of(client, "/token", fields).header("dpop", proof)).await
}

fn redemption<'a>(request: &'a AuthorizeRequest, callback: &'a Callback) -> [Field<'a>; 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", &request.pkce.verifier),
    ]
}

/// What a public client gets for somebody who signs in.
async fn tokens_of_a_public_client(server: &TestServer, app: &Registered, holder: &Holder) -> Answer {
    let ada = server.admin.user("ada").await;
    let request = AuthorizeRequest::of(app).with("scope", "openid offline_access");
    let callback = server.visitor().authorize(&request, &ada).await;
    let tokens = holder.post(server, app, "/token", &redemption(&request, &callback)).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    tokens
}

#[rstest]
#[tokio::test]
async fn section_5_a_proof_binds_the_access_token_to_its_key(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let client = machine(&server).await;
    let holder = Holder::generate();
    let answer = holder.post(&server, &client, "/token", &FOR_ORDERS).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["token_type"], "DPoP");
    let token = answer.member("access_token");
    assert_eq!(jwt::claims(&token)["cnf"], json!({ "jkt": holder.jkt() }));
    let before = server.statements();
    holder.post(&server, &client, "/token", &FOR_ORDERS).await;
    assert_eq!(server.statements() - before, 1, "the proof alone costs a statement");
    let told = server.machine.introspect(&client, &token).await.json();
    assert_eq!((&told["active"], &told["token_type"]), (&json!(true), &json!("DPoP")), "{told}");
    assert_eq!(told["cnf"], json!({ "jkt": holder.jkt() }));
    let bearer = server.machine.token(&client, &FOR_ORDERS).await;
    assert_eq!(bearer.json()["token_type"], "Bearer", "without a proof nothing is bound");
    assert!(jwt::claims(&bearer.member("access_token")).get("cnf").is_none());
}

#[rstest]
#[tokio::test]
async fn section_5_the_refresh_tokens_of_a_public_client_are_bound_to_its_key(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let app = server.admin.native_client(&[]).await;
    let (holder, thief) = (Holder::generate(), Holder::generate());
    let tokens = tokens_of_a_public_client(&server, &app, &holder).await;
    let first = tokens.member("refresh_token");
    let stolen = thief.refresh(&server, &app, &first).await;
    assert_eq!(told(&stolen), refused(400, "invalid_grant"), "{}", stolen.text());
    let bare = server.machine.refresh(&app, &first).await;
    assert_eq!(told(&bare), refused(400, "invalid_grant"), "{}", bare.text());
    let before = server.statements();
    let answer = holder.refresh(&server, &app, &first).await;
    assert_eq!(answer.status, 200, "nothing was spent: {}", answer.text());
    assert_eq!(server.statements() - before, 3, "the proof costs no statement of its own");
    assert_eq!(jwt::claims(&answer.member("access_token"))["cnf"], json!({ "jkt": holder.jkt() }));
    let second = answer.member("refresh_token");
    // Whoever found the spent token and lacks the key signs nobody out.
    server.wait(Duration::from_mins(1));
    let spent = thief.refresh(&server, &app, &first).await;
    assert_eq!(told(&spent), refused(400, "invalid_grant"));
    assert_eq!(holder.refresh(&server, &app, &second).await.status, 200);
    let replayed = holder.refresh(&server, &app, &first).await;
    assert_eq!(told(&replayed), refused(400, "invalid_grant"));
    let burnt = holder.refresh(&server, &app, &second).await;
    assert_eq!(told(&burnt), refused(400, "invalid_grant"), "its own replay revokes the family");
}

#[rstest]
#[tokio::test]
async fn section_5_a_lost_answer_is_given_again_to_the_same_key_and_another_proof(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let app = server.admin.native_client(&[]).await;
    let holder = Holder::generate();
    let tokens = tokens_of_a_public_client(&server, &app, &holder).await;
    let token = tokens.member("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let proof = holder.proof(&holder.claims(&server, "POST", "/token"));
    let lost = with_proof(&server, &app, &fields, &proof).await;
    assert_eq!(lost.status, 200, "{}", lost.text());
    let same = with_proof(&server, &app, &fields, &proof).await;
    assert_eq!(told(&same), refused(400, "invalid_dpop_proof"), "a proof counts once");
    let again = holder.refresh(&server, &app, &token).await;
    assert_eq!(again.status, 200, "{}", again.text());
    assert_eq!(again.member("refresh_token"), lost.member("refresh_token"), "the same successor");
}

#[rstest]
#[tokio::test]
async fn section_5_a_confidential_client_may_change_its_key(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
    let callback = server.visitor().authorize(&request, &ada).await;
    let (old, new) = (Holder::generate(), Holder::generate());
    let tokens = old.post(&server, &shop, "/token", &redemption(&request, &callback)).await;
    assert_eq!(tokens.json()["token_type"], "DPoP", "{}", tokens.text());
    let answer = new.refresh(&server, &shop, &tokens.member("refresh_token")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(jwt::claims(&answer.member("access_token"))["cnf"], json!({ "jkt": new.jkt() }));
    let bare = server.machine.refresh(&shop, &answer.member("refresh_token")).await;
    assert_eq!(bare.json()["token_type"], "Bearer", "{}", bare.text());
}

#[rstest]
#[tokio::test]
async fn section_5_2_a_client_can_be_held_to_bound_tokens(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api(ORDERS).await;
    let robot = json!({ "name": "Robot", "preset": "m2m", "apis": [orders.id],
        "options": { "protocol": { "dpop_bound_access_tokens": true } } });
    let robot = server.admin.client(robot).await;
    let bare = server.machine.token(&robot, &FOR_ORDERS).await;
    assert_eq!(told(&bare), refused(400, "invalid_dpop_proof"), "{}", bare.text());
    assert_eq!(Holder::generate().post(&server, &robot, "/token", &FOR_ORDERS).await.status, 200);
    let shown = server.admin.get(&format!("/clients/{}", robot.id)).await;
    assert_eq!(shown.json()["settings"]["protocol"]["dpop_bound_access_tokens"], true, "{}", shown.text());
}

// CA-12
#[rstest]
#[tokio::test]
async fn section_4_3_and_5_a_proof_is_for_this_request_made_now_and_by_its_own_key(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let client = machine(&server).await;
    let holder = Holder::generate();
    holder.greet(&server).await;
    let now = server.clock.now().as_secs();
    let claims = || holder.claims(&server, "POST", "/token");
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        holder.proof(&claims)
    };
    let without = |name: &str| {
        let mut claims = claims();
        claims.as_object_mut().unwrap().remove(name);
        holder.proof(&claims)
    };
    let headed = |header: Value| holder.proof_with(&header, &claims());
    let (jwk, other) = (holder.jwk(), Holder::generate().jwk());
    let mut private = jwk.clone();
    private["d"] = jwk["x"].clone();
    for (what, proof) in [
        ("no JWT", "hello".to_owned()),
        ("another method", with("htm", json!("GET"))),
        ("another path", with("htu", json!(format!("{}/par", server.issuer)))),
        ("another host", with("htu", json!("https://as.evil.test/token"))),
        ("two minutes old", with("iat", json!(now - 120))),
        ("two minutes ahead", with("iat", json!(now + 120))),
        ("no time", without("iat")),
        ("no name", without("jti")),
        ("a long name", with("jti", json!("x".repeat(257)))),
        ("another type", headed(json!({ "typ": "JWT", "alg": "ES256", "jwk": jwk }))),
        ("unsigned", headed(json!({ "typ": "dpop+jwt", "alg": "none", "jwk": jwk }))),
        ("a shared key", headed(json!({ "typ": "dpop+jwt", "alg": "HS256", "jwk": jwk }))),
        ("no key", headed(json!({ "typ": "dpop+jwt", "alg": "ES256" }))),
        ("a private key", headed(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": private }))),
        ("somebody else's key", headed(json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": other }))),
    ] {
        let answer = with_proof(&server, &client, &FOR_ORDERS, &proof).await;
        assert_eq!(told(&answer), refused(400, "invalid_dpop_proof"), "{what}: {}", answer.text());
    }
    let two = server.machine.form_of(&client, "/token", &FOR_ORDERS);
    let two = two.header("dpop", holder.proof(&claims())).header("dpop", holder.proof(&claims()));
    assert_eq!(told(&Answer::to(two).await), refused(400, "invalid_dpop_proof"), "two proofs");
    for (what, proof) in [
        ("ten seconds ahead", with("iat", json!(now + 10))),
        ("ten seconds old", with("iat", json!(now - 10))),
        ("a query", with("htu", json!(format!("{}/token?x=1#y", server.issuer)))),
    ] {
        let answer = with_proof(&server, &client, &FOR_ORDERS, &proof).await;
        assert_eq!(answer.status, 200, "{what}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_8_a_proof_has_a_nonce_of_this_server_that_is_fresh(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let client = machine(&server).await;
    let holder = Holder::generate();
    let bare = holder.proof(&holder.claims(&server, "POST", "/token"));
    // Until each server knows the client.
    for _ in 0..4 {
        with_proof(&server, &client, &FOR_ORDERS, &bare).await;
    }
    let before = server.statements();
    let asked = with_proof(&server, &client, &FOR_ORDERS, &bare).await;
    assert_eq!(told(&asked), refused(400, "use_dpop_nonce"), "{}", asked.text());
    assert_eq!(server.statements(), before, "nonces are stored nowhere");
    let nonce = asked.header("dpop-nonce").to_owned();
    assert!(!nonce.is_empty());
    holder.learn(&asked);
    let claims = holder.claims(&server, "POST", "/token");
    let good = with_proof(&server, &client, &FOR_ORDERS, &holder.proof(&claims)).await;
    assert_eq!((good.status.as_u16(), good.header("dpop-nonce")), (200, nonce.as_str()), "{}", good.text());
    assert_eq!(good.header("cache-control"), "no-store");
    let mut made_up = holder.claims(&server, "POST", "/token");
    made_up["nonce"] = json!("made-up");
    let refusal = with_proof(&server, &client, &FOR_ORDERS, &holder.proof(&made_up)).await;
    assert_eq!(told(&refusal), refused(400, "use_dpop_nonce"));
    server.wait(Duration::from_mins(15));
    let stale =
        with_proof(&server, &client, &FOR_ORDERS, &holder.proof(&holder.claims(&server, "POST", "/token")))
            .await;
    assert_eq!(told(&stale), refused(400, "use_dpop_nonce"));
    assert_ne!(stale.header("dpop-nonce"), nonce);
    let unproven = server.machine.token(&client, &FOR_ORDERS).await;
    assert_eq!((unproven.status.as_u16(), unproven.header("dpop-nonce")), (200, ""), "nobody asked");
}

#[rstest]
#[tokio::test]
async fn section_8_an_operator_may_do_without_nonces(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_with(database, |config| config.protocol.require_dpop_nonces = false).await;
    let client = machine(&server).await;
    let holder = Holder::generate();
    let proof = holder.proof(&holder.claims(&server, "POST", "/token"));
    let answer = with_proof(&server, &client, &FOR_ORDERS, &proof).await;
    assert_eq!((answer.status.as_u16(), answer.header("dpop-nonce")), (200, ""), "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn section_11_1_a_proof_counts_once_whatever_it_buys(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let client = machine(&server).await;
    let app = server.admin.native_client(&[]).await;
    let holder = Holder::generate();
    holder.greet(&server).await;
    let used = holder.proof(&holder.claims(&server, "POST", "/token"));
    assert_eq!(with_proof(&server, &client, &FOR_ORDERS, &used).await.status, 200);
    let again = with_proof(&server, &client, &FOR_ORDERS, &used).await;
    assert_eq!(told(&again), refused(400, "invalid_dpop_proof"), "{}", again.text());
    let request = AuthorizeRequest::of(&app).with("scope", "openid offline_access");
    let callback = server.visitor().authorize(&request, &ada).await;
    let fields = redemption(&request, &callback);
    let replayed = with_proof(&server, &app, &fields, &used).await;
    assert_eq!(told(&replayed), refused(400, "invalid_dpop_proof"), "at another grant");
    let for_code = holder.proof(&holder.claims(&server, "POST", "/token"));
    let tokens = with_proof(&server, &app, &fields, &for_code).await;
    assert_eq!(tokens.status, 200, "the code is still good: {}", tokens.text());
    let refresh = tokens.member("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh.as_str())];
    for used in [&used, &for_code] {
        let replayed = with_proof(&server, &app, &fields, used).await;
        assert_eq!(told(&replayed), refused(400, "invalid_dpop_proof"), "{}", replayed.text());
    }
    assert_eq!(holder.refresh(&server, &app, &refresh).await.status, 200, "nothing was spent");
    // Another key may use the same name.
    let other = Holder::generate();
    let mut claims = holder.claims(&server, "POST", "/token");
    for holder in [&holder, &other] {
        claims["jti"] = json!("the same");
        let answer = with_proof(&server, &client, &FOR_ORDERS, &holder.proof(&claims)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_5_1_the_metadata_and_the_preflight_say_what_is_taken(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let metadata = server.machine.get("/.well-known/oauth-authorization-server").await.json();
    let algs = json!(["EdDSA", "ES256", "PS256", "RS256"]);
    assert_eq!(metadata["dpop_signing_alg_values_supported"], algs, "{metadata}");
    let asked = Answer::to(server.machine.request(Method::OPTIONS, "/token")).await;
    assert!(asked.header("access-control-allow-headers").contains("dpop"));
    assert!(asked.header("access-control-expose-headers").contains("dpop-nonce"));
}

//! JSON Web Token Best Current Practices ([RFC 8725](https://www.rfc-editor.org/rfc/rfc8725)): what this server signs, and by which keys.
//! How it takes what others made up is shown by the attacks of the group JW.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::{claims, header};
use portcullis_tests::server::TestServer;
use portcullis_tests::token::basic;
use portcullis_tests::told::Told;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::sign_out_scene::{sign_out, start};

const ORDERS: &str = "https://orders.test";
const DOCUMENTS: [&str; 2] = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

fn texts(list: &Value) -> BTreeSet<String> {
    list.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[rstest]
#[tokio::test]
async fn section_3_1_a_key_says_for_which_algorithm_it_is_and_that_it_is_for_signatures(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let jwks = server.machine.get("/jwks").await.json();
    let mut of_key = BTreeMap::new();
    for key in jwks["keys"].as_array().unwrap() {
        assert_eq!(key["use"], "sig", "{key}");
        let (kid, alg) = (key["kid"].as_str().unwrap(), key["alg"].as_str().unwrap());
        assert_eq!(of_key.insert(kid.to_owned(), alg.to_owned()), None, "two keys are called {kid}");
    }
    let metadata = server.machine.get(DOCUMENTS[1]).await.json();
    let offered = texts(&metadata["id_token_signing_alg_values_supported"]);
    assert_eq!(of_key.values().cloned().collect::<BTreeSet<_>>(), offered);
    for alg in &offered {
        let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "options": { "id_token_alg": alg } });
        let shop = server.admin.client(shop).await;
        let tokens = server.tokens(&shop, &AuthorizeRequest::of(&shop), &ada).await;
        for (kind, wanted) in [("id_token", Some(alg)), ("access_token", None)] {
            let said = header(&tokens.member(kind));
            let (kid, said) =
                (said["kid"].as_str().unwrap().to_owned(), said["alg"].as_str().unwrap().to_owned());
            assert_eq!(of_key.get(&kid), Some(&said), "{kind}: by the one algorithm of its key");
            assert!(wanted.is_none_or(|wanted| *wanted == said), "{kind}: {said}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_3_2_no_list_has_none_or_a_shared_secret(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    for place in DOCUMENTS {
        let metadata = server.machine.get(place).await.json();
        let lists = metadata.as_object().unwrap().iter();
        let lists: Vec<_> = lists.filter(|(name, _)| name.ends_with("alg_values_supported")).collect();
        assert!(lists.len() >= 6, "{place}: {lists:?}");
        for (name, list) in lists {
            for alg in texts(list) {
                assert!(["EdDSA", "ES256", "PS256", "RS256"].contains(&&*alg), "{place} {name}: {alg}");
            }
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_3_5_keys_are_long_enough(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let jwks = server.machine.get("/jwks").await.json();
    let mut kinds = BTreeSet::new();
    for key in jwks["keys"].as_array().unwrap() {
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        let kind = key["kty"].as_str().unwrap();
        match kind {
            "RSA" => {
                assert!(bytes("n").len() >= 256 && bytes("n")[0] >= 0x80, "2048 bits and more: {key}");
                assert_eq!(bytes("e"), [1, 0, 1]);
            }
            "EC" => assert_eq!((&key["crv"], bytes("x").len(), bytes("y").len()), (&json!("P-256"), 32, 32)),
            "OKP" => assert_eq!((&key["crv"], bytes("x").len()), (&json!("Ed25519"), 32)),
            other => panic!("{other}"),
        }
        kinds.insert(kind);
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), ["EC", "OKP", "RSA"]);
}

/// All that this server signs for clients with the keys that it publishes, by what it is: good tokens of a session that lasts.
async fn signed(server: &TestServer, told: &mut Told) -> BTreeMap<&'static str, String> {
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api(ORDERS).await;
    let guard = server.admin.guard_client(&orders).await;
    let document = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "apis": [orders.id], "options": { "id_token_alg": "ES256", "protocol": {
            "backchannel_logout_uri": told.uri, "userinfo_signed_response_alg": "ES256",
            "authorization_signed_response_alg": "ES256", "introspection_signed_response_alg": "ES256" } } });
    let shop = server.admin.client(document).await;
    let mut browser = server.visitor();
    let mut bought = Vec::new();
    for resource in [&*server.issuer, ORDERS] {
        let request = AuthorizeRequest::of(&shop).with("resource", resource);
        let callback = browser.authorize(&request, &ada).await;
        bought.push(server.machine.redeem(&shop, &request, &callback).await);
    }
    let (hers, for_orders) = (bought[0].member("access_token"), bought[1].member("access_token"));
    let answer = AuthorizeRequest::of(&shop).with("response_mode", "jwt");
    let answer = browser.authorize(&answer, &ada).await.get("response").to_owned();
    let userinfo = server.machine.userinfo(&hers).await.text();
    let introspection = server.machine.introspect_signed(&guard, &for_orders).await.text();
    let as_guard = basic(&guard.id, guard.secret.as_deref().unwrap());
    let snapshot =
        server.machine.request(Method::GET, "/policies/snapshot").header("authorization", as_guard);
    let snapshot = Answer::to(snapshot).await.text();
    let id_token = bought[0].member("id_token");
    let carl = server.admin.user("carl").await;
    let mut leaves = server.visitor();
    let request = AuthorizeRequest::of(&shop);
    let callback = leaves.authorize(&request, &carl).await;
    assert_eq!(server.machine.redeem(&shop, &request, &callback).await.status, 200);
    sign_out(&mut leaves).await;
    let logout = told.token().await;
    let kinds = [
        ("access token", hers),
        ("access token for an API", for_orders),
        ("answer of the authorization endpoint", answer),
        ("answer of userinfo", userinfo),
        ("answer of introspection", introspection),
        ("ID token", id_token),
        ("logout token", logout),
        ("policy snapshot", snapshot),
    ];
    BTreeMap::from(kinds)
}

/// Section 3.12 leaves the means open: here it is the type of each, and for the two that libraries take by `JWT` alone what they say.
#[rstest]
#[tokio::test]
async fn section_3_11_and_3_12_what_is_signed_here_passes_for_one_kind_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let (server, mut told) = (start(database).await, Told::start().await);
    let kinds = signed(&server, &mut told).await;
    let types: Vec<Value> = kinds.values().map(|token| header(token)["typ"].clone()).collect();
    let apart: BTreeSet<String> = types.iter().map(Value::to_string).collect();
    assert_eq!((kinds.len(), apart.len()), (8, 6), "two are access tokens, two are `JWT`: {types:?}");

    let asks = server.admin.web_client(&[]).await;
    let bob = server.admin.user("bob").await;
    for (kind, token) in &kinds {
        let is_access_token = kind.starts_with("access token");
        let info = server.machine.userinfo(token).await;
        let expected = if *kind == "access token" { 200 } else { 401 };
        assert_eq!(info.status, expected, "{kind} for userinfo: {}", info.text());
        let admin = server.machine.request(Method::GET, "/api/v1/users").bearer_auth(token);
        assert_eq!(Answer::to(admin).await.status, 401, "{kind} for the admin API");
        assert!(!server.machine.is_active(&asks, token).await, "{kind} is called active");
        let hint = AuthorizeRequest::of(&asks).with("id_token_hint", token);
        let hinted = server.visitor().authorize(&hint, &bob).await;
        if *kind == "ID token" {
            assert_eq!(hinted.error(), "login_required", "it names ada, and bob signed in");
        } else {
            assert_eq!(hinted.error(), "invalid_request", "{kind} for a hint");
        }
        let out = server.machine.get(&format!("/logout?id_token_hint={token}")).await;
        assert_eq!(out.status == 400, *kind != "ID token", "{kind} for a sign-out: {}", out.status);
        assert_eq!(is_access_token, header(token)["typ"] == "at+jwt", "{kind}");
        assert_eq!(claims(token)["iss"], *server.issuer, "{kind}");
    }
}

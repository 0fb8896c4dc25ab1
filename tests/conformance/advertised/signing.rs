//! Algorithms: those that this server signs by, and those that clients may sign by.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::assertion_of;
use portcullis_tests::authorize::{AuthorizeRequest, random_text};
use portcullis_tests::ciba::bank;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::token::Field;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::advertised::keys::Key;
use crate::advertised::{Setup, Told};

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Algorithms that exist, and that nothing here is signed by.
const OTHERS: [&str; 4] = ["ES384", "HS256", "RS512", "none"];

/// Lists of what this server signs by, and the setting of a client that chooses.
const OURS: [(&str, &str); 4] = [
    ("authorization_signing_alg_values_supported", "authorization_signed_response_alg"),
    ("id_token_signing_alg_values_supported", "id_token_alg"),
    ("introspection_signing_alg_values_supported", "introspection_signed_response_alg"),
    ("userinfo_signing_alg_values_supported", "userinfo_signed_response_alg"),
];

/// A client to which everything is signed by one algorithm.
fn signed_for(settings: &[(&str, &str)]) -> Value {
    let mut document = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "protocol": {} } });
    for (setting, alg) in settings {
        let options = &mut document["options"];
        let place = if *setting == "id_token_alg" { options } else { &mut options["protocol"] };
        place[*setting] = json!(alg);
    }
    document
}

const OBJECTS: &str = "request_object_signing_alg_values_supported";

#[rstest]
#[tokio::test]
async fn section_2_this_server_signs_by_each_algorithm_that_is_named_and_by_no_other(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    let algs = told.list(OURS[0].0);
    for (list, setting) in OURS {
        assert_eq!(told.list(list), algs, "{list}");
        for other in OTHERS {
            assert!(!told.names(list, other), "{list}: {other}");
            let document = signed_for(&[(setting, other)]);
            let refused = told.server.admin.send(Method::POST, "/clients", &document).await;
            assert_eq!(refused.status, 422, "{setting} {other}: {}", refused.text());
        }
    }
    let machine = &told.server.machine;
    for alg in &algs {
        let shop =
            told.server.admin.client(signed_for(&OURS.map(|(_, setting)| (setting, alg.as_str())))).await;
        let request = AuthorizeRequest::of(&shop).with("response_mode", "jwt");
        let response = told.sign_in(&shop, &request).await.get("response").to_owned();
        assert_eq!(jwt::header(&response)["alg"], alg.as_str());
        let code = jwt::claims(&response)["code"].as_str().expect("a code").to_owned();
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", request.get("redirect_uri")),
            ("code_verifier", &request.pkce.verifier),
        ];
        let tokens = machine.token(&shop, &fields).await;
        assert_eq!(tokens.status, 200, "{alg}: {}", tokens.text());
        assert_eq!(jwt::header(&tokens.member("id_token"))["alg"], alg.as_str());
        let token = tokens.member("access_token");
        let userinfo = machine.userinfo(&token).await.text();
        assert_eq!(jwt::header(&userinfo)["alg"], alg.as_str());
        let about = machine.introspect_signed(&shop, &token).await;
        assert_eq!(jwt::header(&about.text())["alg"], alg.as_str(), "{}", about.text());
    }
}

/// A request with an assertion that is signed by a key.
async fn ask(
    told: &Told,
    client: &Registered,
    path: &str,
    fields: &[Field<'_>],
    sign: impl Fn(&Value) -> String,
) -> Answer {
    let assertion = sign(&assertion_of(&client.id, &told.server.issuer, told.server.clock.now()));
    let proof = [("client_assertion_type", BEARER), ("client_assertion", &*assertion)];
    told.server.machine.post(path, &[fields, &proof].concat()).await
}

async fn signer(told: &Told, key: &Key) -> Registered {
    let document = json!({ "name": "Signer", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "jwks": key.jwks() });
    told.server.admin.client(document).await
}

#[rstest]
#[tokio::test]
async fn section_2_a_client_signs_its_assertions_and_requests_by_each_algorithm_that_is_named_and_by_no_other(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    let (token, grant) = ([("token", "x")], [("grant_type", "refresh_token"), ("refresh_token", "x")]);
    for (list, path, fields, status) in [
        ("token_endpoint_auth_signing_alg_values_supported", "/token", &grant[..], 400),
        ("introspection_endpoint_auth_signing_alg_values_supported", "/introspect", &token, 200),
        ("revocation_endpoint_auth_signing_alg_values_supported", "/revoke", &token, 200),
    ] {
        for alg in told.list(list) {
            let key = Key::of(&alg);
            let client = signer(&told, &key).await;
            let answer = ask(&told, &client, path, fields, |claims| key.sign("JWT", claims)).await;
            // The refresh token is nonsense, the assertion is not.
            let code = if status == 400 { "invalid_grant" } else { "" };
            assert_eq!((answer.status.as_u16(), &*answer.error()), (status, code), "{list}: {alg}");
        }
        let key = Key::of("ES256");
        let client = signer(&told, &key).await;
        for other in OTHERS {
            assert!(!told.names(list, other), "{list}: {other}");
            let header = json!({ "alg": other, "typ": "JWT" });
            let sign = |claims: &Value| key.sign_with(header.clone(), claims);
            let answer = ask(&told, &client, path, fields, sign).await;
            assert_eq!(
                (answer.status.as_u16(), &*answer.error()),
                (401, "invalid_client"),
                "{list}: {other}"
            );
        }
    }
    let push = async |key: &Key, header: Value| {
        let client = signer(&told, key).await;
        let claims = AuthorizeRequest::of(&client).object(&told.server.issuer);
        let object = key.sign_with(header, &claims);
        ask(&told, &client, "/par", &[("request", &object)], |claims| key.sign("JWT", claims)).await
    };
    for alg in told.list(OBJECTS) {
        let answer = push(&Key::of(&alg), json!({ "typ": "oauth-authz-req+jwt" })).await;
        assert_eq!(answer.status, 201, "{alg}: {}", answer.text());
    }
    for other in OTHERS {
        assert!(!told.names(OBJECTS, other), "{other}");
        let answer = push(&Key::of("ES256"), json!({ "alg": other })).await;
        assert_eq!((answer.status.as_u16(), &*answer.error()), (400, "invalid_request_object"), "{other}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_a_client_signs_what_it_starts_from_behind_by_each_algorithm_that_is_named(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Closed, Setup::Usual)] setup: Setup,
) {
    const LIST: &str = "backchannel_authentication_request_signing_alg_values_supported";
    let told = Told::of(setup, database).await;
    assert_eq!(told.metadata.get(LIST).is_some(), setup == Setup::Usual);
    let now = told.server.clock.now().as_secs();
    let document = |alg: &str, key: &Key| {
        let mut document = bank("poll", &json!({ "backchannel_authentication_request_signing_alg": alg }));
        document["jwks"] = key.jwks();
        document["options"]["authentication"] =
            json!({ "token_endpoint_auth_method": "client_secret_basic" });
        document
    };
    for alg in if setup == Setup::Usual { told.list(LIST) } else { Vec::new() } {
        let key = Key::of(&alg);
        let client = told.server.admin.client(document(&alg, &key)).await;
        let claims = json!({ "iss": client.id, "aud": told.server.issuer, "iat": now, "nbf": now,
            "exp": now + 60, "jti": random_text(), "scope": "openid", "login_hint": "ada" });
        let object = key.sign("JWT", &claims);
        let answer = told.server.machine.start(&client, &[("request", &object)]).await;
        assert_eq!(answer.status, 200, "{alg}: {}", answer.text());
    }
    for other in OTHERS {
        assert!(!told.names(LIST, other), "{other}");
        let document = document(other, &Key::of("ES256"));
        let refused = told.server.admin.send(Method::POST, "/clients", &document).await;
        assert_eq!(refused.status, 422, "{other}: {}", refused.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_2_a_proof_is_signed_by_each_algorithm_that_is_named_and_by_no_other(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Strict, Setup::Usual)] setup: Setup,
) {
    const LIST: &str = "dpop_signing_alg_values_supported";
    let told = Told::of(setup, database).await;
    let (server, machine) = (&told.server, &told.server.machine);
    let api = server.admin.api("https://orders.test").await;
    let robot = server.admin.machine_client(&[&api]).await;
    let fields = [("grant_type", "client_credentials"), ("resource", &*api.audience)];
    let ask = async |key: &Key, alg: &str, nonce: &str| {
        let claims = json!({ "jti": random_text(), "htm": "POST", "htu": machine.url("/token"),
            "iat": server.clock.now().as_secs(), "nonce": nonce });
        let proof = key.sign_with(json!({ "typ": "dpop+jwt", "alg": alg, "jwk": key.jwk() }), &claims);
        Answer::to(machine.form_of(&robot, "/token", &fields).header("dpop", proof)).await
    };
    let first = ask(&Key::of("ES256"), "ES256", "x").await;
    let nonce = first.header("dpop-nonce");
    for alg in told.list(LIST) {
        let answer = ask(&Key::of(&alg), &alg, nonce).await;
        assert_eq!((answer.status.as_u16(), &*answer.member("token_type")), (200, "DPoP"), "{alg}");
    }
    for other in OTHERS {
        assert!(!told.names(LIST, other), "{other}");
        let answer = ask(&Key::of("ES256"), other, nonce).await;
        assert_eq!((answer.status.as_u16(), &*answer.error()), (400, "invalid_dpop_proof"), "{other}");
    }
}

//! JW-16: what a token says of itself is said by the server alone, whatever is known of a person, configured or asked for.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_of};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Map, Value, json};

/// What tokens of this server say of themselves, of their client and of the sign-in.
const RESERVED: [&str; 22] = [
    "acr",
    "act",
    "amr",
    "at_hash",
    "aud",
    "auth_time",
    "authorization_details",
    "azp",
    "client_id",
    "cnf",
    "exp",
    "gid",
    "iat",
    "iss",
    "jti",
    "nbf",
    "nonce",
    "org",
    "roles",
    "scope",
    "sid",
    "sub",
];

const EVIL: &str = "https://evil.test";

#[rstest]
#[tokio::test]
async fn jw_16_no_account_has_an_attribute_that_is_called_like_a_claim_of_tokens(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let path = format!("/users/{}", ada.id);
    let known = server.admin.get(&path).await;
    let list = server.admin.get("/users").await.json();
    for name in RESERVED.iter().copied().chain(["attributes", "claims", "custom_claims", "metadata"]) {
        let with = |pointer: &str| {
            let mut document = json!({ "username": "eve", "profile": { "nickname": "Eve", "address": {} } });
            document.pointer_mut(pointer).unwrap()[name] = json!(EVIL);
            document
        };
        for pointer in ["", "/profile", "/profile/address"] {
            let created = server.admin.send(Method::POST, "/users", &with(pointer)).await;
            let put = server.admin.request(Method::PUT, &path).await.header("if-match", known.header("etag"));
            for refused in [created, Answer::to(put.json(&with(pointer))).await] {
                let status = refused.status.as_u16();
                assert!(matches!(status, 400 | 422), "{pointer}/{name}: {status} {}", refused.text());
                assert!(refused.text().contains(name), "{pointer}/{name}: {}", refused.text());
            }
        }
    }
    assert_eq!(server.admin.get("/users").await.json(), list, "nothing was kept");
}

#[rstest]
#[tokio::test]
async fn jw_16_no_setting_is_called_like_a_claim_of_tokens(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "protocol": {} } });
    let api = json!({ "audience": "https://orders.test", "name": "Orders" });
    let documents = [("/clients", &shop, &["", "/options", "/options/protocol"][..]), ("/apis", &api, &[""])];
    for name in RESERVED.iter().copied().chain(["attributes", "claims", "custom_claims", "id_token_claims"]) {
        for (path, document, pointers) in documents {
            for pointer in pointers {
                let mut bent = document.clone();
                bent.pointer_mut(pointer).unwrap()[name] = json!(EVIL);
                let refused = server.admin.send(Method::POST, path, &bent).await;
                let status = refused.status.as_u16();
                assert!(matches!(status, 400 | 422), "{path}{pointer}/{name}: {status} {}", refused.text());
            }
        }
    }
    for (path, document, _) in documents {
        assert_eq!(server.admin.send(Method::POST, path, document).await.status, 201, "{path} without");
    }
}

/// The claims of a token, none of which may be there twice.
fn said_once(token: &str) -> Value {
    let said = claims(token);
    let payload = token.split('.').nth(1).unwrap().len() * 3 / 4;
    assert_eq!(
        said.to_string().len(),
        payload,
        "written without blanks, the same claims are as long: {said}"
    );
    said
}

#[rstest]
#[tokio::test]
async fn jw_16_a_claim_that_is_asked_for_changes_nothing_that_the_server_says(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    server.admin.assign(&orders, "viewer", &ada.id).await;
    let shop = server.admin.web_client(&[&orders]).await;
    // The subject is a claim that a request may name, and then nobody else is signed in.
    let wish = |name: &str| match name {
        "sub" => json!({ "value": ada.sub }),
        "authorization_details" | "amr" | "roles" => json!({ "value": [EVIL] }),
        "cnf" | "act" => json!({ "value": { "jkt": EVIL, "sub": EVIL } }),
        "exp" | "iat" | "nbf" | "auth_time" => json!({ "value": 4_102_444_800_i64 }),
        _ => json!({ "values": [EVIL] }),
    };
    let wishes: Map<String, Value> = RESERVED.iter().map(|name| ((*name).to_owned(), wish(name))).collect();
    let plain = AuthorizeRequest::of(&shop).with("resource", &orders.audience);
    let asking = plain.clone().with("claims", &json!({ "id_token": wishes, "userinfo": wishes }).to_string());
    let mut browser = server.visitor();
    let mut bought = Vec::new();
    for request in [&plain, &asking] {
        let callback = browser.authorize(request, &ada).await;
        let tokens = server.machine.redeem(&shop, request, &callback).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        let mut said = ["id_token", "access_token"].map(|kind| said_once(&tokens.member(kind)));
        assert_eq!(said[0]["nonce"], request.get("nonce"));
        // These are new each time.
        for name in ["at_hash", "gid", "jti", "nonce"] {
            for claims in &mut said {
                claims.as_object_mut().unwrap().remove(name);
            }
        }
        bought.push(said);
    }
    assert_eq!(bought[0], bought[1]);
    let [id_token, access] = &bought[1];
    assert_eq!((&id_token["iss"], &id_token["aud"]), (&json!(server.issuer), &json!(shop.id)));
    assert_eq!((&access["iss"], &access["aud"]), (&json!(server.issuer), &json!(orders.audience)));
    assert_eq!(
        (&access["roles"], &access["cnf"], &access["act"]),
        (&json!(["viewer"]), &json!(null), &json!(null))
    );
    for absent in ["roles", "scope", "cnf", "act", "client_id", "org"] {
        assert_eq!(id_token.get(absent), None, "{absent}");
    }
}

#[rstest]
#[tokio::test]
async fn jw_16_userinfo_says_nothing_of_itself_on_request(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let shop = server.admin.web_client(&[]).await;
    let wishes: Map<String, Value> =
        RESERVED.iter().map(|name| ((*name).to_owned(), json!({ "essential": *name != "acr" }))).collect();
    let request = AuthorizeRequest::of(&shop).with("claims", &json!({ "userinfo": wishes }).to_string());
    let tokens = server.tokens(&shop, &request, &ada).await;
    let info = server.machine.userinfo(&tokens.member("access_token")).await;
    assert_eq!((info.status.as_u16(), info.json()), (200, json!({ "sub": ada.sub })), "{}", info.text());
}

/// What clients sign is theirs to fill: it proves who they are, and nothing that it says beside that is repeated.
#[rstest]
#[tokio::test]
async fn jw_16_what_a_client_signs_changes_nothing_that_the_server_says(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api("https://orders.test").await;
    let keys = SigningKeys::generate();
    let signer =
        json!({ "name": "Signer", "preset": "m2m", "apis": [orders.id], "jwks": keys.public_jwks() });
    let signer = server.admin.client(signer).await;
    let mut assertion = assertion_of(&signer.id, &server.issuer, server.clock.now());
    for name in
        RESERVED.iter().filter(|name| !["aud", "exp", "iat", "iss", "jti", "nbf", "sub"].contains(*name))
    {
        assertion[*name] = json!(["owner", EVIL]);
    }
    let fields = [
        ("grant_type", "client_credentials"),
        ("resource", &*orders.audience),
        ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"),
        ("client_assertion", &keys.sign(&assertion)),
    ];
    let bought = server.machine.post("/token", &fields).await;
    assert_eq!(bought.status, 200, "{}", bought.text());
    let said = said_once(&bought.member("access_token"));
    let names: Vec<&String> = said.as_object().unwrap().keys().collect();
    assert_eq!(names, ["aud", "client_id", "exp", "iat", "iss", "jti", "sub"], "{said}");
    assert_eq!((&said["sub"], &said["client_id"]), (&json!(signer.id), &json!(signer.id)));
    assert!(!said.to_string().contains(EVIL) && !said.to_string().contains("owner"), "{said}");
}

/// Details are of the API's own making, and stand in a place of their own.
#[rstest]
#[tokio::test]
async fn jw_16_details_that_are_called_like_claims_stay_details(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let properties: Map<String, Value> =
        RESERVED.iter().map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    let types = json!({ "items": [{ "type": "roles", "title": "Anything",
        "schema": { "type": "object", "additionalProperties": false, "properties": properties } }] });
    let place = format!("/apis/{}/authorization-details-types", orders.id);
    let known = server.admin.get(&place).await;
    let put = server.admin.request(Method::PUT, &place).await.header("if-match", known.header("etag"));
    let set = Answer::to(put.json(&types)).await;
    assert_eq!(set.status, 200, "{}", set.text());
    let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "apis": [orders.id], "options": { "authorization_details_types": ["roles"] } });
    let shop = server.admin.client(shop).await;
    let mut detail: Map<String, Value> =
        RESERVED.iter().map(|name| ((*name).to_owned(), json!(EVIL))).collect();
    detail.insert("type".to_owned(), json!("roles"));
    let details = json!([detail]);
    let request = AuthorizeRequest::of(&shop)
        .with("resource", &orders.audience)
        .with("authorization_details", &details.to_string());
    let tokens = server.tokens(&shop, &request, &ada).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let mut said = said_once(&tokens.member("access_token"));
    assert_eq!(said.as_object_mut().unwrap().remove("authorization_details"), Some(details));
    assert!(!said.to_string().contains(EVIL), "{said}");
    assert_eq!((&said["sub"], &said["aud"]), (&json!(ada.sub), &json!(orders.audience)));
    assert_eq!((said.get("roles"), said.get("cnf")), (None, None), "{said}");
}

//! [OpenID Connect Core](https://openid.net/specs/openid-connect-core-1_0.html) §5: what is told about people.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Person;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Map, Value, json};

use crate::oidc_core::{ALL_SCOPES, asking, held_to, known_person, names, profile, userinfo};

#[rstest]
#[tokio::test]
async fn section_5_4_each_scope_reveals_its_claims(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let shop = held_to(&server, json!({})).await;
    let now = server.clock.now().as_secs();
    let of_the_profile = [
        "birthdate",
        "family_name",
        "gender",
        "given_name",
        "locale",
        "middle_name",
        "nickname",
        "picture",
        "profile",
        "website",
        "zoneinfo",
    ];
    let known = profile();
    let mut in_profile =
        json!({ "sub": ada.sub, "name": "Ada Lovelace", "preferred_username": "ada", "updated_at": now });
    for name in of_the_profile {
        in_profile[name] = known[name].clone();
    }
    for (scope, expected) in [
        ("openid", json!({ "sub": ada.sub })),
        ("openid profile", in_profile),
        ("openid email", json!({ "sub": ada.sub, "email": "ada@example.org", "email_verified": false })),
        ("openid address", json!({ "sub": ada.sub, "address": known["address"] })),
        (
            "openid phone",
            json!({ "sub": ada.sub, "phone_number": known["phone_number"], "phone_number_verified": true }),
        ),
    ] {
        let request = AuthorizeRequest::of(&shop).with("scope", scope);
        let tokens = server.tokens(&shop, &request, &ada).await;
        assert_eq!(userinfo(&server, &tokens).await, expected, "{scope}");
        let id_token = claims(&tokens.member("id_token"));
        for name in names(&expected).into_iter().filter(|name| *name != "sub") {
            assert_eq!(id_token.get(name), None, "{scope}: with an access token, scopes are for userinfo");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_what_is_not_known_is_left_out(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let document = json!({ "username": "nobody", "password": "violet anchor harbour 6", "profile": { "nickname": "",
        "address": { "country": null } } });
    let made = server.admin.post("/users", &document).await;
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    let nobody = Person {
        id: text("id"),
        sub: text("sub"),
        username: "nobody".to_owned(),
        password: "violet anchor harbour 6".to_owned(),
    };
    let shop = held_to(&server, json!({})).await;
    let everything = json!({ "userinfo": { "nickname": { "essential": true }, "phone_number": null },
        "id_token": { "email": { "essential": true }, "address": null } });
    let tokens = server.tokens(&shop, &asking(&shop, ALL_SCOPES, &everything), &nobody).await;
    let info = userinfo(&server, &tokens).await;
    assert_eq!(names(&info), ["preferred_username", "sub", "updated_at"], "{info}");
    let id_token = claims(&tokens.member("id_token"));
    assert!(id_token.get("email").is_none() && id_token.get("address").is_none(), "{id_token}");
}

#[rstest]
#[tokio::test]
async fn section_5_1_a_profile_is_kept_as_it_was_written_and_wrong_fields_are_named(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = known_person(&server, "ada").await;
    let path = format!("/users/{}", ada.id);
    let shown = server.admin.get(&path).await;
    assert_eq!(shown.json()["profile"], profile());
    let put = async |tag: &str, document: Value| {
        let request = server.admin.request(Method::PUT, &path).await.header("if-match", tag);
        Answer::to(request.json(&document)).await
    };
    let bad = json!({ "given_name": "x".repeat(201), "website": "http://example.org", "birthdate": "10.12.1815",
        "zoneinfo": "nowhere at all", "locale": "en_GB", "phone_number": "0207946000", "shoe_size": 38,
        "address": { "planet": "Earth" } });
    let refused = put(shown.header("etag"), json!({ "username": "ada", "profile": bad })).await;
    assert_eq!(refused.status, 422, "{}", refused.text());
    for name in [
        "given_name",
        "website",
        "birthdate",
        "zoneinfo",
        "locale",
        "phone_number",
        "shoe_size",
        "address/planet",
    ] {
        assert!(refused.text().contains(&format!("/profile/{name}")), "{name}: {}", refused.text());
    }
    assert!(!refused.text().contains("0207946000"), "values are not repeated");
    for broken in ["[]", "7", r#"{"nickname":"a","nickname":"b"}"#] {
        let request = server.admin.request(Method::PUT, &path).await.header("if-match", shown.header("etag"));
        let body = format!(r#"{{"username":"ada","profile":{broken}}}"#);
        let answer = Answer::to(request.header("content-type", "application/json").body(body)).await;
        assert_eq!(answer.status, 400, "{broken}: {}", answer.text());
    }
    server.wait(std::time::Duration::from_mins(5));
    let changed =
        put(shown.header("etag"), json!({ "username": "ada", "profile": { "nickname": "Ada" } })).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["profile"]), (200, &json!({ "nickname": "Ada" })));
    assert_ne!(changed.header("etag"), shown.header("etag"));
    let shop = held_to(&server, json!({})).await;
    let request = AuthorizeRequest::of(&shop).with("scope", "openid profile");
    let info = userinfo(&server, &server.tokens(&shop, &request, &ada).await).await;
    assert_eq!(info["updated_at"], server.clock.now().as_secs());
    assert_eq!((&info["nickname"], info.get("name")), (&json!("Ada"), None));
}

#[rstest]
#[tokio::test]
async fn section_5_the_metadata_say_what_can_be_asked_for(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let metadata = server.machine.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["claims_parameter_supported"], true);
    assert_eq!(metadata["claim_types_supported"], json!(["normal"]));
    let listed = |name: &str| -> Vec<String> {
        metadata[name].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    for scope in ALL_SCOPES.split(' ') {
        assert!(listed("scopes_supported").contains(&scope.to_owned()), "{scope}");
    }
    for name in names(&profile()).into_iter().chain([
        "sub",
        "name",
        "preferred_username",
        "email",
        "email_verified",
        "updated_at",
    ]) {
        assert!(listed("claims_supported").contains(&name.to_owned()), "{name}");
    }
    let ada = known_person(&server, "ada").await;
    let shop = held_to(&server, json!({})).await;
    let asked = json!({ "id_token": listed("claims_supported").into_iter().map(|name| (name, Value::Null)).collect::<Map<_, _>>() });
    let tokens = server.tokens(&shop, &asking(&shop, "openid", &asked), &ada).await;
    let id_token = claims(&tokens.member("id_token"));
    for name in listed("claims_supported") {
        assert!(id_token.get(&name).is_some_and(|value| !value.is_null()), "{name} is told: {id_token}");
    }
}

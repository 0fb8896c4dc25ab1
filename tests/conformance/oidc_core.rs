//! What the tests of OpenID Connect Core share: somebody of whom everything is known, and clients that may ask for it.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Person;
use serde_json::{Value, json};

/// Every scope that means something.
pub(crate) const ALL_SCOPES: &str = "openid profile email address phone offline_access";

/// All that can be known about somebody beside name and address of mail.
pub(crate) fn profile() -> Value {
    json!({
        "given_name": "Augusta", "family_name": "King", "middle_name": "Ada", "nickname": "the enchantress of numbers",
        "profile": "https://example.org/ada", "picture": "https://example.org/ada.png",
        "website": "https://example.org/notes?on=engines", "gender": "female", "birthdate": "1815-12-10",
        "zoneinfo": "Europe/London", "locale": "en-GB",
        "phone_number": "+442079460000;ext=12", "phone_number_verified": true,
        "address": { "formatted": "12 St James's Square\nLondon", "street_address": "12 St James's Square",
            "locality": "London", "region": "Greater London", "postal_code": "SW1Y 4JH", "country": "England" },
    })
}

/// Somebody of whom all of that is known.
pub(crate) async fn known_person(server: &TestServer, username: &str) -> Person {
    let password = format!("violet anchor harbour {}", username.len());
    let document = json!({ "username": username, "name": "Ada Lovelace", "email": format!("{username}@example.org"),
        "password": password, "profile": profile() });
    let made = server.admin.post("/users", &document).await;
    let text = |member: &str| made[member].as_str().unwrap().to_owned();
    Person { id: text("id"), sub: text("sub"), username: username.to_owned(), password }
}

/// A web application that may ask for these scopes, with options.
pub(crate) async fn client(server: &TestServer, scopes: &str, options: Value) -> Registered {
    let document = json!({ "name": "Test shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "post_logout_redirect_uris": ["https://rp.test/bye"], "scopes": scopes, "options": options });
    server.admin.client(document).await
}

/// A web application that may ask for everything, and is held to `protocol`.
pub(crate) async fn held_to(server: &TestServer, protocol: Value) -> Registered {
    client(server, ALL_SCOPES, json!({ "protocol": protocol })).await
}

/// The names of the members of an object.
pub(crate) fn names(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

/// A request with scopes that asks for single claims.
pub(crate) fn asking(client: &Registered, scope: &str, asked: &Value) -> AuthorizeRequest {
    AuthorizeRequest::of(client).with("scope", scope).with("claims", &asked.to_string())
}

/// What is told at the userinfo endpoint for tokens that were bought.
pub(crate) async fn userinfo(server: &TestServer, tokens: &Answer) -> Value {
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let answer = server.machine.userinfo(&tokens.member("access_token")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

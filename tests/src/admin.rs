//! The admin API as an administrator's program uses it.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::agent::Answer;
use crate::process::Place;
use crate::registered::Registered;
use crate::token::Machine;
use crate::visitor::Person;

/// A program that holds the role `owner` of the admin API.
#[derive(Clone, Debug)]
pub struct Admin {
    machine: Machine,
    client: Registered,
    audience: String,
}

/// An API of the server with its guard's client.
#[derive(Clone, Debug)]
pub struct RegisteredApi {
    /// Its id.
    pub id: String,
    /// The `aud` of its tokens.
    pub audience: String,
    /// What people call it.
    pub name: String,
}

impl Admin {
    /// Works with the credentials of `client`.
    pub fn new(issuer: &str, client: Registered) -> Self {
        Self { machine: Machine::new(issuer), client, audience: format!("{issuer}/api") }
    }

    /// A program made in the database of a place, before any server runs there.
    ///
    /// # Panics
    ///
    /// When the command refuses: the panic shows what it said.
    pub fn in_place(place: &Place) -> Self {
        let issuer = place.issuer.clone().unwrap_or_else(|| place.address());
        let audience = format!("{issuer}/api");
        let arguments = ["client", "create", "--preset", "m2m", "--name", "Admin", "--role", "owner"];
        let more = ["--api", &audience, "--issuer", &issuer, "--format", "json"];
        let output = place.run(&[&arguments[..], &more].concat());
        let made: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
        let (id, secret) = (text(&made, "client_id"), Some(text(&made, "client_secret")));
        Self::new(&issuer, Registered { id, secret, redirect_uris: Vec::new() })
    }

    /// The same program at another replica, which goes by the same name.
    #[must_use]
    pub fn at(&self, replica: &str) -> Self {
        Self { machine: Machine::new(replica), ..self.clone() }
    }

    /// A new access token for the admin API. Each call asks for one, so that a moved clock does no harm.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn token(&self) -> String {
        let answer = self.machine.client_credentials(&self.client, &self.audience).await;
        assert_eq!(answer.status, 200, "the administrator gets a token: {}", answer.text());
        answer.member("access_token")
    }

    /// A request to the admin API, below `/api/v1`.
    pub async fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.machine.request(method, &format!("/api/v1{path}")).bearer_auth(self.token().await)
    }

    /// Sends a document and returns whatever comes back.
    pub async fn send(&self, method: Method, path: &str, document: &Value) -> Answer {
        Answer::to(self.request(method, path).await.json(document)).await
    }

    /// Asks for a document.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.request(Method::GET, path).await).await
    }

    /// Sends a document that must be accepted.
    ///
    /// # Panics
    ///
    /// When it is not.
    pub async fn post(&self, path: &str, document: &Value) -> Value {
        let answer = self.send(Method::POST, path, document).await;
        assert!(answer.status.is_success(), "POST {path}: {} {}", answer.status, answer.text());
        if answer.body.is_empty() { Value::Null } else { answer.json() }
    }

    /// A user who can sign in.
    pub async fn user(&self, username: &str) -> Person {
        // Without the name in it: such a password is refused.
        let password = format!("violet anchor harbour {}", username.len());
        let document = json!({
            "username": username, "name": format!("{username} of the tests"), "password": password,
            "email": format!("{username}@example.org"),
        });
        let made = self.post("/users", &document).await;
        Person { id: text(&made, "id"), sub: text(&made, "sub"), username: username.to_owned(), password }
    }

    /// A client from its document.
    pub async fn client(&self, document: Value) -> Registered {
        let made = self.post("/clients", &document).await;
        let listed = document.get("redirect_uris").and_then(Value::as_array).cloned().unwrap_or_default();
        Registered {
            id: text(made.get("client").unwrap_or(&Value::Null), "id"),
            secret: made.get("client_secret").and_then(Value::as_str).map(str::to_owned),
            redirect_uris: listed.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    /// A confidential web application that asks for tokens for `apis`.
    pub async fn web_client(&self, apis: &[&RegisteredApi]) -> Registered {
        self.client(json!({
            "name": "Test shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "post_logout_redirect_uris": ["https://rp.test/bye"], "apis": ids(apis),
        }))
        .await
    }

    /// A public client on a person's device.
    pub async fn native_client(&self, apis: &[&RegisteredApi]) -> Registered {
        let redirects = ["http://127.0.0.1/cb"];
        self.client(
            json!({ "name": "Test app", "preset": "native", "redirect_uris": redirects, "apis": ids(apis) }),
        )
        .await
    }

    /// A machine that acts for itself.
    pub async fn machine_client(&self, apis: &[&RegisteredApi]) -> Registered {
        self.client(json!({ "name": "Test machine", "preset": "m2m", "apis": ids(apis) })).await
    }

    /// An API.
    pub async fn api(&self, audience: &str) -> RegisteredApi {
        let name = format!("Test API {audience}");
        let made = self.post("/apis", &json!({ "audience": audience, "name": name })).await;
        RegisteredApi { id: text(&made, "id"), audience: audience.to_owned(), name }
    }

    /// The admin API itself, whose roles make administrators.
    ///
    /// # Panics
    ///
    /// When the server does not list it.
    pub async fn admin_api(&self) -> RegisteredApi {
        let listed = self.get("/apis").await.json();
        let mut items = listed.get("items").and_then(Value::as_array).into_iter().flatten();
        let found = items.find(|api| text(api, "audience") == self.audience);
        let found = found.expect("the admin API is there");
        RegisteredApi { id: text(found, "id"), audience: self.audience.clone(), name: text(found, "name") }
    }

    /// Somebody with a role in the admin API.
    pub async fn administrator(&self, role: &str) -> Person {
        let person = self.user(&format!("{role}-person")).await;
        self.assign(&self.admin_api().await, role, &person.id).await;
        person
    }

    /// The client with which the guard of an API fetches its policy.
    pub async fn guard_client(&self, api: &RegisteredApi) -> Registered {
        self.client(json!({ "name": "Test guard", "preset": "service", "serves": api.id })).await
    }

    /// Gives a role of an API to a user or a client, in every organisation.
    pub async fn assign(&self, api: &RegisteredApi, role: &str, subject: &str) -> String {
        let document = json!({ "role": role, "subject": subject });
        let made = self.post(&format!("/apis/{}/assignments", api.id), &document).await;
        text(&made, "id")
    }

    /// Replaces the rules of an API and activates them.
    ///
    /// # Panics
    ///
    /// When the server refuses.
    pub async fn activate(&self, api: &RegisteredApi, rules: &str) {
        let activated = Answer::to(self.activation(api, rules).await).await;
        assert_eq!(activated.status, 200, "the draft is activated: {}", activated.text());
    }

    /// Replaces the draft of an API, and gives the request that activates it.
    ///
    /// # Panics
    ///
    /// When the server does not keep the draft.
    pub async fn activation(&self, api: &RegisteredApi, rules: &str) -> RequestBuilder {
        let draft = format!("/apis/{}/policy/draft", api.id);
        let known = self.get(&draft).await;
        let save = self.request(Method::PUT, &draft).await.header("if-match", known.header("etag"));
        let saved = Answer::to(save.json(&json!({ "rules": rules }))).await;
        assert_eq!(saved.status, 200, "the draft is saved: {}", saved.text());
        let activate = self.request(Method::POST, &format!("/apis/{}/policy/activate", api.id)).await;
        activate.header("if-match", saved.header("etag")).json(&json!({ "message": "a test" }))
    }
}

fn ids(apis: &[&RegisteredApi]) -> Vec<String> {
    apis.iter().map(|api| api.id.clone()).collect()
}

/// A text member of a document.
fn text(document: &Value, member: &str) -> String {
    let found = document.get(member).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no `{member}` in {document}")).to_owned()
}

//! Clients that register themselves.

use reqwest::Method;
use serde_json::{Value, json};

use crate::agent::Answer;
use crate::registered::Registered;
use crate::server::TestServer;

/// What an ordinary web application says of itself.
pub fn web_metadata() -> Value {
    json!({
        "client_name": "Partner",
        "redirect_uris": ["https://partner.test/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
    })
}

impl TestServer {
    /// Makes an initial access token; `more` is said about it beside its name.
    ///
    /// # Panics
    ///
    /// When it is not made.
    pub async fn initial_token(&self, more: Value) -> String {
        let mut document = json!({ "name": "Partners" });
        if let (Some(whole), Value::Object(more)) = (document.as_object_mut(), more) {
            whole.extend(more);
        }
        let made = self.admin.post("/initial-access-tokens", &document).await;
        let token = made.get("initial_access_token").and_then(Value::as_str);
        token.unwrap_or_else(|| panic!("no token: {made}")).to_owned()
    }

    /// Sends metadata to the registration endpoint.
    pub async fn register(&self, token: Option<&str>, metadata: &Value) -> Answer {
        self.about_registration(Method::POST, "/register", token, Some(metadata)).await
    }

    /// Asks for something about a registration. Where that may change it, every server has heard of it before this returns.
    pub async fn about_registration(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        metadata: Option<&Value>,
    ) -> Answer {
        let reads = method == Method::GET;
        let mut request = self.machine.request(method, path);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(metadata) = metadata {
            request = request.header("content-type", "application/json").body(metadata.to_string());
        }
        let answer = Answer::to(request).await;
        if !reads {
            self.look().await;
        }
        answer
    }
}

/// A registration as its client keeps it.
#[derive(Clone, Debug)]
pub struct OwnRegistration {
    /// What the client knows of itself.
    pub client: Registered,
    /// Where it looks after its registration: a path of the server.
    pub path: String,
    /// What lets it.
    pub token: String,
}

impl OwnRegistration {
    /// Reads it from an answer.
    ///
    /// # Panics
    ///
    /// When the answer is no registration.
    pub fn of(answer: &Answer) -> Self {
        assert!(answer.status.is_success(), "{} {}", answer.status, answer.text());
        let document = answer.json();
        let secret = document.get("client_secret").and_then(Value::as_str).map(str::to_owned);
        let redirect_uris = document
            .get("redirect_uris")
            .and_then(Value::as_array)
            .map(|uris| uris.iter().filter_map(Value::as_str).map(str::to_owned).collect());
        let uri = url::Url::parse(&answer.member("registration_client_uri")).expect("it is an address");
        Self {
            client: Registered {
                id: answer.member("client_id"),
                secret,
                redirect_uris: redirect_uris.unwrap_or_default(),
            },
            path: uri.path().to_owned(),
            token: answer.member("registration_access_token"),
        }
    }
}

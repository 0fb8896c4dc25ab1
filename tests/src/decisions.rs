//! What a guard tells of its decisions, as it writes it.

use reqwest::Method;
use serde_json::{Value, json};

use crate::agent::{Answer, agent};
use crate::registered::Registered;
use crate::server::TestServer;

/// One batch, by its name.
pub fn batch(name: &str, decisions: &Value) -> Value {
    json!({ "batch": name, "age_secs": 0, "lost": 0, "pseudonymous": false, "decisions": decisions })
}

/// A viewer who was allowed to read orders, twice.
pub fn decision(subject: &str) -> Value {
    json!({
        "subject": subject, "roles": ["viewer"], "domain": "", "object": "orders", "action": "read",
        "allowed": true, "revision": 1, "count": 2,
    })
}

/// Sends a batch as the guard `client`.
pub async fn send(server: &TestServer, client: &Registered, body: &Value) -> Answer {
    let url = format!("{}/policies/decisions", server.issuer);
    let request = agent().request(Method::POST, url).basic_auth(&client.id, client.secret.as_deref());
    Answer::to(request.json(body)).await
}

//! Clients that start sign-ins from behind (CIBA), and people who approve them.

use serde_json::{Value, json};

use crate::admin::Admin;
use crate::agent::Answer;
use crate::registered::Registered;
use crate::token::{Field, Machine};
use crate::visitor::{Person, Visitor, login_form, the_form};

/// The grant of CIBA §10.1.
pub const CIBA: &str = "urn:openid:params:grant-type:ciba";

/// A bank that may start sign-ins, with these settings of the protocol beside the mode.
pub fn bank(mode: &str, settings: &Value) -> Value {
    let mut protocol = json!({ "backchannel_token_delivery_mode": mode });
    if let (Some(protocol), Some(settings)) = (protocol.as_object_mut(), settings.as_object()) {
        protocol.extend(settings.clone());
    }
    json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://bank.test/cb"],
        "scopes": "openid profile offline_access orders:read", "options": { "protocol": protocol } })
}

impl Admin {
    /// A bank that polls.
    pub async fn bank(&self) -> Registered {
        self.client(bank("poll", &json!({}))).await
    }
}

impl Machine {
    /// A client starts a sign-in.
    pub async fn start(&self, client: &Registered, fields: &[Field<'_>]) -> Answer {
        self.post_as(client, "/bc-authorize", fields).await
    }

    /// The same; what it asks with from then on.
    ///
    /// # Panics
    ///
    /// When it may not.
    pub async fn started(&self, client: &Registered, fields: &[Field<'_>]) -> String {
        let answer = self.start(client, fields).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.member("auth_req_id")
    }

    /// A client asks what was decided.
    pub async fn ask(&self, client: &Registered, auth_req_id: &str) -> Answer {
        self.token(client, &[("grant_type", CIBA), ("auth_req_id", auth_req_id)]).await
    }
}

impl Visitor {
    /// Opens the page on which people approve, signing in where that is asked.
    pub async fn approvals(&mut self, person: &Person) -> Answer {
        let page = self.open("/approvals").await;
        if !page.text().contains("id=\"login\"") {
            return page;
        }
        let sent = self.submit(&login_form(&page, &person.username, &person.password)).await;
        self.follow(sent).await
    }

    /// Decides about the first request there: `allow` or `deny`.
    ///
    /// # Panics
    ///
    /// When nothing waits.
    pub async fn decide_request(&mut self, person: &Person, decision: &str) -> Answer {
        let page = self.approvals(person).await;
        let waiting = waiting(&page);
        let first = waiting.first().unwrap_or_else(|| panic!("nothing waits: {}", page.text()));
        let sent = self.submit(&the_form(&page, &format!("{first}-form")).with("decision", decision)).await;
        self.follow(sent).await
    }
}

/// The requests that a page shows.
pub fn waiting(page: &Answer) -> Vec<String> {
    let text = page.text();
    let sections = text.split("<section class=\"request\" id=\"").skip(1);
    sections.filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

//! Devices without a browser, and people who type their codes.

use serde_json::json;

use crate::admin::{Admin, RegisteredApi};
use crate::agent::Answer;
use crate::registered::Registered;
use crate::token::{Field, Machine};
use crate::visitor::{Person, Visitor, login_form, the_form};

/// The grant of RFC 8628 §3.4.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// What a device was given.
#[derive(Clone, Debug)]
pub struct Codes {
    /// What it asks with.
    pub device: String,
    /// What it shows.
    pub user: String,
    /// The address that it shows as a picture: the one where people type, with the code.
    pub complete: String,
}

impl Admin {
    /// A client for devices, which may ask for `scopes` and for tokens for `apis`.
    pub async fn device_client(&self, scopes: &str, apis: &[&RegisteredApi]) -> Registered {
        let apis: Vec<&str> = apis.iter().map(|api| api.id.as_str()).collect();
        let document = json!({ "name": "Television", "preset": "device", "scopes": scopes, "apis": apis });
        self.client(document).await
    }
}

impl Machine {
    /// A device asks for its codes.
    ///
    /// # Panics
    ///
    /// When it gets none.
    pub async fn device_codes(&self, client: &Registered, fields: &[Field<'_>]) -> Codes {
        let answer = self.post_as(client, "/device_authorization", fields).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        Codes {
            device: answer.member("device_code"),
            user: answer.member("user_code"),
            complete: answer.member("verification_uri_complete"),
        }
    }

    /// A device asks what was decided.
    pub async fn poll(&self, client: &Registered, codes: &Codes) -> Answer {
        self.token(client, &[("grant_type", DEVICE_CODE), ("device_code", &codes.device)]).await
    }
}

impl Visitor {
    /// Types the code of a device, and follows to the next page.
    pub async fn type_code(&mut self, code: &str) -> Answer {
        let page = self.open("/device").await;
        let sent = self.submit(&the_form(&page, "device").with("user_code", code)).await;
        self.follow(sent).await
    }

    /// Types the code of a device, signs in where that is asked, and stops at the page that asks.
    pub async fn reach_device(&mut self, code: &str, person: &Person) -> Answer {
        let page = self.type_code(code).await;
        if !page.text().contains("id=\"login\"") {
            return page;
        }
        let sent = self.submit(&login_form(&page, &person.username, &person.password)).await;
        self.follow(sent).await
    }

    /// Does all of it, and decides: `allow` or `deny`.
    pub async fn decide_device(&mut self, code: &str, person: &Person, decision: &str) -> Answer {
        let page = self.reach_device(code, person).await;
        let sent = self.submit(&the_form(&page, "device-confirm").with("decision", decision)).await;
        self.follow(sent).await
    }
}

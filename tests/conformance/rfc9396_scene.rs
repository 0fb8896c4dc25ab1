//! A bank with an API, types of details, and clients that may ask for them.

use portcullis_server::config::Config;
use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database;
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Person;
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) const BANK: &str = "https://bank.test";

pub(crate) struct World {
    pub(crate) server: TestServer,
    pub(crate) ada: Person,
    pub(crate) bank: RegisteredApi,
    pub(crate) shop: Registered,
}

/// The types of the bank: payments, for which people are asked each time, and access to accounts, which lasts.
pub(crate) fn types() -> Value {
    json!({ "items": [
        { "type": "payment", "title": "Make a payment",
          "schema": { "type": "object", "additionalProperties": false, "required": ["amount", "creditor"],
              "properties": {
                  "actions": { "$ref": "#/$defs/words" },
                  "locations": { "$ref": "#/$defs/words" },
                  "amount": { "type": "object", "additionalProperties": false, "required": ["currency", "value"],
                      "properties": { "currency": { "enum": ["EUR", "USD"] },
                          "value": { "type": "string", "pattern": "^[0-9]{1,9}[.][0-9]{2}$" } } },
                  "creditor": { "type": "string", "maxLength": 70 } },
              "$defs": { "words": { "type": "array", "items": { "type": "string" } } } },
          "labels": [{ "member": "/amount/value", "label": "Amount" }, { "member": "/creditor", "label": "To" }] },
        { "type": "account", "title": "See your accounts", "consent": "remembered",
          "schema": { "type": "object", "additionalProperties": false, "required": ["actions"],
              "properties": { "actions": { "type": "array", "items": { "enum": ["list", "balances", "transactions"] } } } } },
    ] })
}

pub(crate) fn payment(value: &str) -> Value {
    json!({ "type": "payment", "amount": { "currency": "EUR", "value": value }, "creditor": "Merchant <A>" })
}

pub(crate) fn account(actions: &[&str]) -> Value {
    json!({ "type": "account", "actions": actions })
}

impl World {
    pub(crate) async fn on(database: Database) -> Self {
        Self::with(database, |_| {}).await
    }

    pub(crate) async fn with(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let server = TestServer::start_with(database, change).await;
        let ada = server.admin.user("ada").await;
        let bank = server.admin.api(BANK).await;
        let set = set_types(&server, &bank, &types()).await;
        assert_eq!(set.status, 200, "{}", set.text());
        let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "scopes": "openid offline_access pay", "apis": [bank.id],
            "options": { "authorization_details_types": ["payment", "account"] } });
        let shop = server.admin.client(shop).await;
        Self { server, ada, bank, shop }
    }

    pub(crate) fn request(&self, details: &Value) -> AuthorizeRequest {
        AuthorizeRequest::of(&self.shop)
            .with("scope", "openid offline_access")
            .with("authorization_details", &details.to_string())
    }

    pub(crate) async fn granted(&self, details: &Value) -> (AuthorizeRequest, Callback) {
        let request = self.request(details);
        let callback = self.server.visitor().authorize(&request, &self.ada).await;
        assert_eq!(callback.error(), "", "{details}");
        (request, callback)
    }

    pub(crate) async fn redeem(
        &self,
        (request, callback): &(AuthorizeRequest, Callback),
        more: &[(&str, &str)],
    ) -> Answer {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", callback.code()),
            ("redirect_uri", request.get("redirect_uri")),
            ("code_verifier", &request.pkce.verifier),
        ];
        fields.extend(more);
        self.server.machine.token(&self.shop, &fields).await
    }

    pub(crate) async fn refresh(&self, token: &str, more: &[(&str, &str)]) -> Answer {
        let mut fields = vec![("grant_type", "refresh_token"), ("refresh_token", token)];
        fields.extend(more);
        self.server.machine.token(&self.shop, &fields).await
    }

    /// What a refused authorization request is told, at its redirect URI and where it is pushed.
    pub(crate) async fn refused(&self, request: &AuthorizeRequest) -> String {
        let callback = self.server.visitor().authorize(request, &self.ada).await;
        let pushed =
            self.server.machine.post_as(&self.shop, "/par", &request.fields_without("client_id")).await;
        assert_eq!((pushed.status.as_u16(), pushed.error().as_str()), (400, callback.error()));
        callback.error().to_owned()
    }
}

pub(crate) async fn set_types(server: &TestServer, api: &RegisteredApi, types: &Value) -> Answer {
    let place = format!("/apis/{}/authorization-details-types", api.id);
    let known = server.admin.get(&place).await;
    let request = server.admin.request(Method::PUT, &place).await;
    Answer::to(request.header("if-match", known.header("etag")).json(types)).await
}

/// The details of an access token, which the answer has to repeat.
pub(crate) fn details_of(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let claims = jwt::claims(&answer.member("access_token"));
    let of = |document: &Value| document.get("authorization_details").cloned().unwrap_or(Value::Null);
    assert_eq!(of(&claims), of(&answer.json()), "section 7");
    of(&claims)
}

pub(crate) fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

pub(crate) fn invalid() -> (u16, String) {
    (400, "invalid_authorization_details".to_owned())
}

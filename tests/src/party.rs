//! Applications, each with its own way to show who it is.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::agent::Answer;
use crate::assertion::{SigningKeys, assertion_fields};
use crate::authorize::{AuthorizeRequest, Callback};
use crate::certificates::{Certificate, Wanted};
use crate::holder::Holder;
use crate::registered::Registered;
use crate::server::{BareServer, TestServer};
use crate::token::Field;

/// An application, and what it shows: an assertion, a certificate by the header of a proxy, or its secret, if it has one.
pub struct Party {
    /// What it knows of itself.
    pub client: Registered,
    /// What it signs assertions with.
    pub keys: Option<SigningKeys>,
    /// What it shows in the handshake.
    pub certificate: Option<Certificate>,
    /// What it proves with each request.
    pub holder: Option<Holder>,
}

impl Party {
    /// One that has its secret, or nothing.
    pub const fn with_secret(client: Registered) -> Self {
        Self { client, keys: None, certificate: None, holder: None }
    }

    /// Registers one that signs, which an administrator describes by its name, its redirect URI and this.
    pub async fn that_signs(server: &TestServer, more: &Value) -> Self {
        let keys = SigningKeys::generate();
        let client = server.admin.client(document(&[&json!({ "jwks": keys.public_jwks() }), more])).await;
        Self { keys: Some(keys), ..Self::with_secret(client) }
    }

    /// The same for one that shows a certificate of an authority.
    pub async fn that_shows(server: &TestServer, authority: &Certificate, more: &Value) -> Self {
        let named = json!({ "options": { "authentication": { "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_subject_dn": "CN=bank,O=Portcullis tests" } } });
        let client = server.admin.client(document(&[&named, more])).await;
        let certificate = authority.client(Wanted::named("bank"));
        Self { certificate: Some(certificate), ..Self::with_secret(client) }
    }

    /// The same with a key that it proves.
    #[must_use]
    pub fn proving(self) -> Self {
        Self { holder: Some(Holder::generate()), ..self }
    }

    /// A form to an endpoint of a replica, with an assertion that was never shown, if it signs one. It may be sent once.
    pub fn form(&self, server: &BareServer, path: &str, fields: &[Field<'_>]) -> RequestBuilder {
        let Some(keys) = &self.keys else {
            let request = server.machine.form_of(&self.client, path, fields);
            return match &self.certificate {
                Some(certificate) => request.header("client-cert", certificate.header()),
                None => request,
            };
        };
        let shown = assertion_fields(keys, &self.client.id, &server.issuer, server.clock.now());
        let shown = shown.iter().map(|(name, value)| (*name, value.as_str()));
        let fields: Vec<Field<'_>> = fields.iter().copied().chain(shown).collect();
        server.machine.request(Method::POST, path).form(&fields)
    }

    /// Sends one, with a proof if it has a key.
    pub async fn post(&self, server: &BareServer, path: &str, fields: &[Field<'_>]) -> Answer {
        let Some(holder) = &self.holder else { return Answer::to(self.form(server, path, fields)).await };
        let request = || {
            let proof = holder.proof(&holder.claims(server, "POST", path));
            self.form(server, path, fields).header("dpop", proof)
        };
        holder.send(request).await
    }

    /// Where it sends a browser with a request that it pushes.
    ///
    /// # Panics
    ///
    /// When the request is not taken.
    pub async fn pushed(&self, server: &BareServer, request: &AuthorizeRequest) -> String {
        let answer = self.post(server, "/par", &request.fields_without("client_id")).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.brought(&answer.member("request_uri"))
    }

    /// Where it sends a browser with a handle.
    pub fn brought(&self, handle: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &self.client.id).append_pair("request_uri", handle);
        format!("/authorize?{}", query.finish())
    }

    /// Redeems what a browser brought back.
    pub async fn redeem(
        &self,
        server: &BareServer,
        request: &AuthorizeRequest,
        callback: &Callback,
    ) -> Answer {
        self.post(server, "/token", &redemption(request, callback)).await
    }

    /// Trades a refresh token.
    pub async fn refresh(&self, server: &BareServer, token: &str) -> Answer {
        self.post(server, "/token", &refreshing(token)).await
    }
}

/// What redeems a code.
pub fn redemption<'a>(request: &'a AuthorizeRequest, callback: &'a Callback) -> [Field<'a>; 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", &request.pkce.verifier),
    ]
}

/// What trades a refresh token.
pub const fn refreshing(token: &str) -> [Field<'_>; 2] {
    [("grant_type", "refresh_token"), ("refresh_token", token)]
}

/// What an administrator says of an application.
fn document(parts: &[&Value]) -> Value {
    let mut whole = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://rp.test/cb"] });
    for part in parts {
        merge(&mut whole, part);
    }
    whole
}

fn merge(whole: &mut Value, more: &Value) {
    match (whole, more) {
        (Value::Object(whole), Value::Object(more)) => {
            for (name, value) in more {
                merge(whole.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (whole, more) => *whole = more.clone(),
    }
}

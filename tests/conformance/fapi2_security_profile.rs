//! [FAPI 2.0 Security Profile](https://openid.net/specs/fapi-security-profile-2_0-final.html), for the clients that are held to it
//! (`options.profile`). Each section is that of the text.

mod access_tokens;
mod changes;
mod from_behind;
mod message_signing;
mod requests;
mod settings;
mod signatures;
mod tokens;

use portcullis_server::config::{CertificateSource, Config};
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::certificates::Certificate;
use portcullis_tests::database::Database;
use portcullis_tests::holder::Holder;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use portcullis_tests::visitor::Person;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

/// A server, and a bank that is held to the profile: it signs assertions and proofs.
struct Bank {
    server: TestServer,
    client: Registered,
    keys: SigningKeys,
    holder: Holder,
    ada: Person,
}

/// What the form of a client holds.
type Form = Vec<(&'static str, String)>;

impl Bank {
    async fn on(database: Database) -> Self {
        Self::with(database, |_| {}, |_| {}).await
    }

    /// A bank on a server whose configuration the test changes, registered by a document that the test changes.
    async fn with(
        database: Database,
        configure: impl FnOnce(&mut Config),
        change: impl FnOnce(&mut Value),
    ) -> Self {
        let server = TestServer::start_with(database, |config| {
            config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
            config.server.tls.client_certificates = CertificateSource::Header;
            configure(config);
        })
        .await;
        let keys = SigningKeys::generate();
        let mut document = document(&keys);
        change(&mut document);
        let client = server.admin.client(document).await;
        let ada = server.admin.user("ada").await;
        Self { server, client, keys, holder: Holder::generate(), ada }
    }

    fn request(&self) -> AuthorizeRequest {
        AuthorizeRequest::of(&self.client)
    }

    /// The form of the bank: what it asks, and an assertion of who it is.
    fn form(&self, fields: &[Field<'_>]) -> Vec<(String, String)> {
        let proof =
            assertion_fields(&self.keys, &self.client.id, &self.server.issuer, self.server.clock.now());
        signed_by(proof.into(), fields)
    }

    fn to(&self, path: &str, fields: &[Field<'_>]) -> RequestBuilder {
        self.server.machine.request(reqwest::Method::POST, path).form(&self.form(fields))
    }

    /// A request with an assertion and nothing else that proves anything.
    async fn bare(&self, path: &str, fields: &[Field<'_>]) -> Answer {
        Answer::to(self.to(path, fields)).await
    }

    /// The same with a proof of the bank's key.
    async fn post(&self, path: &str, fields: &[Field<'_>]) -> Answer {
        self.post_by(&self.holder, path, fields).await
    }

    async fn post_by(&self, holder: &Holder, path: &str, fields: &[Field<'_>]) -> Answer {
        let proof = || holder.proof(&holder.claims(&self.server, "POST", path));
        holder.send(|| self.to(path, fields).header("dpop", proof())).await
    }

    /// The same with a certificate in the place of a proof.
    async fn post_showing(&self, certificate: &Certificate, path: &str, fields: &[Field<'_>]) -> Answer {
        Answer::to(self.to(path, fields).header("client-cert", certificate.header())).await
    }

    async fn push(&self, request: &AuthorizeRequest) -> Answer {
        self.bare("/par", &request.fields_without("client_id")).await
    }

    /// The address to which the bank sends a browser.
    async fn pushed(&self, request: &AuthorizeRequest) -> String {
        let answer = self.push(request).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        self.brought(&answer.member("request_uri"))
    }

    fn brought(&self, handle: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &self.client.id).append_pair("request_uri", handle);
        format!("/authorize?{}", query.finish())
    }

    async fn sign_in(&self, request: &AuthorizeRequest) -> Callback {
        self.server.visitor().walk(&self.pushed(request).await, &self.ada).await
    }

    /// What the bank gets for somebody who signs in.
    async fn tokens(&self, scope: &str) -> Answer {
        let request = self.request().with("scope", scope);
        let callback = self.sign_in(&request).await;
        let tokens = self.post("/token", &redemption(&request, &callback)).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        tokens
    }
}

/// What an administrator says about a bank.
fn document(keys: &SigningKeys) -> Value {
    json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://bank.test/cb"],
        "jwks": keys.public_jwks(), "options": { "profile": "fapi2" } })
}

fn signed_by(proof: Form, fields: &[Field<'_>]) -> Vec<(String, String)> {
    let said = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    said.chain(proof.into_iter().map(|(name, value)| (name.to_owned(), value))).collect()
}

fn redemption<'a>(request: &'a AuthorizeRequest, callback: &'a Callback) -> [Field<'a>; 4] {
    [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", &request.pkce.verifier),
    ]
}

fn refreshing(token: &str) -> [Field<'_>; 2] {
    [("grant_type", "refresh_token"), ("refresh_token", token)]
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

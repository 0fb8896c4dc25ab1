//! Authorization requests and what comes back from them.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_server::domain::secret::Entropy;
use serde_json::{Map, Value};
use url::Url;

use crate::markup::Form;
use crate::registered::Registered;

/// A proof key and its challenge (RFC 7636).
#[derive(Clone, Debug)]
pub struct Pkce {
    /// What the token request shows.
    pub verifier: String,
    /// What the authorization request shows.
    pub challenge: String,
}

impl Pkce {
    /// A new pair.
    pub fn generate() -> Self {
        let verifier = random_text();
        let hash = digest::digest(&digest::SHA256, verifier.as_bytes());
        Self { challenge: URL_SAFE_NO_PAD.encode(hash), verifier }
    }
}

/// 43 random characters.
pub fn random_text() -> String {
    URL_SAFE_NO_PAD.encode(Entropy::os().bytes::<32>())
}

/// An authorization request whose parameters a test may bend.
#[derive(Clone, Debug)]
pub struct AuthorizeRequest {
    parameters: Vec<(String, String)>,
    /// The proof key that the token request needs.
    pub pkce: Pkce,
}

impl AuthorizeRequest {
    /// A correct request of a client, for an ID token.
    ///
    /// # Panics
    ///
    /// When the client has no redirect URI.
    pub fn of(client: &Registered) -> Self {
        let pkce = Pkce::generate();
        let redirect =
            client.redirect_uris.first().expect("a client that signs people in has a redirect URI");
        let bare = Self { parameters: Vec::new(), pkce: pkce.clone() };
        bare.with("response_type", "code")
            .with("client_id", &client.id)
            .with("redirect_uri", redirect)
            .with("scope", "openid")
            .with("state", &random_text())
            .with("nonce", &random_text())
            .with("code_challenge", &pkce.challenge)
            .with("code_challenge_method", "S256")
    }

    /// The same request with one parameter set.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self = self.without(name);
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request with one more parameter, even if it is there already.
    #[must_use]
    pub fn and(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same request without a parameter.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(found, _)| found != name);
        self
    }

    /// What a parameter holds; empty when it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.parameters.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The request as the fields of a form, but for one: a client that authenticates says only once who it is.
    pub fn fields_without(&self, name: &str) -> Vec<(&str, &str)> {
        let fields = self.parameters.iter().filter(|(found, _)| found != name);
        fields.map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// The request as an object that its client can sign (RFC 9101 §4), for the server of this issuer.
    pub fn object(&self, issuer: &str) -> Value {
        let mut claims: Map<String, Value> =
            self.parameters.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))).collect();
        claims.insert("iss".to_owned(), Value::from(self.get("client_id")));
        claims.insert("aud".to_owned(), Value::from(issuer));
        Value::Object(claims)
    }

    /// The request as a path of the server.
    pub fn path(&self) -> String {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.parameters).finish();
        format!("/authorize?{query}")
    }
}

/// What the application gets at its redirect URI.
#[derive(Clone, Debug)]
pub struct Callback {
    /// The address without its query.
    pub target: String,
    parameters: BTreeMap<String, String>,
}

impl Callback {
    /// Reads a redirect to an application.
    pub fn of(target: &Url) -> Self {
        let mut bare = target.clone();
        bare.set_query(None);
        Self { target: bare.to_string(), parameters: target.query_pairs().into_owned().collect() }
    }

    /// Reads a form that leads to an application.
    pub fn of_form(form: &Form) -> Self {
        Self { target: form.action.clone(), parameters: form.fields.iter().cloned().collect() }
    }

    /// What a parameter holds; empty when it is absent.
    pub fn get(&self, name: &str) -> &str {
        self.parameters.get(name).map_or("", String::as_str)
    }

    /// The code.
    ///
    /// # Panics
    ///
    /// When there is none: the panic shows the error instead.
    pub fn code(&self) -> &str {
        let code = self.get("code");
        assert!(!code.is_empty(), "no code but {:?} at {}", self.parameters, self.target);
        code
    }

    /// The error; empty when there is none.
    pub fn error(&self) -> &str {
        self.get("error")
    }
}

//! The request that attacks distort.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use super::proving::Proving;
use crate::test_util::issuer::Issuer;
use crate::test_util::keys::ProofKey;

/// A request that a service answers, and which every attack is a distortion of.
#[derive(Clone, Debug)]
pub struct Target {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) token: String,
    pub(super) body: Option<Payload>,
    pub(super) jar: Option<Jar>,
    /// Claims without which the token opens nothing.
    pub(super) grants: Vec<String>,
    pub(super) proving: Option<Proving>,
    pub(super) certificate: Option<(HeaderName, String)>,
}

/// Where a browser keeps the token of the target.
#[derive(Clone, Debug)]
pub(super) struct Jar {
    pub(super) name: String,
    /// The origin of the pages of the service.
    pub(super) origin: String,
}

/// What is sent with a request.
#[derive(Clone, Debug)]
pub(super) enum Payload {
    Form(String),
    Json(String),
}

impl Payload {
    pub(super) const fn text(&self) -> &String {
        match self {
            Self::Form(text) | Self::Json(text) => text,
        }
    }

    const fn media(&self) -> &'static str {
        match self {
            Self::Form(_) => "application/x-www-form-urlencoded",
            Self::Json(_) => "application/json",
        }
    }
}

impl Target {
    /// `GET` of a path that needs a token, and a token that is good for it: one of the issuer of the suite.
    ///
    /// Of the paths below one that matches whatever follows, such as `/files/{*path}`, more is found out than of others: there,
    /// no router refuses what the guard lets through.
    pub fn get(path: &str, token: &str) -> Self {
        Self {
            method: Method::GET,
            path: path.to_owned(),
            token: token.to_owned(),
            body: None,
            jar: None,
            grants: Vec::new(),
            proving: None,
            certificate: None,
        }
    }

    /// `POST` of a JSON object. Its body is attacked as well. A member whose text holds a tag is taken for HTML, of which nothing
    /// that runs may come back.
    pub fn post(path: &str, token: &str, json: &str) -> Self {
        Self { method: Method::POST, body: Some(Payload::Json(json.to_owned())), ..Self::get(path, token) }
    }

    /// `POST` of a form, such as `item=a+gate&amount=1`. Its body is attacked as well.
    pub fn form(path: &str, token: &str, form: &str) -> Self {
        Self { method: Method::POST, body: Some(Payload::Form(form.to_owned())), ..Self::get(path, token) }
    }

    /// Says that it is this claim of the token that opens the target, such as `scope` or `roles`: without it, or with nothing in
    /// it, the token is to be refused. Called again, one more, each of which is needed.
    ///
    /// ```
    /// use portcullis_guard::test_util::Target;
    ///
    /// # let token = "a.b.c";
    /// let target = Target::get("/orders", token).granted_by("scope");
    /// ```
    #[must_use]
    pub fn granted_by(mut self, claim: &str) -> Self {
        self.grants.push(claim.to_owned());
        self
    }

    /// Says that the token is [bound](crate::test_util::Mint::bound_to) to a key, and by which origin clients reach the service: each request
    /// comes with a proof then, made by the clock of the issuer, and proofs are tried that are not good.
    ///
    /// ```
    /// use portcullis_guard::test_util::{ProofKey, Target};
    ///
    /// # let (key, token) = (ProofKey::new(), "a.b.c");
    /// let target = Target::get("/orders", token).bound_to(key, "https://orders.test");
    /// ```
    #[must_use]
    pub fn bound_to(mut self, key: impl Into<Arc<ProofKey>>, origin: &str) -> Self {
        self.proving = Some(Proving::new(key.into(), origin));
        self
    }

    /// Says which nonce the service asked for once in proofs, and takes no more: a test learns one, and turns the clock. Where a
    /// service asks for [nonces](crate::Dpop::nonces), the suite takes the one of now from its answer.
    ///
    /// # Panics
    ///
    /// Unless the target is [bound to](Self::bound_to) a key.
    #[must_use]
    pub fn old_nonce(mut self, nonce: impl Into<String>) -> Self {
        self.proving.as_mut().expect("a nonce is for a target that is bound to a key").old_nonce =
            Some(nonce.into());
        self
    }

    /// Says that the token is bound to a certificate, which a proxy at 127.0.0.1 hands on in this header: it is left out, taken
    /// from others, and sent by who is no proxy.
    ///
    /// ```
    /// use http::HeaderName;
    /// use portcullis_guard::test_util::Target;
    ///
    /// # let (token, certificate) = ("a.b.c", "");
    /// let header = HeaderName::from_static("client-cert");
    /// let target = Target::get("/orders", token).certificate(header, format!(":{certificate}:"));
    /// ```
    #[must_use]
    pub fn certificate(mut self, header: HeaderName, value: impl Into<String>) -> Self {
        self.certificate = Some((header, value.into()));
        self
    }

    /// Says that the service takes the token from this cookie as well, and at which origin its pages are: those of others are tried,
    /// and cookies that could be read in two ways.
    ///
    /// ```
    /// use portcullis_guard::test_util::Target;
    ///
    /// # let token = "a.b.c";
    /// let target = Target::post("/orders", token, r#"{"item":"a gate"}"#).cookie("__Host-shop", "https://shop.example.com");
    /// ```
    #[must_use]
    pub fn cookie(mut self, name: &str, origin: &str) -> Self {
        self.jar = Some(Jar { name: name.to_owned(), origin: origin.to_owned() });
        self
    }

    /// The same by the clock of an issuer.
    pub(super) fn of(&self, issuer: &Issuer) -> Self {
        let proving = self.proving.clone().map(|proving| proving.by(issuer));
        Self { proving, ..self.clone() }
    }

    /// The same with the nonce that an answer asks for, if it asks for one.
    pub(super) fn answering(self, headers: &HeaderMap) -> Self {
        let proving = self.proving.map(|proving| proving.answering(headers));
        Self { proving, ..self }
    }

    /// The good request, with another token or none.
    pub(super) fn with(&self, token: Option<&str>) -> Attempt {
        let mut headers = HeaderMap::new();
        let scheme = if self.proving.is_some() { "DPoP" } else { "Bearer" };
        let credentials = token.and_then(|token| HeaderValue::try_from(format!("{scheme} {token}")).ok());
        headers.extend(credentials.map(|value| (header::AUTHORIZATION, value)));
        if let Some(body) = &self.body {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(body.media()));
        }
        if let Some((name, value)) = &self.certificate {
            headers.extend(HeaderValue::try_from(value).ok().map(|value| (name.clone(), value)));
        }
        if let (Some(proving), Some(token)) = (&self.proving, token) {
            let proof = HeaderValue::try_from(proving.proof(self.method.as_str(), &self.path, token));
            headers.extend(proof.ok().map(|proof| (HeaderName::from_static("dpop"), proof)));
        }
        let body = self.body.as_ref().map(|body| body.text().clone().into_bytes()).unwrap_or_default();
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Attempt { method: self.method.clone(), path: self.path.clone(), headers, body, peer }
    }

    /// The good request.
    pub(super) fn good(&self) -> Attempt {
        self.with(Some(&self.token))
    }
}

/// A request.
#[derive(Clone)]
pub(super) struct Attempt {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) peer: IpAddr,
}

impl Attempt {
    pub(super) fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        if let Ok(value) = HeaderValue::from_bytes(value.as_ref()) {
            self.headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    /// The same with one value of a header in place of those that it has, or with none.
    pub(super) fn only(mut self, name: &HeaderName, value: Option<&str>) -> Self {
        self.headers.remove(name);
        let value = value.and_then(|value| HeaderValue::try_from(value).ok());
        self.headers.extend(value.map(|value| (name.clone(), value)));
        self
    }
}

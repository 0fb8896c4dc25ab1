//! Requests of clients to the token endpoint and its neighbours.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, RequestBuilder};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::agent::{Answer, agent};
use crate::authorize::{AuthorizeRequest, Callback};
use crate::registered::Registered;

/// The media type of answers about tokens that are signed (RFC 9701 §5).
pub const SIGNED_INTROSPECTION: &str = "application/token-introspection+jwt";

/// One form parameter.
pub type Field<'a> = (&'a str, &'a str);

/// Asks the machine endpoints of one server.
#[derive(Clone, Debug)]
pub struct Machine {
    issuer: String,
    client: Client,
}

impl Machine {
    /// Asks the server of this issuer.
    pub fn new(issuer: &str) -> Self {
        Self { issuer: issuer.to_owned(), client: agent() }
    }

    /// The address of an endpoint.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer)
    }

    /// A `GET` without any credential.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::to(self.client.get(self.url(path))).await
    }

    /// A form without any credential but what its fields hold.
    pub async fn post(&self, path: &str, fields: &[Field<'_>]) -> Answer {
        Answer::to(self.client.post(self.url(path)).form(fields)).await
    }

    /// A request to bend.
    pub fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    /// A form of a client: with Basic authentication when it has a secret (RFC 6749 §2.3.1), with its id otherwise.
    pub async fn post_as(&self, client: &Registered, path: &str, fields: &[Field<'_>]) -> Answer {
        Answer::to(self.form_of(client, path, fields)).await
    }

    /// The same as a request to bend.
    pub fn form_of(&self, client: &Registered, path: &str, fields: &[Field<'_>]) -> RequestBuilder {
        let request = self.client.post(self.url(path));
        if let Some(secret) = &client.secret {
            return request.header("authorization", basic(&client.id, secret)).form(fields);
        }
        let named: Vec<Field<'_>> = fields.iter().copied().chain([("client_id", &*client.id)]).collect();
        request.form(&named)
    }

    /// A token request.
    pub async fn token(&self, client: &Registered, fields: &[Field<'_>]) -> Answer {
        self.post_as(client, "/token", fields).await
    }

    /// Redeems what a sign-in brought.
    pub async fn redeem(
        &self,
        client: &Registered,
        request: &AuthorizeRequest,
        callback: &Callback,
    ) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", callback.code()),
            ("redirect_uri", request.get("redirect_uri")),
            ("code_verifier", &request.pkce.verifier),
        ];
        self.token(client, &fields).await
    }

    /// Trades a refresh token.
    pub async fn refresh(&self, client: &Registered, refresh_token: &str) -> Answer {
        self.token(client, &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// Trades a refresh token at a server that may vanish: `None` when no whole answer arrived.
    pub async fn try_refresh(&self, client: &Registered, refresh_token: &str) -> Option<Answer> {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)];
        Answer::try_to(self.form_of(client, "/token", &fields)).await
    }

    /// A token for the client itself.
    pub async fn client_credentials(&self, client: &Registered, audience: &str) -> Answer {
        self.token(client, &[("grant_type", "client_credentials"), ("resource", audience)]).await
    }

    /// What the server says about a token.
    pub async fn introspect(&self, client: &Registered, token: &str) -> Answer {
        self.post_as(client, "/introspect", &[("token", token)]).await
    }

    /// The same, asked for as a JWT (RFC 9701 §4).
    pub async fn introspect_signed(&self, client: &Registered, token: &str) -> Answer {
        let request = self.form_of(client, "/introspect", &[("token", token)]);
        Answer::to(request.header("accept", SIGNED_INTROSPECTION)).await
    }

    /// Whether the server calls a token active.
    ///
    /// # Panics
    ///
    /// When the server refuses to say.
    pub async fn is_active(&self, client: &Registered, token: &str) -> bool {
        let answer = self.introspect(client, token).await;
        assert_eq!(answer.status, 200, "introspection: {}", answer.text());
        answer
            .json()
            .get("active")
            .and_then(serde_json::Value::as_bool)
            .expect("RFC 7662 §2.2 requires `active`")
    }

    /// Revokes a token.
    pub async fn revoke(&self, client: &Registered, token: &str) -> Answer {
        self.post_as(client, "/revoke", &[("token", token)]).await
    }

    /// A `GET` of bytes that no HTTP library would send, and the status it gets; 0 when the connection just ends.
    ///
    /// # Panics
    ///
    /// When the server does not accept the connection.
    pub async fn raw_get(&self, target: &[u8]) -> u16 {
        let host = self.issuer.strip_prefix("http://").expect("a server under test speaks plain HTTP");
        let head = format!(" HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        self.raw(&[b"GET ", target, head.as_bytes()].concat()).await
    }

    /// Sends bytes as they are and returns the status of the first answer; 0 when the connection just ends.
    ///
    /// # Panics
    ///
    /// When the server does not accept the connection.
    pub async fn raw(&self, request: &[u8]) -> u16 {
        let host = self.issuer.strip_prefix("http://").expect("a server under test speaks plain HTTP");
        let mut stream = TcpStream::connect(host).await.expect("the server listens");
        // The server may close while we still write; what it said before counts.
        _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        _ = stream.read_to_end(&mut answer).await;
        let line =
            answer.split(|byte| *byte == b'\r').next().map(String::from_utf8_lossy).unwrap_or_default();
        line.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    /// Asks who somebody is.
    pub async fn userinfo(&self, access_token: &str) -> Answer {
        Answer::to(self.client.get(self.url("/userinfo")).bearer_auth(access_token)).await
    }
}

/// The `Authorization` header of a client (RFC 6749 §2.3.1: both halves form-encoded first).
pub fn basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", encode(id), encode(secret))))
}

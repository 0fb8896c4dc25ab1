//! What this client asks of its issuer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use url::Url;

use super::discovered::Discovered;
use crate::clock::Clock;
use crate::credentials::ServiceCredentials;
use crate::fetch::{FetchError, Fetcher, Form};
use crate::jwks::{MetadataFault, MetadataPlace, SignInPlaces};
use crate::token::object;

/// The longest answer that is read, and the longest token in one.
const MAX_ANSWER: usize = 128 * 1024;
const MAX_TOKEN: usize = 16 * 1024;

/// How much of what an issuer says of an error the log holds.
const MAX_SHOWN: usize = 200;

/// The client that this service is to its issuer.
pub(super) enum Client {
    Confidential(ServiceCredentials),
    /// It has no secret: the proof key alone shows that a code is its own (RFC 7636).
    Public(String),
}

impl Client {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Confidential(credentials) => credentials.client_id(),
            Self::Public(id) => id,
        }
    }

    /// What only this service and its issuer know; nothing, if it has none.
    pub(super) fn secret(&self) -> &[u8] {
        match self {
            Self::Confidential(credentials) => credentials.client_secret().as_bytes(),
            Self::Public(_) => &[],
        }
    }
}

/// The issuer, as its client sees it.
pub(super) struct Provider {
    pub(super) client: Client,
    pub(super) redirect_uri: String,
    discovered: Discovered,
    fetcher: Fetcher,
}

/// Why the issuer gave no tokens.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeFault {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("the answer is not one of tokens: {0}")]
    Malformed(&'static str),
    #[error(transparent)]
    Metadata(#[from] MetadataFault),
    /// The codes of RFC 6749 §5.2.
    #[error("the issuer refuses: {code} ({description})")]
    Refused { code: String, description: String },
}

impl ExchangeFault {
    /// Whether what was sent is no longer good, and asking again would not help.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Self::Refused { code, .. } if code == "invalid_grant")
    }
}

/// What the token endpoint gave.
pub(super) struct Tokens {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
    pub(super) id_token: Option<String>,
    pub(super) lifetime: Option<Duration>,
}

#[derive(serde::Deserialize)]
struct TokenAnswer {
    access_token: String,
    token_type: String,
    #[serde(default)]
    expires_in: Option<serde_json::Value>,
    #[serde(default)]
    refresh_token: Option<String>,
    #[serde(default)]
    id_token: Option<String>,
}

#[derive(serde::Deserialize)]
struct ErrorAnswer {
    error: String,
    #[serde(default)]
    error_description: Option<String>,
}

impl Provider {
    pub(super) fn new(
        client: Client,
        redirect_uri: String,
        place: MetadataPlace,
        (fetcher, clock): (Fetcher, Clock),
    ) -> Self {
        let discovered = Discovered::new(place, (fetcher.clone(), clock));
        Self { client, redirect_uri, discovered, fetcher }
    }

    /// Where people sign in and out.
    pub(super) async fn places(&self) -> Result<Arc<SignInPlaces>, MetadataFault> {
        self.discovered.places().await
    }

    /// Trades a code for tokens.
    pub(super) async fn redeem(&self, code: &str, verifier: &str) -> Result<Tokens, ExchangeFault> {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &self.redirect_uri),
            ("code_verifier", verifier),
        ];
        self.exchange(&fields).await
    }

    /// Trades a refresh token for new tokens.
    pub(super) async fn renew(&self, refresh_token: &str) -> Result<Tokens, ExchangeFault> {
        self.exchange(&[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await
    }

    /// Gives a refresh token back (RFC 7009), if the issuer takes it.
    pub(super) async fn revoke(&self, refresh_token: &str) {
        let sent = async {
            let places = self.places().await?;
            let Some(url) = &places.revocation else { return Ok(()) };
            let fields = [("token", refresh_token), ("token_type_hint", "refresh_token")];
            match self.post(url, &fields).await? {
                (StatusCode::OK, _) => Ok(()),
                (status, _) => Err(ExchangeFault::from(FetchError::Status(status))),
            }
        };
        if let Err(fault) = sent.await {
            tracing::debug!(issuer = self.discovered.issuer(), %fault, "a refresh token could not be given back");
        }
    }

    async fn exchange(&self, fields: &[(&str, &str)]) -> Result<Tokens, ExchangeFault> {
        let places = self.places().await?;
        match self.post(&places.token, fields).await? {
            (StatusCode::OK, body) => read_tokens(&body),
            // RFC 6749 §5.2: 400, and 401 where the client is not who it says.
            (StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED, body) => Err(read_refusal(&body)),
            (status, _) => Err(FetchError::Status(status).into()),
        }
    }

    async fn post(&self, url: &Url, fields: &[(&str, &str)]) -> Result<(StatusCode, Bytes), FetchError> {
        let (authorization, name) = match &self.client {
            Client::Confidential(credentials) => (credentials.authorization(), None),
            Client::Public(id) => (None, Some(("client_id", id.as_str()))),
        };
        let fields = fields.iter().copied().chain(name);
        let form = Form {
            url,
            authorization: authorization.as_ref(),
            accept: HeaderValue::from_static("application/json"),
            body: form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish(),
            max_bytes: MAX_ANSWER,
        };
        self.fetcher.post_form_for_any(form).await
    }
}

fn read_tokens(body: &[u8]) -> Result<Tokens, ExchangeFault> {
    let answer: TokenAnswer = object(body).ok_or(ExchangeFault::Malformed("it is no such document"))?;
    if !answer.token_type.eq_ignore_ascii_case("Bearer") {
        return Err(ExchangeFault::Malformed("the access token is no bearer token"));
    }
    let tokens = [Some(&answer.access_token), answer.refresh_token.as_ref(), answer.id_token.as_ref()];
    let is_token = |text: &&String| {
        (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    if !tokens.iter().flatten().all(is_token) {
        return Err(ExchangeFault::Malformed("a token is empty, too long or not of printable characters"));
    }
    // Some write the number as text, and some 0 where there is no end, or none that they say.
    let secs = answer.expires_in.and_then(|value| match value {
        serde_json::Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    });
    let secs = secs.filter(|secs| *secs > 0);
    let TokenAnswer { access_token, refresh_token, id_token, .. } = answer;
    Ok(Tokens { access_token, refresh_token, id_token, lifetime: secs.map(Duration::from_secs) })
}

fn read_refusal(body: &[u8]) -> ExchangeFault {
    match object::<ErrorAnswer>(body) {
        Some(ErrorAnswer { error, error_description }) => ExchangeFault::Refused {
            code: shown(&error),
            description: shown(&error_description.unwrap_or_default()),
        },
        None => ExchangeFault::Malformed("it is an error without a code"),
    }
}

/// What somebody else wrote, for the log: bounded, and on one line.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(answer: &str) -> Result<Option<u64>, String> {
        let tokens = read_tokens(answer.as_bytes());
        tokens.map(|tokens| tokens.lifetime.map(|it| it.as_secs())).map_err(|fault| fault.to_string())
    }

    #[test]
    fn tokens_are_read_strictly_and_their_lifetime_as_it_is_written() {
        assert_eq!(read(r#"{"access_token":"a","token_type":"Bearer","expires_in":300}"#), Ok(Some(300)));
        assert_eq!(read(r#"{"access_token":"a","token_type":"bearer","expires_in":"300"}"#), Ok(Some(300)));
        for none in ["null", "0", r#""0""#, "-1", "1.5"] {
            let answer = format!(r#"{{"access_token":"a","token_type":"bearer","expires_in":{none}}}"#);
            assert_eq!(read(&answer), Ok(None), "{none}");
        }
        for bad in [
            r#"{"access_token":"a"}"#,
            r#"{"access_token":"","token_type":"Bearer"}"#,
            r#"{"access_token":"a b","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"Bearer","refresh_token":7}"#,
            r#"["a","Bearer"]"#,
            "access_token=a",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_a_grant_that_is_no_longer_good_is_final() {
        for (answer, is_final) in [
            (r#"{"error":"invalid_grant","error_description":"spent\nINFO forged"}"#, true),
            (r#"{"error":"invalid_client"}"#, false),
            (r#"{"error":"temporarily_unavailable"}"#, false),
            ("<html>", false),
        ] {
            let fault = read_refusal(answer.as_bytes());
            assert_eq!(fault.is_final(), is_final, "{answer}");
            assert!(!fault.to_string().contains('\n'));
        }
        assert_eq!(shown(&"\u{e4}".repeat(500)).chars().count(), MAX_SHOWN);
    }
}

//! What a configuration says of a client and of this server.

use crate::cli::snippet::{FOR_SECRETS, Unfit, WITHOUT_API};
use crate::domain::client::{Client, Preset};
use crate::domain::client_authentication::AuthMethod;

/// What a configuration says of a client and of this server.
pub(super) struct Facts<'c> {
    pub(super) issuer: String,
    /// Those of its APIs: the one that it serves is the first.
    pub(super) audiences: Vec<String>,
    pub(super) client: &'c Client,
}

impl Facts<'_> {
    pub(super) const fn preset(&self) -> Preset {
        self.client.settings.preset
    }

    /// The identifier, of a client that proves by a secret who it is.
    pub(super) fn id_with_secret(&self) -> Result<&str, Unfit> {
        self.with_secret().map(|()| self.client.id.as_str())
    }

    fn with_secret(&self) -> Result<(), Unfit> {
        if self.client.authentication.method.needs_secret() { Ok(()) } else { Err(FOR_SECRETS) }
    }

    /// The API that is meant: the only one, or the one that it serves.
    pub(super) fn audience(&self) -> Result<&str, Unfit> {
        self.audiences.first().map(String::as_str).ok_or(WITHOUT_API)
    }

    /// The first redirect URI that ends so, without that end.
    pub(super) fn redirect_before(&self, end: &str) -> Option<&str> {
        self.client.redirects.iter().find_map(|redirect| redirect.as_str().strip_suffix(end))
    }

    /// How a secret is sent.
    pub(super) const fn way_of_secret(&self) -> &'static str {
        let by_form = matches!(self.client.authentication.method, AuthMethod::ClientSecretPost);
        if by_form { "client_secret_post" } else { "client_secret_basic" }
    }
}

/// A text between quotes, as Rust, TOML and YAML read it: what is registered has visible characters alone.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
pub(super) mod samples {
    use crate::domain::client::{Client, Preset};
    use crate::domain::client_authentication::{ClientAuthentication, ClientSecret};
    use crate::domain::clock::Timestamp;
    use crate::domain::redirect_uri::RedirectUri;
    use crate::domain::scope::ScopeSet;
    use crate::domain::secret::Digest32;

    use super::Facts;

    pub(crate) const ISSUER: &str = "https://login.bank.test/a";
    pub(crate) const AUDIENCE: &str = "https://stock.bank.test/\"api";

    /// A client with a secret.
    pub(crate) fn client(preset: Preset, redirect: Option<&str>) -> Client {
        let mut client = Client::sample();
        client.settings.preset = preset;
        let secret = ClientSecret { digest: Digest32::of(b"x"), created_at: Timestamp::from_secs(1) };
        client.authentication = ClientAuthentication::secret(secret);
        client.scopes = ScopeSet::parse("openid email").unwrap();
        client.redirects = redirect.iter().map(|uri| RedirectUri::parse(uri).unwrap()).collect();
        client
    }

    pub(crate) fn facts(client: &Client) -> Facts<'_> {
        Facts { issuer: ISSUER.to_owned(), audiences: vec![AUDIENCE.to_owned()], client }
    }

    /// A client that signs is none for a program that knows secrets alone.
    pub(crate) fn signing(mut client: Client) -> Client {
        client.authentication.method = crate::domain::client_authentication::AuthMethod::PrivateKeyJwt;
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_between_quotes_cannot_leave_them() {
        assert_eq!(quoted("https://a.example/\"x\\"), r#""https://a.example/\"x\\""#);
    }
}

//! A server with somebody who can sign in, and an API to ask tokens for.

use portcullis_tests::admin::{Admin, RegisteredApi};
use portcullis_tests::process::{Place, ServerProcess};
use portcullis_tests::visitor::{Person, Visitor};
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

/// A running server, and what is in it.
pub(crate) struct Ground {
    pub(crate) admin: Admin,
    pub(crate) api: RegisteredApi,
    pub(crate) person: Person,
    pub(crate) server: ServerProcess,
    _folder: TempDir,
}

impl Ground {
    /// Starts a server, whose API has this audience.
    pub(crate) async fn new(audience: &str) -> Self {
        Self::with(audience, &[]).await
    }

    /// The same with settings, each `section.key=value`.
    pub(crate) async fn with(audience: &str, settings: &[&str]) -> Self {
        let folder = tempdir().unwrap();
        let place = Place::new(folder.path());
        let admin = Admin::in_place(&place);
        let set = settings.iter().flat_map(|setting| ["--set", setting]);
        let arguments: Vec<&str> = std::iter::once("serve").chain(set).collect();
        let mut server = ServerProcess::of(place.command(&arguments), &place);
        server.ready().await;
        let api = admin.api(audience).await;
        let person = admin.user("ada").await;
        Self { admin, api, person, server, _folder: folder }
    }

    /// The name of the server.
    pub(crate) fn issuer(&self) -> &str {
        &self.server.address
    }

    /// A browser without a screen.
    pub(crate) fn visitor(&self) -> Visitor {
        Visitor::new(self.issuer())
    }

    /// Lets clients register once each that show what comes back.
    pub(crate) async fn initial_token(&self) -> String {
        let document = json!({ "name": "Foreign" });
        let made = self.admin.send(Method::POST, "/initial-access-tokens", &document).await;
        made.member("initial_access_token")
    }

    /// What a program is told of all this.
    pub(crate) fn told(&self) -> Value {
        let Person { username, sub, .. } = &self.person;
        let email = format!("{username}@example.org");
        json!({
            "issuer": self.issuer(),
            "api": { "id": self.api.id, "audience": self.api.audience },
            "person": { "sub": sub, "username": username, "email": email },
        })
    }
}

//! Attacks, by the ids of the project's catalogue. A test passes when the safe outcome is seen on the wire.

#[cfg(test)]
mod administration;
#[cfg(test)]
mod assertions;
#[cfg(test)]
mod authorization;
#[cfg(test)]
mod by_mail;
#[cfg(test)]
mod claims;
#[cfg(test)]
mod clients;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod forms;
#[cfg(test)]
mod mail;
#[cfg(test)]
mod outbound;
#[cfg(test)]
mod pages;
#[cfg(test)]
mod passkeys;
#[cfg(test)]
mod passwords;
#[cfg(test)]
mod recovery;
#[cfg(test)]
mod refresh;
#[cfg(test)]
mod registration;
#[cfg(test)]
mod replicas;
#[cfg(test)]
mod second_step;
#[cfg(test)]
mod secrets;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod sign_up;
#[cfg(test)]
mod tokens;

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor};

/// Somebody signed in at an application, with everything an attacker would like to have of them.
struct Victim {
    visitor: Visitor,
    person: Person,
    shop: Registered,
    request: AuthorizeRequest,
    callback: Callback,
}

impl Victim {
    /// Signs somebody in at a web application, with these scopes.
    async fn with_scope(server: &TestServer, scope: &str) -> Self {
        Self::named(server, "ada", scope).await
    }

    async fn named(server: &TestServer, username: &str, scope: &str) -> Self {
        let person = server.admin.user(username).await;
        let shop = server.admin.web_client(&[]).await;
        let request = AuthorizeRequest::of(&shop).with("scope", scope);
        let mut visitor = server.visitor();
        let callback = visitor.authorize(&request, &person).await;
        Self { visitor, person, shop, request, callback }
    }

    async fn of(server: &TestServer) -> Self {
        Self::with_scope(server, "openid").await
    }

    /// Redeems the code as the application does.
    async fn redeem(&self, server: &TestServer) -> Answer {
        server.machine.redeem(&self.shop, &self.request, &self.callback).await
    }

    /// A refresh token of somebody who asked for one.
    async fn refresh_token(server: &TestServer) -> (Self, String) {
        Self::refresh_token_of(server, "ada").await
    }

    async fn refresh_token_of(server: &TestServer, username: &str) -> (Self, String) {
        let victim = Self::named(server, username, "openid offline_access").await;
        let token = victim.redeem(server).await.member("refresh_token");
        assert!(!token.is_empty());
        (victim, token)
    }
}

/// An error page of the server: a refusal that leads nowhere.
fn assert_page_without_redirect(answer: &Answer, what: &str) {
    assert!(answer.status.is_client_error(), "{what}: {}", answer.status);
    assert_eq!(answer.location(), None, "{what}");
    assert!(answer.header("content-type").starts_with("text/html"), "{what}");
    assert!(!answer.text().contains("pcc_"), "{what}: a code is on the page");
}

//! Somebody signed in at an application, which has not redeemed the code yet.

use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use portcullis_tests::visitor::{Person, Visitor};

pub(crate) struct SignedIn {
    pub(crate) server: TestServer,
    pub(crate) person: Person,
    pub(crate) shop: Registered,
    pub(crate) visitor: Visitor,
    pub(crate) request: AuthorizeRequest,
    pub(crate) callback: Callback,
}

impl SignedIn {
    pub(crate) async fn on(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let person = server.admin.user("ada").await;
        let shop = server.admin.web_client(&[]).await;
        let request = AuthorizeRequest::of(&shop).with("scope", "openid offline_access");
        let mut visitor = server.visitor();
        let callback = visitor.authorize(&request, &person).await;
        Self { server, person, shop, visitor, request, callback }
    }

    /// Another code of the same person for the same application.
    pub(crate) async fn again(&mut self) {
        self.request = AuthorizeRequest::of(&self.shop).with("scope", "openid offline_access");
        self.callback = self.visitor.authorize(&self.request, &self.person).await;
    }

    pub(crate) async fn redeem(&self) -> Answer {
        self.server.machine.redeem(&self.shop, &self.request, &self.callback).await
    }

    /// A redemption with other fields in place of its own; one without a value is left out.
    pub(crate) async fn redeem_with(&self, client: &Registered, changes: &[(&str, Option<&str>)]) -> Answer {
        let own = [
            ("grant_type", "authorization_code"),
            ("code", self.callback.code()),
            ("redirect_uri", self.request.get("redirect_uri")),
            ("code_verifier", self.request.pkce.verifier.as_str()),
        ];
        let mut fields: Vec<Field<'_>> = Vec::new();
        for (name, value) in own {
            match changes.iter().find(|(other, _)| *other == name) {
                Some((_, instead)) => fields.extend(instead.map(|value| (name, value))),
                None => fields.push((name, value)),
            }
        }
        self.server.machine.token(client, &fields).await
    }
}

/// Status and error of a refusal.
pub(crate) fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

/// What the application is told at its redirect URI.
pub(crate) async fn told_at_callback(server: &TestServer, request: &AuthorizeRequest) -> Callback {
    let answer = server.visitor().get(&request.path()).await;
    Callback::of(&answer.location().unwrap_or_else(|| panic!("{}: {}", answer.status, answer.text())))
}

/// A request that leads nowhere: the person is told, on a page.
pub(crate) async fn assert_leads_nowhere(server: &TestServer, request: &AuthorizeRequest, why: &str) {
    let page = server.visitor().open(&request.path()).await;
    assert_eq!((page.status.as_u16(), page.location()), (400, None), "{why}: {}", page.text());
    assert!(page.header("content-type").starts_with("text/html"), "{why}");
}

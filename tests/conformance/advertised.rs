//! What the metadata name is accepted, and what they do not name is refused ([RFC 8414 §2](https://www.rfc-editor.org/rfc/rfc8414#section-2),
//! [OpenID Connect Discovery §3](https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderMetadata)), whatever is configured.

mod grants;
mod keys;
mod methods;
mod requests;
mod signing;

use portcullis_server::config::{CertificateSource, Config, Dynamic, SignUp, Transport};
use portcullis_tests::agent::Answer;
use portcullis_tests::authenticator::Authenticator;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::certificates::Certificate;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::registering::web_metadata;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::Person;
use reqwest::Method;
use rstest::rstest;
use serde_json::Value;

use crate::document_scene::accepting;

const METADATA: &str = "/.well-known/openid-configuration";

/// How a server is configured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Setup {
    /// Grants that can be turned off are.
    Closed,
    /// Whoever comes is registered, clients and people.
    Open,
    /// As for banks: requests are pushed, and certificates of clients are seen.
    Strict,
    /// Nothing is said.
    Usual,
}

/// A server, and what it says of itself.
pub(crate) struct Told {
    pub(crate) server: TestServer,
    pub(crate) metadata: Value,
    pub(crate) ada: Person,
    pub(crate) authority: Certificate,
}

impl Setup {
    fn configure(self, config: &mut Config, authority: &Certificate) {
        match self {
            Self::Closed => {
                config.protocol.device_grant = false;
                config.protocol.ciba_grant = false;
            }
            Self::Open => {
                accepting(config);
                config.reach.registration.dynamic = Dynamic::Open;
                config.reach.mail.transport = Transport::Folder;
                config.reach.accounts.sign_up = SignUp::Open;
            }
            Self::Strict => {
                config.protocol.require_pushed_requests = true;
                config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
                config.server.tls.client_certificates = CertificateSource::Header;
                let file = config.server.data_dir.join("authorities.pem");
                std::fs::write(&file, authority.certificate_pem()).unwrap();
                config.server.tls.client_ca = Some(file);
            }
            Self::Usual => {}
        }
    }
}

impl Told {
    pub(crate) async fn of(setup: Setup, database: Database) -> Self {
        Box::pin(Self::started(setup, database)).await
    }

    async fn started(setup: Setup, database: Database) -> Self {
        let authority = Certificate::authority("Authority");
        let server = TestServer::start_with(database, |config| setup.configure(config, &authority)).await;
        let metadata = server.machine.get(METADATA).await.json();
        let ada = server.admin.user("ada").await;
        Self { server, metadata, ada, authority }
    }

    /// The entries of a list of the metadata.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        let list = self.metadata.get(name).and_then(Value::as_array);
        let list = list.unwrap_or_else(|| panic!("no {name} in {}", self.metadata));
        assert!(!list.is_empty(), "{name} names nothing");
        list.iter().map(|entry| entry.as_str().expect("a text").to_owned()).collect()
    }

    /// Whether a list names something; one that is missing names nothing.
    pub(crate) fn names(&self, list: &str, entry: &str) -> bool {
        let list = self.metadata.get(list).and_then(Value::as_array);
        list.is_some_and(|list| list.iter().any(|named| named == entry))
    }

    /// The way to a request that was pushed, or why it was not.
    pub(crate) async fn push(
        &self,
        client: &Registered,
        request: &AuthorizeRequest,
    ) -> Result<String, Box<Answer>> {
        let pushed = self.server.machine.post_as(client, "/par", &request.fields_without("client_id")).await;
        if pushed.status != 201 {
            return Err(Box::new(pushed));
        }
        let handle = pushed.member("request_uri");
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.append_pair("client_id", &client.id).append_pair("request_uri", &handle);
        Ok(format!("/authorize?{}", query.finish()))
    }

    /// A sign-in of somebody who was never here, by a request that was pushed: that is taken in every configuration.
    pub(crate) async fn sign_in(&self, client: &Registered, request: &AuthorizeRequest) -> Callback {
        let path = self.push(client, request).await;
        let path = path.unwrap_or_else(|refused| panic!("not pushed: {}", refused.text()));
        self.server.visitor().walk(&path, &self.ada).await
    }

    /// The same of somebody with a second step.
    pub(crate) async fn sign_in_with_two_factors(
        &self,
        client: &Registered,
        request: &AuthorizeRequest,
    ) -> Callback {
        let person = self.server.admin.user("with-two-factors").await;
        let mut visitor = self.server.visitor();
        visitor.sign_in(&person).await;
        Authenticator::add(&mut visitor, &self.server).await;
        let path = self.push(client, request).await;
        let path = path.unwrap_or_else(|refused| panic!("not pushed: {}", refused.text()));
        visitor.walk(&path, &person).await
    }

    /// What the client gets for that.
    pub(crate) async fn tokens(&self, client: &Registered, request: &AuthorizeRequest) -> Answer {
        let callback = self.sign_in(client, request).await;
        self.server.machine.redeem(client, request, &callback).await
    }
}

#[rstest]
#[tokio::test]
async fn section_2_each_address_is_one_of_an_endpoint_and_there_is_none_beside(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Closed, Setup::Open, Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    let machine = &told.server.machine;
    let oauth = machine.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(oauth, told.metadata, "both documents say the same");
    for (name, method) in [
        ("authorization_endpoint", Method::GET),
        ("backchannel_authentication_endpoint", Method::POST),
        ("device_authorization_endpoint", Method::POST),
        ("end_session_endpoint", Method::GET),
        ("introspection_endpoint", Method::POST),
        ("jwks_uri", Method::GET),
        ("pushed_authorization_request_endpoint", Method::POST),
        ("registration_endpoint", Method::POST),
        ("revocation_endpoint", Method::POST),
        ("token_endpoint", Method::POST),
        ("userinfo_endpoint", Method::GET),
    ] {
        let Some(address) = told.metadata.get(name).and_then(Value::as_str) else { continue };
        let path = address.strip_prefix(&told.server.issuer).expect("it is below the issuer");
        let answer = Answer::to(machine.request(method, path)).await;
        assert!(![404, 405].contains(&answer.status.as_u16()), "{name}: {}", answer.status);
        assert!(answer.status.as_u16() < 500, "{name}: {}", answer.text());
        assert_ne!(answer.error(), "unsupported_grant_type", "{name}");
    }
    let known = told.metadata.as_object().unwrap().keys();
    let known = known.filter(|name| name.ends_with("_endpoint") || *name == "jwks_uri").count();
    let optional =
        ["backchannel_authentication_endpoint", "device_authorization_endpoint", "registration_endpoint"];
    let named: Vec<&str> = optional.into_iter().filter(|name| told.metadata.get(name).is_some()).collect();
    assert_eq!(known, 8 + named.len(), "an endpoint was added that nobody asks here: {}", told.metadata);
    let expected: &[&str] = match setup {
        Setup::Closed => &[],
        Setup::Open => &optional,
        Setup::Strict | Setup::Usual => &optional[..2],
    };
    assert_eq!(named, expected);
    if setup != Setup::Open {
        let refused = told.server.register(None, &web_metadata()).await;
        assert_eq!(refused.status, 404, "{}", refused.text());
    }
    if setup == Setup::Closed {
        // From a time when both were on.
        let open = |config: &mut Config| {
            config.protocol.device_grant = true;
            config.protocol.ciba_grant = true;
        };
        let before = told.server.replica_with(open).await;
        let bank = before.admin.bank().await;
        let started = machine.start(&bank, &[("scope", "openid"), ("login_hint", "ada")]).await;
        assert_eq!((started.status.as_u16(), &*started.error()), (400, "unsupported_grant_type"));
        let television = before.admin.device_client("openid", &[]).await;
        let codes = machine.post_as(&television, "/device_authorization", &[("scope", "openid")]).await;
        assert_eq!((codes.status.as_u16(), &*codes.error()), (400, "unsupported_grant_type"));
    }
}

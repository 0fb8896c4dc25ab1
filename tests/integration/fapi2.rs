//! Two clients of FAPI 2.0 from end to end, over the server's own TLS: one signs assertions and proofs (`private_key_jwt` and `DPoP`),
//! one shows a certificate (`tls_client_auth` and bound tokens). Each calls a service that mounts the guard.

use std::collections::BTreeMap;

use portcullis_server::config::{CertificateSource, Config};
use portcullis_server::domain::issuer::Issuer;
use portcullis_tests::admin::Admin;
use portcullis_tests::agent::{Answer, agent_with};
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::{AuthorizeRequest, Callback, random_text};
use portcullis_tests::certificates::{Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::jwt;
use portcullis_tests::process::eventually;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::tls_service::{TlsService, Trusted};
use portcullis_tests::token::Field;
use portcullis_tests::tunnel::Tunnel;
use portcullis_tests::visitor::{Person, Visitor};
use reqwest::{Client, Identity, RequestBuilder};
use rstest::rstest;
use serde_json::{Value, json};
use url::Url;

const ORDERS: &str = "https://orders.test";

/// A server that speaks TLS and knows an authority, a service behind the guard, and somebody who may read there.
struct Scene {
    server: TestServer,
    admin: Admin,
    tunnel: Tunnel,
    authority: Certificate,
    service: TlsService,
    ada: Person,
    api: String,
    metadata: Value,
}

fn speaks_tls(config: &mut Config, authority: &Certificate) {
    let issuer = config.issuer().as_str().replace("http://", "https://");
    config.server.issuer = Some(Issuer::parse(&issuer).unwrap().into());
    let (certificate, key) = authority.server("localhost").write(&config.server.data_dir);
    config.server.tls.certificate = Some(certificate);
    config.server.tls.key = Some(key);
    let file = config.server.data_dir.join("authorities.pem");
    std::fs::write(&file, authority.certificate_pem()).unwrap();
    config.server.tls.client_ca = Some(file);
    config.server.tls.client_certificates = CertificateSource::Connection;
}

impl Scene {
    async fn set(database: Database) -> Self {
        let authority = Certificate::authority("Authority");
        let server = TestServer::start_with(database, |config| speaks_tls(config, &authority)).await;
        let tunnel = Tunnel::to(&server.issuer, &authority).await;
        let admin = server.admin.at(&tunnel.address);
        let agent = agent(&authority, None);
        let found = agent.get(format!("{}/.well-known/openid-configuration", server.issuer));
        let metadata = Answer::to(found).await.json();
        assert_eq!(metadata["issuer"], server.issuer);
        let jwks = Answer::to(agent.get(metadata["jwks_uri"].as_str().unwrap())).await.text();
        let orders = admin.api(ORDERS).await;
        let ada = admin.user("ada").await;
        admin.assign(&orders, "viewer", &ada.id).await;
        let guard = admin.guard_client(&orders).await;
        let trusted =
            Trusted { issuer: &server.issuer, jwks: &jwks, reached_at: &tunnel.address, audience: ORDERS };
        let service = TlsService::start(trusted, &guard, &authority).await;
        Self { admin, tunnel, service, ada, api: orders.id, metadata, authority, server }
    }

    fn endpoint(&self, name: &str) -> String {
        self.metadata[name].as_str().unwrap_or_else(|| panic!("no {name}: {}", self.metadata)).to_owned()
    }

    /// A client of the profile.
    async fn client(&self, more: Value) -> Registered {
        let mut document = json!({ "name": "Bank", "preset": "web", "redirect_uris": ["https://bank.test/cb"],
            "apis": [self.api], "scopes": "openid offline_access", "options": { "profile": "fapi2" } });
        for (name, value) in more.as_object().unwrap() {
            if name == "authentication" {
                document["options"][name] = value.clone();
            } else {
                document[name] = value.clone();
            }
        }
        self.admin.client(document).await
    }

    /// A client that signs.
    async fn signer(&self) -> Bank<'_> {
        let keys = SigningKeys::generate();
        let client = self.client(json!({ "jwks": keys.public_jwks() })).await;
        let agent = agent(&self.authority, None);
        Bank { scene: self, client, agent, proof: Proof::Signature(keys, Holder::generate()) }
    }

    /// A client that shows a certificate.
    async fn shower(&self) -> Bank<'_> {
        let method = json!({ "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_subject_dn": "CN=bank,O=Portcullis tests" });
        let client = self.client(json!({ "authentication": method })).await;
        let certificate = self.authority.client(Wanted::named("bank"));
        let agent = agent(&self.authority, Some(&certificate));
        Bank { scene: self, client, agent, proof: Proof::Certificate(certificate) }
    }
}

/// Somebody who trusts the authority, and shows a certificate or none.
fn agent(authority: &Certificate, shown: Option<&Certificate>) -> Client {
    agent_with(|client| {
        let client = client.tls_certs_only([reqwest::Certificate::from_der(&authority.der).unwrap()]);
        match shown {
            Some(shown) => client.identity(Identity::from_pem(shown.pem().as_bytes()).unwrap()),
            None => client,
        }
    })
}

/// What a client proves by who it is, and what its tokens are bound to.
enum Proof {
    Certificate(Certificate),
    Signature(SigningKeys, Holder),
}

struct Bank<'s> {
    scene: &'s Scene,
    client: Registered,
    agent: Client,
    proof: Proof,
}

impl Bank<'_> {
    /// A form to an endpoint that the metadata name, with whatever proves who sends it.
    async fn post(&self, endpoint: &str, fields: &[Field<'_>]) -> Answer {
        let url = self.scene.endpoint(endpoint);
        let server = &self.scene.server;
        let id = self.client.id.as_str();
        let said = || fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        match &self.proof {
            Proof::Certificate(_) => {
                let form: Vec<_> = said().chain([("client_id".to_owned(), id.to_owned())]).collect();
                Answer::to(self.agent.post(&url).form(&form)).await
            }
            Proof::Signature(keys, holder) => {
                let path = url.trim_start_matches(server.issuer.as_str()).to_owned();
                let request = || {
                    let assertion = assertion_fields(keys, id, &server.issuer, server.clock.now());
                    let assertion = assertion.into_iter().map(|(name, value)| (name.to_owned(), value));
                    let form: Vec<_> = said().chain(assertion).collect();
                    let proof = holder.proof(&holder.claims(server, "POST", &path));
                    self.agent.post(&url).form(&form).header("dpop", proof)
                };
                holder.send(request).await
            }
        }
    }

    /// Pushes a request, sends a browser with the handle to the page, and takes back what it brings.
    async fn sign_in(&self, request: &AuthorizeRequest) -> Callback {
        let fields = request.fields_without("client_id");
        let pushed = self.post("pushed_authorization_request_endpoint", &fields).await;
        assert_eq!(pushed.status, 201, "{}", pushed.text());
        let mut address = Url::parse(&self.scene.endpoint("authorization_endpoint")).unwrap();
        let handle = pushed.member("request_uri");
        address
            .query_pairs_mut()
            .append_pair("client_id", &self.client.id)
            .append_pair("request_uri", &handle);
        let path = format!("{}?{}", address.path(), address.query().unwrap());
        let mut visitor = Visitor::through(&self.scene.tunnel.address, &self.scene.server.issuer);
        let callback = visitor.walk(&path, &self.scene.ada).await;
        assert_eq!(callback.get("iss"), self.scene.server.issuer);
        assert_eq!(callback.get("state"), request.get("state"));
        callback
    }

    async fn tokens(&self) -> Answer {
        let request = AuthorizeRequest::of(&self.client);
        let request = request.with("scope", "openid offline_access").with("resource", ORDERS);
        let callback = self.sign_in(&request).await;
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", callback.code()),
            ("redirect_uri", request.get("redirect_uri")),
            ("code_verifier", &request.pkce.verifier),
        ];
        let tokens = self.post("token_endpoint", &fields).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        assert_eq!(jwt::claims(&tokens.member("id_token"))["nonce"], request.get("nonce"));
        tokens
    }

    /// What tokens of this client are bound to.
    fn bound(&self) -> Value {
        match &self.proof {
            Proof::Certificate(certificate) => json!({ "x5t#S256": certificate.thumbprint() }),
            Proof::Signature(_, holder) => json!({ "jkt": holder.jkt() }),
        }
    }

    /// What the service answers to the token with the proof of its client, without one, and with that of somebody else.
    async fn calls(&self, token: &str) -> BTreeMap<&'static str, u16> {
        let scene = self.scene;
        let url = format!("{}/orders", scene.service.address);
        let bearer = |agent: &Client| agent.get(&url).bearer_auth(token);
        let proven = |holder: &Holder| {
            let claims = json!({ "jti": random_text(), "htm": "GET", "htu": url,
                "iat": portcullis_server::domain::clock::Clock::system().now().as_secs() });
            let proof = holder.proof_beside(token, claims);
            self.agent.get(&url).header("authorization", format!("DPoP {token}")).header("dpop", proof)
        };
        let requests: [(&str, RequestBuilder); 3] = match &self.proof {
            Proof::Certificate(_) => {
                let other = scene.authority.client(Wanted::named("other"));
                [
                    ("own", bearer(&self.agent)),
                    ("none", bearer(&agent(&scene.authority, None))),
                    ("other", bearer(&agent(&scene.authority, Some(&other)))),
                ]
            }
            Proof::Signature(_, holder) => [
                ("own", proven(holder)),
                ("none", bearer(&self.agent)),
                ("other", proven(&Holder::generate())),
            ],
        };
        let mut answers = BTreeMap::new();
        for (what, request) in requests {
            answers.insert(what, Answer::to(request).await.status.as_u16());
        }
        answers
    }
}

fn with_its_proof_alone() -> BTreeMap<&'static str, u16> {
    [("own", 200), ("none", 401), ("other", 401)].into()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_fapi_2_0_from_discovery_to_revocation(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("private_key_jwt and DPoP", "mTLS")] kind: &str,
) {
    let scene = Box::pin(Scene::set(database)).await;
    let bank = if kind == "mTLS" { scene.shower().await } else { scene.signer().await };
    let tokens = bank.tokens().await;
    let first = tokens.member("access_token");
    assert_eq!(jwt::claims(&first)["cnf"], bank.bound());
    assert_eq!(bank.calls(&first).await, with_its_proof_alone());

    let refresh_token = tokens.member("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.as_str())];
    let refreshed = bank.post("token_endpoint", &fields).await;
    assert_eq!(refreshed.json().get("refresh_token"), None, "it stays: {}", refreshed.text());
    let second = refreshed.member("access_token");
    assert_eq!(bank.calls(&second).await, with_its_proof_alone());
    assert_eq!(bank.post("token_endpoint", &fields).await.status, 200, "and may be used again");

    let told = bank.post("introspection_endpoint", &[("token", &second)]).await.json();
    assert_eq!((&told["active"], &told["cnf"]), (&json!(true), &bank.bound()), "{told}");

    let revoked = bank.post("revocation_endpoint", &[("token", &refresh_token)]).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    eventually("the service hears of it", async || {
        scene.service.refresh().await;
        bank.calls(&second).await["own"] == 401
    })
    .await;
    let told = bank.post("introspection_endpoint", &[("token", &second)]).await.json();
    assert_eq!(told, json!({ "active": false }));
    let over = bank.post("token_endpoint", &fields).await;
    assert_eq!((over.status.as_u16(), over.error().as_str()), (400, "invalid_grant"));
}

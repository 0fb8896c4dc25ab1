//! How many statements flows take, whichever way an application shows who it is: a pushed request 1, a code in a live session and its
//! tokens 5, a refresh 3 at most.

use portcullis_server::config::{CertificateSource, Config, Dynamic};
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::certificates::Certificate;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::party::Party;
use portcullis_tests::registering::OwnRegistration;
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{Person, Visitor};
use rstest::rstest;
use serde_json::{Value, json};

const ORDERS: &str = "https://orders.test";

/// A server behind a proxy that hands certificates on, and somebody who may read orders.
struct Scene {
    server: TestServer,
    authority: Certificate,
    ada: Person,
    api: String,
}

fn trusting(config: &mut Config, authority: &Certificate) {
    config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    config.server.tls.client_certificates = CertificateSource::Header;
    let file = config.server.data_dir.join("authorities.pem");
    std::fs::write(&file, authority.certificate_pem()).unwrap();
    config.server.tls.client_ca = Some(file);
}

/// How an application shows who it is, and what its tokens are bound to.
#[derive(Clone, Copy, Debug)]
enum Way {
    Certificate,
    CertificateByProfile,
    Public,
    PublicProving,
    Secret,
    SecretProving,
    Signing,
    SigningByProfile,
    SigningProving,
}

/// What its flows take.
struct Bounds {
    /// Without a pushed request, where the application may come so, and with one.
    pushes: &'static [bool],
    refresh: u64,
}

impl Way {
    const fn bounds(self) -> Bounds {
        match self {
            // Their refresh tokens stay, and nothing beside them counts once.
            Self::CertificateByProfile => Bounds { pushes: &[true], refresh: 2 },
            Self::SigningByProfile => Bounds { pushes: &[true], refresh: 3 },
            Self::Certificate
            | Self::Public
            | Self::PublicProving
            | Self::Secret
            | Self::SecretProving
            | Self::Signing
            | Self::SigningProving => Bounds { pushes: &[false, true], refresh: 3 },
        }
    }
}

impl Scene {
    async fn set(database: Database) -> Self {
        let authority = Certificate::authority("Authority");
        let server = TestServer::start_with(database, |config| {
            trusting(config, &authority);
            config.reach.registration.dynamic = Dynamic::Token;
        })
        .await;
        let ada = server.admin.user("ada").await;
        let orders = server.admin.api(ORDERS).await;
        server.admin.assign(&orders, "viewer", &ada.id).await;
        Self { server, authority, ada, api: orders.id }
    }

    async fn party(&self, way: Way) -> Party {
        let (server, apis) = (&self.server, json!({ "apis": [self.api] }));
        let with = |options: Value| json!({ "apis": [self.api], "options": options });
        let profile = with(json!({ "profile": "fapi2" }));
        let bound = with(json!({ "protocol": { "tls_client_certificate_bound_access_tokens": true } }));
        let app = json!({ "name": "App", "preset": "spa", "redirect_uris": ["https://rp.test/cb"],
            "apis": [self.api] });
        let shop = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "apis": [self.api] });
        match way {
            Way::Certificate => Party::that_shows(server, &self.authority, &bound).await,
            Way::CertificateByProfile => Party::that_shows(server, &self.authority, &profile).await,
            Way::Public => Party::with_secret(server.admin.client(app).await),
            Way::PublicProving => Party::with_secret(server.admin.client(app).await).proving(),
            Way::Secret => Party::with_secret(server.admin.client(shop).await),
            Way::SecretProving => Party::with_secret(server.admin.client(shop).await).proving(),
            Way::Signing => Party::that_signs(server, &apis).await,
            Way::SigningByProfile => Party::that_signs(server, &profile).await.proving(),
            Way::SigningProving => Party::that_signs(server, &apis).await.proving(),
        }
    }

    /// What something takes, and what comes of it.
    async fn taken<T>(&self, work: impl Future<Output = T>) -> (u64, T) {
        let before = self.server.statements();
        let outcome = work.await;
        (self.server.statements() - before, outcome)
    }

    /// Signs the person in at the application, which is allowed what it asks for and known from then on.
    async fn signed_in(&self, party: &Party) -> Visitor {
        if let Some(holder) = &party.holder {
            holder.greet(&self.server).await;
        }
        let mut visitor = self.server.visitor();
        let path = party.pushed(&self.server, &wanted(party)).await;
        visitor.walk(&path, &self.ada).await.code();
        visitor
    }
}

fn wanted(party: &Party) -> AuthorizeRequest {
    AuthorizeRequest::of(&party.client).with("resource", ORDERS).with("scope", "openid offline_access")
}

#[rstest]
#[tokio::test]
async fn whichever_way_an_application_shows_who_it_is_its_flows_take_no_more_statements(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(
        Way::Certificate,
        Way::CertificateByProfile,
        Way::Public,
        Way::PublicProving,
        Way::Secret,
        Way::SecretProving,
        Way::Signing,
        Way::SigningByProfile,
        Way::SigningProving
    )]
    way: Way,
) {
    let scene = Scene::set(database).await;
    let party = scene.party(way).await;
    let Bounds { pushes, refresh } = way.bounds();
    let mut visitor = scene.signed_in(&party).await;
    for pushes in pushes {
        let request = wanted(&party);
        let path = if *pushes {
            let (taken, path) = scene.taken(party.pushed(&scene.server, &request)).await;
            assert_eq!(taken, 1, "a request is pushed");
            path
        } else {
            request.path()
        };
        let (authorized, answer) = scene.taken(visitor.open(&path)).await;
        let callback = Callback::of(&answer.location().expect("nobody is asked"));
        let (redeemed, tokens) = scene.taken(party.redeem(&scene.server, &request, &callback)).await;
        assert_eq!((authorized, redeemed), (2, 3), "pushed: {pushes}, {}", tokens.text());
        assert_eq!(claims(&tokens.member("access_token"))["roles"], json!(["viewer"]));
        let mut token = tokens.member("refresh_token");
        for _ in 0..2 {
            let (taken, refreshed) = scene.taken(party.refresh(&scene.server, &token)).await;
            assert_eq!((taken, refreshed.status.as_u16()), (refresh, 200), "{}", refreshed.text());
            assert_eq!(claims(&refreshed.member("access_token"))["roles"], json!(["viewer"]));
            // One that stays is not always said again.
            token = Some(refreshed.member("refresh_token")).filter(|next| !next.is_empty()).unwrap_or(token);
        }
    }
}

/// An application that may not refresh uses up what it shows as well as one that may.
#[rstest]
#[tokio::test]
async fn a_flow_that_brings_no_refresh_token_takes_no_more_statements(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(false, true)] proves: bool,
) {
    let scene = Scene::set(database).await;
    let (server, keys) = (&scene.server, SigningKeys::generate());
    let metadata = json!({ "client_name": "Partner", "redirect_uris": ["https://partner.test/cb"],
        "grant_types": ["authorization_code"], "token_endpoint_auth_method": "private_key_jwt",
        "jwks": keys.public_jwks() });
    let token = server.initial_token(json!({})).await;
    let registered = OwnRegistration::of(&server.register(Some(&token), &metadata).await).client;
    let party = Party { keys: Some(keys), ..Party::with_secret(registered) };
    let party = if proves { party.proving() } else { party };
    if let Some(holder) = &party.holder {
        holder.greet(server).await;
    }
    let mut visitor = server.visitor();
    let wanted = || AuthorizeRequest::of(&party.client);
    visitor.walk(&party.pushed(server, &wanted()).await, &scene.ada).await.code();
    for _ in 0..2 {
        let request = wanted();
        let (pushed, path) = scene.taken(party.pushed(server, &request)).await;
        let (authorized, answer) = scene.taken(visitor.open(&path)).await;
        let callback = Callback::of(&answer.location().expect("nobody is asked"));
        let (redeemed, tokens) = scene.taken(party.redeem(server, &request, &callback)).await;
        assert_eq!((pushed, authorized, redeemed), (1, 2, 3), "{}", tokens.text());
        assert_eq!((tokens.status.as_u16(), tokens.member("refresh_token").as_str()), (200, ""));
    }
}

/// A machine that signs: its assertion, and the proof beside it, are all that is written.
#[rstest]
#[tokio::test]
async fn a_machine_that_signs_takes_one_statement(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(false, true)] proves: bool,
) {
    let scene = Scene::set(database).await;
    let machine = json!({ "preset": "m2m", "redirect_uris": [], "apis": [scene.api] });
    let party = Party::that_signs(&scene.server, &machine).await;
    let party = if proves { party.proving() } else { party };
    let fields = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    party.post(&scene.server, "/token", &fields).await;
    let (taken, tokens) = scene.taken(party.post(&scene.server, "/token", &fields)).await;
    assert_eq!((taken, tokens.status.as_u16()), (1, 200), "{}", tokens.text());
}

/// Opening a request that was pushed writes nothing but the flow, if there has to be one.
#[rstest]
#[tokio::test]
async fn opening_a_pushed_request_takes_two_statements_whoever_comes_and_how_often(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Way::Public, Way::Secret, Way::SigningByProfile)] way: Way,
) {
    let scene = Scene::set(database).await;
    let party = scene.party(way).await;
    let mut visitor = scene.signed_in(&party).await;
    let mut stranger = scene.server.visitor();
    let path = party.pushed(&scene.server, &wanted(&party).with("prompt", "consent")).await;
    for _ in 0..2 {
        for browser in [&mut visitor, &mut stranger] {
            let (taken, answer) = scene.taken(browser.get(&path)).await;
            assert_eq!((taken, answer.status.as_u16()), (2, 303), "{}", answer.text());
        }
    }
}

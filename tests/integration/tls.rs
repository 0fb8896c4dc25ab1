//! TLS without a proxy in front, over real connections: by which ciphers, with which certificates, on both sides.

use std::path::Path;

use portcullis_server::config::{CertificateSource, Config};
use portcullis_server::domain::client_protocol::SenderConstraint;
use portcullis_server::domain::issuer::Issuer;
use portcullis_server::services::caller::Caller;
use portcullis_server::services::clients::authentication::AuthenticationForm;
use portcullis_server::services::clients::form::{ClientForm, ClientOptions};
use portcullis_server::services::clients::protocol::ProtocolForm;
use portcullis_tests::agent::{Answer, agent_with};
use portcullis_tests::certificates::{Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::handshake::handshake;
use portcullis_tests::jwt;
use portcullis_tests::server::BareServer;
use reqwest::{Client, Identity};
use rstest::rstest;
use rustls::crypto::aws_lc_rs::cipher_suite;
use serde_json::json;

/// A server that speaks TLS, and who issued its certificate.
pub(crate) struct Spoken {
    pub(crate) server: BareServer,
    pub(crate) authority: Certificate,
    pub(crate) address: String,
}

pub(crate) async fn spoken(database: Database, change: impl FnOnce(&mut Config, &Certificate)) -> Spoken {
    let authority = Certificate::authority("Authority");
    let server = BareServer::start_with(database, |config| {
        let (certificate, key) = authority.server("localhost").write(&config.server.data_dir);
        config.server.tls.certificate = Some(certificate);
        config.server.tls.key = Some(key);
        change(config, &authority);
    })
    .await;
    let address = server.issuer.replace("http://", "https://");
    Spoken { server, authority, address }
}

pub(crate) fn asks_for_certificates(config: &mut Config, authority: &Certificate) {
    let file = config.server.data_dir.join("authorities.pem");
    std::fs::write(&file, authority.certificate_pem()).unwrap();
    config.server.tls.client_ca = Some(file);
    config.server.tls.client_certificates = CertificateSource::Connection;
}

/// Somebody who trusts the authority, and shows a certificate or none.
pub(crate) fn client(authority: &Certificate, shown: Option<&Certificate>) -> Client {
    agent_with(|client| {
        let root = reqwest::Certificate::from_der(&authority.der).unwrap();
        let client = client.tls_certs_only([root]);
        match shown {
            Some(shown) => client.identity(Identity::from_pem(shown.pem().as_bytes()).unwrap()),
            None => client,
        }
    })
}

// HT-15
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_spoken_by_the_ciphers_of_bcp_195_and_by_no_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let Spoken { server, authority, address } = spoken(database, |_, _| {}).await;
    let answer = Answer::to(client(&authority, None).get(format!("{address}/jwks"))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (suite, spoken) in [
        (cipher_suite::TLS13_AES_128_GCM_SHA256, true),
        (cipher_suite::TLS13_AES_256_GCM_SHA384, true),
        (cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, true),
        (cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, true),
        (cipher_suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, false),
    ] {
        let shown = handshake(&address, &authority, &[suite]);
        assert_eq!(shown.is_some(), spoken, "{:?}", suite.suite());
    }
    let plain = server.machine.raw_get(b"/jwks").await;
    assert_eq!(plain, 0, "nothing is said without TLS");
    server.stop().await;
}

// HT-17
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn answers_over_tls_say_that_it_is_spoken_for_years(#[values(Sqlite, Postgres)] database: Database) {
    let named = |config: &mut Config, _: &Certificate| {
        let issuer = config.issuer().as_str().replace("http://", "https://");
        config.server.issuer = Some(Issuer::parse(&issuer).unwrap().into());
    };
    let Spoken { server, authority, address } = spoken(database, named).await;
    for path in ["/jwks", "/nothing", "/login", "/token", "/api/v1/users"] {
        let answer = Answer::to(client(&authority, None).get(format!("{address}{path}"))).await;
        let said = answer.header("strict-transport-security");
        let secs = said.split(';').next().and_then(|said| said.strip_prefix("max-age=")?.parse::<u64>().ok());
        assert!(secs.is_some_and(|secs| secs >= 365 * 24 * 3_600), "{path}: {said}");
    }
    server.stop().await;
}

/// BCP 195 §4.2 names the suites for either kind of key.
#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_with_an_rsa_key_is_shown_by_the_ciphers_of_bcp_195_and_by_no_others(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let Spoken { server, authority, address } = spoken(database, |config, authority| {
        authority.server_with_rsa("localhost").write(&config.server.data_dir);
    })
    .await;
    for (suite, spoken) in [
        (cipher_suite::TLS13_AES_128_GCM_SHA256, true),
        (cipher_suite::TLS13_AES_256_GCM_SHA384, true),
        (cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, true),
        (cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, true),
        (cipher_suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, false),
        (cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, false),
    ] {
        let shown = handshake(&address, &authority, &[suite]);
        assert_eq!(shown.is_some(), spoken, "{:?}", suite.suite());
    }
    server.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn another_certificate_is_taken_over_without_a_restart_and_a_broken_one_is_not(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let Spoken { server, authority, address } = spoken(database, |_, _| {}).await;
    let suites = [cipher_suite::TLS13_AES_128_GCM_SHA256];
    let first = handshake(&address, &authority, &suites).unwrap();
    assert!(!server.app().refresh_certificate().unwrap(), "nothing changed");
    let next = authority.server("localhost");
    next.write(server.data_dir());
    assert_eq!(handshake(&address, &authority, &suites).as_ref(), Some(&first));
    assert!(server.app().refresh_certificate().unwrap());
    assert_eq!(handshake(&address, &authority, &suites).as_ref(), Some(&next.der));
    break_certificate(server.data_dir());
    assert!(server.app().refresh_certificate().unwrap_err().to_string().contains("tls.crt"));
    assert_eq!(handshake(&address, &authority, &suites).as_ref(), Some(&next.der), "the one before stays");
    authority.server("localhost").write(server.data_dir());
    std::fs::write(server.data_dir().join("tls.crt"), next.certificate_pem()).unwrap();
    assert!(server.app().refresh_certificate().is_err(), "the key is that of another certificate");
    server.stop().await;
}

fn break_certificate(folder: &Path) {
    std::fs::write(folder.join("tls.crt"), "-----BEGIN CERTIFICATE-----\nhello\n").unwrap();
}

/// A machine that proves by the name in its certificate who it is.
pub(crate) async fn robot(server: &BareServer) -> String {
    let form = ClientForm {
        name: "Robot".to_owned(),
        preset: "m2m".to_owned(),
        apis: vec![server.app().apis().admin_api().await.unwrap().id.to_string()],
        options: ClientOptions {
            authentication: AuthenticationForm {
                token_endpoint_auth_method: Some("tls_client_auth".to_owned()),
                tls_client_auth_subject_dn: Some("CN=robot,O=Portcullis tests".to_owned()),
                ..AuthenticationForm::default()
            },
            protocol: ProtocolForm {
                sender_constraint: SenderConstraint {
                    tls_client_certificate_bound_access_tokens: true,
                    ..SenderConstraint::default()
                },
                ..ProtocolForm::default()
            },
            ..ClientOptions::default()
        },
        ..ClientForm::default()
    };
    let caller = Caller::operator(server.clock.now());
    server.app().clients().create(&form, &caller).await.unwrap().client.value.id.to_string()
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_proves_by_the_certificate_of_its_handshake_who_it_is(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let Spoken { server, authority, address } = spoken(database, asks_for_certificates).await;
    let id = robot(&server).await;
    let own = authority.client(Wanted::named("robot"));
    let ask = async |shown: Option<&Certificate>, header: Option<String>| {
        let fields = [("grant_type", "client_credentials"), ("client_id", id.as_str())];
        let request = client(&authority, shown).post(format!("{address}/token")).form(&fields);
        Answer::to(match header {
            Some(header) => request.header("client-cert", header),
            None => request,
        })
        .await
    };
    let answer = ask(Some(&own), None).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bound = json!({ "x5t#S256": own.thumbprint() });
    assert_eq!(jwt::claims(&answer.member("access_token"))["cnf"], bound);
    for (what, shown, header) in [
        ("none", None, None),
        ("one of somebody else", Some(authority.client(Wanted::named("other"))), None),
        ("one that it signed itself", Some(Certificate::self_signed(Wanted::named("robot"))), None),
        ("one in a header", None, Some(own.header())),
    ] {
        let answer = ask(shown.as_ref(), header).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (401, "invalid_client"), "{what}");
    }
    server.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn people_need_no_certificate_where_clients_may_show_one(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let Spoken { server, authority, address } = spoken(database, asks_for_certificates).await;
    let answer = Answer::to(client(&authority, None).get(format!("{address}/login"))).await;
    assert!(answer.status.as_u16() < 500, "{}", answer.status);
    server.stop().await;
}

//! A second address at which clients are asked for certificates (RFC 8705 §5), over real connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portcullis_server::config::{CertificateSource, Config, Dynamic, Mtls, MtlsUrl};
use portcullis_server::services::caller::Caller;
use portcullis_server::services::clients::form::ClientForm;
use portcullis_tests::agent::Answer;
use portcullis_tests::certificates::{Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::jwt;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SignatureScheme};
use serde_json::{Value, json};

use crate::tls::{Spoken, asks_for_certificates, client, robot, spoken};

/// A server that asks at an address of its own; the harness finds the port.
fn asks_elsewhere(config: &mut Config, authority: &Certificate) {
    asks_for_certificates(config, authority);
    config.server.issuer =
        Some(config.issuer().as_str().replace("http://", "https://").parse().expect("an issuer"));
    config.server.tls.mtls = Some(Mtls {
        listen: Some(([127, 0, 0, 1], 0).into()),
        url: MtlsUrl::try_from("https://localhost:1".to_owned()).expect("an address"),
    });
    config.protocol.require_dpop_nonces = false;
    config.reach.registration.dynamic = Dynamic::Open;
}

async fn metadata(spoken: &Spoken) -> Value {
    let place = format!("{}/.well-known/openid-configuration", spoken.address);
    Answer::to(client(&spoken.authority, None).get(place)).await.json()
}

/// Where the aliases are.
fn second(metadata: &Value) -> String {
    let token = metadata["mtls_endpoint_aliases"]["token_endpoint"].as_str().expect("it has an alias");
    token.trim_end_matches("/token").to_owned()
}

/// Notes whether the server asked for a certificate, and shows none.
#[derive(Debug, Default)]
struct Asked(AtomicBool);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.store(true, Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Whether somebody who comes to an address is asked for a certificate, and the one that the server shows.
fn visit(address: &str, authority: &Certificate) -> (bool, Vec<u8>) {
    let asked = Arc::new(Asked::default());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(authority.der.clone())).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::<Asked>::clone(&asked));
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = std::net::TcpStream::connect(address.trim_start_matches("https://")).unwrap();
    connection.complete_io(&mut stream).unwrap();
    let shown = connection.peer_certificates().unwrap()[0].to_vec();
    (asked.0.load(Ordering::SeqCst), shown)
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn clients_are_asked_for_a_certificate_at_the_second_address_and_nobody_at_the_first(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let spoken = spoken(database, asks_elsewhere).await;
    let metadata = metadata(&spoken).await;
    let second = second(&metadata);
    assert_ne!(second, spoken.address);
    assert_eq!(metadata["token_endpoint"], format!("{}/token", spoken.address));
    let (asked, first_shown) = visit(&spoken.address, &spoken.authority);
    assert!(!asked, "a browser comes here");
    let (asked, shown) = visit(&second, &spoken.authority);
    assert!(asked && shown == first_shown);
    // Both have another certificate when there is one.
    let next = spoken.authority.server("localhost");
    next.write(spoken.server.data_dir());
    assert!(spoken.server.app().refresh_certificate().unwrap());
    for address in [&spoken.address, &second] {
        assert_eq!(visit(address, &spoken.authority).1, next.der, "{address}");
    }
    let answer = Answer::to(client(&spoken.authority, None).get(format!("{second}/jwks"))).await;
    assert_eq!(answer.status, 200, "nobody needs one there either");
    spoken.server.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn without_a_second_address_nothing_is_named_and_the_first_one_asks(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let spoken = spoken(database, asks_for_certificates).await;
    assert_eq!(metadata(&spoken).await.get("mtls_endpoint_aliases"), None);
    assert!(visit(&spoken.address, &spoken.authority).0);
    spoken.server.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_counts_at_each_alias_and_not_at_the_first_address(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let spoken = spoken(database, asks_elsewhere).await;
    let metadata = metadata(&spoken).await;
    let id = robot(&spoken.server).await;
    let own = spoken.authority.client(Wanted::named("robot"));
    let shows = client(&spoken.authority, Some(&own));
    let post =
        async |address: &str, fields: &[(&str, &str)]| Answer::to(shows.post(address).form(fields)).await;
    let asks = [("grant_type", "client_credentials"), ("client_id", &*id)];
    let aliases = metadata["mtls_endpoint_aliases"].as_object().unwrap();
    let at = |name: &str| aliases[name].as_str().unwrap();
    let answer = post(at("token_endpoint"), &asks).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token = answer.member("access_token");
    assert_eq!(jwt::claims(&token)["cnf"], json!({ "x5t#S256": own.thumbprint() }));
    let refused = post(metadata["token_endpoint"].as_str().unwrap(), &asks).await;
    assert_eq!((refused.status.as_u16(), &*refused.error()), (401, "invalid_client"));
    let about = [("token", &*token), ("client_id", &*id)];
    let known = post(at("introspection_endpoint"), &about).await;
    assert_eq!((known.status.as_u16(), &known.json()["active"]), (200, &json!(true)), "{}", known.text());
    assert_eq!(post(at("revocation_endpoint"), &about).await.status, 200);
    // The rest is not for this client, and answers it by its own errors.
    for (name, code) in [
        ("pushed_authorization_request_endpoint", 400),
        ("device_authorization_endpoint", 400),
        ("backchannel_authentication_endpoint", 400),
        ("userinfo_endpoint", 401),
        ("registration_endpoint", 415),
    ] {
        let answer = post(at(name), &[("client_id", &*id)]).await;
        assert_eq!(answer.status.as_u16(), code, "{name}: {}", answer.text());
    }
    assert_eq!(aliases.len(), 8, "each was asked");
    spoken.server.stop().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread")]
async fn a_proof_of_possession_is_for_the_address_that_was_reached(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let spoken = spoken(database, asks_elsewhere).await;
    let second = second(&metadata(&spoken).await);
    let caller = Caller::operator(spoken.server.clock.now());
    let apis = vec![spoken.server.app().apis().admin_api().await.unwrap().id.to_string()];
    let form =
        ClientForm { name: "Robot".to_owned(), preset: "m2m".to_owned(), apis, ..ClientForm::default() };
    let made = spoken.server.app().clients().create(&form, &caller).await.unwrap();
    let (id, secret) = (made.client.value.id.to_string(), made.secret.unwrap());
    let (holder, agent) = (Holder::generate(), client(&spoken.authority, None));
    let ask = async |at: &str, of: &str| {
        let mut claims = holder.claims(&spoken.server, "POST", "/token");
        claims["htu"] = json!(format!("{of}/token"));
        let request = agent.post(format!("{at}/token")).header("dpop", holder.proof(&claims));
        let request = request.basic_auth(&id, Some(secret.expose()));
        Answer::to(request.form(&[("grant_type", "client_credentials")])).await
    };
    for (at, of, is_good) in [
        (&spoken.address, &spoken.address, true),
        (&second, &second, true),
        (&second, &spoken.address, false),
        (&spoken.address, &second, false),
    ] {
        let answer = ask(at, of).await;
        let expected = if is_good { (200, "") } else { (400, "invalid_dpop_proof") };
        assert_eq!((answer.status.as_u16(), &*answer.error()), expected, "{at} {of}: {}", answer.text());
    }
    spoken.server.stop().await;
}

/// A proxy brings both addresses to one listener, which does not know them apart.
#[rstest]
#[tokio::test]
async fn behind_a_proxy_a_proof_may_name_either_address_and_no_third(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = TestServer::start_with(database, |config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        config.server.tls.client_certificates = CertificateSource::Header;
        let url = MtlsUrl::try_from("https://mtls.test".to_owned()).unwrap();
        config.server.tls.mtls = Some(Mtls { listen: None, url });
        config.protocol.require_dpop_nonces = false;
    })
    .await;
    let api = server.admin.api("https://orders.test").await;
    let machine = server.admin.machine_client(&[&api]).await;
    let secret = machine.secret.clone().unwrap();
    let holder = Holder::generate();
    for (address, is_good) in
        [(&*server.issuer, true), ("https://mtls.test", true), ("https://other.test", false)]
    {
        let mut claims = holder.claims(&server, "POST", "/token");
        claims["htu"] = json!(format!("{address}/token"));
        let request = server.machine.request(Method::POST, "/token").header("dpop", holder.proof(&claims));
        let request = request.basic_auth(&machine.id, Some(&secret));
        let fields = [("grant_type", "client_credentials"), ("resource", &*api.audience)];
        let answer = Answer::to(request.form(&fields)).await;
        let expected = if is_good { (200, "") } else { (400, "invalid_dpop_proof") };
        assert_eq!((answer.status.as_u16(), &*answer.error()), expected, "{address}: {}", answer.text());
    }
}

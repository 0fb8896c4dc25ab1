//! The certificate of a client in a header of the proxy that ended its connection
//! ([RFC 9440](https://www.rfc-editor.org/rfc/rfc9440)): how it is read, and who may send it.

use portcullis_server::config::{CertificateSource, Config};
use portcullis_tests::agent::Answer;
use portcullis_tests::certificates::{Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use rstest::rstest;
use serde_json::json;

const ORDERS: &str = "https://orders.test";

/// A server, and a machine that proves by a certificate of an authority who it is.
struct Scene {
    server: TestServer,
    robot: Registered,
    certificate: Certificate,
}

impl Scene {
    async fn start(database: Database, change: impl FnOnce(&mut Config)) -> Self {
        let authority = Certificate::authority("Authority");
        let server = TestServer::start_with(database, |config| {
            config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
            config.server.tls.client_certificates = CertificateSource::Header;
            let file = config.server.data_dir.join("authorities.pem");
            std::fs::write(&file, authority.certificate_pem()).unwrap();
            config.server.tls.client_ca = Some(file);
            change(config);
        })
        .await;
        let orders = server.admin.api(ORDERS).await;
        let name = json!({ "token_endpoint_auth_method": "tls_client_auth",
            "tls_client_auth_subject_dn": "CN=orders,O=Portcullis tests" });
        let robot = json!({ "name": "Robot", "preset": "m2m", "apis": [orders.id],
            "options": { "authentication": name } });
        let robot = server.admin.client(robot).await;
        let certificate = authority.client(Wanted::named("orders"));
        Self { server, robot, certificate }
    }

    /// A token request with headers as a proxy hands them on.
    async fn ask(&self, headers: &[(&str, String)]) -> Answer {
        let fields = [("grant_type", "client_credentials"), ("resource", ORDERS)];
        let request = self.server.machine.form_of(&self.robot, "/token", &fields);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        Answer::to(request).await
    }
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_certificate_is_a_byte_sequence_and_nothing_else(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::start(database, |_| {}).await;
    let good = scene.certificate.header();
    let answer = scene.ask(&[("client-cert", good.clone())]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bare = good.trim_matches(':').to_owned();
    for odd in
        [bare.clone(), format!(":{bare}"), format!(":{bare} :"), format!(":{bare}:, :{bare}:"), String::new()]
    {
        let refused = scene.ask(&[("client-cert", odd.clone())]).await;
        assert_eq!(told(&refused), (401, "invalid_client".to_owned()), "{odd}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_2_a_request_has_one_certificate(#[values(Sqlite, Postgres)] database: Database) {
    let scene = Scene::start(database, |_| {}).await;
    let good = scene.certificate.header();
    let twice = scene.ask(&[("client-cert", good.clone()), ("client-cert", good)]).await;
    assert_eq!(told(&twice), (401, "invalid_client".to_owned()), "{}", twice.text());
}

#[rstest]
#[tokio::test]
async fn section_2_3_the_chain_comes_in_a_list_of_several_lines_or_one(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::start(database, |_| {}).await;
    let good = scene.certificate.header();
    let other = Certificate::authority("Other").header();
    for chain in [vec![other.clone()], vec![format!("{other}, {other}")], vec![other.clone(), other.clone()]]
    {
        let mut headers = vec![("client-cert", good.clone())];
        headers.extend(chain.into_iter().map(|line| ("client-cert-chain", line)));
        let answer = scene.ask(&headers).await;
        assert_eq!(answer.status, 200, "what stands beside does no harm: {}", answer.text());
    }
    let alone = scene.ask(&[("client-cert-chain", good)]).await;
    assert_eq!(told(&alone), (401, "invalid_client".to_owned()), "a chain is of a certificate");
}

#[rstest]
#[tokio::test]
async fn section_2_4_no_cache_keeps_an_answer_that_a_certificate_chose(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::start(database, |_| {}).await;
    for headers in [vec![("client-cert", scene.certificate.header())], Vec::new()] {
        let answer = scene.ask(&headers).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{}", answer.text());
        for name in ["client-cert", "client-cert-chain"] {
            assert_eq!(answer.header(name), "", "it is no header of answers");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_4_the_header_counts_where_it_was_turned_on_and_from_trusted_proxies_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let stranger = Scene::start(database, |config| {
        config.server.trusted_proxies = vec!["192.0.2.1".parse().unwrap()];
    })
    .await;
    let refused = stranger.ask(&[("client-cert", stranger.certificate.header())]).await;
    assert_eq!(told(&refused), (401, "invalid_client".to_owned()), "{}", refused.text());
    // Where nobody turned it on, no client can be one that proves itself so, and the header changes nothing.
    let plain = TestServer::start_with(database, |config| {
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    })
    .await;
    let orders = plain.admin.api(ORDERS).await;
    let machine = plain.admin.machine_client(&[&orders]).await;
    let nameless = Registered { secret: None, ..machine };
    let fields = [("grant_type", "client_credentials"), ("resource", ORDERS)];
    let request = plain.machine.form_of(&nameless, "/token", &fields);
    let answer = Answer::to(request.header("client-cert", stranger.certificate.header())).await;
    assert_eq!(told(&answer), (401, "invalid_client".to_owned()), "{}", answer.text());
}

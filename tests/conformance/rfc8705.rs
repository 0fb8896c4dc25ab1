//! OAuth 2.0 Mutual-TLS Client Authentication and Certificate-Bound Access Tokens
//! ([RFC 8705](https://www.rfc-editor.org/rfc/rfc8705)), by the header of a proxy
//! ([RFC 9440](https://www.rfc-editor.org/rfc/rfc9440)); `integration/tls.rs` does the same by a handshake.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use portcullis_guard::{CertificateHeader, ClientCertificates, Proxies};
use portcullis_server::config::{CertificateSource, Config};
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::certificates::{AltName, Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::server::TestServer;
use portcullis_tests::service::GuardedService;
use portcullis_tests::token::Field;
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

const ORDERS: &str = "https://orders.test";
const FOR_ORDERS: [Field<'_>; 2] = [("grant_type", "client_credentials"), ("resource", ORDERS)];

/// A server behind a proxy that hands certificates on, and the authority that it knows.
struct Behind {
    server: TestServer,
    authority: Certificate,
}

fn trusting(config: &mut Config) {
    config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
    config.server.tls.client_certificates = CertificateSource::Header;
}

async fn behind(database: Database) -> Behind {
    let authority = Certificate::authority("Authority");
    let server = TestServer::start_with(database, |config| {
        trusting(config);
        let file = config.server.data_dir.join("authorities.pem");
        std::fs::write(&file, authority.certificate_pem()).unwrap();
        config.server.tls.client_ca = Some(file);
    })
    .await;
    Behind { server, authority }
}

/// A machine that proves by a certificate who it is.
async fn machine(server: &TestServer, authentication: Value, jwks: Option<Value>) -> Registered {
    let orders = server.admin.api(ORDERS).await;
    let mut document = json!({ "name": "Robot", "preset": "m2m", "apis": [orders.id],
        "options": { "authentication": authentication } });
    if let Some(jwks) = jwks {
        document["jwks"] = jwks;
    }
    server.admin.client(document).await
}

/// A token request with the certificate that a proxy hands on.
async fn ask(server: &TestServer, client: &Registered, certificate: Option<&Certificate>) -> Answer {
    ask_for(server, client, &FOR_ORDERS, certificate).await
}

async fn ask_for(
    server: &TestServer,
    client: &Registered,
    fields: &[Field<'_>],
    certificate: Option<&Certificate>,
) -> Answer {
    let request = server.machine.form_of(client, "/token", fields);
    Answer::to(match certificate {
        Some(certificate) => request.header("client-cert", certificate.header()),
        None => request,
    })
    .await
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

fn refused(status: u16, error: &str) -> (u16, String) {
    (status, error.to_owned())
}

#[rstest]
#[tokio::test]
async fn section_2_and_2_1_a_certificate_of_an_authority_proves_the_name_that_is_registered(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(
        ("tls_client_auth_subject_dn", "CN=orders,O=Portcullis tests"),
        ("tls_client_auth_san_dns", "orders.example"),
        ("tls_client_auth_san_uri", "spiffe://example/orders"),
        ("tls_client_auth_san_ip", "192.0.2.7"),
        ("tls_client_auth_san_email", "orders@example.org")
    )]
    registered: (&str, &str),
) {
    let (kind, name) = registered;
    let Behind { server, authority } = behind(database).await;
    let robot =
        machine(&server, json!({ "token_endpoint_auth_method": "tls_client_auth", kind: name }), None).await;
    assert_eq!(robot.secret, None);
    let all = [
        AltName::Dns("orders.example"),
        AltName::Uri("spiffe://example/orders"),
        AltName::Ip([192, 0, 2, 7]),
        AltName::Email("orders@example.org"),
    ];
    let own = Wanted { others: &all, ..Wanted::named("orders") };
    let answer = ask(&server, &robot, Some(&authority.client(own))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(jwt::claims(&answer.member("access_token")).get("cnf").is_none(), "nobody asked to bind it");
    let others = [AltName::Dns("stock.example"), AltName::Email("stock@example.org")];
    for (what, certificate) in [
        ("of somebody else", authority.client(Wanted { others: &others, ..Wanted::named("stock") })),
        ("of another authority", Certificate::authority("Authority").client(own)),
        ("signed by itself", Certificate::self_signed(own)),
        ("expired", authority.client(Wanted { until: "250201000000Z", ..own })),
        ("of a server", authority.server("orders.example")),
    ] {
        let answer = ask(&server, &robot, Some(&certificate)).await;
        assert_eq!(told(&answer), refused(401, "invalid_client"), "{what}");
    }
    assert_eq!(told(&ask(&server, &robot, None).await), refused(401, "invalid_client"), "none");
    let shown = server.admin.get(&format!("/clients/{}", robot.id)).await.json();
    assert_eq!(shown["authentication"], "tls_client_auth");
    assert_eq!(shown["settings"]["authentication"][kind], name, "{shown}");
}

#[rstest]
#[tokio::test]
async fn section_2_and_2_2_a_certificate_that_is_registered_proves_who_the_client_is(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("x5c", "x5t#S256")] by: &str,
) {
    let Behind { server, authority } = behind(database).await;
    let own = Certificate::self_signed(Wanted::named("orders"));
    let mut jwks = SigningKeys::generate().public_jwks();
    jwks["keys"][0][by] = if by == "x5c" { json!([own.x5c()]) } else { json!(own.thumbprint()) };
    let method = json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth" });
    let robot = machine(&server, method, Some(jwks)).await;
    let answer = ask(&server, &robot, Some(&own)).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    for (what, certificate) in [
        ("another with the same name", Certificate::self_signed(Wanted::named("orders"))),
        ("one of an authority", authority.client(Wanted::named("orders"))),
    ] {
        let answer = ask(&server, &robot, Some(&certificate)).await;
        assert_eq!(told(&answer), refused(401, "invalid_client"), "{what}");
    }
    assert_eq!(told(&ask(&server, &robot, None).await), refused(401, "invalid_client"));
}

// CA-17
#[rstest]
#[tokio::test]
async fn section_3_a_token_is_bound_to_the_certificate_and_used_with_it_alone(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let Behind { server, authority } = behind(database).await;
    let orders = server.admin.api(ORDERS).await;
    server.admin.activate(&orders, "p, reader, *, orders, read, allow\n").await;
    server.admin.post(&format!("/apis/{}/roles", orders.id), &json!({ "name": "reader" })).await;
    let robot = server.admin.client(json!({ "name": "Robot", "preset": "m2m", "apis": [orders.id],
        "options": { "protocol": { "tls_client_certificate_bound_access_tokens": true } } }));
    let robot = robot.await;
    server.admin.assign(&orders, "reader", &robot.id).await;
    let own = authority.client(Wanted::named("orders"));
    let other = authority.client(Wanted::named("stock"));
    let bare = ask(&server, &robot, None).await;
    assert_eq!(told(&bare), refused(400, "invalid_request"), "{}", bare.text());
    let answer = ask(&server, &robot, Some(&own)).await;
    assert_eq!(answer.json()["token_type"], "Bearer", "{}", answer.text());
    let token = answer.member("access_token");
    let bound = json!({ "x5t#S256": own.thumbprint() });
    assert_eq!(jwt::claims(&token)["cnf"], bound);
    let told = server.machine.introspect(&robot, &token).await.json();
    assert_eq!((&told["cnf"], &told["token_type"]), (&bound, &json!("Bearer")), "{told}");
    let guard = server.admin.guard_client(&orders).await;
    let service = GuardedService::start_with(&server.issuer, ORDERS, &guard, |guard| {
        let header = ClientCertificates::of_header(CertificateHeader::ClientCert);
        guard.client_certificates(header).proxies(Proxies::trust(["127.0.0.1"]).unwrap())
    })
    .await;
    for (certificate, status) in [(Some(&own), 200), (Some(&other), 401), (None, 401)] {
        let answer = service.get_showing("/orders", &token, certificate.map(Certificate::header)).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_3_userinfo_takes_a_bound_token_with_its_certificate_alone(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let Behind { server, authority } = behind(database).await;
    let ada = server.admin.user("ada").await;
    let app = bound_app(&server).await;
    let (own, other) = (authority.client(Wanted::named("a")), authority.client(Wanted::named("b")));
    let tokens = sign_in(&server, &app, &ada, &own).await;
    let token = tokens.member("access_token");
    for (certificate, status) in [(Some(&own), 200), (Some(&other), 401), (None, 401)] {
        let request = server.machine.request(Method::GET, "/userinfo").bearer_auth(&token);
        let request = match certificate {
            Some(certificate) => request.header("client-cert", certificate.header()),
            None => request,
        };
        let answer = Answer::to(request).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_4_the_refresh_tokens_of_a_public_client_are_bound_to_its_certificate(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let Behind { server, authority } = behind(database).await;
    let ada = server.admin.user("ada").await;
    let app = bound_app(&server).await;
    let own = authority.client(Wanted::named("a"));
    let other = authority.client(Wanted::named("b"));
    let tokens = sign_in(&server, &app, &ada, &own).await;
    let token = tokens.member("refresh_token");
    let fields = [("grant_type", "refresh_token"), ("refresh_token", token.as_str())];
    let stolen = ask_for(&server, &app, &fields, Some(&other)).await;
    assert_eq!(told(&stolen), refused(400, "invalid_grant"), "{}", stolen.text());
    let bare = ask_for(&server, &app, &fields, None).await;
    assert_eq!(told(&bare), refused(400, "invalid_request"), "{}", bare.text());
    let answer = ask_for(&server, &app, &fields, Some(&own)).await;
    assert_eq!(answer.status, 200, "nothing was spent: {}", answer.text());
    let bound = json!({ "x5t#S256": own.thumbprint() });
    assert_eq!(jwt::claims(&answer.member("access_token"))["cnf"], bound);
}

/// A public client that is held to bound tokens.
async fn bound_app(server: &TestServer) -> Registered {
    let document = json!({ "name": "App", "preset": "native", "redirect_uris": ["http://127.0.0.1/cb"],
        "options": { "protocol": { "tls_client_certificate_bound_access_tokens": true } } });
    server.admin.client(document).await
}

async fn sign_in(
    server: &TestServer,
    app: &Registered,
    person: &portcullis_tests::visitor::Person,
    certificate: &Certificate,
) -> Answer {
    let request = AuthorizeRequest::of(app).with("scope", "openid offline_access");
    let callback = server.visitor().authorize(&request, person).await;
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", request.get("redirect_uri")),
        ("code_verifier", &request.pkce.verifier),
    ];
    let tokens = ask_for(server, app, &fields, Some(certificate)).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    tokens
}

#[rstest]
#[tokio::test]
async fn section_6_5_a_header_counts_from_a_trusted_proxy_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let authority = Certificate::authority("Authority");
    let server = TestServer::start_with(database, |config| {
        trusting(config);
        config.server.trusted_proxies = vec!["192.0.2.1".parse().unwrap()];
        let file = config.server.data_dir.join("authorities.pem");
        std::fs::write(&file, authority.certificate_pem()).unwrap();
        config.server.tls.client_ca = Some(file);
    })
    .await;
    let name = json!({ "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_subject_dn": "CN=orders,O=Portcullis tests" });
    let robot = machine(&server, name, None).await;
    let answer = ask(&server, &robot, Some(&authority.client(Wanted::named("orders")))).await;
    assert_eq!(told(&answer), refused(401, "invalid_client"), "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn section_2_and_3_3_the_metadata_say_what_works_here(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("nothing", "certificates", "authorities")] seen: &str,
) {
    let authority = Certificate::authority("Authority");
    let server = TestServer::start_with(database, |config| {
        if seen != "nothing" {
            trusting(config);
        }
        if seen == "authorities" {
            let file = config.server.data_dir.join("authorities.pem");
            std::fs::write(&file, authority.certificate_pem()).unwrap();
            config.server.tls.client_ca = Some(file);
        }
    })
    .await;
    let metadata = server.machine.get("/.well-known/oauth-authorization-server").await.json();
    let methods = metadata["token_endpoint_auth_methods_supported"].as_array().unwrap();
    let offers = |method: &str| methods.contains(&json!(method));
    assert_eq!(offers("tls_client_auth"), seen == "authorities", "{methods:?}");
    assert_eq!(offers("self_signed_tls_client_auth"), seen != "nothing", "{methods:?}");
    assert!(offers("client_secret_basic") && offers("private_key_jwt") && !offers("client_secret_jwt"));
    assert_eq!(metadata["tls_client_certificate_bound_access_tokens"] == json!(true), seen != "nothing");
    assert!(metadata.get("mtls_endpoint_aliases").is_none(), "there are none");
    let jwks = {
        let mut jwks = SigningKeys::generate().public_jwks();
        jwks["keys"][0]["x5t#S256"] = json!(authority.thumbprint());
        jwks
    };
    let named =
        json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.test" });
    let signed = json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth" });
    for (document, works) in [
        (json!({ "options": { "authentication": named } }), seen == "authorities"),
        (json!({ "jwks": jwks, "options": { "authentication": signed } }), seen != "nothing"),
        (
            json!({ "options": { "protocol": { "tls_client_certificate_bound_access_tokens": true } } }),
            seen != "nothing",
        ),
    ] {
        let mut whole = json!({ "name": "Robot", "preset": "m2m" });
        whole.as_object_mut().unwrap().extend(document.as_object().unwrap().clone());
        let answer = server.admin.send(Method::POST, "/clients", &whole).await;
        assert_eq!(answer.status.as_u16(), if works { 201 } else { 422 }, "{}", answer.text());
        assert_eq!(answer.text().contains("server.tls."), !works, "the reason is told: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_2_1_2_a_client_that_registers_no_name_or_two_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let Behind { server, .. } = behind(database).await;
    let names = [
        ("tls_client_auth_subject_dn", "CN=robot,O=Portcullis tests"),
        ("tls_client_auth_san_dns", "robot.test"),
        ("tls_client_auth_san_uri", "https://robot.test/"),
        ("tls_client_auth_san_ip", "192.0.2.1"),
        ("tls_client_auth_san_email", "robot@robot.test"),
    ];
    let register = async |named: &[(&str, &str)]| {
        let mut authentication = json!({ "token_endpoint_auth_method": "tls_client_auth" });
        for (name, value) in named {
            authentication[*name] = json!(value);
        }
        let document =
            json!({ "name": "Robot", "preset": "m2m", "options": { "authentication": authentication } });
        server.admin.send(Method::POST, "/clients", &document).await
    };
    assert_eq!(register(&[]).await.status, 422);
    for pair in names.windows(2) {
        let refused = register(pair).await;
        assert_eq!(refused.status, 422, "{pair:?}: {}", refused.text());
        let one = register(&pair[..1]).await;
        assert_eq!(one.status, 201, "{pair:?}: {}", one.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_7_5_a_certificate_that_cannot_be_read_is_refused_without_harm(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let Behind { server, authority } = behind(database).await;
    let named = json!({ "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_subject_dn": "CN=orders,O=Portcullis tests" });
    let robot = machine(&server, named, None).await;
    let own = authority.client(Wanted::named("orders"));
    let whole = STANDARD.decode(own.x5c()).unwrap();
    let beside = [&whole[..], b"x"].concat();
    for odd in [&whole[..1], &whole[..whole.len() / 2], &whole[..whole.len() - 1], &beside, b"no certificate"]
    {
        let header = format!(":{}:", STANDARD.encode(odd));
        let request = server.machine.form_of(&robot, "/token", &FOR_ORDERS).header("client-cert", &header);
        assert_eq!(told(&Answer::to(request).await), refused(401, "invalid_client"), "{header}");
    }
    assert_eq!(ask(&server, &robot, Some(&own)).await.status, 200);
}

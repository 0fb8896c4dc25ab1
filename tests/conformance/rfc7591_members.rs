//! OAuth 2.0 Dynamic Client Registration ([RFC 7591](https://www.rfc-editor.org/rfc/rfc7591)): what other specifications let a client
//! register.

use portcullis_server::config::{CertificateSource, Config, Dynamic};
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::certificates::{AltName, Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::jwt;
use portcullis_tests::registering::{OwnRegistration, web_metadata};
use portcullis_tests::server::TestServer;
use portcullis_tests::visitor::{login_form, the_form};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

fn open(config: &mut Config) {
    config.reach.registration.dynamic = Dynamic::Open;
}

async fn server(database: Database) -> TestServer {
    TestServer::start_with(database, open).await
}

fn with(members: Value) -> Value {
    let mut metadata = web_metadata();
    if let (Some(whole), Value::Object(members)) = (metadata.as_object_mut(), members) {
        whole.extend(members);
    }
    metadata
}

/// Registers, and makes sure that all of it is told back, then and when the registration is read.
async fn registered(server: &TestServer, members: Value) -> (Answer, OwnRegistration) {
    let answer = server.register(None, &with(members.clone())).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let own = OwnRegistration::of(&answer);
    let read = server.about_registration(Method::GET, &own.path, Some(&own.token), None).await;
    for (member, value) in members.as_object().expect("an object") {
        assert_eq!(answer.json().get(member), Some(value), "{member}");
        assert_eq!(read.json().get(member), Some(value), "{member} when it is read");
    }
    (answer, own)
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

#[rstest]
#[tokio::test]
async fn section_2_of_two_ways_to_send_a_secret_one_is_registered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    for (method, basic, post) in [("client_secret_basic", 400, 401), ("client_secret_post", 401, 400)] {
        let (_, own) = registered(&server, json!({ "token_endpoint_auth_method": method })).await;
        let secret = own.client.secret.clone().expect("it has one");
        let header = server.machine.token(&own.client, &refresh).await;
        assert_eq!(header.status, basic, "{method}: {}", header.text());
        let mut fields = refresh.to_vec();
        fields.extend([("client_id", own.client.id.as_str()), ("client_secret", secret.as_str())]);
        let form = server.machine.post("/token", &fields).await;
        assert_eq!(form.status, post, "{method}: {}", form.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_2_what_openid_connect_and_the_bindings_of_tokens_add_is_registered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let (_, own) = registered(
        &server,
        json!({ "subject_type": "pairwise", "userinfo_signed_response_alg": "ES256",
            "id_token_signed_response_alg": "EdDSA", "initiate_login_uri": "https://partner.test/login" }),
    )
    .await;
    let tokens = server.tokens(&own.client, &AuthorizeRequest::of(&own.client), &ada).await;
    let claims = jwt::claims(&tokens.member("id_token"));
    assert_ne!(claims["sub"], json!(ada.sub));
    let info = server.machine.userinfo(&tokens.member("access_token")).await;
    assert_eq!(info.header("content-type"), "application/jwt");
    assert_eq!(jwt::claims(&info.text())["sub"], claims["sub"]);

    let (_, own) = registered(&server, json!({ "dpop_bound_access_tokens": true })).await;
    let refused = server.tokens(&own.client, &AuthorizeRequest::of(&own.client), &ada).await;
    assert_eq!(told(&refused), (400, "invalid_dpop_proof".to_owned()), "{}", refused.text());

    let (_, own) = registered(&server, json!({ "require_pushed_authorization_requests": true })).await;
    let callback = server.visitor().authorize(&AuthorizeRequest::of(&own.client), &ada).await;
    assert_eq!(callback.error(), "invalid_request");

    let keys = SigningKeys::generate();
    let signs = json!({ "jwks": keys.public_jwks(), "require_signed_request_object": true });
    let (answer, own) = registered(&server, signs).await;
    assert!(answer.json().get("client_secret").is_some(), "keys are for its requests, too");
    let plain = server.visitor().authorize(&AuthorizeRequest::of(&own.client), &ada).await;
    assert_eq!(plain.error(), "invalid_request");
}

#[rstest]
#[tokio::test]
async fn section_2_what_the_server_cannot_do_is_refused_by_its_member(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    for (members, member) in [
        (
            json!({ "token_endpoint_auth_method": "tls_client_auth", "tls_client_auth_san_dns": "a.test" }),
            "token_endpoint_auth_method",
        ),
        (json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth" }), "jwks"),
        (
            json!({ "tls_client_certificate_bound_access_tokens": true }),
            "tls_client_certificate_bound_access_tokens",
        ),
        (json!({ "id_token_encrypted_response_alg": "RSA-OAEP" }), "id_token_encrypted_response_alg"),
        (json!({ "request_object_signing_alg": "none" }), "request_object_signing_alg"),
        (json!({ "token_endpoint_auth_signing_alg": "HS256" }), "token_endpoint_auth_signing_alg"),
        (json!({ "userinfo_signed_response_alg": "HS256" }), "userinfo_signed_response_alg"),
        (json!({ "subject_type": "special" }), "subject_type"),
        (
            json!({ "subject_type": "pairwise", "redirect_uris": ["https://a.test/cb", "https://b.test/cb"] }),
            "sector_identifier_uri",
        ),
        (
            json!({ "jwks": SigningKeys::generate().public_jwks(), "jwks_uri": "https://partner.test/jwks" }),
            "jwks_uri",
        ),
        (json!({ "sector_identifier_uri": "https://169.254.169.254/s.json" }), "sector_identifier_uri"),
    ] {
        let answer = server.register(None, &with(members.clone())).await;
        assert_eq!(told(&answer), (400, "invalid_client_metadata".to_owned()), "{members}");
        let said = answer.member("error_description");
        assert!(said.starts_with(&format!("{member}: ")), "{members}: {said}");
    }
}

#[rstest]
#[tokio::test]
async fn rfc_8705_a_client_with_a_certificate_registers_where_the_server_sees_them(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let authority = Certificate::authority("Authority");
    let server = TestServer::start_with(database, |config| {
        open(config);
        config.server.trusted_proxies = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        config.server.tls.client_certificates = CertificateSource::Header;
        let file = config.server.data_dir.join("authorities.pem");
        std::fs::write(&file, authority.certificate_pem()).unwrap();
        config.server.tls.client_ca = Some(file);
    })
    .await;
    let named = json!({ "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_dns": "partner.test", "tls_client_certificate_bound_access_tokens": true });
    let (_, vouched) = registered(&server, named).await;
    let partner = [AltName::Dns("partner.test")];
    let wanted = Wanted { others: &partner, ..Wanted::named("partner") };
    let own = Certificate::self_signed(Wanted::named("own"));
    let mut jwks = SigningKeys::generate().public_jwks();
    jwks["keys"][0]["x5c"] = json!([own.x5c()]);
    let by_itself = json!({ "token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": jwks });
    let (_, itself) = registered(&server, by_itself).await;
    let fields = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    for (client, certificate, other) in [
        (&vouched.client, authority.client(wanted), authority.client(Wanted::named("other"))),
        (&itself.client, own, Certificate::self_signed(Wanted::named("own"))),
    ] {
        assert_eq!(client.secret, None);
        let show = async |certificate: &Certificate| {
            let request = server.machine.form_of(client, "/token", &fields);
            told(&Answer::to(request.header("client-cert", certificate.header())).await)
        };
        assert_eq!(show(&other).await, (401, "invalid_client".to_owned()));
        assert_eq!(show(&certificate).await, (400, "invalid_grant".to_owned()), "the client is known");
    }
    let nameless = json!({ "token_endpoint_auth_method": "tls_client_auth" });
    let refused = server.register(None, &with(nameless)).await;
    assert_eq!(told(&refused), (400, "invalid_client_metadata".to_owned()));
}

#[rstest]
#[tokio::test]
async fn openid_registration_section_5_and_openid_core_section_8_1_a_sector_lists_every_redirect_uri(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let list = DocumentAt::start().await;
    let server = TestServer::start_with(database, |config| {
        open(config);
        config.reach.outbound.allow = vec!["127.0.0.1".parse().expect("an address")];
        config.reach.outbound.ca_file = Some(DocumentAt::authority());
    })
    .await;
    let ada = server.admin.user("ada").await;
    let sector = list.client_id.replace("127.0.0.1", "localhost");
    let client = |redirects: Value| {
        with(
            json!({ "subject_type": "pairwise", "sector_identifier_uri": sector, "redirect_uris": redirects }),
        )
    };
    let (one, two) = (json!(["https://one.test/cb"]), json!(["https://two.test/cb"]));
    for (status, body) in [
        ("200 OK", json!(["https://one.test/other"]).to_string()),
        ("200 OK", json!({ "redirect_uris": one }).to_string()),
        ("200 OK", "[".to_owned()),
        ("404 Not Found", one.to_string()),
        ("302 Found", one.to_string()),
    ] {
        list.say(status, "content-type: application/json\r\n", &body);
        let answer = server.register(None, &client(one.clone())).await;
        assert_eq!(told(&answer), (400, "invalid_client_metadata".to_owned()), "{status} {body}");
        assert!(answer.member("error_description").starts_with("sector_identifier_uri: "));
    }
    list.publish(&json!(["https://one.test/cb", "https://two.test/cb"]));
    let mut subjects = Vec::new();
    for redirects in [one, two] {
        let own = OwnRegistration::of(&server.register(None, &client(redirects)).await);
        let tokens = server.tokens(&own.client, &AuthorizeRequest::of(&own.client), &ada).await;
        subjects.push(jwt::claims(&tokens.member("id_token"))["sub"].clone());
    }
    assert_eq!(subjects.first(), subjects.get(1), "clients of one sector know people by one name");
    assert_ne!(subjects.first(), Some(&json!(ada.sub)));
}

#[rstest]
#[tokio::test]
async fn section_5_the_page_for_signing_in_shows_no_name_that_a_client_gave_itself(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let (_, own) = registered(&server, json!({ "client_name": "Bank of Example" })).await;
    let mut visitor = server.visitor();
    let login = visitor.open(&AuthorizeRequest::of(&own.client).path()).await;
    assert!(login.text().contains("partner.test"), "{}", login.text());
    assert!(!login.text().contains("Bank of Example"), "{}", login.text());
    let sent = visitor.submit(&login_form(&login, &ada.username, &ada.password)).await;
    let page = visitor.follow(sent).await;
    let consent = page.text();
    assert!(consent.contains("id=\"redirect-host\">partner.test<"), "{consent}");
    assert!(consent.contains("id=\"stranger\""), "{consent}");
    // Nor to somebody who is signed in and wants to be somebody else.
    let form = the_form(&page, "consent");
    let interaction = form.value("interaction").expect("it names the interaction");
    let switched = visitor.open(&format!("/login?interaction={interaction}&switch=1")).await;
    let refused = visitor.submit(&login_form(&switched, &ada.username, "wrong")).await;
    for page in [switched, refused] {
        assert!(page.text().contains("partner.test"), "{}", page.text());
        assert!(!page.text().contains("Bank of Example"), "{}", page.text());
    }
}

/// Whoever trusts the owner of a page would trust the client with it.
#[rstest]
#[tokio::test]
async fn section_5_of_pages_only_those_are_shown_that_are_at_the_host_of_the_client(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let server = server(database).await;
    let ada = server.admin.user("ada").await;
    let links = json!({ "client_uri": "https://bank.example/", "tos_uri": "https://partner.test/terms" });
    let (_, own) = registered(&server, links).await;
    let mut visitor = server.visitor();
    visitor.sign_in(&ada).await;
    let page = visitor.open(&AuthorizeRequest::of(&own.client).path()).await;
    the_form(&page, "consent");
    let html = page.text();
    assert!(!html.contains("bank.example") && html.contains("Its terms"), "{html}");
}

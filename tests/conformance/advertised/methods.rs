//! Ways of clients to prove who they are, at each endpoint that names some.

use portcullis_server::domain::client_authentication::AuthMethod;
use portcullis_tests::admin::RegisteredApi;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::certificates::{AltName, Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use portcullis_tests::token::{Field, basic};
use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::advertised::{Setup, Told};

/// A machine that proves in one way who it is.
struct Prover {
    client: Registered,
    method: &'static str,
    keys: SigningKeys,
    certificate: Certificate,
}

impl Prover {
    /// What is registered for a method.
    fn document(&self, api: &RegisteredApi) -> Value {
        let mut document = json!({ "name": "Robot", "preset": "m2m", "apis": [api.id],
            "options": { "authentication": { "token_endpoint_auth_method": self.method } } });
        match self.method {
            "private_key_jwt" => document["jwks"] = self.keys.public_jwks(),
            "self_signed_tls_client_auth" => {
                let mut jwks = SigningKeys::generate().public_jwks();
                jwks["keys"][0]["x5t#S256"] = json!(self.certificate.thumbprint());
                document["jwks"] = jwks;
            }
            "tls_client_auth" => {
                document["options"]["authentication"]["tls_client_auth_san_dns"] = json!("robot.example");
            }
            _ => {}
        }
        document
    }

    fn of(told: &Told, method: &'static str) -> Self {
        let wanted = Wanted { others: &[AltName::Dns("robot.example")], ..Wanted::named("robot") };
        let certificate = match method {
            "self_signed_tls_client_auth" => Certificate::self_signed(wanted),
            _ => told.authority.client(wanted),
        };
        let client = Registered { id: String::new(), secret: None, redirect_uris: Vec::new() };
        Self { client, method, keys: SigningKeys::generate(), certificate }
    }

    /// A request by which the machine proves who it is.
    async fn ask(&self, told: &Told, path: &str, fields: &[Field<'_>]) -> Answer {
        let (server, id) = (&told.server, &*self.client.id);
        let secret = self.client.secret.as_deref().unwrap_or_default();
        let proof = assertion_fields(&self.keys, id, &server.issuer, server.clock.now());
        let mut fields = fields.to_vec();
        let request = server.machine.request(Method::POST, path);
        let request = match self.method {
            "client_secret_basic" => request.header("authorization", basic(id, secret)),
            "client_secret_post" => {
                fields.extend([("client_id", id), ("client_secret", secret)]);
                request
            }
            "private_key_jwt" => {
                fields.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
                request
            }
            "self_signed_tls_client_auth" | "tls_client_auth" => {
                fields.push(("client_id", id));
                request.header("client-cert", self.certificate.header())
            }
            other => panic!("nobody proves anything by {other} here"),
        };
        Answer::to(request.form(&fields)).await
    }
}

const LISTS: [(&str, &str); 3] = [
    ("/token", "token_endpoint_auth_methods_supported"),
    ("/introspect", "introspection_endpoint_auth_methods_supported"),
    ("/revoke", "revocation_endpoint_auth_methods_supported"),
];

#[rstest]
#[tokio::test]
async fn section_2_each_method_that_is_named_proves_a_client_and_no_other_is_registered(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    let api = told.server.admin.api("https://orders.test").await;
    let mut proven = 0;
    let confidential = AuthMethod::NAMED.into_iter().filter(|method| *method != AuthMethod::None);
    for method in confidential.map(AuthMethod::as_str).chain(["client_secret_jwt"]) {
        let mut prover = Prover::of(&told, method);
        let document = prover.document(&api);
        let named = LISTS.map(|(_, list)| told.names(list, method));
        if named.contains(&false) {
            assert_eq!(named, [false; 3], "{method} is one at every endpoint");
            let refused = told.server.admin.send(Method::POST, "/clients", &document).await;
            assert_eq!(refused.status, 422, "{method}: {}", refused.text());
            continue;
        }
        prover.client = told.server.admin.client(document).await;
        let fields = [("grant_type", "client_credentials"), ("resource", &*api.audience)];
        let token = prover.ask(&told, "/token", &fields).await;
        assert_eq!(token.status, 200, "{method}: {}", token.text());
        let token = token.member("access_token");
        for path in ["/introspect", "/revoke"] {
            let answer = prover.ask(&told, path, &[("token", &token)]).await;
            assert_eq!(answer.status, 200, "{method} {path}: {}", answer.text());
        }
        let nobody =
            told.server.machine.post("/token", &[fields[0], ("client_id", &*prover.client.id)]).await;
        assert_eq!((nobody.status.as_u16(), &*nobody.error()), (401, "invalid_client"), "{method}");
        proven += 1;
    }
    assert_eq!(proven, if setup == Setup::Strict { 5 } else { 3 });
}

#[rstest]
#[tokio::test]
async fn section_2_a_client_that_proves_nothing_goes_where_that_is_named(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    assert_eq!(LISTS.map(|(_, list)| told.names(list, "none")), [true, false, true]);
    let app = told.server.admin.native_client(&[]).await;
    let request = AuthorizeRequest::of(&app).with("redirect_uri", "http://127.0.0.1/cb");
    let tokens = told.tokens(&app, &request).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let token = tokens.member("access_token");
    let about = told.server.machine.introspect(&app, &token).await;
    assert_eq!((about.status.as_u16(), &*about.error()), (401, "invalid_client"));
    assert_eq!(told.server.machine.revoke(&app, &token).await.status, 200);
    assert_eq!(told.server.machine.userinfo(&token).await.status, 401, "it was revoked");
}

//! What the OpenID conformance suite asks of a server's pages: a browser without scripts, driven by nothing but addresses, names and ids,
//! over https, against parties of a private authority on this machine.

use portcullis_server::config::Config;
use portcullis_server::domain::ids::ClientId;
use portcullis_server::services::caller::Caller;
use portcullis_server::services::clients::form::{ClientForm, ClientOptions};
use portcullis_server::services::clients::protocol::ProtocolForm;
use portcullis_server::services::users::form::UserForm;
use portcullis_tests::agent::{Answer, agent_with};
use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::AuthorizeRequest;
use portcullis_tests::browser::Browser;
use portcullis_tests::certificates::Certificate;
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::jwt;
use portcullis_tests::registered::Registered;
use portcullis_tests::relying_suite::RelyingSuite;
use portcullis_tests::server::BareServer;
use serde_json::{Value, json};

const PASSWORD: &str = "violet anchor harbour";

/// What an operator writes for such a run: many sign-ins from one address, parties on this machine, an authority of their own.
const SETTINGS: &str = r#"
    [limits]
    login_per_address_per_minute = 1000
    login_per_account_per_minute = 1000
    flows_per_address_per_minute = 10000
    [passwords]
    memory_kib = 64
    iterations = 1
    [outbound]
    allow = ["localhost"]
"#;

/// A server that speaks https, the suite, and a client of it that proves itself by keys which the suite publishes.
struct Scene {
    server: BareServer,
    issuer: String,
    suite: RelyingSuite,
    keys: SigningKeys,
    client: Registered,
    authority: Certificate,
}

impl Scene {
    async fn start() -> Self {
        let authority = Certificate::authority("Suite");
        let keys = SigningKeys::generate();
        let suite = RelyingSuite::start(&authority, keys.public_jwks()).await;
        let server = BareServer::start_with(Sqlite, |config| configure(config, &authority)).await;
        let issuer = server.issuer.replace("http://", "https://");
        let client = register(&server, &suite).await;
        Self { server, issuer, suite, keys, client, authority }
    }

    /// What the suite's client gets for the code that came last.
    async fn redeem(&self, request: &AuthorizeRequest) -> Answer {
        let root = reqwest::Certificate::from_der(&self.authority.der).unwrap();
        let agent = agent_with(|client| client.tls_certs_only([root]));
        let code = self.suite.callback().get("code").to_owned();
        let proof = assertion_fields(&self.keys, &self.client.id, &self.issuer, self.server.clock.now());
        let mut fields = vec![
            ("grant_type", "authorization_code".to_owned()),
            ("code", code),
            ("redirect_uri", self.client.redirect_uris[0].clone()),
            ("code_verifier", request.pkce.verifier.clone()),
        ];
        fields.extend(proof);
        Answer::to(agent.post(format!("{}/token", self.issuer)).form(&fields)).await
    }

    fn address(&self, request: &AuthorizeRequest) -> String {
        format!("{}{}", self.issuer, request.path())
    }
}

fn configure(config: &mut Config, authority: &Certificate) {
    let issuer = config.issuer().as_str().replace("http://", "https://");
    let mut chosen = Config::from_toml(&format!("{SETTINGS}\n[server]\nissuer = \"{issuer}\"")).unwrap();
    chosen.server.data_dir.clone_from(&config.server.data_dir);
    chosen.database.url = config.database.url.take();
    let (certificate, key) = authority.server("localhost").write(&chosen.server.data_dir);
    chosen.server.tls.certificate = Some(certificate);
    chosen.server.tls.key = Some(key);
    let authorities = chosen.server.data_dir.join("authorities.pem");
    std::fs::write(&authorities, authority.certificate_pem()).unwrap();
    chosen.reach.outbound.ca_file = Some(authorities);
    *config = chosen;
}

async fn register(server: &BareServer, suite: &RelyingSuite) -> Registered {
    let caller = Caller::operator(server.clock.now());
    let user = UserForm {
        username: "ada".to_owned(),
        name: "Ada Lovelace".to_owned(),
        password: Some(PASSWORD.to_owned()),
        ..UserForm::default()
    };
    server.app().users().create(user, &caller).await.unwrap();
    let form = ClientForm {
        name: "Conformance".to_owned(),
        preset: "web".to_owned(),
        redirect_uris: vec![suite.at("/callback")],
        post_logout_redirect_uris: vec![suite.at("/post_logout_redirect")],
        options: ClientOptions {
            jwks_uri: Some(suite.at("/jwks")),
            protocol: ProtocolForm {
                backchannel_logout_uri: Some(suite.at("/backchannel_logout")),
                ..ProtocolForm::default()
            },
            ..ClientOptions::default()
        },
        ..ClientForm::default()
    };
    let made = server.app().clients().create(&form, &caller).await.unwrap().client.value;
    let id: &ClientId = &made.id;
    Registered { id: id.to_string(), secret: None, redirect_uris: form.redirect_uris }
}

/// The whole sign-in, as the suite is told to do it.
fn sign_in() -> Value {
    json!({ "task": "sign in", "match": "https://localhost:*/login*", "commands": [
        ["text", "name", "username", "ada"], ["text", "name", "password", PASSWORD],
        ["click", "id", "submit"], ["wait", "id", "consent-approve", 20],
    ] })
}

fn consent(button: &str) -> Value {
    json!({ "task": "consent", "match": "https://localhost:*/consent*", "commands": [
        ["click", "id", button], ["wait", "id", "submission_complete", 20],
    ] })
}

fn callback() -> Value {
    json!({ "task": "verify", "match": "https://localhost:*/callback*" })
}

async fn simple_browser() -> Browser {
    let browser = Browser::start_without_trust().await;
    browser.disable_scripts().await;
    browser
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_signs_in_without_javascript_and_comes_back_unasked() {
    let scene = Box::pin(Scene::start()).await;
    let browser = simple_browser().await;
    let request = AuthorizeRequest::of(&scene.client).with("scope", "openid profile");
    browser.open(&scene.address(&request)).await;
    let script = json!([sign_in(), consent("consent-approve"), callback()]);
    assert_eq!(browser.run(&script.to_string()).await, ["sign in", "consent", "verify"]);
    assert_eq!(browser.text("scripts").await, "off", "nothing of this needed a script");
    let tokens = scene.redeem(&request).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text());
    let claims = jwt::claims(&tokens.member("id_token"));
    assert_eq!((&claims["iss"], &claims["aud"]), (&json!(scene.issuer), &json!(scene.client.id)));

    // OpenID Connect Core §3.1.2.1: the session and the consent are known.
    let silent = AuthorizeRequest::of(&scene.client).with("scope", "openid profile").with("prompt", "none");
    browser.open(&scene.address(&silent)).await;
    browser.run(&json!([callback()]).to_string()).await;
    assert_eq!(scene.redeem(&silent).await.status, 200);

    let again = AuthorizeRequest::of(&scene.client).with("prompt", "login");
    browser.open(&scene.address(&again)).await;
    browser.wait_for("username").await;
    assert_eq!(browser.url().await.path(), "/login");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_page_has_an_address_of_its_own_and_errors_stay_on_a_page() {
    let scene = Box::pin(Scene::start()).await;
    let browser = simple_browser().await;
    let request = AuthorizeRequest::of(&scene.client);
    browser.open(&scene.address(&request)).await;
    let denied = json!([sign_in(), consent("consent-deny"), callback()]);
    browser.run(&denied.to_string()).await;
    assert_eq!(scene.suite.callback().get("error"), "access_denied");

    let elsewhere = request.with("redirect_uri", &scene.suite.at("/elsewhere"));
    browser.open(&scene.address(&elsewhere)).await;
    let error = json!([{ "task": "error", "match": format!("{}/authorize*", scene.issuer), "commands": [
        ["wait", "xpath", "//h1", 5], ["wait", "id", "parameter", 5],
    ] }]);
    browser.run(&error.to_string()).await;
    assert_eq!(browser.text("parameter").await, "redirect_uri");
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_signs_out_and_the_suite_is_told() {
    let scene = Box::pin(Scene::start()).await;
    let browser = simple_browser().await;
    let request = AuthorizeRequest::of(&scene.client);
    browser.open(&scene.address(&request)).await;
    browser.run(&json!([sign_in(), consent("consent-approve")]).to_string()).await;
    let id_token = scene.redeem(&request).await.member("id_token");

    browser.open(&format!("{}/logout", scene.issuer)).await;
    let script = json!([{ "task": "sign out", "match": "https://localhost:*/logout/confirm*", "commands": [
        ["click", "id", "logout-confirm"], ["wait", "id", "told", 20],
    ] }]);
    browser.run(&script.to_string()).await;
    let told = scene.suite.logout_tokens();
    assert_eq!(told.len(), 1, "the page says that it was told");
    assert_eq!(jwt::claims(&told[0])["sid"], jwt::claims(&id_token)["sid"]);

    let request = AuthorizeRequest::of(&scene.client);
    browser.open(&scene.address(&request)).await;
    let again = json!([{ "task": "sign in", "match": "https://localhost:*/login*", "commands": [
        ["text", "css", "input[autocomplete~=username]", "ada"],
        ["text", "css", "input[type=password]", PASSWORD],
        ["click", "xpath", "//form[@id='login']//button[@type='submit'][@id='submit']"],
        ["wait", "id", "submission_complete", 20],
    ] }]);
    browser.run(&again.to_string()).await;
    let id_token = scene.redeem(&request).await.member("id_token");
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("id_token_hint", &id_token)
        .append_pair("post_logout_redirect_uri", &scene.suite.at("/post_logout_redirect"))
        .finish();
    browser.open(&format!("{}/logout?{query}", scene.issuer)).await;
    browser.wait_for("left").await;
    assert_eq!(scene.suite.logout_tokens().len(), 2);
    browser.close().await;
}

//! What a guard says to the log of attacks: that they were refused, and nothing that they came with.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use http::{HeaderMap, Request};
use portcullis_guard::test_util::{Issuer, ProofKey, Target, attack_suite};
use portcullis_guard::{CookieTokens, Csrf, Dpop, Guard, GuardExt, GuardedRouter, authenticated};
use tower::ServiceExt;
use tracing_subscriber::fmt::MakeWriter;

const AUDIENCE: &str = "https://orders.test";

/// What is shorter could stand in a line by chance.
const TELLING: usize = 24;

/// What was logged in this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Everything in a request by which somebody could be let in: whole, and by its parts.
fn credentials(headers: &HeaderMap, query: Option<&str>) -> Vec<String> {
    let names = ["authorization", "cookie", "dpop", "x-access-token", "proxy-authorization"];
    let lines = headers.iter().filter(|(name, _)| names.contains(&name.as_str()));
    let lines = lines.map(|(_, value)| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let told: Vec<String> = lines.chain(query.map(str::to_owned)).collect();
    let words = told.iter().flat_map(|line| line.split([' ', ',', ';', '=', '&', '"']));
    let parts = words.flat_map(|word| word.split('.').skip(1).chain([word]));
    parts.filter(|part| part.len() >= TELLING).map(str::to_owned).collect()
}

#[tokio::test]
async fn nothing_that_an_attack_came_with_is_in_the_log_however_much_is_logged() {
    for level in [tracing::Level::DEBUG, tracing::Level::TRACE] {
        let log = Log::default();
        let lines = tracing_subscriber::fmt().with_writer(log.clone()).with_ansi(false).with_max_level(level);
        let _set = tracing::subscriber::set_default(lines.finish());
        let issuer = Issuer::start().await.unwrap();
        let guard = Guard::builder()
            .issuer(portcullis_guard::Issuer::oidc(issuer.url()))
            .audience(AUDIENCE)
            .cookie_tokens(CookieTokens::named("__Host-orders"))
            .csrf(Csrf::origins([AUDIENCE]))
            .dpop(Dpop::new());
        let guard = guard.build().await.unwrap();
        let app = GuardedRouter::new()
            .route("/orders", axum::routing::post(async |body: String| body).guard(authenticated()))
            .guarded_by(&guard);
        let shown = Arc::new(Mutex::new(BTreeSet::new()));
        let seen = Arc::clone(&shown);
        let service = tower::service_fn(move |request: Request<portcullis_guard::Body>| {
            seen.lock().unwrap().extend(credentials(request.headers(), request.uri().query()));
            app.clone().oneshot(request.map(Body::new))
        });
        let key = Arc::new(ProofKey::new());
        let plain = issuer.mint(AUDIENCE).token();
        let bound = issuer.mint(AUDIENCE).bound_to(&key).token();
        let body = r#"{"item":"a gate","amount":1}"#;
        let targets = [
            Target::post("/orders", &plain, body).cookie("__Host-orders", AUDIENCE),
            Target::post("/orders", &bound, body).bound_to(key, AUDIENCE),
        ];
        let mut attacks = 0;
        for target in &targets {
            let report = attack_suite(&service, &issuer, target).await;
            report.assert_all_refused();
            attacks += report.attacks();
        }
        let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let refused = text.lines().filter(|line| line.contains("refused")).count();
        assert!(refused > 300, "of {attacks} attacks, {refused} are in the log");
        let shown = shown.lock().unwrap();
        assert!(shown.len() > 300, "{}", shown.len());
        for credential in shown.iter() {
            assert!(!text.contains(credential.as_str()), "{level}: {credential} is in the log");
        }
    }
}

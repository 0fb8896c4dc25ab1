//! Logins that cannot work, and are not built.

use std::time::Duration;

use portcullis_guard::{BuildError, Csrf, Dpop, Issuer, Login, LoginError};

use crate::login::browser::OWN;
use crate::service::{Dial, builder};

const ISSUER: &str = "https://id.test";

async fn fault(login: Login, origins: &[&str]) -> BuildError {
    let keys =
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let guard = builder(&Dial::new()).issuer(Issuer::static_jwks(ISSUER, keys)).login(login);
    let guard = if origins.is_empty() { guard } else { guard.csrf(Csrf::origins(origins.to_vec())) };
    guard.build().await.unwrap_err()
}

#[tokio::test]
async fn a_login_that_cannot_work_is_an_error_at_the_start() {
    let login = || Login::new(ISSUER, "shop", OWN);
    assert!(matches!(fault(login(), &[]).await, BuildError::CookieWithoutCsrf));
    let minute = Duration::from_mins(1);
    for (wrong, says) in [
        (Login::new("https://other.test", "shop", OWN), "does not trust https://other.test"),
        (Login::new(ISSUER, "", OWN), "a client has an id"),
        (login().secret(""), "a client has an id"),
        (Login::new(ISSUER, "shop", "https://shop.test/"), "is not an origin"),
        (Login::new(ISSUER, "shop", "http://shop.test"), "is not an origin"),
        (Login::new(ISSUER, "shop", "https://blog.test"), "has to name https://blog.test"),
        (login().cookie("session"), "__Host-"),
        (login().prefix("/auth/"), "is not a path"),
        (login().after_logout("//evil.test"), "is not a path"),
        (login().scopes(["a b"]), "is not a scope"),
        (login().parameter("redirect_uri", "https://evil.test"), "`redirect_uri`"),
        (login().parameter("state", "x"), "`state`"),
        (login().idle(Duration::from_secs(59)), "a session that lasts"),
        (login().idle(2 * minute).lifetime(minute), "a session that lasts"),
    ] {
        let fault = fault(wrong, &[OWN]).await;
        assert!(
            matches!(&fault, BuildError::Login(_)) && fault.to_string().contains(says),
            "{says}: {fault}"
        );
    }
    assert!(matches!(fault(login().scopes([""]), &[OWN]).await, BuildError::Login(LoginError::Scope(_))));
}

#[tokio::test]
async fn a_guard_that_wants_proofs_from_everybody_signs_nobody_in() {
    let guard = builder(&Dial::new()).issuer(Issuer::oidc(ISSUER)).csrf(Csrf::origins([OWN]));
    let guard = guard.dpop(Dpop::new().origin(OWN).required()).login(Login::new(ISSUER, "shop", OWN));
    let fault = guard.build_untouched().unwrap_err();
    assert!(matches!(fault, BuildError::Login(LoginError::Unbound)), "{fault}");
}

//! What authorization requests may say.

use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::registered::Registered;
use rstest::rstest;
use serde_json::json;

use crate::advertised::{Setup, Told};

impl Told {
    /// The error by which a request is refused that is pushed; empty if it is taken.
    async fn refusal(&self, client: &Registered, request: &AuthorizeRequest) -> String {
        self.push(client, request).await.map_or_else(|refused| refused.error(), |_| String::new())
    }

    async fn shop(&self) -> Registered {
        let scopes = self.list("scopes_supported").join(" ");
        let document = json!({ "name": "Shop", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "scopes": scopes });
        self.server.admin.client(document).await
    }
}

#[rstest]
#[tokio::test]
async fn section_2_each_response_mode_that_is_named_brings_a_code_and_no_other_does(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    let shop = told.shop().await;
    let with = |mode: &str| AuthorizeRequest::of(&shop).with("response_mode", mode);
    for mode in told.list("response_modes_supported") {
        let callback = told.sign_in(&shop, &with(&mode)).await;
        let has = |name: &str| !callback.get(name).is_empty();
        let is_signed = mode.ends_with("jwt");
        assert_eq!((has("code"), has("response")), (!is_signed, is_signed), "{mode}");
    }
    for mode in ["fragment", "fragment.jwt", "web_message"] {
        assert!(!told.names("response_modes_supported", mode), "{mode}");
        assert_eq!(told.refusal(&shop, &with(mode)).await, "invalid_request", "{mode}");
    }
}

#[rstest]
#[tokio::test]
async fn section_3_each_prompt_that_is_named_is_followed_and_no_other_is(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Open, Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    let shop = told.shop().await;
    let mut visitor = told.server.visitor();
    let first = told.push(&shop, &AuthorizeRequest::of(&shop)).await.expect("it is pushed");
    visitor.walk(&first, &told.ada).await;
    for prompt in told.list("prompt_values_supported") {
        let request = AuthorizeRequest::of(&shop).with("prompt", &prompt);
        let path = told.push(&shop, &request).await.unwrap_or_else(|refused| panic!("{}", refused.text()));
        let answer = visitor.open(&path).await;
        let asked = ["login", "consent"].map(|form| answer.text().contains(&format!("id=\"{form}\"")));
        match prompt.as_str() {
            "create" => assert!(answer.text().contains("id=\"sign-up\""), "{}", answer.text()),
            "consent" => assert_eq!(asked, [false, true], "{}", answer.text()),
            "login" | "select_account" => assert_eq!(asked, [true, false], "{prompt}: {}", answer.text()),
            "none" => {
                let callback = Callback::of(&answer.location().expect("nobody is asked"));
                assert!(!callback.code().is_empty());
            }
            other => panic!("nobody knows what {other} asks"),
        }
    }
    assert_eq!(told.names("prompt_values_supported", "create"), setup == Setup::Open);
    let refused =
        if setup == Setup::Open { &["signup", "Login"][..] } else { &["create", "signup", "Login"] };
    for prompt in refused {
        assert!(!told.names("prompt_values_supported", prompt), "{prompt}");
        let request = AuthorizeRequest::of(&shop).with("prompt", prompt);
        assert_eq!(told.refusal(&shop, &request).await, "invalid_request", "{prompt}");
    }
}

#[rstest]
#[tokio::test]
async fn section_2_each_type_challenge_and_scope_that_is_named_is_taken_and_no_other_is(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    let shop = told.shop().await;
    let good = || AuthorizeRequest::of(&shop);
    for (list, parameter, refused, error) in [
        (
            "response_types_supported",
            "response_type",
            &["token", "id_token", "code id_token", "none"][..],
            "unsupported_response_type",
        ),
        ("code_challenge_methods_supported", "code_challenge_method", &["plain", "s256"], "invalid_request"),
    ] {
        for value in told.list(list) {
            assert_eq!(told.refusal(&shop, &good().with(parameter, &value)).await, "", "{value}");
        }
        for value in refused {
            assert!(!told.names(list, value), "{value}");
            assert_eq!(told.refusal(&shop, &good().with(parameter, value)).await, error, "{value}");
        }
    }
    for display in told.list("display_values_supported") {
        let callback = told.sign_in(&shop, &good().with("display", &display)).await;
        assert!(!callback.code().is_empty(), "{display}");
    }
    let scopes = told.list("scopes_supported");
    let tokens = told.tokens(&shop, &good().with("scope", &format!("{} unknown", scopes.join(" ")))).await;
    let mut granted: Vec<String> = tokens.member("scope").split(' ').map(str::to_owned).collect();
    let mut named = scopes;
    granted.sort_unstable();
    named.sort_unstable();
    assert_eq!(granted, named);
    let claims = |acr: &str| {
        let claims = json!({ "id_token": { "acr": { "essential": true, "values": [acr] } } });
        good().with("claims", &claims.to_string())
    };
    let mut classes = Vec::new();
    for acr in told.list("acr_values_supported") {
        let request = claims(&acr);
        let callback = if acr.ends_with(":2fa") {
            told.sign_in_with_two_factors(&shop, &request).await
        } else {
            told.sign_in(&shop, &request).await
        };
        let tokens = told.server.machine.redeem(&shop, &request, &callback).await;
        classes.push(portcullis_tests::jwt::claims(&tokens.member("id_token"))["acr"].clone());
    }
    assert_eq!(json!(classes), told.metadata["acr_values_supported"]);
    let refused = told.refusal(&shop, &claims("urn:example:gold")).await;
    assert_eq!(refused, "unmet_authentication_requirements");
}

#[rstest]
#[tokio::test]
async fn section_2_whether_requests_have_to_be_pushed_or_may_be_objects_is_as_it_is_said(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(Setup::Strict, Setup::Usual)] setup: Setup,
) {
    let told = Told::of(setup, database).await;
    let shop = told.shop().await;
    let plain = AuthorizeRequest::of(&shop);
    let must_push = told.metadata["require_pushed_authorization_requests"] == true;
    assert_eq!(must_push, setup == Setup::Strict);
    let callback = told.server.visitor().walk(&plain.path(), &told.ada).await;
    assert_eq!((callback.error().is_empty(), callback.get("code").is_empty()), (!must_push, must_push));
    assert_eq!(told.metadata["request_uri_parameter_supported"], false);
    let by_reference = plain.clone().with("request_uri", "https://rp.test/request.jwt");
    assert!(!told.refusal(&shop, &by_reference).await.is_empty());
    assert_eq!(told.metadata["authorization_response_iss_parameter_supported"], true);
    let callback = told.sign_in(&shop, &plain).await;
    assert_eq!(callback.get("iss"), told.server.issuer);
}

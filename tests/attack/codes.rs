//! Group CO: authorization codes, the token endpoint and PKCE.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::join_all;
use portcullis_tests::agent::Answer;
use portcullis_tests::authorize::{AuthorizeRequest, Callback, Pkce};
use portcullis_tests::database::Database::{self, Postgres, Replicas, Sqlite};
use portcullis_tests::jwt::claims;
use portcullis_tests::party::redemption;
use portcullis_tests::server::TestServer;
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

use crate::Victim;

#[rstest]
#[tokio::test]
async fn co_01_a_replayed_code_revokes_what_it_bought(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::with_scope(&server, "openid offline_access").await;
    let tokens = victim.redeem(&server).await;
    let (access, refresh) = (tokens.member("access_token"), tokens.member("refresh_token"));
    assert!(server.machine.is_active(&victim.shop, &access).await);
    assert_eq!(victim.redeem(&server).await.error(), "invalid_grant");
    assert!(!server.machine.is_active(&victim.shop, &access).await);
    assert_eq!(server.machine.userinfo(&access).await.status, 401);
    assert_eq!(server.machine.refresh(&victim.shop, &refresh).await.error(), "invalid_grant");
}

#[rstest]
#[tokio::test]
async fn co_01_a_replay_by_somebody_who_cannot_prove_it_revokes_nothing(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::of(&server).await;
    let access = victim.redeem(&server).await.member("access_token");
    let mut stranger = victim.request.clone();
    stranger.pkce = Pkce::generate();
    let replay = server.machine.redeem(&victim.shop, &stranger, &victim.callback).await;
    assert_eq!(replay.error(), "invalid_grant");
    assert!(server.machine.is_active(&victim.shop, &access).await);
}

/// How often fifty redeem one code: `PORTCULLIS_RACES=1000` asks for as many as the catalogue does, which takes minutes.
fn races() -> u32 {
    std::env::var("PORTCULLIS_RACES").map_or(10, |told| told.parse().expect("PORTCULLIS_RACES is a number"))
}

/// At two replicas.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn co_03_of_fifty_redemptions_at_once_one_succeeds(#[values(Sqlite, Postgres)] database: Database) {
    let server = TestServer::start_on(database).await;
    let mut victim = Victim::of(&server).await;
    let replicas = [&server, &server.replica().await];
    for _ in 0..races() {
        let answers = join_all((0..50).map(|number| victim.redeem(replicas[number % 2]))).await;
        let good = answers.iter().filter(|answer| answer.status == 200).count();
        let refused = answers.iter().filter(|answer| answer.error() == "invalid_grant").count();
        assert_eq!((good, refused), (1, 49));
        victim.request = AuthorizeRequest::of(&victim.shop);
        victim.callback = victim.visitor.authorize(&victim.request, &victim.person).await;
    }
}

#[rstest]
#[tokio::test]
async fn co_04_a_code_is_of_no_use_to_another_client(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::of(&server).await;
    let thief = server.admin.web_client(&[]).await;
    let stolen = server.machine.redeem(&thief, &victim.request, &victim.callback).await;
    assert_eq!((stolen.status.as_u16(), stolen.error().as_str()), (400, "invalid_grant"));
    assert_eq!(victim.redeem(&server).await.status, 200, "the theft did not spend it");
}

#[rstest]
#[tokio::test]
async fn co_05_a_code_lives_for_a_minute(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let mut victim = Victim::of(&server).await;
    server.wait(Duration::from_secs(61));
    assert_eq!(victim.redeem(&server).await.error(), "invalid_grant");
    victim.request = AuthorizeRequest::of(&victim.shop);
    victim.callback = victim.visitor.authorize(&victim.request, &victim.person).await;
    server.wait(Duration::from_secs(59));
    assert_eq!(victim.redeem(&server).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn co_06_no_client_goes_without_a_challenge(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let clients = [server.admin.web_client(&[]).await, server.admin.native_client(&[]).await];
    for client in &clients {
        let request = AuthorizeRequest::of(client);
        for bad in [
            request.clone().without("code_challenge"),
            request.clone().without("code_challenge").without("code_challenge_method"),
            request.clone().with("code_challenge", "short"),
            request.clone().with("code_challenge", &"!".repeat(43)),
        ] {
            let answer = server.visitor().open(&bad.path()).await;
            let callback = Callback::of(&answer.location().unwrap());
            assert_eq!(callback.error(), "invalid_request", "{bad:?}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn co_07_the_verifier_must_be_the_one(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::of(&server).await;
    let verifiers = [
        Some(Pkce::generate().verifier),
        Some(victim.request.pkce.challenge.clone()),
        Some(String::new()),
        Some(victim.request.pkce.verifier.to_uppercase()),
        Some(format!("{}x", victim.request.pkce.verifier)),
        None,
    ];
    for verifier in verifiers {
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", victim.callback.code()),
            ("redirect_uri", victim.request.get("redirect_uri")),
        ];
        fields.extend(verifier.as_deref().map(|verifier| ("code_verifier", verifier)));
        let error = server.machine.token(&victim.shop, &fields).await.error();
        assert!(matches!(&*error, "invalid_grant" | "invalid_request"), "{verifier:?}: {error}");
    }
    assert_eq!(victim.redeem(&server).await.status, 200, "guessing did not spend the code");
}

#[rstest]
#[tokio::test]
async fn co_07_who_takes_the_challenge_out_of_a_request_gets_nothing_for_the_verifier(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let document = json!({ "name": "Spared", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "options": { "protocol": { "require_pkce": false } } });
    let spared = server.admin.client(document).await;
    // The application means to use PKCE; somebody changes its request on the way.
    let sent = AuthorizeRequest::of(&spared);
    let half = server.visitor().open(&sent.clone().without("code_challenge").path()).await;
    assert_eq!(Callback::of(&half.location().unwrap()).error(), "invalid_request", "the method is left");
    let plain = server.visitor().open(&sent.clone().with("code_challenge_method", "plain").path()).await;
    assert_eq!(Callback::of(&plain.location().unwrap()).error(), "invalid_request");
    let bent = sent.clone().without("code_challenge").without("code_challenge_method");
    let callback = server.visitor().authorize(&bent, &ada).await;
    for verifier in [&sent.pkce.verifier, &Pkce::generate().verifier] {
        let mut shown = bent.clone();
        shown.pkce.verifier.clone_from(verifier);
        let refused = server.machine.redeem(&spared, &shown, &callback).await;
        assert_eq!((refused.status.as_u16(), refused.error().as_str()), (400, "invalid_grant"));
    }
}

#[rstest]
#[tokio::test]
async fn co_09_plain_is_not_a_method(#[values(Sqlite, Postgres, Replicas)] database: Database) {
    let server = TestServer::start_on(database).await;
    let shop = server.admin.web_client(&[]).await;
    let request = AuthorizeRequest::of(&shop);
    for bad in [
        request.clone().with("code_challenge_method", "plain"),
        request.clone().without("code_challenge_method"),
        request.clone().with("code_challenge_method", "s256"),
        request.with("code_challenge_method", "S512"),
    ] {
        let answer = server.visitor().open(&bad.path()).await;
        assert_eq!(Callback::of(&answer.location().unwrap()).error(), "invalid_request", "{bad:?}");
    }
}

#[rstest]
#[tokio::test]
async fn co_12_the_redirect_uri_must_be_the_same_at_the_token_endpoint(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let two = ["https://rp.test/cb", "https://rp.test/other"];
    let client = server.admin.client(json!({ "name": "Two", "preset": "web", "redirect_uris": two })).await;
    let request = AuthorizeRequest::of(&client);
    let callback = server.visitor().authorize(&request, &ada).await;
    for other in ["https://rp.test/other", "https://rp.test/cb/", "https://evil.test/cb", ""] {
        let bent = request.clone().with("redirect_uri", other);
        let error = server.machine.redeem(&client, &bent, &callback).await.error();
        assert!(matches!(&*error, "invalid_grant" | "invalid_request"), "{other}: {error}");
    }
}

#[rstest]
#[tokio::test]
async fn co_13_a_client_uses_only_the_grants_it_has(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let orders = server.admin.api("https://orders.test").await;
    let web = server.admin.web_client(&[&orders]).await;
    let native = server.admin.native_client(&[&orders]).await;
    let password = [("grant_type", "password"), ("username", "ada"), ("password", "x")];
    assert_eq!(server.machine.token(&web, &password).await.error(), "unsupported_grant_type");
    for unknown in ["implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer", "x", "PASSWORD"] {
        let error = server.machine.token(&web, &[("grant_type", unknown)]).await.error();
        assert_eq!(error, "unsupported_grant_type", "{unknown}");
    }
    for kind in ["device_code", "jwt-bearer", "token-exchange"] {
        let grant = format!("urn:ietf:params:oauth:grant-type:{kind}");
        let error = server.machine.token(&web, &[("grant_type", &*grant)]).await.error();
        assert_eq!(error, "unauthorized_client", "{kind}");
    }
    let error =
        server.machine.token(&web, &[("grant_type", "urn:openid:params:grant-type:ciba")]).await.error();
    assert_eq!(error, "unauthorized_client");
    for client in [&web, &native] {
        let error = server.machine.client_credentials(client, &orders.audience).await.error();
        assert_eq!(error, "unauthorized_client");
    }
    assert_eq!(server.machine.token(&web, &[]).await.error(), "invalid_request");
}

#[rstest]
#[tokio::test]
async fn co_16_secrets_are_taken_from_a_form_and_from_nowhere_else(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::of(&server).await;
    let secret = victim.shop.secret.clone().unwrap();
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("grant_type", "authorization_code")
        .append_pair("code", victim.callback.code())
        .append_pair("redirect_uri", victim.request.get("redirect_uri"))
        .append_pair("code_verifier", &victim.request.pkce.verifier)
        .append_pair("client_id", &victim.shop.id)
        .append_pair("client_secret", &secret)
        .finish();
    let get = Answer::to(server.machine.request(Method::GET, &format!("/token?{query}"))).await;
    assert_eq!(get.status, 405);
    let post = Answer::to(server.machine.request(Method::POST, &format!("/token?{query}"))).await;
    assert!(post.status.is_client_error(), "{}", post.status);
    // A form that would do, and what is secret of it in the address: as well, or instead.
    let [kind, code, place, verifier] = redemption(&victim.request, &victim.callback);
    let form = [kind, code, place, verifier, ("client_id", &*victim.shop.id), ("client_secret", &*secret)];
    for (name, value) in [code, verifier, form[5]] {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        for without in ["", name] {
            let fields: Vec<_> = form.iter().filter(|(field, _)| *field != without).collect();
            let request = server.machine.request(Method::POST, &format!("/token?{query}")).form(&fields);
            let refused = Answer::to(request).await;
            let told = (refused.status.as_u16(), refused.error());
            assert_eq!(told, (400, "invalid_request".to_owned()), "{name}: {}", refused.text());
        }
    }
    let json =
        json!({ "grant_type": "client_credentials", "client_id": victim.shop.id, "client_secret": secret });
    let json = Answer::to(server.machine.request(Method::POST, "/token").json(&json)).await;
    assert_eq!((json.status.as_u16(), json.error().as_str()), (400, "invalid_request"));
    for secret in [&*secret, victim.callback.code(), &victim.request.pkce.verifier] {
        assert_eq!(server.log.lines_with(secret), Vec::<String>::new());
    }
    assert_eq!(server.machine.post("/token", &form).await.status, 200, "none of it was spent");
}

#[rstest]
#[tokio::test]
async fn co_17_no_answer_with_a_secret_may_be_stored(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::of(&server).await;
    let tokens = victim.redeem(&server).await;
    let access = tokens.member("access_token");
    let push = AuthorizeRequest::of(&victim.shop);
    let push = push.fields_without("client_id");
    let answers = [
        tokens,
        victim.redeem(&server).await,
        server.machine.post_as(&victim.shop, "/par", &push).await,
        server.machine.post_as(&victim.shop, "/par", &push[1..]).await,
        server.machine.introspect(&victim.shop, &access).await,
        server.machine.introspect(&victim.shop, "x").await,
        server.machine.post("/introspect", &[]).await,
        server.machine.userinfo(&access).await,
        server.machine.userinfo("x").await,
        server.machine.post("/token", &[]).await,
        server.machine.revoke(&victim.shop, &access).await,
        server.machine.get("/login").await,
    ];
    for answer in answers {
        assert_eq!(answer.header("cache-control"), "no-store", "{} {}", answer.url, answer.status);
    }
}

#[rstest]
#[tokio::test]
async fn co_19_a_client_and_a_person_are_never_called_the_same(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let ada = server.admin.user("ada").await;
    let orders = server.admin.api("https://orders.test").await;
    let machine = server.admin.machine_client(&[&orders]).await;
    let token = server.machine.client_credentials(&machine, &orders.audience).await.member("access_token");
    let subject = claims(&token)["sub"].as_str().unwrap().to_owned();
    assert!(subject.starts_with("cli_") && !ada.sub.starts_with("cli_"));
    // Nobody chooses an id: a client that asks to be called like a person is refused.
    for wanted in [&ada.id, &ada.sub] {
        let document = json!({ "id": wanted, "client_id": wanted, "name": "x", "preset": "m2m" });
        let answer = server.admin.send(Method::POST, "/clients", &document).await;
        assert!(answer.status.is_client_error(), "{}", answer.text());
    }
    assert_eq!(server.machine.userinfo(&token).await.status.as_u16() / 100, 4, "a machine has no userinfo");
}

#[rstest]
#[tokio::test]
async fn co_21_a_secret_with_a_character_more_or_less_is_no_secret(
    #[values(Sqlite, Postgres, Replicas)] database: Database,
) {
    let server = TestServer::start_on(database).await;
    let victim = Victim::with_scope(&server, "openid offline_access").await;
    let bend = |text: &str| {
        let mut shorter = text.to_owned();
        shorter.pop();
        let last = text.chars().last().unwrap();
        let other = if last == 'A' { 'B' } else { 'A' };
        [
            shorter.clone(),
            format!("{text}A"),
            format!("{shorter}{other}"),
            format!(" {text}"),
            format!("{text}="),
        ]
    };
    for code in bend(victim.callback.code()) {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code.as_str()),
            ("redirect_uri", victim.request.get("redirect_uri")),
            ("code_verifier", &victim.request.pkce.verifier),
        ];
        assert_eq!(server.machine.token(&victim.shop, &fields).await.error(), "invalid_grant");
    }
    let tokens = victim.redeem(&server).await;
    for token in bend(&tokens.member("refresh_token")) {
        assert_eq!(server.machine.refresh(&victim.shop, &token).await.error(), "invalid_grant");
        assert!(!server.machine.is_active(&victim.shop, &token).await);
    }
    for token in bend(&tokens.member("access_token")) {
        assert!(!server.machine.is_active(&victim.shop, &token).await, "{token}");
    }
    for secret in bend(victim.shop.secret.as_deref().unwrap()) {
        let basic = STANDARD.encode(format!("{}:{secret}", victim.shop.id));
        let request = server.machine.request(Method::POST, "/introspect").form(&[("token", "x")]);
        let answer = Answer::to(request.header("authorization", format!("Basic {basic}"))).await;
        assert_eq!(answer.status, 401);
    }
}

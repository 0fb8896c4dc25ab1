//! Group CA, 01: assertions count once, whatever the request asks for, wherever it comes in, and however it ends.

use std::time::Duration;

use futures_util::future::join_all;
use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::assertion_of;
use portcullis_tests::authorize::{AuthorizeRequest, Callback, Pkce};
use portcullis_tests::ciba::CIBA;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::device::DEVICE_CODE;
use portcullis_tests::holder::Holder;
use portcullis_tests::party::{Party, redemption, refreshing};
use portcullis_tests::server::TestServer;
use portcullis_tests::token::Field;
use portcullis_tests::visitor::{Person, Visitor};
use reqwest::Method;
use rstest::rstest;
use serde_json::json;

const BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Two replicas, and an application that signs assertions and proofs.
struct Scene {
    replicas: [TestServer; 2],
    party: Party,
    holder: Holder,
    visitor: Visitor,
    ada: Person,
}

impl Scene {
    async fn set(database: Database) -> Self {
        let server = TestServer::start_on(database).await;
        let ada = server.admin.user("ada").await;
        let protocol = json!({ "device_grant": true, "backchannel_token_delivery_mode": "poll" });
        let party = Party::that_signs(&server, &json!({ "options": { "protocol": protocol } })).await;
        let (holder, visitor) = (Holder::generate(), server.visitor());
        holder.greet(&server).await;
        let replica = server.replica().await;
        Self { replicas: [server, replica], party, holder, visitor, ada }
    }

    fn assertion(&self) -> String {
        let server = &self.replicas[0];
        let keys = self.party.keys.as_ref().expect("it signs");
        keys.sign(&assertion_of(&self.party.client.id, &server.issuer, server.clock.now()))
    }

    fn proof(&self, path: &str) -> String {
        self.holder.proof(&self.holder.claims(&self.replicas[0], "POST", path))
    }

    /// A form with an assertion of the test's choice, and perhaps a proof.
    async fn show(
        &self,
        (at, path): (usize, &str),
        fields: &[Field<'_>],
        assertion: &str,
        proof: Option<&str>,
    ) -> Answer {
        let mut fields = fields.to_vec();
        fields.extend([("client_assertion_type", BEARER), ("client_assertion", assertion)]);
        let request = self.replicas[at].machine.request(Method::POST, path).form(&fields);
        Answer::to(match proof {
            Some(proof) => request.header("dpop", proof),
            None => request,
        })
        .await
    }

    async fn refused(&self, place: (usize, &str), fields: &[Field<'_>], assertion: &str) {
        let answer = self.show(place, fields, assertion, None).await;
        assert_eq!(
            told(&answer),
            (401, "invalid_client".to_owned()),
            "{place:?} {fields:?}: {}",
            answer.text()
        );
    }

    fn wanted(&self) -> AuthorizeRequest {
        AuthorizeRequest::of(&self.party.client).with("scope", "openid offline_access")
    }

    /// A code of the person, and what asked for it.
    async fn code(&mut self) -> (AuthorizeRequest, Callback) {
        let request = self.wanted();
        let callback = self.visitor.authorize(&request, &self.ada).await;
        (request, callback)
    }

    async fn tokens(&mut self) -> Answer {
        let (request, callback) = self.code().await;
        let tokens = self.party.redeem(&self.replicas[0], &request, &callback).await;
        assert_eq!(tokens.status, 200, "{}", tokens.text());
        tokens
    }

    /// An assertion that was good for something at the first replica.
    async fn used(&self) -> String {
        let assertion = self.assertion();
        let request = self.wanted();
        let fields = request.fields_without("client_id");
        let answer = self.show((0, "/par"), &fields, &assertion, None).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        assertion
    }

    async fn lives(&self, tokens: &Answer) -> bool {
        self.replicas[0].machine.userinfo(&tokens.member("access_token")).await.status == 200
    }
}

fn told(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error())
}

/// Of answers to one assertion: how many got something, and how many heard that it is used.
fn counted(answers: &[Answer]) -> (usize, usize) {
    let good = answers.iter().filter(|answer| answer.status.is_success()).count();
    (good, answers.iter().filter(|answer| answer.error() == "invalid_client").count())
}

#[rstest]
#[tokio::test]
async fn ca_01_a_used_assertion_is_refused_at_every_endpoint_of_every_replica(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let scene = Scene::set(database).await;
    let request = scene.wanted();
    let pushed = request.fields_without("client_id");
    let asked: [(&str, &[Field<'_>]); 6] = [
        ("/token", &[("grant_type", "refresh_token"), ("refresh_token", "x")]),
        ("/par", &pushed),
        ("/introspect", &[("token", "x")]),
        ("/revoke", &[("token", "x")]),
        ("/device_authorization", &[("scope", "openid")]),
        ("/bc-authorize", &[("scope", "openid"), ("login_hint", "nobody")]),
    ];
    for (first, fields) in asked {
        for at in [0, 1] {
            let assertion = scene.assertion();
            let answer = scene.show((at, first), fields, &assertion, None).await;
            assert_ne!(answer.error(), "invalid_client", "{first}: {}", answer.text());
            for (again, fields) in asked {
                scene.refused((1 - at, again), fields, &assertion).await;
            }
            scene.refused((at, first), fields, &assertion).await;
        }
    }
}

#[rstest]
#[tokio::test]
async fn ca_01_a_used_assertion_buys_spends_and_burns_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::set(database).await;
    let used = scene.used().await;
    // A code stays good.
    let (request, callback) = scene.code().await;
    let code = redemption(&request, &callback);
    let proof = scene.proof("/token");
    scene.refused((1, "/token"), &code, &used).await;
    let proven = scene.show((1, "/token"), &code, &used, Some(&proof)).await;
    assert_eq!(told(&proven), (401, "invalid_client".to_owned()), "{}", proven.text());
    let bought = scene.show((1, "/token"), &code, &scene.assertion(), Some(&proof)).await;
    assert_eq!(bought.status, 200, "code and proof are unspent: {}", bought.text());
    let again = scene.show((0, "/token"), &code, &scene.assertion(), Some(&proof)).await;
    assert_eq!(told(&again), (400, "invalid_grant".to_owned()), "the code is spent now: {}", again.text());
    // A code that was spent is no replay in the hands of somebody who is not the client.
    let (request, callback) = scene.code().await;
    let code = redemption(&request, &callback);
    let tokens = scene.show((0, "/token"), &code, &scene.assertion(), None).await;
    scene.refused((1, "/token"), &code, &used).await;
    assert!(scene.lives(&tokens).await, "nothing is revoked");
    // Nor is a refresh token, spent or not.
    let first = tokens.member("refresh_token");
    scene.refused((1, "/token"), &refreshing(&first), &used).await;
    let next = scene.show((1, "/token"), &refreshing(&first), &scene.assertion(), None).await;
    assert_eq!(next.status, 200, "it was not spent: {}", next.text());
    scene.refused((1, "/token"), &refreshing(&first), &used).await;
    scene.replicas[0].wait(Duration::from_secs(40));
    let fresh_once = scene.used().await;
    scene.refused((1, "/token"), &refreshing(&first), &fresh_once).await;
    assert!(scene.lives(&next).await, "the family is not burnt");
    let second = next.member("refresh_token");
    let last = scene.show((0, "/token"), &refreshing(&second), &scene.assertion(), None).await;
    assert_eq!(last.status, 200, "{}", last.text());
}

/// What somebody is asked elsewhere, on a device or from behind, is no nearer to an answer by it, and the answer is not taken.
#[rstest]
#[tokio::test]
async fn ca_01_a_used_assertion_takes_nothing_that_somebody_allows_elsewhere(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::set(database).await;
    let scope = ("scope", "openid offline_access");
    for (path, kind, name, grant) in [
        ("/device_authorization", ("scope", scope.1), "device_code", DEVICE_CODE),
        ("/bc-authorize", ("login_hint", "ada"), "auth_req_id", CIBA),
    ] {
        let fields = if kind == scope { vec![scope] } else { vec![scope, kind] };
        let begun = scene.show((0, path), &fields, &scene.assertion(), None).await;
        assert_eq!(begun.status, 200, "{path}: {}", begun.text());
        let begins = begun.member(name);
        let asks = [("grant_type", grant), (name, &*begins)];
        let used = scene.used().await;
        for at in [0, 1] {
            scene.refused((at, "/token"), &asks, &used).await;
        }
        let waits = scene.show((0, "/token"), &asks, &scene.assertion(), None).await;
        assert_eq!(
            told(&waits),
            (400, "authorization_pending".to_owned()),
            "no question was counted: {}",
            waits.text()
        );
        let page = if name == "device_code" {
            scene.visitor.decide_device(&begun.member("user_code"), &scene.ada, "allow").await
        } else {
            scene.visitor.decide_request(&scene.ada, "allow").await
        };
        assert!(page.status.is_success(), "{path}: {}", page.text());
        scene.replicas[0].wait(Duration::from_secs(6));
        let used = scene.used().await;
        scene.refused((1, "/token"), &asks, &used).await;
        let bought = scene.show((1, "/token"), &asks, &scene.assertion(), None).await;
        assert_eq!(bought.status, 200, "what was allowed is still there: {}", bought.text());
        scene.refused((0, "/token"), &asks, &used).await;
        assert!(scene.lives(&bought).await, "nothing is taken back");
    }
}

#[rstest]
#[tokio::test]
async fn ca_01_a_refused_request_uses_its_assertion_up(#[values(Sqlite, Postgres)] database: Database) {
    let mut scene = Scene::set(database).await;
    let tokens = scene.tokens().await;
    let (request, callback) = scene.code().await;
    let good = redemption(&request, &callback);
    let other = Pkce::generate().verifier;
    let mismatched = [good[0], good[1], good[2], ("code_verifier", &*other)];
    let elsewhere = [good[0], good[1], ("redirect_uri", "https://rp.test/other"), good[3]];
    let refresh = tokens.member("refresh_token");
    let wide = [("grant_type", "refresh_token"), ("refresh_token", &*refresh), ("scope", "openid email")];
    let unknown = format!("pcr_{}", "A".repeat(43));
    let wanted = scene.wanted();
    let (bad, with_handle) = (
        wanted.clone().with("redirect_uri", "https://evil.test/cb"),
        wanted.clone().with("request_uri", "urn:ietf:params:oauth:request_uri:x"),
    );
    let (bad, with_handle) = (bad.fields_without("client_id"), with_handle.fields_without("client_id"));
    let refusals: [(&str, &[Field<'_>], &str); 10] = [
        ("/token", &mismatched, "invalid_grant"),
        ("/token", &elsewhere, "invalid_grant"),
        ("/token", &[("grant_type", "authorization_code"), ("code", "x"), good[3]], "invalid_grant"),
        ("/token", &wide, "invalid_scope"),
        ("/token", &refreshing(&unknown), "invalid_grant"),
        ("/token", &[("grant_type", "client_credentials")], "unauthorized_client"),
        ("/token", &[("grant_type", "password")], "unsupported_grant_type"),
        ("/token", &[], "invalid_request"),
        ("/par", &bad, "invalid_request"),
        ("/par", &with_handle, "invalid_request"),
    ];
    for (path, fields, error) in refusals {
        let assertion = scene.assertion();
        let refused = scene.show((0, path), fields, &assertion, None).await;
        assert_eq!(refused.error(), error, "{fields:?}: {}", refused.text());
        scene.refused((1, "/token"), &good, &assertion).await;
        scene.refused((1, "/token"), &refreshing(&refresh), &assertion).await;
        scene.refused((1, path), fields, &assertion).await;
    }
    let redeemed = scene.show((1, "/token"), &good, &scene.assertion(), None).await;
    assert_eq!(redeemed.status, 200, "the code is still good: {}", redeemed.text());
    let refreshed = scene.show((1, "/token"), &refreshing(&refresh), &scene.assertion(), None).await;
    assert_eq!(refreshed.status, 200, "so is the refresh token: {}", refreshed.text());
}

#[rstest]
#[tokio::test]
async fn ca_01_a_used_proof_is_told_apart_from_a_used_assertion(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::set(database).await;
    let wanted = scene.wanted();
    let pushed = wanted.fields_without("client_id");
    let (asked_for, came_back) = scene.code().await;
    let code = redemption(&asked_for, &came_back);
    let refresh = scene.tokens().await.member("refresh_token");
    let trade = refreshing(&refresh);
    let asked: [(&str, &[Field<'_>], u16); 3] =
        [("/par", &pushed, 201), ("/token", &code, 200), ("/token", &trade, 200)];
    for (path, fields, status) in asked {
        let (proof, used) = (scene.proof(path), scene.assertion());
        let (request, callback) = scene.code().await;
        let first = if path == "/par" { pushed.clone() } else { redemption(&request, &callback).to_vec() };
        let first = scene.show((0, path), &first, &used, Some(&proof)).await;
        assert!(first.status.is_success(), "{path}: {}", first.text());
        let fresh = scene.assertion();
        let refused = scene.show((1, path), fields, &fresh, Some(&proof)).await;
        assert_eq!(told(&refused), (400, "invalid_dpop_proof".to_owned()), "{path}: {}", refused.text());
        scene.refused((0, path), fields, &fresh).await;
        let both = scene.show((1, path), fields, &used, Some(&proof)).await;
        assert_eq!(told(&both), (401, "invalid_client".to_owned()), "{path}: {}", both.text());
        let good = scene.show((1, path), fields, &scene.assertion(), Some(&scene.proof(path))).await;
        assert_eq!(good.status.as_u16(), status, "{path}: {}", good.text());
    }
}

/// What counts once beside the assertion is the same in all requests, or another in each.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ca_01_of_many_requests_at_once_with_one_assertion_one_gets_something(
    #[values(Sqlite, Postgres)] database: Database,
    #[values(false, true)] same: bool,
) {
    const SHOWN: usize = 12;
    let mut scene = Scene::set(database).await;
    let mut codes = Vec::new();
    let mut tokens = Vec::new();
    for _ in 0..SHOWN {
        codes.push(scene.code().await);
        tokens.push(scene.tokens().await.member("refresh_token"));
    }
    let wanted = scene.wanted();
    let pushed = wanted.fields_without("client_id");
    let which = |number: usize| if same { 0 } else { number };
    let redeeming: Vec<_> =
        codes.iter().map(|(request, callback)| redemption(request, callback).to_vec()).collect();
    let trading: Vec<_> = tokens.iter().map(|token| refreshing(token).to_vec()).collect();
    for (path, forms) in [("/token", &redeeming), ("/token", &trading), ("/par", &vec![pushed; SHOWN])] {
        let assertion = scene.assertion();
        let shown = (0..SHOWN).map(|number| {
            let place = (number % 2, path);
            scene.show(place, &forms[which(number)], &assertion, None)
        });
        let answers = join_all(shown).await;
        assert_eq!(counted(&answers), (1, SHOWN - 1), "{answers:?}");
        if path == "/par" {
            continue;
        }
        let winner = answers.iter().position(|answer| answer.status.is_success()).expect("one got something");
        assert!(scene.lives(&answers[winner]).await, "none of the others revoked it");
        // Of the others nothing is spent.
        for (number, form) in forms.iter().enumerate().filter(|(number, _)| *number != which(winner)) {
            let answer = scene.show((number % 2, path), form, &scene.assertion(), None).await;
            assert_eq!(answer.status, 200, "{number}: {}", answer.text());
        }
    }
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ca_01_of_requests_to_all_endpoints_at_once_with_one_assertion_one_is_answered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let mut scene = Scene::set(database).await;
    let wanted = scene.wanted();
    let pushed = wanted.fields_without("client_id");
    for _ in 0..5 {
        let (request, callback) = scene.code().await;
        let code = redemption(&request, &callback);
        let refresh = scene.tokens().await.member("refresh_token");
        let trade = refreshing(&refresh);
        let asked: [(&str, &[Field<'_>]); 7] = [
            ("/token", &code),
            ("/token", &trade),
            ("/token", &[("grant_type", "refresh_token"), ("refresh_token", "x")]),
            ("/par", &pushed),
            ("/introspect", &[("token", "x")]),
            ("/revoke", &[("token", "x")]),
            ("/device_authorization", &[("scope", "openid")]),
        ];
        let assertion = scene.assertion();
        let shown = (0..2).flat_map(|at| {
            let assertion = &assertion;
            let scene = &scene;
            asked.map(move |(path, fields)| scene.show((at, path), fields, assertion, None))
        });
        let answers = join_all(shown).await;
        let answered = answers.iter().filter(|answer| answer.error() != "invalid_client").count();
        assert_eq!(answered, 1, "{answers:?}");
    }
}

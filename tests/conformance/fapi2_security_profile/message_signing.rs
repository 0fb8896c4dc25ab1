//! [FAPI 2.0 Message Signing](https://openid.net/specs/fapi-message-signing-2_0-final.html), for the same clients: requests, answers and
//! introspection that nobody can deny.

use portcullis_tests::agent::Answer;
use portcullis_tests::assertion::SigningKeys;
use portcullis_tests::authorize::Callback;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Bank, refused, told};

const TYP: &str = "oauth-authz-req+jwt";

/// A bank that is held to signed requests.
async fn signing_bank(database: Database) -> Bank {
    let held = json!({ "require_signed_request_object": true });
    Bank::with(database, |_| {}, |document| document["options"]["protocol"] = held).await
}

/// A request as the text has it: good from now on, for ten minutes.
pub(super) fn timed(bank: &Bank) -> Value {
    let now = bank.server.clock.now().as_secs();
    let mut object = bank.request().object(&bank.server.issuer);
    object["nbf"] = json!(now);
    object["exp"] = json!(now + 600);
    object
}

async fn push(bank: &Bank, typ: &str, object: &Value) -> Answer {
    bank.bare("/par", &[("request", bank.keys.sign_as(typ, object).as_str())]).await
}

#[rstest]
#[tokio::test]
async fn section_5_3_1_a_signed_request_is_pushed_verified_and_required(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = signing_bank(database).await;
    for typ in [TYP, "application/oauth-authz-req+jwt"] {
        let answer = push(&bank, typ, &timed(&bank)).await;
        assert_eq!(answer.status, 201, "{typ}: {}", answer.text());
        let path = bank.brought(&answer.member("request_uri"));
        assert!(!bank.server.visitor().walk(&path, &bank.ada).await.code().is_empty());
    }
    let unsigned = bank.push(&bank.request()).await;
    assert_eq!(told(&unsigned), refused(400, "invalid_request"), "{}", unsigned.text());
    let stranger = SigningKeys::generate().sign_as(TYP, &timed(&bank));
    let forged = bank.bare("/par", &[("request", stranger.as_str())]).await;
    assert_eq!(told(&forged), refused(400, "invalid_request_object"), "{}", forged.text());
}

#[rstest]
#[tokio::test]
async fn section_5_3_1_a_signed_request_is_for_the_issuer(#[values(Sqlite, Postgres)] database: Database) {
    let bank = signing_bank(database).await;
    let issuer = bank.server.issuer.clone();
    for (aud, good) in [
        (json!(issuer), true),
        (json!([issuer]), true),
        (json!(["https://other.test", issuer]), true),
        (json!(format!("{issuer}/par")), false),
        (json!(["https://other.test"]), false),
        (Value::Null, false),
    ] {
        let mut object = timed(&bank);
        object["aud"] = aud.clone();
        let answer = push(&bank, TYP, &object).await;
        assert_eq!(answer.status.as_u16(), if good { 201 } else { 400 }, "{aud}: {}", answer.text());
        assert_eq!(answer.error() == "invalid_request_object", !good, "{aud}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_5_3_1_a_signed_request_says_for_how_long_it_is_good_an_hour_at_most(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = signing_bank(database).await;
    let now = bank.server.clock.now().as_secs();
    for (nbf, exp, good) in [
        (Some(now), Some(now + 3_600), true),
        (Some(now - 3_000), Some(now + 600), true),
        (None, Some(now + 600), false),
        (Some(now), None, false),
        (None, None, false),
        (Some(now - 3_000), Some(now + 601), false),
        (Some(now - 3_700), Some(now - 100), false),
        (Some(now - 3_700), Some(now + 60), false),
        (Some(now + 60), Some(now + 600), false),
    ] {
        let mut object = timed(&bank);
        for (name, at) in [("nbf", nbf), ("exp", exp)] {
            object[name] = json!(at);
            if at.is_none() {
                object.as_object_mut().unwrap().remove(name);
            }
        }
        let answer = push(&bank, TYP, &object).await;
        assert_eq!(
            answer.status.as_u16(),
            if good { 201 } else { 400 },
            "{nbf:?} {exp:?}: {}",
            answer.text()
        );
        assert_eq!(answer.error() == "invalid_request_object", !good, "{nbf:?} {exp:?}: {}", answer.text());
    }
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_answers_are_signed_by_what_the_profile_permits(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let alg = json!({ "authorization_signed_response_alg": "PS256" });
    let bank = Bank::with(database, |_| {}, |document| document["options"]["protocol"] = alg).await;
    let request = bank.request().with("response_mode", "jwt");
    let allowed = bank.sign_in(&request).await;
    let silent = bank.pushed(&request.clone().with("prompt", "none")).await;
    let denied = Callback::of(&bank.server.visitor().open(&silent).await.location().expect("it is told"));
    for (callback, member) in [(allowed, "code"), (denied, "error")] {
        let response = callback.get("response");
        assert_eq!(jwt::header(response)["alg"], "PS256");
        let claims = jwt::claims(response);
        assert_eq!(claims["iss"], json!(bank.server.issuer));
        assert!(claims[member].as_str().is_some_and(|value| !value.is_empty()), "{claims}");
        for beside in ["iss", "code", "error", "state"] {
            assert_eq!(callback.get(beside), "", "nothing stands beside the JWT");
        }
    }
}

#[rstest]
#[tokio::test]
async fn section_5_4_1_signed_answers_can_be_required(#[values(Sqlite, Postgres)] database: Database) {
    let alg = json!({ "authorization_signed_response_alg": "ES256" });
    let held = Bank::with(database, |_| {}, |document| document["options"]["protocol"] = alg).await;
    let free = Bank::with(database, |_| {}, |_| {}).await;
    for (mode, is_signed) in [
        ("", false),
        ("query", false),
        ("form_post", false),
        ("jwt", true),
        ("query.jwt", true),
        ("form_post.jwt", true),
    ] {
        for (bank, is_good) in [(&held, is_signed), (&free, true)] {
            let request = bank.request();
            let request = if mode.is_empty() { request } else { request.with("response_mode", mode) };
            let answer = bank.push(&request).await;
            if is_good {
                assert_eq!(answer.status, 201, "{mode}: {}", answer.text());
            } else {
                assert_eq!(told(&answer), refused(400, "invalid_request"), "{mode}: {}", answer.text());
                assert!(answer.text().contains("response_mode"), "{}", answer.text());
            }
        }
    }
}

//! §5.3.2.1: what is issued, to whom, and for how long.

use std::time::Duration;

use portcullis_tests::certificates::{Certificate, Wanted};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::holder::Holder;
use portcullis_tests::jwt;
use rstest::rstest;
use serde_json::{Value, json};

use super::{Bank, redemption, refreshing, refused, told};

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_code_buys_bound_tokens_or_none(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let request = bank.request().with("scope", "openid offline_access");
    let callback = bank.sign_in(&request).await;
    let fields = redemption(&request, &callback);
    let bare = bank.bare("/token", &fields).await;
    assert_eq!(told(&bare), refused(400, "invalid_request"), "{}", bare.text());
    let tokens = bank.post("/token", &fields).await;
    assert_eq!(
        (tokens.status.as_u16(), &tokens.json()["token_type"]),
        (200, &json!("DPoP")),
        "{}",
        tokens.text()
    );
    let claims = jwt::claims(&tokens.member("access_token"));
    assert_eq!(claims["cnf"], json!({ "jkt": bank.holder.jkt() }), "the code was still good");
    let token = tokens.member("refresh_token");
    let bare = bank.bare("/token", &refreshing(&token)).await;
    assert_eq!(told(&bare), refused(400, "invalid_request"), "{}", bare.text());
    assert_eq!(bank.post("/token", &refreshing(&token)).await.json()["token_type"], "DPoP");
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_certificate_binds_where_there_is_no_proof(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::on(database).await;
    let request = bank.request();
    let callback = bank.sign_in(&request).await;
    let certificate = Certificate::self_signed(Wanted::named("bank"));
    let tokens = bank.post_showing(&certificate, "/token", &redemption(&request, &callback)).await;
    assert_eq!(tokens.json()["token_type"], "Bearer", "{}", tokens.text());
    let bound = json!({ "x5t#S256": certificate.thumbprint() });
    assert_eq!(jwt::claims(&tokens.member("access_token"))["cnf"], bound);
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_client_can_be_held_to_one_of_the_two(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("dpop_bound_access_tokens", "tls_client_certificate_bound_access_tokens")] held: &str,
) {
    let bank = Bank::with(
        database,
        |_| {},
        |document| {
            document["options"]["protocol"] = json!({ held: true });
        },
    )
    .await;
    let request = bank.request();
    let certificate = Certificate::self_signed(Wanted::named("bank"));
    let callback = bank.sign_in(&request).await;
    let fields = redemption(&request, &callback);
    let by_key = held == "dpop_bound_access_tokens";
    let wrong = if by_key {
        bank.post_showing(&certificate, "/token", &fields).await
    } else {
        bank.post("/token", &fields).await
    };
    let error = if by_key { "invalid_dpop_proof" } else { "invalid_request" };
    assert_eq!(told(&wrong), refused(400, error), "{}", wrong.text());
    let right = if by_key {
        bank.post("/token", &fields).await
    } else {
        bank.post_showing(&certificate, "/token", &fields).await
    };
    assert_eq!(right.status, 200, "{}", right.text());
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_machine_gets_bound_tokens_or_none(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::with(
        database,
        |_| {},
        |document| {
            document["preset"] = json!("m2m");
            document["redirect_uris"] = json!([]);
        },
    )
    .await;
    let fields = [("grant_type", "client_credentials")];
    let bare = bank.bare("/token", &fields).await;
    assert_eq!(told(&bare), refused(400, "invalid_request"), "{}", bare.text());
    let tokens = bank.post("/token", &fields).await;
    assert_eq!(jwt::claims(&tokens.member("access_token"))["cnf"]["jkt"], bank.holder.jkt());
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_password_buys_nothing(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let fields = [("grant_type", "password"), ("username", "ada"), ("password", bank.ada.password.as_str())];
    let answer = bank.post("/token", &fields).await;
    assert_eq!(told(&answer), refused(400, "unsupported_grant_type"), "{}", answer.text());
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_refresh_tokens_stay_as_they_are(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let tokens = bank.tokens("openid offline_access").await;
    let token = tokens.member("refresh_token");
    let mut seen: Vec<Value> = vec![jwt::claims(&tokens.member("access_token"))["jti"].clone()];
    for _ in 0..3 {
        // Long after any retry would be forgiven.
        bank.server.wait(Duration::from_hours(1));
        let answer = bank.post("/token", &refreshing(&token)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json().get("refresh_token"), None, "nothing takes its place");
        let jti = jwt::claims(&answer.member("access_token"))["jti"].clone();
        assert!(!seen.contains(&jti));
        seen.push(jti);
    }
    // Another key of the same client does as well: the client proves who it is.
    let other = Holder::generate();
    let answer = bank.post_by(&other, "/token", &refreshing(&token)).await;
    assert_eq!(jwt::claims(&answer.member("access_token"))["cnf"]["jkt"], other.jkt());
    let revoked = bank.bare("/revoke", &[("token", &token)]).await;
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let over = bank.post("/token", &refreshing(&token)).await;
    assert_eq!(told(&over), refused(400, "invalid_grant"), "{}", over.text());
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_refresh_token_lives_while_it_is_used_but_not_for_ever(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let bank = Bank::with(
        database,
        |config| {
            config.tokens.refresh_ttl_days = 10;
            config.tokens.refresh_absolute_days = 25;
        },
        |_| {},
    )
    .await;
    let days = |days: u64| Duration::from_hours(24 * days);
    let token = bank.tokens("openid offline_access").await.member("refresh_token");
    let unused = bank.tokens("openid offline_access").await.member("refresh_token");
    for _ in 0..2 {
        bank.server.wait(days(8));
        let answer = bank.post("/token", &refreshing(&token)).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let late = bank.post("/token", &refreshing(&unused)).await;
    assert_eq!(told(&late), refused(400, "invalid_grant"), "nobody used it");
    bank.server.wait(days(8));
    assert_eq!(bank.post("/token", &refreshing(&token)).await.status, 200, "the day before the last");
    bank.server.wait(days(1));
    let over = bank.post("/token", &refreshing(&token)).await;
    assert_eq!(told(&over), refused(400, "invalid_grant"), "{}", over.text());
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_refresh_token_is_of_its_client(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::on(database).await;
    let token = bank.tokens("openid offline_access").await.member("refresh_token");
    let other = bank.server.admin.web_client(&[]).await;
    let stolen = bank.holder.refresh(&bank.server, &other, &token).await;
    assert_eq!(told(&stolen), refused(400, "invalid_grant"), "{}", stolen.text());
    let wider =
        [("grant_type", "refresh_token"), ("refresh_token", token.as_str()), ("scope", "openid email")];
    let wider = bank.post("/token", &wider).await;
    assert_eq!(told(&wider), refused(400, "invalid_scope"), "{}", wider.text());
    assert_eq!(bank.post("/token", &refreshing(&token)).await.status, 200);
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_code_lives_a_minute_at_most(#[values(Sqlite, Postgres)] database: Database) {
    let bank = Bank::with(database, |config| config.tokens.code_ttl_secs = 600, |_| {}).await;
    let request = bank.request();
    for (seconds, status) in [(59, 200), (60, 400)] {
        let callback = bank.sign_in(&request).await;
        bank.server.wait(Duration::from_secs(seconds));
        let answer = bank.post("/token", &redemption(&request, &callback)).await;
        assert_eq!(answer.status.as_u16(), status, "{seconds}: {}", answer.text());
    }
    let shop = bank.server.admin.web_client(&[]).await;
    let usual = portcullis_tests::authorize::AuthorizeRequest::of(&shop);
    let callback = bank.server.visitor().authorize(&usual, &bank.ada).await;
    bank.server.wait(Duration::from_mins(1));
    assert_eq!(
        bank.server.machine.redeem(&shop, &usual, &callback).await.status,
        200,
        "other clients have longer"
    );
}

#[rstest]
#[tokio::test]
async fn section_5_3_2_1_a_code_is_bound_to_the_key_that_was_pushed_with(
    #[values(Sqlite, Postgres)] database: Database,
    #[values("by a proof", "by name")] bound: &str,
) {
    let bank = Bank::on(database).await;
    let request = bank.request();
    let request = if bound == "by name" { request.with("dpop_jkt", &bank.holder.jkt()) } else { request };
    let fields = request.fields_without("client_id");
    let pushed =
        if bound == "by name" { bank.push(&request).await } else { bank.post("/par", &fields).await };
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let address = bank.brought(&pushed.member("request_uri"));
    let callback = bank.server.visitor().walk(&address, &bank.ada).await;
    let fields = redemption(&request, &callback);
    let thief = bank.post_by(&Holder::generate(), "/token", &fields).await;
    assert_eq!(told(&thief), refused(400, "invalid_grant"), "{}", thief.text());
    assert_eq!(bank.post("/token", &fields).await.status, 200);
    let other = bank.request().with("dpop_jkt", &Holder::generate().jkt());
    let mismatch = bank.post("/par", &other.fields_without("client_id")).await;
    assert_eq!(told(&mismatch), refused(400, "invalid_request"), "{}", mismatch.text());
}

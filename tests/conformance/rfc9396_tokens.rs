//! OAuth 2.0 Rich Authorization Requests ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)): what tokens carry.

use portcullis_server::config::SecretText;
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::database::execute;
use portcullis_tests::jwt;
use rstest::rstest;
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::rfc9396_scene::{BANK, World, account, details_of, invalid, payment, refusal, set_types, types};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[rstest]
#[tokio::test]
async fn section_6_a_code_is_redeemed_for_less(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let asked = json!([payment("1.00"), account(&["list", "balances"])]);
    let less = json!([account(&["balances"])]).to_string();
    let granted = world.granted(&asked).await;
    let tokens = world.redeem(&granted, &[("authorization_details", &less)]).await;
    assert_eq!(details_of(&tokens).to_string(), less);
    let whole = world.refresh(&tokens.member("refresh_token"), &[]).await;
    assert_eq!(details_of(&whole), asked, "what was granted is not changed by it (section 6.1)");
}

#[rstest]
#[tokio::test]
async fn section_6_and_8_more_than_was_granted_is_refused_and_spends_nothing(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let asked = json!([payment("1.00"), account(&["list"])]);
    let too_much = [
        json!([payment("1.01")]),
        json!([account(&["list", "balances"])]),
        json!([account(&["balances"])]),
        json!([account(&["list"]), payment("2.00")]),
        json!([{ "type": "account" }]),
        json!([{ "type": "unknown" }]),
        json!("nonsense"),
    ];
    let granted = world.granted(&asked).await;
    for more in &too_much {
        let refused = world.redeem(&granted, &[("authorization_details", &more.to_string())]).await;
        assert_eq!(refusal(&refused), invalid(), "{more}");
    }
    let tokens = world.redeem(&granted, &[]).await;
    assert_eq!(details_of(&tokens), asked, "the code was good all the while");
    let refresh = tokens.member("refresh_token");
    for more in &too_much {
        let refused = world.refresh(&refresh, &[("authorization_details", &more.to_string())]).await;
        assert_eq!(refusal(&refused), invalid(), "{more}");
    }
    let tokens = world.refresh(&refresh, &[("authorization_details", "[]")]).await;
    assert_eq!(details_of(&tokens), Value::Null, "the refresh token as well, also for nothing of it");
}

#[rstest]
#[tokio::test]
async fn section_6_a_grant_without_details_gives_none(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let request = world.request(&json!([])).without("authorization_details").with("resource", BANK);
    let callback = world.server.visitor().authorize(&request, &world.ada).await;
    let granted = (request, callback);
    let more = json!([account(&["list"])]).to_string();
    assert_eq!(refusal(&world.redeem(&granted, &[("authorization_details", &more)]).await), invalid());
    assert_eq!(details_of(&world.redeem(&granted, &[]).await), Value::Null);
}

#[rstest]
#[tokio::test]
async fn section_6_a_machine_gets_what_it_may_ask_for(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let stock = world.server.admin.api("https://stock.test").await;
    let machine = json!({ "name": "Job", "preset": "m2m", "apis": [world.bank.id, stock.id],
        "options": { "authorization_details_types": ["account"] } });
    let machine = world.server.admin.client(machine).await;
    let ask = async |details: &Value, resource: &str| {
        let details = details.to_string();
        let mut fields = vec![("grant_type", "client_credentials"), ("authorization_details", &*details)];
        fields.extend((!resource.is_empty()).then_some(("resource", resource)));
        world.server.machine.token(&machine, &fields).await
    };
    let good = json!([account(&["list"])]);
    for resource in ["", BANK] {
        let tokens = ask(&good, resource).await;
        assert_eq!(details_of(&tokens), good);
        assert_eq!(jwt::claims(&tokens.member("access_token"))["aud"], BANK);
    }
    for (bad, resource) in [
        (json!([payment("1.00")]), ""),
        (json!([account(&["unknown"])]), ""),
        (json!([{ "type": "account", "actions": ["list"], "more": 1 }]), ""),
        (json!({}), ""),
        (good.clone(), "https://stock.test"),
        (good.clone(), world.server.issuer.as_str()),
    ] {
        assert_eq!(refusal(&ask(&bad, resource).await), invalid(), "{bad} at {resource}");
    }
    let before = world.server.statements();
    ask(&good, "").await;
    assert_eq!(world.server.statements() - before, 0, "types are in memory");
}

#[rstest]
#[tokio::test]
async fn section_6_a_flow_that_asks_for_no_details_costs_no_statement_more(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    // Everything that is kept in memory is there, except the types.
    let request = world.request(&json!([])).without("authorization_details").with("resource", BANK);
    let mut visitor = world.server.visitor();
    let callback = visitor.authorize(&request, &world.ada).await;
    let tokens = world.redeem(&(request.clone(), callback), &[]).await;
    let before = world.server.statements();
    let answer = visitor.open(&request.path()).await;
    let authorized = world.server.statements() - before;
    let callback = portcullis_tests::authorize::Callback::of(&answer.location().unwrap());
    let before = world.server.statements();
    world.redeem(&(request, callback), &[]).await;
    let redeemed = world.server.statements() - before;
    let before = world.server.statements();
    world.refresh(&tokens.member("refresh_token"), &[]).await;
    let refreshed = world.server.statements() - before;
    assert_eq!((authorized, redeemed, refreshed), STATEMENTS);
}

/// What authorizing with a remembered consent, redeeming and refreshing cost, each for an API.
const STATEMENTS: (u64, u64, u64) = (2, 3, 3);

#[rstest]
#[tokio::test]
async fn section_6_an_exchange_gives_no_more_than_the_token_has(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let stock = world.server.admin.api("https://stock.test").await;
    let teller = json!({ "name": "Teller", "preset": "service", "serves": world.bank.id, "scopes": "",
        "apis": [world.bank.id, stock.id], "options": { "authorization_details_types": ["payment", "account"],
            "protocol": { "token_exchange": { "apis": [world.bank.id, stock.id] } } } });
    let teller = world.server.admin.client(teller).await;
    let asked = json!([payment("1.00"), account(&["list", "balances"])]);
    let tokens = world.redeem(&world.granted(&asked).await, &[]).await;
    let subject = tokens.member("access_token");
    let exchange = async |resource: &str, details: &str| {
        let mut fields = vec![
            ("grant_type", EXCHANGE),
            ("subject_token", &*subject),
            ("subject_token_type", ACCESS_TOKEN),
            ("resource", resource),
        ];
        fields.extend((!details.is_empty()).then_some(("authorization_details", details)));
        world.server.machine.token(&teller, &fields).await
    };
    assert_eq!(details_of(&exchange(BANK, "").await), asked);
    let less = json!([account(&["list"])]).to_string();
    assert_eq!(details_of(&exchange(BANK, &less).await).to_string(), less);
    let more = json!([account(&["transactions"])]).to_string();
    assert_eq!(refusal(&exchange(BANK, &more).await), invalid());
    assert_eq!(details_of(&exchange("https://stock.test", "").await), Value::Null, "they are of the bank");
    assert_eq!(refusal(&exchange("https://stock.test", &less).await), invalid());
}

#[rstest]
#[tokio::test]
async fn section_6_what_is_not_allowed_any_more_is_in_no_further_token(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let asked = json!([payment("1.00"), account(&["list"])]);
    let tokens = world.redeem(&world.granted(&asked).await, &[]).await;
    let mut fewer = types();
    fewer["items"].as_array_mut().unwrap().remove(0);
    assert_eq!(set_types(&world.server, &world.bank, &fewer).await.status, 200);
    let tokens = world.refresh(&tokens.member("refresh_token"), &[]).await;
    assert_eq!(details_of(&tokens), json!([account(&["list"])]), "the type of payments is gone");
    fewer["items"][0]["schema"]["properties"]["actions"] = json!({ "maxItems": 0 });
    assert_eq!(set_types(&world.server, &world.bank, &fewer).await.status, 200);
    let tokens = world.refresh(&tokens.member("refresh_token"), &[]).await;
    assert_eq!(details_of(&tokens), Value::Null, "its type does not allow it any more");
}

#[rstest]
#[tokio::test]
async fn section_9_2_introspection_says_what_is_granted_in_detail(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let guard = world.server.admin.guard_client(&world.bank).await;
    let asked = json!([payment("1.00")]);
    let tokens = world.redeem(&world.granted(&asked).await, &[]).await;
    let said = world.server.machine.introspect(&guard, &tokens.member("access_token")).await.json();
    assert_eq!((&said["active"], &said["authorization_details"]), (&json!(true), &asked));
}

/// As a code may say that was issued before such details were refused.
#[rstest]
#[tokio::test]
async fn section_6_a_code_is_redeemed_whatever_its_details_say(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let folder = tempdir().unwrap();
    let url = database.create(folder.path()).await;
    let stored = SecretText::new(url.clone());
    let world = World::with(database, |config| config.database.url = Some(stored)).await;
    let mut asked = json!([payment("1.00")]);
    asked[0]["creditor"] = json!("a~b");
    let granted = world.granted(&asked).await;
    execute(&url, r"UPDATE single_use SET payload = REPLACE(payload, 'a~b', 'a\u0000b')").await;
    let tokens = world.redeem(&granted, &[]).await;
    asked[0]["creditor"] = json!("a\0b");
    assert_eq!(details_of(&tokens), asked);
    let tokens = world.refresh(&tokens.member("refresh_token"), &[]).await;
    assert_eq!(details_of(&tokens), asked);
}

//! OAuth 2.0 Rich Authorization Requests ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)): asking.

use portcullis_tests::assertion::{SigningKeys, assertion_fields};
use portcullis_tests::authorize::{AuthorizeRequest, Callback};
use portcullis_tests::database::Database::{self, Postgres, Sqlite};
use portcullis_tests::jwt;
use portcullis_tests::markup::unescape;
use portcullis_tests::visitor::the_form;
use rstest::rstest;
use serde_json::{Value, json};

use crate::rfc9396_scene::{BANK, World, account, details_of, invalid, payment, refusal, set_types, types};

#[rstest]
#[tokio::test]
async fn section_3_what_is_asked_for_in_detail_is_granted_and_said(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let asked = json!([payment("123.50"), account(&["list", "balances"])]);
    let granted = world.granted(&asked).await;
    let tokens = world.redeem(&granted, &[]).await;
    assert_eq!(details_of(&tokens), asked);
    let claims = jwt::claims(&tokens.member("access_token"));
    assert_eq!(claims["aud"], BANK, "the API of the types is what the token is for");
}

#[rstest]
#[tokio::test]
async fn section_3_a_pushed_request_asks_in_detail(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let asked = json!([payment("1.00")]);
    let request = world.request(&asked);
    let pushed =
        world.server.machine.post_as(&world.shop, "/par", &request.fields_without("client_id")).await;
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &world.shop.id).append_pair("request_uri", &pushed.member("request_uri"));
    // What the browser brings beside the handle counts for nothing.
    query.append_pair("authorization_details", &json!([payment("9999.00")]).to_string());
    let path = format!("/authorize?{}", query.finish());
    let callback = world.server.visitor().walk(&path, &world.ada).await;
    assert_eq!(details_of(&world.redeem(&(request, callback), &[]).await), asked);
}

#[rstest]
#[tokio::test]
async fn section_3_a_signed_request_asks_in_detail(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let keys = SigningKeys::generate();
    let signer = json!({ "name": "Signer", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "jwks": keys.public_jwks(), "apis": [world.bank.id],
        "options": { "authorization_details_types": ["payment"] } });
    let signer = world.server.admin.client(signer).await;
    let asked = json!([payment("1.00")]);
    let request = AuthorizeRequest::of(&signer);
    let mut object = request.object(&world.server.issuer);
    // In an object it is a list and no text (section 3).
    object["authorization_details"] = asked.clone();
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("client_id", &signer.id);
    query.append_pair("request", &keys.sign_as("oauth-authz-req+jwt", &object));
    let path = format!("/authorize?{}", query.finish());
    let callback = world.server.visitor().walk(&path, &world.ada).await;
    let proof = assertion_fields(&keys, &signer.id, &world.server.issuer, world.server.clock.now());
    let mut fields = vec![
        ("grant_type", "authorization_code"),
        ("code", callback.code()),
        ("redirect_uri", "https://rp.test/cb"),
        ("code_verifier", &request.pkce.verifier),
    ];
    fields.extend(proof.iter().map(|(name, value)| (*name, value.as_str())));
    assert_eq!(details_of(&world.server.machine.post("/token", &fields).await), asked);
}

#[rstest]
#[tokio::test]
async fn section_3_1_details_and_scopes_are_asked_for_together_and_details_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let asked = json!([payment("1.00")]);
    let both = world.request(&asked).with("scope", "openid pay");
    let mut visitor = world.server.visitor();
    visitor.sign_in(&world.ada).await;
    let page = visitor.open(&both.path()).await.text();
    assert!(page.contains("Make a payment") && page.contains("pay"), "the page shows both: {page}");
    let callback = visitor.authorize(&both, &world.ada).await;
    let tokens = world.redeem(&(both, callback), &[]).await;
    assert_eq!((details_of(&tokens), tokens.member("scope")), (asked.clone(), "openid pay".to_owned()));
    let alone = world.request(&asked).without("scope");
    let callback = world.server.visitor().authorize(&alone, &world.ada).await;
    let tokens = world.redeem(&(alone, callback), &[]).await;
    assert_eq!(details_of(&tokens), asked);
    assert_eq!(tokens.json().get("scope"), None);
    let bad = world.request(&asked).with("scope", "nothing");
    assert_eq!(world.refused(&bad).await, "invalid_scope", "a scope that is there has to be good");
}

#[rstest]
#[tokio::test]
async fn section_3_2_a_resource_says_where_scopes_count_and_nothing_about_details(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let stock = json!({ "audience": "https://stock.test", "name": "Stock", "scopes": "stock:read" });
    let stock = world.server.admin.post("/apis", &stock).await;
    let both = json!({ "name": "Both", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
        "scopes": "openid offline_access stock:read", "apis": [world.bank.id, stock["id"]],
        "options": { "authorization_details_types": ["payment"] } });
    let world = World { shop: world.server.admin.client(both).await, ..world };
    let asked = json!([payment("1.00")]);
    let request = world
        .request(&asked)
        .with("scope", "openid offline_access stock:read")
        .with("resource", "https://stock.test");
    let callback = world.server.visitor().authorize(&request, &world.ada).await;
    let granted = (request, callback);
    let open = world.redeem(&granted, &[]).await;
    assert_eq!(refusal(&open), (400, "invalid_target".to_owned()), "two APIs: the request has to say which");
    let stock = world.redeem(&granted, &[("resource", "https://stock.test")]).await;
    assert_eq!(details_of(&stock), Value::Null, "section 9.1: filtered to the audience");
    assert_eq!(stock.member("scope"), "offline_access openid stock:read");
    let bank = world.refresh(&stock.member("refresh_token"), &[("resource", BANK)]).await;
    assert_eq!(details_of(&bank), asked);
    assert_eq!(bank.member("scope"), "offline_access openid");
}

#[rstest]
#[tokio::test]
async fn section_2_2_locations_are_the_api_or_below_it(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let at = |places: &[&str]| {
        let mut detail = payment("1.00");
        detail["locations"] = json!(places);
        json!([detail])
    };
    for good in [&[BANK][..], &["https://bank.test/payments", BANK]] {
        let granted = world.granted(&at(good)).await;
        assert_eq!(details_of(&world.redeem(&granted, &[]).await), at(good));
    }
    for bad in
        [&["https://evil.test"][..], &[BANK, "https://evil.test"], &["https://bank.test.evil.test"], &[""]]
    {
        assert_eq!(world.refused(&world.request(&at(bad))).await, "invalid_authorization_details", "{bad:?}");
    }
}

#[rstest]
#[tokio::test]
async fn section_5_what_its_type_does_not_allow_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let with = |name: &str, value: Value| {
        let mut detail = payment("1.00");
        detail[name] = value;
        detail
    };
    let without = |name: &str| {
        let mut detail = payment("1.00");
        detail.as_object_mut().unwrap().remove(name);
        detail
    };
    for (bad, why) in [
        (with("type", json!("unknown")), "an unknown type"),
        (with("note", json!("x")), "an unknown member"),
        (with("creditor", json!(7)), "a member of another kind"),
        (with("amount", json!({ "currency": "GBP", "value": "1.00" })), "a value that is not allowed"),
        (with("amount", json!({ "currency": "EUR", "value": "1" })), "a value that is not allowed"),
        (without("creditor"), "a member is missing"),
    ] {
        for list in [json!([bad]), json!([payment("1.00"), bad])] {
            let error = world.refused(&world.request(&list)).await;
            assert_eq!(error, "invalid_authorization_details", "{why}: {list}");
        }
    }
}

#[rstest]
#[case::no_json("payment")]
#[case::an_object(r#"{"type":"payment"}"#)]
#[case::a_text(r#"["payment"]"#)]
#[case::no_type(r#"[{"creditor":"x"}]"#)]
#[case::a_type_that_is_no_text(r#"[{"type":7}]"#)]
#[case::nul(r#"[{"type":"payment","amount":{"currency":"EUR","value":"1.00"},"creditor":"a\u0000b"}]"#)]
#[case::a_repeated_member(r#"[{"type":"account","actions":["list"],"actions":[]}]"#)]
#[tokio::test]
async fn section_5_what_is_no_list_of_details_is_refused(
    #[values(Sqlite, Postgres)] database: Database,
    #[case] raw: &str,
) {
    let world = World::on(database).await;
    let request = world.request(&json!([])).with("authorization_details", raw);
    assert_eq!(world.refused(&request).await, "invalid_authorization_details");
}

#[rstest]
#[tokio::test]
async fn section_5_too_much_or_too_deep_is_refused(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let many = json!(vec![account(&["list"]); 17]);
    let mut large = payment("1.00");
    large["actions"] = json!(["x".repeat(4096)]);
    let mut deep = payment("1.00");
    deep["actions"] = (0..8).fold(json!([]), |inner, _| json!([inner]));
    for list in [many, json!([large]), json!([deep])] {
        // Not by its address, which would be too long for some of them.
        let request = world.request(&list);
        let fields = request.fields_without("client_id");
        let pushed = world.server.machine.post_as(&world.shop, "/par", &fields).await;
        assert_eq!(refusal(&pushed), invalid());
    }
}

#[rstest]
#[tokio::test]
async fn section_10_a_client_asks_only_for_types_that_it_registered(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let other = world.server.admin.web_client(&[&world.bank]).await;
    let request =
        AuthorizeRequest::of(&other).with("authorization_details", &json!([account(&["list"])]).to_string());
    let callback = world.server.visitor().authorize(&request, &world.ada).await;
    assert_eq!(callback.error(), "invalid_authorization_details");
    let stock = world.server.admin.api("https://stock.test").await;
    for (apis, types, pointer) in [
        (json!([world.bank.id]), json!(["unknown"]), "/options/authorization_details_types/0"),
        (json!([stock.id]), json!(["payment"]), "/options/authorization_details_types/0"),
        (json!([world.bank.id]), json!(["a b"]), "/options/authorization_details_types/0"),
    ] {
        let document = json!({ "name": "X", "preset": "web", "redirect_uris": ["https://rp.test/cb"],
            "apis": apis, "options": { "authorization_details_types": types } });
        let refused = world.server.admin.send(reqwest::Method::POST, "/clients", &document).await;
        assert!(refused.status == 422 && refused.text().contains(pointer), "{}", refused.text());
    }
    let shown = world.server.admin.get(&format!("/clients/{}", world.shop.id)).await.json();
    assert_eq!(shown["settings"]["authorization_details_types"], json!(["payment", "account"]));
}

#[rstest]
#[tokio::test]
async fn section_10_the_metadata_name_the_types_that_there_are(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let known = async |path: &str| {
        let answer = world.server.machine.get(path).await;
        (answer.json()["authorization_details_types_supported"].clone(), answer.header("etag").to_owned())
    };
    let openid = "/.well-known/openid-configuration";
    let (types_now, tag) = known(openid).await;
    assert_eq!(types_now, json!(["account", "payment"]));
    assert_eq!(known("/.well-known/oauth-authorization-server").await.0, types_now);
    let before = world.server.statements();
    known(openid).await;
    assert_eq!(world.server.statements() - before, 0, "they are in memory");
    assert_eq!(set_types(&world.server, &world.bank, &json!({ "items": [] })).await.status, 200);
    let (none, other) = known(openid).await;
    assert_eq!((none, other == tag), (Value::Null, false), "an empty list is left out (RFC 8414 section 2)");
}

#[rstest]
#[tokio::test]
async fn section_11_2_people_see_all_that_they_allow_in_words(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let mut detail = payment("123.50");
    detail["actions"] = json!(["initiate", "cancel\u{202e}"]);
    let mut visitor = world.server.visitor();
    visitor.sign_in(&world.ada).await;
    let page = visitor.open(&world.request(&json!([detail])).path()).await.text();
    assert!(page.contains("Merchant &lt;A&gt;") && !page.contains("<A>"), "{page}");
    let text = unescape(&page);
    for shown in [
        "Make a payment",
        "Amount",
        "123.50",
        "To",
        "currency",
        "EUR",
        "actions",
        "initiate",
        "cancel\u{fffd}",
    ] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    assert!(!text.contains('\u{202e}'), "nothing turns the text around");
}

#[rstest]
#[tokio::test]
async fn section_11_2_what_lasts_is_remembered_with_less_of_it_and_a_payment_is_not(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let mut visitor = world.server.visitor();
    let both = account(&["list", "balances"]);
    visitor.authorize(&world.request(&json!([both, payment("1.00")])), &world.ada).await;
    let mut silent = async |details: Value| {
        let answer = visitor.open(&world.request(&details).with("prompt", "none").path()).await;
        Callback::of(&answer.location().unwrap()).error().to_owned()
    };
    assert_eq!(silent(json!([both])).await, "");
    assert_eq!(silent(json!([account(&["balances"])])).await, "", "less of it");
    for more in [
        json!([account(&["transactions"])]),
        json!([account(&["list", "transactions"])]),
        json!([payment("1.00")]),
        json!([both, payment("1.00")]),
    ] {
        assert_eq!(silent(more.clone()).await, "consent_required", "{more}");
    }
}

#[rstest]
#[tokio::test]
async fn section_11_2_a_denial_grants_nothing_and_the_trail_names_types_alone(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let mut visitor = world.server.visitor();
    visitor.sign_in(&world.ada).await;
    let page = visitor.open(&world.request(&json!([payment("77.00")])).path()).await;
    let denied = visitor.submit(&the_form(&page, "consent").with("decision", "deny")).await;
    assert_eq!(Callback::of(&denied.location().unwrap()).error(), "access_denied");
    let trail = world.server.admin.get("/audit?limit=200").await;
    let text = trail.text();
    assert!(text.contains("\"authorization_details_types\":[\"payment\"]"), "{text}");
    assert!(!text.contains("77.00"), "what they say may be private");
}

#[rstest]
#[tokio::test]
async fn section_2_1_a_type_is_registered_with_a_schema_that_is_bounded(
    #[values(Sqlite, Postgres)] database: Database,
) {
    let world = World::on(database).await;
    let listed =
        world.server.admin.get(&format!("/apis/{}/authorization-details-types", world.bank.id)).await;
    let listed = listed.json();
    let names: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|kind| &kind["type"]).collect();
    assert_eq!(names, ["account", "payment"]);
    let kind = |schema: Value| json!({ "items": [{ "type": "x", "title": "X", "schema": schema }] });
    let object = |more: Value| {
        let mut schema = json!({ "type": "object", "additionalProperties": false });
        schema.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        schema
    };
    for bad in [
        json!({ "type": "object" }),
        object(json!({ "properties": { "a": { "$ref": "https://evil.test/schema" } } })),
        object(
            json!({ "properties": { "a": { "$ref": "#/$defs/a" } }, "$defs": { "a": { "$ref": "#/$defs/a" } } }),
        ),
        object(json!({ "properties": { "a": { "pattern": "(?=a)" } } })),
        object(json!({ "unevaluatedProperties": false })),
        object(json!({ "description": "x".repeat(20_000) })),
    ] {
        let refused = set_types(&world.server, &world.bank, &kind(bad.clone())).await;
        assert!(
            refused.status == 422 && refused.text().contains("/items/0/schema"),
            "{bad}: {}",
            refused.text()
        );
    }
    let stale = world
        .server
        .admin
        .request(reqwest::Method::PUT, &format!("/apis/{}/authorization-details-types", world.bank.id))
        .await
        .header("if-match", "\"old\"")
        .json(&types());
    assert_eq!(portcullis_tests::agent::Answer::to(stale).await.status, 412);
    let other = world.server.admin.api("https://other.test").await;
    let taken = set_types(&world.server, &other, &types()).await;
    assert!(taken.status == 422 && taken.text().contains("taken"), "{}", taken.text());
}

#[rstest]
#[tokio::test]
async fn section_3_a_device_cannot_ask_in_detail_and_is_told(#[values(Sqlite, Postgres)] database: Database) {
    let world = World::on(database).await;
    let options = json!({ "authorization_details_types": ["account"], "protocol": { "device_grant": true } });
    let television = json!({ "name": "TV", "preset": "native", "redirect_uris": ["http://127.0.0.1/cb"],
        "scopes": "openid", "apis": [world.bank.id], "options": options });
    let television = world.server.admin.client(television).await;
    let asked = json!([account(&["list"])]).to_string();
    let fields = [("scope", "openid"), ("authorization_details", &*asked)];
    let refused = world.server.machine.post_as(&television, "/device_authorization", &fields).await;
    assert_eq!(refusal(&refused), invalid());
}

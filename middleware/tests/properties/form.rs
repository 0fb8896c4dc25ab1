//! Tokens whose claims stand elsewhere: they are held to what the form says, and their caller is the one that stands there.

use std::sync::LazyLock;

use axum::Router;
use axum::routing::get;
use http::StatusCode;
use portcullis_guard::{GuardExt, GuardedRouter, Principal, TokenForm, authenticated};
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

use super::service::{AUDIENCE, answered, guard, started};
#[cfg(test)]
use super::service::{KEY, encoded, with_signature};
use super::token::{bearing, hold, is_issued, is_signed, text};

/// Whose tokens need no audience.
const LISTED: &str = "app";

static SERVICE: LazyLock<(Runtime, Router)> = LazyLock::new(|| started(router()));

async fn router() -> Router {
    let form = TokenForm::danger_generic(["JWT"])
        .client_claim("cid")
        .scope_claim("scp")
        .roles_claim("/realm/roles")
        .must_have("use", "access")
        .danger_without_audience_for([LISTED]);
    let shown = async |caller: Principal| {
        let scopes: Vec<&str> = caller.scopes().collect();
        json!({ "client": caller.client_id(), "scopes": scopes, "roles": caller.roles() }).to_string()
    };
    GuardedRouter::new().route("/token", get(shown).guard(authenticated())).guarded_by(&guard(form).await)
}

/// As `token`, and the caller is whoever a second, slow reading finds.
pub(crate) fn form(text: &[u8]) {
    hold(text, caller, expected);
}

/// Whom the service takes for the caller, if it takes the token.
fn caller(token: &[u8]) -> Option<Value> {
    let (runtime, router) = &*SERVICE;
    let (status, body) = answered(runtime, router, bearing(token)?);
    assert!(status == StatusCode::OK || status.is_client_error(), "{status}");
    (status == StatusCode::OK).then(|| serde_json::from_slice(&body).expect("what the service writes"))
}

/// Whom the claims name, read without haste.
fn expected(header: &[u8], payload: &[u8]) -> Option<Value> {
    let read = |json: &[u8]| serde_json::from_slice::<Map<String, Value>>(json).ok();
    let (header, claims) = (read(header)?, read(payload)?);
    let typ = text(&header, "typ")?.to_ascii_lowercase();
    let is_typed = ["at+jwt", "jwt"].contains(&typ.strip_prefix("application/").unwrap_or(&typ));

    let named = text(&claims, "cid");
    let client = named.clone().or(text(&claims, "client_id")).or(text(&claims, "azp"))?;
    let others = ["client_id", "azp"].iter().filter_map(|name| claims.get(*name));
    let is_one = named.is_none() || others.into_iter().all(|other| other.as_str() == Some(&*client));
    let is_for = match claims.get("aud") {
        None => client == LISTED,
        Some(Value::Array(several)) => several.iter().any(|name| name == AUDIENCE),
        Some(name) => name == AUDIENCE,
    };
    let subject = text(&claims, "sub")?;
    let is_said = [&client, &subject].iter().all(|text| (1..=512).contains(&text.len()));
    let is_access = text(&claims, "use")? == "access";
    let scopes = match claims.get("scp") {
        None => Vec::new(),
        Some(Value::Array(words)) => words.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?,
        Some(said) => said.as_str()?.split(' ').filter(|word| !word.is_empty()).collect(),
    };
    let are_words = scopes.iter().all(|scope| !scope.is_empty() && !scope.contains(' '));
    let roles = match claims.get("realm").and_then(|realm| realm.get("roles")) {
        None => Vec::new(),
        Some(Value::Array(roles)) => roles.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?,
        Some(role) => vec![role.as_str()?],
    };
    let good = [is_signed(&header)?, is_typed, is_one, is_for, is_said, is_access, are_words];
    let is_good = good.iter().all(|holds| *holds) && is_issued(&claims)?;
    is_good.then(|| json!({ "client": client, "scopes": scopes, "roles": roles }))
}

/// Tokens that are good, so that something is shown by those that are not.
#[cfg(test)]
#[test]
fn a_good_token_of_the_form_names_its_caller() {
    let common = json!({
        "iss": super::service::ISSUER, "sub": "s", "use": "access",
        "iat": super::service::NOW, "exp": super::service::NOW + 300,
    });
    for (typ, claims, caller_is) in [
        (
            "JWT",
            json!({ "cid": "app", "scp": ["a", "b"], "realm": { "roles": ["r"] } }),
            json!({ "client": "app", "scopes": ["a", "b"], "roles": ["r"] }),
        ),
        (
            "at+jwt",
            json!({ "aud": AUDIENCE, "azp": "web", "jti": "j", "scp": "a b", "realm": { "roles": "r s" } }),
            json!({ "client": "web", "scopes": ["a", "b"], "roles": ["r s"] }),
        ),
    ] {
        let mut payload = common.clone();
        for (name, value) in claims.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let header = json!({ "alg": "EdDSA", "typ": typ }).to_string();
        let signed = format!("{}.{}", encoded(header), encoded(payload.to_string()));
        let token = with_signature(&signed, KEY.sign(signed.as_bytes()).as_ref());
        assert_eq!(caller(token.as_bytes()), Some(caller_is));
    }
}

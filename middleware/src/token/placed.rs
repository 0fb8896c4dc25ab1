//! Claims that stand elsewhere than RFC 9068 has them: each is put where it has it, and then held to the same rules.

use serde_json::{Map, Value};

use super::claims::{AccessClaims, Implied};
use super::fault::TokenFault;
use crate::token_form::Places;

const CLIENT: &str = "client_id";
const ROLES: &str = "roles";
const SCOPE: &str = "scope";

/// The claims of a payload that is known to be an object with one reading.
pub(super) fn claims(
    payload: &[u8],
    implied: Implied<'_>,
    places: &Places,
    audience: &str,
) -> Result<AccessClaims, TokenFault> {
    let read: Value = serde_json::from_slice(payload).map_err(|_| TokenFault::Claims)?;
    let said = |name: &str| read.get(name).and_then(Value::as_str);
    if !places.required.iter().all(|(name, text)| said(name) == Some(text.as_str())) {
        return Err(TokenFault::Claims);
    }
    let named = named(&read, places)?;
    if let Some(client) = named {
        // OpenID Connect Core §2: the client is in the audience of an ID token, and is no service that it calls.
        if read.get("aud").is_some_and(|aud| includes(aud, client)) {
            return Err(TokenFault::Type);
        }
        // Somebody else than the issuer may have filled in claims that it does not know.
        let others = [read.get(CLIENT).map(Value::as_str), implied.client_id.map(Some)];
        if others.into_iter().flatten().any(|own| own != Some(client)) {
            return Err(TokenFault::Claims);
        }
    }
    let client_id = named.or(implied.client_id);
    let is_listed = |client: &str| places.without_audience.iter().any(|own| own == client);
    let aud = said(CLIENT).or(client_id).filter(|client| is_listed(client)).map(|_| audience);
    let moved = moved(&read, places)?;
    AccessClaims::of_value(&moved, Implied { aud, client_id, ..implied })
}

/// The client by the claim that names it in this form, where it is there.
fn named<'v>(read: &'v Value, places: &Places) -> Result<Option<&'v str>, TokenFault> {
    match places.client.as_ref().and_then(|name| read.get(name)) {
        None => Ok(None),
        Some(said) => said.as_str().map(Some).ok_or(TokenFault::Claims),
    }
}

/// Whether an audience is this client, or has it among others.
fn includes(aud: &Value, client: &str) -> bool {
    aud == client || aud.as_array().is_some_and(|names| names.iter().any(|name| name == client))
}

/// The claims with scopes and roles where RFC 9068 has them. What stood there has to be what it is by that all the same.
fn moved(read: &Value, places: &Places) -> Result<Value, TokenFault> {
    let mut claims = read.as_object().cloned().ok_or(TokenFault::Claims)?;
    if let Some(name) = &places.scope {
        let words = read.get(name).map(words).transpose()?;
        put(&mut claims, SCOPE, words, |own| name == SCOPE || own.is_string())?;
    }
    if let Some(pointer) = &places.roles {
        let roles = read.pointer(pointer).map(listed);
        put(&mut claims, ROLES, roles, |own| are_texts(own) || pointer == "/roles")?;
    }
    Ok(claims.into())
}

fn put(
    claims: &mut Map<String, Value>,
    name: &str,
    value: Option<Value>,
    is_fit: impl FnOnce(&Value) -> bool,
) -> Result<(), TokenFault> {
    let own = match value {
        Some(value) => claims.insert(name.to_owned(), value),
        None => claims.remove(name),
    };
    if own.as_ref().is_none_or(is_fit) { Ok(()) } else { Err(TokenFault::Claims) }
}

/// Scopes as one text: the claim is one, or a list of texts. One of these is a scope as it stands (RFC 6749 §3.3): with a space in it
/// it would become two.
fn words(said: &Value) -> Result<Value, TokenFault> {
    let word = |item: &Value| {
        item.as_str().filter(|text| !text.is_empty() && !text.contains(' ')).map(str::to_owned)
    };
    let joined = match said {
        Value::String(text) => Some(text.clone()),
        Value::Array(items) => {
            items.iter().map(word).collect::<Option<Vec<_>>>().map(|words| words.join(" "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    joined.map(Value::from).ok_or(TokenFault::Claims)
}

/// Roles as a list: issuers that write a claim with one value as that value alone mean a list of one.
fn listed(said: &Value) -> Value {
    match said {
        Value::String(role) if !role.is_empty() => vec![said.clone()].into(),
        other => other.clone(),
    }
}

fn are_texts(value: &Value) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(Value::is_string))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::token::claims::Text;
    use crate::token_form::TokenForm;

    const AUDIENCE: &str = "https://api.test";

    fn read(form: &TokenForm, changes: &Value) -> Result<AccessClaims, TokenFault> {
        let mut claims = json!({
            "iss": "https://id.test", "aud": AUDIENCE, "sub": "u", "client_id": "c", "jti": "j", "exp": 2, "iat": 1,
        });
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let kept = claims.as_object_mut().unwrap();
        kept.retain(|_, value| *value != "gone");
        super::claims(claims.to_string().as_bytes(), Implied::default(), form.places().unwrap(), AUDIENCE)
    }

    fn scopes(form: &TokenForm, changes: &Value) -> Result<Option<String>, TokenFault> {
        read(form, changes).map(|claims| claims.text(Text::Scope).map(str::to_owned))
    }

    #[test]
    fn scopes_are_words_in_a_text_or_in_a_list() {
        let scp = TokenForm::rfc9068().scope_claim("scp");
        for (said, expected) in [
            (json!("a b"), "a b"),
            (json!(["a", "b"]), "a b"),
            (json!(["a"]), "a"),
            (json!([]), ""),
            (json!(""), ""),
        ] {
            assert_eq!(scopes(&scp, &json!({ "scp": said })), Ok(Some(expected.to_owned())), "{said}");
        }
        for said in [
            json!(null),
            json!(1),
            json!({ "a": 1 }),
            json!([1]),
            json!(["a b"]),
            json!(["a", ""]),
            json!([["a"]]),
        ] {
            assert_eq!(scopes(&scp, &json!({ "scp": said })), Err(TokenFault::Claims), "{said}");
        }
        assert_eq!(scopes(&scp, &json!({ "scope": "a" })), Ok(None), "it is read in one place");
        assert_eq!(scopes(&scp, &json!({ "scope": "a", "scp": "b" })), Ok(Some("b".to_owned())));
        for own in [json!(["a"]), json!(null)] {
            assert_eq!(scopes(&scp, &json!({ "scope": own, "scp": "b" })), Err(TokenFault::Claims), "{own}");
        }
        let own = TokenForm::rfc9068().scope_claim("scope");
        assert_eq!(scopes(&own, &json!({ "scope": ["a", "b"] })), Ok(Some("a b".to_owned())));
        assert_eq!(scopes(&own, &json!({ "scope": "a b" })), Ok(Some("a b".to_owned())));
    }

    #[test]
    fn roles_are_a_list_of_texts_or_one_text_where_the_pointer_leads() {
        let roles = |pointer: &str, changes: Value| {
            read(&TokenForm::rfc9068().roles_claim(pointer), &changes).map(|claims| claims.roles)
        };
        let nested = json!({ "realm_access": { "roles": ["a", "b c"] }, "roles": ["own"] });
        assert_eq!(roles("/realm_access/roles", nested.clone()).unwrap(), ["a", "b c"]);
        assert_eq!(roles("/roles", nested.clone()).unwrap(), ["own"]);
        assert_eq!(roles("/x~1y/1/a~0b", json!({ "x/y": [0, { "a~b": ["z"] }] })).unwrap(), ["z"]);
        for pointer in ["/permissions", "/roles"] {
            let one = json!({ "permissions": "a b", "roles": "a b" });
            let said = if pointer == "/roles" { one } else { json!({ "permissions": "a b" }) };
            assert_eq!(roles(pointer, said).unwrap(), ["a b"], "a text is one role, whatever is in it");
        }
        for nowhere in ["/permissions", "/realm_access/roles/none", "/realm_access/other", "/sub/roles"] {
            assert_eq!(roles(nowhere, nested.clone()).unwrap(), [""; 0], "{nowhere}");
        }
        let beside = json!({ "permissions": ["a"], "roles": "a" });
        assert_eq!(
            roles("/permissions", beside).unwrap_err(),
            TokenFault::Claims,
            "not where RFC 9068 has them"
        );
        for wrong in [json!(""), json!(null), json!([1]), json!([["a"]]), json!({ "a": 1 })] {
            let changes = json!({ "permissions": wrong });
            assert_eq!(roles("/permissions", changes).unwrap_err(), TokenFault::Claims, "{wrong}");
            assert_eq!(
                roles("/roles", json!({ "roles": wrong })).unwrap_err(),
                TokenFault::Claims,
                "{wrong}"
            );
            let beside = json!({ "permissions": ["a"], "roles": wrong });
            assert_eq!(roles("/permissions", beside).unwrap_err(), TokenFault::Claims, "{wrong}");
        }
    }

    #[test]
    fn a_claim_names_the_client_where_no_client_id_does() {
        let client = |changes: Value| {
            let claims = read(&TokenForm::rfc9068().client_claim("cid"), &changes)?;
            Ok(claims.said(Text::ClientId).to_owned())
        };
        assert_eq!(client(json!({ "client_id": "gone", "cid": "app" })), Ok("app".to_owned()));
        assert_eq!(client(json!({})), Ok("c".to_owned()), "who is named as ever is who it is");
        assert_eq!(client(json!({ "cid": "c" })), Ok("c".to_owned()));
        for changes in [
            json!({ "cid": "app" }),
            json!({ "cid": null }),
            json!({ "cid": 1 }),
            json!({ "client_id": 1, "cid": "app" }),
            json!({ "client_id": "gone" }),
            json!({ "client_id": "gone", "cid": 1 }),
            json!({ "client_id": "gone", "cid": ["app"] }),
            json!({ "client_id": null, "cid": "app" }),
            json!({ "client_id": "gone", "azp": "app" }),
        ] {
            assert_eq!(client(changes.clone()), Err(TokenFault::Claims), "{changes}");
        }
        for aud in [json!("app"), json!([AUDIENCE, "app"])] {
            let of_client = json!({ "client_id": "gone", "cid": "app", "aud": aud });
            assert_eq!(client(of_client), Err(TokenFault::Type), "{aud}");
        }
    }

    #[test]
    fn listed_clients_need_no_audience_and_are_held_to_the_one_that_is_there() {
        let form = TokenForm::rfc9068().client_claim("cid").danger_without_audience_for(["c", "app"]);
        let said = |changes: Value| read(&form, &changes).map(|claims| claims.addressees());
        assert_eq!(said(json!({ "aud": "gone" })), Ok(AUDIENCE.to_owned()));
        assert_eq!(
            said(json!({ "aud": "gone", "client_id": "gone", "cid": "app" })),
            Ok(AUDIENCE.to_owned())
        );
        for aud in ["https://other.test", ""] {
            assert_eq!(said(json!({ "aud": aud })), Ok(aud.to_owned()));
        }
        assert_eq!(said(json!({ "aud": [] })), Ok(String::new()));
        for changes in [
            json!({ "aud": null }),
            json!({ "aud": {} }),
            json!({ "aud": "gone", "client_id": "C" }),
            json!({ "aud": "gone", "client_id": "" }),
            json!({ "aud": "gone", "client_id": "other", "cid": "app" }),
            json!({ "aud": "gone", "cid": "app" }),
            json!({ "aud": "gone", "client_id": 1, "cid": "app" }),
        ] {
            assert_eq!(said(changes.clone()), Err(TokenFault::Claims), "{changes}");
        }
    }

    #[test]
    fn what_a_token_must_have_is_compared_whole() {
        let form = TokenForm::rfc9068().must_have("token_use", "access").must_have("tid", "t");
        let outcome = |changes: Value| read(&form, &changes).map(|_| ());
        assert_eq!(outcome(json!({ "token_use": "access", "tid": "t" })), Ok(()));
        for (name, wrong) in [
            ("tid", json!("gone")),
            ("tid", json!("T")),
            ("tid", json!("t ")),
            ("tid", json!(["t"])),
            ("tid", json!(null)),
            ("token_use", json!("id")),
            ("token_use", json!("Access")),
        ] {
            let mut changes = json!({ "token_use": "access", "tid": "t" });
            changes[name] = wrong.clone();
            assert_eq!(outcome(changes), Err(TokenFault::Claims), "{name} {wrong}");
        }
    }

    /// What is moved goes through a second reading, in which everything else has to stay what it is.
    #[test]
    fn the_rest_of_a_token_is_read_as_ever() {
        for changes in [
            json!({}),
            json!({ "exp": 2.5, "iat": 1e0, "nbf": -1, "auth_time": 1 }),
            json!({ "aud": ["https://other.test", AUDIENCE], "scope": "a b", "roles": ["r", "s"] }),
            json!({ "acr": "urn:example:2fa", "org": "acme", "sid": "s", "gid": "g", "unknown": { "x": [1, null] } }),
            json!({ "cnf": { "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I" } }),
            json!({ "exp": "2" }),
            json!({ "cnf": null }),
            json!({ "aud": {} }),
            json!({ "acr": 1 }),
        ] {
            let mut claims = json!({
                "iss": "https://id.test", "aud": AUDIENCE, "sub": "u", "client_id": "c", "jti": "j", "exp": 2, "iat": 1,
            });
            for (name, value) in changes.as_object().unwrap() {
                claims[name] = value.clone();
            }
            let payload = claims.to_string();
            let places = TokenForm::rfc9068().must_have("iss", "https://id.test");
            let moved =
                super::claims(payload.as_bytes(), Implied::default(), places.places().unwrap(), AUDIENCE);
            let direct = AccessClaims::parse(payload.as_bytes());
            assert_eq!(format!("{moved:?}"), format!("{direct:?}"), "{payload}");
        }
    }
}

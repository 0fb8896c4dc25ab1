//! The `claims` of an authorization request ([OpenID Connect Core §5.5]).
//!
//! [OpenID Connect Core §5.5]: https://openid.net/specs/openid-connect-core-1_0.html#ClaimsParameter

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::domain::claim::{Claim, ClaimSet, SingleClaims};
use crate::domain::session::Acr;
use crate::domain::strict_json::StrictJson;

/// The longest parameter. All claims there are, with values, take a fraction of it.
const LONGEST: usize = 8 * 1024;
/// How deep it may nest: the member, the claim, its values, and values that are objects themselves.
const DEEPEST: usize = 8;
/// The most claims of a member.
const MOST: usize = 100;
/// The most values of a claim.
const MOST_VALUES: usize = 50;

/// What a request asks for beside its scopes, and what it insists on.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ClaimsRequest {
    /// The claims to tell.
    pub single: SingleClaims,
    /// One of these has to be the `acr` (§5.5.1.1). Where it is empty, nothing that this server has would do.
    pub acr: Option<BTreeSet<Acr>>,
    /// One of these has to be the subject (§3.1.2.1).
    pub subjects: Option<BTreeSet<String>>,
}

/// The text is not the parameter.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("claims is not what OpenID Connect Core section 5.5 says, or is too large, or repeats a member")]
pub struct InvalidClaims;

/// What is said about one claim (§5.5.1).
#[derive(Default)]
struct Wish {
    essential: bool,
    /// `None`: any will do.
    values: Option<Vec<Value>>,
}

impl ClaimsRequest {
    /// Reads the parameter. What it asks for and we do not know is ignored, as are members that we do not know.
    pub fn parse(raw: &str) -> Result<Self, InvalidClaims> {
        let value = StrictJson::parse(raw, LONGEST, DEEPEST).map_err(|_| InvalidClaims)?;
        let Value::Object(parts) = value else { return Err(InvalidClaims) };
        let id_token = wishes(parts.get("id_token"))?;
        let userinfo = wishes(parts.get("userinfo"))?;
        let named = |wishes: &[(String, Wish)]| -> ClaimSet {
            wishes.iter().filter_map(|(name, _)| Claim::named(name)).collect()
        };
        let single = SingleClaims { id_token: named(&id_token), userinfo: named(&userinfo) };
        let acr = match id_token.iter().find(|(name, _)| name == "acr") {
            Some((_, Wish { essential: true, values: Some(values) })) => Some(known(values)?),
            _ => None,
        };
        let mut subjects: Option<BTreeSet<String>> = None;
        for (name, wish) in id_token.iter().chain(&userinfo) {
            if let (true, Some(values)) = (name == "sub", &wish.values) {
                let these: BTreeSet<String> = texts(values)?.map(str::to_owned).collect();
                subjects = Some(match subjects {
                    Some(before) => before.intersection(&these).cloned().collect(),
                    None => these,
                });
            }
        }
        Ok(Self { single, acr, subjects })
    }
}

/// What a member says of each claim; a member that is absent or null says nothing.
fn wishes(part: Option<&Value>) -> Result<Vec<(String, Wish)>, InvalidClaims> {
    let claims = match part {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(claims)) if claims.len() <= MOST => claims,
        Some(_) => return Err(InvalidClaims),
    };
    claims.iter().map(|(name, said)| Ok((name.clone(), wish(said)?))).collect()
}

fn wish(said: &Value) -> Result<Wish, InvalidClaims> {
    let said = match said {
        Value::Null => return Ok(Wish::default()),
        Value::Object(said) => said,
        _ => return Err(InvalidClaims),
    };
    let essential = match said.get("essential") {
        None => false,
        Some(Value::Bool(essential)) => *essential,
        Some(_) => return Err(InvalidClaims),
    };
    Ok(Wish { essential, values: values(said)? })
}

fn values(said: &Map<String, Value>) -> Result<Option<Vec<Value>>, InvalidClaims> {
    match (said.get("value"), said.get("values")) {
        (None, None) => Ok(None),
        (Some(value), None) => Ok(Some(vec![value.clone()])),
        (None, Some(Value::Array(values))) if (1..=MOST_VALUES).contains(&values.len()) => {
            Ok(Some(values.clone()))
        }
        // Both at once contradict each other, unless they say the same.
        _ => Err(InvalidClaims),
    }
}

fn texts(values: &[Value]) -> Result<impl Iterator<Item = &str>, InvalidClaims> {
    let texts = values.iter().map(|value| value.as_str().ok_or(InvalidClaims));
    texts.collect::<Result<Vec<_>, _>>().map(Vec::into_iter)
}

fn known(values: &[Value]) -> Result<BTreeSet<Acr>, InvalidClaims> {
    Ok(texts(values)?.filter_map(|value| value.parse().ok()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(raw: &str) -> ClaimsRequest {
        ClaimsRequest::parse(raw).unwrap()
    }

    #[test]
    fn claims_are_asked_for_each_in_its_place() {
        let asked = parse(
            r#"{"userinfo":{"given_name":{"essential":true},"nickname":null,"email":{"value":"a@b.org"},"odd#de":null},
                "id_token":{"auth_time":{"essential":true},"picture":null,"http://example.info/claims/groups":null},
                "later":[1]}"#,
        );
        assert_eq!(asked.single.userinfo.to_string(), "email given_name nickname");
        assert_eq!(asked.single.id_token.to_string(), "picture");
        assert_eq!((asked.acr, asked.subjects), (None, None));
        assert_eq!(parse("{}"), ClaimsRequest::default());
        assert_eq!(parse(r#"{"userinfo":null}"#), ClaimsRequest::default());
    }

    #[test]
    fn an_acr_is_insisted_on_only_where_it_is_essential_and_named() {
        let acr = |said: &str| parse(&format!(r#"{{"id_token":{{"acr":{said}}}}}"#)).acr;
        let one = Acr::OneFactor.as_str();
        assert_eq!(
            acr(&format!(r#"{{"essential":true,"values":["x","{one}"]}}"#)),
            Some([Acr::OneFactor].into())
        );
        assert_eq!(acr(&format!(r#"{{"essential":true,"value":"{one}"}}"#)), Some([Acr::OneFactor].into()));
        assert_eq!(acr(r#"{"essential":true,"values":["x"]}"#), Some(BTreeSet::new()));
        assert_eq!(acr(r#"{"essential":false,"values":["x"]}"#), None);
        assert_eq!(acr(r#"{"values":["x"]}"#), None);
        assert_eq!(acr(r#"{"essential":true}"#), None);
        assert_eq!(parse(r#"{"userinfo":{"acr":{"essential":true,"value":"x"}}}"#).acr, None);
    }

    #[test]
    fn a_subject_that_is_named_twice_has_to_be_both() {
        let subjects = |raw: &str| parse(raw).subjects.map(|set| set.into_iter().collect::<Vec<_>>());
        assert_eq!(subjects(r#"{"id_token":{"sub":{"value":"a"}}}"#), Some(vec!["a".to_owned()]));
        assert_eq!(subjects(r#"{"userinfo":{"sub":{"values":["a","b"]}}}"#).unwrap().len(), 2);
        let both = r#"{"id_token":{"sub":{"value":"a"}},"userinfo":{"sub":{"value":"b"}}}"#;
        assert_eq!(subjects(both), Some(Vec::new()));
        assert_eq!(subjects(r#"{"id_token":{"sub":{"essential":true}}}"#), None);
    }

    #[test]
    fn what_is_not_the_parameter_is_refused() {
        let many = (0..=MOST).map(|n| format!(r#""c{n}":null"#)).collect::<Vec<_>>().join(",");
        let deep = format!(r#"{{"id_token":{{"a":{{"value":{}1{}}}}}}}"#, "[".repeat(6), "]".repeat(6));
        for bad in [
            "",
            "x",
            "[]",
            "null",
            r#""userinfo""#,
            r#"{"userinfo":[]}"#,
            r#"{"userinfo":true}"#,
            r#"{"userinfo":{"email":true}}"#,
            r#"{"userinfo":{"email":["essential"]}}"#,
            r#"{"userinfo":{"email":{"essential":"yes"}}}"#,
            r#"{"userinfo":{"email":{"values":"x"}}}"#,
            r#"{"userinfo":{"email":{"values":[]}}}"#,
            r#"{"userinfo":{"email":{"value":"x","values":["x"]}}}"#,
            r#"{"userinfo":{},"userinfo":{"email":null}}"#,
            r#"{"userinfo":{"email":null,"email":null}}"#,
            r#"{"id_token":{"sub":{"value":7}}}"#,
            r#"{"id_token":{"acr":{"essential":true,"values":[7]}}}"#,
            &format!(r#"{{"userinfo":{{{many}}}}}"#),
            &deep,
            &format!(r#"{{"x":"{}"}}"#, "x".repeat(LONGEST)),
        ] {
            assert_eq!(ClaimsRequest::parse(bad), Err(InvalidClaims), "{bad}");
        }
    }
}

//! Who acts for whom: the actors that a token names ([RFC 8693 §4](https://www.rfc-editor.org/rfc/rfc8693#section-4)).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::domain::issuer::Issuer;

/// The most actors that a token names, one behind the other.
const MOST_ACTORS: usize = 5;

/// Who acts, and for whom that one acts in turn ([RFC 8693 §4.1]).
///
/// [RFC 8693 §4.1]: https://www.rfc-editor.org/rfc/rfc8693#section-4.1
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Delegate {
    /// The subject of a user, or the id of a client.
    pub sub: String,
    /// Who acted before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Box<Self>>,
}

impl Delegate {
    /// The same token in the hands of one more; `None` when it went through too many.
    pub fn behind(sub: String, before: Option<Self>) -> Option<Self> {
        let next = Self { sub, act: before.map(Box::new) };
        (next.depth() <= MOST_ACTORS).then_some(next)
    }

    fn depth(&self) -> usize {
        1 + self.act.as_ref().map_or(0, |before| before.depth())
    }
}

/// Whether a `may_act` claim lets somebody act ([RFC 8693 §4.4]). What it says that is not understood lets nobody.
///
/// [RFC 8693 §4.4]: https://www.rfc-editor.org/rfc/rfc8693#section-4.4
pub fn may_act(claim: &Value, actor: &str, issuer: &Issuer) -> bool {
    let Some(members) = claim.as_object() else { return false };
    members.contains_key("sub")
        && members.iter().all(|(name, value)| match name.as_str() {
            "iss" => value.as_str() == Some(issuer.as_str()),
            "sub" => value.as_str() == Some(actor),
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_one_who_acts_now_stands_before_those_who_acted() {
        let first = Delegate::behind("orders".to_owned(), None);
        let second = Delegate::behind("stock".to_owned(), first).unwrap();
        assert_eq!(json!(second), json!({ "sub": "stock", "act": { "sub": "orders" } }));
        assert_eq!(serde_json::from_value::<Delegate>(json!(second)).unwrap(), second);
    }

    #[test]
    fn a_chain_has_an_end() {
        let chain = |length: usize| {
            (0..length).try_fold(None, |before, n| Delegate::behind(n.to_string(), before).map(Some))
        };
        assert!(chain(MOST_ACTORS).is_some());
        assert!(chain(MOST_ACTORS + 1).is_none());
    }

    #[test]
    fn may_act_names_one_and_what_else_it_says_lets_nobody() {
        let issuer = Issuer::parse("https://id.example.com").unwrap();
        let lets = |claim: Value| may_act(&claim, "cli_a", &issuer);
        assert!(lets(json!({ "sub": "cli_a" })));
        assert!(lets(json!({ "sub": "cli_a", "iss": "https://id.example.com" })));
        for claim in [
            json!({ "sub": "cli_b" }),
            json!({ "sub": "cli_a", "iss": "https://other.example" }),
            json!({ "iss": "https://id.example.com" }),
            json!({ "sub": "cli_a", "aud": "x" }),
            json!({ "sub": ["cli_a"] }),
            json!({}),
            json!("cli_a"),
            json!(null),
        ] {
            assert!(!lets(claim.clone()), "{claim}");
        }
    }
}

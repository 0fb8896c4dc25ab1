//! What clients ask for in detail ([RFC 9396](https://www.rfc-editor.org/rfc/rfc9396)): whether they may, where it counts, and how
//! people are told.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::client::Client;
use crate::domain::details::fault::DetailsFault;
use crate::domain::details::kind::{DetailsType, DetailsTypes};
use crate::domain::details::{Detail, Details};
use crate::domain::ids::ApiId;
use crate::domain::parameters::{Parameters, ParametersError};
use crate::domain::reach::ApiSet;
use crate::storage::{Store, StoreError};

/// The parameter.
pub(crate) const PARAMETER: &str = "authorization_details";

/// Why details are not granted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DetailsError {
    #[error(transparent)]
    Fault(#[from] StoreError),
    #[error(transparent)]
    Parameters(#[from] ParametersError),
    #[error(transparent)]
    Refused(#[from] DetailsFault),
}

/// The types that there are, for whoever says what this server can do.
#[derive(Clone)]
pub(crate) struct DetailsCatalogue(Store);

impl DetailsCatalogue {
    pub(crate) const fn new(store: Store) -> Self {
        Self(store)
    }

    /// Every type, from memory.
    pub(crate) async fn types(&self) -> Result<Arc<DetailsTypes>, StoreError> {
        self.0.details_types().await
    }
}

/// Reads what a request asks for in detail; `None` where it does not ask.
pub(crate) fn asked(parameters: &Parameters) -> Result<Option<Details>, DetailsError> {
    let Some(raw) = parameters.get(PARAMETER)? else { return Ok(None) };
    Details::parse(raw).map(Some).map_err(|_| DetailsFault::Malformed.into())
}

/// Makes sure that a client may ask for these details, and gives the APIs that they are for.
///
/// RFC 9396 §3.2: a `resource` beside them says nothing about them. Each type is one of an API, and that is where its details count.
pub(crate) async fn places(
    store: &Store,
    client: &Client,
    details: &Details,
) -> Result<ApiSet, DetailsError> {
    let mut apis = ApiSet::default();
    if details.is_empty() {
        return Ok(apis);
    }
    let types = store.details_types().await?;
    for detail in details.iter() {
        let kind = types.of(detail).filter(|kind| client.may_detail(&kind.name, &kind.api));
        let kind = kind.ok_or(DetailsFault::Type)?;
        if !kind.schema.allows(detail) {
            return Err(DetailsFault::Conformity.into());
        }
        let api = store.api(&kind.api).await?.ok_or(DetailsFault::Type)?;
        let audience = api.audience.as_str();
        if detail.locations().is_some_and(|mut places| !places.all(|place| is_at(place, audience))) {
            return Err(DetailsFault::Elsewhere.into());
        }
        apis.add(kind.api.clone());
    }
    Ok(apis)
}

/// Of details that were granted those that a token for an API carries: what the client may still ask for, and the type still allows.
pub(crate) fn at(types: &DetailsTypes, client: &Client, api: Option<&ApiId>, details: &Details) -> Details {
    let still =
        |detail: &Detail| types.of(detail).is_some_and(|kind| client.may_detail(&kind.name, &kind.api));
    types.at(api, &details.only(still))
}

/// Whether a location is the API of this audience, or below it (RFC 9396 §2.2).
fn is_at(place: &str, audience: &str) -> bool {
    let below = place.strip_prefix(audience.trim_end_matches('/'));
    place == audience || below.is_some_and(|rest| rest.starts_with('/'))
}

/// One detail as people read it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct DetailView {
    /// What it is.
    pub(crate) title: String,
    /// All that it says, by what each is called.
    pub(crate) members: Vec<(String, Vec<String>)>,
    /// Whether it was not allowed before.
    pub(crate) is_new: bool,
}

/// A detail in the words of its type. What the type has no words for is shown by its name: nobody allows what they do not see.
pub(crate) fn view(kind: &DetailsType, detail: &Detail, before: Option<&Details>) -> DetailView {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for (name, value) in detail.members().iter().filter(|(name, _)| *name != "type") {
        collect(&format!("/{}", escaped(name)), value, &mut found);
    }
    // First what the type has words for, in its order.
    let place = |path: &str| kind.labels.iter().position(|known| known.member == path);
    found.sort_by_key(|(path, _)| place(path).unwrap_or(usize::MAX));
    let label = |path: &str| match kind.labels.iter().find(|known| known.member == path) {
        Some(known) => known.label.clone(),
        None => path.trim_start_matches('/').split('/').map(unescaped).collect::<Vec<_>>().join(" \u{203a} "),
    };
    let alone: Details = [detail.clone()].into_iter().collect();
    DetailView {
        title: kind.title.clone(),
        members: found.into_iter().map(|(path, values)| (plain(&label(&path)), values)).collect(),
        is_new: !before.is_some_and(|before| before.cover(&alone)),
    }
}

/// Every value below a path; the entries of a list share the path of the list.
fn collect(path: &str, value: &Value, found: &mut Vec<(String, Vec<String>)>) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            for (name, value) in members {
                collect(&format!("{path}/{}", escaped(name)), value, found);
            }
        }
        Value::Array(entries) if !entries.is_empty() => {
            for entry in entries {
                collect(path, entry, found);
            }
        }
        value => {
            let text = value.as_str().map_or_else(|| value.to_string(), plain);
            match found.iter_mut().find(|(known, _)| known == path) {
                Some((_, values)) => values.push(text),
                None => found.push((path.to_owned(), vec![text])),
            }
        }
    }
}

/// As JSON pointers have names (RFC 6901 §3).
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn unescaped(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

/// Without what changes how the text around it looks.
fn plain(text: &str) -> String {
    let odd = |symbol: char| symbol.is_control() || crate::services::fields::is_bidi_control(symbol);
    text.chars().map(|symbol| if odd(symbol) { char::REPLACEMENT_CHARACTER } else { symbol }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::details::kind::{DetailsConsent, DetailsTypeName, MemberLabel};
    use crate::domain::details::schema::DetailsSchema;
    use crate::domain::secret::Entropy;

    fn kind(labels: &[(&str, &str)]) -> DetailsType {
        let schema =
            json!({ "type": "object", "additionalProperties": false, "properties": { "a": {}, "b": {} } });
        let label = |(member, label): &(&str, &str)| MemberLabel {
            member: (*member).to_owned(),
            label: (*label).to_owned(),
        };
        DetailsType {
            name: DetailsTypeName::parse("payment").unwrap(),
            api: ApiId::generate(Timestamp::from_secs(1), &Entropy::seeded(1)),
            title: "Make a payment".to_owned(),
            schema: DetailsSchema::parse("payment", schema).unwrap(),
            labels: labels.iter().map(label).collect(),
            consent: DetailsConsent::EachTime,
        }
    }

    fn detail(value: &Value) -> Details {
        Details::parse(&json!([value]).to_string()).unwrap()
    }

    fn members(kind: &DetailsType, value: &Value) -> Vec<(String, Vec<String>)> {
        detail(value).iter().flat_map(|detail| view(kind, detail, None).members).collect()
    }

    #[test]
    fn a_location_is_the_api_or_below_it() {
        for good in ["https://pay.test", "https://pay.test/", "https://pay.test/v1"] {
            assert!(is_at(good, "https://pay.test"), "{good}");
        }
        for bad in [
            "",
            "https://pay.test.evil.test",
            "https://pay.testing",
            "https://other.test",
            "https://pay.test:8443",
        ] {
            assert!(!is_at(bad, "https://pay.test"), "{bad}");
        }
        assert!(
            is_at("https://pay.test/a/b", "https://pay.test/a/")
                && !is_at("https://pay.test/ab", "https://pay.test/a")
        );
        assert!(
            is_at("urn:example:pay", "urn:example:pay") && !is_at("urn:example:payroll", "urn:example:pay")
        );
    }

    #[test]
    fn everything_that_a_detail_says_is_shown_in_words_or_by_its_name() {
        let kind = kind(&[("/amount/value", "Amount"), ("/to", "To")]);
        let said = json!({ "type": "payment", "actions": ["read", "write"], "amount": { "value": 1.5, "unit": "EUR" },
            "to": "Shop", "x/y": { "~": true }, "none": [], "parts": [{ "p": 1 }, { "p": 2 }] });
        let expected = [
            ("Amount", vec!["1.5"]),
            ("To", vec!["Shop"]),
            ("actions", vec!["read", "write"]),
            ("amount \u{203a} unit", vec!["EUR"]),
            ("none", vec!["[]"]),
            ("parts \u{203a} p", vec!["1", "2"]),
            ("x/y \u{203a} ~", vec!["true"]),
        ];
        let expected: Vec<(String, Vec<String>)> = expected
            .iter()
            .map(|(name, values)| ((*name).to_owned(), values.iter().map(ToString::to_string).collect()))
            .collect();
        assert_eq!(members(&kind, &said), expected);
    }

    #[test]
    fn nothing_in_a_detail_changes_how_the_rest_looks() {
        let shown = members(&kind(&[]), &json!({ "type": "payment", "a\u{202e}": "1\n2\u{202e}3" }));
        assert_eq!(shown, [("a\u{fffd}".to_owned(), vec!["1\u{fffd}2\u{fffd}3".to_owned()])]);
    }

    #[test]
    fn what_was_allowed_before_is_not_new() {
        let kind = kind(&[]);
        let (more, less) = (
            detail(&json!({ "type": "payment", "actions": ["a", "b"] })),
            detail(&json!({ "type": "payment", "actions": ["a"] })),
        );
        let is_new = |asked: &Details, before: Option<&Details>| {
            asked.iter().any(|detail| view(&kind, detail, before).is_new)
        };
        assert!(is_new(&less, None) && is_new(&more, Some(&less)) && !is_new(&less, Some(&more)));
    }
}

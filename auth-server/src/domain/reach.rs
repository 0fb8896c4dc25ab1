//! How far a grant reaches: the APIs that its tokens may be for, and what is allowed there in detail.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::domain::claims::PERSONAL;
use crate::domain::details::Details;
use crate::domain::ids::{ApiId, InvalidId};
use crate::domain::rbac::Api;
use crate::domain::scope::ScopeSet;

/// How far a request, a code or a grant reaches.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "KeptReach", into = "KeptReach")]
pub struct Reach {
    /// The APIs that access tokens are for (RFC 8707).
    pub apis: ApiSet,
    /// What is allowed there in detail (RFC 9396).
    pub details: Details,
}

/// As it is kept. A replica that knows nothing of details would show people less than they allow: beside details the APIs are a list,
/// which it cannot read.
#[derive(Deserialize, Serialize)]
struct KeptReach {
    #[serde(default)]
    resource: Kept,
    #[serde(default, skip_serializing_if = "Details::is_empty")]
    authorization_details: Details,
}

impl From<KeptReach> for Reach {
    fn from(kept: KeptReach) -> Self {
        Self { apis: kept.resource.into(), details: kept.authorization_details }
    }
}

impl From<Reach> for KeptReach {
    fn from(Reach { apis, details }: Reach) -> Self {
        let resource = if details.is_empty() { apis.into() } else { Kept::Several(apis.0) };
        Self { resource, authorization_details: details }
    }
}

impl From<Option<ApiId>> for Reach {
    fn from(api: Option<ApiId>) -> Self {
        Self { apis: api.into_iter().collect(), details: Details::default() }
    }
}

/// APIs, each once, in the order in which they were asked for.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct ApiSet(Vec<ApiId>);

/// As it is kept: one by itself, as when there could not be several.
#[derive(Deserialize, Serialize)]
#[serde(untagged)]
enum Kept {
    One(Option<ApiId>),
    Several(Vec<ApiId>),
}

impl Default for Kept {
    fn default() -> Self {
        Self::One(None)
    }
}

impl ApiSet {
    /// Adds an API, unless it is there.
    pub fn add(&mut self, api: ApiId) {
        if !self.contains(&api) {
            self.0.push(api);
        }
    }

    /// Whether an API is among them.
    pub fn contains(&self, api: &ApiId) -> bool {
        self.0.contains(api)
    }

    /// The APIs.
    pub fn iter(&self) -> impl Iterator<Item = &ApiId> {
        self.0.iter()
    }

    /// How many there are.
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The API, where there is exactly one.
    pub fn only(&self) -> Option<&ApiId> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }
}

impl FromIterator<ApiId> for ApiSet {
    fn from_iter<I: IntoIterator<Item = ApiId>>(apis: I) -> Self {
        let mut set = Self::default();
        apis.into_iter().for_each(|api| set.add(api));
        set
    }
}

impl fmt::Display for ApiSet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().enumerate().try_for_each(|(position, api)| {
            let gap = if position == 0 { "" } else { " " };
            write!(out, "{gap}{api}")
        })
    }
}

impl FromStr for ApiSet {
    type Err = InvalidId;

    fn from_str(raw: &str) -> Result<Self, InvalidId> {
        raw.split(' ').filter(|id| !id.is_empty()).map(ApiId::parse).collect()
    }
}

impl From<Kept> for ApiSet {
    fn from(kept: Kept) -> Self {
        match kept {
            Kept::One(api) => api.into_iter().collect(),
            Kept::Several(apis) => apis.into_iter().collect(),
        }
    }
}

impl From<ApiSet> for Kept {
    fn from(ApiSet(mut apis): ApiSet) -> Self {
        if apis.len() > 1 { Self::Several(apis) } else { Self::One(apis.pop()) }
    }
}

/// Of the scopes of a grant, those that a token for one place says: what concerns the sign-in, what the place has, and what belongs
/// to none of the `others` that the grant reaches. An API that names no scopes takes whatever is left.
pub fn scopes_at(granted: &ScopeSet, place: Option<&Api>, others: &[&Api]) -> ScopeSet {
    granted.only(|scope| {
        PERSONAL.contains(&scope)
            || match place {
                Some(api) if !api.scopes.is_empty() => api.scopes.contains(scope),
                Some(_) | None => !others.iter().any(|other| other.scopes.contains(scope)),
            }
    })
}

/// Of the scopes that were granted for one place, those that its access token says ([RFC 9068 §2.2.3]), and each means something there:
/// an API is told nothing of the sign-in, and this server nothing else. What was granted is in the answer of the token endpoint all
/// the same.
///
/// [RFC 9068 §2.2.3]: https://www.rfc-editor.org/rfc/rfc9068#section-2.2.3
pub fn scopes_told(granted: &ScopeSet, place: Option<&Api>) -> ScopeSet {
    granted.only(|scope| place.is_none() == PERSONAL.contains(&scope))
}

/// Of the scopes of a request, those that one of the APIs has which are asked for. Without an API nothing is left out: such a
/// token is for this server.
pub fn scopes_of_any(asked: &ScopeSet, apis: &[&Api]) -> ScopeSet {
    let takes_all = apis.is_empty() || apis.iter().any(|api| api.scopes.is_empty());
    asked.only(|scope| {
        takes_all || PERSONAL.contains(&scope) || apis.iter().any(|api| api.scopes.contains(scope))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    fn at(granted: &str, place: Option<&Api>, others: &[&Api]) -> String {
        scopes_at(&set(granted), place, others).to_string()
    }

    #[test]
    fn a_token_says_what_its_place_has_and_what_concerns_the_sign_in() {
        let (orders, stock, open) =
            (Api::sample(1, "read orders"), Api::sample(2, "read stock"), Api::sample(3, ""));
        let all = "openid email read orders stock other";
        assert_eq!(at(all, Some(&orders), &[&stock]), "email openid orders read");
        assert_eq!(at(all, Some(&stock), &[&orders, &open]), "email openid read stock");
        assert_eq!(at(all, Some(&open), &[&orders, &stock]), "email openid other", "what belongs to nobody");
        assert_eq!(at(all, Some(&open), &[]), "email openid orders other read stock");
        assert_eq!(at(all, None, &[&orders, &stock]), "email openid other");
        assert_eq!(at("orders", Some(&stock), &[&orders]), "");
    }

    #[test]
    fn an_api_is_told_nothing_of_the_sign_in_and_this_server_nothing_else() {
        let (orders, open) = (Api::sample(1, "read"), Api::sample(3, ""));
        let granted = set("address email offline_access openid phone profile read");
        for api in [&orders, &open] {
            assert_eq!(scopes_told(&granted, Some(api)).to_string(), "read");
        }
        assert_eq!(scopes_told(&granted, None), set("address email offline_access openid phone profile"));
        assert!(scopes_told(&set("openid"), Some(&open)).is_empty());
    }

    #[test]
    fn a_scope_that_no_api_has_is_not_asked_for() {
        let (orders, open) = (Api::sample(1, "read"), Api::sample(3, ""));
        let asked = set("openid read write");
        assert_eq!(scopes_of_any(&asked, &[&orders]).to_string(), "openid read");
        assert_eq!(scopes_of_any(&asked, &[&orders, &open]), asked);
        assert_eq!(scopes_of_any(&asked, &[]), asked);
    }

    #[test]
    fn one_api_is_kept_as_it_was_before_there_could_be_several() {
        let (one, other) = (Api::sample(1, "").id, Api::sample(2, "").id);
        let reach = Reach::from(Some(one.clone()));
        assert_eq!(json!(reach), json!({ "resource": one }));
        assert_eq!(json!(Reach::default()), json!({ "resource": null }));
        let several: ApiSet = [one.clone(), other.clone(), one.clone()].into_iter().collect();
        assert_eq!(json!(several), json!([one, other]));
        for set in [several, ApiSet::default(), reach.apis] {
            assert_eq!(serde_json::from_value::<ApiSet>(json!(set)).unwrap(), set);
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert_eq!(serde_json::from_value::<Reach>(json!({})).unwrap(), Reach::default());
    }

    #[test]
    fn beside_details_the_apis_are_a_list_which_older_programs_cannot_take_for_less() {
        let api = Api::sample(1, "").id;
        let plain = Reach::from(Some(api.clone()));
        assert_eq!(serde_json::to_value(&plain).unwrap(), json!({ "resource": api.as_str() }));
        let details = Details::parse(&json!([{ "type": "payment" }]).to_string()).unwrap();
        let detailed = Reach { details, ..plain.clone() };
        let kept = serde_json::to_value(&detailed).unwrap();
        assert_eq!(kept["resource"], json!([api.as_str()]));
        for reach in [Reach::default(), plain, detailed] {
            let kept = serde_json::to_value(&reach).unwrap();
            assert_eq!(serde_json::from_value::<Reach>(kept).unwrap(), reach);
        }
        let old = json!({ "authorization_details": [] });
        assert_eq!(serde_json::from_value::<Reach>(old).unwrap(), Reach::default());
    }
}

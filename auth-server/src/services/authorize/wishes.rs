//! What a request wants of the person, and says about them ([OpenID Connect Core §3.1.2.1, §5.5]).
//!
//! What is a wish and no order is not read at all, and so never an error: `claims_locales`, `display` and `ui_locales`. There is one
//! language, on pages that fit every display. `acr_values` is a wish about an ID token and an order about a token for an API
//! ([RFC 9470 §5]).
//!
//! [RFC 9470 §5]: https://www.rfc-editor.org/rfc/rfc9470#section-5
//! [OpenID Connect Core §3.1.2.1, §5.5]: https://openid.net/specs/openid-connect-core-1_0.html#AuthRequest

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::claims::OPENID;
use crate::domain::claims_request::ClaimsRequest;
use crate::domain::client::Client;
use crate::domain::parameters::Parameters;
use crate::domain::scope::ScopeSet;
use crate::domain::session::Acr;
use crate::domain::user::Sub;
use crate::services::authorize::refusal::RequestError;

/// The longest login hint that is shown; a hint is dropped rather than refused.
const LONGEST_HINT: usize = 256;

/// The values of `display` that are honoured, as metadata have them: whatever is asked for, it is the one view of pages that there is,
/// which fits a window that pops up, fingers, and a small telephone without scripts.
pub(crate) const DISPLAYS: [&str; 4] = ["page", "popup", "touch", "wap"];

/// What a request wants of the person, and says about them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Wishes {
    pub(crate) max_age_secs: Option<u32>,
    pub(crate) login_hint: Option<String>,
    /// Whom the client expects: the subject of its `id_token_hint`.
    pub(crate) expected: Option<Sub>,
    #[serde(default)]
    pub(crate) claims: ClaimsRequest,
    /// Those of `acr_values` that sign-ins here have. Where it is empty, none of them is.
    #[serde(default)]
    pub(crate) acr_values: Option<BTreeSet<Acr>>,
}

impl Wishes {
    pub(super) fn read(
        parameters: &Parameters,
        scopes: &ScopeSet,
        client: &Client,
    ) -> Result<Self, RequestError> {
        let hint = parameters.get("login_hint")?.filter(|hint| hint.chars().count() <= LONGEST_HINT);
        Ok(Self {
            max_age_secs: max_age(parameters.get("max_age")?)?.or(client.default_max_age_secs()),
            login_hint: hint.map(str::to_owned),
            expected: None,
            claims: claims(parameters.get("claims")?, scopes, client)?,
            acr_values: parameters.get("acr_values")?.map(acr_values),
        })
    }

    /// Whether this is none of those whom the client insists on.
    pub(super) fn exclude(&self, subject: &Sub) -> bool {
        self.expected.as_ref().is_some_and(|expected| expected != subject)
            || self.claims.subjects.as_ref().is_some_and(|subjects| !subjects.contains(subject.as_str()))
    }

    /// Whether a proof of this strength is none of those that the client insists on, for an API or not.
    pub(super) fn forbid(&self, acr: Acr, for_an_api: bool) -> bool {
        let wanted = self.acr_values.as_ref().filter(|_| for_an_api);
        self.claims.acr.iter().chain(wanted).any(|values| !values.contains(&acr))
    }
}

fn acr_values(raw: &str) -> BTreeSet<Acr> {
    raw.split(' ').filter_map(|value| value.parse().ok()).collect()
}

/// Keeps the claims that the client may have: those of the scopes that it may ask for, whether it does now or not.
fn claims(raw: Option<&str>, scopes: &ScopeSet, client: &Client) -> Result<ClaimsRequest, RequestError> {
    let Some(raw) = raw else { return Ok(ClaimsRequest::default()) };
    let asked = ClaimsRequest::parse(raw).map_err(|_| RequestError::Claims)?;
    // Without an ID token and userinfo there is no place for any.
    if !scopes.contains(OPENID) {
        return Ok(ClaimsRequest::default());
    }
    Ok(ClaimsRequest { single: asked.single.within(&client.scopes), ..asked })
}

pub(crate) fn max_age(raw: Option<&str>) -> Result<Option<u32>, RequestError> {
    let number = |raw: &str| {
        let digits = raw.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| raw.parse().unwrap_or(u32::MAX)).ok_or(RequestError::MaxAge)
    };
    raw.map(number).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Wishes, RequestError> {
        let client = Client { scopes: ScopeSet::parse("openid email").unwrap(), ..Client::sample() };
        Wishes::read(&Parameters::parse(query.as_bytes()).unwrap(), &client.scopes, &client)
    }

    #[test]
    fn a_claim_is_kept_only_if_the_client_may_ask_for_its_scope() {
        let wishes =
            read("claims={\"userinfo\":{\"email\":null,\"nickname\":{\"essential\":true}}}").unwrap();
        assert_eq!(wishes.claims.single.userinfo.to_string(), "email");
        assert_eq!(read("claims=").unwrap(), Wishes::default());
    }

    #[test]
    fn claims_of_a_request_without_an_id_token_are_read_and_left() {
        let client = Client { scopes: ScopeSet::parse("openid email").unwrap(), ..Client::sample() };
        let parameters = |claims: &str| Parameters::parse(format!("claims={claims}").as_bytes()).unwrap();
        let email = ScopeSet::parse("email").unwrap();
        let read = |claims| Wishes::read(&parameters(claims), &email, &client);
        assert_eq!(read("{\"userinfo\":{\"email\":null}}"), Ok(Wishes::default()));
        assert_eq!(read("nonsense"), Err(RequestError::Claims));
    }

    #[test]
    fn a_proof_that_nobody_can_give_is_forbidden_to_all() {
        let essential = |values: &str| {
            read(&format!("claims={{\"id_token\":{{\"acr\":{{\"essential\":true,\"values\":[{values}]}}}}}}"))
        };
        let gold = essential("\"urn:example:gold\"").unwrap();
        assert!(Acr::ALL.into_iter().all(|acr| gold.forbid(acr, false)), "so the request is refused at once");
        assert!(
            !essential("\"urn:example:gold\",\"urn:portcullis:acr:1fa\"")
                .unwrap()
                .forbid(Acr::OneFactor, false)
        );
    }

    #[test]
    fn classes_are_an_order_for_an_api_alone_and_those_of_claims_always() {
        let wishes = read("acr_values=urn:example:gold%20urn:portcullis:acr:2fa").unwrap();
        assert!(wishes.forbid(Acr::OneFactor, true) && !wishes.forbid(Acr::OneFactor, false));
        assert!(!wishes.forbid(Acr::TwoFactors, true));
        let unknown = read("acr_values=urn:example:gold").unwrap();
        assert!(Acr::ALL.into_iter().all(|acr| unknown.forbid(acr, true) && !unknown.forbid(acr, false)));
        let none = read("acr_values=").unwrap();
        assert_eq!(none, Wishes::default(), "a parameter without a value is none (RFC 6749 §3.1)");
        let both = read(
            "acr_values=urn:portcullis:acr:1fa&claims={\"id_token\":{\"acr\":{\"essential\":true,\"value\":\"urn:portcullis:acr:2fa\"}}}",
        );
        assert!(both.is_ok_and(|it| it.forbid(Acr::OneFactor, true) && it.forbid(Acr::TwoFactors, true)));
    }

    #[test]
    fn max_age_is_a_number_of_seconds() {
        assert_eq!(read("max_age=0").unwrap().max_age_secs, Some(0));
        assert_eq!(read("max_age=99999999999").unwrap().max_age_secs, Some(u32::MAX));
        for bad in ["-1", "%2B1", "1.5", "soon"] {
            assert_eq!(read(&format!("max_age={bad}")), Err(RequestError::MaxAge), "{bad}");
        }
    }

    #[test]
    fn a_client_says_once_what_its_requests_do_not_say() {
        let mut client = Client { scopes: ScopeSet::parse("openid").unwrap(), ..Client::sample() };
        client.settings.protocol.openid.default_max_age_secs = Some(60);
        for (query, expected) in [("", 60), ("max_age=0", 0), ("max_age=7200", 7200)] {
            let parameters = Parameters::parse(query.as_bytes()).unwrap();
            let wishes = Wishes::read(&parameters, &client.scopes, &client).unwrap();
            assert_eq!(wishes.max_age_secs, Some(expected), "{query}");
        }
    }

    #[test]
    fn a_hint_that_is_too_long_is_dropped() {
        assert_eq!(read("login_hint=ada").unwrap().login_hint.as_deref(), Some("ada"));
        assert_eq!(read(&format!("login_hint={}", "x".repeat(300))).unwrap().login_hint, None);
    }
}

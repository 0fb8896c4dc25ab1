//! What is said about an API, field by field.

use std::time::Duration;

use crate::domain::claims::PERSONAL;
use crate::domain::scope::ScopeSet;
use crate::services::fields::FieldErrors;

/// How long access tokens live unless somebody says otherwise.
pub(super) const DEFAULT_TTL_SECS: u64 = 300;

/// Less than this and tokens expire on their way; more and a role that was taken away lives on for a day.
const TTL_SECS: std::ops::RangeInclusive<u64> = 30..=86_400;

/// How long access tokens of an API live.
pub(super) fn take_ttl(errors: &mut FieldErrors, secs: u64) -> Option<Duration> {
    if TTL_SECS.contains(&secs) {
        return Some(Duration::from_secs(secs));
    }
    let (least, most) = (TTL_SECS.start(), TTL_SECS.end());
    errors.refuse("/access_token_ttl_secs", "out-of-range", format!("has to be {least} to {most} seconds"));
    None
}

/// The scopes of an API. Those of the sign-in belong to this server.
pub(super) fn take_scopes(errors: &mut FieldErrors, raw: &str) -> Option<ScopeSet> {
    let scopes = errors.take("/scopes", ScopeSet::parse(raw))?;
    if scopes.iter().any(|scope| PERSONAL.contains(&scope)) {
        let message = "the scopes of OpenID Connect belong to this server, and to no API";
        errors.refuse("/scopes", "reserved", message);
        return None;
    }
    Some(scopes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_neither_too_short_nor_too_long() {
        for (secs, accepted) in [(29, false), (30, true), (86_400, true), (86_401, false)] {
            let mut errors = FieldErrors::default();
            assert_eq!(take_ttl(&mut errors, secs).is_some(), accepted, "{secs}");
            assert_eq!(errors.is_empty(), accepted, "{secs}");
        }
    }

    #[test]
    fn the_scopes_of_an_api_are_its_own() {
        let take = |raw: &str| {
            let mut errors = FieldErrors::default();
            take_scopes(&mut errors, raw).map(|scopes| scopes.to_string())
        };
        assert_eq!(take(""), Some(String::new()));
        assert_eq!(take("write read"), Some("read write".to_owned()));
        for bad in ["read openid", "offline_access", "a  b"] {
            assert_eq!(take(bad), None, "{bad}");
        }
    }
}

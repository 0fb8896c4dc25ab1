//! Which clients can be spared something, and which are held to it whatever an administrator says ([RFC 9700 §2.1.1]).
//!
//! [RFC 9700 §2.1.1]: https://www.rfc-editor.org/rfc/rfc9700#section-2.1.1

use std::fmt;

use crate::domain::client::{Client, GrantType};
use crate::domain::client_authentication::AuthMethod;
use crate::domain::client_concessions::AssertionAudience;
use crate::domain::redirect_uri::RedirectUri;
use crate::domain::security_profile::SecurityProfile;

/// Why a client cannot do without PKCE.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PkceNeed {
    /// Other programs on the same device can get its codes (RFC 8252 §8.1).
    Device,
    /// It sends no authorization requests.
    NoRequests,
    /// What it is held to as a whole demands it.
    Profile(SecurityProfile),
    /// Whoever has its code has its tokens (RFC 9700 §2.1.1).
    Public,
}

impl PkceNeed {
    /// Of a client like this; nothing where it can do without.
    pub fn of(
        method: AuthMethod,
        profile: SecurityProfile,
        grants: &[GrantType],
        redirects: &[RedirectUri],
    ) -> Option<Self> {
        if !grants.contains(&GrantType::AuthorizationCode) {
            return Some(Self::NoRequests);
        }
        if method == AuthMethod::None {
            return Some(Self::Public);
        }
        if profile.demands_pkce() {
            return Some(Self::Profile(profile));
        }
        let all_on_the_web = redirects.iter().all(|redirect| redirect.as_str().starts_with("https://"));
        (!all_on_the_web).then_some(Self::Device)
    }
}

impl fmt::Display for PkceNeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device => {
                f.write_str("a client whose answers do not go to https addresses alone needs PKCE")
            }
            Self::NoRequests => {
                f.write_str("a client that sends no browsers sends no authorization requests")
            }
            Self::Profile(profile) => write!(f, "the profile {profile} demands PKCE"),
            Self::Public => f.write_str("a client that does not prove who it is needs PKCE"),
        }
    }
}

const REQUIRE_PUSHED: (&str, &str) = ("require_pushed_requests", "true");
const REQUIRE_PKCE: (&str, &str) = ("require_pkce", "true");
const FOR_THE_ISSUER: (&str, &str) = ("assertion_audience", "issuer");
const BOUND: (&str, &str) = ("dpop_bound_access_tokens", "true, or bound to the certificate that it shows");

impl Client {
    /// Why it cannot do without PKCE; nothing where it can.
    pub fn pkce_need(&self) -> Option<PkceNeed> {
        PkceNeed::of(self.authentication.method, self.settings.profile, &self.grants, &self.redirects)
    }

    /// Whether its authorization requests have to bring a challenge. What it is now counts as well as what was said of it.
    pub fn must_use_pkce(&self) -> bool {
        self.settings.concessions.pkce.is_required() || self.pkce_need().is_some()
    }

    /// Its settings in whose place something stricter holds, by its profile or by what it is, each with what holds.
    pub fn overridden(&self) -> Vec<(&'static str, &'static str)> {
        let (settings, protocol) = (&self.settings, &self.settings.protocol);
        let (concessions, constraint) = (&settings.concessions, &protocol.sender_constraint);
        let is_bound =
            constraint.dpop_bound_access_tokens || constraint.tls_client_certificate_bound_access_tokens;
        let sends_people = self.grants.contains(&GrantType::AuthorizationCode);
        let all = [
            (sends_people && self.must_push() && !protocol.pushed_requests.are_required(), REQUIRE_PUSHED),
            (sends_people && self.must_use_pkce() && !concessions.pkce.is_required(), REQUIRE_PKCE),
            (self.assertion_audience() != concessions.assertion_audience, FOR_THE_ISSUER),
            (settings.profile.demands_bound_tokens() && !is_bound, BOUND),
        ];
        all.into_iter().filter_map(|(is_overridden, holds)| is_overridden.then_some(holds)).collect()
    }

    /// Whom its assertions may be for.
    pub const fn assertion_audience(&self) -> AssertionAudience {
        if self.settings.profile.demands_issuer_audience() {
            AssertionAudience::Issuer
        } else {
            self.settings.concessions.assertion_audience
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client_concessions::{Concessions, Pkce};

    fn spared() -> Client {
        let mut client = Client::sample();
        client.authentication.method = AuthMethod::ClientSecret;
        client.grants = vec![GrantType::AuthorizationCode];
        client.redirects = vec![RedirectUri::parse("https://shop.example/cb").unwrap()];
        client.settings.concessions =
            Concessions { pkce: Pkce::Optional, assertion_audience: AssertionAudience::Endpoint };
        client
    }

    #[test]
    fn a_client_that_needs_pkce_is_held_to_it_whatever_is_said() {
        assert!(!spared().must_use_pkce());
        let held = |change: fn(&mut Client)| {
            let mut client = spared();
            change(&mut client);
            assert_eq!(client.must_use_pkce(), client.pkce_need().is_some());
            client.pkce_need()
        };
        assert_eq!(held(|client| client.authentication.method = AuthMethod::None), Some(PkceNeed::Public));
        assert_eq!(held(|client| client.grants.clear()), Some(PkceNeed::NoRequests));
        for uri in ["http://127.0.0.1/cb", "http://[::1]/cb", "com.example.shop:/cb"] {
            let mut client = spared();
            client.redirects.push(RedirectUri::parse(uri).unwrap());
            assert_eq!(client.pkce_need(), Some(PkceNeed::Device), "{uri}");
        }
        for profile in [SecurityProfile::Fapi2, SecurityProfile::Oauth21] {
            let mut client = spared();
            client.settings.profile = profile;
            assert_eq!(client.pkce_need(), Some(PkceNeed::Profile(profile)));
        }
        let mut usual = spared();
        usual.settings.concessions = Concessions::default();
        assert!(usual.must_use_pkce() && usual.pkce_need().is_none());
    }

    #[test]
    fn what_is_set_and_does_not_hold_is_named_with_what_does() {
        let mut client = spared();
        assert_eq!(client.overridden(), []);
        client.settings.profile = SecurityProfile::Fapi2;
        assert_eq!(client.overridden(), [REQUIRE_PUSHED, REQUIRE_PKCE, FOR_THE_ISSUER, BOUND]);
        client.settings.concessions = Concessions::default();
        client.settings.protocol.sender_constraint.tls_client_certificate_bound_access_tokens = true;
        assert_eq!(client.overridden(), [REQUIRE_PUSHED]);
        client.settings.protocol.pushed_requests = true.into();
        assert_eq!(client.overridden(), []);
        let mut machine = spared();
        (machine.grants, machine.settings.profile) =
            (vec![GrantType::ClientCredentials], SecurityProfile::Fapi2);
        machine.settings.concessions = Concessions::default();
        assert_eq!(machine.overridden(), [BOUND], "it sends no browsers");
    }

    #[test]
    fn fapi2_knows_one_audience() {
        let mut client = spared();
        assert_eq!(client.assertion_audience(), AssertionAudience::Endpoint);
        client.settings.profile = SecurityProfile::Fapi2;
        assert_eq!(client.assertion_audience(), AssertionAudience::Issuer);
    }
}

//! What a client is spared, as far as it can be.

use crate::domain::client::Client;
use crate::domain::client_authentication::AuthMethod;
use crate::domain::client_concessions::{AssertionAudience, Concessions, Pkce};
use crate::domain::security_profile::SecurityProfile;
use crate::domain::spared::PkceNeed;
use crate::services::fields::FieldErrors;

const REQUIRE_PKCE: &str = "/options/protocol/require_pkce";
const AUDIENCE: &str = "/options/protocol/assertion_audience";

/// What a client is to be spared, as text from any edge. What is not said is spared nobody.
#[derive(Clone, Debug, Default)]
pub struct ConcessionsForm {
    /// Accept its authorization requests only with a challenge (RFC 7636).
    pub require_pkce: Option<bool>,
    /// `issuer` or `endpoint`: whom its assertions may be for.
    pub assertion_audience: Option<String>,
}

impl ConcessionsForm {
    pub(super) fn parse(&self, errors: &mut FieldErrors) -> Option<Concessions> {
        let audience = self.assertion_audience.as_deref().map(str::parse::<AssertionAudience>);
        let audience = errors.take(AUDIENCE, audience.transpose())?;
        Some(Concessions {
            pkce: self.require_pkce.map(Pkce::from).unwrap_or_default(),
            assertion_audience: audience.unwrap_or_default(),
        })
    }
}

/// Refuses what a client cannot be spared, each with its reason.
pub(super) fn check(errors: &mut FieldErrors, client: &Client) {
    let Concessions { pkce, assertion_audience } = client.settings.concessions;
    if !pkce.is_required()
        && let Some(need) = client.pkce_need()
    {
        errors.refuse(REQUIRE_PKCE, "contradiction", need.to_string());
    }
    if assertion_audience == AssertionAudience::Endpoint
        && let Some(reason) = needs_issuer(client.authentication.method, client.settings.profile)
    {
        errors.refuse(AUDIENCE, "contradiction", reason);
    }
}

/// What a client is still spared that said everything of itself anew: that is no matter of its own, and what it has become may need more.
pub(super) fn kept(before: &Client, mut after: Client) -> Client {
    let way = (after.authentication.method, after.settings.profile);
    after.settings.concessions = bounded(before.settings.concessions, after.pkce_need(), way);
    after
}

/// What is offered, as far as a client can be spared it.
pub(super) fn bounded(
    offered: Concessions,
    need: Option<PkceNeed>,
    (method, profile): (AuthMethod, SecurityProfile),
) -> Concessions {
    let keeps_audience = needs_issuer(method, profile).is_none();
    Concessions {
        pkce: if need.is_some() { Pkce::Required } else { offered.pkce },
        assertion_audience: if keeps_audience {
            offered.assertion_audience
        } else {
            AssertionAudience::Issuer
        },
    }
}

/// Why no endpoint can be the audience of what a client signs.
fn needs_issuer(method: AuthMethod, profile: SecurityProfile) -> Option<&'static str> {
    if method != AuthMethod::PrivateKeyJwt {
        return Some("only a client that signs assertions (private_key_jwt) says whom they are for");
    }
    profile.demands_issuer_audience().then_some("the profile fapi2 has assertions for the issuer alone")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::GrantType;
    use crate::domain::redirect_uri::RedirectUri;

    const BOTH: Concessions =
        Concessions { pkce: Pkce::Optional, assertion_audience: AssertionAudience::Endpoint };

    fn spared() -> Client {
        let mut client = Client::sample();
        client.authentication.method = AuthMethod::PrivateKeyJwt;
        client.grants = vec![GrantType::AuthorizationCode];
        client.redirects = vec![RedirectUri::parse("https://shop.example/cb").unwrap()];
        client.settings.concessions = BOTH;
        client
    }

    fn refused(change: impl FnOnce(&mut Client)) -> Vec<String> {
        let mut client = spared();
        change(&mut client);
        let mut errors = FieldErrors::default();
        check(&mut errors, &client);
        errors.iter().map(|error| error.pointer.clone()).collect()
    }

    #[test]
    fn what_a_client_cannot_be_spared_is_refused_at_its_field() {
        assert_eq!(refused(|_| {}), [""; 0]);
        let loopback = RedirectUri::parse("http://127.0.0.1/cb").unwrap();
        assert_eq!(refused(|client| client.redirects.push(loopback)), [REQUIRE_PKCE]);
        assert_eq!(refused(|client| client.settings.profile = SecurityProfile::Oauth21), [REQUIRE_PKCE]);
        let method = |method| move |client: &mut Client| client.authentication.method = method;
        assert_eq!(refused(method(AuthMethod::ClientSecretBasic)), [AUDIENCE]);
        let both = [REQUIRE_PKCE, AUDIENCE];
        assert_eq!(refused(method(AuthMethod::None)), both);
        assert_eq!(refused(|client| client.settings.profile = SecurityProfile::Fapi2), both);
        let nothing = |client: &mut Client| {
            client.settings.concessions = Concessions::default();
            client.settings.profile = SecurityProfile::Fapi2;
        };
        assert_eq!(refused(nothing), [""; 0]);
    }

    #[test]
    fn a_client_that_changes_itself_spares_itself_nothing_and_loses_what_it_cannot_have() {
        let without = |change: fn(&mut Client)| {
            let mut after = spared();
            after.settings.concessions = Concessions::default();
            change(&mut after);
            kept(&spared(), after).settings.concessions
        };
        assert_eq!(without(|_| {}), BOTH, "what an administrator said stays");
        let secret = without(|client| client.authentication.method = AuthMethod::ClientSecretPost);
        assert_eq!(secret, Concessions { pkce: Pkce::Optional, ..Concessions::default() });
        let device = without(|client| {
            client.redirects = vec![RedirectUri::parse("http://127.0.0.1/cb").unwrap()];
        });
        assert_eq!(device, Concessions { pkce: Pkce::Required, ..BOTH });
        let mut usual = spared();
        usual.settings.concessions = Concessions::default();
        assert_eq!(kept(&usual, spared()).settings.concessions, Concessions::default());
    }

    #[test]
    fn a_text_that_is_no_audience_is_refused_at_its_field() {
        let form = ConcessionsForm { assertion_audience: Some("token".to_owned()), require_pkce: None };
        let mut errors = FieldErrors::default();
        assert_eq!(form.parse(&mut errors), None);
        assert_eq!(errors.iter().map(|error| error.pointer.as_str()).collect::<Vec<_>>(), [AUDIENCE]);
        let nothing = ConcessionsForm::default().parse(&mut FieldErrors::default());
        assert_eq!(nothing, Some(Concessions::default()));
    }
}

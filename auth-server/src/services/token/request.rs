//! What every grant reads from a token request.

use crate::domain::client::GrantType;
use crate::domain::parameters::Parameters;
use crate::domain::scope::ScopeSet;
use crate::services::token::TokenError;

/// Reads the grant, and refuses repeated parameters of any name ([RFC 6749 §3.2]).
///
/// [RFC 6749 §3.2]: https://www.rfc-editor.org/rfc/rfc6749#section-3.2
pub(super) fn grant_type(parameters: &Parameters) -> Result<GrantType, TokenError> {
    if parameters.has_repeats("resource") {
        return Err(crate::domain::parameters::ParametersError::Repeated.into());
    }
    let raw = parameters.get("grant_type")?.ok_or(TokenError::GrantTypeMissing)?;
    raw.parse().map_err(|_| TokenError::GrantTypeUnknown)
}

/// The scopes asked for; `None` when the request leaves them out.
pub(super) fn scope(parameters: &Parameters) -> Result<Option<ScopeSet>, TokenError> {
    let parsed = parameters.get("scope")?.map(ScopeSet::parse).transpose();
    parsed.map_err(|_| TokenError::Scope)
}

/// The resource asked for; a token of ours has one audience.
pub(super) fn resource(parameters: &Parameters) -> Result<Option<String>, TokenError> {
    let mut resources = parameters.all("resource").filter(|resource| !resource.is_empty());
    let first = resources.next();
    if resources.next().is_some() { Err(TokenError::TargetSeveral) } else { Ok(first.map(str::to_owned)) }
}

/// A parameter without which the request means nothing.
pub(super) fn required<'a>(parameters: &'a Parameters, name: &'static str) -> Result<&'a str, TokenError> {
    parameters.get(name)?.ok_or(TokenError::Missing(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::oauth_error::OAuthErrorCode;

    fn parse(form: &str) -> Parameters {
        Parameters::parse(form.as_bytes()).unwrap()
    }

    #[test]
    fn no_other_grants_exist() {
        for grant in GrantType::ALL {
            assert_eq!(grant_type(&parse(&format!("grant_type={}", grant.as_str()))).unwrap(), grant);
        }
        for other in
            ["password", "implicit", "urn:ietf:params:oauth:grant-type:saml2-bearer", "Authorization_code"]
        {
            let refused = grant_type(&parse(&format!("grant_type={other}"))).unwrap_err();
            assert_eq!(refused.code(), OAuthErrorCode::UnsupportedGrantType, "{other}");
        }
        assert_eq!(grant_type(&parse("grant_type=")).unwrap_err().code(), OAuthErrorCode::InvalidRequest);
    }

    #[test]
    fn a_repeated_parameter_is_refused_even_one_that_nobody_reads() {
        for form in ["grant_type=password&grant_type=password", "grant_type=refresh_token&x=1&x=2"] {
            assert_eq!(
                grant_type(&parse(form)).unwrap_err().code(),
                OAuthErrorCode::InvalidRequest,
                "{form}"
            );
        }
    }

    #[test]
    fn one_resource_can_be_asked_for() {
        assert_eq!(resource(&parse("resource=https://a.test")).unwrap().as_deref(), Some("https://a.test"));
        assert_eq!(resource(&parse("resource=")).unwrap(), None);
        let several = resource(&parse("resource=https://a.test&resource=https://b.test")).unwrap_err();
        assert_eq!(several.code(), OAuthErrorCode::InvalidTarget);
    }

    #[test]
    fn a_malformed_scope_is_refused_and_an_absent_one_is_not() {
        assert_eq!(scope(&parse("grant_type=x")).unwrap(), None);
        assert_eq!(scope(&parse("scope=a++b")).unwrap_err().code(), OAuthErrorCode::InvalidScope);
    }
}

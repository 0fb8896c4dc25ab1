//! What an access token is for ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)).

use std::sync::Arc;

use crate::domain::claims::OPENID;
use crate::domain::client::Client;
use crate::domain::ids::ApiId;
use crate::domain::rbac::Api;
use crate::domain::scope::ScopeSet;
use crate::services::token::{TokenError, TokenService};

/// What an access token is for.
pub(super) enum Target {
    /// An API.
    Api(Arc<Api>),
    /// The userinfo endpoint of this server.
    Issuer,
}

impl Target {
    pub(super) fn id(&self) -> Option<&ApiId> {
        match self {
            Self::Api(api) => Some(&api.id),
            Self::Issuer => None,
        }
    }
}

/// What a token request asks for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Asked {
    /// An API that exists.
    Api(ApiId),
    /// What was granted.
    Granted,
    /// The userinfo endpoint, named by the issuer: so a client with a grant for an API gets a token for userinfo too.
    Issuer,
}

impl Asked {
    /// What the token is for, within what was granted (RFC 8707 §2.2).
    pub(super) fn within(
        self,
        granted: Option<&ApiId>,
        scopes: &ScopeSet,
    ) -> Result<Option<ApiId>, TokenError> {
        match self {
            Self::Granted => Ok(granted.cloned()),
            Self::Api(api) if granted == Some(&api) => Ok(Some(api)),
            Self::Issuer if granted.is_none() || scopes.contains(OPENID) => Ok(None),
            Self::Api(_) | Self::Issuer => Err(TokenError::TargetNotGranted),
        }
    }
}

/// Refuses an API that the client was given once and is given no longer.
pub(super) fn still_given(client: &Client, api: Option<&ApiId>) -> Result<(), TokenError> {
    match api {
        Some(api) if !client.settings.apis.contains(api) => Err(TokenError::TargetNotGranted),
        Some(_) | None => Ok(()),
    }
}

impl TokenService {
    /// Finds what a `resource` names.
    pub(super) async fn asked(&self, resource: Option<&str>) -> Result<Asked, TokenError> {
        match resource {
            None => Ok(Asked::Granted),
            Some(resource) if resource == self.minter.issuer().as_str() => Ok(Asked::Issuer),
            Some(resource) => {
                let api = self.store.api_by_audience(resource).await?;
                api.map(|api| Asked::Api(api.id.clone())).ok_or(TokenError::TargetNotGranted)
            }
        }
    }

    /// Looks up the API of a token.
    pub(super) async fn target(&self, api: Option<&ApiId>) -> Result<Target, TokenError> {
        match api {
            // An API that was deleted since leaves nothing to issue tokens for.
            Some(api) => self.store.api(api).await?.map(Target::Api).ok_or(TokenError::TargetGone),
            None => Ok(Target::Issuer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::clock::Timestamp;
    use crate::domain::secret::Entropy;

    const USERINFO: Result<Option<ApiId>, ()> = Ok(None);

    fn within(asked: &Asked, granted: Option<&ApiId>, scopes: &str) -> Result<Option<ApiId>, ()> {
        asked.clone().within(granted, &ScopeSet::parse(scopes).unwrap()).map_err(drop)
    }

    #[test]
    fn a_token_is_for_what_was_granted_or_for_userinfo() {
        let entropy = Entropy::seeded(1);
        let (orders, stock) = (
            ApiId::generate(Timestamp::from_secs(1), &entropy),
            ApiId::generate(Timestamp::from_secs(1), &entropy),
        );
        assert_eq!(within(&Asked::Granted, Some(&orders), ""), Ok(Some(orders.clone())));
        assert_eq!(within(&Asked::Granted, None, ""), USERINFO);
        assert_eq!(within(&Asked::Api(orders.clone()), Some(&orders), ""), Ok(Some(orders.clone())));
        assert_eq!(within(&Asked::Api(stock), Some(&orders), "openid"), Err(()));
        assert_eq!(within(&Asked::Api(orders.clone()), None, "openid"), Err(()));
        assert_eq!(within(&Asked::Issuer, Some(&orders), "openid"), USERINFO);
        assert_eq!(within(&Asked::Issuer, Some(&orders), "read"), Err(()));
        assert_eq!(within(&Asked::Issuer, None, "read"), USERINFO);
    }
}

//! What an access token is for ([RFC 8707](https://www.rfc-editor.org/rfc/rfc8707)).

use std::sync::Arc;

use crate::domain::claims::OPENID;
use crate::domain::client::Client;
use crate::domain::ids::ApiId;
use crate::domain::rbac::{AccessTokenSettings, Api};
use crate::domain::reach::{ApiSet, scopes_at};
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

    pub(super) fn api(&self) -> Option<&Api> {
        match self {
            Self::Api(api) => Some(api),
            Self::Issuer => None,
        }
    }
}

/// What a token request asks for.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    /// An API that exists.
    Api(Arc<Api>),
    /// What was granted.
    Granted,
    /// The userinfo endpoint, named by the issuer: so a client with a grant for an API gets a token for userinfo too.
    Issuer,
}

impl Asked {
    /// What the token is for, within what was granted (RFC 8707 §2.2). Where several APIs were, the request has to say which.
    pub(super) fn within(&self, granted: &ApiSet, scopes: &ScopeSet) -> Result<Option<ApiId>, TokenError> {
        match self {
            Self::Granted if granted.len() > 1 => Err(TokenError::TargetOpen),
            Self::Granted => Ok(granted.only().cloned()),
            Self::Api(api) if granted.contains(&api.id) => Ok(Some(api.id.clone())),
            Self::Issuer if granted.is_empty() || scopes.contains(OPENID) => Ok(None),
            Self::Api(_) | Self::Issuer => Err(TokenError::TargetNotGranted),
        }
    }

    /// The API that is named.
    pub(super) fn api(&self) -> Option<&Api> {
        match self {
            Self::Api(api) => Some(api),
            Self::Granted | Self::Issuer => None,
        }
    }

    /// Refuses scopes of which the API that is named has none: a token without any would not be what was asked for.
    pub(super) fn meet(&self, asked: Option<&ScopeSet>) -> Result<(), TokenError> {
        let (Some(api), Some(scopes)) = (self.api(), asked) else { return Ok(()) };
        let none = !scopes.is_empty() && scopes_at(scopes, Some(api), &[]).is_empty();
        if none { Err(TokenError::Scope) } else { Ok(()) }
    }
}

/// Refuses an API that the client was given once and is given no longer.
pub(super) fn still_given<'a>(
    client: &Client,
    apis: impl IntoIterator<Item = &'a ApiId>,
) -> Result<(), TokenError> {
    let all = apis.into_iter().all(|api| client.settings.apis.contains(api));
    if all { Ok(()) } else { Err(TokenError::TargetNotGranted) }
}

impl TokenService {
    /// Finds what a `resource` names.
    pub(super) async fn asked(&self, resource: Option<&str>) -> Result<Asked, TokenError> {
        match resource {
            None => Ok(Asked::Granted),
            Some(resource) if self.minter.issuer().is_meant_by(resource) => Ok(Asked::Issuer),
            Some(resource) => {
                let api = self.store.api_by_audience(resource).await?;
                api.map(Asked::Api).ok_or(TokenError::TargetNotGranted)
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

    /// The audience of a token and how it is made, if the profile of the client permits that. The profile is held against the API when
    /// either is saved; what got past that, by a replica that knew nothing of it, is issued no token.
    pub(super) fn made_for(
        &self,
        target: &Target,
        client: &Client,
    ) -> Result<(String, AccessTokenSettings), TokenError> {
        let (audience, settings) = match target {
            Target::Api(api) => (api.audience.as_str(), api.access_tokens),
            Target::Issuer => {
                (self.minter.issuer().as_str(), AccessTokenSettings::living(self.settings.access_ttl))
            }
        };
        if client.settings.profile.permits_alg(settings.alg) {
            Ok((audience.to_owned(), settings))
        } else {
            Err(TokenError::TargetAlgorithm)
        }
    }

    /// Of the scopes of a grant, those that a token for one of its APIs says.
    pub(super) async fn scopes_at(
        &self,
        target: &Target,
        reach: &ApiSet,
        granted: &ScopeSet,
    ) -> Result<ScopeSet, TokenError> {
        let mut others = Vec::new();
        for id in reach.iter().filter(|id| target.id() != Some(id)) {
            others.extend(self.store.api(id).await?);
        }
        let others: Vec<&Api> = others.iter().map(AsRef::as_ref).collect();
        Ok(scopes_at(granted, target.api(), &others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERINFO: Result<Option<ApiId>, ()> = Ok(None);

    fn within(asked: &Asked, granted: &[&Arc<Api>], scopes: &str) -> Result<Option<ApiId>, ()> {
        let granted = granted.iter().map(|api| api.id.clone()).collect();
        asked.within(&granted, &set(scopes)).map_err(drop)
    }

    fn sample(seed: u64, scopes: &str) -> Arc<Api> {
        Arc::new(Api::sample(seed, scopes))
    }

    fn set(text: &str) -> ScopeSet {
        ScopeSet::parse(text).unwrap()
    }

    #[test]
    fn a_token_is_for_what_was_granted_or_for_userinfo() {
        let (orders, stock) = (&sample(1, ""), &sample(2, ""));
        let of = |api: &Arc<Api>| Asked::Api(Arc::clone(api));
        assert_eq!(within(&Asked::Granted, &[orders], ""), Ok(Some(orders.id.clone())));
        assert_eq!(within(&Asked::Granted, &[], ""), USERINFO);
        assert_eq!(within(&of(orders), &[orders], ""), Ok(Some(orders.id.clone())));
        assert_eq!(within(&of(stock), &[orders], "openid"), Err(()));
        assert_eq!(within(&of(orders), &[], "openid"), Err(()));
        assert_eq!(within(&Asked::Issuer, &[orders], "openid"), USERINFO);
        assert_eq!(within(&Asked::Issuer, &[orders], "read"), Err(()));
        assert_eq!(within(&Asked::Issuer, &[], "read"), USERINFO);
    }

    #[test]
    fn of_several_apis_one_has_to_be_named() {
        let (orders, stock) = (&sample(1, ""), &sample(2, ""));
        assert_eq!(within(&Asked::Granted, &[orders, stock], "openid"), Err(()));
        assert_eq!(within(&Asked::Api(Arc::clone(stock)), &[orders, stock], ""), Ok(Some(stock.id.clone())));
        assert_eq!(within(&Asked::Issuer, &[orders, stock], "openid"), USERINFO);
    }

    #[test]
    fn scopes_that_the_named_api_does_not_have_are_refused_and_not_lost() {
        let (named, open) = (Asked::Api(sample(1, "read")), Asked::Api(sample(2, "")));
        for good in [None, Some(set("read other")), Some(set("openid")), Some(set(""))] {
            assert!(named.meet(good.as_ref()).is_ok(), "{good:?}");
        }
        assert!(matches!(named.meet(Some(&set("other"))), Err(TokenError::Scope)));
        assert!(open.meet(Some(&set("other"))).is_ok() && Asked::Granted.meet(Some(&set("other"))).is_ok());
    }
}

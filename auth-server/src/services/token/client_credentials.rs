//! The client credentials grant ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).

use crate::domain::claims::PERSONAL;
use crate::domain::client::Client;
use crate::domain::details::fault::DetailsFault;
use crate::domain::parameters::Parameters;
use crate::domain::rbac::Api;
use crate::domain::reach::scopes_at;
use crate::domain::scope::ScopeSet;
use crate::services::details;
use crate::services::mint::Subject;
use crate::services::token::{
    Allowed, Authorization, Identity, Target, TokenCaller, TokenError, TokenService, request,
};

impl TokenService {
    /// A client asks for itself. Everything it needs is in memory, so a known client costs no statement.
    pub(super) async fn client_credentials(
        &self,
        caller: &TokenCaller,
        parameters: &Parameters,
    ) -> Result<Authorization, TokenError> {
        // RFC 6749 §4.4: confidential clients only.
        if !caller.client.is_confidential() {
            return Err(TokenError::GrantNotAllowed);
        }
        self.as_itself(caller.client.client(), parameters).await
    }

    /// What a client gets for itself, once it is known that it asks.
    pub(super) async fn as_itself(
        &self,
        client: &Client,
        parameters: &Parameters,
    ) -> Result<Authorization, TokenError> {
        let details = details::asked(parameters)?.unwrap_or_default();
        let places = details::places(&self.store, client, &details).await?;
        let target = match request::resource(parameters)? {
            None if places.len() > 1 => return Err(TokenError::TargetOpen),
            None => self.target(places.only()).await?,
            Some(asked) => self.own_target(&asked, client).await?,
        };
        if places.iter().any(|place| Some(place) != target.id()) {
            return Err(DetailsFault::Elsewhere.into());
        }
        let scopes = scopes(request::scope(parameters)?, client, target.api())?;
        let roles = match target.id() {
            Some(api) => self.store.client_roles(&client.id, api).await?.to_vec(),
            None => Vec::new(),
        };
        Ok(Authorization {
            subject: Subject::Client,
            allowed: Allowed::scopes(scopes, details),
            target,
            roles,
            identity: Identity::default(),
            refresh_token: None,
            exchanged: None,
        })
    }

    /// The API that is asked for, among those that the client was given.
    async fn own_target(&self, asked: &str, client: &Client) -> Result<Target, TokenError> {
        if self.minter.issuer().is_meant_by(asked) {
            return Ok(Target::Issuer);
        }
        let api = self.store.api_by_audience(asked).await?;
        let allowed = api.filter(|api| client.settings.apis.contains(&api.id));
        allowed.map(Target::Api).ok_or(TokenError::TargetNotGranted)
    }
}

/// What is asked for must all be registered, and be of the API; without a wish it is all of that which makes sense for a machine.
fn scopes(asked: Option<ScopeSet>, client: &Client, api: Option<&Api>) -> Result<ScopeSet, TokenError> {
    let registered = client.scopes.only(|scope| !PERSONAL.contains(&scope));
    let registered = scopes_at(&registered, api, &[]);
    match asked {
        None => Ok(registered),
        Some(asked) if asked.is_subset_of(&registered) => Ok(asked),
        Some(_) => Err(TokenError::Scope),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::client::GrantType;

    fn client(registered: &str) -> Client {
        Client {
            grants: vec![GrantType::ClientCredentials],
            scopes: ScopeSet::parse(registered).unwrap(),
            ..Client::sample()
        }
    }

    fn granted(registered: &str, asked: Option<&str>) -> Option<String> {
        let asked = asked.map(|asked| ScopeSet::parse(asked).unwrap());
        scopes(asked, &client(registered), None).ok().map(|scopes| scopes.to_string())
    }

    #[test]
    fn a_machine_gets_what_it_registered_and_nothing_about_people() {
        assert_eq!(granted("read write openid phone address", None).as_deref(), Some("read write"));
        assert_eq!(granted("read write", Some("read")).as_deref(), Some("read"));
        assert_eq!(granted("read", Some("read write")), None);
        assert_eq!(granted("read openid", Some("openid")), None);
    }
}

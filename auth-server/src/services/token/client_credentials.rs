//! The client credentials grant ([RFC 6749 §4.4](https://www.rfc-editor.org/rfc/rfc6749#section-4.4)).

use crate::domain::claims::{ADDRESS, EMAIL, OFFLINE_ACCESS, OPENID, PHONE, PROFILE};
use crate::domain::client::Client;
use crate::domain::parameters::Parameters;
use crate::domain::scope::ScopeSet;
use crate::services::mint::Subject;
use crate::services::token::{
    Authorization, Identity, Target, TokenCaller, TokenError, TokenService, request,
};

/// Scopes that are about a person.
const PERSONAL: [&str; 6] = [ADDRESS, EMAIL, OFFLINE_ACCESS, OPENID, PHONE, PROFILE];

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
        let scopes = scopes(request::scope(parameters)?, client)?;
        let target = self.own_target(request::resource(parameters)?.as_deref(), client).await?;
        let roles = match target.id() {
            Some(api) => self.store.client_roles(&client.id, api).await?.to_vec(),
            None => Vec::new(),
        };
        Ok(Authorization {
            subject: Subject::Client,
            scopes,
            target,
            roles,
            identity: Identity::default(),
            refresh_token: None,
            exchanged: None,
        })
    }

    /// The API that is asked for, among those that the client was given.
    async fn own_target(&self, asked: Option<&str>, client: &Client) -> Result<Target, TokenError> {
        let Some(asked) = asked.filter(|asked| *asked != self.minter.issuer().as_str()) else {
            return Ok(Target::Issuer);
        };
        let api = self.store.api_by_audience(asked).await?;
        let allowed = api.filter(|api| client.settings.apis.contains(&api.id));
        allowed.map(Target::Api).ok_or(TokenError::TargetNotGranted)
    }
}

/// What is asked for must all be registered; without a wish it is all that is registered and makes sense for a machine.
fn scopes(asked: Option<ScopeSet>, client: &Client) -> Result<ScopeSet, TokenError> {
    let registered: Vec<&str> = client.scopes.iter().filter(|scope| !PERSONAL.contains(scope)).collect();
    let registered = ScopeSet::parse(&registered.join(" ")).map_err(|_| TokenError::Scope)?;
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
        scopes(asked, &client(registered)).ok().map(|scopes| scopes.to_string())
    }

    #[test]
    fn a_machine_gets_what_it_registered_and_nothing_about_people() {
        assert_eq!(granted("read write openid phone address", None).as_deref(), Some("read write"));
        assert_eq!(granted("read write", Some("read")).as_deref(), Some("read"));
        assert_eq!(granted("read", Some("read write")), None);
        assert_eq!(granted("read openid", Some("openid")), None);
    }
}

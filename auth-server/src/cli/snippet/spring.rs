//! A configuration of Spring Boot.

use crate::cli::snippet::facts::{Facts, quoted};
use crate::cli::snippet::{SECRET, Unfit};
use crate::domain::client::Preset;

pub(super) fn text(facts: &Facts<'_>) -> Result<String, Unfit> {
    if facts.client.settings.profile.demands_bound_tokens() {
        return Err("Spring Boot has no settings for tokens that are bound: it takes code");
    }
    match facts.preset() {
        Preset::Service => service(facts),
        Preset::Web => client(facts, Some("authorization_code")),
        Preset::M2m => client(facts, None),
        Preset::Device | Preset::Native | Preset::Spa => {
            Err("Spring Boot is for the presets `service`, `web` and `m2m`")
        }
    }
}

/// A service asks about each token: so it hears of what was revoked, and takes none of another API.
fn service(facts: &Facts<'_>) -> Result<String, Unfit> {
    let (id, audience) = (quoted(facts.id_with_secret()?), facts.audience()?);
    let issuer = &facts.issuer;
    let endpoint = quoted(&format!("{issuer}/introspect"));
    Ok(format!(
        "# application.yml, for tokens of {audience}
spring:
  security:
    oauth2:
      resourceserver:
        opaquetoken:
          introspection-uri: {endpoint}
          client-id: {id}
          client-secret: \"${{{SECRET}}}\"
"
    ))
}

fn client(facts: &Facts<'_>, grant: Option<&str>) -> Result<String, Unfit> {
    let (id, issuer, way) = (quoted(facts.id_with_secret()?), quoted(&facts.issuer), facts.way_of_secret());
    let scopes: Vec<String> = facts.client.scopes.iter().map(quoted).collect();
    let scopes = scopes.join(", ");
    let redirect = match (grant, facts.redirect_before("")) {
        (Some(_), Some(uri)) => format!("            redirect-uri: {}\n", quoted(uri)),
        (Some(_) | None, _) => String::new(),
    };
    let note = if grant.is_some() {
        "# application.yml. This server asks every client for PKCE: Spring Security 7 does that by itself. Before, it takes\n\
         # OAuth2AuthorizationRequestCustomizers.withPkce() for the authorization requests."
    } else {
        "# application.yml. A token for an API takes the parameter `resource` in the token request."
    };
    let grant = grant.unwrap_or("client_credentials");
    Ok(format!(
        "{note}
spring:
  security:
    oauth2:
      client:
        registration:
          portcullis:
            client-id: {id}
            client-secret: \"${{{SECRET}}}\"
            client-authentication-method: {way}
            authorization-grant-type: {grant}
{redirect}            scope: [{scopes}]
        provider:
          portcullis:
            issuer-uri: {issuer}
"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snippet::facts::samples::{client, facts, signing};
    use crate::domain::security_profile::SecurityProfile;

    #[test]
    fn each_kind_of_client_has_its_own() {
        let shop = client(Preset::Web, Some("https://shop.bank.test/login/oauth2/code/portcullis"));
        let text = |client| super::text(&facts(client)).unwrap();
        assert!(
            text(&shop).contains("redirect-uri: \"https://shop.bank.test/login/oauth2/code/portcullis\"\n")
        );
        let robot = client(Preset::M2m, None);
        assert!(text(&robot).contains("client_credentials") && !text(&robot).contains("redirect-uri"));
        let service = client(Preset::Service, None);
        assert!(text(&service).contains("introspection-uri: \"https://login.bank.test/a/introspect\"\n"));
        for client in [&shop, &robot, &service] {
            assert!(text(client).contains("client-secret: \"${PORTCULLIS_CLIENT_SECRET}\"\n"));
        }
    }

    #[test]
    fn clients_that_it_cannot_be_are_refused() {
        let mut bank = client(Preset::Web, Some("https://shop.bank.test/cb"));
        bank.settings.profile = SecurityProfile::Fapi2;
        for other in
            [bank, client(Preset::Spa, Some("https://shop.bank.test/cb")), signing(client(Preset::M2m, None))]
        {
            assert!(super::text(&facts(&other)).is_err(), "{other:?}");
        }
    }
}

//! A configuration of Spring Boot.

use crate::cli::snippet::facts::{Facts, quoted};
use crate::cli::snippet::{SECRET, Unfit};
use crate::domain::client::Preset;
use crate::domain::redirect_uri::RedirectUri;

/// Where Spring gets people back, with the name of a registration behind it.
const CALLBACK: &str = "/login/oauth2/code/";

pub(super) fn text(facts: &Facts<'_>) -> Result<String, Unfit> {
    if facts.client.settings.profile.demands_bound_tokens() {
        return Err("Spring Boot has no settings for tokens that are bound: it takes code");
    }
    match facts.preset() {
        Preset::Service => service(facts),
        Preset::Web => pages(facts),
        Preset::M2m => machine(facts),
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

/// Pages get people back where Spring listens.
fn pages(facts: &Facts<'_>) -> Result<String, Unfit> {
    let is_heard = |uri: &str| {
        uri.rsplit_once(CALLBACK).is_some_and(|(_, name)| !name.is_empty() && !name.contains(['/', '?']))
    };
    let redirect = facts.client.redirects.iter().map(RedirectUri::as_str).find(|uri| is_heard(uri));
    let redirect = redirect.ok_or(
        "Spring gets people back at /login/oauth2/code/{registration}, such as /login/oauth2/code/portcullis, which no redirect URI of this client is",
    )?;
    registration(&Registration {
        facts,
        note: "# application.yml. This server asks every client for PKCE: Spring Security 7 does that by itself. Before, it takes\n\
               # OAuth2AuthorizationRequestCustomizers.withPkce() for the authorization requests.",
        grant: "authorization_code",
        redirect: &format!("            redirect-uri: {}\n", quoted(redirect)),
    })
}

/// A machine calls the API that it was given, and has to name it.
fn machine(facts: &Facts<'_>) -> Result<String, Unfit> {
    let note = format!(
        "# application.yml. A token for {} takes it as the parameter `resource` of the token request, for which Spring has no\n\
         # setting: RestClientClientCredentialsTokenResponseClient.addParametersConverter(..) adds it.",
        facts.audience()?
    );
    registration(&Registration { facts, note: &note, grant: "client_credentials", redirect: "" })
}

/// What is said of a client.
struct Registration<'a> {
    facts: &'a Facts<'a>,
    note: &'a str,
    grant: &'a str,
    /// The line about it, if there is one.
    redirect: &'a str,
}

fn registration(said: &Registration<'_>) -> Result<String, Unfit> {
    let Registration { facts, note, grant, redirect } = said;
    let (id, issuer, way) = (quoted(facts.id_with_secret()?), quoted(&facts.issuer), facts.way_of_secret());
    let scopes: Vec<String> = facts.client.scopes.iter().map(quoted).collect();
    let scopes = scopes.join(", ");
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
    use crate::cli::snippet::facts::samples::{AUDIENCE, client, facts, signing};
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
        assert!(text(&robot).contains(&format!("# application.yml. A token for {AUDIENCE} takes it")));
        let service = client(Preset::Service, None);
        assert!(text(&service).contains("introspection-uri: \"https://login.bank.test/a/introspect\"\n"));
        for client in [&shop, &robot, &service] {
            assert!(text(client).contains("client-secret: \"${PORTCULLIS_CLIENT_SECRET}\"\n"));
        }
    }

    #[test]
    fn people_come_back_where_spring_listens_or_it_is_refused() {
        for (redirects, taken) in [
            (&["https://a.test/cb", "https://a.test/shop/login/oauth2/code/it"][..], Some(1)),
            (&["http://127.0.0.1:8080/login/oauth2/code/portcullis"], Some(0)),
            (&["https://a.test/cb"], None),
            (&["https://a.test/login/oauth2/code/"], None),
            (&["https://a.test/login/oauth2/code/a/b"], None),
            (&["https://a.test/login/oauth2/code/a?b"], None),
            (&[], None),
        ] {
            let mut shop = client(Preset::Web, None);
            shop.redirects = redirects.iter().map(|uri| RedirectUri::parse(uri).unwrap()).collect();
            match (super::text(&facts(&shop)), taken) {
                (Ok(text), Some(taken)) => {
                    assert!(text.contains(&format!("redirect-uri: \"{}\"\n", redirects[taken])), "{text}");
                }
                (Err(why), None) => assert!(why.contains("/login/oauth2/code/portcullis"), "{why}"),
                (other, _) => panic!("{redirects:?}: {other:?}"),
            }
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
        let robot = client(Preset::M2m, None);
        let without_api = Facts { audiences: Vec::new(), ..facts(&robot) };
        assert_eq!(super::text(&without_api), Err(crate::cli::snippet::WITHOUT_API));
    }
}

//! A configuration file of oauth2-proxy.

use crate::cli::snippet::Unfit;
use crate::cli::snippet::facts::{Facts, quoted};
use crate::domain::client::Preset;

/// Where oauth2-proxy gets people back, behind its prefix.
const CALLBACK: &str = "/callback";

pub(super) fn text(facts: &Facts<'_>) -> Result<String, Unfit> {
    if facts.preset() != Preset::Web {
        return Err("oauth2-proxy is for the preset `web`");
    }
    if facts.client.settings.profile.demands_bound_tokens() {
        return Err("oauth2-proxy does not bind tokens");
    }
    let id = facts.id_with_secret()?;
    let before = facts
        .redirect_before(CALLBACK)
        .ok_or("oauth2-proxy gets people back at an address that ends with /callback, which no redirect URI of this client does")?;
    let prefix = path_of(before);
    let scopes = facts.client.scopes.to_string();
    Ok(format!(
        "# oauth2-proxy.cfg. From the environment: OAUTH2_PROXY_CLIENT_SECRET, and OAUTH2_PROXY_COOKIE_SECRET (32 random bytes).
# It takes people whose address was verified; insecure_oidc_allow_unverified_email = true takes all.
provider = \"oidc\"
oidc_issuer_url = {issuer}
client_id = {id}
redirect_url = {redirect}
proxy_prefix = {prefix}
scope = {scopes}
code_challenge_method = \"S256\"
email_domains = [\"*\"]
cookie_secure = true
http_address = \"127.0.0.1:4180\"
upstreams = [\"http://127.0.0.1:8081/\"]
",
        issuer = quoted(&facts.issuer),
        id = quoted(id),
        redirect = quoted(&format!("{before}{CALLBACK}")),
        prefix = quoted(prefix),
        scopes = quoted(&scopes),
    ))
}

/// What stands behind the host.
fn path_of(address: &str) -> &str {
    let host = address.find("://").map_or(0, |at| at + 3);
    let behind = address.get(host..).unwrap_or_default();
    behind.find('/').and_then(|at| behind.get(at..)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snippet::facts::samples::{ISSUER, client, facts, signing};
    use crate::domain::security_profile::SecurityProfile;

    #[test]
    fn it_is_toml_with_what_was_registered() {
        let shop = client(Preset::Web, Some("https://shop.bank.test/oauth2/callback"));
        let parsed: toml::Table = toml::from_str(&text(&facts(&shop)).unwrap()).unwrap();
        let said = |name: &str| parsed[name].as_str().unwrap();
        assert_eq!(said("oidc_issuer_url"), ISSUER);
        assert_eq!(said("client_id"), shop.id.as_str());
        assert_eq!(said("redirect_url"), "https://shop.bank.test/oauth2/callback");
        assert_eq!((said("proxy_prefix"), said("scope")), ("/oauth2", "email openid"));
        assert_eq!(said("code_challenge_method"), "S256");
        assert!(!parsed.contains_key("client_secret"));
    }

    #[test]
    fn clients_that_it_cannot_be_are_refused() {
        let shop = || client(Preset::Web, Some("https://shop.bank.test/oauth2/callback"));
        let mut bank = shop();
        bank.settings.profile = SecurityProfile::Fapi2;
        for other in [
            client(Preset::Service, None),
            client(Preset::Web, Some("https://shop.bank.test/cb")),
            signing(shop()),
            bank,
        ] {
            assert!(text(&facts(&other)).is_err(), "{other:?}");
        }
    }
}

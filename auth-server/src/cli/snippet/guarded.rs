//! A program with the guard: an example of the guard itself, with what this client is in the place of what it says.

use crate::cli::snippet::Unfit;
use crate::cli::snippet::facts::{Facts, quoted};
use crate::domain::client::Preset;

const SERVICE: &str = include_str!("../../../../middleware/examples/snippets/service.rs");
const WEBAPP: &str = include_str!("../../../../middleware/examples/snippets/webapp.rs");

/// What the examples say.
const ISSUER: &str = "\"https://id.example.com\"";
const AUDIENCE: &str = "\"https://orders.example\"";
const CLIENT_ID: &str = "\"cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c\"";
const ORIGIN: &str = "\"https://shop.example.com\"";
const LISTEN: &str = "\"127.0.0.1:8087\"";
/// The port in it.
const PORT: &str = ":8087";

/// Where the guard gets people back.
const CALLBACK: &str = "/auth/callback";

pub(super) fn text(facts: &Facts<'_>) -> Result<String, Unfit> {
    let (example, place) = match facts.preset() {
        Preset::Service => (SERVICE, Place::default()),
        Preset::Web => {
            let redirects = facts.client.redirects.iter();
            let mut befores = redirects.filter_map(|redirect| redirect.as_str().strip_suffix(CALLBACK));
            let origin = befores.find(|before| is_origin(before)).ok_or(
                "the guard gets people back at /auth/callback of its origin, which is no redirect URI of this client",
            )?;
            (WEBAPP, Place::of(origin))
        }
        Preset::Device | Preset::M2m | Preset::Native | Preset::Spa => {
            return Err("the guard is for the presets `service` and `web`");
        }
    };
    Ok(example
        .replace(ISSUER, &quoted(&facts.issuer))
        .replace(AUDIENCE, &quoted(facts.audience()?))
        .replace(CLIENT_ID, &quoted(facts.id_with_secret()?))
        .replace(ORIGIN, &quoted(&place.origin))
        .replace(LISTEN, &quoted(&place.listen)))
}

/// Whether nothing stands behind the host and its port.
fn is_origin(address: &str) -> bool {
    let authority = ["http://", "https://"].iter().find_map(|scheme| address.strip_prefix(scheme));
    authority.is_some_and(|authority| !authority.is_empty() && !authority.contains('/'))
}

/// Where pages are, and where the program listens for them.
#[derive(Default)]
struct Place {
    origin: String,
    listen: String,
}

impl Place {
    /// Of pages with this origin. What is asked for by plain http is a loopback address, so the program itself listens there; one without
    /// a port stands for each (RFC 8252 §7.3). Before any other stands a proxy.
    fn of(origin: &str) -> Self {
        let Some(authority) = origin.strip_prefix("http://") else {
            return Self { origin: origin.to_owned(), listen: LISTEN.trim_matches('"').to_owned() };
        };
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = if has_port { "" } else { PORT };
        Self { origin: format!("{origin}{port}"), listen: format!("{authority}{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snippet::SECRET;
    use crate::cli::snippet::facts::samples::{client, facts, signing};

    /// The examples are compiled and checked with the others; here it is seen that nothing of them but the names is changed.
    #[test]
    fn it_is_the_example_with_other_names() {
        let shop = client(Preset::Web, Some("https://shop.bank.test/auth/callback"));
        let service = client(Preset::Service, None);
        for (client, example, count) in [(&service, SERVICE, 3), (&shop, WEBAPP, 4)] {
            let text = text(&facts(client)).unwrap();
            let others: Vec<_> =
                text.lines().zip(example.lines()).filter(|(ours, theirs)| ours != theirs).collect();
            assert_eq!((others.len(), text.lines().count()), (count, example.lines().count()), "{others:?}");
            assert!(others.iter().all(|(ours, _)| ours.starts_with("const ")), "{others:?}");
            assert!(text.contains(client.id.as_str()) && text.contains(SECRET) && !text.contains("example"));
        }
    }

    #[test]
    fn pages_at_a_loopback_address_are_listened_for_there() {
        for (redirect, origin, listen) in [
            ("http://127.0.0.1:3000/auth/callback", "http://127.0.0.1:3000", "127.0.0.1:3000"),
            ("http://[::1]:3000/auth/callback", "http://[::1]:3000", "[::1]:3000"),
            ("http://127.0.0.1/auth/callback", "http://127.0.0.1:8087", "127.0.0.1:8087"),
            ("http://[::1]/auth/callback", "http://[::1]:8087", "[::1]:8087"),
            ("https://shop.bank.test:8443/auth/callback", "https://shop.bank.test:8443", "127.0.0.1:8087"),
        ] {
            let text = text(&facts(&client(Preset::Web, Some(redirect)))).unwrap();
            for said in [format!("ORIGIN: &str = \"{origin}\";"), format!("LISTEN: &str = \"{listen}\";")] {
                assert!(text.contains(&said), "{redirect}: {said}: {text}");
            }
        }
    }

    #[test]
    fn people_come_back_below_no_path() {
        for redirect in [
            "http://127.0.0.1:3000/app/auth/callback",
            "http://127.0.0.1/app/auth/callback",
            "https://shop.bank.test/app/auth/callback",
            "com.example:/auth/callback",
        ] {
            assert!(text(&facts(&client(Preset::Web, Some(redirect)))).is_err(), "{redirect}");
        }
    }

    #[test]
    fn other_clients_are_none_for_the_guard() {
        for other in [
            client(Preset::M2m, None),
            client(Preset::Web, Some("https://shop.bank.test/cb")),
            signing(client(Preset::Service, None)),
        ] {
            assert!(text(&facts(&other)).is_err(), "{other:?}");
        }
        let service = client(Preset::Service, None);
        assert!(text(&Facts { audiences: Vec::new(), ..facts(&service) }).is_err());
    }
}

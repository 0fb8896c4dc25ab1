//! A configuration of Envoy, and the file of the gateway that it asks: those of the handbook.

use crate::cli::snippet::facts::{Facts, quoted};
use crate::cli::snippet::{SECRET, Unfit};
use crate::domain::client::Preset;

const HANDBOOK: &str = include_str!("../../../docs/gateway.md");

pub(super) fn text(facts: &Facts<'_>) -> Result<String, Unfit> {
    if facts.preset() != Preset::Service {
        return Err("the gateway behind Envoy is for the preset `service`");
    }
    let commented = |line: &str| {
        let line = format!("#   {line}");
        format!("{}\n", line.trim_end())
    };
    let gateway: String = gateway(facts)?.lines().map(commented).collect();
    let envoy = envoy().ok_or("the handbook has no configuration of Envoy")?;
    Ok(format!(
        "# envoy.yaml. Envoy asks `portcullis gateway --config gateway.toml` beside it, which is configured so:
#
{gateway}#
# Its secret comes from a file: (umask 077; printf %s \"${SECRET}\" > gateway.secret)
# The domain and the address of the service are yours to change.
{envoy}"
    ))
}

/// The file of the gateway.
fn gateway(facts: &Facts<'_>) -> Result<String, Unfit> {
    Ok(format!(
        "[gateway]
listen = \"127.0.0.1:8090\"
issuer = {issuer}
audience = {audience}
trusted_proxies = [\"127.0.0.0/8\", \"::1\"]

[policy]
client_id = {id}
client_secret_file = \"gateway.secret\"

[[route]]
path = \"/orders\"
require = \"rbac(orders, read)\"
",
        issuer = quoted(&facts.issuer),
        audience = quoted(facts.audience()?),
        id = quoted(facts.id_with_secret()?),
    ))
}

/// What the handbook says of Envoy over HTTP.
fn envoy() -> Option<&'static str> {
    let (_, chapter) = HANDBOOK.split_once("## Envoy\n")?;
    let (_, block) = chapter.split_once("```yaml\n")?;
    block.split_once("```").map(|(text, _)| text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::snippet::facts::samples::{AUDIENCE, ISSUER, client, facts, signing};
    use crate::config::GatewayConfig;

    #[test]
    fn the_gateway_that_it_asks_takes_the_file() {
        let service = client(Preset::Service, None);
        let text = text(&facts(&service)).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("#  "));
        let toml = lines.map(str::trim_start).collect::<Vec<_>>().join("\n");
        let folder = tempfile::tempdir().unwrap();
        let (file, secret) = (folder.path().join("gateway.toml"), folder.path().join("gateway.secret"));
        // A file that is named without a folder lies where the program is started.
        let toml = toml.replace("\"gateway.secret\"", &quoted(secret.to_str().unwrap()));
        std::fs::write(&file, &toml).unwrap();
        std::fs::write(&secret, format!("pck_{}", "A".repeat(43))).unwrap();
        let read = GatewayConfig::read(&file).unwrap_or_else(|errors| panic!("{errors}\n{toml}"));
        assert_eq!(read.gateway.audience.as_deref(), Some(AUDIENCE));
        assert_eq!(read.route.len(), 1);
        assert!(toml.contains(ISSUER) && toml.contains(service.id.as_str()));
    }

    #[test]
    fn envoy_is_configured_as_the_handbook_says() {
        let service = client(Preset::Service, None);
        let text = text(&facts(&service)).unwrap();
        assert!(text.ends_with(envoy().unwrap()) && text.contains("\nstatic_resources:\n"));
        assert!(text.contains("uri: http://127.0.0.1:8090"), "where the gateway listens");
        for other in [client(Preset::Web, Some("https://a.bank.test/cb")), signing(service)] {
            assert!(super::text(&facts(&other)).is_err(), "{other:?}");
        }
    }
}

//! The configuration of a gateway: a file of its own, checked like that of the server.

mod check;
mod issuer;
mod name;
mod route;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::issuer::IssuerOptions;
pub use self::name::IssuerName;
pub use self::route::{MethodName, RequirementText, Route};
use crate::config::check::Finding;
use crate::config::load::{Reader, Settings, schema_of, text_of};
use crate::config::{ConfigErrors, Log, ProxyNetwork, SecretText};

/// Everything that a gateway is told.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayConfig {
    /// Where it listens, whose tokens it takes, which proxies it answers.
    pub gateway: Gateway,
    /// How the issuer writes its tokens, and how seldom it is asked for its keys.
    pub issuer: IssuerOptions,
    /// Where the policy comes from that `rbac` asks.
    pub policy: PolicySource,
    /// Tokens that are bound to a key.
    pub dpop: BoundTokens,
    /// How often somebody may ask.
    pub limits: GatewayLimits,
    /// What is written to the log, and how.
    pub log: Log,
    /// What requests need. Everything that is not listed is refused.
    pub route: Vec<Route>,
}

/// Where it listens, whose tokens it takes, which proxies it answers.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Gateway {
    /// Address and port to listen on, for proxies and not for clients.
    pub listen: SocketAddr,
    /// Who issues the tokens: the address of the server.
    pub issuer: Option<IssuerName>,
    /// Whom the tokens are for: the audience of the API behind the proxy.
    pub audience: Option<String>,
    /// Networks of the proxies that may ask. Whoever else does is answered 403.
    pub trusted_proxies: Vec<ProxyNetwork>,
    /// Folder that keeps keys and policy, so that a start needs no server. Without it: nothing is kept.
    pub cache_dir: Option<PathBuf>,
}

impl Default for Gateway {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8090),
            issuer: None,
            audience: None,
            trusted_proxies: ProxyNetwork::loopback(),
            cache_dir: None,
        }
    }
}

/// Where the policy comes from that `rbac` asks: the server, or a folder.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PolicySource {
    /// The client that fetches the policy of the API from the server: made by `client create --preset service`.
    pub client_id: Option<String>,
    /// File that holds its secret.
    pub client_secret_file: Option<PathBuf>,
    /// Folder with `policy.csv`, and `model.conf` if there is one, instead of the policy of the server.
    pub folder: Option<PathBuf>,
    #[serde(skip)]
    pub(crate) client_secret: Option<SecretText>,
}

/// Tokens that are bound to a key (DPoP, RFC 9449).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct BoundTokens {
    /// The origins by which clients reach the services, for example `https://api.example.com`. Without it: bound tokens are refused.
    pub origins: Vec<String>,
    /// Redis (6 or later) or Valkey, where all gateways and services for one audience together take a proof once, for example
    /// `rediss://proofs.internal:6379`. Without it: each gateway refuses the proofs that it has seen itself.
    pub redis_url: Option<SecretText>,
    /// File that holds it, where it has a password in it.
    pub redis_url_file: Option<PathBuf>,
    /// File that holds what proofs are hashed with there: at least 32 random characters, the same for all of them. A service takes the same
    /// text by `RedisProofs::with_text`.
    pub redis_secret_file: Option<PathBuf>,
    /// Goes on while Redis is away, with the proofs that each gateway has seen itself. Without it: requests with a proof are answered 503 meanwhile.
    pub alone_while_away: bool,
    #[serde(skip)]
    pub(crate) redis_secret: Option<SecretText>,
}

/// How often somebody may ask.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatewayLimits {
    /// Requests from one address. Without it: no limit.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_address_per_minute: Option<u32>,
    /// Requests of one caller. Without it: no limit.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub per_caller_per_minute: Option<u32>,
}

impl GatewayConfig {
    /// Reads the file, reports every mistake.
    pub fn read(path: &Path) -> Result<Self, ConfigErrors> {
        let text = text_of(path).map_err(|mistake| ConfigErrors(vec![mistake]))?;
        Self::from_text(path, &text)
    }

    fn from_text(path: &Path, text: &str) -> Result<Self, ConfigErrors> {
        let mut reader = Reader::new();
        reader.file(path, text);
        reader.finish().map(|(config, _)| config)
    }

    /// The JSON Schema of the file.
    pub fn schema() -> serde_json::Value {
        schema_of::<Self>()
    }
}

impl Settings for GatewayConfig {
    fn complete(&mut self) -> Vec<Finding> {
        check::complete(self)
    }
}

#[cfg(test)]
mod tests {
    use tempfile::tempdir;

    use super::*;

    const START: &str = "[gateway]\nissuer = \"https://id.example\"\naudience = \"https://orders.example\"\n";

    fn read(text: &str) -> Result<GatewayConfig, Vec<String>> {
        GatewayConfig::from_text(Path::new("gateway.toml"), text)
            .map_err(|errors| errors.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn what_is_not_said_is_safe() {
        let config = read(&format!("{START}[[route]]\npath = \"/\"\nrequire = \"authenticated\"")).unwrap();
        assert!(config.gateway.listen.ip().is_loopback());
        let networks: Vec<_> = config.gateway.trusted_proxies.iter().map(ToString::to_string).collect();
        assert_eq!(networks, ["127.0.0.0/8", "::1/128"]);
        assert!(config.dpop.origins.is_empty());
    }

    #[test]
    fn a_file_that_cannot_be_read_is_the_only_mistake() {
        let folder = tempdir().unwrap();
        let file = folder.path().join("gateway.toml");
        let mistakes = GatewayConfig::read(&file).unwrap_err();
        let mistakes: Vec<_> = mistakes.iter().map(ToString::to_string).collect();
        let start = format!("the configuration file {} cannot be read: ", file.display());
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(&start), "{mistakes:?}");
    }

    #[test]
    fn every_mistake_is_reported_at_once_with_its_place() {
        let text = "[gatway]\nlisten = \"127.0.0.1:1\"\n[gateway]\nlisen = \"x\"\nissuer = \"http://id.example\"\n\
                    [[route]]\npth = \"/a\"\nrequire = \"public\"\n[[route]]\npath = \"/b\"\nrequire = \"pubic\"\n\
                    [[route]]\npath = \"/c\"\nmethods = [\"get\"]\nrequire = \"public\"\n[[rute]]\npath = \"/d\"\n\
                    [limits]\nper_caller_per_minute = 0";
        let mistakes = read(text).unwrap_err();
        let expected = [
            "gateway.toml:1: there is no section [gatway]; did you mean `[gateway]`?",
            "gateway.toml:4: gateway.lisen: there is no such key; did you mean `gateway.listen`?",
            "gateway.toml:5: gateway.issuer: ",
            "gateway.toml:7: route.pth: there is no such key; did you mean `route.path`?",
            "gateway.toml:9: route.2: `pubic` is no requirement",
            "gateway.toml:12: route.3: `get` is no method: write GET",
            "gateway.toml:16: there is no section [rute]; did you mean `[route]`?",
            "gateway.toml:19: limits.per_caller_per_minute: must be from 1 to 1000000, not 0",
        ];
        for expected in expected {
            assert!(
                mistakes.iter().any(|mistake| mistake.starts_with(expected)),
                "{expected}: {mistakes:#?}"
            );
        }
    }

    #[test]
    fn an_issuer_that_anybody_on_the_way_could_speak_for_is_one_mistake_in_the_words_of_a_gateway() {
        let text = START.replace("https://id", "http://id");
        let mistakes = read(&format!("{text}[[route]]\npath = \"/\"\nrequire = \"public\"")).unwrap_err();
        let [mistake] = mistakes.as_slice() else { panic!("{mistakes:#?}") };
        assert!(
            mistake.starts_with("gateway.toml:2: gateway.issuer: the issuer must use https: "),
            "{mistake}"
        );
        assert!(mistake.contains("what the server has as its server.issuer"), "{mistake}");
        assert!(mistake.ends_with("such as `https://id.example`"), "{mistake}");
        assert!(!mistake.contains("server.tls"), "{mistake}");
    }

    #[test]
    fn what_does_not_go_together_is_found_before_anything_starts() {
        let route = |require: &str| format!("[[route]]\npath = \"/\"\nrequire = \"{require}\"\n");
        let public = route("public");
        let policy = "[policy]\nclient_id = \"c\"\n";
        for (text, mistake) in [
            (public.clone(), "gateway.issuer: must be set"),
            (public.clone(), "gateway.audience: must be set"),
            (START.to_owned(), "route: there is none, so everything would be refused"),
            (format!("{START}trusted_proxies = []\n{public}"), "gateway.toml:4: gateway.trusted_proxies: "),
            (format!("{START}{policy}{public}"), "gateway.toml:5: policy.client_id: is set without"),
            (
                format!("{START}[policy]\nclient_secret_file = \"/nowhere/at/all\"\n{public}"),
                "policy.client_secret_file: /nowhere/at/all cannot be read",
            ),
            (format!("{START}{policy}folder = \"x\"\n{public}"), "policy.folder: is set beside"),
            (format!("{START}{}", route("rbac(a, b)")), "gateway.toml:4: route.1: asks a policy"),
            (
                format!("{START}{}", route("public or dpop")),
                "route.1: requires bound tokens, and dpop.origins",
            ),
            (format!("{START}{}", route("mtls")), "route.1: requires a certificate"),
            (
                format!("{START}[log]\nfilter = \"a=b=c\"\n{public}"),
                "gateway.toml:5: log.filter: is not a filter",
            ),
            (format!("{START}[[route]]\nrequire = \"public\""), "route.1: missing field `path`"),
            (format!("{START}[[route]]\npath = \"/\""), "route.1: missing field `require`"),
            (format!("{START}[route]\npath = \"/\""), "there is a list of [[route]]"),
            (format!("{START}[[limits]]\n"), "`limits` stands outside of any [section]"),
        ] {
            let mistakes = read(&text).unwrap_err();
            assert!(mistakes.iter().any(|it| it.contains(mistake)), "{mistake}: {mistakes:#?}");
        }
    }

    #[test]
    fn where_proofs_are_shared_is_said_whole_and_its_secrets_are_shown_to_nobody() {
        let folder = tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            format!("{name}_file = {:?}\n", file.display().to_string())
        };
        let start = format!("{START}[[route]]\npath = \"/\"\nrequire = \"public\"\n[dpop]\n");
        let (url, secret) = ("redis_url = \"redis://:hush@h\"\n", file("redis_secret", &"hush".repeat(8)));
        let origins = "origins = [\"https://api.example\"]\n";
        let config = read(&format!("{start}{origins}{url}{secret}alone_while_away = true")).unwrap();
        assert_eq!(config.dpop.redis_secret.as_ref().unwrap().expose(), "hush".repeat(8));
        let shown = format!("{}{config:?}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("hush"), "{shown}");
        let by_file = format!("{start}{origins}{secret}{}", file("redis_url", "redis://:hush@h\n"));
        assert_eq!(read(&by_file).unwrap().dpop.redis_url.unwrap().expose(), "redis://:hush@h");
        for (dpop, mistake) in [
            (format!("{origins}{url}"), "dpop.redis_url: is set without `dpop.redis_secret_file`"),
            (format!("{url}{secret}"), "dpop.redis_url: is set without `dpop.origins`"),
            (format!("{origins}{secret}"), "dpop.redis_secret_file: is set without `dpop.redis_url`"),
            (format!("{origins}alone_while_away = true"), "dpop.alone_while_away: is set without"),
            (
                format!("{origins}{url}{}", file("redis_secret", &"s".repeat(31))),
                "dpop.redis_secret_file: holds less than 32 characters",
            ),
        ] {
            let mistakes = read(&format!("{start}{dpop}")).unwrap_err();
            assert!(mistakes.iter().any(|it| it.contains(mistake)), "{mistake}: {mistakes:#?}");
        }
    }

    #[test]
    fn the_secret_is_read_from_its_file_and_shown_to_nobody() {
        let folder = tempdir().unwrap();
        let file = folder.path().join("secret");
        std::fs::write(&file, "pck_hush\n").unwrap();
        let policy =
            format!("[policy]\nclient_id = \"c\"\nclient_secret_file = {:?}\n", file.display().to_string());
        let route = "[[route]]\npath = \"/\"\nmethods = [\"GET\"]\nrequire = \"rbac(orders, read)\"";
        let config = read(&format!("{START}{policy}{route}")).unwrap();
        assert_eq!(config.policy.client_secret.as_ref().unwrap().expose(), "pck_hush");
        assert!(!format!("{config:?}").contains("hush"));
    }
}

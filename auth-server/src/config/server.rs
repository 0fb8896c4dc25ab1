//! The `server` section: where it listens, what it is called, whom it believes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::pages::Pages;
use crate::config::tls::Tls;
use crate::domain::issuer::{Issuer, IssuerError};

/// Where the server listens, what it is called, whom it believes.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Server {
    /// Address and port to listen on.
    pub listen: SocketAddr,
    /// The public address of this server, for example `https://id.example.com`. Every token carries it. Without it,
    /// a server that listens on a loopback address calls itself `http://localhost:PORT`.
    pub issuer: Option<IssuerSetting>,
    /// Folder for the database and the master key when nothing else is configured for them.
    pub data_dir: PathBuf,
    /// Networks of the reverse proxies whose word about the caller's address is believed.
    pub trusted_proxies: Vec<ProxyNetwork>,
    /// The one header those proxies set.
    pub proxy_header: ProxyHeader,
    /// Who may open the set-up page while no administrator exists.
    pub setup_from: SetupFrom,
    /// TLS without a proxy, and the certificates of clients.
    pub tls: Tls,
    /// Pages of whoever runs it.
    #[serde(flatten)]
    pub pages: Pages,
    /// What one request, and all of them together, may take.
    #[serde(flatten)]
    pub bounds: Bounds,
}

/// What one request, and all of them together, may take.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
pub struct Bounds {
    /// Largest request body that is read.
    #[schemars(range(min = 1024, max = 67_108_864))]
    pub max_body_bytes: usize,
    /// Longest time that a request may take.
    #[schemars(range(min = 1, max = 600))]
    pub request_timeout_secs: u64,
    /// Requests worked on at one time; one more is told to come back.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_in_flight: usize,
    /// Connections held open at one time; one more waits in the queue of the system.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_connections: usize,
}

impl Bounds {
    /// Longest time that a request may take.
    pub(crate) const fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_secs)
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080),
            issuer: None,
            data_dir: PathBuf::from("./data"),
            trusted_proxies: Vec::new(),
            proxy_header: ProxyHeader::XForwardedFor,
            setup_from: SetupFrom::Loopback,
            tls: Tls::default(),
            pages: Pages::default(),
            bounds: Bounds::default(),
        }
    }
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_body_bytes: 1 << 20, request_timeout_secs: 30, max_in_flight: 1024, max_connections: 8192 }
    }
}

/// The header in which a trusted proxy names the caller.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyHeader {
    /// `Forwarded` (RFC 7239).
    Forwarded,
    /// `X-Forwarded-For`.
    XForwardedFor,
}

/// Who may open the set-up page while no administrator exists. Everybody needs the printed code besides.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SetupFrom {
    /// Any address: for a container, where the browser never comes from the same machine.
    Anywhere,
    /// A browser on this machine.
    Loopback,
}

/// An issuer that holds the rules of [`Issuer`], with an error that explains them.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct IssuerSetting(Issuer);

impl IssuerSetting {
    /// The issuer.
    pub(crate) const fn issuer(&self) -> &Issuer {
        &self.0
    }
}

impl From<Issuer> for IssuerSetting {
    fn from(issuer: Issuer) -> Self {
        Self(issuer)
    }
}

impl FromStr for IssuerSetting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Issuer::parse(text).map(Self).map_err(|error| match (error, text.strip_prefix("http://")) {
            (IssuerError::PlainHttp, Some(rest)) => {
                format!("{error}. Put a reverse proxy with TLS in front, or set server.tls, and `https://{rest}` here")
            }
            _ => error.to_string(),
        })
    }
}

impl TryFrom<String> for IssuerSetting {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<IssuerSetting> for String {
    fn from(setting: IssuerSetting) -> Self {
        setting.0.to_string()
    }
}

/// A network in CIDR form; a single address counts as a network of one.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(into = "String", try_from = "String")]
#[schemars(with = "String")]
pub struct ProxyNetwork(IpNet);

impl ProxyNetwork {
    /// This machine.
    pub(crate) fn loopback() -> Vec<Self> {
        let whole =
            |address: IpAddr, bits| IpNet::new(address, bits).ok().map(|network| Self(network.trunc()));
        [whole(Ipv4Addr::LOCALHOST.into(), 8), whole(Ipv6Addr::LOCALHOST.into(), 128)]
            .into_iter()
            .flatten()
            .collect()
    }
}

impl FromStr for ProxyNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map(|network| Self(network.trunc()))
            .map_err(|_| format!("`{text}` is neither an address nor a network such as 10.0.0.0/8"))
    }
}

impl TryFrom<String> for ProxyNetwork {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ProxyNetwork> for String {
    fn from(network: ProxyNetwork) -> Self {
        network.to_string()
    }
}

impl fmt::Display for ProxyNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

//! From a name to the addresses that may be called.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
#[cfg(test)]
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::outbound::rules::Rules;

/// Where names are looked up.
#[derive(Clone)]
pub(crate) enum Resolver {
    /// As a test says.
    #[cfg(test)]
    Scripted(Script),
    /// As the machine does.
    System,
}

/// What a test says that a name leads to.
#[cfg(test)]
pub(crate) type Script = Arc<dyn Fn(&str) -> Vec<IpAddr> + Send + Sync>;

impl Resolver {
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        match self {
            #[cfg(test)]
            Self::Scripted(script) => Ok(script(host)),
            Self::System => Ok(tokio::net::lookup_host((host, 0)).await?.map(|found| found.ip()).collect()),
        }
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// Gives only addresses that may be called, so that nothing else can be connected to, whenever and however often a name is looked up.
pub(super) struct Screened {
    rules: Rules,
    resolver: Resolver,
}

impl Screened {
    pub(super) const fn new(rules: Rules, resolver: Resolver) -> Self {
        Self { rules, resolver }
    }
}

impl Resolve for Screened {
    fn resolve(&self, name: Name) -> Resolving {
        let (rules, resolver) = (self.rules.clone(), self.resolver.clone());
        Box::pin(async move {
            let found = resolver.look_up(name.as_str()).await?;
            let permitted = rules.screen(name.as_str(), &found)?;
            // The port is that of the URL.
            let addresses: Addrs = Box::new(permitted.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

//! Where the server listens: at one address, or at two.

use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

use crate::app::tls::Spoken;
use crate::config::Config;
use crate::http::at_address::AtAddress;
use crate::http::edge::Edge;
use crate::http::listen;

/// What the server listens on.
#[derive(Debug)]
pub struct Listeners {
    /// At its name.
    pub first: TcpListener,
    /// At the second address, where clients are asked for certificates: for `server.tls.mtls`.
    pub mtls: Option<TcpListener>,
}

impl From<TcpListener> for Listeners {
    fn from(first: TcpListener) -> Self {
        Self { first, mtls: None }
    }
}

/// Serves at each address until `stop` ends. They share the connections that may be open.
pub(super) async fn serve(
    listeners: Listeners,
    spoken: &Spoken,
    edge: Edge,
    config: &Config,
    stop: impl Future<Output = ()>,
) {
    let (edge, slots) = (Arc::new(edge), Arc::new(Semaphore::new(config.server.bounds.max_connections)));
    let (tell, told) = watch::channel(());
    let stopping = async {
        stop.await;
        // Whoever waits for news hears that there will be none.
        drop(tell);
    };
    let until = |mut told: watch::Receiver<()>| async move { _ = told.changed().await };
    let second = config.mtls_address();
    // A proxy brings what came to either address to one listener: which of them was reached, nobody knows here.
    let front = match (&second, &listeners.mtls) {
        (Some(_), Some(_)) => AtAddress::of(Arc::clone(&edge), config.issuer().origin()),
        _ => AtAddress::only(Arc::clone(&edge)),
    };
    let at_first = listen::serve(
        listeners.first,
        spoken.first.clone(),
        Arc::new(front),
        Arc::clone(&slots),
        until(told.clone()),
    );
    let at_second = async {
        // Without TLS nobody could be asked for a certificate there.
        if let (Some(listener), Some(tls), Some(address)) = (listeners.mtls, &spoken.mtls, &second) {
            let front = Arc::new(AtAddress::of(edge, address.origin()));
            listen::serve(listener, Some(tls.clone()), front, slots, until(told)).await;
        }
    };
    tokio::join!(stopping, at_first, at_second);
}

//! What every program that listens does: takes its port, and stops when it is asked to.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::exit::Failure;

/// Takes a port; `key` is how another one would be chosen.
pub(super) async fn bind(address: SocketAddr, key: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::failed(format!(
            "{address} is in use: another program listens there, maybe this server already. Stop it, or choose another \
             port with `{key}`"
        )),
        _ => Failure::failed(format!("cannot listen on {address}: {error}")),
    })
}

/// Ends when the process is asked to stop, by the system or at the keyboard.
pub(super) fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::failed)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: open requests may finish");
    })
}

//! `portcullis serve`: starts the server and says where it is.

use std::io::ErrorKind;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::version::VERSION;
use crate::config::{Config, Loaded};
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::telemetry;

pub(crate) async fn run(loaded: Loaded) -> Result<(), Failure> {
    let config = loaded.config;
    telemetry::start(&config.log);
    // The port first: a second server by mistake stops before it touches the data.
    let listener = bind(config.server.listen).await?;
    let stop = stop_signal()?;
    let app = App::open(config.clone(), Clock::system(), Entropy::os()).await?;
    output::text(&banner(&config))?;
    app.serve(listener, stop).await;
    tracing::info!("stopped");
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => Failure::failed(format!(
            "{address} is in use: another program listens there, maybe this server already. Stop it, or choose another \
             port with `--listen`"
        )),
        _ => Failure::failed(format!("cannot listen on {address}: {error}")),
    })
}

/// Ends when the process is asked to stop, by the system or at the keyboard.
fn stop_signal() -> Result<impl Future<Output = ()>, Failure> {
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

fn banner(config: &Config) -> String {
    format!("portcullis {VERSION}   data {}\n  Open   {}\n", config.data_dir().display(), config.issuer())
}

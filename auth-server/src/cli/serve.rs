//! `portcullis serve`: starts the server and says where it is.

use std::fmt::Write as _;

use crate::app::{App, Listeners};
use crate::cli::bootstrap::setup_link;
use crate::cli::exit::Failure;
use crate::cli::listening::{bind, stop_signal};
use crate::cli::output;
use crate::cli::version::VERSION;
use crate::config::{Config, Loaded, SetupFrom};
use crate::domain::audit::Actor;
use crate::domain::clock::Clock;
use crate::domain::secret::Entropy;
use crate::telemetry;

pub(crate) async fn run(loaded: Loaded) -> Result<(), Failure> {
    let config = loaded.config;
    telemetry::start(&config.journal.log);
    // The port first: a second server by mistake stops before it touches the data.
    let listeners = Listeners {
        first: bind(config.server.listen, "--listen").await?,
        mtls: match config.server.tls.mtls.as_ref().and_then(|second| second.listen) {
            Some(address) => Some(bind(address, "server.tls.mtls.listen").await?),
            None => None,
        },
    };
    let stop = stop_signal()?;
    let app = App::open(config.clone(), Clock::system(), Entropy::os()).await?;
    app.adopt_issuer().await?;
    output::text(&banner(&config, &app).await?)?;
    Box::pin(app.serve(listeners, stop)).await;
    tracing::info!("stopped");
    Ok(())
}

/// What a person who starts the server wants to know, and the way in while nobody administers it.
async fn banner(config: &Config, app: &App) -> Result<String, Failure> {
    let issuer = app.issuer();
    let keys: Vec<_> = app.keys().list().iter().map(|key| key.alg.to_string()).collect();
    let data = config.data_dir().display();
    let mut text = format!("portcullis {VERSION}   data {data}   keys {}\n", keys.join(", "));
    _ = writeln!(text, "  Open         {issuer}");
    if let Some(second) = config.mtls_address() {
        _ = writeln!(text, "  Certificates {second}");
    }
    if app.setup().pending().await? {
        let link = setup_link(&issuer, &app.setup().issue_link(Actor::System).await?);
        let whence = match config.server.setup_from {
            SetupFrom::Anywhere => "from anywhere",
            SetupFrom::Loopback => "from this machine only",
        };
        _ = writeln!(text, "  Finish here  {link}");
        _ = writeln!(
            text,
            "               works once, within 60 minutes, {whence}; if the page asks for the code, it is what follows `#k=`"
        );
        _ = writeln!(text, "  Missed it?   portcullis bootstrap admin --link");
    }
    Ok(text)
}

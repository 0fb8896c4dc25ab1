//! `portcullis gateway`: answers proxies, or looks at the file that it would do so by.

use std::path::Path;

use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::gateway::Gateway as Opened;
use crate::cli::context::{Context, Format};
use crate::cli::exit::Failure;
use crate::cli::listening::{bind, stop_signal};
use crate::cli::output::{self, Table};
use crate::cli::version::VERSION;
use crate::config::{GatewayConfig, MethodName, Route};
use crate::telemetry;

/// Answers proxies (nginx, Traefik, Envoy) whether the request that they have at hand may pass. `--config` names its own file.
#[derive(Args, Debug)]
pub(crate) struct Gateway {
    #[command(subcommand)]
    command: Option<GatewayCommand>,
}

/// Looks at the configuration of a gateway.
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Checks all of it, without the network and without leaving a trace, and prints the routes.
    Check,
    /// Prints the JSON Schema of the file.
    Schema,
}

impl Gateway {
    pub(crate) async fn run(&self, context: &Context) -> Result<(), Failure> {
        match self.command {
            None => serve(&read(context)?).await,
            Some(GatewayCommand::Check) => check(&read(context)?, context.format),
            Some(GatewayCommand::Schema) => output::json(&GatewayConfig::schema()),
        }
    }
}

fn read(context: &Context) -> Result<GatewayConfig, Failure> {
    let path: &Path = context.only_file()?;
    Ok(GatewayConfig::read(path)?)
}

async fn serve(config: &GatewayConfig) -> Result<(), Failure> {
    telemetry::start(&config.log);
    let listener = bind(config.gateway.listen, "gateway.listen").await?;
    let stop = stop_signal()?;
    let reload = signal(SignalKind::hangup()).map_err(Failure::failed)?;
    let gateway = Opened::open(config).await?;
    let (address, routes) = (config.gateway.listen, config.route.len());
    let audience = config.gateway.audience.as_deref().unwrap_or_default();
    output::text(&format!(
        "portcullis {VERSION} gateway   for {audience}   {}\n  nginx     http://{address}/nginx\n  Traefik   http://{address}/forward\n  Envoy     http://{address}/envoy, or gRPC at {address}\n",
        output::counted(u64::try_from(routes).unwrap_or_default(), "route", "routes"),
    ))?;
    gateway.serve(listener, reload, stop).await;
    tracing::info!("stopped");
    Ok(())
}

fn check(config: &GatewayConfig, format: Format) -> Result<(), Failure> {
    Opened::look(config)?;
    let lines: Vec<Line> = config.route.iter().map(Line::of).collect();
    let rows = lines.iter().map(|line| [line.methods.join(" "), line.path.to_owned(), line.require.clone()]);
    output::print(format, &lines, &Table::new(["METHODS", "PATH", "REQUIRES"], rows))
}

/// A route as it is printed.
#[derive(Serialize)]
struct Line<'a> {
    methods: Vec<&'a str>,
    path: &'a str,
    require: String,
}

impl<'a> Line<'a> {
    fn of(route: &'a Route) -> Self {
        let methods = route.methods.as_ref();
        Self {
            methods: methods
                .map_or_else(|| vec!["*"], |named| named.iter().map(MethodName::as_str).collect()),
            path: &route.path,
            require: String::from(route.require.clone()),
        }
    }
}

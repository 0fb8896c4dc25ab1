//! `portcullis client snippet`: what a client is configured with elsewhere. Secrets are named by a variable and never printed.

mod envoy;
mod facts;
mod guarded;
mod oauth2_proxy;
mod spring;

use clap::{Args, ValueEnum};

use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output;
use crate::cli::snippet::facts::Facts;
use crate::domain::ids::ClientId;

/// The variable that has the secret.
const SECRET: &str = "PORTCULLIS_CLIENT_SECRET";

/// What is to be configured, and for which client.
#[derive(Args, Debug)]
pub(crate) struct Snippet {
    /// What is to be configured.
    #[arg(value_enum, value_name = "PROGRAM")]
    program: Program,
    /// Which client, as `client list` prints it.
    #[arg(value_name = "CLIENT_ID")]
    client: String,
}

/// What knows clients of this server.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Program {
    /// A service or pages in Rust, with the guard.
    Axum,
    /// Envoy in front of a service, with `portcullis gateway`.
    Envoy,
    /// oauth2-proxy in front of pages.
    #[value(name = "oauth2-proxy")]
    Oauth2Proxy,
    /// A service, pages or a machine with Spring Boot.
    Spring,
}

/// The client is none for the program: why.
type Unfit = &'static str;

const FOR_SECRETS: Unfit = "it proves who it is by a secret, which this client does not";
const WITHOUT_API: Unfit = "the client needs an API: it was given none";

pub(crate) async fn run(context: &Context, snippet: &Snippet) -> Result<(), Failure> {
    let written = &snippet.client;
    let id = ClientId::parse(written).map_err(|_| Failure::usage(format!("`{written}` is no client id")))?;
    let app = context.existing_app().await?;
    let client = app.clients().show(&id).await?.value;
    let mut audiences = Vec::new();
    for api in client.settings.serves.iter().chain(&client.settings.apis) {
        audiences.push(app.apis().show(api).await?.value.audience.as_str().to_owned());
    }
    let issuer = app.served_issuer().await?.as_str().to_owned();
    let facts = Facts { issuer, audiences, client: &client };
    let text = match snippet.program {
        Program::Axum => guarded::text(&facts),
        Program::Envoy => envoy::text(&facts),
        Program::Oauth2Proxy => oauth2_proxy::text(&facts),
        Program::Spring => spring::text(&facts),
    };
    let text = text.map_err(|why| Failure::failed(format!("{written} is not for that: {why}")))?;
    output::text(&text)
}

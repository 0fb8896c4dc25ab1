//! Tools for language models (Model Context Protocol, streamable HTTP): clients find the issuer by themselves, and one of the tools
//! asks the policy.
//!
//! Start the server (`cargo run --release`), and register the service and a caller, from the root of the repository. The API has the
//! name by which clients reach it:
//!
//! ```sh
//! umask 077
//! alias portcullis=target/release/portcullis
//! portcullis client create --preset service --name Tools --api http://127.0.0.1:8086/mcp --format json > tools.json
//! portcullis client create --preset m2m --name Model --api http://127.0.0.1:8086/mcp --role viewer --format json > model.json
//! ```
//!
//! Start this service:
//!
//! ```sh
//! export TOOLS_ISSUER=http://localhost:8080 TOOLS_URL=http://127.0.0.1:8086/mcp
//! export TOOLS_CLIENT_ID=$(jq -r .client_id tools.json) TOOLS_CLIENT_SECRET=$(jq -r .client_secret tools.json)
//! cargo run --release -p portcullis-guard --example mcp
//! ```
//!
//! Ask without a token: 401, and `resource_metadata` says where a client reads on. Then with one, for the tool that everybody may
//! call, and for the one that viewers may not:
//!
//! ```sh
//! ask() { curl -i http://127.0.0.1:8086/mcp -H 'Content-Type: application/json' \
//!   -H 'Accept: application/json, text/event-stream' "$@"; }
//! ask -d '{"jsonrpc": "2.0", "id": 1, "method": "tools/list"}'
//! curl -s http://127.0.0.1:8086/.well-known/oauth-protected-resource/mcp | jq .
//! TOKEN=$(curl -s http://localhost:8080/token -u "$(jq -r '.client_id + ":" + .client_secret' model.json)" \
//!   -d grant_type=client_credentials -d resource=http://127.0.0.1:8086/mcp | jq -r .access_token)
//! ask -H "Authorization: Bearer $TOKEN" \
//!   -d '{"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "stock", "arguments": {"item": "gate"}}}'
//! ask -H "Authorization: Bearer $TOKEN" \
//!   -d '{"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "order", "arguments": {"item": "gate"}}}'
//! ```

use std::env;
use std::error::Error;
use std::sync::Arc;

use axum::Router;
use axum::routing::{any_service, get};
use http::Uri;
use http::request::Parts;
use http::uri::InvalidUri;
use portcullis_guard::{
    Decider, Guard, GuardExt, GuardedRouter, Issuer, Policy, PolicyEndpoint, ProtectedResource,
    authenticated, public, rbac,
};
use rmcp::handler::server::tool::Extension;
use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CallToolResult, ContentBlock, ServerCapabilities, ServerConfig};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let (issuer, url) = (required("TOOLS_ISSUER")?, required("TOOLS_URL")?);
    let rules = format!("{}/policies/snapshot", issuer.trim_end_matches('/'));
    let rules = PolicyEndpoint::new(rules, required("TOOLS_CLIENT_ID")?, required("TOOLS_CLIENT_SECRET")?);
    let guard = Guard::builder()
        .issuer(Issuer::oidc(&issuer))
        .audience(&url)
        .protected_resource(ProtectedResource::new().name("Tools of the shop"))
        .policy(Policy::remote(rules))
        .build()
        .await?;
    let listen = env::var("TOOLS_LISTEN").unwrap_or_else(|_| "127.0.0.1:8086".to_owned());
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    tracing::info!(listen, "tools are served");
    axum::serve(listener, app(&guard, &url)?).await?;
    Ok(())
}

fn app(guard: &Guard, url: &str) -> Result<Router, InvalidUri> {
    let routes = GuardedRouter::new()
        .route("/mcp", any_service(tools(&url.parse()?)).guard(authenticated()))
        .route("/health", get(async || "ok").guard(public()));
    Ok(routes.guarded_by(guard))
}

/// No sessions: each request comes with its token and stands for itself, so there is none that somebody else could take over.
fn tools(url: &Uri) -> StreamableHttpService<Tools, NeverSessionManager> {
    // Unless told, it answers on this machine only.
    let hosts = url.authority().map(ToString::to_string);
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts);
    StreamableHttpService::new(|| Ok(Tools), Arc::new(NeverSessionManager::default()), config)
}

#[derive(Clone)]
struct Tools;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Wanted {
    /// What it is called.
    item: String,
}

#[tool_router]
impl Tools {
    #[tool(description = "How many of an item are there")]
    async fn stock(&self, Parameters(Wanted { item }): Parameters<Wanted>) -> String {
        format!("7 of {item}")
    }

    /// The model reads why it may not, and the name of the decision leads to the line in the log.
    #[tool(description = "Order an item")]
    async fn order(
        &self,
        Parameters(Wanted { item }): Parameters<Wanted>,
        Extension(request): Extension<Parts>,
    ) -> CallToolResult {
        match Decider::of(&request.extensions).decide_when_known(&rbac("orders", "create")).await {
            Ok(_) => CallToolResult::success(vec![ContentBlock::text(format!("{item} is ordered"))]),
            Err(refused) => {
                let name = refused.decision().map(|decision| format!(" ({})", decision.id()));
                let text = format!("{refused}{}", name.unwrap_or_default());
                CallToolResult::error(vec![ContentBlock::text(text)])
            }
        }
    }
}

#[tool_handler]
impl ServerHandler for Tools {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }
}

fn required(name: &str) -> Result<String, String> {
    env::var(name).map_err(|_| format!("{name} is not set"))
}

//! The official client library of the Model Context Protocol, at the example of the guard that serves tools.

use std::path::Path;
use std::process::Command;

use portcullis_tests::database::required;
use portcullis_tests::document_at::DocumentAt;
use portcullis_tests::proxied::{Listening, free_port};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::ground::Ground;
use crate::program::Program;

/// The example, as its own text says to start it.
async fn tools(ground: &Ground, folder: &Path, port: u16) -> Listening {
    let guard = ground.admin.guard_client(&ground.api).await;
    let program = Path::new(&required("PORTCULLIS_TEST_BINARY")).with_file_name("examples").join("mcp");
    let mut command = Command::new(program);
    command
        .env("TOOLS_ISSUER", ground.issuer())
        .env("TOOLS_URL", &ground.api.audience)
        .env("TOOLS_CLIENT_ID", &guard.id)
        .env("TOOLS_CLIENT_SECRET", guard.secret.unwrap_or_default())
        .env("TOOLS_LISTEN", format!("127.0.0.1:{port}"));
    Listening::start(command, (port, "/health"), folder.join("tools.log")).await
}

/// Runs a flow on a server that is started with settings; `{}` stands for where the tools are.
async fn uses_tools(flow: &str, settings: &[&str], more: Value) {
    let (folder, port) = (tempdir().unwrap(), free_port());
    let audience = format!("http://127.0.0.1:{port}/mcp");
    let settings: Vec<String> = settings.iter().map(|setting| setting.replace("{}", &audience)).collect();
    let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
    let ground = Ground::with(&audience, &settings).await;
    ground.admin.assign(&ground.api, "viewer", &ground.person.id).await;
    let _tools = tools(&ground, folder.path(), port).await;
    Program::start("node", "mcp.mjs").run(flow, &ground, more).await;
}

#[tokio::test]
async fn a_client_of_the_model_context_protocol_finds_the_issuer_and_uses_tools() {
    uses_tools("registered", &[], Value::Null).await;
}

#[tokio::test]
async fn a_client_of_the_model_context_protocol_registers_by_itself() {
    uses_tools("registration", &["registration.dynamic=open", "registration.apis=[\"{}\"]"], Value::Null)
        .await;
}

#[tokio::test]
async fn a_client_of_the_model_context_protocol_is_named_by_its_document() {
    let place = DocumentAt::start().await;
    let mut document = place.good();
    document["redirect_uris"] = json!(["http://127.0.0.1/cb"]);
    place.publish(&document);
    let authority = format!("outbound.ca_file={}", DocumentAt::authority().display());
    let settings =
        [&authority, "registration.client_id_metadata_documents=any", "registration.apis=[\"{}\"]"];
    uses_tools("document", &settings, json!({ "document": place.client_id })).await;
    assert_eq!(place.asked(), 1);
}

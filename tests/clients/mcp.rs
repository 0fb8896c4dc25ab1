//! The official client library of the Model Context Protocol, at the example of the guard that serves tools.

use std::path::Path;
use std::process::Command;

use portcullis_tests::database::required;
use portcullis_tests::proxied::{Listening, free_port};
use rstest::rstest;
use serde_json::Value;
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

#[rstest]
#[case::registered("registered")]
#[case::registration("registration")]
#[tokio::test]
async fn a_client_of_the_model_context_protocol_finds_the_issuer_and_uses_tools(#[case] flow: &str) {
    let (folder, port) = (tempdir().unwrap(), free_port());
    let ground = Ground::new(&format!("http://127.0.0.1:{port}/mcp")).await;
    ground.admin.assign(&ground.api, "viewer", &ground.person.id).await;
    let _tools = tools(&ground, folder.path(), port).await;
    Program::start("node", "mcp.mjs").run(flow, &ground, Value::Null).await;
}

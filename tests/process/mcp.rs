//! Tools for language models behind the guard.

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::Sqlite;
use serde_json::{Value, json};

use crate::commands::json as json_of;
use crate::example::{Example, Ground, instructions};

/// A request of JSON-RPC, with a token unless that is empty.
async fn ask(tools: &Example, token: &str, method: &str, params: Value) -> Answer {
    let request = agent().post(format!("{}/mcp", tools.address));
    let request = request.header("accept", "application/json, text/event-stream");
    let request = if token.is_empty() { request } else { request.bearer_auth(token) };
    let asked = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    Answer::to(request.json(&asked)).await
}

async fn call(tools: &Example, token: &str, tool: &str) -> Value {
    let params = json!({ "name": tool, "arguments": { "item": "gate" } });
    let answer = ask(tools, token, "tools/call", params).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["result"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_finds_the_issuer_and_the_policy_decides_on_tools_sqlite() {
    let ground = Ground::new(Sqlite, "http://127.0.0.1:8086").await;
    let [register, start, calls] = <[String; 3]>::try_from(instructions("mcp.rs")).expect("three blocks");
    ground.terminal().run(&ground.at_home(&register));
    let tools = ground.start(&start).await;
    assert_eq!(ground.terminal().statuses(&ground.at_home(&calls)), [401, 200, 200]);

    // Without a token, a client is told where it reads on, and from there who the issuer is.
    let refused = ask(&tools, "", "initialize", json!({})).await;
    let metadata = format!("{}/.well-known/oauth-protected-resource/mcp", tools.address);
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("www-authenticate"), format!(r#"Bearer resource_metadata="{metadata}""#));
    let document = Answer::to(agent().get(&metadata)).await.json();
    let (api, issuer) = (format!("{}/mcp", tools.address), &ground.server.address);
    assert_eq!(document["resource"], api.as_str());
    assert_eq!(document["authorization_servers"], json!([issuer]));
    let server =
        Answer::to(agent().get(format!("{issuer}/.well-known/oauth-authorization-server"))).await.json();
    assert_eq!(server["issuer"], issuer.as_str());

    let (model, clerk) = (ground.client("model.json"), ground.other(&api, Some("editor")));
    let (viewer, editor) = (ground.token(&model, &api).await, ground.token(&clerk, &api).await);
    let hello = json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } });
    let answer = ask(&tools, &viewer, "initialize", hello).await;
    assert_eq!((answer.status.as_u16(), answer.header("mcp-session-id")), (200, ""), "{}", answer.text());
    assert!(answer.json()["result"]["capabilities"]["tools"].is_object(), "{}", answer.text());
    let listed = ask(&tools, &viewer, "tools/list", json!({})).await.json();
    let listed = listed["result"]["tools"].as_array().unwrap();
    let names: Vec<_> = listed.iter().map(|tool| tool["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["order", "stock"]);

    assert_eq!(call(&tools, &viewer, "stock").await["content"][0]["text"], "7 of gate");
    let refused = call(&tools, &viewer, "order").await;
    let text = refused["content"][0]["text"].as_str().unwrap();
    assert_eq!(refused["isError"], true);
    assert!(text.starts_with("The policy of this service does not allow this (dec_"), "{text}");
    let ordered = call(&tools, &editor, "order").await;
    assert_eq!(
        (&ordered["isError"], &ordered["content"][0]["text"]),
        (&json!(false), &json!("gate is ordered"))
    );

    // A token for another API is none here, whoever it was issued to.
    let elsewhere = "https://other.example";
    json_of(
        &ground.place,
        &["client", "create", "--preset", "service", "--name", "Other", "--api", elsewhere],
    );
    let stray = ground.token(&ground.other(elsewhere, Some("editor")), elsewhere).await;
    let answer = ask(&tools, &stray, "tools/list", json!({})).await;
    assert_eq!(answer.status, 401);
    assert!(answer.header("www-authenticate").contains("resource_metadata="), "{:?}", answer.headers);
}

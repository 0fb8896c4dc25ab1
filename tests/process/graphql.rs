//! One GraphQL route, whose resolvers ask the policy.

use portcullis_tests::agent::{Answer, agent};
use portcullis_tests::database::Database::Sqlite;
use portcullis_tests::process::eventually;
use serde_json::{Value, json};

use crate::commands::said;
use crate::example::{Example, Ground, instructions};

const DOCS: &str = "https://docs.example";

async fn ask(docs: &Example, token: &str, query: &str, variables: Value) -> Answer {
    let request = agent().post(format!("{}/graphql", docs.address)).bearer_auth(token);
    Answer::to(request.json(&json!({ "query": query, "variables": variables }))).await
}

/// The first error of an answer: what it says, and its extensions.
fn error(answer: &Answer) -> (String, Value) {
    let error = answer.json()["errors"][0].clone();
    (error["message"].as_str().unwrap_or_default().to_owned(), error["extensions"].clone())
}

const READ: &str = "query ($id: Int!) { document(id: $id) { title } }";
const RENAME: &str = "mutation ($id: Int!, $title: String!) { rename(id: $id, title: $title) { title } }";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resolvers_decide_about_each_document_by_the_policy_sqlite() {
    let ground = Ground::new(Sqlite, "http://127.0.0.1:8085").await;
    let [register, start, calls] = <[String; 3]>::try_from(instructions("graphql.rs")).expect("three blocks");
    ground.terminal().run(&ground.at_home(&register));
    let docs = ground.start(&start).await;
    let printed = ground.terminal().run(&ground.at_home(&calls));
    assert_eq!(ground.terminal().statuses(&ground.at_home(&calls)), [401, 200, 200]);
    assert!(
        printed.contains(r#""title":"Opening hours""#) && printed.contains(r#""decision":"dec_"#),
        "{printed}"
    );
    assert!(!printed.contains("Where the key is"), "{printed}");

    let (robot, editor) = (ground.client("robot.json"), ground.other(DOCS, Some("editor")));
    let (viewer, editor) = (ground.token(&robot, DOCS).await, ground.token(&editor, DOCS).await);
    let refused = ask(&docs, &viewer, READ, json!({ "id": 2 })).await;
    let (message, extensions) = error(&refused);
    assert_eq!((refused.status.as_u16(), &refused.json()["data"]["document"]), (200, &Value::Null));
    assert_eq!(
        (message.as_str(), &extensions["status"]),
        ("The policy of this service does not allow this", &json!(403))
    );
    let all = "{ documents { title } }";
    let titles = |answer: &Answer| answer.json()["data"]["documents"].as_array().map(Vec::len);
    assert_eq!(titles(&ask(&docs, &viewer, all, json!({})).await), Some(1));
    assert_eq!(titles(&ask(&docs, &editor, all, json!({})).await), Some(2));

    let changed = json!({ "id": 1, "title": "AT&T <3 'us'" });
    assert_eq!(error(&ask(&docs, &viewer, RENAME, changed.clone()).await).1["status"], 403);
    let renamed = ask(&docs, &editor, RENAME, changed).await;
    assert_eq!(renamed.json()["data"]["rename"]["title"], "AT&T <3 'us'");

    // Rules that are activated hold for the next question.
    let rules = ground.here.path().join("closed.csv");
    std::fs::write(&rules, "p, editor, *, documents/*, read\n").unwrap();
    for arguments in [&["push", rules.to_str().unwrap()][..], &["activate", "--message", "Nothing is public"]]
    {
        let output = ground.place.run(&[&["policy"], arguments, &["--api", DOCS]].concat());
        assert!(output.status.success(), "{}", said(&output));
    }
    let closed = async || error(&ask(&docs, &viewer, READ, json!({ "id": 1 })).await).1["status"] == 403;
    eventually("the service hears of the new rules", closed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_asks_for_too_much_or_is_malformed_is_refused_sqlite() {
    let ground = Ground::new(Sqlite, "http://127.0.0.1:8085").await;
    let [register, start, _] = <[String; 3]>::try_from(instructions("graphql.rs")).expect("three blocks");
    ground.terminal().run(&ground.at_home(&register));
    let docs = ground.start(&start).await;
    let token = ground.token(&ground.client("robot.json"), DOCS).await;
    // The policy of inputs, before anything is parsed as GraphQL.
    for (variables, status) in [
        (json!({ "id": 1, "title": "two\nlines" }), 422),
        (json!({ "id": 1, "title": "" }), 422),
        (json!({ "id": 1, "title": "a\u{0}b" }), 422),
        (json!({ "id": 1, "title": "x".repeat(81) }), 422),
    ] {
        let refused = ask(&docs, &token, RENAME, variables.clone()).await;
        assert_eq!(
            (refused.status.as_u16(), refused.member("code").as_str()),
            (status, "invalid_body"),
            "{variables}"
        );
    }
    let twice = r#"{"query": "{ documents { id } }", "query": "{ document(id: 2) { title } }"}"#;
    let request = agent().post(format!("{}/graphql", docs.address)).bearer_auth(&token);
    let request = request.header("content-type", "application/json").body(twice);
    assert_eq!(Answer::to(request).await.status, 400, "a query that has two readings");
    assert_eq!(ask(&docs, &token, &"x".repeat(4_001), json!({})).await.status, 422);

    let many: Vec<_> = (0..60).map(|number| format!("d{number}: document(id: 1) {{ title }}")).collect();
    let refused = ask(&docs, &token, &format!("{{ {} }}", many.join(" ")), json!({})).await;
    assert_eq!(error(&refused).0, "Query is too complex.");
    let deep = "{ __schema { types { fields { type { ofType { ofType { name } } } } } } }";
    assert_eq!(error(&ask(&docs, &token, deep, json!({})).await).0, "Query is nested too deep.");
}

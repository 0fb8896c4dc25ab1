//! Every statement is known to both databases, and none of them reads a growing table from end to end.

use rusqlite::Connection;
use serde_json::Value as Json;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, Row};

use super::support::{Backend, Fixture};
use crate::storage::dialect::Dialect;
use crate::storage::{
    account_deletions, apis, applications, assignments, audit, ciba_requests, cleanup, clients, consents,
    credentials, decision_records, details_types, device_authorizations, epochs, forgotten, grants,
    initial_tokens, interactions, inventories, invitations, jobs, letter_sign_ins, logos, logout_notices,
    mail_outbox, migrations, organisations, passkeys, policies, refresh_tokens, registrations, revocations,
    roles, schedules, second_steps, secret_uses, sessions, shadows, signing_keys, single_use, users,
};

/// Tables that stay small however long a server runs.
const SMALL: [&str; 5] = ["audit_head", "details_types", "epochs", "schema_migrations", "signing_keys"];

fn statements(dialect: Dialect) -> Vec<&'static str> {
    let own = match dialect {
        Dialect::Postgres => audit::STATEMENTS_POSTGRES,
        Dialect::Sqlite => audit::STATEMENTS_SQLITE,
    };
    let shared = [
        account_deletions::STATEMENTS,
        apis::STATEMENTS,
        applications::STATEMENTS,
        assignments::STATEMENTS,
        audit::STATEMENTS,
        ciba_requests::STATEMENTS,
        cleanup::STATEMENTS,
        clients::STATEMENTS,
        consents::STATEMENTS,
        credentials::STATEMENTS,
        decision_records::STATEMENTS,
        details_types::STATEMENTS,
        device_authorizations::STATEMENTS,
        epochs::STATEMENTS,
        forgotten::STATEMENTS,
        grants::STATEMENTS,
        initial_tokens::STATEMENTS,
        interactions::STATEMENTS,
        inventories::STATEMENTS,
        invitations::STATEMENTS,
        jobs::STATEMENTS,
        letter_sign_ins::STATEMENTS,
        logos::STATEMENTS,
        logout_notices::STATEMENTS,
        mail_outbox::STATEMENTS,
        migrations::STATEMENTS,
        organisations::STATEMENTS,
        passkeys::STATEMENTS,
        policies::STATEMENTS,
        refresh_tokens::STATEMENTS,
        registrations::STATEMENTS,
        revocations::STATEMENTS,
        roles::STATEMENTS,
        schedules::STATEMENTS,
        second_steps::STATEMENTS,
        secret_uses::STATEMENTS,
        sessions::STATEMENTS,
        shadows::STATEMENTS,
        signing_keys::STATEMENTS,
        single_use::STATEMENTS,
        users::STATEMENTS,
    ];
    shared
        .into_iter()
        .flatten()
        .chain(own)
        .copied()
        .chain([dialect.due_jobs(), dialect.due_letters(), dialect.due_logout_notices(), dialect.due_pings()])
        .chain([dialect.allowed_applications(), dialect.consume_from_user()])
        .collect()
}

/// A file whose statements are left out of the list above would go unexamined.
#[test]
fn every_statement_of_every_file_is_in_the_list() {
    let folder =
        std::path::Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo says where the package is"))
            .join("src/storage");
    let known = [statements(Dialect::Postgres), statements(Dialect::Sqlite)].concat();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for (name, sql) in constants(&text) {
            let said = squeeze(&sql);
            let is_sql = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH "]
                .iter()
                .any(|verb| said.starts_with(verb));
            if is_sql {
                seen += 1;
                assert!(known.iter().any(|known| squeeze(known) == said), "{name} in {}", path.display());
            }
        }
    }
    assert!(seen > 80, "{seen}");
}

/// The text constants of a source file.
fn constants(source: &str) -> Vec<(String, String)> {
    source
        .split("const ")
        .skip(1)
        .filter_map(|rest| {
            let (name, rest) = rest.split_once(": &str =")?;
            let text = rest.trim_start().strip_prefix('"')?.split_once('"')?.0;
            Some((name.to_owned(), text.to_owned()))
        })
        .collect()
}

fn squeeze(sql: &str) -> String {
    sql.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_growing(table: &str) -> bool {
    !SMALL.contains(&table)
}

/// What would read one growing table from end to end, to show that the examination sees it.
const BAD: &str = "SELECT id FROM users WHERE name = $1";

#[tokio::test]
async fn sqlite_prepares_every_statement_and_scans_no_growing_table() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let connection = fixture.place.beside();
    for sql in statements(Dialect::Sqlite) {
        assert_eq!(sqlite_scan(&connection, sql), None, "{sql}");
    }
    assert_eq!(sqlite_scan(&connection, BAD).as_deref(), Some("SCAN users"));
}

fn sqlite_scan(connection: &Connection, sql: &str) -> Option<String> {
    let explain = format!("EXPLAIN QUERY PLAN {sql}");
    let mut plan = connection.prepare(&explain).unwrap_or_else(|error| panic!("{error}: {sql}"));
    let mut rows = plan.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get::<_, String>("detail").unwrap());
    }
    steps.into_iter().find(|step| {
        let scanned = step.strip_prefix("SCAN ").and_then(|rest| rest.split_whitespace().next());
        // What stands in the statement itself is no table.
        let is_constant = step.contains("CONSTANT ROW") || step.contains("-ROW VALUES CLAUSE");
        let is_bounded = step.contains("SUBQUERY") || is_constant || stops_at_limit(step, sql);
        scanned.is_some_and(|name| is_growing(&table_of(sql, name))) && !is_bounded
    })
}

/// Reading the first rows of an index in its order stops at the limit.
fn stops_at_limit(step: &str, sql: &str) -> bool {
    step.contains("INDEX") && sql.contains("LIMIT $") && sql.contains("ORDER BY")
}

/// The table that an alias stands for.
fn table_of(sql: &str, alias: &str) -> String {
    let words: Vec<&str> = sql.split_whitespace().collect();
    words
        .windows(3)
        .find(|window| matches!(window[0], "FROM" | "JOIN") && window[2].trim_end_matches(',') == alias)
        .map_or_else(|| alias.to_owned(), |window| window[1].to_owned())
}

#[tokio::test]
async fn postgres_prepares_every_statement_and_scans_no_growing_table() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let pool = PgPool::connect(&fixture.place.options.url).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    // Small tables are always scanned, unless the planner is told not to: then it scans only what it must.
    let settings = "SET enable_seqscan = off; SET plan_cache_mode = force_generic_plan";
    sqlx::raw_sql(settings).execute(&mut *connection).await.unwrap();
    for sql in statements(Dialect::Postgres) {
        assert_eq!(postgres_scan(&mut connection, sql).await, None, "{sql}");
    }
    let found = postgres_scan(&mut connection, BAD).await;
    assert!(found.as_ref().is_some_and(|found| found.contains("users")), "{found:?}");
}

async fn postgres_scan(connection: &mut PgConnection, sql: &str) -> Option<String> {
    let prepare = AssertSqlSafe(format!("DEALLOCATE ALL; PREPARE examined AS {sql}"));
    sqlx::raw_sql(prepare).execute(&mut *connection).await.unwrap_or_else(|error| panic!("{error}: {sql}"));
    let nulls = vec!["NULL"; parameters(sql)].join(", ");
    let arguments = if nulls.is_empty() { nulls } else { format!("({nulls})") };
    let explain = AssertSqlSafe(format!("EXPLAIN (FORMAT JSON) EXECUTE examined{arguments}"));
    let row = sqlx::raw_sql(explain).fetch_one(&mut *connection).await.unwrap();
    let plan: Json = serde_json::from_str(row.try_get_raw(0).unwrap().as_str().unwrap()).unwrap();
    scan_in(&plan[0]["Plan"], sql)
}

fn parameters(sql: &str) -> usize {
    (1..40).rev().find(|number| sql.contains(&format!("${number}"))).unwrap_or(0)
}

fn scan_in(node: &Json, sql: &str) -> Option<String> {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let table = node["Relation Name"].as_str().unwrap_or_default();
    let in_order = matches!(kind, "Index Scan" | "Index Only Scan") && stops_at_limit("INDEX", sql);
    let is_bounded =
        !node["Index Cond"].is_null() || matches!(kind, "Bitmap Heap Scan" | "ModifyTable") || in_order;
    if !table.is_empty() && is_growing(table) && !is_bounded {
        return Some(format!("{kind} on {table}"));
    }
    node["Plans"].as_array().into_iter().flatten().find_map(|child| scan_in(child, sql))
}

//! One thing, again and again: for a program that counts instructions.

use http::StatusCode;

use crate::apps::{self, Keyed};
use crate::cost::answer;

const OK: StatusCode = StatusCode::OK;

/// Does it so many times, after as much as it takes to be ready.
///
/// ```sh
/// valgrind --tool=callgrind .. repeat limit 20000
/// ```
pub(crate) async fn run(name: &str, count: usize) {
    let keyed = Keyed::new();
    let tokens = keyed.tokens(if matches!(name, "unseen" | "jwt-authorizer") { count } else { 1 }, 0);
    let bearing = |n: usize| apps::known(apps::with_token(&tokens[n % tokens.len()]), 1);
    let deleted = |_| apps::known(apps::bearing(apps::at("/deleted"), &tokens[0]), 1);
    let from = |n: usize| apps::from(u32::try_from(n % 1_000).expect("a small number"));
    let requests = 0..count;
    match name {
        "bare" => answer(&apps::bare(), requests.map(from).collect(), OK).await,
        "public" => answer(&apps::unlimited().await, requests.map(from).collect(), OK).await,
        "limit" => answer(&apps::limited(100_000).await, requests.map(from).collect(), OK).await,
        "governor" => answer(&apps::governor(), requests.map(from).collect(), OK).await,
        "unseen" => answer(&keyed.guard().await, requests.map(bearing).collect(), OK).await,
        "jwt-authorizer" => answer(&keyed.jwt_authorizer().await, requests.map(bearing).collect(), OK).await,
        "seen" => answer(&keyed.stack(10).await, requests.map(bearing).collect(), OK).await,
        "wrong-role" => {
            answer(&keyed.stack(10).await, requests.map(deleted).collect(), StatusCode::FORBIDDEN).await
        }
        "no-token" => {
            answer(&keyed.stack(10).await, requests.map(from).collect(), StatusCode::UNAUTHORIZED).await
        }
        other => panic!("{other} is nothing to repeat"),
    }
}

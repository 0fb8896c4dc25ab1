//! What bad traffic costs: never more than the good that it stands for.

use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Request, StatusCode};

use crate::apps::{self, Keyed};
use crate::calls::{REQUESTS, SLOW, STACK_SEEN, STACK_UNSEEN};
use crate::cost::{Table, of, of_status};

/// Each refusal, and the accepted request that costs at least as much.
const KINDS: [(&str, &str); 10] = [
    ("refused: no token", STACK_SEEN),
    ("refused: malformed path", STACK_SEEN),
    ("refused: over the limit", STACK_SEEN),
    ("refused: wrong role, token seen before", STACK_SEEN),
    ("refused: no token at all, but 1 MB of letters", STACK_SEEN),
    ("refused: alg none", STACK_UNSEEN),
    ("refused: unknown kid", STACK_UNSEEN),
    ("refused: bad signature, a token each", STACK_UNSEEN),
    ("refused: expired, a token each", STACK_UNSEEN),
    ("refused: wrong role, a token each", STACK_UNSEEN),
];

pub(crate) struct Refusals {
    keyed: Keyed,
    stack: Router,
    narrow: Router,
    seen: String,
    huge: String,
    alg_none: String,
    unknown_kid: String,
}

impl Refusals {
    pub(crate) async fn new() -> Self {
        let keyed = Keyed::new();
        let (stack, narrow) = (keyed.stack(10_000).await, keyed.narrow_stack().await);
        let seen = keyed.tokens(1, 0).remove(0);
        // The one request that the narrow limit lets through.
        of(&narrow, 1, |_| apps::known(apps::with_token(&seen), 1)).await;
        let headed = |header: &str| {
            let (_, rest) = seen.split_once('.').expect("a token has three parts");
            format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header))
        };
        Self {
            stack,
            narrow,
            huge: "a".repeat(1_000_000),
            alg_none: headed(r#"{"typ":"at+jwt","alg":"none"}"#),
            unknown_kid: headed(r#"{"typ":"at+jwt","alg":"ES256","kid":"other"}"#),
            seen,
            keyed,
        }
    }

    pub(crate) async fn round(&self, round: u32, table: &mut Table) {
        let floor = of(&apps::bare(), REQUESTS, |_| apps::plain()).await;
        let token = |token: &str| apps::known(apps::with_token(token), 1);
        let seen_at = |path| apps::known(apps::bearing(apps::at(path), &self.seen), 1);
        let first = 10_000_000 + round * 100_000;
        let fresh = self.keyed.tokens(SLOW, first);
        let old = self.keyed.old_tokens(SLOW, first);
        let forged: Vec<String> = fresh.iter().map(|token| forged(token)).collect();
        let no_token = self.cost(REQUESTS, 401, |_| apps::from(1)).await;
        let path = self.cost(REQUESTS, 400, |_| seen_at("/things/a%2fb")).await;
        let limit =
            of_status(&self.narrow, REQUESTS, StatusCode::TOO_MANY_REQUESTS, |_| token(&self.seen)).await;
        let role = self.cost(REQUESTS, 403, |_| seen_at("/deleted")).await;
        let huge = self.cost(100, 401, |_| token(&self.huge)).await;
        let none = self.cost(SLOW, 401, |_| token(&self.alg_none)).await;
        let kid = self.cost(SLOW, 401, |_| token(&self.unknown_kid)).await;
        let signature = self.cost(SLOW, 401, |n| token(&forged[n])).await;
        let expired = self.cost(SLOW, 401, |n| token(&old[n])).await;
        let deleted = |n: usize| apps::known(apps::bearing(apps::at("/deleted"), &fresh[n]), 1);
        let role_each = self.cost(SLOW, 403, deleted).await;
        let costs = [no_token, path, limit, role, huge, none, kid, signature, expired, role_each];
        for (cost, (name, _)) in costs.into_iter().zip(KINDS) {
            table.add(name, cost - floor);
        }
    }

    async fn cost(&self, count: usize, status: u16, make: impl Fn(usize) -> Request<Body>) -> f64 {
        let status = StatusCode::from_u16(status).expect("a status");
        of_status(&self.stack, count, status, make).await
    }

    pub(crate) fn hold(table: &mut Table) {
        for (name, accepted) in KINDS {
            let (is, at_most) = (table.median(name), table.median(accepted));
            table.hold(name, is, at_most, accepted);
        }
    }
}

/// The token with another signature.
fn forged(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').expect("a token has three parts");
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}

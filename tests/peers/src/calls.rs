//! What a request costs inside a process.

use axum::Router;

use crate::apps::{self, Keyed};
use crate::bodies::Bodies;
use crate::cost::{Table, of};
use crate::hostile::Hostile;
use crate::limits;
use crate::raw::Signed;
use crate::refusals::Refusals;
use crate::reload::Reload;
use crate::rules::Rules;

const ROUNDS: u32 = 5;
/// Requests of a round.
pub(crate) const REQUESTS: usize = 40_000;
/// Requests of a round that verify a signature each.
pub(crate) const SLOW: usize = 10_000;

const V: &str = "raw ES256 verify, aws-lc-rs (the guard's)";
const V_RING: &str = "raw ES256 verify, ring (jwt-authorizer's)";
const SEEN: &str = "token seen before: guard";
const UNSEEN: &str = "token not seen: guard";
const AUTHORIZER: &str = "any token: jwt-authorizer";
pub(crate) const STACK_SEEN: &str = "full stack, token seen before: guard";
pub(crate) const STACK_UNSEEN: &str = "full stack, token not seen: guard";

/// The token alone and the full stack, beside what they are compared with.
struct Tokens {
    keyed: Keyed,
    seen: String,
    signed: Signed,
    guard: Router,
    stack: Router,
    authorizer: axum_07::Router,
}

/// Compares all that needs no socket, and prints it.
pub(crate) async fn compare() {
    let mut table = Table::default();
    let tokens = Tokens::new().await;
    let rules = Rules::new(&tokens.keyed).await;
    let (limiters, bodies) = (limits::Limiters::new().await, Bodies::new().await);
    let hostile = Hostile::new();
    let (refusals, reload) = (Refusals::new().await, Reload::new(&tokens.keyed).await);
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        let floor = tokens.round(round, &mut table).await;
        rules.round(round, floor, &mut table).await;
        limiters.round(floor, &mut table).await;
        bodies.round(&mut table).await;
        hostile.round(&mut table);
        refusals.round(round, &mut table).await;
        reload.round(&mut table);
    }
    Tokens::hold(&mut table);
    Rules::hold(&mut table);
    limits::Limiters::hold(&mut table);
    Bodies::hold(&mut table);
    hostile.hold(&mut table);
    Refusals::hold(&mut table);
    Reload::hold(&mut table);
    println!("CPU us that a request costs more than the same handler bare, in this process");
    println!("{table}");
}

impl Tokens {
    async fn new() -> Self {
        let keyed = Keyed::new();
        let seen = keyed.tokens(1, 0).remove(0);
        let (guard, stack) = (keyed.guard().await, keyed.stack(10_000).await);
        let authorizer = keyed.jwt_authorizer().await;
        Self { signed: Signed::new(&keyed.jwks(), &seen), keyed, seen, guard, stack, authorizer }
    }

    /// Gives back what the bare handler costs.
    async fn round(&self, round: u32, table: &mut Table) -> f64 {
        let Self { keyed, seen, signed, guard, stack, authorizer } = self;
        let floor = of(&apps::bare(), REQUESTS, |_| apps::plain()).await;
        let floor_07 = of(&apps::bare_07(), REQUESTS, |_| apps::plain()).await;
        table.add("bare axum", floor);
        table.add(V, signed.by_aws_lc(10_000));
        table.add(V_RING, signed.by_ring(10_000));
        let fresh = keyed.tokens(SLOW, round * 100_000);
        table.add(SEEN, of(guard, REQUESTS, |_| apps::with_token(seen)).await - floor);
        table.add(UNSEEN, of(guard, SLOW, |n| apps::with_token(&fresh[n])).await - floor);
        table.add(AUTHORIZER, of(authorizer, SLOW, |n| apps::with_token(&fresh[n])).await - floor_07);
        let known = |token: &str| apps::known(apps::with_token(token), 1);
        table.add(STACK_SEEN, of(stack, REQUESTS, |_| known(seen)).await - floor);
        table.add(STACK_UNSEEN, of(stack, SLOW, |n| known(&fresh[n])).await - floor);
        floor
    }

    fn hold(table: &mut Table) {
        let v = "ratio; V = one verification by aws-lc-rs";
        table.hold("token not seen, in V", table.ratio(UNSEEN, V), 1.25, v);
        table.hold("token seen before, in V", table.ratio(SEEN, V), 0.06, v);
        table.hold("token not seen, beside jwt-authorizer", table.ratio(UNSEEN, AUTHORIZER), 1.0, "ratio");
        table.hold("token seen before, beside jwt-authorizer", table.ratio(SEEN, AUTHORIZER), 0.2, "ratio");
        let [ours, theirs] =
            [table.median(UNSEEN) - table.median(V), table.median(AUTHORIZER) - table.median(V_RING)];
        let less = "us; jwt-authorizer's, each less the verification by its own library";
        table.hold("token not seen, less the signature", ours, theirs, less);
        table.hold("full stack, token not seen, in V", table.ratio(STACK_UNSEEN, V), 1.3, v);
    }
}

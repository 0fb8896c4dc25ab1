//! Rules: the guard beside axum-casbin.

use axum::Router;

use crate::apps::{self, Keyed};
use crate::calls::REQUESTS;
use crate::cost::{Table, of};

/// Rules of a policy: those of the documentation of Casbin.
const SIZES: [(u32, &str); 3] = [(10, "12 rules"), (1_000, "1,100 rules"), (10_000, "11,000 rules")];
/// More than Casbin is asked about here.
const MANY: u32 = 1_000_000;
const MANY_NAME: &str = "100,000 rules, same caller: guard, token and rules";

/// What the guard may cost of what axum-casbin costs.
const SHARES: [f64; 3] = [1.0 / 3.0, 1.0 / 50.0, 1.0 / 500.0];

pub(crate) struct Rules {
    seen: String,
    token: Router,
    sizes: Vec<(Router, Router)>,
    many: Router,
}

impl Rules {
    pub(crate) async fn new(keyed: &Keyed) -> Self {
        let mut sizes = Vec::new();
        for (count, _) in SIZES {
            sizes.push((keyed.ruled_guard(count).await, apps::casbin(count).await));
        }
        let seen = keyed.tokens(1, 0).remove(0);
        Self { seen, token: keyed.guard().await, sizes, many: keyed.ruled_guard(MANY).await }
    }

    pub(crate) async fn round(&self, round: u32, floor: f64, table: &mut Table) {
        let seen = || apps::with_token(&self.seen);
        let token = of(&self.token, REQUESTS, |_| seen()).await;
        for ((guard, casbin), (count, name)) in self.sizes.iter().zip(SIZES) {
            let ruled = of(guard, REQUESTS, |_| seen()).await;
            table.add(&whole(name), ruled - floor);
            table.add(&alone(name), ruled - token);
            let again = of(casbin, REQUESTS, |_| apps::as_user(0)).await - floor;
            table.add(&format!("{name}, same caller: axum-casbin, rules, from its cache"), again);
            // Every caller is another one, which its cache has not seen.
            let some = if count > 1_000 { 100 } else { 1_000 };
            let each = of(casbin, some, |n| apps::as_user(round as usize * 1_000 + n)).await;
            table.add(&uncached(name), each - floor);
        }
        table.add(MANY_NAME, of(&self.many, REQUESTS, |_| seen()).await - floor);
    }

    pub(crate) fn hold(table: &mut Table) {
        for ((_, name), share) in SIZES.into_iter().zip(SHARES) {
            let ratio = table.ratio(&whole(name), &uncached(name));
            table.hold(&format!("{name}, token and rules, beside axum-casbin"), ratio, share, "rules alone");
        }
        let (growth, many) = (table.ratio(MANY_NAME, &whole(SIZES[0].1)), table.median(MANY_NAME));
        table.hold("token and 100,000 rules, us", many, 3.0, "the bound is for the rules alone");
        table.hold("token and rules, 12 to 100,000 rules, growth", growth, 1.15, "ratio");
    }
}

fn whole(name: &str) -> String {
    format!("{name}, same caller: guard, token and rules")
}

fn alone(name: &str) -> String {
    format!("{name}, same caller: guard, rules alone")
}

fn uncached(name: &str) -> String {
    format!("{name}, another caller: axum-casbin, rules")
}

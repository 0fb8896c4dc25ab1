//! Whether a request waits while a large policy takes the place of another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use portcullis_guard::SharedPolicy;
use portcullis_policy::Snapshot;
use tower::ServiceExt;

use crate::apps::{self, Keyed};
use crate::cost::Table;

/// Casbin's users, of which ten share a rule.
const MANY: u32 = 1_000_000;
/// Policies of a round.
const SWAPS: u64 = 4;

const LONGEST: &str = "100,000 rules put in force 4 times: longest request, ms";
const CONTROL: &str = "100,000 rules compiled 4 times, never in force: longest request, ms";

pub(crate) struct Reload {
    policy: SharedPolicy,
    guard: Router,
    token: String,
}

impl Reload {
    pub(crate) async fn new(keyed: &Keyed) -> Self {
        let policy = SharedPolicy::new(compiled(1));
        let token = keyed.tokens(1, 0).remove(0);
        Self { guard: keyed.shared_guard(policy.clone()).await, policy, token }
    }

    pub(crate) fn round(&self, table: &mut Table) {
        table.add(LONGEST, self.longest(|snapshot| self.policy.store(snapshot)));
        table.add(CONTROL, self.longest(drop));
    }

    /// The longest request in milliseconds while another thread makes policies.
    fn longest(&self, put: impl Fn(Arc<Snapshot>) + Send) -> f64 {
        let is_over = AtomicBool::new(false);
        let ended = &is_over;
        let mut longest = Duration::ZERO;
        let requests = async {
            while !ended.load(Ordering::Acquire) {
                let request = apps::with_token(&self.token);
                let begun = Instant::now();
                let answer = self.guard.clone().oneshot(request).await.expect("an answer");
                longest = longest.max(begun.elapsed());
                assert_eq!(answer.status(), http::StatusCode::OK);
            }
        };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                (0..SWAPS).for_each(|number| put(compiled(number)));
                ended.store(true, Ordering::Release);
            });
            futures_of_this_thread(requests);
        });
        longest.as_secs_f64() * 1e3
    }

    pub(crate) fn hold(table: &mut Table) {
        table.hold(
            "reload of 100,000 rules, longest request, ms",
            table.median(LONGEST),
            1.0,
            "middle of the rounds",
        );
    }
}

/// Nothing in them waits for anything: they are polled to their end here, where threads of a scope may borrow.
fn futures_of_this_thread(work: impl Future<Output = ()>) {
    let mut work = std::pin::pin!(work);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    while work.as_mut().poll(&mut context).is_pending() {}
}

fn compiled(revision: u64) -> Arc<Snapshot> {
    Arc::new(Snapshot::compile(&apps::source(MANY), revision).expect("a policy"))
}

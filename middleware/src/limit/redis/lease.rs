//! What a replica has at hand of the counts that it shares.

use std::convert::Infallible;
use std::time::Duration;

use crate::limit::local::{Left, Scope, Short};
use crate::limit::store::BoundedStore;

/// How long tokens are at hand before they are given back.
const LIFE: Duration = Duration::from_secs(2);

/// How long a refusal is believed without asking again: another replica may have given tokens back.
const REFUSAL_LIFE: Duration = Duration::from_secs(1);

/// Tokens by key.
pub(super) struct Leases {
    store: BoundedStore<Lease>,
    max_batch: u32,
}

/// Tokens of one key that were paid for and are not spent.
#[derive(Clone, Copy)]
struct Lease {
    left: u32,
    /// How many were wanted last.
    batch: u32,
    /// How many more there were then, for all replicas.
    room: u32,
    full_at: Duration,
    expires: Duration,
    window: u32,
    refusal: Option<Refusal>,
}

/// There were not so many.
#[derive(Clone, Copy)]
struct Refusal {
    cost: u32,
    until: Duration,
    ask_again: Duration,
}

/// The steady time, and which window of the calendar it is until when.
#[derive(Clone, Copy)]
pub(super) struct Moment {
    pub(super) now: Duration,
    pub(super) window: u32,
    pub(super) window_ends: Duration,
}

/// What is at hand for a request.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Held {
    Left(Left),
    Nothing,
    Short(Short),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Order {
    pub(super) need: u32,
    pub(super) want: u32,
    pub(super) back: u32,
    pub(super) batch: u32,
    pub(super) window: u32,
}

/// What is given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Reply {
    pub(super) given: u32,
    pub(super) room: u32,
    /// Until all is there again, or until there is enough.
    pub(super) wait: Duration,
}

impl Leases {
    pub(super) fn new(max_batch: u32, scope: Scope<'_>) -> Self {
        // What is forgotten here is known elsewhere.
        let store = BoundedStore::new(scope.max_keys, scope.name, Duration::ZERO, scope.clock);
        Self { store, max_batch }
    }

    /// Spends what is at hand.
    pub(super) fn take(&self, key: u128, cost: u32, moment: Moment) -> Held {
        let taken = self.store.update(key, |known| {
            let mut lease = known.filter(|lease| lease.window == moment.window).ok_or(Held::Nothing)?;
            if lease.expires > moment.now && lease.left >= cost {
                lease.left -= cost;
                return Ok((lease.state(moment), lease));
            }
            match lease.refusal {
                Some(refusal) if refusal.cost <= cost && moment.now < refusal.ask_again => {
                    Err(Held::Short(Short(refusal.until.saturating_sub(moment.now))))
                }
                Some(_) | None => Err(Held::Nothing),
            }
        });
        taken.map_or_else(|held| held, Held::Left)
    }

    /// Takes up to so many; says how many, and what is left then.
    pub(super) fn drain(&self, key: u128, most: u32, moment: Moment) -> (u32, Option<Left>) {
        let drained = self.store.update(key, |known| {
            let held = known.filter(|lease| lease.window == moment.window && lease.expires > moment.now);
            let mut lease = held.ok_or((0, None))?;
            let taken = most.min(lease.left);
            lease.left -= taken;
            // The rest is taken from there.
            lease.room = lease.room.saturating_sub(most - taken);
            Ok(((taken, Some(lease.state(moment))), lease))
        });
        drained.unwrap_or_else(|nothing| nothing)
    }

    /// What to ask for so that a request can be served; `None` if that is settled by now. What is given back is at hand no longer.
    pub(super) fn order(&self, key: u128, cost: u32, moment: Moment) -> Option<Order> {
        let first = Order { need: cost, want: cost.max(1), back: 0, batch: 1, window: moment.window };
        let ordered = self.store.update(key, |known| {
            let mut lease = known.filter(|lease| lease.window == moment.window).ok_or(Some(first))?;
            let is_refused = lease.refusal.is_some_and(|it| it.cost <= cost && moment.now < it.ask_again);
            if is_refused || (lease.expires > moment.now && lease.left >= cost) {
                return Err(None);
            }
            let window = moment.window;
            let order = if lease.expires > moment.now {
                let need = cost - lease.left;
                let batch = lease.batch.saturating_mul(2).min(self.max_batch);
                Order { need, want: batch.max(need), back: 0, batch, window }
            } else {
                // What nobody wanted for so long was too much.
                let batch = if lease.left == 0 { lease.batch } else { (lease.batch / 2).max(1) };
                Order { need: cost, want: batch.max(cost), back: lease.left, batch, window }
            };
            if order.back > 0 {
                lease.left = 0;
            }
            Ok((order, lease))
        });
        ordered.map_or_else(|settled| settled, Some)
    }

    /// Takes note of an answer.
    pub(super) fn keep(&self, key: u128, order: Order, reply: Reply, moment: Moment) {
        let Ok(()) = self.store.update(key, |known| {
            let left = known.filter(|lease| lease.window == order.window && lease.expires > moment.now);
            let left = left.map_or(0, |lease| lease.left);
            let refusal = (reply.given == 0).then(|| Refusal {
                cost: order.need.saturating_add(left),
                until: moment.now + reply.wait,
                ask_again: moment.now + reply.wait.min(REFUSAL_LIFE),
            });
            let lease = Lease {
                left: left.saturating_add(reply.given),
                batch: order.batch,
                room: reply.room,
                full_at: moment.now + reply.wait,
                expires: moment.now + LIFE,
                window: order.window,
                refusal,
            };
            Ok::<_, Infallible>(((), lease))
        });
    }
}

impl Lease {
    const fn state(&self, moment: Moment) -> Left {
        Left {
            remaining: self.left.saturating_add(self.room),
            reset: self.full_at.saturating_sub(moment.now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const fn at(secs: u64, window: u32) -> Moment {
        Moment { now: Duration::from_secs(secs), window, window_ends: Duration::ZERO }
    }

    fn leases() -> Leases {
        let clock = Clock::from_fn(|| Duration::ZERO);
        Leases::new(8, Scope { name: "test", max_keys: 64, clock: &clock })
    }

    const fn reply(given: u32, room: u32) -> Reply {
        Reply { given, room, wait: Duration::from_mins(1) }
    }

    /// What is at hand after asking once for one token.
    fn ask(leases: &Leases, moment: Moment, reply: impl Fn(Order) -> Reply) -> Option<Order> {
        let order = leases.order(1, 1, moment)?;
        leases.keep(1, order, reply(order), moment);
        Some(order)
    }

    #[test]
    fn more_is_asked_for_while_it_is_wanted_up_to_the_most() {
        let leases = leases();
        let mut wanted = Vec::new();
        for _ in 0..6 {
            let order = ask(&leases, at(0, 0), |order| reply(order.want, 100)).unwrap();
            wanted.push(order.want);
            for _ in 0..order.want {
                assert!(matches!(leases.take(1, 1, at(1, 0)), Held::Left(_)));
            }
            assert_eq!(leases.take(1, 1, at(1, 0)), Held::Nothing);
        }
        assert_eq!(wanted, [1, 2, 4, 8, 8, 8]);
    }

    #[test]
    fn what_was_not_spent_in_time_is_given_back_once_and_less_is_asked_for() {
        let leases = leases();
        for _ in 0..4 {
            ask(&leases, at(0, 0), |order| reply(order.want, 100));
            while let Held::Left(Left { remaining: 101.., .. }) = leases.take(1, 1, at(0, 0)) {}
        }
        ask(&leases, at(0, 0), |order| reply(order.want, 100));
        assert!(matches!(leases.take(1, 3, at(1, 0)), Held::Left(_)));
        assert_eq!(leases.take(1, 1, at(2, 0)), Held::Nothing);
        let order = leases.order(1, 1, at(2, 0)).unwrap();
        assert_eq!((order.need, order.back, order.want), (1, 5, 4));
        // No answer came: it is not given back a second time.
        assert_eq!(leases.order(1, 1, at(2, 0)).unwrap().back, 0);
    }

    #[test]
    fn a_refusal_is_believed_for_a_second_by_those_who_need_as_much() {
        let leases = leases();
        let order = leases.order(1, 5, at(0, 0)).unwrap();
        leases.keep(1, order, reply(0, 2), at(0, 0));
        assert_eq!(leases.take(1, 5, at(0, 0)), Held::Short(Short(Duration::from_mins(1))));
        assert_eq!(leases.take(1, 1, at(0, 0)), Held::Nothing, "less may be there");
        assert_eq!(leases.order(1, 5, at(0, 0)), None);
        assert_eq!(leases.take(1, 5, at(1, 0)), Held::Nothing);
    }

    #[test]
    fn tokens_of_yesterday_are_worth_nothing_today() {
        let leases = leases();
        ask(&leases, at(0, 7), |_| reply(8, 100));
        assert!(matches!(leases.take(1, 1, at(1, 7)), Held::Left(_)));
        assert_eq!(leases.take(1, 1, at(1, 8)), Held::Nothing);
        assert_eq!(
            leases.order(1, 1, at(1, 8)).unwrap(),
            Order { need: 1, want: 1, back: 0, batch: 1, window: 8 }
        );
    }

    #[test]
    fn draining_takes_what_is_at_hand_and_says_what_is_missing() {
        let leases = leases();
        assert_eq!(leases.drain(1, 4, at(0, 0)), (0, None));
        ask(&leases, at(0, 0), |_| reply(3, 10));
        let (taken, left) = leases.drain(1, 4, at(0, 0));
        assert_eq!((taken, left.map(|left| left.remaining)), (3, Some(9)));
        assert_eq!(leases.drain(1, 4, at(2, 0)), (0, None), "what has expired is not at hand");
    }
}

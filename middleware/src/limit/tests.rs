//! Limits together, on the way to a route.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::{Exceeded, Halt, Key, Limit, LimitError, Limiters, Limits, Passage, Quota, Stage, Standing};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::token::Principal;
use crate::token::tests::principal;

fn dial() -> (Clock, Arc<AtomicU64>) {
    let millis = Arc::new(AtomicU64::new(1_000_000));
    let hand = Arc::clone(&millis);
    (Clock::from_fn(move || Duration::from_millis(hand.load(Ordering::Relaxed))), millis)
}

fn to(limiters: &Limiters, route: &str, cost: u32, own: &[Limit]) -> Passage {
    limiters.passage(route, NonZeroU32::new(cost).unwrap(), own)
}

fn build(limits: Limits) -> Passage {
    to(&limits.build(&dial().0, &Entropy::system()).unwrap(), "/", 1, &[])
}

/// What is left of each limit that a request passed.
fn pass(
    passage: &Passage,
    address: &str,
    caller: Option<&Principal>,
) -> Result<Vec<(&'static str, u32)>, Exceeded> {
    let address = address.parse().ok();
    let mut standing = Standing::default();
    for stage in [Stage::Early, Stage::Late] {
        match passage.spend(stage, address, caller, &mut standing) {
            Ok(()) => {}
            Err(Halt::Exceeded(exceeded)) => return Err(exceeded),
            Err(Halt::Closed | Halt::Uncounted | Halt::Wait(_)) => {
                panic!("nothing is shared, and all limits can be kept")
            }
        }
    }
    Ok(standing.iter().map(|reading| (reading.name, reading.remaining)).collect())
}

fn guess(passage: &Passage, address: &str) -> Result<u32, Exceeded> {
    let mut standing = Standing::default();
    let address = address.parse().ok();
    match passage.spend(Stage::Early, address, None, &mut standing) {
        Ok(()) => {}
        Err(Halt::Exceeded(exceeded)) => return Err(exceeded),
        Err(Halt::Closed | Halt::Uncounted | Halt::Wait(_)) => {
            panic!("nothing is shared, and all limits can be kept")
        }
    }
    passage.charge_guess(address, &mut standing);
    Ok(standing.iter().next().unwrap().remaining)
}

#[test]
fn a_burst_is_spent_and_refills_with_the_clock() {
    let (clock, millis) = dial();
    let limiters =
        Limits::new().by_address(Quota::per_minute(60).burst(3)).build(&clock, &Entropy::system()).unwrap();
    let passage = to(&limiters, "/", 1, &[]);
    let left = |address| pass(&passage, address, None).map(|passed| passed[0]);
    assert_eq!([2, 1, 0].map(|left| ("address", left)), [(); 3].map(|()| left("192.0.2.1").unwrap()));
    assert_eq!(left("192.0.2.1").unwrap_err().reading.reset, Duration::from_secs(1));
    assert_eq!(left("192.0.2.2").unwrap(), ("address", 2), "another address has its own bucket");
    millis.fetch_add(1_000, Ordering::Relaxed);
    assert_eq!(left("192.0.2.1").unwrap(), ("address", 0));
}

#[test]
fn whoever_owns_a_network_does_not_have_a_bucket_for_each_part_of_it() {
    let passage = build(Limits::new().by_address(Quota::per_minute(60).burst(2)));
    let passed = (0..100).filter(|n| pass(&passage, &format!("2001:db8:0:{n:x}::1"), None).is_ok()).count();
    assert_eq!(passed, 32);
    assert_eq!(pass(&passage, "2001:db8:0:ffff::1", None).unwrap_err().reading.name, "network");
    assert_eq!(pass(&passage, "2001:db8:1::1", None).unwrap(), [("address", 1)], "the next network");
    let other = build(Limits::new().by_address(Quota::per_hour(2)).by_network(Quota::per_hour(3)));
    let passed = (0..100).filter(|n| pass(&other, &format!("2001:db8:0:{n:x}::1"), None).is_ok()).count();
    assert_eq!(passed, 3);
    assert_eq!(pass(&other, "192.0.2.1", None).unwrap(), [("address", 1)], "IPv4 has no such network");
}

#[test]
fn what_comes_back_soonest_is_spent_first() {
    let caller = principal(&[]);
    let day = Limit::new("day", Key::subject(), Quota::per_day(10));
    let month = Limit::new("month", Key::client(), Quota::per_month(100));
    let passage = build(Limits::new().limit(month).limit(day).by_identity(Quota::per_minute(1)));
    assert_eq!(pass(&passage, "", Some(&caller)).unwrap(), [("identity", 0), ("day", 9), ("month", 99)]);
    for _ in 0..50 {
        assert_eq!(pass(&passage, "", Some(&caller)).unwrap_err().reading.name, "identity");
    }
    let other = principal(&[("client_id", "d")]);
    assert_eq!(pass(&passage, "", Some(&other)).unwrap()[1], ("day", 8), "refusals did not spend the day");
}

#[test]
fn whoever_is_over_a_limit_of_their_own_takes_nothing_from_others() {
    let route = Limit::new("route", Key::route(), Quota::per_second(4));
    let limits = Limits::new().by_address(Quota::per_hour(1)).by_network(Quota::per_second(2));
    let passage = build(limits.limit(route).by_identity(Quota::per_hour(1)));
    let (alice, bob) = (principal(&[]), principal(&[("sub", "bob")]));
    pass(&passage, "2001:db8::1", None).unwrap();
    for _ in 0..50 {
        assert_eq!(pass(&passage, "2001:db8::1", None).unwrap_err().reading.name, "address");
    }
    pass(&passage, "2001:db8:0:1::1", None).unwrap();
    pass(&passage, "192.0.2.1", Some(&alice)).unwrap();
    for address in 2..50 {
        let refused = pass(&passage, &format!("192.0.2.{address}"), Some(&alice)).unwrap_err();
        assert_eq!(refused.reading.name, "identity");
    }
    pass(&passage, "192.0.2.99", Some(&bob)).unwrap();
}

#[test]
fn a_route_has_a_cost_and_limits_of_its_own() {
    let caller = principal(&[]);
    let limiters =
        Limits::new().by_identity(Quota::per_hour(10)).build(&dial().0, &Entropy::system()).unwrap();
    let exports = Limit::new("exports", Key::subject(), Quota::per_day(40));
    let plain = to(&limiters, "/orders", 1, &[]);
    let dear = to(&limiters, "/orders/export", 4, &[exports]);
    let also = to(&limiters, "/bills/export", 1, &[exports]);
    assert_eq!(pass(&dear, "", Some(&caller)).unwrap(), [("identity", 6), ("exports", 36)]);
    assert_eq!(pass(&plain, "", Some(&caller)).unwrap(), [("identity", 5)]);
    assert_eq!(
        pass(&also, "", Some(&caller)).unwrap(),
        [("identity", 4), ("exports", 35)],
        "one limit, shared"
    );
    assert_eq!(pass(&dear, "", Some(&caller)).unwrap()[0], ("identity", 0));
    assert!(pass(&dear, "", Some(&caller)).is_err());
}

#[test]
fn a_cost_above_what_can_be_there_takes_all_of_it() {
    let caller = principal(&[]);
    let limiters =
        Limits::new().by_identity(Quota::per_hour(10).burst(5)).build(&dial().0, &Entropy::system()).unwrap();
    let dear = to(&limiters, "/", 1_000, &[]);
    assert_eq!(pass(&dear, "", Some(&caller)).unwrap(), [("identity", 0)]);
    assert!(pass(&dear, "", Some(&caller)).is_err());
}

#[test]
fn a_limit_by_route_counts_callers_without_a_token_too() {
    let limits = Limits::new().limit(Limit::new("route", Key::route(), Quota::per_hour(2)));
    let limiters = limits.build(&dial().0, &Entropy::system()).unwrap();
    let (one, other) = (to(&limiters, "/a", 1, &[]), to(&limiters, "/b", 1, &[]));
    assert_eq!(pass(&one, "", None).unwrap(), [], "what strangers do is shown to nobody");
    pass(&one, "", Some(&principal(&[]))).unwrap();
    assert_eq!(pass(&one, "", None).unwrap_err().reading.name, "route");
    pass(&other, "", None).unwrap();
}

#[test]
fn a_limit_of_a_route_that_cannot_be_kept_closes_the_route() {
    let limiters =
        Limits::new().by_identity(Quota::per_hour(10)).build(&dial().0, &Entropy::system()).unwrap();
    let caller = principal(&[]);
    let limit = |name, quota| Limit::new(name, Key::subject(), quota);
    let good = limit("good", Quota::per_hour(5));
    pass(&to(&limiters, "/", 1, &[good]), "", Some(&caller)).unwrap();
    for bad in [
        limit("empty", Quota::per_hour(0)),
        limit("no name", Quota::per_hour(5)),
        limit("identity", Quota::per_hour(5)),
        limit("good", Quota::per_hour(6)),
    ] {
        let passage = to(&limiters, "/", 1, &[bad]);
        let outcome = passage.spend(Stage::Late, None, Some(&caller), &mut Standing::default());
        assert!(matches!(outcome, Err(Halt::Closed)), "{bad:?}");
    }
}

#[test]
fn a_guess_costs_five_requests_unless_set_and_leaves_no_debt() {
    let (clock, millis) = dial();
    let limits = Limits::new().by_address(Quota::per_minute(60).burst(12));
    let passage = to(&limits.clone().build(&clock, &Entropy::system()).unwrap(), "/", 1, &[]);
    assert_eq!([7, 2, 0], [(); 3].map(|()| guess(&passage, "192.0.2.1").unwrap()));
    assert!(guess(&passage, "192.0.2.1").is_err());
    millis.fetch_add(1_000, Ordering::Relaxed);
    assert!(pass(&passage, "192.0.2.1", None).is_ok(), "a second later a neighbour may ask");
    let cheap = to(&limits.guess_cost(1).build(&clock, &Entropy::system()).unwrap(), "/", 1, &[]);
    assert_eq!([11, 10], [(); 2].map(|()| guess(&cheap, "192.0.2.1").unwrap()));
}

/// One who guesses and one who does not, behind the same NAT, each at their own pace for ten minutes.
#[test]
fn a_neighbour_of_one_who_guesses_loses_what_is_documented_and_no_more() {
    let (clock, millis) = dial();
    // A request comes back each half a second.
    let limits = Limits::new().by_address(Quota::per_minute(120).burst(40));
    let passage = to(&limits.build(&clock, &Entropy::system()).unwrap(), "/", 1, &[]);
    let mut served = [0, 0];
    for second in 0..600 {
        // One guess in four seconds costs 5 of the 8 that come back: the neighbour's 3 in four seconds are still there.
        if second % 4 == 0 {
            served[0] += usize::from(guess(&passage, "192.0.2.1").is_ok());
        } else {
            served[1] += usize::from(pass(&passage, "192.0.2.1", None).is_ok());
        }
        millis.fetch_add(1_000, Ordering::Relaxed);
    }
    assert_eq!(served, [150, 450]);
    // A flood of guesses gets through one at a time, as a flood of anything would; the neighbour waits half a second after it.
    let served = (0..1_000).filter(|_| guess(&passage, "192.0.2.1").is_ok()).count();
    assert_eq!(served, 8);
    assert!(pass(&passage, "192.0.2.1", None).is_err());
    millis.fetch_add(500, Ordering::Relaxed);
    pass(&passage, "192.0.2.1", None).unwrap();
}

// HT-04
#[test]
fn many_addresses_neither_fill_the_memory_nor_lock_anybody_out() {
    let passage = build(Limits::new().by_address(Quota::per_hour(3)).max_keys(1_024));
    for key in 0..300_000_u32 {
        pass(&passage, &std::net::Ipv4Addr::from_bits(key << 8).to_string(), None).unwrap();
        if key % 500 == 0 {
            let served = pass(&passage, "203.0.113.9", None).is_ok();
            assert_eq!(served, key / 500 < 3, "{key}: one that keeps asking is remembered");
        }
    }
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    let build = |limits: Limits| limits.build(&dial().0, &Entropy::system()).map(drop);
    let limit = |name| Limit::new(name, Key::subject(), Quota::per_hour(5));
    for quota in [Quota::per_second(0), Quota::per_second(1).burst(0), Quota::per_day(0)] {
        for limits in [Limits::new().by_address(quota), Limits::new().by_identity(quota)] {
            assert!(matches!(build(limits), Err(LimitError::Empty(_))), "{quota:?}");
        }
    }
    for name in ["", "a b", "a\"b", "\u{e9}", "a;r=9"] {
        assert!(matches!(build(Limits::new().limit(limit(name))), Err(LimitError::Name(_))), "{name:?}");
    }
    assert!(build(Limits::new().by_address(Quota::per_second(u32::MAX))).is_ok(), "as good as none");
    let twice = Limits::new().limit(limit("identity")).by_identity(Quota::per_hour(1));
    assert!(matches!(build(twice), Err(LimitError::Repeated("identity"))));
    assert!(matches!(build(Limits::new().secret([1; 31])), Err(LimitError::ShortSecret)));
}

#[test]
fn a_partition_key_tells_callers_apart_and_names_nobody() {
    let limits = Limits::new().limit(Limit::new("day", Key::subject(), Quota::per_day(9))).partition_keys();
    let partition = |limits: Limits, sub: &str| {
        let passage = build(limits);
        let mut standing = Standing::default();
        assert!(passage.spend(Stage::Late, None, Some(&principal(&[("sub", sub)])), &mut standing).is_ok());
        standing.iter().next().unwrap().partition.unwrap()
    };
    let keyed = limits.clone().secret([7; 32]);
    assert_eq!(
        partition(keyed.clone(), "alice"),
        partition(keyed.clone(), "alice"),
        "the same at every replica"
    );
    assert_ne!(partition(keyed.clone(), "alice"), partition(keyed.clone(), "bob"));
    assert_ne!(partition(keyed, "alice"), partition(limits.clone().secret([8; 32]), "alice"));
    assert_ne!(partition(limits.clone(), "alice"), partition(limits, "alice"), "drawn anew for each guard");
}

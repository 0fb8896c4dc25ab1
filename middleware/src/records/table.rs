//! Each different request once, and how often it was asked. The memory is bounded, and a request that is known allocates
//! nothing.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use foldhash::fast::RandomState;
use portcullis_policy::{Decision, Request};
use serde::Serialize;

/// Requests on different processors seldom wait for each other.
const SHARDS: usize = 8;
/// The most different requests of a shard, and the most bytes of their names.
const MAX_TUPLES: usize = 1_024;
const MAX_BYTES: usize = 256 * 1_024;
/// What handlers ask has at most this part of both: clients name what that is about, and what routes ask has to find room.
const PART_OF_HANDLERS: usize = 4;
/// How many different questions of the handler of one request are kept between two reports.
const MAX_QUESTIONS: u32 = 256;
/// A request with longer names is only counted.
const MAX_NAMES: usize = 2_048;
/// One with a longer subject too, which no token has (OpenID Connect Core §2).
const MAX_SUBJECT: usize = 255;
const MAX_ROLES: usize = 64;

/// What was decided since it was told last.
pub(crate) struct Table {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    off: AtomicBool,
    /// How often it was emptied.
    period: AtomicU64,
}

/// Who asked.
#[derive(Clone, Copy)]
pub(crate) enum Asker<'a> {
    /// What a route requires, asked once for each request.
    Route,
    /// A handler, as often as it likes.
    Handler(&'a Share),
}

/// How much room the handler of one request has taken.
#[derive(Default)]
pub(crate) struct Share {
    period: Cell<u64>,
    kept: Cell<u32>,
}

/// How much room there is for what is new.
#[derive(Clone, Copy)]
enum Room {
    All,
    OfHandlers,
    Nothing,
}

#[derive(Default)]
struct Shard {
    /// By a hash of the request.
    tuples: HashMap<u64, Tuple, RandomState>,
    size: Size,
    /// How much of it handlers asked.
    of_handlers: Size,
    /// How many decisions are counted and not kept.
    lost: u64,
}

#[derive(Clone, Copy, Default)]
struct Size {
    tuples: usize,
    bytes: usize,
}

/// A request, its answer, and how often that was given.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Tuple {
    pub(crate) subject: Box<str>,
    pub(crate) roles: Box<[Box<str>]>,
    pub(crate) domain: Box<str>,
    pub(crate) object: Box<str>,
    pub(crate) action: Box<str>,
    pub(crate) allowed: bool,
    /// The revision that gave the last of these answers.
    pub(crate) revision: u64,
    pub(crate) count: u64,
}

/// What was taken out.
pub(crate) struct Taken {
    pub(crate) tuples: Vec<Tuple>,
    pub(crate) lost: u64,
}

impl Table {
    pub(crate) fn new() -> Self {
        Self {
            shards: Default::default(),
            hasher: RandomState::default(),
            off: AtomicBool::new(false),
            period: AtomicU64::new(1),
        }
    }

    /// Notes what was decided.
    pub(crate) fn note(&self, request: &Request<'_>, decision: Decision, asker: Asker<'_>) {
        if self.off.load(Ordering::Relaxed) {
            return;
        }
        let hash = self.hash(request, decision.allowed);
        let [.., place] = hash.to_be_bytes();
        if let Some(shard) = self.shards.get(usize::from(place) % SHARDS) {
            let room = asker.room(self.period.load(Ordering::Relaxed));
            let is_new = held(shard).note(hash, request, decision, room);
            if let (true, Asker::Handler(share)) = (is_new, asker) {
                share.kept.update(|kept| kept + 1);
            }
        }
    }

    /// Takes out everything.
    pub(crate) fn take(&self) -> Taken {
        self.period.fetch_add(1, Ordering::Relaxed);
        let mut taken = Taken { tuples: Vec::new(), lost: 0 };
        for shard in &self.shards {
            let Shard { tuples, lost, .. } = std::mem::take(&mut *held(shard));
            taken.tuples.extend(tuples.into_values());
            taken.lost += lost;
        }
        taken
    }

    /// Keeps nothing any more, or something again.
    pub(crate) fn switch(&self, on: bool) {
        self.off.store(!on, Ordering::Relaxed);
    }

    fn hash(&self, request: &Request<'_>, allowed: bool) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        let Request { subject, domain, object, action, roles } = *request;
        (subject, domain, object, action, allowed).hash(&mut hasher);
        roles.iter().for_each(|role| role.hash(&mut hasher));
        hasher.finish()
    }
}

impl Asker<'_> {
    fn room(self, period: u64) -> Room {
        let Self::Handler(share) = self else { return Room::All };
        if share.period.replace(period) != period {
            share.kept.set(0);
        }
        if share.kept.get() < MAX_QUESTIONS { Room::OfHandlers } else { Room::Nothing }
    }
}

impl Size {
    /// Whether so many bytes more are within a part of a shard.
    const fn admits(self, bytes: usize, part: usize) -> bool {
        self.tuples < MAX_TUPLES / part && self.bytes + bytes <= MAX_BYTES / part
    }

    const fn add(&mut self, bytes: usize) {
        self.tuples += 1;
        self.bytes += bytes;
    }
}

/// A shard is whole whenever it is not held: whoever panicked with it changed one count at most.
fn held(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shard {
    /// Gives whether that is kept as something new.
    fn note(&mut self, hash: u64, request: &Request<'_>, decision: Decision, room: Room) -> bool {
        match self.tuples.get_mut(&hash) {
            Some(tuple) if tuple.is_of(request, decision.allowed) => {
                tuple.count += 1;
                tuple.revision = decision.revision;
                false
            }
            Some(_) => {
                self.lost += 1;
                false
            }
            None => self.keep(hash, request, decision, room),
        }
    }

    fn keep(&mut self, hash: u64, request: &Request<'_>, decision: Decision, room: Room) -> bool {
        let Request { subject, domain, object, action, roles } = *request;
        let of_roles: usize = roles.iter().map(str::len).sum();
        let names = subject.len() + domain.len() + object.len() + action.len() + of_roles;
        let fits = names <= MAX_NAMES && subject.len() <= MAX_SUBJECT && roles.len() <= MAX_ROLES;
        let is_open = match room {
            Room::All => true,
            Room::OfHandlers => self.of_handlers.admits(names, PART_OF_HANDLERS),
            Room::Nothing => false,
        };
        if !fits || !is_open || !self.size.admits(names, 1) {
            self.lost += 1;
            return false;
        }
        self.size.add(names);
        if let Room::OfHandlers = room {
            self.of_handlers.add(names);
        }
        let tuple = Tuple {
            subject: subject.into(),
            roles: roles.iter().map(Box::from).collect(),
            domain: domain.into(),
            object: object.into(),
            action: action.into(),
            allowed: decision.allowed,
            revision: decision.revision,
            count: 1,
        };
        self.tuples.insert(hash, tuple);
        true
    }
}

impl Tuple {
    /// How many bytes its names have.
    pub(crate) fn names(&self) -> usize {
        let Self { subject, roles, domain, object, action, .. } = self;
        let of_roles: usize = roles.iter().map(|role| role.len()).sum();
        subject.len() + domain.len() + object.len() + action.len() + of_roles
    }

    fn is_of(&self, request: &Request<'_>, allowed: bool) -> bool {
        self.allowed == allowed
            && *self.subject == *request.subject
            && *self.domain == *request.domain
            && *self.object == *request.object
            && *self.action == *request.action
            && self.roles.iter().map(AsRef::as_ref).eq(request.roles.iter())
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{PolicySource, Roles, Snapshot};

    use super::*;

    fn decide(table: &Table, subject: &str, object: &str, times: usize) {
        ask(table, (subject, object), times, Asker::Route);
    }

    fn ask(table: &Table, (subject, object): (&str, &str), times: usize, asker: Asker<'_>) {
        let source = PolicySource::with_default_model("p, viewer, *, orders, read");
        let snapshot = Snapshot::compile(&source, 3).unwrap();
        let request =
            Request { subject, roles: Roles::from(&["viewer"]), domain: "", object, action: "read" };
        (0..times).for_each(|_| table.note(&request, snapshot.decide(&request), asker));
    }

    fn objects(taken: &Taken) -> usize {
        taken.tuples.iter().filter(|tuple| tuple.object.starts_with("folders/")).count()
    }

    #[test]
    fn the_handler_of_one_request_has_so_much_room_between_two_reports() {
        let (table, share) = (Table::new(), Share::default());
        for _ in 0..2 {
            let flood =
                |number| ask(&table, ("alice", &format!("folders/{number}")), 1, Asker::Handler(&share));
            (0..300).for_each(flood);
            // What is known is counted and takes no room, and others have some.
            flood(0);
            ask(&table, ("bob", "folders/b"), 1, Asker::Handler(&Share::default()));
            let taken = table.take();
            assert_eq!((objects(&taken), taken.lost), (257, 300 - 256));
            assert!(taken.tuples.iter().any(|tuple| &*tuple.object == "folders/0" && tuple.count == 2));
        }
    }

    #[test]
    fn what_handlers_ask_fills_a_quarter_and_what_routes_ask_finds_room() {
        let table = Table::new();
        for number in 0..20_000 {
            ask(&table, ("mallory", &format!("folders/{number}")), 1, Asker::Handler(&Share::default()));
        }
        (0..5_000).for_each(|number| decide(&table, &format!("caller-{number}"), "orders", 1));
        let taken = table.take();
        assert_eq!(objects(&taken), SHARDS * MAX_TUPLES / PART_OF_HANDLERS);
        assert_eq!(taken.tuples.len() - objects(&taken), 5_000);
        for number in 0..2_000 {
            let object = format!("folders/{number:0>1900}");
            ask(&table, ("mallory", &object), 1, Asker::Handler(&Share::default()));
        }
        let bytes: usize = table.take().tuples.iter().map(Tuple::names).sum();
        assert!(bytes <= SHARDS * MAX_BYTES / PART_OF_HANDLERS, "{bytes}");
    }

    #[test]
    fn the_same_request_is_kept_once_and_counted() {
        let table = Table::new();
        decide(&table, "alice", "orders", 5);
        decide(&table, "bob", "orders", 1);
        decide(&table, "alice", "stock", 2);
        let mut taken = table.take();
        taken.tuples.sort_by_key(|tuple| tuple.count);
        let told: Vec<_> = taken
            .tuples
            .iter()
            .map(|tuple| (&*tuple.subject, &*tuple.object, tuple.allowed, tuple.revision, tuple.count))
            .collect();
        assert_eq!(
            told,
            [("bob", "orders", true, 3, 1), ("alice", "stock", false, 3, 2), ("alice", "orders", true, 3, 5)]
        );
        assert_eq!(&*taken.tuples[0].roles, [Box::from("viewer")]);
        let again = table.take();
        assert!(again.tuples.is_empty() && again.lost == 0);
    }

    #[test]
    fn a_flood_of_callers_is_counted_and_not_kept() {
        let table = Table::new();
        (0..20_000).for_each(|number| decide(&table, &format!("caller-{number}"), "orders", 1));
        let taken = table.take();
        assert!(taken.tuples.len() <= SHARDS * MAX_TUPLES && taken.tuples.len() > 7 * MAX_TUPLES);
        let kept: u64 = taken.tuples.iter().map(|tuple| tuple.count).sum();
        assert_eq!(kept + taken.lost, 20_000);
    }

    #[test]
    fn names_that_are_too_long_are_counted_and_long_ones_fill_only_so_much() {
        let table = Table::new();
        decide(&table, "alice", &"x".repeat(MAX_NAMES), 3);
        decide(&table, &"x".repeat(MAX_SUBJECT + 1), "orders", 4);
        assert_eq!(table.take().lost, 7);
        (0..4_000).for_each(|number| decide(&table, "alice", &format!("{number:0>1900}"), 1));
        let taken = table.take();
        let bytes: usize = taken.tuples.iter().map(|tuple| tuple.object.len()).sum();
        assert!(bytes <= SHARDS * MAX_BYTES && taken.lost > 0, "{bytes}");
    }

    #[test]
    fn nothing_is_kept_while_nobody_wants_it() {
        let table = Table::new();
        table.switch(false);
        decide(&table, "alice", "orders", 5);
        let taken = table.take();
        assert!(taken.tuples.is_empty() && taken.lost == 0);
        table.switch(true);
        decide(&table, "alice", "orders", 1);
        assert_eq!(table.take().tuples.len(), 1);
    }
}

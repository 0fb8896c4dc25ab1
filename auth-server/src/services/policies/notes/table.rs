//! Each different request once, with how often it was asked. The memory is bounded, and a request that is known takes no
//! more of it.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use portcullis_policy::{Decision, Request};

use crate::domain::decision::DecisionRecord;
use crate::services::policies::notes::Asker;

/// The most different requests of one client, and the most bytes of their names: what a guard keeps.
const MAX_REQUESTS: usize = 8_192;
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// The same of all clients: so many of them may be that busy at once.
const BUSY_CLIENTS: usize = 4;
/// A request with longer names is only counted.
const MAX_NAMES: usize = 2_048;
const MAX_ROLES: usize = 64;

/// What was decided since it was taken out last.
#[derive(Default)]
pub(super) struct Table {
    sheets: Mutex<Sheets>,
    hasher: RandomState,
}

/// What one client asked.
#[derive(Default)]
struct Sheet {
    /// By a hash of the request.
    requests: HashMap<u64, DecisionRecord>,
    bytes: usize,
    /// How many decisions are counted and not kept.
    lost: u64,
}

#[derive(Default)]
struct Sheets {
    of: HashMap<Asker, Sheet>,
    requests: usize,
    bytes: usize,
}

/// What was taken out of one client's.
pub(super) struct Taken {
    pub(super) records: Vec<DecisionRecord>,
    pub(super) lost: u64,
}

impl Table {
    /// Notes what was decided.
    pub(super) fn note(&self, asker: &Asker, request: &Request<'_>, decision: Decision) {
        let hash = self.hash(request, decision.allowed);
        self.held().note(asker, hash, request, decision);
    }

    /// Counts decisions that are kept nowhere.
    pub(super) fn lose(&self, asker: &Asker, decisions: u64) {
        let mut sheets = self.held();
        let lost = &mut sheets.sheet(asker).lost;
        *lost = lost.saturating_add(decisions);
    }

    /// Takes out everything, by who asked.
    pub(super) fn take(&self) -> Vec<(Asker, Taken)> {
        let Sheets { of, .. } = std::mem::take(&mut *self.held());
        let taken = |Sheet { requests, lost, .. }| Taken { records: requests.into_values().collect(), lost };
        of.into_iter().map(|(asker, sheet)| (asker, taken(sheet))).collect()
    }

    /// It is whole whenever it is not held: whoever panicked with it changed one count at most.
    fn held(&self) -> MutexGuard<'_, Sheets> {
        self.sheets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hash(&self, request: &Request<'_>, allowed: bool) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        let Request { subject, domain, object, action, roles } = *request;
        (subject, domain, object, action, allowed).hash(&mut hasher);
        roles.iter().for_each(|role| role.hash(&mut hasher));
        hasher.finish()
    }
}

impl Sheets {
    fn sheet(&mut self, asker: &Asker) -> &mut Sheet {
        self.of.entry(asker.clone()).or_default()
    }

    fn note(&mut self, asker: &Asker, hash: u64, request: &Request<'_>, decision: Decision) {
        let (all_requests, all_bytes) = (self.requests, self.bytes);
        let sheet = self.sheet(asker);
        match sheet.requests.get_mut(&hash) {
            Some(known) if is_of(known, request, decision.allowed) => {
                known.decisions += 1;
                known.revision = decision.revision;
                return;
            }
            Some(_) => {
                sheet.lost += 1;
                return;
            }
            None => {}
        }
        let names = names(request);
        let is_full = |requests: usize, bytes: usize, clients: usize| {
            requests >= MAX_REQUESTS * clients || bytes + names > MAX_BYTES * clients
        };
        let is_sheet_full = is_full(sheet.requests.len(), sheet.bytes, 1);
        let is_long = names > MAX_NAMES || request.roles.len() > MAX_ROLES;
        if is_long || is_sheet_full || is_full(all_requests, all_bytes, BUSY_CLIENTS) {
            sheet.lost += 1;
            return;
        }
        sheet.bytes += names;
        sheet.requests.insert(hash, record(asker, request, decision));
        self.requests += 1;
        self.bytes += names;
    }
}

fn record(asker: &Asker, request: &Request<'_>, decision: Decision) -> DecisionRecord {
    let Request { subject, domain, object, action, roles } = *request;
    DecisionRecord {
        subject: subject.to_owned(),
        pseudonymous: false,
        roles: roles.iter().map(str::to_owned).collect(),
        domain: domain.to_owned(),
        object: object.to_owned(),
        action: action.to_owned(),
        allowed: decision.allowed,
        asked_by: Some(asker.client.clone()),
        revision: decision.revision,
        decisions: 1,
    }
}

fn is_of(record: &DecisionRecord, request: &Request<'_>, allowed: bool) -> bool {
    record.allowed == allowed
        && record.subject == request.subject
        && record.domain == request.domain
        && record.object == request.object
        && record.action == request.action
        && record.roles.iter().map(String::as_str).eq(request.roles.iter())
}

/// How many bytes the names of a request have.
fn names(request: &Request<'_>) -> usize {
    let Request { subject, domain, object, action, roles } = *request;
    let of_roles: usize = roles.iter().map(str::len).sum();
    subject.len() + domain.len() + object.len() + action.len() + of_roles
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{PolicySource, Roles, Snapshot};

    use super::*;
    use crate::domain::ids::{ApiId, ClientId};
    use crate::domain::secret::Entropy;
    use crate::services::trial::START;

    fn asker(seed: u64) -> Asker {
        let entropy = Entropy::seeded(seed);
        Asker { api: ApiId::generate(START, &entropy), client: ClientId::generate(START, &entropy) }
    }

    fn decide(table: &Table, asker: &Asker, subject: &str, object: &str, times: usize) {
        let source = PolicySource::with_default_model("p, viewer, *, orders, read");
        let snapshot = Snapshot::compile(&source, 3).unwrap();
        let request =
            Request { subject, roles: Roles::from(&["viewer"]), domain: "acme", object, action: "read" };
        (0..times).for_each(|_| table.note(asker, &request, snapshot.decide(&request)));
    }

    /// The records of one client, in the order of their counts, and what it lost.
    fn only(table: &Table) -> (Vec<DecisionRecord>, u64) {
        let mut taken = table.take();
        assert!(taken.len() <= 1);
        let Some((_, Taken { mut records, lost })) = taken.pop() else { return (Vec::new(), 0) };
        records.sort_by_key(|record| record.decisions);
        (records, lost)
    }

    #[test]
    fn the_same_request_is_kept_once_and_counted() {
        let (table, one) = (Table::default(), asker(1));
        decide(&table, &one, "alice", "orders", 5);
        decide(&table, &one, "bob", "orders", 1);
        decide(&table, &one, "alice", "stock", 2);
        let (records, lost) = only(&table);
        let told: Vec<_> =
            records.iter().map(|one| (&*one.subject, &*one.object, one.allowed, one.decisions)).collect();
        assert_eq!(
            told,
            [("bob", "orders", true, 1), ("alice", "stock", false, 2), ("alice", "orders", true, 5)]
        );
        let record = &records[0];
        assert_eq!(
            (&*record.roles, &*record.domain, record.revision),
            (&["viewer".to_owned()][..], "acme", 3)
        );
        assert_eq!((&record.asked_by, record.pseudonymous, lost), (&Some(one.client), false, 0));
        assert_eq!(only(&table), (Vec::new(), 0));
    }

    #[test]
    fn what_two_clients_asked_is_kept_apart() {
        let table = Table::default();
        for seed in [1, 2] {
            decide(&table, &asker(seed), "alice", "orders", 2);
        }
        let taken = table.take();
        assert_eq!(taken.len(), 2);
        for (asker, taken) in taken {
            assert_eq!(taken.records[0].asked_by.as_ref(), Some(&asker.client));
            assert_eq!((taken.records.len(), taken.records[0].decisions), (1, 2));
        }
    }

    #[test]
    fn a_flood_is_counted_and_not_kept_and_leaves_room_for_others() {
        let table = Table::default();
        (0..MAX_REQUESTS + 10).for_each(|number| decide(&table, &asker(1), &number.to_string(), "orders", 1));
        decide(&table, &asker(1), "0", "orders", 1);
        decide(&table, &asker(2), "alice", "orders", 1);
        for (who, taken) in table.take() {
            let decisions: u64 = taken.records.iter().map(|record| record.decisions).sum();
            let expected =
                if who == asker(1) { (MAX_REQUESTS, MAX_REQUESTS as u64 + 1, 10) } else { (1, 1, 0) };
            assert_eq!((taken.records.len(), decisions, taken.lost), expected);
        }
    }

    #[test]
    fn all_clients_together_are_bounded() {
        let table = Table::default();
        for seed in 0..=BUSY_CLIENTS as u64 {
            (0..MAX_REQUESTS)
                .for_each(|number| decide(&table, &asker(seed), &number.to_string(), "orders", 1));
        }
        let taken = table.take();
        let kept: usize = taken.iter().map(|(_, taken)| taken.records.len()).sum();
        let lost: u64 = taken.iter().map(|(_, taken)| taken.lost).sum();
        assert_eq!((kept, lost), (BUSY_CLIENTS * MAX_REQUESTS, MAX_REQUESTS as u64));
        decide(&table, &asker(0), "alice", "orders", 1);
        assert_eq!(only(&table).0.len(), 1, "there is room again");
    }

    #[test]
    fn names_that_are_too_long_are_counted_and_long_ones_fill_only_so_much() {
        let (table, one) = (Table::default(), asker(1));
        decide(&table, &one, &"x".repeat(MAX_NAMES), "orders", 3);
        assert_eq!(only(&table), (Vec::new(), 3));
        (0..1_500).for_each(|number| decide(&table, &one, &format!("{number:0>1900}"), "orders", 1));
        let (records, lost) = only(&table);
        let bytes: usize = records.iter().map(|record| record.subject.len()).sum();
        assert!(bytes <= MAX_BYTES && lost > 0 && records.len() as u64 + lost == 1_500, "{bytes}");
        table.lose(&one, 7);
        assert_eq!(only(&table), (Vec::new(), 7));
    }
}

//! What recorded requests would be answered by other rules.

use std::collections::hash_map::Entry;
use std::fmt;
use std::hash::BuildHasher;

use serde::Serialize;

use crate::analysis::{Analysis, Grantee};
use crate::condition::Terms;
use crate::intern::{Map, Set};
use crate::request::{Decision, Request};
use crate::snapshot::Snapshot;

/// The most groups of changes that are kept.
const MAX_CHANGES: usize = 1_000;

/// How many callers are named for each group.
const MAX_EXAMPLES: usize = 5;

/// How many rules are named that decided nothing.
const MAX_UNUSED: usize = 1_000;

/// Decides requests by two policies, and keeps what differs.
///
/// ```
/// use portcullis_policy::{Analysis, PolicySource, Replay, Request, Roles, Turn};
///
/// let before = Analysis::of(PolicySource::with_default_model("p, viewer, *, orders, read"))?;
/// let after = Analysis::of(PolicySource::with_default_model("p, editor, *, orders, read"))?;
/// let mut replay = Replay::new(&before, &after);
/// let roles = Roles::from(&["viewer"]);
/// replay.add(&Request { subject: "alice", roles, domain: "acme", object: "orders", action: "read" }, 17);
///
/// let found = replay.finish();
/// assert_eq!((found.denied.decisions, found.changes[0].turn), (17, Turn::Denied));
/// assert_eq!(found.changes[0].to_string(), "viewer loses orders read: 17 decisions, 1 caller");
/// # Ok::<(), portcullis_policy::Report>(())
/// ```
pub struct Replay<'a> {
    before: Side<'a>,
    after: Side<'a>,
    found: Replayed,
    groups: Map<Key, Group>,
    decided_by: Set<u32>,
    losers: Set<u64>,
}

/// A policy to replay under. Of an [`Analysis`] it is also told whom a rule names.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    snapshot: &'a Snapshot,
    analysis: Option<&'a Analysis>,
}

/// What a replay found.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Replayed {
    /// Everything that was decided.
    pub all: Tally,
    /// What was denied before and is allowed after.
    pub allowed: Tally,
    /// What was allowed before, if only under a condition, and is denied after, whatever is shown.
    pub denied: Tally,
    /// What stands under a condition after, and not under the same one before, or under one before and under none after. Whether
    /// the callers met it, or would, nobody knows: what their tokens said of the sign-in is not recorded.
    pub conditional: Tally,
    /// How many callers lose something: a subject with roles in an organisation.
    pub losers: usize,
    /// What changes, by who asks and for what. What is denied comes first, then what is asked most.
    pub changes: Vec<DecisionChange>,
    /// Whether all changes are among these.
    pub complete: bool,
    /// Which rules decided. `None` under another model than the default.
    pub rules: Option<RulesUsed>,
}

/// How much of something there was.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Tally {
    /// How often it was asked.
    pub decisions: u64,
    /// How many different requests that were.
    pub requests: u64,
}

/// Requests for one thing that are answered otherwise.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct DecisionChange {
    /// Which way it goes.
    pub turn: Turn,
    /// The role by which the callers came or come by it, or the user to whom a rule gives it. `None` under another model
    /// than the default.
    pub grantee: Option<Grantee>,
    /// What was asked for.
    pub object: String,
    /// What was to be done with it.
    pub action: String,
    /// How often.
    pub decisions: u64,
    /// How many callers: a subject with roles in an organisation.
    pub callers: usize,
    /// Those who asked most.
    pub examples: Vec<AskedBy>,
}

/// Somebody who asked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AskedBy {
    /// The subject of the token.
    pub subject: String,
    /// The roles in it, in the order of their bytes.
    pub roles: Vec<String>,
    /// The organisation, empty for none.
    pub domain: String,
    /// Who asked about them, where they did not ask themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asker: Option<String>,
    /// How often.
    pub decisions: u64,
    /// The line of the rule that decided before.
    pub before: Option<u32>,
    /// The line of the rule that decides after.
    pub after: Option<u32>,
}

/// Which way a decision turns.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Turn {
    /// It was allowed, if only under a condition, and is not, whatever is shown.
    Denied,
    /// It stands under a condition after, and not under the same one before, or under one before and under none after.
    Conditional,
    /// It was denied.
    Allowed,
}

/// How many rules the requests reached.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RulesUsed {
    /// How many rules say who may do what.
    pub total: usize,
    /// How many of them decided a request first.
    pub used: usize,
    /// The lines of the others. At most a thousand.
    pub unused: Vec<u32>,
}

#[derive(Eq, Hash, PartialEq)]
struct Key {
    turn: Turn,
    grantee: Option<Grantee>,
    object: Box<str>,
    action: Box<str>,
}

/// Something that was asked, and how often.
struct Asked<'a> {
    request: &'a Request<'a>,
    asker: Option<&'a str>,
    decisions: u64,
}

#[derive(Default)]
struct Group {
    decisions: u64,
    /// A hash of each caller: a million of them cost what one long name costs a thousand times.
    callers: Set<u64>,
    examples: Vec<AskedBy>,
}

impl<'a> Replay<'a> {
    /// Compares `after` with `before`.
    pub fn new(before: impl Into<Side<'a>>, after: impl Into<Side<'a>>) -> Self {
        let found = Replayed { complete: true, ..Replayed::default() };
        let (before, after) = (before.into(), after.into());
        Self {
            before,
            after,
            found,
            groups: Map::default(),
            decided_by: Set::default(),
            losers: Set::default(),
        }
    }

    /// Decides a request that was asked `decisions` times.
    pub fn add(&mut self, request: &Request<'_>, decisions: u64) {
        self.add_of(None, request, decisions);
    }

    /// Decides a request that `asker` asked `decisions` times about the subject, which is told with the examples.
    pub fn add_of(&mut self, asker: Option<&str>, request: &Request<'_>, decisions: u64) {
        let (before, after) = (self.before.snapshot.decide(request), self.after.snapshot.decide(request));
        self.found.all.add(decisions);
        self.decided_by.extend(after.rule.map(|rule| rule.line));
        let has_condition = self.before.asks(before) || self.after.asks(after);
        let turn = match (before.allowed, after.allowed) {
            _ if has_condition => {
                match [&self.before, &self.after].map(|side| side.snapshot.terms(request)) {
                    [before, after] if before == after => return,
                    [_, Terms::Never] => Turn::Denied,
                    _ => Turn::Conditional,
                }
            }
            (true, false) => Turn::Denied,
            (false, true) => Turn::Allowed,
            _ => return,
        };
        let tally = match turn {
            Turn::Allowed => &mut self.found.allowed,
            Turn::Conditional => &mut self.found.conditional,
            Turn::Denied => &mut self.found.denied,
        };
        tally.add(decisions);
        let question = Asked { request, asker, decisions };
        self.group(turn, &question, [before, after]);
    }

    fn group(&mut self, turn: Turn, asked: &Asked<'_>, [before, after]: [Decision; 2]) {
        let request = asked.request;
        let grantee = match turn {
            Turn::Denied => self.before.grantee(request, before),
            Turn::Allowed | Turn::Conditional => self.after.grantee(request, after),
        };
        let key = Key { turn, grantee, object: request.object.into(), action: request.action.into() };
        let (count, caller) = (self.groups.len(), self.groups.hasher().hash_one(caller(request)));
        if turn == Turn::Denied {
            self.losers.insert(caller);
        }
        let group = match self.groups.entry(key) {
            Entry::Occupied(group) => group.into_mut(),
            Entry::Vacant(_) if count >= MAX_CHANGES => {
                self.found.complete = false;
                return;
            }
            Entry::Vacant(free) => free.insert(Group::default()),
        };
        group.decisions = group.decisions.saturating_add(asked.decisions);
        group.callers.insert(caller);
        group.exemplify(asked, [before, after].map(|decision| decision.rule.map(|rule| rule.line)));
    }

    /// What was found.
    pub fn finish(self) -> Replayed {
        let Self { after, mut found, groups, decided_by, losers, .. } = self;
        found.losers = losers.len();
        found.changes = groups.into_iter().map(|(key, group)| group.told(key)).collect();
        found.changes.sort_by(|one, other| {
            let rank = |change: &DecisionChange| (change.turn, u64::MAX - change.decisions);
            let name = |change: &DecisionChange| {
                (change.grantee.clone(), change.object.clone(), change.action.clone())
            };
            rank(one).cmp(&rank(other)).then_with(|| name(one).cmp(&name(other)))
        });
        found.rules = after.analysis.map(|analysis| RulesUsed::of(analysis, &decided_by));
        found
    }
}

/// What makes two requests those of one caller.
fn caller<'a>(request: &Request<'a>) -> (&'a str, Vec<&'a str>, &'a str) {
    let mut roles: Vec<&str> = request.roles.iter().collect();
    roles.sort_unstable();
    (request.subject, roles, request.domain)
}

impl Side<'_> {
    /// Whether a condition is all that the request lacks.
    fn asks(&self, decision: Decision) -> bool {
        self.snapshot.wanting(decision).is_some()
    }

    /// The role that the caller holds and the rule came by, or the user.
    fn grantee(&self, request: &Request<'_>, decision: Decision) -> Option<Grantee> {
        let analysis = self.analysis?;
        let ruling = analysis.ruling(decision.rule?.line, &analysis.reach(request))?;
        Some(ruling.path.map_or(ruling.grantee, |path| Grantee::Role(path.role)))
    }
}

impl<'a> From<&'a Snapshot> for Side<'a> {
    fn from(snapshot: &'a Snapshot) -> Self {
        Self { snapshot, analysis: None }
    }
}

impl<'a> From<&'a Analysis> for Side<'a> {
    fn from(analysis: &'a Analysis) -> Self {
        Self { snapshot: analysis.snapshot(), analysis: Some(analysis) }
    }
}

impl Tally {
    fn add(&mut self, decisions: u64) {
        self.decisions = self.decisions.saturating_add(decisions);
        self.requests += 1;
    }
}

impl Group {
    /// Keeps those who asked most; somebody who asks again, on another day, is named once.
    fn exemplify(&mut self, question: &Asked<'_>, [before, after]: [Option<u32>; 2]) {
        let Asked { request, asker, decisions } = *question;
        let (subject, roles, domain) = caller(request);
        let is_same = |example: &&mut AskedBy| {
            let same = (example.subject.as_str(), example.domain.as_str(), example.asker.as_deref());
            same == (subject, domain, asker) && example.roles == roles
        };
        if let Some(known) = self.examples.iter_mut().find(is_same) {
            known.decisions = known.decisions.saturating_add(decisions);
        } else {
            let least = self.examples.last().map(|example| example.decisions);
            if self.examples.len() >= MAX_EXAMPLES && least.is_some_and(|least| decisions <= least) {
                return;
            }
            self.examples.push(AskedBy {
                subject: subject.to_owned(),
                roles: roles.into_iter().map(str::to_owned).collect(),
                domain: domain.to_owned(),
                asker: asker.map(str::to_owned),
                decisions,
                before,
                after,
            });
        }
        self.examples.sort_by(|one, other| {
            let names = || (&one.subject, &one.asker).cmp(&(&other.subject, &other.asker));
            other.decisions.cmp(&one.decisions).then_with(names)
        });
        self.examples.truncate(MAX_EXAMPLES);
    }

    fn told(self, key: Key) -> DecisionChange {
        DecisionChange {
            turn: key.turn,
            grantee: key.grantee,
            object: key.object.into(),
            action: key.action.into(),
            decisions: self.decisions,
            callers: self.callers.len(),
            examples: self.examples,
        }
    }
}

impl RulesUsed {
    fn of(analysis: &Analysis, decided_by: &Set<u32>) -> Self {
        let rows = &analysis.ledger.rows;
        let unused = rows.iter().map(|row| row.line).filter(|line| !decided_by.contains(line));
        Self {
            total: rows.len(),
            used: rows.iter().filter(|row| decided_by.contains(&row.line)).count(),
            unused: unused.take(MAX_UNUSED).collect(),
        }
    }
}

impl fmt::Display for DecisionChange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.grantee {
            Some(grantee) => write!(out, "{grantee} ")?,
            None => out.write_str("somebody ")?,
        }
        let Self { object, action, decisions, callers, .. } = self;
        let verb = match self.turn {
            Turn::Allowed => "gains",
            Turn::Conditional => "has another condition for",
            Turn::Denied => "loses",
        };
        let plural = |one: bool| if one { "" } else { "s" };
        let (some, many) = (plural(*decisions == 1), plural(*callers == 1));
        write!(out, "{verb} {object} {action}: {decisions} decision{some}, {callers} caller{many}")
    }
}

impl fmt::Debug for Replay<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Replay").field("found", &self.found).finish_non_exhaustive()
    }
}

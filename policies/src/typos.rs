//! Names that were probably meant to be another: used once, or asked for by no route, and a letter or two away from one
//! that is in use.

use std::collections::BTreeSet;

use crate::intern::Map;
use crate::line::{self, Field};
use crate::object::{Object, overlap};
use crate::report::{Finding, Findings, PolicyFile, quoted};
use crate::routes::{Need, Route};
use crate::rules::{Rules, Selector, Subject};

/// The longest name that is compared, in characters, and the shortest that another may be near to.
const MAX_LENGTH: usize = 64;
const MIN_LENGTH: usize = 4;

/// From how many characters on two letters may be otherwise: shorter words are near each other by chance.
const LONG: usize = 6;

/// How many pairs of names are looked at, and how many pairs of characters of those that could be near.
const MAX_PAIRS: usize = 10_000_000;
const MAX_STEPS: usize = 2_000_000;

/// For how many pairs one comparison of two objects counts.
const OVERLAP_PAIRS: usize = 16;

/// How many are told of.
const MAX_TOLD: usize = 100;

/// Names that are known from elsewhere than the rules.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct KnownNames {
    /// The actions that the routes of services ask for. None: it is not known what they ask for.
    pub actions: BTreeSet<String>,
    /// The classes of sign-in that the issuer gives (`acr`). None: it is not known which.
    pub classes: BTreeSet<String>,
    /// The objects that they ask for, as the routes write them.
    pub objects: BTreeSet<String>,
    /// Roles that somebody made, beside those that rules name.
    pub roles: BTreeSet<String>,
}

impl KnownNames {
    /// What these routes and their handlers ask for.
    pub fn of_routes<'a>(routes: impl IntoIterator<Item = &'a Route>) -> Self {
        let mut this = Self::default();
        for route in routes {
            this.add(&route.requires);
            route.asks.iter().for_each(|need| this.add(need));
        }
        this
    }

    fn add(&mut self, need: &Need) {
        match need {
            Need::All(needs) | Need::Any(needs) => needs.iter().for_each(|need| self.add(need)),
            Need::Rbac { action, object } => {
                self.actions.insert(action.clone());
                self.objects.insert(object.clone());
            }
            Need::Authenticated
            | Need::Details(_)
            | Need::Dpop
            | Need::Issuer(_)
            | Need::Mtls
            | Need::Optional
            | Need::Public
            | Need::Scope(_)
            | Need::SignIn { .. }
            | Need::Unstated => {}
        }
    }
}

/// Adds a warning for each name that was probably meant to be another.
pub(crate) fn check(text: &str, rules: &Rules<'_>, known: &KnownNames, findings: &mut Findings) {
    let mut budget = Budget { pairs: MAX_PAIRS, steps: MAX_STEPS };
    let mut slips = objects(rules, known).slips(&mut budget, |name, budget| is_asked(name, known, budget));
    for names in [actions(rules, known), roles(rules, known)] {
        slips.extend(names.slips(&mut budget, |_, _| false));
    }
    slips.sort_by_key(|slip| slip.line);
    slips.truncate(MAX_TOLD);
    tell(text, &slips, findings);
}

/// Whether routes ask for what this object of a rule stands for, whatever is near it. Yes, when that costs too much.
fn is_asked(object: &str, known: &KnownNames, budget: &mut Budget) -> bool {
    let Some(rest) = budget.pairs.checked_sub(known.objects.len() * OVERLAP_PAIRS) else { return true };
    budget.pairs = rest;
    known.objects.iter().any(|asked| overlap(object, asked))
}

/// A name, and what it was probably meant to be.
struct Slip<'a> {
    line: u32,
    name: &'a str,
    meant: &'a str,
    why: Why,
}

/// Why a name is suspected.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Why {
    /// No route asks for it.
    Unasked,
    /// One rule names it, and no other.
    Once,
}

/// The names of one part of the rules.
struct Names<'a> {
    /// In the order of their lines.
    used: Vec<Used<'a>>,
    /// Those from elsewhere.
    known: Vec<Word<'a>>,
    /// Whether what is known is all that there is.
    is_complete: bool,
}

/// A name that rules use.
struct Used<'a> {
    word: Word<'a>,
    /// Where it is used first, and in how many rules.
    line: u32,
    rules: u32,
    /// Whether it is known from elsewhere, or told of by another finding.
    is_settled: bool,
}

fn actions<'a>(rules: &Rules<'a>, known: &'a KnownNames) -> Names<'a> {
    let uses = rules.permissions.iter().filter_map(|rule| match rule.action {
        Selector::Any => None,
        Selector::Named(name) => Some((name, rule.line)),
    });
    let is_settled = |name: &str| known.actions.contains(name);
    Names::new(uses, &known.actions, is_settled).complete(!known.actions.is_empty())
}

fn roles<'a>(rules: &Rules<'a>, known: &'a KnownNames) -> Names<'a> {
    let subjects = rules.permissions.iter().filter_map(|rule| match rule.subject {
        Subject::Role(name) => Some((name, rule.line)),
        Subject::User(_) => None,
    });
    let heirs = rules.inheritances.iter().map(|rule| (rule.child, rule.line));
    let mut uses: Vec<_> = subjects.chain(heirs).collect();
    // A role that is only inherited from has no rules: that is said already.
    let useful: BTreeSet<&str> = uses.iter().map(|(name, _)| *name).collect();
    let parents = rules.inheritances.iter().map(|rule| (rule.parent, rule.line));
    uses.extend(parents.filter(|(name, _)| useful.contains(name)));
    uses.sort_by_key(|(_, line)| *line);
    Names::new(uses, &known.roles, |name| known.roles.contains(name))
}

/// Only against what routes ask for: rules name an object once, and many that are alike.
fn objects<'a>(rules: &Rules<'a>, known: &'a KnownNames) -> Names<'a> {
    let uses = rules.permissions.iter().filter_map(|rule| match &rule.object {
        // It is not for one route.
        Object::Any => None,
        object if object.text().ends_with("/*") => None,
        object => Some((object.text(), rule.line)),
    });
    let uses = uses.filter(|_| !known.objects.is_empty());
    let is_settled = |name: &str| known.objects.contains(name);
    Names::new(uses, &known.objects, is_settled).complete(true)
}

impl<'a> Names<'a> {
    fn new(
        named: impl IntoIterator<Item = (&'a str, u32)>,
        known: &'a BTreeSet<String>,
        is_settled: impl Fn(&str) -> bool,
    ) -> Self {
        let mut places: Map<&str, usize> = Map::default();
        let mut used: Vec<Used<'a>> = Vec::new();
        for (name, line) in named {
            let place = *places.entry(name).or_insert(used.len());
            if let Some(again) = used.get_mut(place) {
                again.rules = again.rules.saturating_add(1);
            } else {
                let word = Word::of(name);
                used.push(Used { word, line, rules: 1, is_settled: is_settled(name) });
            }
        }
        let known = known.iter().map(|name| Word::of(name)).collect();
        Self { used, known, is_complete: false }
    }

    fn complete(self, is_complete: bool) -> Self {
        Self { is_complete, ..self }
    }

    /// Finds what each suspect was meant to be that is not meant as it stands, until the budget is spent.
    fn slips(
        &self,
        budget: &mut Budget,
        mut is_meant: impl FnMut(&str, &mut Budget) -> bool,
    ) -> Vec<Slip<'a>> {
        let targets = Targets::of(self);
        let is_suspect = |used: &&Used<'a>| !used.is_settled && (used.rules == 1 || self.is_complete);
        let suspects = self.used.iter().filter(is_suspect).filter(|used| used.word.length <= MAX_LENGTH);
        let slip = |used: &Used<'a>| {
            let (why, meant) = targets.nearest(used, self.is_complete, budget)?;
            if is_meant(used.word.text, budget) {
                return None;
            }
            Some(Slip { line: used.line, name: used.word.text, meant, why })
        };
        suspects.filter_map(slip).take(MAX_TOLD).collect()
    }
}

/// A name, and what makes it quick to see that it is not near another.
#[derive(Clone, Copy)]
struct Word<'a> {
    text: &'a str,
    /// In characters; of a long name, some number beyond what is compared.
    length: usize,
    /// Which letters it has, a bit for several.
    letters: u64,
    first: Option<char>,
    /// Of a name with digits, the sum of what it is without them: such names are many that are alike.
    series: Option<u64>,
}

impl<'a> Word<'a> {
    fn of(text: &'a str) -> Self {
        let lower = || text.chars().take(MAX_LENGTH + 1).map(|letter| letter.to_ascii_lowercase());
        let letters = lower().fold(0, |letters, letter| letters | 1 << (u32::from(letter) % 64));
        let sum = |sum: u64, letter: char| sum.wrapping_mul(1_000_003) ^ u64::from(u32::from(letter));
        let series = text.contains(|letter: char| letter.is_ascii_digit());
        let series = series.then(|| lower().filter(|letter| !letter.is_ascii_digit()).fold(0, sum));
        Self { text, length: lower().count(), letters, first: lower().next(), series }
    }

    /// How many letters may be otherwise in a word that is near this one.
    fn reach(&self, other: &Self) -> usize {
        match self.length.max(other.length) {
            ..MIN_LENGTH => 0,
            MIN_LENGTH..LONG => 1,
            LONG.. => 2,
        }
    }

    /// How far the other is, if it is near. `None` as well once nothing is left to look with.
    fn distance(&self, other: &Self, budget: &mut Budget) -> Option<usize> {
        let reach = self.reach(other);
        if self.length.abs_diff(other.length) > reach {
            return None;
        }
        let strange = (self.letters ^ other.letters).count_ones() as usize;
        // Each change takes a letter away and brings one.
        if strange > 2 * reach || (self.series.is_some() && self.series == other.series) {
            return None;
        }
        // Who mistypes begins right: `load` and `road` are two words.
        let begins_right = self.first == other.first;
        if !begins_right && self.length == other.length && strange > 0 {
            return None;
        }
        budget.steps = budget.steps.checked_sub(self.length.max(1) * other.length.max(1))?;
        if self.text == other.text || differ_in_short_parts(self.text, other.text) {
            return None;
        }
        if self.text.eq_ignore_ascii_case(other.text) {
            return Some(1);
        }
        let most = if begins_right { reach } else { 1 };
        Some(strsim::damerau_levenshtein(self.text, other.text)).filter(|distance| *distance <= most)
    }
}

/// Whether the names have the same parts but for some that are too short to be near: `team-a` and `team-b` are two teams.
fn differ_in_short_parts(one: &str, other: &str) -> bool {
    let parts = |name: &'_ str| name.split(|letter: char| !letter.is_alphanumeric()).count();
    let mut differing = one
        .split(|letter: char| !letter.is_alphanumeric())
        .zip(other.split(|letter: char| !letter.is_alphanumeric()))
        .filter(|(one, other)| !one.eq_ignore_ascii_case(other));
    let short = |(one, other): (&str, &str)| one.chars().count().max(other.chars().count()) < MIN_LENGTH;
    parts(one) == parts(other) && parts(one) > 1 && differing.any(short)
}

/// How much may still be looked at: what people write needs little of it.
struct Budget {
    pairs: usize,
    steps: usize,
}

/// What a suspect may have been meant to be, by length.
struct Targets<'n, 'a> {
    used: Vec<Vec<&'n Used<'a>>>,
    known: Vec<Vec<&'n Word<'a>>>,
}

impl<'n, 'a> Targets<'n, 'a> {
    fn of(names: &'n Names<'a>) -> Self {
        let mut this =
            Self { used: vec![Vec::new(); MAX_LENGTH + 1], known: vec![Vec::new(); MAX_LENGTH + 1] };
        for used in &names.used {
            if let Some(of_length) = this.used.get_mut(used.word.length) {
                of_length.push(used);
            }
        }
        for word in &names.known {
            if let Some(of_length) = this.known.get_mut(word.length) {
                of_length.push(word);
            }
        }
        this
    }

    /// The nearest that routes ask for; where none is, or it is not known what they ask for, the nearest that rules use.
    fn nearest(&self, suspect: &Used<'a>, is_complete: bool, budget: &mut Budget) -> Option<(Why, &'a str)> {
        let word = &suspect.word;
        let lengths = word.length.saturating_sub(2)..=word.length + 2;
        let near = lengths.clone().filter_map(|length| self.known.get(length)).flatten();
        let near = near.map_while(|known| {
            budget.pairs = budget.pairs.checked_sub(1)?;
            Some(word.distance(known, budget).map(|far| (far, known.text)))
        });
        if let Some((_, meant)) = near.flatten().min() {
            return Some((if is_complete { Why::Unasked } else { Why::Once }, meant));
        }
        if suspect.rules > 1 {
            return None;
        }
        let near = lengths.filter_map(|length| self.used.get(length)).flatten();
        let near = near.map_while(|used| {
            budget.pairs = budget.pairs.checked_sub(1)?;
            let distance = word.distance(&used.word, budget);
            Some(distance.filter(|far| used.outweighs(suspect, *far)).map(|far| (far, used.word.text)))
        });
        near.flatten().min().map(|(_, meant)| (Why::Once, meant))
    }
}

impl Used<'_> {
    /// Whether this is what was meant by a name that is so far away, and not the other way round.
    fn outweighs(&self, other: &Self, distance: usize) -> bool {
        self.is_settled || self.rules > other.rules || (distance == 1 && self.line < other.line)
    }
}

/// Finds the columns, in one pass over the text.
fn tell(text: &str, slips: &[Slip<'_>], findings: &mut Findings) {
    let mut rest = slips;
    for line in line::lines(PolicyFile::Rules, text) {
        let here = rest.partition_point(|slip| slip.line <= line.number);
        let (told, later) = rest.split_at(here);
        rest = later;
        for slip in told {
            let fields = line.read().ok().flatten().unwrap_or_default();
            // The kind of the line is no name.
            let field = fields.iter().skip(1).find(|field| field.text == slip.name);
            let place = line.place(field.map_or(0, |Field { offset, .. }| *offset));
            findings.push(slip.finding(place));
        }
        if rest.is_empty() {
            return;
        }
    }
}

impl Slip<'_> {
    fn finding(&self, place: crate::report::Place) -> Finding {
        let (name, meant) = (quoted(self.name), quoted(self.meant));
        let message = match self.why {
            Why::Once => format!("{name} is used by this rule only; did you mean {meant}?"),
            Why::Unasked => format!("no route asks for {name}; did you mean {meant}?"),
        };
        Finding::warning(place, "likely-typo", message).with_fix(Some(self.meant))
    }
}

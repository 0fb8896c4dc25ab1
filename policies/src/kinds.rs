//! The different conditions of a policy, and which of them make others superfluous.

use crate::condition::{Assurance, Condition, Terms};

/// How many different conditions a policy may have: a bit stands for each.
pub(crate) const MAX_KINDS: usize = 64;

/// The different conditions of a policy, each with a number.
pub(crate) struct Kinds {
    /// In their order.
    all: Vec<Condition>,
    /// Of each, those others that are met by whatever meets it.
    weaker: Vec<KindSet>,
}

/// Some of the conditions of a policy, by their numbers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct KindSet(u64);

/// Which conditions something that is shown meets. Each is looked at once, when it is first asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Met {
    looked_at: KindSet,
    met: KindSet,
}

impl Kinds {
    /// Those among these, which are at most [`MAX_KINDS`] different ones.
    pub(crate) fn of<'a>(conditions: impl Iterator<Item = &'a Condition>) -> Self {
        let mut all: Vec<&Condition> = conditions.collect();
        all.sort_unstable();
        all.dedup();
        let numbered = || (0_u8..).zip(all.iter().copied());
        let weaker = |(own, condition): (u8, &Condition)| {
            // Of two that say the same in another order, the first stands for both.
            let is_weaker = |(number, other): &(u8, &Condition)| {
                *number != own && condition.implies(other) && (*number < own || !other.implies(condition))
            };
            numbered().filter(is_weaker).fold(KindSet::default(), |set, (number, _)| set.with(number))
        };
        let weaker = numbered().map(weaker).collect();
        Self { weaker, all: all.into_iter().cloned().collect() }
    }

    pub(crate) fn get(&self, number: u8) -> Option<&Condition> {
        self.all.get(usize::from(number))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.all.iter()
    }

    /// The number of a condition that is among them.
    pub(crate) fn number(&self, condition: &Condition) -> Option<u8> {
        u8::try_from(self.all.binary_search(condition).ok()?).ok()
    }

    /// Those of some that no other makes superfluous, in their order.
    pub(crate) fn terms(&self, some: KindSet) -> Terms<'_> {
        let all = (0_u8..).zip(self.all.iter().zip(&self.weaker));
        let left = all.filter(|(number, (_, weaker))| some.contains(*number) && !some.meets(**weaker));
        Terms::If(left.map(|(_, (condition, _))| condition).collect())
    }

    /// Whether what is shown meets a condition.
    pub(crate) fn is_met(&self, number: u8, shown: &Assurance<'_>, met: &mut Met) -> bool {
        if met.looked_at.insert(number) && self.get(number).is_some_and(|one| one.is_met_by(shown)) {
            met.met.insert(number);
        }
        met.met.contains(number)
    }
}

impl KindSet {
    /// Whether it was not in it.
    pub(crate) fn insert(&mut self, number: u8) -> bool {
        let before = *self;
        *self = self.with(number);
        *self != before
    }

    fn with(self, number: u8) -> Self {
        Self(self.0 | Self::bit(number))
    }

    fn contains(self, number: u8) -> bool {
        self.0 & Self::bit(number) != 0
    }

    /// Whether they have one in common.
    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    fn bit(number: u8) -> u64 {
        1_u64.checked_shl(u32::from(number)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(acr: &[&str], max_age: Option<u64>, dpop: bool) -> Condition {
        let acr = acr.iter().map(|class| (*class).to_owned()).collect();
        Condition { acr, max_age, dpop, mtls: false }
    }

    #[test]
    fn of_conditions_the_weakest_are_left() {
        let (phr, older) = (condition(&["phr"], None, false), condition(&[], Some(600), false));
        let (recent, both) = (condition(&[], Some(300), false), condition(&["phr"], Some(300), true));
        let any = condition(&["phr", "phrh"], None, false);
        let turned = condition(&["phrh", "phr"], None, false);
        let kinds = Kinds::of([&phr, &older, &recent, &both, &any, &turned, &phr].into_iter());
        assert_eq!(kinds.iter().count(), 6);
        let of = |some: &[&Condition]| {
            let number = |condition: &&Condition| kinds.number(condition).unwrap();
            let some = some.iter().map(number).fold(KindSet::default(), KindSet::with);
            kinds.terms(some).to_string()
        };
        assert_eq!(of(&[&both, &recent, &older]), "the user signed in within 600 s");
        assert_eq!(of(&[&phr, &any, &both]), "the user signed in by phr or phrh");
        assert_eq!(of(&[&turned, &any]), "the user signed in by phr or phrh");
        assert_eq!(of(&[&turned, &phr]), "the user signed in by phrh or phr");
        assert_eq!(of(&[&phr, &older]), of(&[&older, &both, &phr]));
        assert_eq!(of(&[&phr, &older]), "the user signed in within 600 s, or the user signed in by phr");
    }

    #[test]
    fn there_is_a_bit_for_each() {
        let mut set = KindSet::default();
        assert!((0..64).all(|number| set.insert(number)) && !(0..64).any(|number| set.insert(number)));
    }
}

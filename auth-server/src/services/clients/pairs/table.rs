//! What becomes of every two things that are said of a client, and the page that tells it.

use std::collections::{BTreeMap, BTreeSet};

use super::settings::Setting;
use super::{HOW, Place, outcome, places};
use crate::domain::client::Preset;
use crate::services::fields::FieldErrors;

/// What was found: by reason, where it holds.
type Reasons = BTreeMap<String, BTreeSet<Place>>;

/// All outcomes.
#[derive(Default)]
pub(super) struct Table {
    /// Kinds of clients that there are.
    kinds: BTreeSet<Place>,
    alone: BTreeMap<usize, BTreeSet<Place>>,
    alone_refused: BTreeMap<usize, Reasons>,
    excluded: BTreeMap<(usize, usize), Reasons>,
    needed: BTreeMap<(usize, usize), BTreeSet<Place>>,
}

fn reasons(errors: &FieldErrors) -> impl Iterator<Item = String> {
    errors.iter().map(|error| error.message.clone())
}

/// A refusal has a reason, and points at what was said, or at what kind of client it is.
fn assert_told(errors: &FieldErrors, place: Place, said: &[&Setting]) {
    let names: Vec<&str> = said.iter().map(|setting| setting.name).collect();
    assert!(!errors.is_empty(), "{place:?} {names:?}");
    for error in errors.iter() {
        let is_kind = ["/preset", "/options/profile"].contains(&error.pointer.as_str());
        let is_said = said.iter().any(|setting| setting.owns(&error.pointer));
        assert!(is_kind || is_said, "{place:?} {names:?} points elsewhere: {error:?}");
        assert!(error.message.len() > 10, "{place:?} {names:?} has no reason: {error:?}");
    }
}

impl Table {
    pub(super) fn filled(settings: &[&Setting]) -> Self {
        let mut table = Self::default();
        for place in places() {
            match outcome(place, &[]) {
                Ok(()) => _ = table.kinds.insert(place),
                Err(errors) => assert_told(&errors, place, &[]),
            }
            for (first, one) in settings.iter().enumerate() {
                table.add_alone(place, (first, one));
            }
            for (first, one) in settings.iter().enumerate() {
                for (second, other) in settings.iter().enumerate().skip(first + 1) {
                    if one.member() != other.member() {
                        table.add_pair(place, (first, one), (second, other));
                    }
                }
            }
        }
        table
    }

    fn add_alone(&mut self, place: Place, (position, one): (usize, &Setting)) {
        match outcome(place, &[one]) {
            Ok(()) => {
                assert!(self.kinds.contains(&place), "{place:?} {}", one.name);
                self.alone.entry(position).or_default().insert(place);
            }
            Err(errors) => {
                assert_told(&errors, place, &[one]);
                let found = self.alone_refused.entry(position).or_default();
                for reason in reasons(&errors).filter(|_| self.kinds.contains(&place)) {
                    found.entry(reason).or_default().insert(place);
                }
            }
        }
    }

    fn works_alone(&self, position: usize, place: Place) -> bool {
        self.alone.get(&position).is_some_and(|works| works.contains(&place))
    }

    fn add_pair(&mut self, place: Place, one: (usize, &Setting), other: (usize, &Setting)) {
        let (pair, said) = ((one.0, other.0), [one.1, other.1]);
        let both_work = self.works_alone(one.0, place) && self.works_alone(other.0, place);
        match outcome(place, &said) {
            Ok(()) if both_work => {}
            Ok(()) => {
                assert!(self.kinds.contains(&place), "{place:?} {} {}", one.1.name, other.1.name);
                self.needed.entry(pair).or_default().insert(place);
            }
            Err(errors) => {
                assert_told(&errors, place, &said);
                let found = reasons(&errors).filter(|_| both_work);
                for reason in found {
                    self.excluded.entry(pair).or_default().entry(reason).or_default().insert(place);
                }
            }
        }
    }

    /// Profiles of a preset, in words.
    fn profiles(&self, preset: Preset, places: &BTreeSet<Place>) -> Option<String> {
        let of = |places: &BTreeSet<Place>| -> Vec<String> {
            let here = places.iter().filter(|place| place.0 == preset);
            here.map(|place| format!("`{}`", place.1)).collect()
        };
        let (here, all) = (of(places), of(&self.kinds));
        if here.is_empty() {
            return None;
        }
        Some(if here == all { String::new() } else { here.join(", ") })
    }

    /// Places, in words.
    fn told(&self, places: &BTreeSet<Place>) -> String {
        let named = Preset::ALL.into_iter().filter_map(|preset| {
            let profiles = self.profiles(preset, places)?;
            let profiles = if profiles.is_empty() { profiles } else { format!(" ({profiles})") };
            Some(format!("`{}`{profiles}", preset.as_str()))
        });
        named.collect::<Vec<_>>().join(", ")
    }

    pub(super) fn page(&self, settings: &[&Setting]) -> String {
        let mut page = HEAD.replace("{HOW}", HOW);
        let mut line = |text: &str| {
            page.push_str(text);
            page.push('\n');
        };
        line("## Profiles\n\n| preset | profiles |\n|---|---|");
        for preset in Preset::ALL {
            let all = self.kinds.iter().filter(|place| place.0 == preset);
            let all: Vec<String> = all.map(|place| format!("`{}`", place.1)).collect();
            line(&format!("| `{}` | {} |", preset.as_str(), all.join(", ")));
        }
        let heads = Preset::ALL.map(|preset| format!(" `{}` |", preset.as_str())).concat();
        line(&format!(
            "\n## Each by itself\n\n| setting |{heads}\n|---|{}",
            "---|".repeat(Preset::ALL.len())
        ));
        let nowhere = BTreeSet::new();
        for (position, setting) in settings.iter().enumerate() {
            let works = self.alone.get(&position).unwrap_or(&nowhere);
            let cells = Preset::ALL.map(|preset| match self.profiles(preset, works) {
                None => " no |".to_owned(),
                Some(profiles) if profiles.is_empty() => " yes |".to_owned(),
                Some(profiles) => format!(" {profiles} |"),
            });
            line(&format!("| {} |{}", setting.name, cells.concat()));
        }
        line("\n## Why not\n\n| setting | where | why |\n|---|---|---|");
        for (position, reasons) in &self.alone_refused {
            for (reason, places) in reasons {
                line(&format!("| {} | {} | {reason} |", settings[*position].name, self.told(places)));
            }
        }
        line(PAIRS);
        for ((one, other), reasons) in &self.excluded {
            for (reason, places) in reasons {
                let (one, other) = (settings[*one].name, settings[*other].name);
                line(&format!("| {one} | {other} | {} | {reason} |", self.told(places)));
            }
        }
        line(NEEDS);
        for ((one, other), places) in &self.needed {
            let (one, other) = (settings[*one].name, settings[*other].name);
            line(&format!("| {one} | {other} | {} |", self.told(places)));
        }
        page
    }
}

const HEAD: &str = "# Which settings of a client go together

For each preset and profile, what can be set by itself, and which two things can be set together. What cannot is refused with the reason below and the place of one of the two \
(`/options/protocol/..`). The members are those of the [document of a client](clients.md#everything-about-a-client-in-one-file). Of what stands before a colon a client has one value; what \
needs something else to be said with it stands here with that.

Two settings go together in each place where each of them goes by itself, unless they stand under [What excludes each other](#what-excludes-each-other), and in those places that are named under \
[What needs the other](#what-needs-the-other). Nowhere else. What depends on the configuration is not here: certificates have to be seen, and `protocol.device_grant` and `protocol.ciba_grant` have to be on. Nor is what depends on other \
things that are registered, such as what an [API](clients.md#what-access-tokens-are-signed-with) has its tokens signed with.

This page is made by `{HOW}`, and the test fails without the variable where the page differs.

";

const PAIRS: &str = "
## What excludes each other

Each of the two goes by itself there.

| one | other | where | why |
|---|---|---|---|";

const NEEDS: &str = "
## What needs the other

There, one of the two does not go by itself.

| one | other | where |
|---|---|---|";

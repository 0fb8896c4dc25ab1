//! Of changes within changes, the widest.

use crate::diff::{GrantChange, LOOKS, is_open};
use crate::intern::{Map, Set};
use crate::object::covers;

/// The changes that no wider one covers. `None` when it takes more work than is left.
pub(super) fn widest(mut found: Vec<GrantChange>, work: &mut usize) -> Option<Vec<GrantChange>> {
    found.sort_by_cached_key(|change| {
        let named = |text: &str| text != "*";
        let object = (named(&change.object), !change.object.ends_with("/*"), !change.object.contains('{'));
        let place = (change.domain.clone(), change.object.clone(), change.action.clone());
        (named(&change.domain), object, named(&change.action), place)
    });
    let mut wide: Map<(Turn, String, String), Wide> = Map::default();
    let mut kept = Vec::new();
    for change in found {
        let kind = turn(&change);
        let mut covered = false;
        for domain in ["*", &change.domain] {
            for action in ["*", &change.action] {
                let Some(wide) = wide.get(&(kind.clone(), domain.to_owned(), action.to_owned())) else {
                    continue;
                };
                *work = work.checked_sub(wide.open.len() / LOOKS)?;
                covered = covered || wide.covers(&change.object);
            }
        }
        if !covered {
            let place = (kind, change.domain.clone(), change.action.clone());
            wide.entry(place).or_default().add(&change.object);
            kept.push(change);
        }
    }
    Some(kept)
}

/// From what to what, with the conditions of both.
type Turn = ([u8; 2], [String; 2]);

fn turn(change: &GrantChange) -> Turn {
    let [before, after] = [change.before.kind(), change.after.kind()];
    ([before.0, after.0], [before.1.to_owned(), after.1.to_owned()])
}

/// Objects of changes that are told.
#[derive(Default)]
struct Wide {
    names: Set<String>,
    open: Vec<String>,
}

impl Wide {
    fn add(&mut self, object: &str) {
        if is_open(object) {
            self.open.push(object.to_owned());
        } else {
            self.names.insert(object.to_owned());
        }
    }

    fn covers(&self, object: &str) -> bool {
        self.names.contains(object) || self.open.iter().any(|open| covers(open, object))
    }
}

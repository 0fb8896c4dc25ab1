//! Siblings form a directed graph without cycles, at every level of the module tree.
//!
//! A parent and its child may name each other: `token/mod.rs` dispatches to `token/refresh_token.rs`, which takes
//! its types. Between siblings, a cycle means that two concepts are one, or that a third is missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::references::{Crate, Target};
use crate::source::{ModulePath, SourceFile};

/// Who names whom, and one place where it does.
type Graph = BTreeMap<ModulePath, BTreeMap<ModulePath, String>>;

/// Each cycle as the chain of its modules.
pub(crate) fn cycles(this: &Crate, files: &[SourceFile]) -> Vec<String> {
    let graph = siblings(this, files);
    let mut found = BTreeSet::new();
    for start in graph.keys() {
        if let Some(chain) = way(&graph, start) {
            found.insert(chain);
        }
    }
    found.into_iter().map(|chain| described(&graph, &chain)).collect()
}

fn described(graph: &Graph, chain: &[ModulePath]) -> String {
    let names: Vec<String> = chain.iter().map(|module| module.join("::")).collect();
    let places = chain.iter().zip(chain.iter().skip(1)).filter_map(|(from, to)| graph.get(from)?.get(to));
    let places: Vec<&str> = places.map(String::as_str).collect();
    format!("{} ({})", names.join(" -> "), places.join(", "))
}

fn siblings(this: &Crate, files: &[SourceFile]) -> Graph {
    let mut graph = Graph::new();
    for (file, (name, mentions)) in files.iter().zip(&this.mentions) {
        for mention in mentions {
            let Target::Own(target) = this.resolve(mention) else { continue };
            let level = file.module.iter().zip(&target).take_while(|(left, right)| left == right).count();
            let (Some(from), Some(to)) = (file.module.get(..=level), target.get(..=level)) else { continue };
            let place = || format!("{name}:{}", mention.line);
            graph.entry(from.to_vec()).or_default().entry(to.to_vec()).or_insert_with(place);
        }
    }
    graph
}

/// The shortest way from a module back to itself, when the module is the first of its cycle by name.
fn way(graph: &Graph, start: &ModulePath) -> Option<Vec<ModulePath>> {
    let mut waiting = std::collections::VecDeque::from([vec![start.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(chain) = waiting.pop_front() {
        for next in graph.get(chain.last()?).into_iter().flat_map(BTreeMap::keys) {
            let longer: Vec<ModulePath> = chain.iter().chain([next]).cloned().collect();
            if next == start {
                let first = longer.iter().min()?;
                return (first == start).then_some(longer);
            }
            if seen.insert(next.clone()) {
                waiting.push_back(longer);
            }
        }
    }
    None
}

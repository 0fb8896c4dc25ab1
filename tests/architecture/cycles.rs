//! Siblings form a directed graph without cycles, at every level of the module tree.
//!
//! A parent and its child may name each other: `token/mod.rs` dispatches to `token/refresh_token.rs`, which takes
//! its types. Between siblings, a cycle means that two concepts are one, or that a third is missing.

use std::collections::{BTreeMap, BTreeSet};

use crate::references::{Crate, Target};
use crate::source::{ModulePath, SourceFile};

type Graph = BTreeMap<ModulePath, BTreeSet<ModulePath>>;

/// Each cycle as the chain of its modules.
pub(crate) fn cycles(this: &Crate, files: &[SourceFile]) -> Vec<String> {
    let graph = siblings(this, files);
    let mut found = BTreeSet::new();
    for start in graph.keys() {
        if let Some(chain) = way(&graph, start) {
            found.insert(chain);
        }
    }
    let text = |chain: Vec<ModulePath>| {
        chain.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" -> ")
    };
    found.into_iter().map(text).collect()
}

fn siblings(this: &Crate, files: &[SourceFile]) -> Graph {
    let mut graph = Graph::new();
    for (file, (_, mentions)) in files.iter().zip(&this.mentions) {
        for mention in mentions {
            let Target::Own(target) = this.resolve(mention) else { continue };
            let level = file.module.iter().zip(&target).take_while(|(left, right)| left == right).count();
            let (Some(from), Some(to)) = (file.module.get(..=level), target.get(..=level)) else { continue };
            graph.entry(from.to_vec()).or_default().insert(to.to_vec());
        }
    }
    graph
}

/// The shortest way from a module back to itself, when the module is the first of its cycle by name.
fn way(graph: &Graph, start: &ModulePath) -> Option<Vec<ModulePath>> {
    let mut waiting = std::collections::VecDeque::from([vec![start.clone()]]);
    let mut seen = BTreeSet::new();
    while let Some(chain) = waiting.pop_front() {
        for next in graph.get(chain.last()?).into_iter().flatten() {
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

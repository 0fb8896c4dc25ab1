//! Route templates, found by walking a path once.

use crate::intern::{Map, index};
use crate::object::{Segment, Template};

/// A tree of segments. Every node that ends a template carries the number of that object.
pub(crate) struct Trie {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    literals: Map<Box<[u8]>, u32>,
    parameter: Option<u32>,
    /// The template that ends here.
    end: Option<u32>,
    /// The template that takes everything below.
    open: Option<u32>,
}

impl Default for Trie {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl Trie {
    /// Adds a template and returns the number of its object: `new` unless its equal is there already.
    pub(crate) fn insert(&mut self, template: &Template<'_>, new: u32) -> u32 {
        let mut at = 0;
        for segment in &template.segments {
            at = self.child(at, *segment);
        }
        let Some(node) = self.nodes.get_mut(at as usize) else { return new };
        let slot = if template.open { &mut node.open } else { &mut node.end };
        *slot.get_or_insert(new)
    }

    /// Calls `found` with each template that matches: literals never shadow parameters, because a
    /// deny behind either must be seen.
    pub(crate) fn find(&self, path: &str, found: &mut impl FnMut(u32)) {
        self.walk(0, Some(path.as_bytes()), found);
    }

    /// How many nodes a walk can visit at most, whatever the path.
    ///
    /// At each node, a walk goes on to the parameter and to one of the literals. A child comes after
    /// its parent, so from the end, every child is known before its parent.
    pub(crate) fn longest_walk(&self) -> usize {
        let mut longest = vec![0_usize; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let of = |child: &u32| longest.get(*child as usize).copied().unwrap_or(0);
            let literal = node.literals.values().map(of).max().unwrap_or(0);
            let visits = node.parameter.as_ref().map_or(0, of).saturating_add(literal).saturating_add(1);
            if let Some(slot) = longest.get_mut(at) {
                *slot = visits;
            }
        }
        longest.first().copied().unwrap_or(0)
    }

    /// As deep as the deepest template, which is bounded, however long the path.
    fn walk(&self, at: u32, path: Option<&[u8]>, found: &mut impl FnMut(u32)) {
        let Some(node) = self.nodes.get(at as usize) else { return };
        let Some(path) = path else {
            node.end.into_iter().for_each(found);
            return;
        };
        if let Some(object) = node.open {
            found(object);
        }
        let (segment, rest) = split(path);
        if let Some(child) = node.parameter.filter(|_| !segment.is_empty()) {
            self.walk(child, rest, found);
        }
        if let Some(child) = node.literals.get(segment) {
            self.walk(*child, rest, found);
        }
    }

    fn child(&mut self, at: u32, segment: Segment<'_>) -> u32 {
        let next = index(self.nodes.len());
        let Some(node) = self.nodes.get_mut(at as usize) else { return next };
        let child = match segment {
            Segment::Literal(text) => *node.literals.entry(text.as_bytes().into()).or_insert(next),
            Segment::Parameter => *node.parameter.get_or_insert(next),
        };
        if child == next {
            self.nodes.push(Node::default());
        }
        child
    }
}

/// The first segment, and what is behind the slash after it.
fn split(path: &[u8]) -> (&[u8], Option<&[u8]>) {
    let slash = path.iter().position(|byte| *byte == b'/');
    let (segment, rest) = slash.and_then(|at| path.split_at_checked(at)).unwrap_or((path, &[]));
    (segment, rest.get(1..))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Object;

    /// Every template of `depth` segments that are each `a` or a parameter.
    fn full(depth: u32) -> Trie {
        let mut trie = Trie::default();
        for bits in 0..1_u32 << depth {
            let segment = |at: u32| if bits >> at & 1 == 0 { "/a" } else { "/{x}" };
            let text: String = (0..depth).map(segment).chain(["/{end}"]).collect();
            let Ok(Object::Template(template)) = Object::parse(&text) else { panic!("a template") };
            trie.insert(&template, bits);
        }
        trie
    }

    /// What `walk` visits, counted.
    fn visits(trie: &Trie, at: u32, path: Option<&[u8]>) -> usize {
        let node = &trie.nodes[at as usize];
        let Some(path) = path else { return 1 };
        let (segment, rest) = split(path);
        let parameter = node.parameter.filter(|_| !segment.is_empty());
        let children = parameter.into_iter().chain(node.literals.get(segment).copied());
        1 + children.map(|child| visits(trie, child, rest)).sum::<usize>()
    }

    #[test]
    fn no_walk_is_longer_than_the_longest() {
        for depth in 0..10 {
            let trie = full(depth);
            let worst = format!("{}/z", "/a".repeat(depth as usize));
            assert_eq!(visits(&trie, 0, Some(worst.as_bytes())), trie.longest_walk());
            for path in ["", "/", "/a", "/b/a/b/a/b", "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"] {
                assert!(visits(&trie, 0, Some(path.as_bytes())) <= trie.longest_walk());
            }
        }
    }
}

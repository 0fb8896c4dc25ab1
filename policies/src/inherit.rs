//! The graph of roles: who inherits from whom, closed from the top down.

use crate::intern::{Map, Run, Set};

/// How many steps of inheritance a role may be away from another.
///
/// Casbin stops after ten levels without a word: the subject and a chain of nine roles.
pub(crate) const MAX_STEPS: u32 = 8;

/// How many roles all closures may hold together, and how many may be looked at to find them.
const MAX_CLOSED: usize = 4_000_000;
const MAX_WORK: usize = 20_000_000;

/// One `g` line: `child` has the permissions of `parent`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) child: u32,
    pub(crate) parent: u32,
    pub(crate) line: u32,
    pub(crate) column: u32,
}

/// Why a graph of roles cannot be used.
#[derive(Debug)]
pub(crate) enum Fault {
    /// These edges lead back to where they start.
    Cycle(Vec<Edge>),
    /// This edge makes a chain longer than [`MAX_STEPS`].
    Depth(Edge),
    /// With this edge, roles inherit so much that the closures do not fit.
    Size(Edge),
}

/// The edges of one domain.
#[derive(Default)]
pub(crate) struct Layer {
    parents: Map<u32, Vec<Edge>>,
    children: Map<u32, Vec<Edge>>,
}

impl Layer {
    pub(crate) fn add(&mut self, edge: Edge) {
        self.parents.entry(edge.child).or_default().push(edge);
        self.children.entry(edge.parent).or_default().push(edge);
    }
}

/// The roles that one role stands for, and the length of its longest chain.
#[derive(Clone, Copy, Default)]
pub(crate) struct Closure {
    pub(crate) run: Run,
    steps: u32,
}

/// Closes layers over inheritance into one flat table.
pub(crate) struct Closer<'a> {
    /// The edges that hold in every domain.
    general: &'a Layer,
    /// All closures one after another, each sorted and with the role itself.
    pub(crate) closed: Vec<u32>,
    /// Per role, what holds in every domain.
    pub(crate) roles: Vec<Closure>,
    marks: Marks,
    work: usize,
}

impl<'a> Closer<'a> {
    /// Closes `roles` roles over the edges that hold in every domain.
    pub(crate) fn new(general: &'a Layer, roles: u32) -> Result<Self, Fault> {
        let mut this = Self {
            general,
            closed: Vec::new(),
            roles: Vec::new(),
            marks: Marks { marked: vec![0; roles as usize], now: 0 },
            work: MAX_WORK,
        };
        let nodes: Vec<u32> = (0..roles).collect();
        let settled = this.settle(&Layer::default(), &nodes)?;
        this.roles = nodes.iter().map(|node| settled.get(node).copied().unwrap_or_default()).collect();
        Ok(this)
    }

    /// Closes the roles for which more holds in a domain with these edges of its own.
    pub(crate) fn close(&mut self, layer: &Layer) -> Result<Map<u32, Closure>, Fault> {
        let nodes = self.affected(layer)?;
        self.settle(layer, &nodes)
    }

    /// The roles from which an edge of this layer can be reached.
    fn affected(&mut self, layer: &Layer) -> Result<Vec<u32>, Fault> {
        let mut nodes: Vec<u32> = layer.parents.keys().copied().collect();
        let mut seen: Set<u32> = nodes.iter().copied().collect();
        let mut next = 0;
        while let Some(node) = nodes.get(next).copied() {
            next += 1;
            for edge in self.children(layer, node) {
                self.spend(1, edge)?;
                if seen.insert(edge.child) {
                    nodes.push(edge.child);
                }
            }
        }
        Ok(nodes)
    }

    /// Closes these nodes, parents first; a node outside them is closed already.
    fn settle(&mut self, layer: &Layer, nodes: &[u32]) -> Result<Map<u32, Closure>, Fault> {
        let mut waiting: Map<u32, usize> = nodes.iter().map(|node| (*node, 0)).collect();
        for node in nodes {
            let open = self.parents(layer, *node).filter(|edge| waiting.contains_key(&edge.parent)).count();
            waiting.insert(*node, open);
        }
        let mut ready: Vec<u32> =
            nodes.iter().copied().filter(|node| waiting.get(node) == Some(&0)).collect();
        let mut settled = Map::default();
        while let Some(node) = ready.pop() {
            waiting.remove(&node);
            let closure = self.close_one(layer, node, &settled)?;
            settled.insert(node, closure);
            for edge in self.children(layer, node) {
                let Some(open) = waiting.get_mut(&edge.child) else { continue };
                *open = open.saturating_sub(1);
                if *open == 0 {
                    ready.push(edge.child);
                }
            }
        }
        self.find_cycle(layer, &waiting).map_or(Ok(settled), |cycle| Err(Fault::Cycle(cycle)))
    }

    fn close_one(&mut self, layer: &Layer, node: u32, settled: &Map<u32, Closure>) -> Result<Closure, Fault> {
        self.marks.clear();
        self.marks.mark(node);
        let mut roles = vec![node];
        let mut steps = 0;
        for edge in self.parents(layer, node) {
            let parent = settled.get(&edge.parent).or_else(|| self.roles.get(edge.parent as usize));
            let parent = parent.copied().unwrap_or_default();
            steps = steps.max(parent.steps + 1);
            if steps > MAX_STEPS {
                return Err(Fault::Depth(edge));
            }
            let inherited = parent.run.of(&self.closed);
            let work = 1 + inherited.len();
            roles.extend(inherited.iter().filter(|role| self.marks.mark(**role)));
            self.spend(work, edge)?;
            if self.closed.len() + roles.len() > MAX_CLOSED {
                return Err(Fault::Size(edge));
            }
        }
        roles.sort_unstable();
        Ok(Closure { run: Run::append(&mut self.closed, roles), steps })
    }

    /// Goes up among the nodes that wait for each other until one comes again.
    fn find_cycle(&self, layer: &Layer, waiting: &Map<u32, usize>) -> Option<Vec<Edge>> {
        let mut node = *waiting.keys().min()?;
        let mut path: Vec<Edge> = Vec::new();
        let mut seen: Map<u32, usize> = Map::default();
        loop {
            if let Some(start) = seen.insert(node, path.len()) {
                return Some(path.split_off(start));
            }
            let edge = self.parents(layer, node).find(|edge| waiting.contains_key(&edge.parent))?;
            path.push(edge);
            node = edge.parent;
        }
    }

    fn parents<'l>(&self, layer: &'l Layer, node: u32) -> impl Iterator<Item = Edge> + use<'l, 'a> {
        edges(&self.general.parents, node).chain(edges(&layer.parents, node))
    }

    fn children<'l>(&self, layer: &'l Layer, node: u32) -> impl Iterator<Item = Edge> + use<'l, 'a> {
        edges(&self.general.children, node).chain(edges(&layer.children, node))
    }

    fn spend(&mut self, work: usize, edge: Edge) -> Result<(), Fault> {
        self.work = self.work.checked_sub(work).ok_or(Fault::Size(edge))?;
        Ok(())
    }
}

fn edges(of: &Map<u32, Vec<Edge>>, node: u32) -> impl Iterator<Item = Edge> {
    of.get(&node).into_iter().flatten().copied()
}

/// A set of roles that is emptied without going through it.
struct Marks {
    /// Per role, the last round that it was marked in.
    marked: Vec<u32>,
    now: u32,
}

impl Marks {
    fn clear(&mut self) {
        self.now += 1;
    }

    /// Whether the role was not marked before.
    fn mark(&mut self, role: u32) -> bool {
        let Some(last) = self.marked.get_mut(role as usize) else { return false };
        std::mem::replace(last, self.now) != self.now
    }
}

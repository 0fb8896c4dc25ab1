//! Who stands for whom: the rows of one role definition, closed in each domain.

use std::collections::BTreeMap;

use super::table::{Table, Value};
use crate::inherit::{Closer, Closure, Edge, Fault, Layer, MAX_STEPS};
use crate::intern::{Map, UNNAMED, index};
use crate::report::{Finding, Place, quoted};

/// The rows of one role definition.
#[derive(Default)]
pub(super) struct Links {
    closed: Vec<u32>,
    /// By number of the name, where the rows have no domain.
    everywhere: Vec<Closure>,
    domains: Map<u32, Map<u32, Closure>>,
}

/// One row: in this domain, the edge holds.
pub(super) struct Link {
    pub(super) domain: Option<u32>,
    pub(super) edge: Edge,
}

impl Links {
    /// Closes the rows. All names in them have the numbers below `names`.
    pub(super) fn close(links: &[Link], names: usize, table: &Table) -> Result<Self, Finding> {
        let mut everywhere = Layer::default();
        let mut domains: BTreeMap<u32, Layer> = BTreeMap::new();
        for link in links {
            match link.domain {
                None => everywhere.add(link.edge),
                Some(domain) => domains.entry(domain).or_default().add(link.edge),
            }
        }
        close(&everywhere, &domains, names).map_err(|fault| describe(&fault, table))
    }

    /// Whether `held` is what `who` is, or something that it stands for in the domain.
    pub(super) fn connect(&self, who: Value<'_>, held: Value<'_>, domain: Option<Value<'_>>) -> bool {
        who == held || self.held(who, domain).binary_search(&held.number).is_ok()
    }

    /// All that `who` stands for, with itself if a row names it. Sorted.
    pub(super) fn held(&self, who: Value<'_>, domain: Option<Value<'_>>) -> &[u32] {
        if who.number == UNNAMED {
            return &[];
        }
        let closure = match domain {
            None => self.everywhere.get(who.number as usize),
            Some(domain) => self.domains.get(&domain.number).and_then(|of| of.get(&who.number)),
        };
        closure.map_or(&[], |closure| closure.run.of(&self.closed))
    }
}

fn close(everywhere: &Layer, domains: &BTreeMap<u32, Layer>, names: usize) -> Result<Links, Fault> {
    let mut closer = Closer::new(everywhere, index(names))?;
    let mut of_domain = Map::default();
    for (domain, layer) in domains {
        of_domain.insert(*domain, closer.close(layer)?);
    }
    Ok(Links { closed: closer.closed, everywhere: closer.roles, domains: of_domain })
}

fn describe(fault: &Fault, table: &Table) -> Finding {
    let at = |edge: &Edge| Place::rules(edge.line, edge.column);
    match fault {
        Fault::Cycle(edges) => {
            const SHOWN: usize = 8;
            let last = edges.iter().max_by_key(|edge| edge.line);
            let mut path: Vec<_> =
                edges.iter().take(SHOWN).map(|edge| quoted(table.text(edge.child))).collect();
            path.extend(edges.get(SHOWN).map(|_| "…".to_owned()));
            path.extend(edges.first().map(|edge| quoted(table.text(edge.child))));
            let message = format!("roles inherit in a circle: {}", path.join(" → "));
            Finding::error(last.map_or(Place::rules(1, 1), at), "role-cycle", message)
        }
        Fault::Depth(edge) => {
            let message = format!(
                "with {} inheriting {}, a role is more than {MAX_STEPS} steps from one that it inherits",
                quoted(table.text(edge.child)),
                quoted(table.text(edge.parent)),
            );
            Finding::error(at(edge), "role-depth", message)
        }
        Fault::Size(edge) => {
            let message = "roles inherit more from each other than an index can hold";
            Finding::error(at(edge), "role-size", message)
        }
    }
}

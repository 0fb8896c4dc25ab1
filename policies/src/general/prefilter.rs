//! Which rows a request can match at all, found by hash.

use super::matcher::{Asked, Facts, Link, Operand, Test};
use super::table::Value;
use crate::intern::{Map, UNNAMED, index};

/// How many columns of a row make its key.
const WIDTH: usize = 4;

/// Above this many rows of one key, roles become a part of the key.
const CROWD: usize = 64;

/// One alternative of a matcher, with the rows filed by what it demands of them.
pub(super) struct Branch {
    pub(super) test: Test,
    /// Whether the rule counts at all. If not, all rows match, or none.
    pub(super) reads_row: bool,
    columns: Vec<Column>,
    buckets: Map<[u32; WIDTH], Vec<u32>>,
}

/// What a row must have in one field.
#[derive(Clone, Copy, Debug)]
struct Column {
    row: usize,
    demand: Demand,
}

#[derive(Clone, Copy, Debug)]
enum Demand {
    /// The value of this field of the request, or this constant.
    Equal { asked: usize, or: Option<u32> },
    /// What this field of the request stands for.
    Link { link: Link, asked: usize },
}

/// Splits a matcher into its alternatives.
pub(super) fn branches(test: Test) -> Vec<Test> {
    match test {
        Test::Any(parts) => parts.into_iter().flat_map(branches).collect(),
        test => vec![test],
    }
}

impl Branch {
    /// Files all rows, of which each has `width` fields.
    pub(super) fn file(test: Test, cells: &[u32], width: usize) -> Self {
        let reads_row = test.reads_row();
        let (equal, links) = columns(&test);
        let mut this = Self { test, reads_row, columns: equal, buckets: Map::default() };
        if !reads_row {
            return this;
        }
        this.fill(cells, width);
        if this.largest() > CROWD && this.columns.len() < WIDTH && !links.is_empty() {
            this.columns.extend(links.into_iter().take(1));
            this.fill(cells, width);
        }
        this
    }

    fn fill(&mut self, cells: &[u32], width: usize) {
        self.buckets.clear();
        for (number, row) in cells.chunks_exact(width).enumerate() {
            let mut key = [UNNAMED; WIDTH];
            for (slot, column) in key.iter_mut().zip(&self.columns) {
                *slot = row.get(column.row).copied().unwrap_or(UNNAMED);
            }
            self.buckets.entry(key).or_default().push(index(number));
        }
    }

    /// Whether rows are found by key instead of read through.
    pub(super) fn is_indexed(&self) -> bool {
        !self.reads_row || !self.columns.is_empty()
    }

    /// The most rows of one key.
    pub(super) fn largest(&self) -> usize {
        self.buckets.values().map(Vec::len).max().unwrap_or(0)
    }

    /// Calls `found` with the rows that may match, a run of rising numbers at a time.
    pub(super) fn candidates<E>(
        &self,
        facts: &Facts<'_>,
        asked: &Asked<'_>,
        found: &mut impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.visit(&Search { facts, asked }, [UNNAMED; WIDTH], 0, found)
    }

    fn visit<E>(
        &self,
        search: &Search<'_>,
        key: [u32; WIDTH],
        depth: usize,
        found: &mut impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(column) = self.columns.get(depth) else {
            return self.buckets.get(&key).map_or(Ok(()), |rows| found(rows));
        };
        let with = |number: u32| {
            let mut key = key;
            if let Some(slot) = key.get_mut(depth) {
                *slot = number;
            }
            key
        };
        match column.demand {
            Demand::Equal { asked, or } => {
                let own = search.asked.value(asked).number;
                if own != UNNAMED {
                    self.visit(search, with(own), depth + 1, found)?;
                }
                or.filter(|or| *or != own).map_or(Ok(()), |or| self.visit(search, with(or), depth + 1, found))
            }
            Demand::Link { link, asked } => {
                let who = search.asked.value(asked);
                if who.number != UNNAMED {
                    self.visit(search, with(who.number), depth + 1, found)?;
                }
                for held in search.held(&link, who).iter().filter(|held| **held != who.number) {
                    self.visit(search, with(*held), depth + 1, found)?;
                }
                Ok(())
            }
        }
    }
}

struct Search<'a> {
    facts: &'a Facts<'a>,
    asked: &'a Asked<'a>,
}

impl<'a> Search<'a> {
    fn held(&self, link: &Link, who: Value<'_>) -> &'a [u32] {
        let domain = link.domain.map(|domain| match domain {
            Operand::Asked(field) => self.asked.value(field),
            Operand::Constant(number) => self.facts.table.stored(number),
            Operand::Row(_) => Value { number: UNNAMED, text: "" },
        });
        self.facts.links.get(link.definition).map_or(&[], |links| links.held(who, domain))
    }
}

/// The columns by which rows can be filed: equalities that every row must fulfil, and roles.
fn columns(test: &Test) -> (Vec<Column>, Vec<Column>) {
    let parts = match test {
        Test::All(parts) => parts.as_slice(),
        other => std::slice::from_ref(other),
    };
    let (mut equal, mut links): (Vec<Column>, Vec<Column>) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Test::All(_) => {
                let (more, other) = columns(part);
                equal.extend(more);
                links.extend(other);
            }
            Test::Any(either) => equal.extend(either_column(either)),
            Test::Equal(a, b) => equal.extend(equal_column(*a, *b)),
            Test::Link(link) => links.extend(link_column(link)),
            Test::Bool(_) | Test::In(..) | Test::Match(_) | Test::Not(_) => {}
        }
    }
    equal.truncate(WIDTH);
    (equal, links)
}

fn equal_column(a: Operand, b: Operand) -> Option<Column> {
    match (a, b) {
        (Operand::Asked(asked), Operand::Row(row)) | (Operand::Row(row), Operand::Asked(asked)) => {
            Some(Column { row, demand: Demand::Equal { asked, or: None } })
        }
        _ => None,
    }
}

/// `p.act == "*" || r.act == p.act`
fn either_column(either: &[Test]) -> Option<Column> {
    let [Test::Equal(a, b), Test::Equal(c, d)] = either else { return None };
    let (column, other) = match (equal_column(*a, *b), equal_column(*c, *d)) {
        (Some(column), None) => (column, (*c, *d)),
        (None, Some(column)) => (column, (*a, *b)),
        _ => return None,
    };
    let constant = match other {
        (Operand::Row(row), Operand::Constant(number)) | (Operand::Constant(number), Operand::Row(row)) => {
            (row == column.row).then_some(number)?
        }
        _ => return None,
    };
    let Demand::Equal { asked, .. } = column.demand else { return None };
    Some(Column { demand: Demand::Equal { asked, or: Some(constant) }, ..column })
}

fn link_column(link: &Link) -> Option<Column> {
    match (link.who, link.held, link.domain) {
        (_, _, Some(Operand::Row(_))) => None,
        (Operand::Asked(asked), Operand::Row(row), _) => {
            Some(Column { row, demand: Demand::Link { link: *link, asked } })
        }
        _ => None,
    }
}

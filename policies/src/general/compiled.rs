//! The rules of a general model, ready to be decided without an interpreter.

use super::effect::{Effect, Matched};
use super::matcher::{Asked, Facts, Match, NotAnAddress, Operand, Resolver, Test};
use super::parse::Model;
use super::pattern::{Function, Pattern, Refused};
use super::prefilter::{Branch, branches};
use super::roles::Links;
use super::rows::{Row, Rows, Written, close_roles};
use super::syntax::Expr;
use super::table::{Table, Value};
use crate::coverage::Coverage;
use crate::intern::{Map, UNNAMED, index};
use crate::report::{Finding, Findings};

/// How many rows a single request may make us read.
const MAX_READ_THROUGH: usize = 20_000;

/// How many regular expressions a policy may have. Patterns for paths are mostly none.
const MAX_EXPRESSIONS: usize = 1_000;

/// A matcher and its rules.
pub(super) struct Compiled {
    effect: Effect,
    table: Table,
    links: Vec<Links>,
    patterns: Map<(Function, u32), Pattern>,
    rows: Rows,
    branches: Vec<Branch>,
    /// What all rows say together.
    everything: Matched,
}

impl Compiled {
    /// Compiles the rules, or adds at least one error to the findings.
    pub(super) fn new(
        model: &Model,
        expr: &Expr,
        written: &Written<'_>,
        findings: &mut Findings,
    ) -> Option<Self> {
        let mut table = Table::default();
        let closed = close_roles(written, model, &mut table);
        let links = closed.map_err(|finding| findings.push(finding)).ok()?;
        let rows = Rows::intern(written, model, &mut table);
        let test = Resolver { model, table: &mut table }.test(expr);
        let test = test.map_err(|finding| findings.push(finding)).ok()?;
        let mut compiler =
            Patterns { model, written, rows: &rows, table: &table, compiled: Map::default(), expressions: 0 };
        test.matches(&mut |of| compiler.compile(of, findings));
        let patterns = compiler.compiled;
        let branches: Vec<_> =
            branches(test).into_iter().map(|test| Branch::file(test, &rows.cells, rows.width)).collect();
        if let Some(crowd) = branches.iter().map(Branch::largest).find(|rows| *rows > MAX_READ_THROUGH) {
            let message = format!(
                "one request could make us read {crowd} rules; the most is {MAX_READ_THROUGH}: compare a field with `==`"
            );
            findings.push(Finding::error(model.matcher.place(0), "model-unindexed", message));
        }
        if findings.has_errors() {
            return None;
        }
        let mut everything = Matched::default();
        (0..index(rows.lines.len())).for_each(|row| everything.add(row, rows.says(row)));
        Some(Self { effect: model.effect, table, links, patterns, rows, branches, everything })
    }

    pub(super) fn coverage(&self) -> Coverage {
        let rows = self.rows.lines.len();
        let indexed = if self.branches.iter().all(Branch::is_indexed) { rows } else { 0 };
        Coverage { indexed, read_through: rows - indexed, interpreted: 0 }
    }

    pub(super) fn ask<'a>(&'a self, values: &[&'a str]) -> Asked<'a> {
        Asked::new(values, &self.table)
    }

    pub(super) fn value<'a>(&self, text: &'a str) -> Value<'a> {
        self.table.value(text)
    }

    /// Adds the rows that match the request.
    pub(super) fn judge(&self, asked: &Asked<'_>, matched: &mut Matched) -> Result<(), NotAnAddress> {
        let facts = Facts { table: &self.table, links: &self.links, patterns: &self.patterns };
        if self.rows.lines.is_empty() {
            // Casbin asks as if there were one rule, with nothing in any field. Here the request must
            // match whatever a rule says.
            if self.branches.iter().any(|branch| branch.test.holds_without_row(&facts, asked) == Some(true)) {
                matched.allow = 0;
            }
            return Ok(());
        }
        for branch in &self.branches {
            if branch.reads_row {
                branch.candidates(&facts, asked, &mut |rows| {
                    self.judge_rows(rows, &branch.test, (&facts, asked), matched)
                })?;
            } else if branch.test.holds(&facts, asked, &[])? {
                matched.merge(self.everything);
            }
        }
        Ok(())
    }

    fn judge_rows(
        &self,
        rows: &[u32],
        test: &Test,
        (facts, asked): (&Facts<'_>, &Asked<'_>),
        matched: &mut Matched,
    ) -> Result<(), NotAnAddress> {
        for row in rows {
            let says = self.rows.says(*row);
            if matched.is_open(*row, says) && test.holds(facts, asked, self.rows.row(*row))? {
                matched.add(*row, says);
            }
        }
        Ok(())
    }

    /// Whether that allows, and the line that decided.
    pub(super) fn decide(&self, matched: Matched) -> (bool, Option<u32>) {
        let (allowed, row) = self.effect.decide(matched);
        (allowed, row.and_then(|row| self.rows.line(row)))
    }
}

/// Compiles each pattern once.
struct Patterns<'a> {
    model: &'a Model,
    written: &'a Written<'a>,
    rows: &'a Rows,
    table: &'a Table,
    compiled: Map<(Function, u32), Pattern>,
    expressions: usize,
}

impl Patterns<'_> {
    fn compile(&mut self, of: &Match, findings: &mut Findings) {
        match of.pattern {
            Operand::Asked(_) => {}
            Operand::Constant(number) => {
                let place = self.model.matcher.place(of.at);
                self.add(of.function, number, findings, |refused| {
                    Finding::error(place, refused.code, refused.message)
                });
            }
            Operand::Row(field) => {
                let (rows, written) = (self.rows, self.written);
                for (cells, row) in rows.cells.chunks_exact(rows.width).zip(&written.policy) {
                    let number = cells.get(field).copied().unwrap_or(UNNAMED);
                    self.add(of.function, number, findings, |refused| {
                        row.error(field, refused.offset, refused.code, refused.message)
                    });
                    if of.function == Function::Regex {
                        check_anchors(row, field, findings);
                    }
                }
            }
        }
    }

    fn add(
        &mut self,
        function: Function,
        number: u32,
        findings: &mut Findings,
        finding: impl Fn(Refused) -> Finding,
    ) {
        if self.expressions > MAX_EXPRESSIONS || self.compiled.contains_key(&(function, number)) {
            return;
        }
        let compiled = function.compile(self.table.text(number));
        // What does not compile may have cost as much as what does.
        self.expressions += usize::from(!matches!(&compiled, Ok(pattern) if !pattern.is_expression()));
        if self.expressions > MAX_EXPRESSIONS {
            let message = format!("a policy has at most {MAX_EXPRESSIONS} regular expressions");
            findings.push(finding(Refused { code: "pattern-count", message, offset: 0 }));
            return;
        }
        match compiled {
            Ok(pattern) => {
                self.compiled.insert((function, number), pattern);
            }
            Err(refused) => findings.push(finding(refused)),
        }
    }
}

/// `regexMatch` finds its expression anywhere in the text, which is seldom meant.
fn check_anchors(row: &Row<'_>, field: usize, findings: &mut Findings) {
    let text = row.texts().nth(field).unwrap_or_default();
    if !(text.starts_with('^') && text.ends_with('$')) {
        let message = "this matches anywhere in the text: `^` and `$` hold it to the whole".to_owned();
        let place = row.place(field);
        let fix = format!("^({text})$");
        findings.push(Finding::warning(place, "pattern-open", message).with_fix(Some(fix)));
    }
}

//! The declared fields, and what is found in them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::check::{Action, Check, Verdict};
use super::fault::{Breach, Fault, Rule};
use super::json::{Text, Token, Value};
use super::kind::Kind;
use super::pointer::{Pattern, Segment, written};
use super::report::{FieldReports, ReportedField};
use super::splice::Edit;

/// The most HTML in one body: with the quadratic cleaner this is a bound on time.
const MAX_HTML: usize = 64 * 1024;
/// What a field counts for at least: starting the cleaner costs something, too.
const MIN_HTML: usize = 256;
/// More HTML than this is cleaned on the blocking pool.
const INLINE_HTML: usize = 2 * 1024;

/// What an undeclared string is.
const TEXT: &str = "text";

/// The fields that a policy declares. Of those that match a place, the first counts.
#[derive(Default)]
pub(crate) struct Declared(Vec<Entry>);

struct Entry {
    pattern: Pattern,
    /// As it was declared.
    place: String,
    check: Check,
    reported: AtomicU64,
}

/// What was found in one body or query.
#[derive(Default)]
pub(crate) struct Findings {
    /// What changes, or may: in the order of the body.
    pub(crate) candidates: Vec<Candidate>,
    pub(crate) reported: Vec<ReportedField>,
    /// How much there is for the cleaner to do, in bytes.
    html: usize,
}

/// A field whose text is to become another one.
pub(crate) struct Candidate {
    pub(crate) edit: Edit,
    pub(crate) pointer: String,
    entry: usize,
    to_clean: bool,
}

impl Declared {
    pub(crate) fn add(&mut self, pattern: Pattern, place: String, check: Check) {
        self.0.push(Entry { pattern, place, check, reported: AtomicU64::new(0) });
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the field of a form is not to be looked into.
    pub(crate) fn is_opaque(&self, name: &str) -> bool {
        let path = [Segment::Key(name.into())];
        let entry = self.0.iter().find(|entry| entry.pattern.matches(&path));
        entry.is_some_and(|entry| matches!(entry.check.kind, Kind::Opaque))
    }

    /// Whether it can ever change anything.
    pub(crate) fn rewrites(&self) -> bool {
        self.0.iter().any(|entry| entry.check.action == Action::Rewrite)
    }

    /// How often each field that only reports was wrong.
    pub(crate) fn reports(&self) -> impl Iterator<Item = FieldReports> {
        let reporting = self.0.iter().filter(|entry| entry.check.action == Action::Report);
        reporting.map(|entry| FieldReports {
            field: entry.place.clone(),
            kind: entry.check.kind.name(),
            count: entry.reported.load(Ordering::Relaxed),
        })
    }

    /// Judges a value of a JSON document.
    pub(crate) fn value(&self, value: Value<'_, '_>, findings: &mut Findings) -> Result<(), Breach> {
        let Value { path, span, token } = value;
        let Some(entry) = self.0.iter().position(|entry| entry.pattern.matches(path)) else {
            return match token {
                Token::Text(Text { has_control: true, .. }) => Err(CONTROL),
                _ => Ok(()),
            };
        };
        let Some(Entry { pattern, check, .. }) = self.0.get(entry) else { return Ok(()) };
        // What names a whole tree speaks of those values in it that are of its kind.
        let mismatch = |outcome: Result<(), Breach>| match outcome {
            Err(Breach { rule: Rule::Type, .. }) if pattern.is_open() => Ok(Verdict::Stays),
            other => other.map(|()| Verdict::Stays),
        };
        let (text, outcome) = match token {
            Token::Boolean | Token::Container => (None, mismatch(check.other())),
            Token::Null => return Ok(()),
            Token::Number(number) => (None, mismatch(check.number(number))),
            Token::Text(Text { text, has_control }) => match check.string(&text, has_control) {
                Err(Breach { rule: Rule::Type, .. }) if pattern.is_open() => {
                    return if has_control { Err(CONTROL) } else { Ok(()) };
                }
                outcome => (Some(text), outcome),
            },
        };
        let text = || text.map_or_else(String::new, Cow::into_owned);
        self.settle(entry, Found { outcome, span, text, pointer: || written(path) }, findings)
    }

    /// Judges a field of a form, which is flat.
    pub(crate) fn field(&self, field: Flat<'_>, findings: &mut Findings) -> Result<(), Breach> {
        let path = [Segment::Key(field.name.into())];
        let Some(entry) = self.0.iter().position(|entry| entry.pattern.matches(&path)) else {
            return if field.has_control { Err(CONTROL) } else { Ok(()) };
        };
        let Some(Entry { check, .. }) = self.0.get(entry) else { return Ok(()) };
        let outcome = check.text(field.value, field.has_control);
        let text = || field.value.to_owned();
        self.settle(entry, Found { outcome, span: field.span, text, pointer: || written(&path) }, findings)
    }

    fn settle<T, P>(&self, entry: usize, found: Found<T, P>, findings: &mut Findings) -> Result<(), Breach>
    where
        T: FnOnce() -> String,
        P: FnOnce() -> String,
    {
        let Found { outcome, span, text, pointer } = found;
        let (text, to_clean) = match outcome {
            Ok(Verdict::Stays) => return Ok(()),
            Ok(Verdict::Becomes(text)) => (text, false),
            Ok(Verdict::ToClean) => {
                let text = text();
                findings.html += text.len().max(MIN_HTML);
                if findings.html > MAX_HTML {
                    findings.html -= text.len().max(MIN_HTML);
                    return self.wrong(
                        entry,
                        Breach { kind: Some("html"), rule: Rule::HtmlLength },
                        pointer,
                        findings,
                    );
                }
                (text, true)
            }
            Err(breach) => return self.wrong(entry, breach, pointer, findings),
        };
        findings.candidates.push(Candidate {
            edit: Edit { span, text },
            pointer: pointer(),
            entry,
            to_clean,
        });
        Ok(())
    }

    /// Cleans the candidates that are HTML, and leaves those that change.
    pub(crate) async fn clean(self: Arc<Self>, findings: Findings) -> Result<Findings, Fault> {
        if findings.html <= INLINE_HTML {
            return self.clean_now(findings);
        }
        let cleaning = tokio::task::spawn_blocking(move || self.clean_now(findings));
        // The task can only fail by a panic in the cleaner: what could not be cleaned is not let through.
        cleaning.await.unwrap_or_else(|_| Err(Fault::whole(Rule::HtmlLength)))
    }

    fn clean_now(&self, mut findings: Findings) -> Result<Findings, Fault> {
        let mut changed = Vec::with_capacity(findings.candidates.len());
        for mut candidate in std::mem::take(&mut findings.candidates) {
            let check = self.0.get(candidate.entry).filter(|_| candidate.to_clean).map(|entry| &entry.check);
            match check.map(|check| check.clean(&candidate.edit.text)) {
                None => changed.push(candidate),
                Some(Ok(None)) => {}
                Some(Ok(Some(clean))) => {
                    candidate.edit.text = clean;
                    changed.push(candidate);
                }
                Some(Err(breach)) => {
                    let pointer = candidate.pointer.clone();
                    self.wrong(candidate.entry, breach, || pointer, &mut findings)
                        .map_err(|breach| breach.at(candidate.pointer))?;
                }
            }
        }
        findings.candidates = changed;
        Ok(findings)
    }

    /// Refuses what is wrong, or notes it where it is only to be noted.
    fn wrong(
        &self,
        entry: usize,
        breach: Breach,
        pointer: impl FnOnce() -> String,
        findings: &mut Findings,
    ) -> Result<(), Breach> {
        let Some(entry) = self.0.get(entry).filter(|entry| entry.check.action == Action::Report) else {
            return Err(breach);
        };
        entry.reported.fetch_add(1, Ordering::Relaxed);
        let pointer = pointer();
        let (kind, rule) = (entry.check.kind.name(), breach.rule.code());
        tracing::info!(
            input.field = entry.place,
            input.pointer = ?pointer,
            input.kind = kind,
            input.rule = rule,
            "a field breaks a rule that only reports"
        );
        findings.reported.push(ReportedField { pointer, kind, rule });
        Ok(())
    }
}

/// A field of a form, of a query or of a multipart body.
pub(crate) struct Flat<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: &'a str,
    pub(crate) has_control: bool,
    pub(crate) span: Range<usize>,
}

/// What a declared field was found to be.
struct Found<T, P> {
    outcome: Result<Verdict, Breach>,
    span: Range<usize>,
    text: T,
    pointer: P,
}

const CONTROL: Breach = Breach { kind: Some(TEXT), rule: Rule::Control };

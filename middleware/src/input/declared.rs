//! The declared fields, and what is found in them.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::check::{Action, Check, Verdict};
use super::fault::{Breach, Fault, Rule};
use super::json::{Text, Token, Value};
use super::kind::Kind;
use super::pointer::{Pattern, Segment, Shape, written};
use super::report::{FieldReports, ReportedField};
use super::splice::Edit;

/// The most HTML in one body: with the quadratic cleaner this is a bound on time.
const MAX_HTML: usize = 64 * 1024;
/// What a field counts for at least: starting the cleaner costs something, too.
const MIN_HTML: usize = 256;
/// More HTML than this is cleaned on the blocking pool.
const INLINE_HTML: usize = 2 * 1024;

/// How many fields of one body may change: each is remembered.
const MAX_CANDIDATES: usize = 1_000;
/// How many fields of one body that only report are told of. The others are counted.
const MAX_TOLD: usize = 32;

/// What an undeclared string is.
const TEXT: &str = "text";

/// The fields that a policy declares. Of those that match a place, the first counts.
pub(crate) struct Declared {
    entries: Vec<Entry>,
    above: Vec<Above>,
    /// How long a text may be that is not declared, in bytes.
    longest_text: usize,
}

impl Default for Declared {
    fn default() -> Self {
        Self::beside_texts_of(usize::MAX)
    }
}

/// A place in which fields are declared. What reads a document by names may read the same from an array, where no name is, and what
/// reads a list may take a single value: neither would be looked at.
struct Above {
    pattern: Pattern,
    shape: Shape,
    /// One of these fields.
    entry: usize,
}

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

impl Findings {
    /// Those of the next part of a body in which there was so much for the cleaner before.
    pub(crate) fn after(html: usize) -> Self {
        Self { html, ..Self::default() }
    }

    /// How much there is for the cleaner, with what was before.
    pub(crate) const fn html(&self) -> usize {
        self.html
    }
}

/// A field whose text is to become another one.
pub(crate) struct Candidate {
    pub(crate) edit: Edit,
    pub(crate) pointer: String,
    entry: usize,
    to_clean: bool,
}

impl Declared {
    /// Declares nothing yet. What is not declared is a text of at most so many bytes.
    pub(crate) const fn beside_texts_of(bytes: usize) -> Self {
        Self { entries: Vec::new(), above: Vec::new(), longest_text: bytes }
    }

    pub(crate) fn add(&mut self, pattern: Pattern, place: String, check: Check) {
        let entry = self.entries.len();
        let entries = &self.entries;
        let only_reports = |entry: usize| {
            entries.get(entry).is_some_and(|entry: &Entry| entry.check.action == Action::Report)
        };
        for (pattern, shape) in pattern.above() {
            match self.above.iter_mut().find(|known| known.pattern == pattern && known.shape == shape) {
                // What only reports refuses nothing for those that do not.
                Some(known) if only_reports(known.entry) => known.entry = entry,
                Some(_) => {}
                None => self.above.push(Above { pattern, shape, entry }),
            }
        }
        self.entries.push(Entry { pattern, place, check, reported: AtomicU64::new(0) });
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether the field of a form is not to be looked into.
    pub(crate) fn is_opaque(&self, name: &str) -> bool {
        let entry = self.flat(name).and_then(|entry| self.entries.get(entry));
        entry.is_some_and(|entry| matches!(entry.check.kind, Kind::Opaque))
    }

    /// Whether the field of a form is declared.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.flat(name).is_some()
    }

    /// Whether it can ever change anything.
    pub(crate) fn rewrites(&self) -> bool {
        self.entries.iter().any(|entry| entry.check.action == Action::Rewrite)
    }

    /// How often each field that only reports was wrong.
    pub(crate) fn reports(&self) -> impl Iterator<Item = FieldReports> {
        let reporting = self.entries.iter().filter(|entry| entry.check.action == Action::Report);
        reporting.map(|entry| FieldReports {
            field: entry.place.clone(),
            kind: entry.check.kind.name(),
            count: entry.reported.load(Ordering::Relaxed),
        })
    }

    /// Judges a value of a JSON document.
    pub(crate) fn value(&self, value: Value<'_, '_>, findings: &mut Findings) -> Result<(), Breach> {
        let Value { path, span, token } = value;
        let Some(entry) = self.entries.iter().position(|entry| entry.pattern.matches(path)) else {
            if let Token::Text(Text { text, has_control }) = &token {
                self.hold_text(text, *has_control)?;
            }
            return self.hold_shape(path, &token, findings);
        };
        let Some(Entry { pattern, check, .. }) = self.entries.get(entry) else { return Ok(()) };
        // What names a whole tree speaks of those values in it that are of its kind.
        let mismatch = |outcome: Result<(), Breach>| match outcome {
            Err(Breach { rule: Rule::Type, .. }) if pattern.is_open() => Ok(Verdict::Stays),
            other => other.map(|()| Verdict::Stays),
        };
        let (text, outcome) = match token {
            Token::Array | Token::Boolean | Token::Object => (None, mismatch(check.other())),
            Token::Null => return Ok(()),
            Token::Number(number) => (None, mismatch(check.number(number))),
            Token::Text(Text { text, has_control }) => match check.string(&text, has_control) {
                Err(Breach { rule: Rule::Type, .. }) if pattern.is_open() => {
                    return self.hold_text(&text, has_control);
                }
                outcome => (Some(text), outcome),
            },
        };
        let text = || text.map_or_else(String::new, Cow::into_owned);
        self.settle(entry, Found { outcome, span, text, pointer: || written(path) }, findings)
    }

    /// Judges a field of a form, which is flat.
    pub(crate) fn field(&self, field: Flat<'_>, findings: &mut Findings) -> Result<(), Breach> {
        let Some(entry) = self.flat(field.name) else {
            return self.hold_text(field.value, field.has_control);
        };
        let Some(Entry { check, .. }) = self.entries.get(entry) else { return Ok(()) };
        let path = [Segment::Key(field.name.into())];
        let outcome = check.text(field.value, field.has_control);
        let text = || field.value.to_owned();
        self.settle(entry, Found { outcome, span: field.span, text, pointer: || written(&path) }, findings)
    }

    /// Judges a file that comes under the name of a field: it is none of the texts that are declared, and nobody looks into it.
    pub(crate) fn file(&self, name: &str, findings: &mut Findings) -> Result<(), Breach> {
        let found = self.flat(name).and_then(|number| Some((number, self.entries.get(number)?)));
        match found.map(|(number, entry)| (number, entry, entry.check.other())) {
            // What names a whole tree speaks of the texts in it.
            Some((number, entry, Err(breach))) if !entry.pattern.is_open() => {
                self.wrong(number, breach, || written(&[Segment::Key(name.into())]), findings)
            }
            _ => Ok(()),
        }
    }

    /// Judges a text that is not declared.
    fn hold_text(&self, text: &str, has_control: bool) -> Result<(), Breach> {
        let refused = |rule| Err(Breach { kind: Some(TEXT), rule });
        if has_control {
            return refused(Rule::Control);
        }
        if text.len() > self.longest_text { refused(Rule::TooLong) } else { Ok(()) }
    }

    /// Takes out what a form says again of a field.
    pub(crate) fn take_out(
        &self,
        name: &str,
        pair: Range<usize>,
        findings: &mut Findings,
    ) -> Result<(), Breach> {
        if findings.candidates.len() >= MAX_CANDIDATES {
            return Err(Rule::Members.into());
        }
        let edit = Edit { span: pair, text: String::new() };
        let pointer = written(&[Segment::Key(name.into())]);
        findings.candidates.push(Candidate { edit, pointer, entry: self.entries.len(), to_clean: false });
        Ok(())
    }

    /// Judges a header that breaks a rule by how it stands there, whatever it holds.
    pub(crate) fn refuse(&self, name: &str, rule: Rule, findings: &mut Findings) -> Result<(), Breach> {
        let Some((number, entry)) =
            self.flat(name).and_then(|number| Some((number, self.entries.get(number)?)))
        else {
            return Err(rule.into());
        };
        let path = [Segment::Key(name.into())];
        self.wrong(number, entry.check.breach(rule), || written(&path), findings)
    }

    /// The declaration of a field of a form: its own, or that of the items of a list of this name.
    fn flat(&self, name: &str) -> Option<usize> {
        let path = [Segment::Key(name.into())];
        let own = self.entries.iter().position(|entry| entry.pattern.matches(&path));
        own.or_else(|| self.entries.iter().position(|entry| entry.pattern.matches_items_of(name)))
    }

    /// Refuses a value in which declared fields could not have their places.
    fn hold_shape(
        &self,
        path: &[Segment<'_>],
        token: &Token<'_>,
        findings: &mut Findings,
    ) -> Result<(), Breach> {
        let most = match token {
            Token::Null | Token::Object => return Ok(()),
            Token::Array => Some(Shape::Container),
            Token::Boolean | Token::Number(_) | Token::Text(_) => None,
        };
        let is_wanting = |above: &&Above| Some(above.shape) > most && above.pattern.matches(path);
        // All of them: one that only reports speaks for itself alone.
        let mut wanting = self.above.iter().filter(is_wanting);
        wanting.try_for_each(|above| self.wrong(above.entry, Rule::Type.into(), || written(path), findings))
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
        if findings.candidates.len() >= MAX_CANDIDATES {
            return Err(Rule::Members.into());
        }
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
            let check =
                self.entries.get(candidate.entry).filter(|_| candidate.to_clean).map(|entry| &entry.check);
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
        let Some(entry) = self.entries.get(entry).filter(|entry| entry.check.action == Action::Report) else {
            return Err(breach);
        };
        entry.reported.fetch_add(1, Ordering::Relaxed);
        if findings.reported.len() >= MAX_TOLD {
            return Ok(());
        }
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

/// A field of a form or of a multipart body, or a parameter, or a header.
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

//! The model as text: what this version of the engine can evaluate, and a clear no to the rest.

use std::collections::BTreeMap;

use crate::matcher::Condition;
use crate::report::{Finding, Findings, Place, closest, quoted};
use crate::source::{DEFAULT_MODEL, PolicySource};

const MAX_TEXT_BYTES: usize = 64 * 1024;

/// The sections that a model has, and the one key in each.
const SECTIONS: [(&str, &str); 5] = [
    ("matchers", "m"),
    ("policy_definition", "p"),
    ("policy_effect", "e"),
    ("request_definition", "r"),
    ("role_definition", "g"),
];

/// Whether the model means exactly what the index evaluates.
pub(crate) fn is_default(text: &str) -> bool {
    let mut findings = Findings::default();
    check(text, &mut findings);
    !findings.has_errors()
}

impl PolicySource {
    /// Whether its model is the default one, in any layout. Only then has each field of a rule a name.
    pub fn has_default_model(&self) -> bool {
        is_default(&self.model)
    }
}

/// Checks that the model means exactly what the index evaluates.
///
/// A model of another meaning is refused: to evaluate it as if it were the default would allow what
/// its author denies.
fn check(text: &str, findings: &mut Findings) {
    if text == DEFAULT_MODEL {
        return;
    }
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("the model has {} bytes; the most is {MAX_TEXT_BYTES}", text.len());
        findings.push(Finding::error(Place::model(1), "too-large", message));
        return;
    }
    let Some(model) = Definitions::read(text, Some(findings)) else { return };
    let expected = Definitions::read(DEFAULT_MODEL, None).unwrap_or_default();
    for (section, key) in SECTIONS {
        let (Some(given), Some(expected)) = (model.entries.get(section), expected.entries.get(section))
        else {
            let message = format!("the model has no `{key}` in a section [{section}]");
            findings.push(Finding::error(Place::model(1), "model-syntax", message));
            continue;
        };
        if let Err(finding) = compare(section, given, expected) {
            findings.push(finding);
        }
    }
}

/// The value of one key, and its line.
struct Entry<'a> {
    line: u32,
    value: &'a str,
}

#[derive(Default)]
struct Definitions<'a> {
    entries: BTreeMap<&'static str, Entry<'a>>,
}

impl<'a> Definitions<'a> {
    /// Reads sections and keys. `None` when a line has no place in a model, which is then reported.
    fn read(text: &'a str, mut findings: Option<&mut Findings>) -> Option<Self> {
        let mut this = Self::default();
        let mut section = None;
        let mut sound = true;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() || line.starts_with(';') {
                continue;
            }
            if let Err(finding) = this.read_line(number, line, &mut section) {
                sound = false;
                if let Some(findings) = findings.as_deref_mut() {
                    findings.push(finding);
                }
            }
        }
        sound.then_some(this)
    }

    fn read_line(&mut self, line: u32, text: &'a str, section: &mut Option<&'a str>) -> Result<(), Finding> {
        let at = Place::model(line);
        if let Some(name) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            *section = Some(name);
            let known = SECTIONS.iter().any(|(section, _)| *section == name);
            return known.then_some(()).ok_or_else(|| {
                let message = format!("{} is no section of a model", quoted(name));
                let fix = closest(name, SECTIONS.map(|(section, _)| section));
                Finding::error(at, "model-syntax", message).with_fix(fix)
            });
        }
        let Some((key, value)) = text.split_once('=').filter(|_| !text.ends_with('\\')) else {
            let message = "a line of a model is a `[section]` or `key = value`";
            return Err(Finding::error(at, "model-syntax", message));
        };
        let known = SECTIONS.iter().find(|(name, known)| Some(*name) == *section && *known == key.trim());
        let Some((section, _)) = known else {
            let message = format!("this version evaluates no definition {} here", quoted(key.trim()));
            return Err(Finding::error(at, "model-unsupported", message));
        };
        if self.entries.insert(section, Entry { line, value: value.trim() }).is_some() {
            return Err(Finding::error(at, "model-syntax", format!("`{}` is defined twice", key.trim())));
        }
        Ok(())
    }
}

fn compare(section: &str, given: &Entry<'_>, expected: &Entry<'_>) -> Result<(), Finding> {
    let same = if section == "matchers" {
        let offset = |at: usize| {
            let message = format!("this version does not evaluate a matcher with {}", rest(given.value, at));
            unsupported(given, expected, message)
        };
        Condition::parse(given.value).map_err(offset)? == Condition::parse(expected.value).map_err(offset)?
    } else {
        without_spaces(given.value) == without_spaces(expected.value)
    };
    if same {
        return Ok(());
    }
    let message = format!("this version evaluates the default model only, and its [{section}] is another");
    Err(unsupported(given, expected, message))
}

fn unsupported(given: &Entry<'_>, expected: &Entry<'_>, message: String) -> Finding {
    Finding::error(Place::model(given.line), "model-unsupported", message).with_fix(Some(expected.value))
}

fn rest(text: &str, at: usize) -> String {
    match text.get(at..).map(str::trim) {
        None | Some("") => "nothing at the end".to_owned(),
        Some(rest) => quoted(rest),
    }
}

/// Outside a matcher no value holds a text, so spaces never count. `some(where` keeps its meaning.
fn without_spaces(text: &str) -> String {
    text.chars().filter(|c| !matches!(c, ' ' | '\t')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    fn report(text: &str) -> Report {
        let mut findings = Findings::default();
        check(text, &mut findings);
        findings.into_report()
    }

    fn codes(text: &str) -> Vec<&'static str> {
        report(text).findings.iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn the_default_model_is_supported_in_any_layout() {
        assert!(codes(DEFAULT_MODEL).is_empty());
        let spaced = DEFAULT_MODEL.replace(", ", " ,\t").replace(" && g", "   &&  g");
        assert!(codes(&spaced).is_empty());
        let turned = DEFAULT_MODEL.replace(r#"m = (p.act == "*" || r.act == p.act) && "#, "m = ");
        let turned = format!("{} && (p.act == r.act || \"*\" == p.act)\n", turned.trim());
        assert!(codes(&turned).is_empty(), "{turned}");
    }

    #[test]
    fn a_model_of_another_meaning_is_refused() {
        for (from, to) in [
            ("r = sub, dom, obj, act", "r = sub, obj, act"),
            (" && !some(where (p.eft == deny))", ""),
            (" && g(r.sub, p.sub, r.dom)", ""),
            ("keyMatch5(", "keyMatch2("),
            ("keyMatch5(", "regexMatch("),
            (r#"p.act == "*" ||"#, ""),
            ("g = _, _, _", "g = _, _"),
            ("g = _, _, _", "g = _, _, _\ng2 = _, _"),
            ("g(r.sub, p.sub, r.dom)", r#"(g(r.sub, p.sub, r.dom) || r.sub == "root")"#),
            ("g(r.sub, p.sub, r.dom)", "eval(p.sub)"),
            ("g(r.sub, p.sub, r.dom)", "r.sub.age > 18"),
        ] {
            let text = DEFAULT_MODEL.replace(from, to);
            assert_ne!(text, DEFAULT_MODEL);
            assert_eq!(codes(&text), ["model-unsupported"], "{to}");
        }
    }

    #[test]
    fn a_text_that_is_no_model_is_an_error_at_its_line() {
        assert_eq!(codes("hello"), ["model-syntax"]);
        assert_eq!(codes("[matcher]"), ["model-syntax"]);
        assert_eq!(codes("").len(), SECTIONS.len());
        assert_eq!(codes(&"#\n".repeat(MAX_TEXT_BYTES)), ["too-large"]);
        let report = report("[matcher]\nm = x");
        assert_eq!(report.findings[0].fix.as_deref(), Some("matchers"));
        assert_eq!(report.findings[1].line, 2);
        let twice = DEFAULT_MODEL.replace("g = _, _, _", "g = _, _, _\ng = _, _, _");
        assert_eq!(codes(&twice), ["model-syntax"]);
    }
}

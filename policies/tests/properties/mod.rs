//! What holds of every text that the engine is given, whoever wrote it: each function panics where it does not.
//!
//! `tests/any_text.rs` tries them with the seeds, and `fuzz/` with whatever it comes upon.

mod asked;
mod reference;

use portcullis_policy::{
    Analysis, Assurance, Case, Cases, Options, PolicyFile, PolicySource, Report, Request, Roles,
    STARTER_RULES, Snapshot, SnapshotDocument, Vocabulary, lint,
};

use self::asked::Asked;
use self::reference::Rows;

/// Tokens that are weak in one way or another, and one that is good.
const SHOWN: [Assurance<'static>; 4] = [
    Assurance { acr: Some("phr"), age: None, dpop: true, mtls: false },
    Assurance { acr: Some("pwd"), age: Some(60), dpop: false, mtls: true },
    Assurance { acr: None, age: Some(86_400), dpop: true, mtls: true },
    Assurance { acr: Some("phrh"), age: Some(0), dpop: true, mtls: true },
];

/// The line between the parts of a text that has several.
const BETWEEN: &str = "\n----\n";

/// Rules under the default model, and requests, one a line: what the text says is what is decided, told and written.
pub(crate) fn rules(text: &str) {
    let [rules, requests] = parts(text);
    let source = PolicySource::with_default_model(rules);
    let report = lint(&source);
    check_places(&report, &[(PolicyFile::Rules, rules)]);
    let named = Vocabulary::of(&source).expect("the default model has one");
    let Ok(analysis) = Analysis::of(source) else {
        assert!(report.has_errors(), "what is refused has errors");
        return;
    };
    assert!(!report.has_errors(), "what has errors is refused: {report}");
    assert_eq!(analysis.snapshot().warnings(), &report);
    let rows = Rows::read(rules);
    assert_eq!([named.actions, named.roles, named.users], rows.names());
    let same = [rows.written(), rows.written_backwards()].map(|text| {
        Analysis::of(PolicySource::with_default_model(text)).expect("the same rules in another form")
    });
    for other in &same {
        let changes = analysis.diff(other).changes;
        assert!(changes.is_empty(), "{changes:?}");
    }
    for asked in Asked::each(requests).chain(rows.asked()) {
        let expected = rows.decide(&asked);
        let decision = analysis.snapshot().decide(&asked.request());
        assert_eq!((decision.allowed, decision.rule.map(|rule| rule.line)), expected, "{asked:?}");
        for other in &same {
            assert_eq!(other.snapshot().decide(&asked.request()).allowed, expected.0, "{asked:?}");
        }
        for shown in SHOWN {
            let decision = analysis.snapshot().decide_with(&asked.request(), &shown);
            let decided = (decision.allowed, decision.rule.map(|rule| rule.line));
            assert_eq!(decided, rows.decide_with(&asked, &shown), "{asked:?} with {shown:?}");
        }
        asked.check_what_is_told(&analysis, expected.0);
    }
}

/// A model, rules and requests, one a line with the values that the model defines.
pub(crate) fn model(text: &str) {
    let [model, rest] = parts(text);
    let [rules, requests] = parts(rest);
    let compile = |model: &str, rules: &str| {
        let source = PolicySource { model: model.to_owned(), rules: rules.to_owned() };
        let options = Options { enforce_only: true, ..Options::default() };
        let compiled = Snapshot::compile_with(&source, 1, options);
        let report = compiled.as_ref().map_or_else(Clone::clone, |snapshot| snapshot.warnings().clone());
        check_places(&report, &[(PolicyFile::Model, model), (PolicyFile::Rules, rules)]);
        assert_eq!(report.has_errors(), compiled.is_err(), "{report}");
        compiled.map_err(|report| codes(&report))
    };
    let first = compile(model, rules);
    let mut same = vec![compile(&format!("{model}\n# the end\n"), &format!("# the start\n{rules}"))];
    if !text.contains('\r') {
        same.push(compile(&model.replace('\n', "\r\n"), &rules.replace('\n', "\r\n")));
    }
    let decisions = |compiled: &Result<Snapshot, Vec<&'static str>>| {
        compiled.as_ref().map_err(Clone::clone).map(|snapshot| {
            let requests = Asked::each(requests).map(|asked| {
                snapshot.decide(&asked.request());
                check_of_user(snapshot, model, &asked);
                let decided = snapshot.enforce(&asked.values());
                decided.map(|decision| decision.allowed)
            });
            requests.collect::<Vec<_>>()
        })
    };
    let expected = decisions(&first);
    for other in &same {
        assert_eq!(decisions(other), expected, "the same in another layout");
    }
}

/// Whether a caller without roles is decided as the user by name, in the order in which the model defines a request.
fn check_of_user(snapshot: &Snapshot, model: &str, asked: &Asked) {
    let mut lines = model.lines().filter_map(|line| line.split_once('='));
    let Some((_, fields)) = lines.rfind(|(key, _)| key.trim() == "r") else { return };
    let user = format!("user:{}", asked.subject);
    let values = fields.split(',').map(|field| match field.trim() {
        "act" => Some(asked.action.as_str()),
        "dom" => Some(asked.domain.as_str()),
        "obj" => Some(asked.object.as_str()),
        "sub" => Some(user.as_str()),
        _ => None,
    });
    let Some(values) = values.collect::<Option<Vec<&str>>>() else { return };
    let decision = snapshot.decide(&Request { roles: Roles::NONE, ..asked.request() });
    let enforced = snapshot.enforce(&values).is_ok_and(|decision| decision.allowed);
    // A guard refuses more: what is empty, and paths that two readers would read differently.
    assert!(enforced || !decision.allowed, "{values:?}");
    let is_plain = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
    if [&asked.subject, &asked.object, &asked.action].into_iter().all(|text| is_plain(text)) {
        assert_eq!(enforced, decision.allowed, "{values:?}");
    }
}

/// Cases, and the rules that they are held to: those of a new API, if there are none.
pub(crate) fn cases(text: &str) {
    let [text, rules] = parts(text);
    let cases = match Cases::parse(text) {
        Ok(cases) => cases,
        Err(report) => {
            assert!(report.has_errors());
            return check_places(&report, &[(PolicyFile::Cases, text)]);
        }
    };
    let written: Vec<String> = cases.iter().map(written_case).collect();
    assert_eq!(written, asked::cases(text), "a case is what its line says");
    let again = Cases::parse(&written.join("\n")).expect("the same cases");
    assert_eq!(again.iter().map(written_case).collect::<Vec<_>>(), written);
    let rules = if rules.trim().is_empty() { STARTER_RULES } else { rules };
    let Ok(analysis) = Analysis::of(PolicySource::with_default_model(rules)) else { return };
    let outcome = analysis.test(&cases);
    check_places(&outcome.warnings, &[(PolicyFile::Cases, text)]);
    let rows = Rows::read(rules);
    let is_kept = |case: &&Case| {
        let user = case.user.as_deref().unwrap_or(analysis.nobody());
        let held = case.roles.join("+");
        let asked = Asked::new(&[user, &held, &case.domain, &case.object, &case.action]);
        rows.decide_with(&asked, &case.shown.assurance()).0 == case.allowed
    };
    let (kept, failed): (Vec<_>, Vec<_>) = cases.iter().partition(is_kept);
    assert_eq!((outcome.passed, outcome.failed_total), (kept.len(), failed.len()));
    assert_eq!(outcome.failed.iter().map(|failed| &failed.case).collect::<Vec<_>>(), failed);
    for failed in outcome.failed {
        assert_ne!(failed.case.allowed, failed.explanation.allowed);
    }
}

/// A document as it is fetched: JSON, and in it a policy that is compiled again.
pub(crate) fn snapshot(text: &str) {
    let Ok(document) = serde_json::from_str::<SnapshotDocument>(text) else { return };
    let written = serde_json::to_string(&document).expect("JSON");
    let again: SnapshotDocument = serde_json::from_str(&written).expect("the same document");
    assert_eq!(again, document);
    let source = PolicySource { model: document.model.clone(), rules: document.rules.clone() };
    let texts = [(PolicyFile::Model, source.model.as_str()), (PolicyFile::Rules, source.rules.as_str())];
    match (document.compile(), Snapshot::compile(&source, document.revision)) {
        (Ok(fetched), Ok(compiled)) => {
            check_places(fetched.warnings(), &texts);
            assert_eq!(fetched.warnings(), compiled.warnings());
            for asked in Asked::each(&document.rules) {
                let decision = fetched.decide(&asked.request());
                assert_eq!(decision, compiled.decide(&asked.request()));
                assert_eq!(decision.revision, document.revision);
            }
        }
        (Err(fetched), Err(compiled)) => {
            check_places(&fetched, &texts);
            assert_eq!(fetched, compiled);
        }
        _ => panic!("a document means what its texts mean"),
    }
}

/// The two parts of a text, the second of which may be missing.
fn parts(text: &str) -> [&str; 2] {
    text.split_once(BETWEEN).map_or([text, ""], |(first, second)| [first, second])
}

/// The kinds of errors, in no order: lines that mean nothing move what is said of the text as a whole.
fn codes(report: &Report) -> Vec<&'static str> {
    let mut codes: Vec<_> = report.errors().map(|error| error.code).collect();
    codes.sort_unstable();
    codes
}

/// Whether each finding points into the text that it is about, or just behind the end of a line.
fn check_places(report: &Report, texts: &[(PolicyFile, &str)]) {
    for finding in &report.findings {
        let text = texts.iter().find(|(file, _)| *file == finding.file).expect("a text that was given").1;
        let line = text.split('\n').nth((finding.line as usize).wrapping_sub(1));
        let line = line.unwrap_or_else(|| panic!("the text has no such line: {finding}"));
        let last = line.chars().count() + 1;
        assert!((1..=last).contains(&(finding.column as usize)), "{last} columns in {line:?}: {finding}");
    }
}

fn written_case(case: &Case) -> String {
    let Case { allowed, user, roles, domain, object, action, shown, .. } = case;
    let user = user.iter().map(|user| format!("user:{user}"));
    let callers: Vec<_> = roles.iter().cloned().chain(user).collect();
    let expected = if *allowed { "allow" } else { "deny" };
    let bound = [shown.dpop.then(|| "dpop".to_owned()), shown.mtls.then(|| "mtls".to_owned())];
    let sign_in =
        [shown.acr.as_ref().map(|acr| format!("acr={acr}")), shown.age.map(|age| format!("age={age}"))];
    let case = format!("{expected}, {}, {domain}, {object}, {action}", callers.join("+"));
    let shown = sign_in.into_iter().chain(bound).flatten();
    [case].into_iter().chain(shown).collect::<Vec<_>>().join(", ")
}

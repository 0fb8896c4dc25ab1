//! Decisions that a policy must keep: tests as text, beside the rules.

use serde::Serialize;

use crate::analysis::Analysis;
use crate::condition::Assurance;
use crate::explain::Explanation;
use crate::line::{self, Field, Line};
use crate::report::{Finding, Findings, PolicyFile, Report, closest, quoted};
use crate::request::{Request, Roles};

const MAX_TEXT_BYTES: usize = 1024 * 1024;
const MAX_CASES: usize = 10_000;

/// For how many unknown roles a close one is looked for: each is compared with all.
const MAX_SUGGESTIONS: usize = 20;

/// What marks a subject as a user instead of a role.
const USER_PREFIX: &str = "user:";

/// What is expected of a case.
const EXPECTATIONS: [&str; 2] = ["allow", "deny"];

/// What a case may say of the token.
const SHOWN_FORMS: &str = "what the token shows: `acr=CLASS`, `age=SECONDS`, `dpop`, `mtls`";

/// Requests with the decisions that are expected, read from text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cases {
    cases: Vec<Case>,
}

/// One request, and what is expected.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Case {
    /// The line in the text, from 1.
    pub line: u32,
    /// Whether the request is to be allowed.
    pub allowed: bool,
    /// The user who asks. Without one: a user whom no rule names.
    pub user: Option<String>,
    /// The roles of the caller.
    pub roles: Vec<String>,
    /// The domain, or `*` for one that no rule names.
    pub domain: String,
    /// The object.
    pub object: String,
    /// The action.
    pub action: String,
    /// What the token says of the sign-in, and what it is bound to.
    #[serde(skip_serializing_if = "Shown::is_nothing")]
    pub shown: Shown,
}

/// What the token of a case shows: what rules with conditions ask for.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Shown {
    /// The class by which the user signed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// How many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<u64>,
    /// Whether it is bound to a key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub dpop: bool,
    /// Whether it is bound to a certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mtls: bool,
}

impl Shown {
    fn is_nothing(&self) -> bool {
        self.assurance() == Assurance::NOTHING
    }

    /// The same, as it is decided by.
    pub fn assurance(&self) -> Assurance<'_> {
        let Self { age, dpop, mtls, .. } = *self;
        Assurance { acr: self.acr.as_deref(), age, dpop, mtls }
    }

    /// Reads one field. `None` if it is none, or is there already.
    fn add(&mut self, field: &str) -> Option<()> {
        let (name, value) = field.split_once('=').map_or((field, None), |(name, value)| (name, Some(value)));
        match (name.trim(), value.map(str::trim)) {
            ("acr", Some(class)) if self.acr.is_none() && !class.is_empty() => {
                self.acr = Some(class.to_owned());
            }
            ("age", Some(secs)) if self.age.is_none() && secs.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.age = Some(secs.parse().ok()?);
            }
            ("dpop", None) if !self.dpop => self.dpop = true,
            ("mtls", None) if !self.mtls => self.mtls = true,
            _ => return None,
        }
        Some(())
    }
}

/// What came of the cases.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Outcome {
    /// How many were decided as expected.
    pub passed: usize,
    /// Those that were not, in the order of the text: the first of them, if not all were to be explained.
    pub failed: Vec<FailedCase>,
    /// How many were not.
    pub failed_total: usize,
    /// Roles in cases that no rule names: a case with a role that does not exist proves little.
    pub warnings: Report,
}

/// A case that was decided otherwise.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FailedCase {
    /// What was expected.
    pub case: Case,
    /// What was decided, and why.
    pub explanation: Explanation,
}

impl Cases {
    /// Reads cases. The report holds every line that is none.
    pub fn parse(text: &str) -> Result<Self, Report> {
        let mut findings = Findings::default();
        let mut cases = Vec::new();
        if text.len() > MAX_TEXT_BYTES {
            let message = format!("the cases have {} bytes; the most is {MAX_TEXT_BYTES}", text.len());
            let start = Line { file: PolicyFile::Cases, number: 1, text: "" };
            findings.push(Finding::error(start.place(0), "too-large", message));
            return Err(findings.into_report());
        }
        for line in line::lines(PolicyFile::Cases, text) {
            match read(line) {
                Ok(Some(_)) if cases.len() == MAX_CASES => {
                    let message = format!("there are at most {MAX_CASES} cases");
                    findings.push(Finding::error(line.place(0), "too-many-cases", message));
                    break;
                }
                Ok(case) => cases.extend(case),
                Err(finding) => findings.push(finding),
            }
        }
        if findings.has_errors() { Err(findings.into_report()) } else { Ok(Self { cases }) }
    }

    /// Whether there is none, as in a text of comments.
    pub fn is_empty(&self) -> bool {
        self.cases.is_empty()
    }

    /// Each case, in the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter()
    }
}

impl Analysis {
    /// Decides every case. Each that is decided otherwise than expected is explained.
    pub fn test(&self, cases: &Cases) -> Outcome {
        self.test_within(cases, usize::MAX)
    }

    /// Decides every case, and explains at most so many: an explanation goes through all rules, so many of them take long.
    pub fn test_within(&self, cases: &Cases, most_explained: usize) -> Outcome {
        let mut findings = Findings::default();
        let mut suggestions = MAX_SUGGESTIONS;
        for case in &cases.cases {
            self.find_unknown_roles(case, &mut suggestions, &mut findings);
        }
        let decide = |request: &Request<'_>, shown: &Assurance<'_>| self.decide_with(request, shown).allowed;
        let explain = |request: &Request<'_>, shown: &Assurance<'_>| self.explain_with(request, shown);
        run(cases, most_explained, self.nobody(), (&decide, &explain), findings)
    }

    fn find_unknown_roles(&self, case: &Case, suggestions: &mut usize, findings: &mut Findings) {
        for role in case.roles.iter().filter(|role| self.ledger.roles.get(role).is_none()) {
            let place = Line { file: PolicyFile::Cases, number: case.line, text: "" }.place(0);
            let message = format!("no rule names the role {}", quoted(role));
            let fix = if *suggestions > 0 { closest(role, self.ledger.roles.iter()) } else { None };
            *suggestions = suggestions.saturating_sub(1);
            findings.push(Finding::warning(place, "role-unknown", message).with_fix(fix));
        }
    }
}

/// Says whether a request is allowed, and why.
pub(crate) type Judge<'a> = (
    &'a dyn Fn(&Request<'_>, &Assurance<'_>) -> bool,
    &'a dyn Fn(&Request<'_>, &Assurance<'_>) -> Explanation,
);

/// Decides every case; who has no user in it is `nobody`.
pub(crate) fn run(
    cases: &Cases,
    most_explained: usize,
    nobody: &str,
    (decide, explain): Judge<'_>,
    findings: Findings,
) -> Outcome {
    let (mut failed, mut failed_total) = (Vec::new(), 0);
    for case in &cases.cases {
        let request = Request {
            subject: case.user.as_deref().unwrap_or(nobody),
            roles: Roles::from(&case.roles),
            domain: &case.domain,
            object: &case.object,
            action: &case.action,
        };
        let shown = case.shown.assurance();
        if decide(&request, &shown) != case.allowed {
            failed_total += 1;
            if failed.len() < most_explained {
                failed.push(FailedCase { case: case.clone(), explanation: explain(&request, &shown) });
            }
        }
    }
    let passed = cases.cases.len() - failed_total;
    Outcome { passed, failed, failed_total, warnings: findings.into_report() }
}

/// Reads a line. `None` for a blank one or a comment.
fn read(line: Line<'_>) -> Result<Option<Case>, Finding> {
    let Some(fields) = line.read()? else { return Ok(None) };
    let start = Field { text: "", offset: 0 };
    let mut shown = Shown::default();
    let [expected, caller, domain, object, action, more @ ..] = fields.as_slice() else {
        let message = format!(
            "the line has {} fields; its form is `allow | deny, role[+role][+user:ID], domain, object, action`, and then {SHOWN_FORMS}",
            fields.len()
        );
        return Err(line.error(fields.first().copied().unwrap_or(start), "field-count", message));
    };
    for field in more {
        if shown.add(field.text).is_none() {
            let message = format!("{} is not {SHOWN_FORMS}, each once", quoted(field.text));
            let (name, value) = field.text.split_once('=').unwrap_or_default();
            // Rules say how old a sign-in may be, and cases how old it is.
            let fix = (name.trim() == "max_age").then(|| format!("age={}", value.trim()));
            return Err(line.error(*field, "unknown-assurance", message).with_fix(fix));
        }
    }
    let allowed = expectation(line, *expected)?;
    for field in [object, action] {
        if field.text == "*" {
            let message = "a case asks for one object and one action; `*` is a domain that no rule names";
            return Err(line.error(*field, "wildcard", message));
        }
    }
    let (user, roles) = callers(line, *caller)?;
    let owned = |field: &Field<'_>| field.text.to_owned();
    let (domain, object, action) = (owned(domain), owned(object), owned(action));
    Ok(Some(Case { line: line.number, allowed, user, roles, domain, object, action, shown }))
}

fn expectation(line: Line<'_>, field: Field<'_>) -> Result<bool, Finding> {
    match field.text {
        "allow" => Ok(true),
        "deny" => Ok(false),
        other => {
            let message = format!("{} is no decision: a case says `allow` or `deny`", quoted(other));
            let fix = closest(&other.to_lowercase(), EXPECTATIONS);
            let same = EXPECTATIONS.into_iter().find(|known| known.eq_ignore_ascii_case(other));
            Err(line.error(field, "unknown-decision", message).with_fix(same.or(fix)))
        }
    }
}

fn callers(line: Line<'_>, field: Field<'_>) -> Result<(Option<String>, Vec<String>), Finding> {
    let (mut user, mut roles) = (None, Vec::new());
    let mut offset = field.offset;
    for raw in field.text.split('+') {
        let part = Field { text: raw.trim(), offset };
        offset += raw.len() + 1;
        match part.text.strip_prefix(USER_PREFIX) {
            _ if part.text.is_empty() => {
                return Err(line.error(part, "empty-field", "between `+` stands a role or a user"));
            }
            Some("") => {
                return Err(line.error(part, "empty-field", "`user:` is followed by the subject of a token"));
            }
            Some(_) if user.is_some() => {
                return Err(line.error(part, "second-user", "a request has one user"));
            }
            Some(subject) => user = Some(subject.to_owned()),
            None if part.text.contains([':', '*']) => {
                let message = format!("{} is no role: a role has no `:` and no `*` in it", quoted(part.text));
                return Err(line.error(part, "role-name", message));
            }
            None => roles.push(part.text.to_owned()),
        }
    }
    Ok((user, roles))
}

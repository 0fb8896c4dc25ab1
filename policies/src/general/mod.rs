//! Models other than the default one.
//!
//! A model in the recognised forms is compiled: texts become numbers, patterns are compiled once,
//! roles are closed in each domain, and rows are filed by what they demand of a request. What is not
//! recognised is refused, or interpreted by Casbin itself with the feature `casbin`.

mod compiled;
mod effect;
#[cfg(feature = "casbin")]
mod interpreter;
mod matcher;
mod parse;
mod pattern;
mod prefilter;
mod roles;
mod rows;
mod syntax;
mod table;

use self::compiled::Compiled;
use self::effect::Matched;
#[cfg(feature = "casbin")]
use self::interpreter::Interpreter;
#[cfg(feature = "casbin")]
pub(crate) use self::interpreter::at_once;
use self::matcher::Resolver;
use self::parse::{MAX_FIELDS, Model};
use self::rows::Written;
use self::syntax::Expr;
use self::table::Table;
use crate::coverage::Coverage;
use crate::object::{has_control, is_canonical};
use crate::options::Options;
use crate::report::{Finding, Findings, Place, quoted};
use crate::request::{EnforceError, Request};
use crate::rules::USER_PREFIX;

/// How long a value of a request may be.
const MAX_VALUE_BYTES: usize = 4096;

/// A policy under a model of its own.
pub(crate) struct General {
    engine: Engine,
    /// Per field of a request, what it is for [`General::decide`]. `None` for one that it is not.
    fields: Vec<Option<Part>>,
    /// What the rules name that a token may have as a role.
    pub(crate) roles: Vec<Box<str>>,
    pub(crate) rule_count: usize,
}

enum Engine {
    Compiled(Box<Compiled>),
    #[cfg(feature = "casbin")]
    Interpreted(Box<Interpreter>),
}

/// What a field of a request is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Action,
    Domain,
    Object,
    Subject,
}

/// Whether a request is allowed, and the line that decided.
pub(crate) type Answer = (bool, Option<u32>);

/// The answer to what cannot be compared with rules.
const DENIED: Answer = (false, None);

/// Compiles a policy, or adds at least one error to the findings.
pub(crate) fn compile(
    model: &str,
    rules: &str,
    options: Options,
    findings: &mut Findings,
) -> Option<General> {
    let parsed = parse::parse(model, findings)?;
    let fields = request_fields(&parsed, options, findings);
    let written = rows::read(rules, &parsed, findings);
    let engine = match recognise(&parsed) {
        Ok(expr) => Compiled::new(&parsed, &expr, &written, findings)
            .map(|compiled| Engine::Compiled(Box::new(compiled))),
        Err(finding) if finding.code != UNSUPPORTED => {
            findings.push(finding);
            None
        }
        Err(finding) => interpret(finding, &parsed, &written, options, findings),
    };
    let rule_count = written.policy.len() + written.roles.iter().map(Vec::len).sum::<usize>();
    engine.filter(|_| !findings.has_errors()).map(|engine| General {
        engine,
        fields,
        roles: rows::roles(&written, &parsed),
        rule_count,
    })
}

/// The code of what this crate does not evaluate itself.
const UNSUPPORTED: &str = "model-unsupported";

/// The matcher of a model, if every part of it can be compiled.
fn recognise(model: &Model) -> Result<Expr, Finding> {
    let expr = Expr::parse(&model.matcher.text).map_err(|unknown| {
        let message = format!("this version does not evaluate a matcher with {}", unknown.what);
        Finding::error(model.matcher.place(unknown.at), UNSUPPORTED, message)
    })?;
    Resolver { model, table: &mut Table::default() }.test(&expr)?;
    Ok(expr)
}

#[cfg(not(feature = "casbin"))]
fn interpret(
    unsupported: Finding,
    _: &Model,
    _: &Written<'_>,
    _: Options,
    findings: &mut Findings,
) -> Option<Engine> {
    findings.push(unsupported);
    None
}

#[cfg(feature = "casbin")]
fn interpret(
    unsupported: Finding,
    model: &Model,
    written: &Written<'_>,
    options: Options,
    findings: &mut Findings,
) -> Option<Engine> {
    // Casbin stops after ten steps without a word.
    if let Err(finding) = rows::close_roles(written, model, &mut Table::default()) {
        findings.push(finding);
        return None;
    }
    let interpreter = Interpreter::new(model, written, options);
    let interpreter = interpreter.map_err(|why| {
        let message = format!("{}, and Casbin does not either: {why}", unsupported.message);
        findings.push(Finding { message, ..unsupported });
    });
    interpreter.map(|interpreter| Engine::Interpreted(Box::new(interpreter))).ok()
}

/// Hands a policy to Casbin that could be compiled. The error says why that cannot be.
#[cfg(feature = "casbin")]
pub(crate) fn interpreted(model: &str, rules: &str) -> Result<General, String> {
    let (mut findings, options) = (Findings::default(), Options::default());
    let parsed = parse::parse(model, &mut findings).ok_or("its model cannot be read")?;
    if has_rewritten_text(&parsed.matcher.text) {
        return Err("a text in its matcher has `p.` or `r.` in it, which Casbin rewrites".to_owned());
    }
    let fields = request_fields(&parsed, options, &mut findings);
    let written = rows::read(rules, &parsed, &mut findings);
    if written.policy.is_empty() || findings.has_errors() {
        return Err("it has no rules that a guard asks".to_owned());
    }
    let rule_count = written.policy.len();
    let engine = Engine::Interpreted(Box::new(Interpreter::new(&parsed, &written, options)?));
    Ok(General { engine, fields, roles: Vec::new(), rule_count })
}

#[cfg(feature = "casbin")]
fn has_rewritten_text(matcher: &str) -> bool {
    let texts = |quote: char| matcher.split(quote).skip(1).step_by(2);
    texts('"').chain(texts('\'')).any(|text| text.contains("p.") || text.contains("r."))
}

fn request_fields(model: &Model, options: Options, findings: &mut Findings) -> Vec<Option<Part>> {
    let parts = model.request.iter().map(|name| match name.as_str() {
        "act" => Some(Part::Action),
        "dom" => Some(Part::Domain),
        "obj" => Some(Part::Object),
        "sub" => Some(Part::Subject),
        _ => None,
    });
    let parts: Vec<_> = parts.collect();
    let unknown = model.request.iter().zip(&parts).find(|(_, part)| part.is_none());
    if let Some((name, _)) = unknown.filter(|_| !options.enforce_only) {
        let message = format!(
            "a guard does not know what the field {} of a request is: it knows `sub`, `dom`, `obj` and `act`",
            quoted(name)
        );
        findings.push(Finding::error(Place::model(1), "request-field", message));
    }
    parts
}

impl General {
    /// Decides for the subject and each of its roles together.
    pub(crate) fn decide(&self, request: &Request<'_>) -> Answer {
        self.ask(request).unwrap_or(DENIED)
    }

    /// The same. `None` where there is no answer, which is denied.
    pub(crate) fn ask(&self, request: &Request<'_>) -> Option<Answer> {
        let Some(values) = self.values(request) else { return Some(DENIED) };
        self.decide_values(request, values.get(..self.fields.len()).unwrap_or_default())
    }

    /// Decides a request as the model defines it.
    pub(crate) fn enforce(&self, values: &[&str]) -> Result<Answer, EnforceError> {
        let expected = self.fields.len();
        if values.len() != expected {
            return Err(EnforceError::FieldCount { expected, given: values.len() });
        }
        if values.iter().any(|value| has_control(value)) {
            return Err(EnforceError::ControlCharacter);
        }
        if values.iter().any(|value| value.len() > MAX_VALUE_BYTES) {
            return Err(EnforceError::TooLong);
        }
        match &self.engine {
            Engine::Compiled(compiled) => {
                let mut matched = Matched::default();
                let judged = compiled.judge(&compiled.ask(values), &mut matched);
                judged.map_err(|_| EnforceError::NotAnAddress)?;
                Ok(compiled.decide(matched))
            }
            #[cfg(feature = "casbin")]
            Engine::Interpreted(interpreter) => interpreter.enforce(values).map(|allowed| (allowed, None)),
        }
    }

    pub(crate) fn coverage(&self) -> Coverage {
        match &self.engine {
            Engine::Compiled(compiled) => compiled.coverage(),
            #[cfg(feature = "casbin")]
            Engine::Interpreted(interpreter) => interpreter.coverage(),
        }
    }

    /// The request in the order of the model, without the subject. `None` if no rule could match it.
    fn values<'a>(&self, request: &Request<'a>) -> Option<[&'a str; MAX_FIELDS]> {
        let mut values = [""; MAX_FIELDS];
        for (slot, part) in values.iter_mut().zip(&self.fields) {
            let (value, sound) = match (*part)? {
                Part::Action => (request.action, !request.action.is_empty()),
                Part::Domain => (request.domain, true),
                Part::Object => (request.object, !request.object.is_empty() && is_canonical(request.object)),
                Part::Subject => (request.subject, !request.subject.is_empty()),
            };
            if !sound || has_control(value) || value.len() > MAX_VALUE_BYTES {
                return None;
            }
            *slot = value;
        }
        Some(values)
    }

    fn decide_values(&self, request: &Request<'_>, values: &[&str]) -> Option<Answer> {
        let user = format!("{USER_PREFIX}{}", request.subject);
        let subject = self.fields.iter().position(|part| *part == Some(Part::Subject));
        let roles = request.roles.iter().filter(|role| subject.is_some() && !role.contains(':'));
        let roles = roles.filter(|role| !role.is_empty() && !has_control(role));
        let subjects = std::iter::once(user.as_str()).chain(roles);
        match &self.engine {
            Engine::Compiled(compiled) => {
                let mut asked = compiled.ask(values);
                let mut matched = Matched::default();
                for candidate in subjects {
                    if let Some(field) = subject {
                        asked.set(field, compiled.value(candidate));
                    }
                    compiled.judge(&asked, &mut matched).ok()?;
                }
                Some(compiled.decide(matched))
            }
            #[cfg(feature = "casbin")]
            Engine::Interpreted(interpreter) => {
                let allowed = interpreter.decide(values, subject, subjects).ok()?;
                Some((allowed, None))
            }
        }
    }
}

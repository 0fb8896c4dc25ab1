//! Models that are not recognised, run by Casbin itself.
//!
//! Every rule is interpreted for every request. Casbin's own functions for patterns are replaced by
//! ours, and what panics or fails there is a denial here.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use casbin::function_map::{OperatorFunction, dynamic_to_str};
use casbin::rhai::Dynamic;
use casbin::{CoreApi, DefaultModel, Enforcer, MgmtApi, Model as _};

use super::effect::Effect;
use super::parse::Model;
use super::pattern::Function;
use super::rows::{Row, Written};
use crate::coverage::Coverage;
use crate::options::Options;
use crate::request::EnforceError;

/// The most rules that are interpreted for each request.
const MAX_RULES: usize = 10_000;

/// How long a matcher may be that is interpreted, and how many operators and parentheses it may have.
const MAX_CODE_BYTES: usize = 2048;
const MAX_SIGNS: usize = 128;

/// Casbin's enforcer with the rules of a policy.
pub(super) struct Interpreter {
    effect: Effect,
    rules: usize,
    whole: Enforcer,
    /// Says whether any rule that allows matches, for several subjects together.
    allows: Enforcer,
    /// Says whether no rule that denies matches.
    spares: Enforcer,
}

impl Interpreter {
    /// Hands the policy to Casbin. The error says why that cannot be.
    pub(super) fn new(model: &Model, written: &Written<'_>, options: Options) -> Result<Self, String> {
        let rules = written.policy.len();
        check_code(model, written, options)?;
        if model.roles.len() > 1 {
            return Err("it mixes the rows of several role definitions".to_owned());
        }
        if model.effect == Effect::Priority && !options.enforce_only {
            return Err("it cannot rank the rules for several roles together".to_owned());
        }
        if rules > MAX_RULES {
            return Err(format!("at most {MAX_RULES} rules are interpreted"));
        }
        let build = |effect: Effect| enforcer(model, written, effect);
        let whole = build(model.effect)?;
        try_out(&whole, model)?;
        let (allows, spares) = (build(Effect::AllowOverride)?, build(Effect::DenyOverride)?);
        Ok(Self { effect: model.effect, rules, whole, allows, spares })
    }

    pub(super) fn coverage(&self) -> Coverage {
        Coverage { indexed: 0, read_through: 0, interpreted: self.rules }
    }

    pub(super) fn enforce(&self, values: &[&str]) -> Result<bool, EnforceError> {
        self.ask(&self.whole, values.iter().map(|value| (*value).to_owned()).collect())
    }

    /// Decides for several subjects, whose rules count together.
    pub(super) fn decide<'s>(
        &self,
        values: &[&str],
        subject: Option<usize>,
        subjects: impl Iterator<Item = &'s str>,
    ) -> Result<bool, EnforceError> {
        let (mut allowed, mut spared) = (false, true);
        for candidate in subjects {
            let mut values: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
            if let Some(slot) = subject.and_then(|field| values.get_mut(field)) {
                candidate.clone_into(slot);
            }
            allowed |= self.ask(&self.allows, values.clone())?;
            spared &= self.ask(&self.spares, values)?;
        }
        match self.effect {
            Effect::AllowAndDeny => Ok(allowed && spared),
            Effect::AllowOverride => Ok(allowed),
            Effect::DenyOverride => Ok(spared),
            Effect::Priority => Err(EnforceError::Interpreter),
        }
    }

    /// Without rules Casbin asks as if there were an empty one, which an empty request matches.
    fn ask(&self, enforcer: &Enforcer, values: Vec<String>) -> Result<bool, EnforceError> {
        if self.rules == 0 {
            return Ok(false);
        }
        let answer = catch_unwind(AssertUnwindSafe(|| enforcer.enforce(values)));
        answer.ok().and_then(Result::ok).ok_or(EnforceError::Interpreter)
    }
}

/// What Casbin compiles must not be so deep that it overflows the stack, which nothing can catch, and
/// must never come from a request.
fn check_code(model: &Model, written: &Written<'_>, options: Options) -> Result<(), String> {
    let matcher = model.matcher.text.as_str();
    let mut calls = calls_of_eval(matcher).peekable();
    let has_eval = calls.peek().is_some();
    if has_eval && !options.danger_allow_eval {
        return Err("`eval` runs what a rule says; a host has to allow it by name".to_owned());
    }
    let of_rule = |behind: &str| {
        let field = behind.strip_prefix("(p.").and_then(|rest| rest.split_once(')'));
        field.is_some_and(|(field, _)| model.policy.iter().any(|known| known == field))
    };
    if !calls.all(of_rule) {
        return Err("`eval` takes one field of a rule, such as `eval(p.sub)`, and nothing else".to_owned());
    }
    let fields = || written.policy.iter().flat_map(Row::texts).filter(|_| has_eval);
    for text in std::iter::once(matcher).chain(fields()) {
        let signs = text.chars().filter(|c| c.is_ascii_punctuation() && !".,_'\"".contains(*c)).count();
        if text.len() > MAX_CODE_BYTES || signs > MAX_SIGNS {
            return Err(format!(
                "it is longer than {MAX_CODE_BYTES} bytes, or has more than {MAX_SIGNS} signs"
            ));
        }
    }
    let mut nested = fields().filter(|text| calls_of_eval(text).next().is_some());
    if nested.next().is_some() { Err("a rule has `eval` in it".to_owned()) } else { Ok(()) }
}

/// What stands behind each `eval` in the text.
fn calls_of_eval(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("eval").filter_map(|(at, name)| text.get(at + name.len()..))
}

/// Asks one question, to learn at once of names that Casbin does not know.
fn try_out(enforcer: &Enforcer, model: &Model) -> Result<(), String> {
    let values = vec!["0".to_owned(); model.request.len()];
    let tried = catch_unwind(AssertUnwindSafe(|| enforcer.enforce(values)));
    let Ok(Err(error)) = tried else { return Ok(()) };
    let error = error.to_string();
    let unknown = ["NotFound", "Unknown property"].iter().any(|words| error.contains(words));
    if unknown { Err(error) } else { Ok(()) }
}

fn enforcer(model: &Model, written: &Written<'_>, effect: Effect) -> Result<Enforcer, String> {
    let mut casbin = DefaultModel::default();
    casbin.add_def("r", "r", &model.request.join(", "));
    casbin.add_def("p", "p", &model.policy.join(", "));
    for role in &model.roles {
        casbin.add_def("g", &role.name, if role.in_domains { "_, _, _" } else { "_, _" });
    }
    casbin.add_def("e", "e", effect.text());
    casbin.add_def("m", "m", &model.matcher.text);
    let texts = |row: &Row<'_>| row.texts().map(str::to_owned).collect::<Vec<_>>();
    let build = async {
        let mut enforcer = Enforcer::new(casbin, ()).await?;
        for (name, function) in FUNCTIONS {
            enforcer.add_function(name, *function);
        }
        enforcer.add_policies(written.policy.iter().map(texts).collect()).await?;
        for (role, rows) in model.roles.iter().zip(&written.roles) {
            let rows = rows.iter().map(texts).collect();
            enforcer.add_named_grouping_policies(&role.name, rows).await?;
        }
        casbin::Result::Ok(enforcer)
    };
    let done = catch_unwind(AssertUnwindSafe(|| at_once(build)));
    let done = done.map_err(|_| "it panics".to_owned())?;
    done.ok_or("it waits for something")?.map_err(|error| error.to_string())
}

/// Nothing here reads files or waits, so the future is ready when it is first asked.
pub(crate) fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// Casbin takes plain functions only, so each has its name in it.
const FUNCTIONS: &[(&str, OperatorFunction)] = &[
    ("globMatch", OperatorFunction::Arg2(|text, pattern| matched(Function::Glob, &text, &pattern))),
    ("ipMatch", OperatorFunction::Arg2(|text, pattern| matched(Function::Ip, &text, &pattern))),
    ("keyMatch", OperatorFunction::Arg2(|text, pattern| matched(Function::Key, &text, &pattern))),
    ("keyMatch2", OperatorFunction::Arg2(|text, pattern| matched(Function::Key2, &text, &pattern))),
    ("keyMatch3", OperatorFunction::Arg2(|text, pattern| matched(Function::Key3, &text, &pattern))),
    ("keyMatch4", OperatorFunction::Arg2(|text, pattern| matched(Function::Key4, &text, &pattern))),
    ("keyMatch5", OperatorFunction::Arg2(|text, pattern| matched(Function::Key5, &text, &pattern))),
    ("regexMatch", OperatorFunction::Arg2(|text, pattern| matched(Function::Regex, &text, &pattern))),
];

/// What is no pattern, or no address, is neither true nor false: Casbin fails on it, and we deny.
fn matched(function: Function, text: &Dynamic, pattern: &Dynamic) -> Dynamic {
    let (text, pattern) = (dynamic_to_str(text), dynamic_to_str(pattern));
    let answer = function.compile(&pattern).ok().and_then(|pattern| function.matches(&text, &pattern).ok());
    answer.map_or(().into(), Dynamic::from)
}

//! Casbin's own answer to a request, beside that of the index.

use std::collections::HashSet;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use casbin::function_map::{OperatorFunction, dynamic_to_str};
use casbin::{CoreApi, DefaultModel, Enforcer, MgmtApi, Model as _};

use crate::general::{self, General, at_once};
use crate::index::MAX_OBJECT_BYTES;
use crate::object::{has_control, is_canonical};
use crate::request::{Decision, Request};
use crate::rules::USER_PREFIX;
use crate::snapshot::Snapshot;
use crate::source::PolicySource;

/// The most rules of which Casbin interprets each for a request.
const MAX_RULES: usize = 10_000;

/// A policy in the hands of Casbin, which decides again what a [`Snapshot`] of it decided: slowly, since it reads every rule, and
/// with nothing of the index.
///
/// ```
/// use portcullis_policy::{Comparison, Options, PolicySource, Reference, Request, Roles, Snapshot};
///
/// let source = PolicySource::with_default_model("p, viewer, *, /orders/{id}, read");
/// let snapshot = Snapshot::compile_with(&source, 7, Options { keep_text: true, ..Options::default() })?;
/// let reference = Reference::of(&snapshot).expect("Casbin takes the policy");
///
/// let roles = Roles::from(&["viewer"]);
/// let request = Request { subject: "alice", roles, domain: "", object: "/orders/17", action: "read" };
/// assert_eq!(reference.compare(&request, snapshot.decide(&request)), Comparison::Agrees);
/// # Ok::<(), portcullis_policy::Report>(())
/// ```
///
/// What this crate refuses [on purpose](Snapshot::decide) Casbin is not asked about: denied is then the right answer. Nor does it know
/// rules with conditions: what one of those decided is [`Unanswered`](Comparison::Unanswered).
pub struct Reference {
    engine: Engine,
    /// The lines of the rules with conditions.
    conditional: HashSet<u32>,
}

enum Engine {
    Default(Box<Rows>),
    Other(Box<General>),
}

/// The rules of the default model.
struct Rows {
    /// Says whether any rule that allows matches.
    allows: Enforcer,
    /// Says whether no rule that denies matches.
    spares: Enforcer,
    /// Whom the rules name. Casbin takes long to find that they do not name somebody.
    named: HashSet<String>,
}

/// What Casbin says to a decision.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Comparison {
    /// The same.
    Agrees,
    /// The contrary.
    Differs,
    /// Nothing: a rule with a condition decided, or Casbin gave up.
    Unanswered,
}

/// Why Casbin cannot be asked about a policy.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ReferenceError {
    /// Casbin does not take it, or it would mean something else there.
    Casbin(String),
    /// Casbin decides by it already.
    Interpreted,
    /// It was compiled without [`Options::keep_text`](crate::Options::keep_text).
    NoText,
    /// It has more than 10,000 rules, which Casbin would read one by one.
    TooManyRules,
}

impl Reference {
    /// Hands the policy that a snapshot was compiled from to Casbin.
    pub fn of(snapshot: &Snapshot) -> Result<Self, ReferenceError> {
        let source = snapshot.text.as_deref().ok_or(ReferenceError::NoText)?;
        if snapshot.coverage().interpreted > 0 {
            return Err(ReferenceError::Interpreted);
        }
        if snapshot.rule_count() > MAX_RULES {
            return Err(ReferenceError::TooManyRules);
        }
        if !snapshot.has_default_model() {
            let general = general::interpreted(&source.model, &source.rules);
            let engine = Engine::Other(Box::new(general.map_err(ReferenceError::Casbin)?));
            return Ok(Self { engine, conditional: HashSet::new() });
        }
        let written = Written::read(&source.rules);
        let engine = Engine::Default(Box::new(written.hand_over(source).map_err(ReferenceError::Casbin)?));
        Ok(Self { engine, conditional: written.conditional })
    }

    /// How many rules have conditions, of which Casbin knows nothing.
    pub fn left_out(&self) -> usize {
        self.conditional.len()
    }

    /// Has Casbin decide what the snapshot decided so.
    pub fn compare(&self, request: &Request<'_>, decision: Decision) -> Comparison {
        if decision.rule.is_some_and(|rule| self.conditional.contains(&rule.line)) {
            return Comparison::Unanswered;
        }
        let answer = match &self.engine {
            Engine::Default(rows) => rows.decide(request),
            Engine::Other(general) => general.ask(request).map(|(allowed, _)| allowed),
        };
        match answer {
            Some(allowed) if allowed == decision.allowed => Comparison::Agrees,
            Some(_) => Comparison::Differs,
            None => Comparison::Unanswered,
        }
    }
}

impl Rows {
    /// Decides for a user and all of its roles. `None` where Casbin gives up.
    fn decide(&self, request: &Request<'_>) -> Option<bool> {
        if is_refused(request) {
            return Some(false);
        }
        let user = format!("{USER_PREFIX}{}", request.subject);
        // A role with a colon would name a user.
        let roles = request.roles.iter().filter(|role| !role.contains(':'));
        let subjects: HashSet<&str> =
            std::iter::once(user.as_str()).chain(roles).filter(|name| self.named.contains(*name)).collect();
        let mut allowed = false;
        for subject in &subjects {
            allowed = allowed || ask(&self.allows, subject, request)?;
        }
        for subject in subjects.iter().filter(|_| allowed) {
            if !ask(&self.spares, subject, request)? {
                return Some(false);
            }
        }
        Some(allowed)
    }
}

fn ask(enforcer: &Enforcer, subject: &str, request: &Request<'_>) -> Option<bool> {
    let values = [subject, request.domain, request.object, request.action].map(str::to_owned).to_vec();
    catch_unwind(AssertUnwindSafe(|| enforcer.enforce(values))).ok()?.ok()
}

/// What is denied whatever the rules say: see [`Snapshot::decide`].
fn is_refused(request: &Request<'_>) -> bool {
    let Request { subject, domain, object, action, .. } = *request;
    [subject, object, action].iter().any(|text| text.is_empty())
        || [subject, domain, object, action].iter().any(|text| has_control(text))
        || !is_canonical(object)
        || object.len() > MAX_OBJECT_BYTES
}

/// The rules as Casbin takes them. They are not read by what the index is compiled with.
#[derive(Default)]
struct Written {
    permissions: Vec<Vec<String>>,
    links: Vec<Vec<String>>,
    conditional: HashSet<u32>,
}

impl Written {
    fn read(text: &str) -> Self {
        let mut this = Self::default();
        let (mut permissions, mut links) = (HashSet::new(), HashSet::new());
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut fields: Vec<String> = line.split(',').map(|field| field.trim().to_owned()).collect();
            let kind = fields.remove(0);
            if kind == "g" {
                if links.insert(fields.clone()) {
                    this.links.push(fields);
                }
                continue;
            }
            if fields.len() > 5 {
                this.conditional.insert(number);
                continue;
            }
            if fields.len() == 4 {
                fields.push("allow".to_owned());
            }
            // Of rules that are there twice, Casbin takes none.
            if permissions.insert(fields.clone()) {
                this.permissions.push(fields);
            }
        }
        this
    }

    fn hand_over(&self, source: &PolicySource) -> Result<Rows, String> {
        let mut named: HashSet<String> =
            self.permissions.iter().filter_map(|row| row.first()).cloned().collect();
        named.extend(self.links.iter().flat_map(|row| row.iter().take(2)).cloned());
        if self.permissions.is_empty() {
            // Casbin asks as if there were an empty rule, which an empty request matches.
            named.clear();
        }
        let build = |effect| self.enforcer(source, effect);
        Ok(Rows {
            allows: build("some(where (p.eft == allow))")?,
            spares: build("!some(where (p.eft == deny))")?,
            named,
        })
    }

    fn enforcer(&self, source: &PolicySource, effect: &str) -> Result<Enforcer, String> {
        let build = async {
            let mut model = DefaultModel::from_str(&source.model).await?;
            model.add_def("e", "e", effect);
            let mut enforcer = Enforcer::new(model, ()).await?;
            enforcer.add_function(
                "keyMatch5",
                OperatorFunction::Arg2(|path, rule| {
                    literal_match(&dynamic_to_str(&path), &dynamic_to_str(&rule)).into()
                }),
            );
            let roles = enforcer.get_role_manager();
            roles.write().matching_fn(None, Some(|domain, row| row == "*" || row == domain));
            if !self.permissions.is_empty() {
                enforcer.add_policies(self.permissions.clone()).await?;
            }
            if !self.links.is_empty() {
                enforcer.add_grouping_policies(self.links.clone()).await?;
            }
            casbin::Result::Ok(enforcer)
        };
        let done = catch_unwind(AssertUnwindSafe(|| at_once(build)));
        let done = done.map_err(|_| "Casbin panics on it".to_owned())?;
        done.ok_or("Casbin waits for something")?.map_err(|error| error.to_string())
    }
}

/// The `keyMatch5` that `models/default.conf` asks its host for: nothing is special but `{name}` and a final `/*`.
fn literal_match(path: &str, rule: &str) -> bool {
    let (prefix, open) = match rule.strip_suffix("/*") {
        Some(prefix) => (prefix, true),
        None => (rule, false),
    };
    let mut segments = path.split('/');
    let fits = prefix.split('/').all(|part| {
        let segment = segments.next();
        let is_parameter = part.len() > 1 && part.starts_with('{') && part.ends_with('}');
        segment.is_some_and(|segment| segment == part || (is_parameter && !segment.is_empty()))
    });
    fits && segments.next().is_some() == open
}

impl fmt::Debug for Reference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Reference").field("left_out", &self.left_out()).finish_non_exhaustive()
    }
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Casbin(why) => write!(out, "the policy means something else to Casbin, or nothing: {why}"),
            Self::Interpreted => out.write_str("Casbin decides by the policy already"),
            Self::NoText => out.write_str("the policy was compiled without keeping its text"),
            Self::TooManyRules => write!(out, "the policy has more than {MAX_RULES} rules"),
        }
    }
}

impl std::error::Error for ReferenceError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::request::Roles;

    const KEPT: Options = Options { enforce_only: false, danger_allow_eval: false, keep_text: true };

    fn kept(rules: &str) -> Snapshot {
        Snapshot::compile_with(&PolicySource::with_default_model(rules), 1, KEPT).unwrap()
    }

    const READ: Request<'static> =
        Request { subject: "alice", roles: Roles::NONE, domain: "", object: "/orders/1", action: "read" };

    fn asked<'a>(roles: &'a [&'a str], action: &'a str) -> Request<'a> {
        Request { roles: Roles::from(roles), action, ..READ }
    }

    #[test]
    fn a_wrong_index_is_found_out() {
        let rules = "p, viewer, *, /orders/{id}, read\np, user:mallory, *, /orders/*, *, deny";
        let right = kept(rules);
        for (wrong_rules, request) in [
            ("p, viewer, *, /orders/{id}, *", asked(&["viewer"], "write")),
            ("p, viewer, *, /orders/2, read", asked(&["viewer"], "read")),
            (
                "p, viewer, *, /orders/{id}, read",
                Request { subject: "mallory", ..asked(&["viewer"], "read") },
            ),
        ] {
            // The text of one policy, and the index of another.
            let mut wrong = kept(wrong_rules);
            wrong.text.clone_from(&right.text);
            let reference = Reference::of(&wrong).unwrap();
            assert_eq!(reference.compare(&request, right.decide(&request)), Comparison::Agrees, "{rules}");
            let differs = reference.compare(&request, wrong.decide(&request));
            assert_eq!(differs, Comparison::Differs, "{wrong_rules}");
        }
    }

    #[test]
    fn what_rules_with_conditions_decide_is_left_out_and_the_rest_is_not() {
        let rules = "# why\n\np, clerk, *, /orders/*, write, allow, dpop\np, viewer, *, /orders/*, read";
        let snapshot = kept(rules);
        let reference = Reference::of(&snapshot).unwrap();
        assert_eq!(reference.left_out(), 1);
        let compare = |request: &Request<'_>| reference.compare(request, snapshot.decide(request));
        assert_eq!(compare(&asked(&["clerk"], "write")), Comparison::Unanswered);
        assert_eq!(compare(&asked(&["viewer"], "read")), Comparison::Agrees);
        assert_eq!(compare(&asked(&["viewer"], "write")), Comparison::Agrees);
    }

    #[test]
    fn what_casbin_cannot_say_is_said_before_it_is_asked() {
        let source = PolicySource::with_default_model("p, viewer, *, orders, read");
        let without = Snapshot::compile(&source, 1).unwrap();
        assert_eq!(Reference::of(&without).err(), Some(ReferenceError::NoText));
        let many: Vec<_> = (0..=MAX_RULES).map(|n| format!("p, viewer, *, orders/{n}, read")).collect();
        assert_eq!(Reference::of(&kept(&many.join("\n"))).err(), Some(ReferenceError::TooManyRules));
        let model = |matcher: &str| {
            format!(
                "[request_definition]\nr = sub, obj, act\n[policy_definition]\np = sub, obj, act\n[policy_effect]\n\
                 e = some(where (p.eft == allow))\n[matchers]\nm = {matcher}\n"
            )
        };
        let of = |matcher: &str, rules: &str| {
            let source = PolicySource { model: model(matcher), rules: rules.to_owned() };
            Reference::of(&Snapshot::compile_with(&source, 1, KEPT).unwrap()).map(drop)
        };
        let rule = "p, alice, orders, read";
        assert_eq!(of("r.sub == p.sub && r.obj == p.obj", rule), Ok(()));
        assert_eq!(of("r.sub + \"\" == p.sub", rule), Err(ReferenceError::Interpreted));
        for (matcher, rules, why) in [
            ("r.sub == p.sub || r.sub == \"user.a\"", rule, "rewrites"),
            ("r.sub == p.sub || r.sub == \"root\"", "", "no rules"),
        ] {
            let error = of(matcher, rules).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn without_rules_and_for_what_is_refused_on_purpose_denied_is_right() {
        let (empty, open) = (kept("# none"), kept("p, viewer, *, *, *"));
        let refused = Request { object: "", ..asked(&["viewer"], "read") };
        for (snapshot, request) in [(&empty, asked(&["viewer"], "read")), (&open, refused)] {
            let reference = Reference::of(snapshot).unwrap();
            let decision = snapshot.decide(&request);
            assert!(!decision.allowed);
            assert_eq!(reference.compare(&request, decision), Comparison::Agrees);
            let contrary = Decision { allowed: true, ..decision };
            assert_eq!(reference.compare(&request, contrary), Comparison::Differs);
        }
    }
}

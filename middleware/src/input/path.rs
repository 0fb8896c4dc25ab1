//! The parameters of a path: told apart by the template of the route, and never changed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::request::Parts;
use matchit::Router;
use percent_encoding::percent_decode_str;

use super::declared::{Declared, Findings, Flat};
use super::fault::{Fault, Part, Rule};
use super::form::has_control;
use super::pointer::{Segment, written};
use super::report::{FieldReports, ReportedField};

/// What the parameters of a path may hold.
#[derive(Default)]
pub(crate) struct PathRules {
    pub(super) declared: Declared,
    /// The parameters that are declared.
    pub(super) names: Vec<String>,
}

/// How the parameters of a path are told apart at a route, and whose policy looks at them.
#[derive(Clone, Default)]
pub(crate) struct Parameters {
    /// The template of a route of a table. Without it a router of axum has found one, or nobody has.
    template: Option<Arc<Router<()>>>,
    /// Whether the policy is for this route, which then has all that is declared.
    is_own: bool,
    /// How many requests nobody could have let through, for want of a template and for want of a parameter.
    hopeless: Arc<[AtomicU64; 2]>,
}

impl Parameters {
    /// Those of a route of axum, or of no route that is known.
    pub(crate) fn routed(is_own: bool) -> Self {
        Self { is_own, ..Self::default() }
    }

    /// Those that this template names, with the same policy.
    pub(crate) fn named_by(&self, template: &str) -> Self {
        Self { template: matched(template).map(Arc::new), ..Self::routed(self.is_own) }
    }

    /// The same ones, under a policy that is for this route.
    pub(crate) fn under_own_policy(&self) -> Self {
        Self { is_own: true, ..self.clone() }
    }

    /// What is wrong with the route itself. Strangers can ask for it as often as they like, so the log is told of every first, second,
    /// fourth, eighth request and so on.
    fn wrong(&self, rule: Rule) -> Fault {
        let [template, parameter] = self.hopeless.as_ref();
        let count = if rule == Rule::NoTemplate { template } else { parameter };
        let before = count.fetch_add(1, Ordering::Relaxed);
        let is_old_news = !before.wrapping_add(1).is_power_of_two();
        Fault { part: Part::Path, is_old_news, ..Fault::whole(rule) }
    }

    /// What stands in them, decoded. None where no template is known, or another path has come here than it is for.
    fn of(&self, parts: &mut Parts) -> Option<Vec<(String, String)>> {
        let Some(template) = &self.template else { return found(parts) };
        let parameters = template.at(parts.uri.path()).ok()?.params;
        let decoded = |(name, value): (&str, &str)| {
            let value = percent_decode_str(value).decode_utf8().ok()?;
            Some((name.to_owned(), value.into_owned()))
        };
        parameters.iter().map(decoded).collect()
    }
}

/// The parameters that a router of axum has found: the very ones that its extractors read.
#[cfg(feature = "axum")]
fn found(parts: &mut Parts) -> Option<Vec<(String, String)>> {
    use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
    use futures_util::FutureExt;

    // A fallback and a nested service have what a router around them found, and nobody knows what they take from the rest of the path.
    parts.extensions.get::<MatchedPath>()?;
    let parameters = RawPathParams::from_request_parts(parts, &()).now_or_never()?.ok()?;
    Some(parameters.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[cfg(not(feature = "axum"))]
const fn found(_: &mut Parts) -> Option<Vec<(String, String)>> {
    None
}

fn matched(template: &str) -> Option<Router<()>> {
    let mut router = Router::new();
    router.insert(template, ()).ok().map(|()| router)
}

impl PathRules {
    /// A parameter that is declared, and that a template does not have.
    pub(crate) fn missing_in(&self, template: &str) -> Option<&str> {
        let router = matched(template)?;
        // A template is a path that it is for, once braces that only look like those of a parameter stand alone.
        let own = template.replace("{{", "{").replace("}}", "}");
        let parameters = router.at(&own).ok()?.params;
        self.names.iter().find(|name| parameters.get(name).is_none()).map(String::as_str)
    }

    /// How often each parameter that only reports was wrong.
    pub(super) fn reports(&self) -> impl Iterator<Item = FieldReports> {
        self.declared.reports()
    }

    /// Checks the parameters of a path, and returns what is only to be reported. Where they are not known, nobody passes.
    pub(super) fn check(&self, parts: &mut Parts, route: &Parameters) -> Result<Vec<ReportedField>, Fault> {
        if self.declared.is_empty() {
            return Ok(Vec::new());
        }
        let of_path = |fault: Fault| Fault { part: Part::Path, ..fault };
        let parameters = route.of(parts).ok_or_else(|| route.wrong(Rule::NoTemplate))?;
        let pointer = |name: &str| written(&[Segment::Key(name.into())]);
        let is_missing = |name: &&String| !parameters.iter().any(|(own, _)| own == *name);
        if route.is_own
            && let Some(name) = self.names.iter().find(is_missing)
        {
            return Err(Fault { pointer: pointer(name), ..route.wrong(Rule::NoParameter) });
        }
        let mut findings = Findings::default();
        for (name, value) in &parameters {
            let field = Flat { name, value, has_control: has_control(value), span: 0..0 };
            let outcome = self.declared.field(field, &mut findings);
            outcome.map_err(|breach| of_path(breach.at(pointer(name))))?;
        }
        for field in &mut findings.reported {
            field.pointer.replace_range(..1, "{");
            field.pointer.push('}');
        }
        Ok(findings.reported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::InputPolicy;
    use crate::input::field::Field;

    fn parts(path: &str) -> Parts {
        http::Request::builder().uri(path).body(()).unwrap().into_parts().0
    }

    fn checked(
        policy: &InputPolicy,
        route: &Parameters,
        path: &str,
    ) -> Result<Vec<ReportedField>, (Option<String>, Rule)> {
        let outcome = policy.rules().unwrap().path.check(&mut parts(path), route);
        outcome.map_err(|fault| {
            assert_eq!(fault.part, Part::Path);
            (fault.parameter(), fault.rule)
        })
    }

    fn at(template: &str) -> Parameters {
        Parameters::routed(false).named_by(template)
    }

    #[test]
    fn parameters_are_held_to_their_kind_as_they_read_decoded() {
        let policy = InputPolicy::strict()
            .path("id", Field::integer(1..=999))
            .path("name", Field::line().length(..=3))
            .path("rest", Field::pattern("[a-z/]+"));
        let refused = |name: &str, rule| Err((Some(name.to_owned()), rule));
        for (template, path, expected) in [
            ("/orders/{id}", "/orders/7", Ok(Vec::new())),
            ("/orders/{id}", "/orders/1000", refused("id", Rule::Range)),
            ("/orders/{id}", "/orders/x", refused("id", Rule::Number)),
            // Three characters, of which each takes six bytes to write.
            ("/of/{name}/{id}", "/of/%C3%A4%C3%B6%C3%BC/7", Ok(Vec::new())),
            ("/of/{name}/{id}", "/of/a%20b%20/7", refused("name", Rule::TooLong)),
            ("/of/{name}/{id}", "/of/a/0", refused("id", Rule::Range)),
            ("/files/{*rest}", "/files/a/b", Ok(Vec::new())),
            ("/files/{*rest}", "/files/a/B", refused("rest", Rule::Pattern)),
            // What is not declared, and what is not there.
            ("/users/{user}", "/users/x%22y", Ok(Vec::new())),
            ("/users", "/users", Ok(Vec::new())),
        ] {
            assert_eq!(checked(&policy, &at(template), path), expected, "{template} {path}");
        }
    }

    #[test]
    fn where_parameters_are_not_known_nobody_passes() {
        let policy = InputPolicy::strict().path("id", Field::text().report());
        for route in [Parameters::default(), at("/orders/{id"), at("/users/{id}")] {
            assert_eq!(checked(&policy, &route, "/orders/7"), Err((None, Rule::NoTemplate)));
        }
        assert_eq!(checked(&InputPolicy::strict(), &Parameters::default(), "/orders/7"), Ok(Vec::new()));
    }

    #[test]
    fn a_route_has_what_its_own_policy_declares() {
        let policy = InputPolicy::strict().path("id", Field::text());
        let other = at("/users/{user}").under_own_policy();
        assert_eq!(checked(&policy, &other, "/users/7"), Err((Some("id".to_owned()), Rule::NoParameter)));
        assert_eq!(checked(&policy, &at("/users/{id}").under_own_policy(), "/users/7"), Ok(Vec::new()));
        let rules = policy.rules().unwrap();
        for (template, missing) in [
            ("/users/{user}", Some("id")),
            ("/users", Some("id")),
            ("/users/{id}", None),
            ("/{{users}}/{id}", None),
            ("/{{id}}/{user}", Some("id")),
            ("/{user}/{*id}", None),
        ] {
            assert_eq!(rules.path.missing_in(template), missing, "{template}");
        }
    }

    #[test]
    fn a_parameter_that_only_reports_passes_and_is_counted() {
        let policy = InputPolicy::strict().path("id", Field::integer(1..=9).report());
        let rules = policy.rules().unwrap();
        let reported = rules.path.check(&mut parts("/orders/x"), &at("/orders/{id}")).unwrap();
        assert_eq!((reported[0].pointer.as_str(), reported[0].rule), ("{id}", "number"));
        assert_eq!((rules.reports()[0].field.as_str(), rules.reports()[0].count), ("{id}", 1));
    }
}

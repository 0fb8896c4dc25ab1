//! Declaring what stands before a body: parameters of the path, and headers.

use http::HeaderName;

use super::declared::Declared;
use super::field::Field;
use super::form::Duplicates;
use super::headers::{DeclaredName, HeadRules};
use super::path::PathRules;
use super::pointer::Pattern;
use super::{InputError, InputPolicy};

/// What is declared of what stands before a body, beside the query.
#[derive(Clone, Debug)]
pub(super) struct HeadFields {
    path: Vec<(String, Field)>,
    headers: Vec<HeaderField>,
    duplicates: Duplicates,
}

#[derive(Clone, Debug)]
struct HeaderField {
    name: String,
    field: Field,
    is_required: bool,
}

impl InputPolicy {
    /// Declares a parameter of the path, by its name in the template of the route: `id` of `/orders/{id}`, `rest` of `/files/{*rest}`.
    ///
    /// It is checked as it reads once it is decoded, after the path was found to have one reading only. The path is never changed: the
    /// proxy, the router and the policy have gone by it. What is wrong is refused or reported, and a field that would be
    /// [rewritten](Field::rewrite) cannot be built.
    ///
    /// A policy of the guard holds wherever a route has a parameter of the name. One that a route was given is for that route, which then
    /// has to have each parameter that it declares: a [`RouteTable`](crate::RouteTable) is not built otherwise, and a route of a router
    /// refuses everybody (500) and says so in the log. So does whatever has no template: a fallback, or a service without a router
    /// before the guard. Give those a policy of their own, without parameters.
    ///
    /// ```
    /// use http::Method;
    /// use portcullis_guard::{Field, Guard, InputPolicy, RouteTable, TableLayer, rbac};
    ///
    /// fn orders(guard: &Guard) -> Result<TableLayer, Box<dyn std::error::Error>> {
    ///     let order = InputPolicy::strict()
    ///         .path("id", Field::integer(1..=999_999))
    ///         .required_header("x-tenant", Field::ident().length(..=40))
    ///         .build()?;
    ///     let table = RouteTable::new()
    ///         .methods([Method::GET], "/orders/{id}", rbac("orders", "read"))
    ///         .input(&order);
    ///     Ok(table.guarded_by(guard)?)
    /// }
    /// ```
    #[must_use]
    pub fn path(mut self, name: impl Into<String>, field: Field) -> Self {
        self.head.path.push((name.into(), field));
        self
    }

    /// Declares a header, which need not be there. Headers that are not declared are not looked at.
    ///
    /// The whole value is held to the field, commas and all, and has to be UTF-8. Headers are never changed: proxies, logs and
    /// signatures (RFC 9421) have gone by them. What is wrong is refused or reported, and a field that would be
    /// [rewritten](Field::rewrite) cannot be built.
    #[must_use]
    pub fn header(self, name: impl Into<String>, field: Field) -> Self {
        self.declare_header(name.into(), field, false)
    }

    /// Declares a header that has to be there. Otherwise it is as [`header`](Self::header) says.
    #[must_use]
    pub fn required_header(self, name: impl Into<String>, field: Field) -> Self {
        self.declare_header(name.into(), field, true)
    }

    fn declare_header(mut self, name: String, field: Field, is_required: bool) -> Self {
        self.head.headers.push(HeaderField { name, field, is_required });
        self
    }

    /// Whether a declared header may stand there more than once: not, unless set, since one reader takes the first line and another
    /// one the last. Where it may, each line is held to the field.
    #[must_use]
    pub const fn header_duplicates(mut self, duplicates: Duplicates) -> Self {
        self.head.duplicates = duplicates;
        self
    }
}

impl HeadFields {
    pub(super) const fn new() -> Self {
        Self { path: Vec::new(), headers: Vec::new(), duplicates: Duplicates::Reject }
    }

    pub(super) fn path_rules(&self) -> Result<PathRules, InputError> {
        let mut rules = PathRules::default();
        for (name, field) in &self.path {
            if name.is_empty() || name.contains(['{', '}', '*', '/']) {
                return Err(InputError::NotAParameter(name.clone()));
            }
            add_to_head(&mut rules.declared, name, format!("{{{name}}}"), field)?;
            rules.names.push(name.clone());
        }
        Ok(rules)
    }

    pub(super) fn header_rules(&self) -> Result<HeadRules, InputError> {
        let mut rules = HeadRules { duplicates: self.duplicates, ..HeadRules::default() };
        for HeaderField { name, field, is_required } in &self.headers {
            let name: HeaderName = name.parse().map_err(|_| InputError::NotAHeader(name.clone()))?;
            add_to_head(&mut rules.declared, name.as_str(), format!("{name}:"), field)?;
            match rules.names.iter_mut().find(|known| known.name == name) {
                Some(known) => known.is_required |= is_required,
                None => rules.names.push(DeclaredName { name, is_required: *is_required }),
            }
        }
        Ok(rules)
    }
}

fn add_to_head(declared: &mut Declared, name: &str, place: String, field: &Field) -> Result<(), InputError> {
    let fault = |fault| InputError::Field { place: place.clone(), fault };
    let check = field.build_for_head().map_err(fault)?;
    declared.add(Pattern::named(name), place, check);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_the_path_or_a_header_is_not_built() {
        let fault = |policy: InputPolicy| policy.build().unwrap_err().to_string();
        let never = "the path and the headers are never changed";
        for field in [Field::ident().rewrite(), Field::line().trimmed().rewrite()] {
            let path = fault(InputPolicy::strict().path("id", field.clone()));
            assert!(path.starts_with("the field `{id}`: ") && path.contains(never), "{path}");
            let header = fault(InputPolicy::strict().required_header("X-Tenant", field));
            assert!(header.starts_with("the field `x-tenant:`: ") && header.contains(never), "{header}");
        }
    }

    #[cfg(feature = "html")]
    #[test]
    fn no_html_is_declared_in_them() {
        for html in [Field::html(crate::Html::rich()), Field::html(crate::Html::rich()).reject()] {
            assert!(InputPolicy::strict().path("id", html.clone()).build().is_err());
            assert!(InputPolicy::strict().header("x-note", html).build().is_err());
        }
    }

    #[test]
    fn a_name_that_nothing_has_is_not_built() {
        for name in ["", "{id}", "*rest", "a/b"] {
            let built = InputPolicy::strict().path(name, Field::text()).build();
            assert!(matches!(built, Err(InputError::NotAParameter(own)) if own == name), "{name}");
        }
        for name in ["", "x tenant", "x-tenant:", "é"] {
            let built = InputPolicy::strict().header(name, Field::text()).build();
            assert!(matches!(built, Err(InputError::NotAHeader(own)) if own == name), "{name}");
        }
    }
}

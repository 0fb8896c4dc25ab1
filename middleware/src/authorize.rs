//! What a route requires of its callers.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use portcullis_policy::{Need, Request, Roles, RuleRef, Snapshot};

use crate::clock::Clock;
use crate::records::{OnTrial, Table};
use crate::sign_in::SignIn;
use crate::token::Principal;

/// What a route requires: made with [`rbac`], [`scope`], [`authenticated`], [`optional`] or [`public`], and
/// joined with [`and`](Self::and) and [`or`](Self::or).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requirement {
    node: Node,
    /// How old what it is decided by may be, where that is longer than the limits of the guard.
    tolerance: Duration,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Authenticated,
    Optional,
    Public,
    Rbac {
        object: Text,
        action: Text,
    },
    Scope(Text),
    SignIn(SignIn),
    /// There is no such route.
    Unlisted,
    /// The route says nothing.
    Unstated,
}

type Text = Cow<'static, str>;

/// Requires that the policy allows the caller to do `action` with `object`.
pub fn rbac(object: impl Into<Cow<'static, str>>, action: impl Into<Cow<'static, str>>) -> Requirement {
    Requirement::of(Node::Rbac { object: object.into(), action: action.into() })
}

/// Requires that the token has a scope.
pub fn scope(scope: impl Into<Cow<'static, str>>) -> Requirement {
    Requirement::of(Node::Scope(scope.into()))
}

/// Requires a token that is good, and nothing more.
pub const fn authenticated() -> Requirement {
    Requirement::of(Node::Authenticated)
}

/// Requires nothing, and tells the handler who is calling if there is a token. One that is not good is 401.
pub const fn optional() -> Requirement {
    Requirement::of(Node::Optional)
}

/// Requires nothing, and does not look at tokens.
pub const fn public() -> Requirement {
    Requirement::of(Node::Public)
}

impl Requirement {
    /// What a layer requires whose route says nothing: a good token, and, if there is a policy, the
    /// impossible.
    pub(crate) const fn unstated() -> Self {
        Self::of(Node::Unstated)
    }

    /// What a table requires for what is not in it: a good token, and the impossible.
    pub(crate) const fn unlisted() -> Self {
        Self::of(Node::Unlisted)
    }

    const fn of(node: Node) -> Self {
        Self { node, tolerance: Duration::ZERO }
    }

    /// Requires both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let mut all = match self.node {
            Node::All(nodes) => nodes,
            node => vec![node],
        };
        all.push(other.node);
        Self { node: Node::All(all), tolerance: self.tolerance.min(other.tolerance) }
    }

    /// Requires one of the two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let mut any = match self.node {
            Node::Any(nodes) => nodes,
            node => vec![node],
        };
        any.push(other.node);
        Self { node: Node::Any(any), tolerance: self.tolerance.min(other.tolerance) }
    }

    /// Requires that the user signed in by this class (`acr`), beside the rest. Called again, one more that will do; the
    /// best comes first. A caller whose token says another one is asked to sign in again, by RFC 9470.
    ///
    /// ```
    /// use std::time::Duration;
    /// use portcullis_guard::rbac;
    ///
    /// let paying = rbac("payments", "create").acr("phrh").acr("phr").max_age(Duration::from_mins(5));
    /// assert_eq!(paying.to_string(), "rbac(payments, create) and sign-in(phrh or phr, within 300 s)");
    /// ```
    #[must_use]
    pub fn acr(self, class: impl Into<Cow<'static, str>>) -> Self {
        self.and_sign_in(|sign_in| sign_in.accept(class.into()))
    }

    /// Requires that the user signed in at most so long ago (`auth_time`), beside the rest. A caller who did not is asked to
    /// sign in again, by RFC 9470. A token that does not say when is taken for an old one.
    #[must_use]
    pub fn max_age(self, age: Duration) -> Self {
        self.and_sign_in(|sign_in| sign_in.within(age))
    }

    fn and_sign_in(self, change: impl FnOnce(&mut SignIn)) -> Self {
        let mut all = match self.node {
            Node::All(nodes) => nodes,
            node => vec![node],
        };
        if let Some(Node::SignIn(sign_in)) = all.last_mut() {
            change(sign_in);
        } else {
            let mut sign_in = SignIn::default();
            change(&mut sign_in);
            all.push(Node::SignIn(sign_in));
        }
        Self { node: Node::All(all), ..self }
    }

    /// Serves on while the issuer is away: decides by keys, a policy and a list of what was revoked that nobody has
    /// confirmed for up to `at_most`, where the limits of the guard would answer 503 by then.
    ///
    /// A route that does not say this fails closed. It lengthens limits and never shortens one; a token that has
    /// expired stays expired. What is joined with [`and`](Self::and) or [`or`](Self::or) tolerates what both sides
    /// do, so this is said last:
    ///
    /// ```
    /// use std::time::Duration;
    /// use portcullis_guard::{rbac, scope};
    ///
    /// let reading = scope("orders").and(rbac("orders", "read")).serve_stale(Duration::from_hours(12));
    /// assert_eq!(reading.to_string(), "(scope(orders) and rbac(orders, read)), stale for 43200 s");
    /// ```
    #[must_use]
    pub const fn serve_stale(mut self, at_most: Duration) -> Self {
        self.tolerance = at_most;
        self
    }

    pub(crate) const fn tolerance(&self) -> Duration {
        self.tolerance
    }

    /// What a caller has to have.
    pub(crate) fn needed(&self) -> String {
        self.node.to_string()
    }

    /// The same, as the server is told it.
    pub(crate) fn need(&self) -> Need {
        self.node.need()
    }

    pub(crate) fn ignores_tokens(&self) -> bool {
        self.node == Node::Public
    }

    pub(crate) fn admits_anonymous(&self) -> bool {
        self.node.admits_anonymous()
    }

    /// The scopes that it cannot do without, as a challenge names them.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        let mut scopes = Vec::new();
        self.node.collect_scopes(false, &mut scopes);
        scopes
    }

    /// Every scope that it mentions.
    pub(crate) fn scopes_mentioned(&self) -> Vec<&str> {
        let mut scopes = Vec::new();
        self.node.collect_scopes(true, &mut scopes);
        scopes
    }

    /// Decides whether `caller` may pass.
    pub(crate) fn decide(&self, caller: Option<&Principal>, by: Grounds<'_>) -> Result<Grant, Denial> {
        self.node.decide(caller, by)
    }
}

/// What a decision is made by, beside the caller.
#[derive(Clone, Copy)]
pub(crate) struct Grounds<'a> {
    pub(crate) policy: Policies<'a>,
    pub(crate) clock: &'a Clock,
    /// How far this clock and the issuer's may be apart.
    pub(crate) leeway: Duration,
}

impl Grounds<'_> {
    /// The earliest second that it may be at the issuer.
    fn now(&self) -> u64 {
        self.clock.unix_secs().saturating_sub(self.leeway.as_secs())
    }
}

/// The policy in force, and where its decisions are noted.
#[derive(Clone, Copy)]
pub(crate) struct Loaded<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) records: Option<&'a Table>,
    /// Rules that are tried beside it.
    pub(crate) on_trial: Option<&'a OnTrial>,
}

/// The policy as it stands.
#[derive(Clone, Copy)]
pub(crate) enum Policies<'a> {
    Loaded(Loaded<'a>),
    /// There shall be one, and it has not come yet.
    Missing,
    /// The guard was built without one.
    Unused,
}

/// Why a caller may pass.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Grant {
    pub(crate) revision: Option<u64>,
    pub(crate) rule: Option<RuleRef>,
}

/// Why a caller may not.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Denial {
    Anonymous,
    /// The route requires a policy and the guard has none.
    NoPolicy,
    /// The route says nothing about what it requires.
    NoRequirement,
    /// The policy does not allow it.
    Policy(Grant),
    /// The policy has not come yet.
    PolicyMissing,
    Scope(Text),
    /// The user did not sign in as is required.
    SignIn(SignIn),
}

impl Node {
    fn collect_scopes<'a>(&'a self, with_alternatives: bool, scopes: &mut Vec<&'a str>) {
        match self {
            Self::Any(_) if !with_alternatives => {}
            Self::All(nodes) | Self::Any(nodes) => {
                for node in nodes {
                    node.collect_scopes(with_alternatives, scopes);
                }
            }
            Self::Scope(scope) if !scopes.contains(&scope.as_ref()) => scopes.push(scope),
            _ => {}
        }
    }

    fn admits_anonymous(&self) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(Self::admits_anonymous),
            Self::Any(nodes) => nodes.iter().any(Self::admits_anonymous),
            Self::Optional | Self::Public => true,
            Self::Authenticated
            | Self::Rbac { .. }
            | Self::Scope(_)
            | Self::SignIn(_)
            | Self::Unlisted
            | Self::Unstated => false,
        }
    }

    fn need(&self) -> Need {
        let each = |nodes: &[Self]| nodes.iter().map(Self::need).collect();
        match self {
            Self::All(nodes) => Need::All(each(nodes)),
            Self::Any(nodes) => Need::Any(each(nodes)),
            Self::Authenticated => Need::Authenticated,
            Self::Optional => Need::Optional,
            Self::Public => Need::Public,
            Self::Rbac { object, action } => {
                Need::Rbac { action: action.clone().into_owned(), object: object.clone().into_owned() }
            }
            Self::Scope(scope) => Need::Scope(scope.clone().into_owned()),
            Self::SignIn(sign_in) => Need::SignIn {
                acr_values: sign_in.classes().map(str::to_owned).collect(),
                max_age: sign_in.max_age(),
            },
            Self::Unlisted | Self::Unstated => Need::Unstated,
        }
    }

    fn decide(&self, caller: Option<&Principal>, by: Grounds<'_>) -> Result<Grant, Denial> {
        match self {
            Self::All(nodes) => nodes.iter().try_fold(Grant::default(), |grant, node| {
                let next = node.decide(caller, by)?;
                Ok(Grant { revision: next.revision.or(grant.revision), rule: next.rule.or(grant.rule) })
            }),
            Self::Any(nodes) => {
                let refused = Err(Denial::NoRequirement);
                nodes.iter().fold(refused, |earlier, node| {
                    earlier.or_else(|earlier| {
                        // Our own outage stays one, whatever else does not allow it: no false 403.
                        let outage = matches!(earlier, Denial::PolicyMissing);
                        node.decide(caller, by).map_err(|next| if outage { earlier } else { next })
                    })
                })
            }
            Self::Optional | Self::Public => Ok(Grant::default()),
            Self::Authenticated => caller.map(|_| Grant::default()).ok_or(Denial::Anonymous),
            Self::Rbac { object, action } => ask(by.policy, caller.ok_or(Denial::Anonymous)?, object, action),
            Self::Scope(scope) => {
                let caller = caller.ok_or(Denial::Anonymous)?;
                caller.has_scope(scope).then(Grant::default).ok_or_else(|| Denial::Scope(scope.clone()))
            }
            Self::SignIn(sign_in) => {
                let is_met = sign_in.is_met_by(caller.ok_or(Denial::Anonymous)?, by.now());
                if is_met { Ok(Grant::default()) } else { Err(Denial::SignIn(sign_in.clone())) }
            }
            Self::Unlisted => Err(caller.map_or(Denial::Anonymous, |_| Denial::NoRequirement)),
            Self::Unstated => match (caller, by.policy) {
                (None, _) => Err(Denial::Anonymous),
                (Some(_), Policies::Unused) => Ok(Grant::default()),
                (Some(_), Policies::Loaded(_) | Policies::Missing) => Err(Denial::NoRequirement),
            },
        }
    }
}

fn ask(policy: Policies<'_>, caller: &Principal, object: &str, action: &str) -> Result<Grant, Denial> {
    let Loaded { snapshot, records, on_trial } = match policy {
        Policies::Loaded(loaded) => loaded,
        Policies::Missing => return Err(Denial::PolicyMissing),
        Policies::Unused => return Err(Denial::NoPolicy),
    };
    let request = Request {
        subject: caller.subject(),
        roles: Roles::from(caller.roles()),
        domain: caller.organisation().unwrap_or_default(),
        object,
        action,
    };
    let decision = snapshot.decide(&request);
    if let Some(records) = records {
        records.note(&request, decision);
    }
    if let Some(on_trial) = on_trial {
        on_trial.compare(snapshot, &request, decision);
    }
    let grant = Grant { revision: Some(decision.revision), rule: decision.rule };
    if decision.allowed { Ok(grant) } else { Err(Denial::Policy(grant)) }
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.tolerance.is_zero() {
            return self.node.fmt(out);
        }
        let secs = self.tolerance.as_secs();
        match &self.node {
            Node::All(_) | Node::Any(_) => write!(out, "({}), stale for {secs} s", self.node),
            leaf => write!(out, "{leaf}, stale for {secs} s"),
        }
    }
}

impl fmt::Display for Node {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut join = |nodes: &[Self], word| {
            nodes.iter().enumerate().try_for_each(|(position, node)| {
                let word = if position == 0 { "" } else { word };
                match node {
                    Self::All(_) | Self::Any(_) => write!(out, "{word}({node})"),
                    leaf => write!(out, "{word}{leaf}"),
                }
            })
        };
        match self {
            Self::All(nodes) => join(nodes, " and "),
            Self::Any(nodes) => join(nodes, " or "),
            Self::Authenticated => out.write_str("authenticated"),
            Self::Optional => out.write_str("optional"),
            Self::Public => out.write_str("public"),
            Self::Rbac { object, action } => write!(out, "rbac({object}, {action})"),
            Self::Scope(scope) => write!(out, "scope({scope})"),
            Self::SignIn(sign_in) => sign_in.fmt(out),
            Self::Unlisted => out.write_str("unlisted"),
            Self::Unstated => out.write_str("unstated"),
        }
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::PolicySource;

    use super::*;
    use crate::token::tests::principal;

    fn snapshot() -> Snapshot {
        let rules = "p, viewer, *, orders, read\np, clerk, acme, orders, create\np, user:mallory, *, orders, read, deny";
        Snapshot::compile(&PolicySource::with_default_model(rules), 7).unwrap()
    }

    const fn unrecorded(snapshot: &Snapshot) -> Loaded<'_> {
        Loaded { snapshot, records: None, on_trial: None }
    }

    fn clock() -> &'static Clock {
        static CLOCK: std::sync::LazyLock<Clock> =
            std::sync::LazyLock::new(|| Clock::from_fn(|| Duration::from_secs(1_000)));
        &CLOCK
    }

    fn at(policy: Policies<'_>) -> Grounds<'_> {
        Grounds { policy, clock: clock(), leeway: Duration::from_secs(30) }
    }

    fn decide(requirement: &Requirement, claims: &[(&str, &str)]) -> Result<Option<u64>, Denial> {
        let caller = principal(claims);
        requirement
            .decide(Some(&caller), at(Policies::Loaded(unrecorded(&snapshot()))))
            .map(|grant| grant.revision)
    }

    #[test]
    fn the_policy_decides_on_roles_organisation_and_subject() {
        let read = rbac("orders", "read");
        assert_eq!(decide(&read, &[("roles", "viewer")]), Ok(Some(7)));
        assert!(matches!(decide(&read, &[("roles", "clerk")]), Err(Denial::Policy(_))));
        assert!(matches!(decide(&read, &[]), Err(Denial::Policy(_))));
        assert!(matches!(decide(&read, &[("roles", "viewer"), ("sub", "mallory")]), Err(Denial::Policy(_))));
        let create = rbac("orders", "create");
        assert_eq!(decide(&create, &[("roles", "clerk"), ("org", "acme")]), Ok(Some(7)));
        assert!(matches!(decide(&create, &[("roles", "clerk"), ("org", "other")]), Err(Denial::Policy(_))));
        assert!(matches!(decide(&create, &[("roles", "clerk")]), Err(Denial::Policy(_))));
    }

    #[test]
    fn a_user_called_like_a_role_gains_nothing() {
        for subject in ["viewer", "role:viewer", "user:viewer"] {
            assert!(matches!(decide(&rbac("orders", "read"), &[("sub", subject)]), Err(Denial::Policy(_))));
        }
    }

    #[test]
    fn and_needs_both_and_or_needs_one() {
        let (viewer, scoped) = (("roles", "viewer"), ("scope", "a b"));
        let both = scope("a").and(rbac("orders", "read"));
        assert_eq!(decide(&both, &[viewer, scoped]), Ok(Some(7)));
        assert_eq!(decide(&both, &[viewer]), Err(Denial::Scope("a".into())));
        assert!(matches!(decide(&both, &[scoped]), Err(Denial::Policy(_))));
        let either = scope("a").or(rbac("orders", "read"));
        assert_eq!(decide(&either, &[scoped]), Ok(None));
        assert_eq!(decide(&either, &[viewer]), Ok(Some(7)));
        assert!(matches!(decide(&either, &[]), Err(Denial::Policy(_))));
        assert_eq!(both.or(public()).to_string(), "(scope(a) and rbac(orders, read)) or public");
    }

    #[test]
    fn what_is_joined_tolerates_what_both_sides_do() {
        let hours = Duration::from_hours;
        let stale = scope("a").serve_stale(hours(3));
        assert_eq!(stale.clone().and(scope("b")).tolerance(), Duration::ZERO, "one side fails closed");
        assert_eq!(scope("b").or(stale.clone()).tolerance(), Duration::ZERO);
        assert_eq!(stale.clone().and(scope("b").serve_stale(hours(2))).tolerance(), hours(2));
        assert_eq!(stale.to_string(), "scope(a), stale for 10800 s");
        assert_eq!(stale.needed(), "scope(a)");
    }

    #[test]
    fn a_scope_is_compared_whole() {
        for (scopes, passes) in
            [("a", true), ("b a", true), ("aa", false), ("A", false), ("", false), ("a:b", false)]
        {
            assert_eq!(decide(&scope("a"), &[("scope", scopes)]).is_ok(), passes, "{scopes}");
        }
    }

    #[test]
    fn a_route_that_says_nothing_passes_nobody_where_there_is_a_policy() {
        let caller = principal(&[("roles", "viewer")]);
        let unstated = Requirement::unstated();
        let loaded = snapshot();
        assert_eq!(
            unstated.decide(Some(&caller), at(Policies::Loaded(unrecorded(&loaded)))),
            Err(Denial::NoRequirement)
        );
        assert_eq!(unstated.decide(Some(&caller), at(Policies::Missing)), Err(Denial::NoRequirement));
        assert_eq!(unstated.decide(Some(&caller), at(Policies::Unused)), Ok(Grant::default()));
        assert_eq!(unstated.decide(None, at(Policies::Unused)), Err(Denial::Anonymous));
    }

    #[test]
    fn a_rule_without_a_policy_passes_nobody() {
        let caller = principal(&[("roles", "viewer")]);
        let read = rbac("orders", "read");
        assert_eq!(read.decide(Some(&caller), at(Policies::Missing)), Err(Denial::PolicyMissing));
        assert_eq!(read.decide(Some(&caller), at(Policies::Unused)), Err(Denial::NoPolicy));
    }

    #[test]
    fn only_public_and_optional_admit_callers_without_a_token() {
        assert!(public().admits_anonymous() && optional().admits_anonymous());
        assert!(optional().or(scope("a")).admits_anonymous());
        for requirement in [authenticated(), scope("a"), Requirement::unstated(), public().and(scope("a"))] {
            assert!(!requirement.admits_anonymous(), "{requirement}");
            assert_eq!(
                requirement.decide(None, at(Policies::Missing)),
                Err(Denial::Anonymous),
                "{requirement}"
            );
        }
    }
}

//! What a route requires of its callers.

mod contents;
mod node;
mod parse;
mod words;

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::de::DeserializeOwned;

use self::node::Node;
pub(crate) use self::node::{Binding, Denial, Grant, Grounds, Loaded, Policies};
pub use self::parse::RequirementError;
use self::words::Words;
use crate::details::Detailed;
use crate::limit::Limit;
use crate::sign_in::SignIn;
use crate::token::Principal;

/// What a route requires: made with [`rbac`], [`scope`], [`details`], [`issuer`], [`authenticated`], [`optional`] or [`public`], and
/// joined with [`and`](Self::and) and [`or`](Self::or).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Requirement {
    node: Node,
    /// How old what it is decided by may be, where that is longer than the limits of the guard.
    tolerance: Duration,
    /// Whether the issuer is asked about the token while it is not heard what was revoked.
    asks_when_stale: bool,
    /// What a request costs of every limit.
    cost: NonZeroU32,
    /// Limits beside those of the guard.
    limits: Vec<Limit>,
    /// What it is in words, once somebody was refused for it.
    words: Words,
}

/// Requires that the policy allows the caller to do `action` with `object`.
///
/// `rbac("orders", "read")` is opened by the rule `p, viewer, *, orders, read`, for callers whose tokens have the role `viewer`, of whatever
/// organisation. What else rules can say: the documentation of `portcullis-policy`.
///
/// A rule may have conditions, such as `acr=phr` or `dpop`. A caller who lacks nothing else is asked for that, as by
/// [`Requirement::acr`], [`max_age`](Requirement::max_age), [`dpop`](Requirement::dpop) and [`mtls`](Requirement::mtls).
pub fn rbac(object: impl Into<Cow<'static, str>>, action: impl Into<Cow<'static, str>>) -> Requirement {
    Requirement::of(Node::Rbac { object: object.into(), action: action.into() })
}

/// Requires that the token has a scope.
pub fn scope(scope: impl Into<Cow<'static, str>>) -> Requirement {
    Requirement::of(Node::Scope(scope.into()))
}

/// Requires that the token has details of this type (RFC 9396). What they have to say is checked by
/// [`Requirement::details`], or by the handler.
pub fn details(kind: impl Into<Cow<'static, str>>) -> Requirement {
    Requirement::of(Node::Detailed(Detailed::any(kind.into())))
}

/// Requires that the token is of this issuer, of those that the guard trusts.
///
/// Policies know subjects and roles, and not whose they are: where a guard trusts several issuers, what each may have is said
/// with this. Otherwise the roles that one of them hands out open what was meant for those of another.
///
/// ```
/// use portcullis_guard::{issuer, rbac, scope};
///
/// let staff = issuer("https://staff.example.com").and(rbac("refunds", "create"));
/// let customers = issuer("https://id.example.com").and(scope("refunds"));
/// assert_eq!(
///     staff.or(customers).to_string(),
///     "(issuer(https://staff.example.com) and rbac(refunds, create)) or (issuer(https://id.example.com) and scope(refunds))"
/// );
/// ```
pub fn issuer(name: impl Into<Cow<'static, str>>) -> Requirement {
    Requirement::of(Node::Issuer(name.into()))
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
        Self {
            node,
            tolerance: Duration::ZERO,
            asks_when_stale: false,
            cost: NonZeroU32::MIN,
            limits: Vec::new(),
            words: Words::new(),
        }
    }

    /// Requires both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.joined(other, |left, right| {
            let mut all = match left {
                Node::All(nodes) => nodes,
                node => vec![node],
            };
            all.push(right);
            Node::All(all)
        })
    }

    /// Requires one of the two.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        self.joined(other, |left, right| {
            let mut any = match left {
                Node::Any(nodes) => nodes,
                node => vec![node],
            };
            any.push(right);
            Node::Any(any)
        })
    }

    /// Of what two sides say beside who may pass, what is stricter holds.
    fn joined(mut self, other: Self, join: impl FnOnce(Node, Node) -> Node) -> Self {
        let joined = Self {
            node: join(self.node, other.node),
            tolerance: self.tolerance.min(other.tolerance),
            asks_when_stale: self.asks_when_stale && other.asks_when_stale,
            cost: self.cost.max(other.cost),
            limits: std::mem::take(&mut self.limits),
            words: Words::new(),
        };
        other.limits.into_iter().fold(joined, Self::limit)
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

    /// Requires a token that is bound to a key, with a proof that the caller has it (RFC 9449), beside the rest. The guard has
    /// to [accept them](crate::GuardBuilder::dpop).
    #[must_use]
    pub fn dpop(self) -> Self {
        self.and(Self::bound_to(Binding::Key))
    }

    /// Requires a token that is bound to a certificate, which the caller has shown (RFC 8705), beside the rest. The guard has to
    /// [see them](crate::GuardBuilder::client_certificates).
    #[must_use]
    pub fn mtls(self) -> Self {
        self.and(Self::bound_to(Binding::Certificate))
    }

    fn bound_to(binding: Binding) -> Self {
        Self::of(Node::Bound(binding)).yielding()
    }

    /// As tolerant as what it is joined with.
    const fn yielding(self) -> Self {
        self.serve_stale(Duration::MAX).introspect_when_stale()
    }

    /// Requires that the token has details of this type of which one is accepted (RFC 9396), beside the rest. Details that are not
    /// what `T` reads are not accepted.
    ///
    /// ```
    /// use portcullis_guard::authenticated;
    ///
    /// #[derive(serde::Deserialize)]
    /// struct Files {
    ///     actions: Vec<String>,
    /// }
    ///
    /// let reads = |files: &Files| files.actions.iter().any(|action| action == "read");
    /// let reading = authenticated().details("files", reads);
    /// assert_eq!(reading.to_string(), "authenticated and details(files, checked)");
    /// ```
    #[must_use]
    pub fn details<T, F>(self, kind: impl Into<Cow<'static, str>>, accepts: F) -> Self
    where
        T: DeserializeOwned,
        F: Fn(&T) -> bool + Send + Sync + 'static,
    {
        let detailed = Self::of(Node::Detailed(Detailed::accepted(kind.into(), accepts)));
        self.and(detailed.yielding())
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
        Self { node: Node::All(all), words: Words::new(), ..self }
    }

    /// Serves on while the issuer is away: decides by keys, a policy, a list of what was revoked and what the issuer said of a
    /// token that nobody has confirmed for up to `at_most`, where the limits of the guard would answer 503 by then.
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

    /// Asks the issuer about the token of each request while it is not heard what was revoked for longer than
    /// [`revocations_max_stale`](crate::PolicyEndpoint::revocations_max_stale) says, where the route would answer 503 otherwise. What
    /// the issuer says holds for as long as the guard's [`Introspection`](crate::Introspection), which it needs, remembers it. A token
    /// of another issuer than the one that is asked stays 503, and a stream that began before ends.
    ///
    /// The issuer only says whether the token is active: a JWT is verified as before, and what it says of its caller and of the key that it
    /// is bound to counts on. One of which the issuer says another subject, client or key is refused.
    ///
    /// What is joined with [`and`](Self::and) or [`or`](Self::or) does so where both sides do, so this is said last, too.
    ///
    /// ```
    /// use portcullis_guard::rbac;
    ///
    /// let paying = rbac("payments", "create").introspect_when_stale();
    /// assert_eq!(paying.to_string(), "rbac(payments, create), introspected when stale");
    /// ```
    #[must_use]
    pub const fn introspect_when_stale(mut self) -> Self {
        self.asks_when_stale = true;
        self
    }

    /// What a request to this route costs of each limit that it passes: 1 unless set, and at most what the limit lets through at
    /// once. What is joined costs what the dearer side does.
    ///
    /// ```
    /// use portcullis_guard::rbac;
    ///
    /// assert_eq!(rbac("orders", "export").cost(20).to_string(), "rbac(orders, export), costs 20");
    /// ```
    #[must_use]
    pub fn cost(mut self, requests: u32) -> Self {
        self.cost = NonZeroU32::new(requests).unwrap_or(NonZeroU32::MIN);
        self
    }

    /// Limits this route, beside the limits of the guard. Called again, one more; the same one counts once. Routes that carry
    /// the same limit share it, unless it counts by [`Key::route`](crate::Key::route). One that cannot be kept, because it lets
    /// nothing through or because another has its name, closes the route: every request is answered 503, and an error in the
    /// log says why.
    #[must_use]
    pub fn limit(mut self, limit: Limit) -> Self {
        if !self.limits.contains(&limit) {
            self.limits.push(limit);
        }
        self
    }

    /// Whether the policy is asked, in any part of it.
    pub fn asks_policy(&self) -> bool {
        self.node.asks_policy()
    }

    /// Whether a token bound to a key is required, in any part of it.
    pub fn asks_dpop(&self) -> bool {
        self.bindings().contains(&Binding::Key)
    }

    /// Whether a token bound to a certificate is required, in any part of it.
    pub fn asks_mtls(&self) -> bool {
        self.bindings().contains(&Binding::Certificate)
    }

    /// Decides whether `caller` may pass.
    pub(crate) fn decide(&self, caller: Option<&Principal>, by: Grounds<'_>) -> Result<Grant, Denial> {
        self.node.decide(caller, by)
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_strict = self.tolerance.is_zero() && !self.asks_when_stale;
        let is_plain = is_strict && self.cost == NonZeroU32::MIN && self.limits.is_empty();
        match &self.node {
            Node::All(_) | Node::Any(_) if !is_plain => write!(out, "({})", self.node)?,
            node => node.fmt(out)?,
        }
        if !self.tolerance.is_zero() {
            write!(out, ", stale for {} s", self.tolerance.as_secs())?;
        }
        if self.asks_when_stale {
            out.write_str(", introspected when stale")?;
        }
        if self.cost > NonZeroU32::MIN {
            write!(out, ", costs {}", self.cost)?;
        }
        self.limits.iter().try_for_each(|limit| write!(out, ", limit {}", limit.name()))
    }
}

#[cfg(test)]
mod tests {
    use portcullis_policy::{PolicySource, Snapshot};

    use super::*;
    use crate::clock::Clock;
    use crate::limit::{Key, Quota};
    use crate::token::tests::principal;

    fn snapshot() -> Snapshot {
        let rules = "p, viewer, *, orders, read\np, clerk, acme, orders, create\np, user:mallory, *, orders, read, deny";
        Snapshot::compile(&PolicySource::with_default_model(rules), 7).unwrap()
    }

    const fn unrecorded(snapshot: &Snapshot) -> Loaded<'_> {
        Loaded { snapshot, records: None, compared: None }
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
    fn what_is_joined_costs_what_the_dearer_side_does_and_counts_each_limit_once() {
        let exports = Limit::new("exports", Key::subject(), Quota::per_day(5));
        let other = Limit::new("other", Key::subject(), Quota::per_day(5));
        let side = || scope("orders").limit(exports).cost(3);
        for joined in [side().and(rbac("orders", "read").limit(exports)), side().limit(exports).or(side())] {
            assert_eq!((joined.limits(), joined.request_cost().get()), (&[exports][..], 3));
        }
        assert_eq!(side().and(scope("x").limit(other)).limits(), [exports, other]);
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
    fn what_one_issuer_hands_out_opens_nothing_of_another() {
        let (own, other) = ("https://id.test", "https://other.test");
        let viewer = ("roles", "viewer");
        let staff = issuer(other).and(rbac("orders", "read"));
        assert_eq!(principal(&[]).issuer(), own);
        assert_eq!(decide(&issuer(own).and(rbac("orders", "read")), &[viewer]), Ok(Some(7)));
        assert_eq!(decide(&staff, &[viewer]), Err(Denial::Issuer(other.into())));
        // Of what is for several, a caller is told what is missing for their own.
        let either = staff.or(issuer(own).and(scope("a")));
        assert_eq!(decide(&either, &[viewer]), Err(Denial::Scope("a".into())));
        assert_eq!(decide(&either, &[("scope", "a")]), Ok(None));
        assert!(!either.admits_anonymous() && either.issuers() == [other, own]);
    }

    #[test]
    fn details_open_what_they_are_accepted_for_and_nothing_else() {
        #[derive(serde::Deserialize)]
        struct Payment {
            amount: u64,
        }
        let caller = |details: &str| {
            let claims = format!(r#"{{"authorization_details":{details}}}"#);
            crate::token::tests::principal_with(&claims)
        };
        let passes = |requirement: &Requirement, details: &str| {
            requirement.decide(Some(&caller(details)), at(Policies::Unused)).is_ok()
        };
        let small = authenticated().details("payment", |payment: &Payment| payment.amount <= 100);
        let (any, paid) = (details("payment"), r#"[{"type":"other"},{"type":"payment","amount":100}]"#);
        assert!(passes(&small, paid) && passes(&any, paid));
        for less in ["[]", r#"[{"type":"other","amount":1}]"#, "7"] {
            assert!(!passes(&small, less) && !passes(&any, less), "{less}");
        }
        for (other, is_any) in [
            (r#"[{"type":"payment","amount":101}]"#, true),
            (r#"[{"type":"payment","amount":"1"}]"#, true),
            (r#"[{"type":"payment"}]"#, true),
        ] {
            assert_eq!((passes(&small, other), passes(&any, other)), (false, is_any), "{other}");
        }
        assert_eq!(small.decide(None, at(Policies::Unused)), Err(Denial::Anonymous));
        assert_eq!(decide(&small, &[]), Err(Denial::Details));
        assert!(small == small.clone() && small != authenticated().details("payment", |_: &Payment| true));
        assert_eq!(small.or(any).details_mentioned(), ["payment", "payment"]);
    }

    #[test]
    fn what_is_joined_tolerates_what_both_sides_do() {
        let hours = Duration::from_hours;
        let stale = scope("a").serve_stale(hours(3));
        assert_eq!(stale.clone().and(scope("b")).tolerance(), Duration::ZERO, "one side fails closed");
        assert_eq!(scope("b").or(stale.clone()).tolerance(), Duration::ZERO);
        assert_eq!(stale.clone().and(scope("b").serve_stale(hours(2))).tolerance(), hours(2));
        assert_eq!(stale.to_string(), "scope(a), stale for 10800 s");
        assert_eq!(&*stale.needed(), "scope(a)");
    }

    #[test]
    fn what_is_joined_asks_the_issuer_when_stale_where_both_sides_do() {
        let asking = scope("a").introspect_when_stale();
        assert!(!asking.clone().and(scope("b")).asks_when_stale(), "one side fails closed");
        assert!(!scope("b").or(asking.clone()).asks_when_stale());
        assert!(asking.clone().and(scope("b").introspect_when_stale()).asks_when_stale());
        let bound = asking.dpop().acr("phr");
        assert!(bound.asks_when_stale() && !scope("a").mtls().asks_when_stale());
        assert_eq!(bound.to_string(), "(scope(a) and dpop and sign-in(phr)), introspected when stale");
    }

    #[test]
    fn what_is_joined_costs_what_the_dearer_side_does_and_has_the_limits_of_both() {
        use crate::limit::{Key, Quota};

        let limit = |name| Limit::new(name, Key::subject(), Quota::per_hour(5));
        let both = scope("a").cost(5).limit(limit("x")).and(scope("b").cost(2).limit(limit("y")));
        assert_eq!(both.to_string(), "(scope(a) and scope(b)), costs 5, limit x, limit y");
        assert_eq!(scope("a").or(scope("b").cost(0)).to_string(), "scope(a) or scope(b)");
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
    fn what_is_asked_beside_takes_nothing_back_of_what_a_route_tolerates() {
        let hour = Duration::from_hours(1);
        let tolerant = || rbac("orders", "read").serve_stale(hour).introspect_when_stale();
        let accepts = |_: &serde_json::Value| true;
        for requirement in [
            tolerant().details("files", accepts),
            tolerant().dpop(),
            tolerant().mtls(),
            tolerant().acr("phr"),
            tolerant().max_age(hour),
        ] {
            assert!(requirement.asks_when_stale(), "{requirement}");
            assert_eq!(requirement.tolerance(), hour, "{requirement}");
        }
        let strict = rbac("orders", "read").details("files", accepts);
        assert!(!strict.asks_when_stale() && strict.tolerance().is_zero(), "{strict}");
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

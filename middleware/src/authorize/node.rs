//! How a requirement is decided.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use portcullis_policy::{Assurance, Condition, Need, Request, Roles, RuleRef, Snapshot};

use crate::clock::Clock;
#[cfg(feature = "casbin")]
use crate::comparison::Compared;
use crate::details::Detailed;
use crate::records::{Asker, Table};
use crate::sign_in::SignIn;
use crate::token::Principal;
#[cfg(not(feature = "casbin"))]
use crate::uncompared::Compared;

/// A requirement, or a part of one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Node {
    All(Vec<Node>),
    Any(Vec<Node>),
    Authenticated,
    Bound(Binding),
    Detailed(Detailed),
    Issuer(Text),
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

pub(super) type Text = Cow<'static, str>;

/// What a token can be bound to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Binding {
    /// A certificate (RFC 8705).
    Certificate,
    /// A key (RFC 9449).
    Key,
}

impl fmt::Display for Binding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Certificate => "a certificate",
            Self::Key => "a key",
        })
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

/// The policy in force, where its decisions are noted, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Loaded<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) records: Option<(&'a Table, Asker<'a>)>,
    /// Who has Casbin decide some of it as well.
    pub(crate) compared: Option<Compared<'a>>,
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
    /// The token has no details that are accepted.
    Details,
    /// The token is of another issuer.
    Issuer(Text),
    /// The route requires a policy and the guard has none.
    NoPolicy,
    /// The route says nothing about what it requires.
    NoRequirement,
    /// The policy does not allow it.
    Policy(Grant),
    /// The policy has not come yet.
    PolicyMissing,
    Scope(Text),
    /// The user did not sign in as is required, by the route or by a rule.
    SignIn(SignIn, Grant),
    /// The token is not bound as is required, by the route or by a rule.
    Unbound(Binding, Grant),
    /// Nothing is required, because there is no such route.
    Unlisted,
}

impl Denial {
    /// Of two, the one to tell. Our own outage stays one, whatever else does not allow it: no false 403. What callers can
    /// mend by signing in again comes before what only others can, and that before what is not for their issuer at all.
    fn or(self, next: Self) -> Self {
        let rank = |denial: &Self| match denial {
            Self::PolicyMissing => 3,
            Self::SignIn(..) | Self::Unbound(..) => 2,
            Self::Issuer(_) | Self::NoRequirement | Self::Unlisted => 0,
            _ => 1,
        };
        if rank(&self) > rank(&next) { self } else { next }
    }

    /// What to tell a caller who does not meet the condition of the rule that would allow it: first how to sign in.
    fn of(condition: &Condition, shown: &Assurance<'_>, grant: Grant) -> Self {
        if !condition.has_sign_in(shown) {
            return Self::SignIn(SignIn::of(condition), grant);
        }
        let binding = if condition.dpop && !shown.dpop { Binding::Key } else { Binding::Certificate };
        Self::Unbound(binding, grant)
    }
}

impl Node {
    pub(super) fn asks_policy(&self) -> bool {
        match self {
            Self::All(nodes) | Self::Any(nodes) => nodes.iter().any(Self::asks_policy),
            Self::Rbac { .. } => true,
            Self::Authenticated
            | Self::Bound(_)
            | Self::Detailed(_)
            | Self::Issuer(_)
            | Self::Optional
            | Self::Public
            | Self::Scope(_)
            | Self::SignIn(_)
            | Self::Unlisted
            | Self::Unstated => false,
        }
    }

    pub(super) fn collect_issuers<'a>(&'a self, issuers: &mut Vec<&'a str>) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                for node in nodes {
                    node.collect_issuers(issuers);
                }
            }
            Self::Issuer(issuer) => issuers.push(issuer),
            _ => {}
        }
    }

    pub(super) fn collect_bindings(&self, bindings: &mut Vec<Binding>) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                for node in nodes {
                    node.collect_bindings(bindings);
                }
            }
            Self::Bound(binding) => bindings.push(*binding),
            _ => {}
        }
    }

    pub(super) fn collect_details<'a>(&'a self, kinds: &mut Vec<&'a str>) {
        match self {
            Self::All(nodes) | Self::Any(nodes) => {
                for node in nodes {
                    node.collect_details(kinds);
                }
            }
            Self::Detailed(detailed) => kinds.push(detailed.kind()),
            _ => {}
        }
    }

    pub(super) fn collect_scopes<'a>(&'a self, with_alternatives: bool, scopes: &mut Vec<&'a str>) {
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

    pub(super) fn admits_anonymous(&self) -> bool {
        match self {
            Self::All(nodes) => nodes.iter().all(Self::admits_anonymous),
            Self::Any(nodes) => nodes.iter().any(Self::admits_anonymous),
            Self::Optional | Self::Public => true,
            Self::Authenticated
            | Self::Bound(_)
            | Self::Detailed(_)
            | Self::Issuer(_)
            | Self::Rbac { .. }
            | Self::Scope(_)
            | Self::SignIn(_)
            | Self::Unlisted
            | Self::Unstated => false,
        }
    }

    pub(super) fn need(&self) -> Need {
        let each = |nodes: &[Self]| nodes.iter().map(Self::need).collect();
        match self {
            Self::All(nodes) => Need::All(each(nodes)),
            Self::Any(nodes) => Need::Any(each(nodes)),
            Self::Authenticated => Need::Authenticated,
            Self::Bound(Binding::Certificate) => Need::Mtls,
            Self::Bound(Binding::Key) => Need::Dpop,
            Self::Detailed(detailed) => Need::Details(detailed.kind().to_owned()),
            Self::Issuer(issuer) => Need::Issuer(issuer.clone().into_owned()),
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

    pub(super) fn decide(&self, caller: Option<&Principal>, by: Grounds<'_>) -> Result<Grant, Denial> {
        match self {
            Self::All(nodes) => nodes.iter().try_fold(Grant::default(), |grant, node| {
                let next = node.decide(caller, by)?;
                Ok(Grant { revision: next.revision.or(grant.revision), rule: next.rule.or(grant.rule) })
            }),
            Self::Any(nodes) => {
                let refused = Err(Denial::NoRequirement);
                nodes.iter().fold(refused, |earlier, node| {
                    earlier.or_else(|earlier| node.decide(caller, by).map_err(|next| earlier.or(next)))
                })
            }
            Self::Optional | Self::Public => Ok(Grant::default()),
            Self::Authenticated => caller.map(|_| Grant::default()).ok_or(Denial::Anonymous),
            Self::Bound(binding) => {
                let caller = caller.ok_or(Denial::Anonymous)?;
                let is_bound = match binding {
                    Binding::Certificate => caller.has_proven_certificate(),
                    Binding::Key => caller.has_proven_key(),
                };
                let grant = Grant::default();
                if is_bound { Ok(grant) } else { Err(Denial::Unbound(*binding, grant)) }
            }
            Self::Detailed(detailed) => {
                let is_met = detailed.is_met_by(caller.ok_or(Denial::Anonymous)?);
                if is_met { Ok(Grant::default()) } else { Err(Denial::Details) }
            }
            Self::Issuer(issuer) => {
                let is_of = caller.ok_or(Denial::Anonymous)?.issuer() == issuer;
                if is_of { Ok(Grant::default()) } else { Err(Denial::Issuer(issuer.clone())) }
            }
            Self::Rbac { object, action } => ask(by, caller.ok_or(Denial::Anonymous)?, object, action),
            Self::Scope(scope) => {
                let caller = caller.ok_or(Denial::Anonymous)?;
                caller.has_scope(scope).then(Grant::default).ok_or_else(|| Denial::Scope(scope.clone()))
            }
            Self::SignIn(sign_in) => {
                let is_met = sign_in.is_met_by(caller.ok_or(Denial::Anonymous)?, by.now());
                let grant = Grant::default();
                if is_met { Ok(grant) } else { Err(Denial::SignIn(sign_in.clone(), grant)) }
            }
            Self::Unlisted => Err(caller.map_or(Denial::Anonymous, |_| Denial::Unlisted)),
            Self::Unstated => match (caller, by.policy) {
                (None, _) => Err(Denial::Anonymous),
                (Some(_), Policies::Unused) => Ok(Grant::default()),
                (Some(_), Policies::Loaded(_) | Policies::Missing) => Err(Denial::NoRequirement),
            },
        }
    }
}

fn ask(by: Grounds<'_>, caller: &Principal, object: &str, action: &str) -> Result<Grant, Denial> {
    let Loaded { snapshot, records, compared } = match by.policy {
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
    let mut decision = snapshot.decide(&request);
    let mut shown = Assurance::NOTHING;
    // Few rules ask how the user signed in, and for the others nobody looks at the clock.
    if snapshot.wanting(decision).is_some() {
        shown = assurance(caller, by.now());
        decision = snapshot.decide_with(&request, &shown);
    }
    if let Some((records, asker)) = records {
        records.note(&request, decision, asker);
    }
    if let Some(compared) = compared {
        compared.note(&request, decision);
    }
    let grant = Grant { revision: Some(decision.revision), rule: decision.rule };
    if decision.allowed {
        return Ok(grant);
    }
    let wanting = snapshot.wanting(decision).map(|condition| Denial::of(condition, &shown, grant));
    Err(wanting.unwrap_or(Denial::Policy(grant)))
}

/// What rules may ask of a token. `now` is the earliest second that it may be at the issuer.
fn assurance(caller: &Principal, now: u64) -> Assurance<'_> {
    Assurance {
        acr: caller.authentication_class(),
        age: caller.auth_time().map(|then| now.saturating_sub(then)),
        dpop: caller.has_proven_key(),
        mtls: caller.has_proven_certificate(),
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
            Self::Bound(Binding::Certificate) => out.write_str("mtls"),
            Self::Bound(Binding::Key) => out.write_str("dpop"),
            Self::Detailed(detailed) => detailed.fmt(out),
            Self::Issuer(issuer) => write!(out, "issuer({issuer})"),
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

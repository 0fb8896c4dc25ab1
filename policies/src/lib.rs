//! The policy engine of Portcullis: who may do what, decided in a fraction of a microsecond.
//!
//! A policy is text in the language of Casbin: a model, and rules one a line. It is checked with
//! [`lint`], compiled once into a [`Snapshot`], and then asked with [`Snapshot::decide`].
//!
//! ```
//! use portcullis_policy::{PolicySource, Request, Roles, Snapshot};
//!
//! let source = PolicySource::with_default_model(
//!     "p, viewer, *, /orders/{id}, read
//!      g, editor, viewer, *
//!      p, editor, acme, /orders/{id}, write
//!      p, user:mallory, *, *, write, deny",
//! );
//! let snapshot = Snapshot::compile(&source, 7)?;
//!
//! let request = Request {
//!     subject: "alice",
//!     roles: Roles::from(&["editor"]),
//!     domain: "acme",
//!     object: "/orders/17",
//!     action: "write",
//! };
//! let decision = snapshot.decide(&request);
//! assert!(decision.allowed);
//! assert_eq!(decision.rule.map(|rule| rule.line), Some(3));
//! assert!(!snapshot.decide(&Request { domain: "other", ..request }).allowed);
//! assert!(!snapshot.decide(&Request { subject: "mallory", ..request }).allowed);
//! # Ok::<(), portcullis_policy::Report>(())
//! ```
//!
//! # Rules
//!
//! | line | means |
//! |---|---|
//! | `p, role, domain, object, action` | whoever has the role may do this in this organisation |
//! | `p, role, domain, object, action, deny` | whoever has the role may not, whatever else is allowed |
//! | `p, role, domain, object, action, allow, acr=phrh\|phr, max_age=300` | whoever has the role may, if the token meets all of these conditions |
//! | `p, user:17, domain, object, action` | the user whose tokens have the subject `17` may |
//! | `g, role, parent, domain` | the role has every permission of the parent in this organisation |
//! | `# text` | a comment, on a line of its own |
//!
//! `*` as domain, object or action stands for every one. An object is a name (`orders`), compared
//! byte for byte, or a route template: `{id}` is one segment, a final `/*` everything below. In
//! templates no other character is special: a dot is a dot. Domains and actions are compared byte
//! for byte, so `GET` is not `get`.
//!
//! The conditions of a rule stand behind its `allow`, each once: `acr=CLASS` (the class by which the user signed in; several with
//! a pipe between them, the best first), `max_age=SECONDS` (at most so long ago), `dpop` and `mtls` (the token is bound to a key, or
//! to a certificate). A policy has at most 64 different conditions, however many rules have each. A rule without conditions that allows is enough alone. Where only rules with conditions allow and none
//! is met, [`Snapshot::wanting`] tells the [`Condition`] of the first, so that the caller can be asked for it. What a token shows
//! is an [`Assurance`]; [`Snapshot::decide`] knows of none.
//!
//! Which user has which role is no part of a policy: a token brings its roles. Roles contain no
//! `:`, so a user called like a role, or a role called like a user, gains nothing.
//!
//! # Questions and tests
//!
//! An [`Analysis`] also keeps the rules, and says why a request is denied and what would be allowed
//! ([`Analysis::explain`]), who may do something ([`Analysis::who_can`]) and what someone may do
//! ([`Analysis::what_can`]). [`Analysis::test`] holds a policy to [`Cases`]: decisions that
//! it must keep, one a line.
//!
//! | line | means |
//! |---|---|
//! | `allow, role, domain, object, action` | whoever has just this role may do this |
//! | `deny, role + other, domain, object, action` | whoever has both roles may not |
//! | `allow, user:17 + role, domain, object, action` | the user with the subject `17` and the role may |
//! | `allow, role, domain, object, action, acr=phr, age=60, dpop` | whoever has the role and shows this may: what is not said is not shown |
//! | `# text` | a comment, on a line of its own |
//!
//! Every other part is one request's: `*` as domain is one that no rule names, and as object or action
//! it is refused. A role with a `+` in its name cannot be written in a case.
//!
//! ```
//! use portcullis_policy::{Analysis, Cases, PolicySource};
//!
//! let rules = "p, viewer, *, /orders/{id}, read\ng, editor, viewer, acme";
//! let analysis = Analysis::of(PolicySource::with_default_model(rules))?;
//! let cases = Cases::parse("allow, editor, acme, /orders/17, read\nallow, viewer, acme, /orders/17, write")?;
//! let outcome = analysis.test(&cases);
//! assert_eq!((outcome.passed, outcome.failed.len()), (1, 1));
//! let why = outcome.failed[0].explanation.to_string();
//! assert_eq!(why, "denied: no rule allows it\n  line 1 would match if the action were read");
//! # Ok::<(), portcullis_policy::Report>(())
//! ```
//!
//! # What is refused
//!
//! A policy that could mean two things does not compile; the [`Report`] says where and what to write
//! instead. Roles that inherit in a circle, or over more than eight steps, are errors, where Casbin
//! denies without a word.
//!
//! # Other models
//!
//! The rules above are those of [`DEFAULT_MODEL`], in any layout and order of its conditions. Any other
//! model in the language of Casbin is compiled as well, if its matcher has nothing but `&&`, `||`, `!`,
//! parentheses, `==`, `!=`, `in` with constants, `g` and `g2` and so on, and the functions `keyMatch` to
//! `keyMatch5`, `globMatch`, `regexMatch` and `ipMatch` with patterns that the rules hold.
//!
//! ```
//! use portcullis_policy::{PolicySource, Snapshot};
//!
//! let model = "
//!     [request_definition]
//!     r = sub, obj, act
//!     [policy_definition]
//!     p = sub, obj, act
//!     [role_definition]
//!     g = _, _
//!     [policy_effect]
//!     e = some(where (p.eft == allow))
//!     [matchers]
//!     m = g(r.sub, p.sub) && keyMatch2(r.obj, p.obj) && r.act == p.act";
//! let rules = "p, reader, /orders/:id, read\ng, alice, reader";
//! let source = PolicySource { model: model.to_owned(), rules: rules.to_owned() };
//! let snapshot = Snapshot::compile(&source, 1)?;
//! assert!(snapshot.enforce(&["alice", "/orders/17", "read"]).is_ok_and(|decision| decision.allowed));
//! # Ok::<(), portcullis_policy::Report>(())
//! ```
//!
//! What is not recognised is refused. With the feature `casbin` it is interpreted by Casbin itself, rule
//! by rule; [`Snapshot::coverage`] says how many rules that are.
//!
//! ```
//! # #[cfg(not(feature = "casbin"))]
//! # fn main() {}
//! # #[cfg(feature = "casbin")]
//! # fn main() -> Result<(), portcullis_policy::Report> {
//! use portcullis_policy::{PolicySource, Snapshot};
//!
//! let model = r#"
//!     [request_definition]
//!     r = sub, obj, act
//!     [policy_definition]
//!     p = sub, obj, act
//!     [policy_effect]
//!     e = some(where (p.eft == allow))
//!     [matchers]
//!     m = r.sub + "@acme" == p.sub && r.obj == p.obj && r.act == p.act"#;
//! let rules = "p, alice@acme, orders, read\np, bob@acme, orders, read";
//! let source = PolicySource { model: model.to_owned(), rules: rules.to_owned() };
//! let snapshot = Snapshot::compile(&source, 1)?;
//! assert_eq!(snapshot.coverage().to_string(), "0 % indexed, 2 rules interpreted");
//! assert!(snapshot.enforce(&["alice", "orders", "read"]).is_ok_and(|decision| decision.allowed));
//! # Ok(())
//! # }
//! ```
//!
//! With that feature, a `Reference` also has Casbin decide what a snapshot decided, request by request.
//!
//! Under another model, [`lint`] finds mistakes and repeated rules, an [`Examiner`] tells the rule that decided a request and
//! holds the policy to [`Cases`], and [`Replay`] tries it on what was asked. Who may do something, what somebody may do, what is
//! nearly allowed, grants that change and routes that fit take names, which its rules need not have: [`Analysis::of`] refuses.
//! Nor does `lint` look for mistyped names there.
//!
//! # Equality with Casbin
//!
//! Casbin defines what a policy means. `tests/oracle.rs` and `tests/general_oracle.rs` decide random
//! requests under random policies with this crate and with Casbin's own enforcer, and both must agree.
//! `DIFFERENCES.md` lists where they do not, on purpose.

mod access;
mod analysis;
mod batch;
mod cases;
mod condition;
mod conditional;
mod conditions;
mod consistency;
mod control;
mod coverage;
mod diff;
mod document;
mod examiner;
mod explain;
mod fit;
mod general;
mod index;
mod inherit;
mod intern;
mod kinds;
mod ledger;
mod line;
mod matcher;
mod model;
mod near;
mod object;
mod options;
#[cfg(feature = "casbin")]
mod reference;
mod replay;
mod report;
mod request;
mod routes;
mod rules;
mod snapshot;
mod source;
mod subjects;
mod superfluous;
mod trie;
mod typos;
mod universe;
mod unmet;
mod vocabulary;

pub use access::{Access, Allowed, EffectivePermission, Page, Permissions};
pub use analysis::{Analysis, Grantee, RolePath, RuleEffect, Ruling, Step};
pub use cases::{Case, Cases, FailedCase, Outcome, Shown};
pub use condition::{Assurance, Condition, Terms};
pub use control::Control;
pub use coverage::Coverage;
pub use diff::{Difference, Example, GrantChange, Standing};
pub use document::SnapshotDocument;
pub use examiner::Examiner;
pub use explain::{Explanation, Incomparable, Reason};
pub use fit::{Fit, UnroutedRule, UnruledNeed};
pub use near::{Change, NearMiss};
pub use options::Options;
#[cfg(feature = "casbin")]
pub use reference::{Comparison, Reference, ReferenceError};
pub use replay::{AskedBy, DecisionChange, Replay, Replayed, RulesUsed, Side, Tally, Turn};
pub use report::{Finding, PolicyFile, Report, Severity};
pub use request::{Decision, EnforceError, Part, Request, Roles, RuleRef};
pub use routes::{Need, Route, RouteDocument, RoutesFault};
pub use snapshot::{Snapshot, lint, lint_with};
pub use source::{ADMIN_API_RULES, DEFAULT_MODEL, PolicySource, STARTER_RULES};
pub use typos::KnownNames;
pub use vocabulary::Vocabulary;

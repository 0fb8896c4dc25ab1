//! What the questions about a policy are answered with.

use portcullis_policy::{
    Access, Allowed, Condition, Difference, EffectivePermission, Example, Explanation, GrantChange, NearMiss,
    Permissions, Reason, RolePath, RuleEffect, Ruling, Standing,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::services::policies::questions::{Answered, Seen};

/// The text that an answer is about: a revision, the draft or what waits to be put in force.
#[derive(Serialize, ToSchema)]
pub(crate) struct SeenDocument {
    /// The number of the revision.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// The version of the draft.
    #[serde(skip_serializing_if = "Option::is_none")]
    draft_version: Option<u64>,
    /// The scheduled activation.
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
}

impl From<Seen> for SeenDocument {
    fn from(seen: Seen) -> Self {
        let none = Self { revision: None, draft_version: None, schedule: None };
        match seen {
            Seen::Draft(version) => Self { draft_version: Some(version), ..none },
            Seen::Revision(number) => Self { revision: Some(number), ..none },
            Seen::Schedule(id) => Self { schedule: Some(id.to_string()), ..none },
        }
    }
}

/// A rule, and how a caller comes by it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RulingDocument {
    /// Its line in the rules, from 1.
    line: u32,
    /// `allow` or `deny`.
    effect: &'static str,
    /// Whom it names: a role, or `user:` and a subject.
    grantee: String,
    /// From a role of the caller to the role that the rule names; null for a rule that names the user.
    path: Option<PathDocument>,
    /// What it asks of whomever it allows.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<ConditionDocument>,
}

/// How the user has to have signed in, and what the token has to be bound to. All of it has to be met.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConditionDocument {
    /// One of these classes, the best first; any, if it is not there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    acr: Vec<String>,
    /// At most so many seconds ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
    /// Bound to a key (RFC 9449).
    dpop: bool,
    /// Bound to a certificate (RFC 8705).
    mtls: bool,
    /// All of it for a person.
    text: String,
}

impl From<Condition> for ConditionDocument {
    fn from(condition: Condition) -> Self {
        let text = condition.to_string();
        let Condition { acr, max_age, dpop, mtls, .. } = condition;
        Self { acr, max_age, dpop, mtls, text }
    }
}

/// A role that is held, and the steps of inheritance from it.
#[derive(Serialize, ToSchema)]
pub(crate) struct PathDocument {
    role: String,
    steps: Vec<StepDocument>,
}

/// One step of inheritance.
#[derive(Serialize, ToSchema)]
pub(crate) struct StepDocument {
    /// The role that is inherited.
    parent: String,
    /// The line that says so.
    line: u32,
    /// The organisation in which it says so, or `*`.
    domain: String,
}

impl From<Ruling> for RulingDocument {
    fn from(rule: Ruling) -> Self {
        Self {
            line: rule.line,
            effect: effect(rule.effect),
            grantee: rule.grantee.to_string(),
            path: rule.path.map(PathDocument::from),
            condition: rule.condition.map(ConditionDocument::from),
        }
    }
}

impl From<RolePath> for PathDocument {
    fn from(path: RolePath) -> Self {
        let step = |step: portcullis_policy::Step| StepDocument {
            parent: step.parent,
            line: step.line,
            domain: step.domain,
        };
        Self { role: path.role, steps: path.steps.into_iter().map(step).collect() }
    }
}

pub(in crate::http::admin) fn effect(effect: RuleEffect) -> &'static str {
    match effect {
        RuleEffect::Allow => "allow",
        RuleEffect::Conditional => "conditional",
        _ => "deny",
    }
}

/// Why a request is allowed or denied.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplanationDocument {
    of: SeenDocument,
    allowed: bool,
    /// `allowed`, `conditional`, `denied`, `no-rule`, `not-comparable` or `other-model`: under another model than the default, only
    /// `line` is told. `conditional` is what is allowed to whoever meets the condition of `rule`.
    reason: &'static str,
    /// The rule that decided.
    rule: Option<RulingDocument>,
    /// The line of the rule that decided, if one did and it is known.
    line: Option<u32>,
    /// The line that would allow it, were it not for the rule that denies it.
    otherwise: Option<u32>,
    /// What would be allowed, nearest first: at most ten.
    near_misses: Vec<NearMissDocument>,
    /// Roles in the question that no rule names.
    unknown_roles: Vec<String>,
    /// All of it for a person, one thing a line.
    text: String,
}

/// A rule that would allow the request if something were otherwise.
#[derive(Serialize, ToSchema)]
pub(crate) struct NearMissDocument {
    /// Its line in the rules, from 1.
    line: u32,
    /// What would have to be otherwise, for a person.
    text: String,
}

impl From<NearMiss> for NearMissDocument {
    fn from(miss: NearMiss) -> Self {
        Self { line: miss.line, text: miss.to_string() }
    }
}

impl From<Answered<Explanation>> for ExplanationDocument {
    fn from(Answered { seen, answer, unknown_roles }: Answered<Explanation>) -> Self {
        let text = answer.to_string();
        let (reason, rule, otherwise, line) = match answer.reason {
            Reason::Allowed { rule } => ("allowed", Some(rule), None, None),
            Reason::Conditional { rule } => ("conditional", Some(rule), None, None),
            Reason::Denied { rule, otherwise, .. } => ("denied", Some(rule), otherwise, None),
            Reason::NotComparable { .. } => ("not-comparable", None, None, None),
            Reason::OtherModel { line } => ("other-model", None, None, line),
            // The engine may come to know more reasons; none of them is a rule.
            _ => ("no-rule", None, None, None),
        };
        Self {
            of: seen.into(),
            allowed: answer.allowed,
            reason,
            line: rule.as_ref().map(|rule| rule.line).or(line),
            rule: rule.map(RulingDocument::from),
            otherwise,
            near_misses: answer.near_misses.into_iter().map(NearMissDocument::from).collect(),
            unknown_roles,
            text,
        }
    }
}

/// Who may do something.
#[derive(Serialize, ToSchema)]
pub(crate) struct AllowedDocument {
    of: SeenDocument,
    /// Each role that gives it, and each user to whom a rule gives it: a page of them.
    allowed: Vec<AccessDocument>,
    /// How many there are in all.
    allowed_total: usize,
    /// Roles and users to whom a rule denies it, whatever other roles they have: the same page.
    denied: Vec<AccessDocument>,
    /// How many there are in all.
    denied_total: usize,
}

/// A role or a user, and the rule that decides for it.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccessDocument {
    /// A role, or `user:` and a subject.
    grantee: String,
    rule: RulingDocument,
}

impl From<Access> for AccessDocument {
    fn from(access: Access) -> Self {
        Self { grantee: access.grantee.to_string(), rule: access.rule.into() }
    }
}

impl From<Answered<Allowed>> for AllowedDocument {
    fn from(Answered { seen, answer, .. }: Answered<Allowed>) -> Self {
        Self {
            of: seen.into(),
            allowed: answer.allowed.into_iter().map(AccessDocument::from).collect(),
            allowed_total: answer.allowed_total,
            denied: answer.denied.into_iter().map(AccessDocument::from).collect(),
            denied_total: answer.denied_total,
        }
    }
}

/// What somebody may do.
#[derive(Serialize, ToSchema)]
pub(crate) struct PermissionsDocument {
    of: SeenDocument,
    /// The rules that concern the caller, in the order of their lines: a page of them.
    permissions: Vec<PermissionDocument>,
    /// How many there are in all.
    total: usize,
    /// Roles in the question that no rule names.
    unknown_roles: Vec<String>,
}

/// A rule that concerns somebody, and what is left of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct PermissionDocument {
    domain: String,
    object: String,
    action: String,
    /// What holds in the end, `allow`, `conditional` or `deny`: a rule whose whole grant others deny has the effect `deny`, another
    /// with a condition `conditional`.
    effect: &'static str,
    rule: RulingDocument,
    /// The lines of rules that deny some or all of it: at most twenty.
    denied_by: Vec<u32>,
}

impl From<EffectivePermission> for PermissionDocument {
    fn from(permission: EffectivePermission) -> Self {
        Self {
            domain: permission.domain,
            object: permission.object,
            action: permission.action,
            effect: effect(permission.effect),
            rule: permission.rule.into(),
            denied_by: permission.denied_by,
        }
    }
}

impl From<Answered<Permissions>> for PermissionsDocument {
    fn from(Answered { seen, answer, unknown_roles }: Answered<Permissions>) -> Self {
        Self {
            of: seen.into(),
            permissions: answer.permissions.into_iter().map(PermissionDocument::from).collect(),
            total: answer.total,
            unknown_roles,
        }
    }
}

/// What one text gives that another does not, in grants instead of lines.
#[derive(Serialize, ToSchema)]
pub(crate) struct DifferenceDocument {
    from: SeenDocument,
    to: SeenDocument,
    /// Roles first, then users, the widest grants first.
    changes: Vec<ChangeDocument>,
    /// Whether these are all.
    complete: bool,
}

/// A grant that is decided otherwise.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeDocument {
    /// A role, or `user:` and a subject.
    grantee: String,
    domain: String,
    object: String,
    action: String,
    /// Whether something within that does not change like this, because a rule, old or new, names it: it stays as it was, or has a
    /// change of its own.
    exceptions: bool,
    before: StandingDocument,
    after: StandingDocument,
    example: ExampleDocument,
}

/// What a text says about a grant.
#[derive(Serialize, ToSchema)]
pub(crate) struct StandingDocument {
    /// `allowed`, `conditional`, `denied` or `silent`.
    kind: &'static str,
    /// The line of the first rule that says so.
    line: Option<u32>,
    /// What has to be met, where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<String>,
}

/// The parts of a request that is decided otherwise.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExampleDocument {
    /// Empty for an organisation that no rule names.
    domain: String,
    object: String,
    action: String,
}

impl From<Standing> for StandingDocument {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Allowed { line } => Self { kind: "allowed", line: Some(line), condition: None },
            Standing::Conditional { line, condition } => {
                Self { kind: "conditional", line: Some(line), condition: Some(condition) }
            }
            Standing::Denied { line } => Self { kind: "denied", line: Some(line), condition: None },
            // The engine may come to know more; none of them is a rule.
            _ => Self { kind: "silent", line: None, condition: None },
        }
    }
}

impl From<GrantChange> for ChangeDocument {
    fn from(change: GrantChange) -> Self {
        let Example { domain, object, action, .. } = change.example;
        Self {
            grantee: change.grantee.to_string(),
            domain: change.domain,
            object: change.object,
            action: change.action,
            exceptions: change.exceptions,
            before: change.before.into(),
            after: change.after.into(),
            example: ExampleDocument { domain, object, action },
        }
    }
}

impl From<(Seen, Answered<Difference>)> for DifferenceDocument {
    fn from((before, Answered { seen, answer, .. }): (Seen, Answered<Difference>)) -> Self {
        Self {
            from: before.into(),
            to: seen.into(),
            changes: answer.changes.into_iter().map(ChangeDocument::from).collect(),
            complete: answer.complete,
        }
    }
}

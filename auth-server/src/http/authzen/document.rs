//! What is asked and answered, as the specification names the members.

use serde::{Deserialize, Serialize};

use crate::services::policies::decide::{Asked, Because, Evaluation, Until, Verdict};

/// The most questions in one request.
const MAX_EVALUATIONS: usize = 256;

/// The longest identifier of a subject or resource, and the longest name of an action, in bytes.
const MAX_TEXT: usize = 2048;

/// The type of a resource whose id is the object of rules. Of any other, the type is.
pub(super) const OBJECT: &str = "object";

/// Who, what and with what. Each may be left to the defaults of a batch. `context` and `properties` are read over: rules know
/// nothing of them.
#[derive(Default, Deserialize)]
pub(super) struct EvaluationDocument {
    subject: Option<EntityDocument>,
    action: Option<ActionDocument>,
    resource: Option<EntityDocument>,
}

/// A subject or a resource.
#[derive(Deserialize)]
pub(super) struct EntityDocument {
    #[serde(rename = "type")]
    kind: String,
    id: String,
}

#[derive(Deserialize)]
pub(super) struct ActionDocument {
    name: String,
}

/// Several questions, with what they have in common; or one, as if it had been sent to the other endpoint.
#[derive(Deserialize)]
pub(super) struct EvaluationsDocument {
    subject: Option<EntityDocument>,
    action: Option<ActionDocument>,
    resource: Option<EntityDocument>,
    #[serde(default)]
    evaluations: Vec<EvaluationDocument>,
    #[serde(default)]
    options: Options,
}

#[derive(Default, Deserialize)]
struct Options {
    #[serde(default)]
    evaluations_semantic: Semantic,
}

/// When a batch ends.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Semantic {
    #[default]
    ExecuteAll,
    DenyOnFirstDeny,
    PermitOnFirstPermit,
}

/// What a request lacks, and where.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Missing {
    pub(super) pointer: String,
    pub(super) complaint: String,
}

impl Missing {
    pub(super) fn of(pointer: String, complaint: &str) -> Self {
        Self { pointer, complaint: complaint.to_owned() }
    }
}

impl EvaluationDocument {
    /// The question, with what it does not say taken from `defaults`.
    pub(super) fn evaluation(&self, place: &str, defaults: &Self) -> Result<Evaluation, Missing> {
        let missing = |name| Missing::of(format!("{place}/{name}"), "is missing");
        let subject =
            self.subject.as_ref().or(defaults.subject.as_ref()).ok_or_else(|| missing("subject"))?;
        let action = self.action.as_ref().or(defaults.action.as_ref()).ok_or_else(|| missing("action"))?;
        let resource = self.resource.as_ref().or(defaults.resource.as_ref());
        let resource = resource.ok_or_else(|| missing("resource"))?;
        let subject = asked(&format!("{place}/subject"), &subject.kind, &subject.id)?;
        let action = bounded(&format!("{place}/action/name"), &action.name)?;
        let object = object(&format!("{place}/resource"), &resource.kind, &resource.id)?;
        Ok(Evaluation { subject, object, action })
    }
}

/// Who is asked about.
pub(super) fn asked(place: &str, kind: &str, id: &str) -> Result<Asked, Missing> {
    bounded(&format!("{place}/type"), kind)?;
    let id = bounded(&format!("{place}/id"), id)?;
    match kind {
        "client" => Ok(Asked::Client(id)),
        "role" => Ok(Asked::Role(id)),
        "user" => Ok(Asked::User(id)),
        _ => Err(unknown_kind(place)),
    }
}

pub(super) fn unknown_kind(place: &str) -> Missing {
    Missing::of(format!("{place}/type"), "has to be `client`, `role` or `user`")
}

/// The object of rules that a resource is. Rules name objects, or kinds of them: so do guards.
pub(super) fn object(place: &str, kind: &str, id: &str) -> Result<String, Missing> {
    let kind = bounded(&format!("{place}/type"), kind)?;
    let id = bounded(&format!("{place}/id"), id)?;
    Ok(if kind == OBJECT { id } else { kind })
}

/// A text that may be compared with rules.
pub(super) fn bounded(pointer: &str, text: &str) -> Result<String, Missing> {
    if text.is_empty() || text.len() > MAX_TEXT {
        return Err(Missing::of(pointer.to_owned(), "has to have at least one and at most 2048 bytes"));
    }
    Ok(text.to_owned())
}

impl EvaluationsDocument {
    /// Whether it is one question, which is answered as one.
    pub(super) const fn is_single(&self) -> bool {
        self.evaluations.is_empty()
    }

    /// The questions, and when to stop.
    pub(super) fn evaluations(self) -> Result<(Vec<Evaluation>, Until), Missing> {
        let defaults =
            EvaluationDocument { subject: self.subject, action: self.action, resource: self.resource };
        if self.evaluations.is_empty() {
            let only = defaults.evaluation("", &EvaluationDocument::default())?;
            return Ok((vec![only], Until::All));
        }
        if self.evaluations.len() > MAX_EVALUATIONS {
            return Err(Missing::of("/evaluations".to_owned(), "has more than 256 questions"));
        }
        let asked = self.evaluations.iter().enumerate();
        let asked =
            asked.map(|(number, document)| document.evaluation(&format!("/evaluations/{number}"), &defaults));
        let until = match self.options.evaluations_semantic {
            Semantic::ExecuteAll => Until::All,
            Semantic::DenyOnFirstDeny => Until::FirstDeny,
            Semantic::PermitOnFirstPermit => Until::FirstPermit,
        };
        Ok((asked.collect::<Result<_, _>>()?, until))
    }
}

/// An answer. The default is a denial.
#[derive(Default, Serialize)]
pub(super) struct DecisionDocument {
    decision: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<ContextDocument>,
}

#[derive(Serialize)]
struct ContextDocument {
    /// Why, in words.
    reason: &'static str,
    /// The line of the rule that decided, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_line: Option<u32>,
    /// The revision of the policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
}

/// Why there is nothing to decide by.
pub(super) const NO_POLICY: &str = "no policy is in force";

/// The answers to a batch, in its order.
#[derive(Serialize)]
pub(super) struct DecisionsDocument {
    pub(super) evaluations: Vec<DecisionDocument>,
}

pub(super) fn answers(verdicts: &[Verdict]) -> Vec<DecisionDocument> {
    verdicts.iter().map(DecisionDocument::from).collect()
}

impl From<&Verdict> for DecisionDocument {
    fn from(verdict: &Verdict) -> Self {
        let (reason, rule_line) = match (verdict.because, verdict.allowed) {
            (Because::Rule(line), true) => ("a rule allows it", Some(line)),
            (Because::Rule(line), false) => ("a rule denies it", Some(line)),
            (Because::NoRule, _) => ("no rule allows it", None),
            (Because::NoPolicy, _) => (NO_POLICY, None),
        };
        let context = ContextDocument { reason, rule_line, revision: verdict.revision };
        Self { decision: verdict.allowed, context: Some(context) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(document: Value) -> Result<(Vec<Evaluation>, Until), Missing> {
        serde_json::from_value::<EvaluationsDocument>(document).unwrap().evaluations()
    }

    fn user(id: &str) -> Value {
        json!({ "type": "user", "id": id, "properties": { "department": "Sales" } })
    }

    #[test]
    fn what_a_question_does_not_say_comes_from_the_defaults_of_the_batch() {
        let (asked, until) = read(json!({
            "subject": user("ada"),
            "action": { "name": "read" },
            "context": { "time": "2024-05-31T15:22-07:00" },
            "evaluations": [
                { "resource": { "type": "orders", "id": "17" } },
                { "resource": { "type": "object", "id": "/v1/orders/17" }, "action": { "name": "delete" } },
                { "subject": { "type": "role", "id": "viewer" }, "resource": { "type": "stock", "id": "1" } },
            ],
        }))
        .unwrap();
        assert_eq!(until, Until::All);
        let asked: Vec<_> = asked.iter().map(|one| (&one.subject, &*one.object, &*one.action)).collect();
        let ada = Asked::User("ada".to_owned());
        assert_eq!(
            asked,
            [
                (&ada, "orders", "read"),
                (&ada, "/v1/orders/17", "delete"),
                (&Asked::Role("viewer".to_owned()), "stock", "read")
            ]
        );
    }

    #[test]
    fn a_batch_without_questions_is_one_question() {
        let (asked, until) = read(json!({
            "subject": user("ada"), "action": { "name": "read" }, "resource": { "type": "orders", "id": "17" },
            "evaluations": [], "options": { "evaluations_semantic": "deny_on_first_deny" },
        }))
        .unwrap();
        assert_eq!((asked.len(), until), (1, Until::All));
    }

    #[test]
    fn what_is_missing_is_named_by_its_place() {
        let resource = || json!({ "type": "orders", "id": "17" });
        let one = |evaluation: Value| read(json!({ "subject": user("ada"), "evaluations": [evaluation] }));
        let place = |outcome: Result<(Vec<Evaluation>, Until), Missing>| outcome.unwrap_err().pointer;
        assert_eq!(place(one(json!({ "resource": resource() }))), "/evaluations/0/action");
        assert_eq!(place(one(json!({ "action": { "name": "read" } }))), "/evaluations/0/resource");
        let unknown = json!({ "type": "device", "id": "1" });
        let asked = json!({ "subject": unknown, "action": { "name": "read" }, "resource": resource() });
        assert_eq!(place(read(asked)), "/subject/type");
        for bad in [String::new(), "x".repeat(MAX_TEXT + 1)] {
            let asked =
                json!({ "subject": user(&bad), "action": { "name": "read" }, "resource": resource() });
            assert_eq!(place(read(asked)), "/subject/id");
        }
        let many = vec![json!({ "resource": resource() }); MAX_EVALUATIONS + 1];
        assert_eq!(place(read(json!({ "subject": user("ada"), "evaluations": many }))), "/evaluations");
    }
}

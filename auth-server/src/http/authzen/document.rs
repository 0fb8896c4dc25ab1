//! What is asked and answered, as the specification names the members.

use portcullis_policy::Condition;
use serde::{Deserialize, Serialize};

use crate::http::authzen::parts::{MALFORMED, Part, asked, object, text};
use crate::http::decided::decision_id;
use crate::http::extract::request_id::RequestId;
use crate::services::fields::FieldErrors;
use crate::services::policies::decide::{Asked, Because, Evaluation, Until, Verdict};

/// The most questions in one request.
const MAX_EVALUATIONS: usize = 256;

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
struct EntityDocument {
    #[serde(rename = "type")]
    kind: Option<String>,
    id: Option<String>,
}

#[derive(Deserialize)]
struct ActionDocument {
    name: Option<String>,
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

/// What holds for each question of a batch that does not say otherwise.
#[derive(Default)]
struct Defaults {
    subject: Part<Asked>,
    action: Part<String>,
    object: Part<String>,
}

impl EvaluationDocument {
    /// The question.
    pub(super) fn evaluation(&self) -> Result<Evaluation, FieldErrors> {
        let mut errors = FieldErrors::default();
        let evaluation = self.with(&Defaults::default(), &mut errors, "");
        errors.finish(evaluation)
    }

    /// The question, with what it does not say taken from `defaults`.
    fn with(&self, defaults: &Defaults, errors: &mut FieldErrors, place: &str) -> Option<Evaluation> {
        let subject = self.subject(errors, place).or(&defaults.subject).found(errors, place, "subject");
        let action = self.action(errors, place).or(&defaults.action).found(errors, place, "action");
        let object = self.object(errors, place).or(&defaults.object).found(errors, place, "resource");
        Some(Evaluation { subject: subject?, object: object?, action: action? })
    }

    fn defaults(&self, errors: &mut FieldErrors) -> Defaults {
        let (subject, action) = (self.subject(errors, ""), self.action(errors, ""));
        Defaults { subject, action, object: self.object(errors, "") }
    }

    fn subject(&self, errors: &mut FieldErrors, place: &str) -> Part<Asked> {
        Part::read(self.subject.as_ref(), |subject| {
            asked(errors, place, subject.kind.as_deref(), subject.id.as_deref())
        })
    }

    fn action(&self, errors: &mut FieldErrors, place: &str) -> Part<String> {
        Part::read(self.action.as_ref(), |action| text(errors, place, "action/name", action.name.as_deref()))
    }

    fn object(&self, errors: &mut FieldErrors, place: &str) -> Part<String> {
        Part::read(self.resource.as_ref(), |resource| {
            object(errors, place, resource.kind.as_deref(), resource.id.as_deref())
        })
    }
}

impl EvaluationsDocument {
    /// Whether it is one question, which is answered as one.
    pub(super) const fn is_single(&self) -> bool {
        self.evaluations.is_empty()
    }

    /// The questions, and when to stop.
    pub(super) fn evaluations(self) -> Result<(Vec<Evaluation>, Until), FieldErrors> {
        let common =
            EvaluationDocument { subject: self.subject, action: self.action, resource: self.resource };
        if self.evaluations.is_empty() {
            return Ok((vec![common.evaluation()?], Until::All));
        }
        if self.evaluations.len() > MAX_EVALUATIONS {
            return Err(FieldErrors::of("/evaluations", MALFORMED, "has more than 256 questions"));
        }
        let mut errors = FieldErrors::default();
        let defaults = common.defaults(&mut errors);
        let mut asked = Vec::with_capacity(self.evaluations.len());
        for (number, document) in self.evaluations.iter().enumerate() {
            asked.extend(document.with(&defaults, &mut errors, &format!("/evaluations/{number}")));
        }
        let until = match self.options.evaluations_semantic {
            Semantic::ExecuteAll => Until::All,
            Semantic::DenyOnFirstDeny => Until::FirstDeny,
            Semantic::PermitOnFirstPermit => Until::FirstPermit,
        };
        errors.finish(Some((asked, until)))
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
    /// What the decision is called in the log.
    decision_id: String,
    /// Why, in words.
    reason: &'static str,
    /// The line of the rule that decided, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    rule_line: Option<u32>,
    /// What has to be met for that rule to allow it.
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<Condition>,
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

/// The answers to the questions of one request.
pub(super) fn answers(verdicts: &[Verdict], id: RequestId) -> Vec<DecisionDocument> {
    verdicts.iter().zip(1..).map(|(verdict, number)| DecisionDocument::of(verdict, id, number)).collect()
}

impl DecisionDocument {
    fn of(verdict: &Verdict, id: RequestId, number: usize) -> Self {
        let mut condition = None;
        let (reason, rule_line) = match (&verdict.because, verdict.allowed) {
            (Because::Rule(line), true) => ("a rule allows it", Some(*line)),
            (Because::Rule(line), false) => ("a rule denies it", Some(*line)),
            (Because::Conditional(line, wanting), _) => {
                condition = Some(Condition::clone(wanting));
                ("a rule allows it under a condition, and nothing shows that it is met", Some(*line))
            }
            (Because::NoRule, _) => ("no rule allows it", None),
            (Because::NoPolicy, _) => (NO_POLICY, None),
        };
        let (decision_id, revision) = (decision_id(id, number), verdict.revision);
        let context = ContextDocument { decision_id, reason, rule_line, condition, revision };
        Self { decision: verdict.allowed, context: Some(context) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(document: Value) -> Result<(Vec<Evaluation>, Until), FieldErrors> {
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

    /// The places and codes of what is wrong.
    fn wrong(document: Value) -> Vec<String> {
        let errors = read(document).unwrap_err();
        errors.iter().map(|error| format!("{} {}", error.pointer, error.code)).collect()
    }

    fn orders() -> Value {
        json!({ "type": "orders", "id": "17" })
    }

    #[test]
    fn everything_that_is_missing_is_named_by_its_place_in_one_order() {
        let all = ["/subject missing", "/action missing", "/resource missing"];
        assert_eq!(wrong(json!({})), all);
        assert_eq!(wrong(json!({ "subject": null, "action": null, "resource": null })), all);
        let parts = json!({ "resource": {}, "action": {}, "subject": {} });
        let members = [
            "/subject/type missing",
            "/subject/id missing",
            "/action/name missing",
            "/resource/type missing",
            "/resource/id missing",
        ];
        assert_eq!(wrong(parts), members);
        let mixed = json!({ "subject": { "type": "device" }, "resource": { "type": "", "id": "17" } });
        let expected =
            ["/subject/type malformed", "/subject/id missing", "/action missing", "/resource/type malformed"];
        assert_eq!(wrong(mixed), expected);
    }

    #[test]
    fn each_question_of_a_batch_says_what_it_lacks_and_what_they_share_is_named_once() {
        let batch = json!({
            "subject": { "type": "user" },
            "evaluations": [{ "resource": orders() }, {}, { "action": { "name": "read" }, "resource": orders() }],
        });
        let expected = [
            "/subject/id missing",
            "/evaluations/0/action missing",
            "/evaluations/1/action missing",
            "/evaluations/1/resource missing",
        ];
        assert_eq!(wrong(batch), expected);
    }

    #[test]
    fn what_cannot_be_compared_with_rules_is_refused() {
        let asked = |subject: Value| json!({ "subject": subject, "action": { "name": "read" }, "resource": orders() });
        assert_eq!(wrong(asked(json!({ "type": "device", "id": "1" }))), ["/subject/type malformed"]);
        for bad in [String::new(), "x".repeat(2_049)] {
            assert_eq!(wrong(asked(user(&bad))), ["/subject/id malformed"]);
        }
        let many = vec![json!({ "resource": orders() }); MAX_EVALUATIONS + 1];
        assert_eq!(wrong(json!({ "subject": user("ada"), "evaluations": many })), ["/evaluations malformed"]);
    }
}

//! A decision that was drawn, with all that it takes to make it again.

use std::sync::Arc;

use portcullis_policy::{Comparison, Decision, Reference, Request, Roles, Snapshot};

use crate::decision_id::DecisionId;

/// A decision, and what was asked.
#[derive(Clone)]
pub(super) struct Sample {
    pub(super) id: DecisionId,
    /// The rules that decided, which may not be in force any more.
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) decision: Decision,
    asked: Arc<Asked>,
}

struct Asked {
    subject: Box<str>,
    roles: Box<[Box<str>]>,
    domain: Box<str>,
    object: Box<str>,
    action: Box<str>,
}

impl Sample {
    pub(super) fn of(
        (snapshot, id): (&Arc<Snapshot>, DecisionId),
        request: &Request<'_>,
        decision: Decision,
    ) -> Self {
        let Request { subject, roles, domain, object, action } = *request;
        let asked = Asked {
            subject: subject.into(),
            roles: roles.iter().map(Box::from).collect(),
            domain: domain.into(),
            object: object.into(),
            action: action.into(),
        };
        Self { id, snapshot: Arc::clone(snapshot), decision, asked: Arc::new(asked) }
    }

    /// Whether Casbin agrees. `None` if it has no answer.
    pub(super) fn ask(&self, reference: &Reference) -> Option<bool> {
        let Asked { subject, roles, domain, object, action } = self.asked.as_ref();
        let roles: Vec<&str> = roles.iter().map(AsRef::as_ref).collect();
        let request = Request { subject, roles: Roles::from(&*roles), domain, object, action };
        match reference.compare(&request, self.decision) {
            Comparison::Agrees => Some(true),
            Comparison::Differs => Some(false),
            _ => None,
        }
    }
}

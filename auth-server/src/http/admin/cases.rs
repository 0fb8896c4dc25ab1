//! What came of the cases of a policy.

use portcullis_policy::{FailedCase, Outcome};
use serde::Serialize;
use utoipa::ToSchema;

/// What came of the cases of a policy: the decisions that its rules must keep.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CasesDocument {
    /// How many were decided as they say.
    passed: usize,
    /// How many were not.
    failed_total: usize,
    /// Those that were not: at most the first 50.
    failed: Vec<FailedCaseDocument>,
}

/// A case that is decided otherwise than it says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedCaseDocument {
    /// Its line in the cases, from 1.
    line: u32,
    /// `allow` or `deny`.
    expected: &'static str,
    /// What was decided, why, and what is nearly allowed: one a line, for a person.
    explanation: String,
}

impl From<&Outcome> for CasesDocument {
    fn from(outcome: &Outcome) -> Self {
        Self {
            passed: outcome.passed,
            failed_total: outcome.failed_total,
            failed: outcome.failed.iter().map(FailedCaseDocument::from).collect(),
        }
    }
}

impl From<&FailedCase> for FailedCaseDocument {
    fn from(failed: &FailedCase) -> Self {
        Self {
            line: failed.case.line,
            expected: if failed.case.allowed { "allow" } else { "deny" },
            explanation: failed.explanation.to_string(),
        }
    }
}

//! Where `AuthZEN` is spoken, and the document that says so (section 9 of the
//! [AuthZEN Authorization API](https://openid.net/specs/authorization-api-1_0.html)).

use serde::Serialize;

use crate::domain::issuer::Issuer;
use crate::http::published::Description;

pub(crate) const EVALUATION: &str = "/access/v1/evaluation";
pub(crate) const EVALUATIONS: &str = "/access/v1/evaluations";
pub(crate) const SEARCH_ACTION: &str = "/access/v1/search/action";
pub(crate) const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
pub(crate) const SEARCH_SUBJECT: &str = "/access/v1/search/subject";

/// The document, as the specification names the members.
#[derive(Serialize)]
struct Metadata {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
    search_subject_endpoint: String,
    search_resource_endpoint: String,
    search_action_endpoint: String,
}

/// The document as it is sent.
#[derive(Clone, Debug)]
pub(crate) struct DecisionPoint(pub(crate) Description);

impl DecisionPoint {
    /// Writes the document of an issuer.
    pub(crate) fn of(issuer: &Issuer) -> Self {
        Self(Description::of(&Metadata {
            policy_decision_point: issuer.as_str().to_owned(),
            access_evaluation_endpoint: issuer.endpoint(EVALUATION),
            access_evaluations_endpoint: issuer.endpoint(EVALUATIONS),
            search_subject_endpoint: issuer.endpoint(SEARCH_SUBJECT),
            search_resource_endpoint: issuer.endpoint(SEARCH_RESOURCE),
            search_action_endpoint: issuer.endpoint(SEARCH_ACTION),
        }))
    }
}

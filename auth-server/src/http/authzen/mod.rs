//! The OpenID [AuthZEN Authorization API 1.0](https://openid.net/specs/authorization-api-1_0.html): decisions for services whose
//! enforcement is not our guard. The table of what subject, resource and action mean is in `docs/authzen.md`.

mod document;
mod page;
mod search;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::HeaderValue;
use http::header::CACHE_CONTROL;
use serde::Serialize;

use crate::config::Config;
use crate::http::admin::body::JsonBody;
use crate::http::admin::problem::{Problem, ProblemKind};
use crate::http::authzen::document::{
    DecisionDocument, DecisionsDocument, EvaluationDocument, EvaluationsDocument, Missing, answers,
};
use crate::http::cors;
use crate::http::mount::AUTHZEN_METADATA;
use crate::http::oauth::client_request::HeaderClient;
use crate::http::state::AppState;
use crate::services::policies::decide::{DecideError, DecisionService, Until, Verdict};

const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";
const SEARCH_ACTION: &str = "/access/v1/search/action";
const SEARCH_RESOURCE: &str = "/access/v1/search/resource";
const SEARCH_SUBJECT: &str = "/access/v1/search/subject";

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route(EVALUATION, post(evaluate))
        .route(EVALUATIONS, post(evaluate_all))
        .route(SEARCH_ACTION, post(search::actions))
        .route(SEARCH_RESOURCE, post(search::resources))
        .route(SEARCH_SUBJECT, post(search::subjects))
        .route(AUTHZEN_METADATA, get(metadata))
}

/// What is served, and where (section 9 of the specification).
#[derive(Serialize)]
struct Metadata {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
    search_subject_endpoint: String,
    search_resource_endpoint: String,
    search_action_endpoint: String,
}

async fn metadata(State(config): State<std::sync::Arc<Config>>) -> Response {
    let issuer = config.issuer();
    let document = Metadata {
        policy_decision_point: issuer.as_str().to_owned(),
        access_evaluation_endpoint: issuer.endpoint(EVALUATION),
        access_evaluations_endpoint: issuer.endpoint(EVALUATIONS),
        search_subject_endpoint: issuer.endpoint(SEARCH_SUBJECT),
        search_resource_endpoint: issuer.endpoint(SEARCH_RESOURCE),
        search_action_endpoint: issuer.endpoint(SEARCH_ACTION),
    };
    let kept = [(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"))];
    cors::open((kept, Json(document)).into_response())
}

/// `POST /access/v1/evaluation`.
async fn evaluate(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    JsonBody(document): JsonBody<EvaluationDocument>,
) -> Result<Response, Problem> {
    let evaluation = document.evaluation("", &EvaluationDocument::default()).map_err(malformed)?;
    let verdicts = decisions.decide(caller.client.client(), &[evaluation], Until::All).await;
    let verdicts = verdicts.map_err(|error| refused(&error))?;
    Ok(Json(one(&verdicts)).into_response())
}

/// `POST /access/v1/evaluations`.
async fn evaluate_all(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    JsonBody(document): JsonBody<EvaluationsDocument>,
) -> Result<Response, Problem> {
    let is_single = document.is_single();
    let (evaluations, until) = document.evaluations().map_err(malformed)?;
    let verdicts = decisions.decide(caller.client.client(), &evaluations, until).await;
    let verdicts = verdicts.map_err(|error| refused(&error))?;
    Ok(if is_single {
        Json(one(&verdicts)).into_response()
    } else {
        Json(DecisionsDocument { evaluations: answers(&verdicts) }).into_response()
    })
}

/// There is one verdict for one question; none would be a denial.
fn one(verdicts: &[Verdict]) -> DecisionDocument {
    answers(verdicts).pop().unwrap_or_default()
}

fn malformed(missing: Missing) -> Problem {
    Problem::malformed(missing.pointer, missing.complaint)
}

fn refused(error: &DecideError) -> Problem {
    let problem = match error {
        DecideError::Model => Problem::new(ProblemKind::ModelUnsupported).with_detail(error.to_string()),
        DecideError::ServesNothing => Problem::new(ProblemKind::ServesNothing),
        DecideError::Policy(cause) => Problem::fault(cause),
        DecideError::Store(cause) => Problem::fault(cause),
    };
    problem.because(error)
}

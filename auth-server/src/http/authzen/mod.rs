//! The OpenID [AuthZEN Authorization API 1.0](https://openid.net/specs/authorization-api-1_0.html): decisions for services whose
//! enforcement is not our guard. The table of what subject, resource and action mean is in `docs/authzen.md`.

mod document;
mod page;
mod parts;
mod search;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, options, post};
use axum::{Json, Router};
use http::HeaderMap;
use serde::Serialize;

use crate::http::admin::body::JsonBody;
use crate::http::admin::problem::{Problem, ProblemKind};
use crate::http::authzen::document::{
    DecisionDocument, DecisionsDocument, EvaluationDocument, EvaluationsDocument, answers,
};
use crate::http::cors;
use crate::http::decided::Decided;
use crate::http::decision_point::{
    DecisionPoint, EVALUATION, EVALUATIONS, SEARCH_ACTION, SEARCH_RESOURCE, SEARCH_SUBJECT,
};
use crate::http::extract::request_id::RequestId;
use crate::http::mount::AUTHZEN_METADATA;
use crate::http::oauth::client_request::HeaderClient;
use crate::http::state::AppState;
use crate::services::fields::FieldErrors;
use crate::services::policies::decide::{DecideError, DecisionService, Until, Verdict};

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route(EVALUATION, post(evaluate))
        .route(EVALUATIONS, post(evaluate_all))
        .route(SEARCH_ACTION, post(search::actions))
        .route(SEARCH_RESOURCE, post(search::resources))
        .route(SEARCH_SUBJECT, post(search::subjects))
        .route(AUTHZEN_METADATA, get(metadata).merge(options(cors::preflight)))
}

/// What is served, and where.
async fn metadata(State(point): State<DecisionPoint>, headers: HeaderMap) -> Response {
    point.0.answer(&headers)
}

/// `POST /access/v1/evaluation`.
async fn evaluate(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    id: RequestId,
    JsonBody(document): JsonBody<EvaluationDocument>,
) -> Result<Response, Problem> {
    let evaluation = document.evaluation().map_err(|errors| malformed(&errors))?;
    let verdicts = decisions.decide(caller.client.client(), &[evaluation], Until::All).await;
    let verdicts = verdicts.map_err(|error| refused(&error))?;
    Ok(answered(one(&verdicts, id), &verdicts))
}

/// `POST /access/v1/evaluations`.
async fn evaluate_all(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    id: RequestId,
    JsonBody(document): JsonBody<EvaluationsDocument>,
) -> Result<Response, Problem> {
    let is_single = document.is_single();
    let (evaluations, until) = document.evaluations().map_err(|errors| malformed(&errors))?;
    let verdicts = decisions.decide(caller.client.client(), &evaluations, until).await;
    let verdicts = verdicts.map_err(|error| refused(&error))?;
    Ok(if is_single {
        answered(one(&verdicts, id), &verdicts)
    } else {
        answered(DecisionsDocument { evaluations: answers(&verdicts, id) }, &verdicts)
    })
}

/// There is one verdict for one question; none would be a denial.
fn one(verdicts: &[Verdict], id: RequestId) -> DecisionDocument {
    answers(verdicts, id).pop().unwrap_or_default()
}

fn answered(document: impl Serialize, verdicts: &[Verdict]) -> Response {
    let allowed = verdicts.iter().filter(|verdict| verdict.allowed).count();
    let mut response = Json(document).into_response();
    response.extensions_mut().insert(Decided { decisions: verdicts.len(), allowed });
    response
}

fn malformed(errors: &FieldErrors) -> Problem {
    Problem::new(ProblemKind::Malformed).with_errors(errors)
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

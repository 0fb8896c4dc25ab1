//! The OpenID [AuthZEN Authorization API 1.0](https://openid.net/specs/authorization-api-1_0.html): decisions for services whose
//! enforcement is not our guard. The table of what subject, resource and action mean is in `docs/authzen.md`.

mod document;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::header::CACHE_CONTROL;
use http::{HeaderMap, HeaderName, HeaderValue};
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

/// The caller's own name for a request, which the answer repeats (section 10.1.2 of the specification).
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

pub(crate) fn router() -> Router<AppState> {
    Router::new()
        .route(EVALUATION, post(evaluate))
        .route(EVALUATIONS, post(evaluate_all))
        .route(AUTHZEN_METADATA, get(metadata))
}

/// What is served, and where (section 9 of the specification). Searches are not, and are not named.
#[derive(Serialize)]
struct Metadata {
    policy_decision_point: String,
    access_evaluation_endpoint: String,
    access_evaluations_endpoint: String,
}

async fn metadata(State(config): State<std::sync::Arc<Config>>) -> Response {
    let issuer = config.issuer();
    let document = Metadata {
        policy_decision_point: issuer.as_str().to_owned(),
        access_evaluation_endpoint: issuer.endpoint(EVALUATION),
        access_evaluations_endpoint: issuer.endpoint(EVALUATIONS),
    };
    let kept = [(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"))];
    cors::open((kept, Json(document)).into_response())
}

/// `POST /access/v1/evaluation`.
async fn evaluate(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    asked: HeaderMap,
    JsonBody(document): JsonBody<EvaluationDocument>,
) -> Result<Response, Problem> {
    let evaluation = document.evaluation("", &EvaluationDocument::default()).map_err(malformed)?;
    let verdicts = decisions.decide(caller.client.client(), &[evaluation], Until::All).await;
    let verdicts = verdicts.map_err(|error| refused(&error))?;
    Ok(answer(&asked, &one(&verdicts)))
}

/// `POST /access/v1/evaluations`.
async fn evaluate_all(
    State(decisions): State<DecisionService>,
    HeaderClient(caller): HeaderClient,
    asked: HeaderMap,
    JsonBody(document): JsonBody<EvaluationsDocument>,
) -> Result<Response, Problem> {
    let is_single = document.is_single();
    let (evaluations, until) = document.evaluations().map_err(malformed)?;
    let verdicts = decisions.decide(caller.client.client(), &evaluations, until).await;
    let verdicts = verdicts.map_err(|error| refused(&error))?;
    Ok(if is_single {
        answer(&asked, &one(&verdicts))
    } else {
        answer(&asked, &DecisionsDocument { evaluations: answers(&verdicts) })
    })
}

/// There is one verdict for one question; none would be a denial.
fn one(verdicts: &[Verdict]) -> DecisionDocument {
    answers(verdicts).pop().unwrap_or_default()
}

fn answer(asked: &HeaderMap, document: &impl Serialize) -> Response {
    let mut response = Json(document).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(id) = asked.get(REQUEST_ID) {
        headers.insert(REQUEST_ID, id.clone());
    }
    response
}

fn malformed(missing: Missing) -> Problem {
    Problem::malformed(missing.pointer, missing.complaint)
}

fn refused(error: &DecideError) -> Problem {
    let problem = match error {
        DecideError::ServesNothing => Problem::new(ProblemKind::ServesNothing),
        DecideError::Policy(_) | DecideError::Store(_) => Problem::fault(error),
    };
    problem.because(error)
}

//! Questions about a policy: why, who, what, and what changes. They change nothing.

pub(super) mod answers;

use axum::extract::{Path, State};
use portcullis_policy::Page;
use serde::Deserialize;
use utoipa::IntoParams;

use self::answers::{AllowedDocument, DifferenceDocument, ExplanationDocument, PermissionsDocument};
use crate::domain::ids::ApiId;
use crate::http::admin::answer::Answer;
use crate::http::admin::body::Parameters;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::fields::FieldErrors;
use crate::services::policies::questions::{Asker, Deed, Edition, QuestionService, UnknownEdition};

/// A request that is to be explained.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainQuery {
    /// Which text: `active` (unless given), `draft`, the number of a revision or the name of a scheduled activation that waits.
    of: Option<String>,
    /// The subject of the caller. Without it: one that no rule names.
    user: Option<String>,
    /// The roles of the caller, with commas between them.
    #[param(example = "viewer,clerk")]
    roles: Option<String>,
    /// The organisation. Without it: one that no rule names.
    domain: Option<String>,
    /// A name or a path.
    #[param(example = "/orders/17")]
    object: String,
    /// What is to be done with it.
    #[param(example = "read")]
    action: String,
    /// The class of the sign-in, for rules with conditions.
    #[param(example = "phrh")]
    acr: Option<String>,
    /// How many seconds ago the sign-in was.
    age: Option<u64>,
    /// Whether the token is bound to a key that the caller has proven to have.
    #[serde(default)]
    dpop: bool,
    /// Whether the token is bound to a certificate that the caller has shown.
    #[serde(default)]
    mtls: bool,
}

/// Something that somebody may do.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhoQuery {
    /// Which text: `active` (unless given), `draft`, the number of a revision or the name of a scheduled activation that waits.
    of: Option<String>,
    /// The organisation. Without it: one that no rule names.
    domain: Option<String>,
    /// A name or a path.
    #[param(example = "/orders/17")]
    object: String,
    /// What is to be done with it.
    #[param(example = "read")]
    action: String,
    /// How many entries are passed over.
    offset: Option<usize>,
    /// How many entries are given: 1,000 unless given, and at most.
    limit: Option<usize>,
}

/// Somebody who may do something. `roles`, `user` or both have to be given.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WhatQuery {
    /// Which text: `active` (unless given), `draft`, the number of a revision or the name of a scheduled activation that waits.
    of: Option<String>,
    /// The subject of the caller. Without it: one that no rule names.
    user: Option<String>,
    /// The roles of the caller, with commas between them.
    #[param(example = "viewer,clerk")]
    roles: Option<String>,
    /// The organisation. Without it: one that no rule names.
    domain: Option<String>,
    /// How many entries are passed over.
    offset: Option<usize>,
    /// How many entries are given: 1,000 unless given, and at most.
    limit: Option<usize>,
}

/// Two texts.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// The older text: `active` (unless given), `draft`, the number of a revision or the name of a scheduled activation that waits.
    from: Option<String>,
    /// The newer text: `draft` (unless given), `active`, the number of a revision or the name of a scheduled activation that waits.
    to: Option<String>,
}

/// Says why a request is allowed or denied, and what would be allowed.
#[utoipa::path(get, path = "/apis/{api}/policy/explain", tag = "policies", operation_id = "explainPolicy",
    params(("api" = String, Path), ExplainQuery), responses((status = 200, body = ExplanationDocument)))]
pub(crate) async fn explain(
    State(questions): State<QuestionService>,
    Path(api): Path<String>,
    Parameters(query): Parameters<ExplainQuery>,
) -> Result<Answer<ExplanationDocument>, Problem> {
    let edition = edition("/of", query.of.as_deref(), Edition::Active)?;
    let mut asker = asker(query.user, query.roles.as_deref(), query.domain);
    asker.shown.acr = query.acr;
    asker.shown.age = query.age;
    asker.shown.dpop = query.dpop;
    asker.shown.mtls = query.mtls;
    let deed = Deed { object: query.object, action: query.action };
    let api = named::<ApiId>(&api, Thing::Api)?;
    Ok(Answer::ok(questions.explain(&api, edition, asker, deed).await?.into()))
}

/// Finds the roles and users that may do something.
#[utoipa::path(get, path = "/apis/{api}/policy/who-can", tag = "policies", operation_id = "whoCan",
    params(("api" = String, Path), WhoQuery), responses((status = 200, body = AllowedDocument)))]
pub(crate) async fn who_can(
    State(questions): State<QuestionService>,
    Path(api): Path<String>,
    Parameters(query): Parameters<WhoQuery>,
) -> Result<Answer<AllowedDocument>, Problem> {
    let edition = edition("/of", query.of.as_deref(), Edition::Active)?;
    let deed = Deed { object: query.object, action: query.action };
    let target = (deed, query.domain.unwrap_or_default());
    let api = named::<ApiId>(&api, Thing::Api)?;
    Ok(Answer::ok(questions.who_can(&api, edition, target, page(query.offset, query.limit)).await?.into()))
}

/// Finds the rules that concern somebody.
#[utoipa::path(get, path = "/apis/{api}/policy/what-can", tag = "policies", operation_id = "whatCan",
    params(("api" = String, Path), WhatQuery), responses((status = 200, body = PermissionsDocument)))]
pub(crate) async fn what_can(
    State(questions): State<QuestionService>,
    Path(api): Path<String>,
    Parameters(query): Parameters<WhatQuery>,
) -> Result<Answer<PermissionsDocument>, Problem> {
    let edition = edition("/of", query.of.as_deref(), Edition::Active)?;
    let asker = asker(query.user, query.roles.as_deref(), query.domain);
    let api = named::<ApiId>(&api, Thing::Api)?;
    Ok(Answer::ok(questions.what_can(&api, edition, asker, page(query.offset, query.limit)).await?.into()))
}

/// Finds the grants that are gained and lost from one text to another.
#[utoipa::path(get, path = "/apis/{api}/policy/diff", tag = "policies", operation_id = "diffPolicy",
    params(("api" = String, Path), DiffQuery), responses((status = 200, body = DifferenceDocument)))]
pub(crate) async fn diff(
    State(questions): State<QuestionService>,
    Path(api): Path<String>,
    Parameters(query): Parameters<DiffQuery>,
) -> Result<Answer<DifferenceDocument>, Problem> {
    let from = edition("/from", query.from.as_deref(), Edition::Active)?;
    let to = edition("/to", query.to.as_deref(), Edition::Draft)?;
    let api = named::<ApiId>(&api, Thing::Api)?;
    Ok(Answer::ok(questions.diff(&api, from, to).await?.into()))
}

pub(super) fn edition(pointer: &str, raw: Option<&str>, otherwise: Edition) -> Result<Edition, AdminError> {
    raw.map_or(Ok(otherwise), |raw| {
        raw.parse().map_err(|unknown: UnknownEdition| {
            FieldErrors::of(pointer, "invalid", unknown.to_string()).into()
        })
    })
}

fn asker(user: Option<String>, roles: Option<&str>, domain: Option<String>) -> Asker {
    let roles = roles.unwrap_or_default().split(',').map(str::trim).filter(|role| !role.is_empty());
    Asker {
        user,
        roles: roles.map(str::to_owned).collect(),
        domain: domain.unwrap_or_default(),
        ..Asker::default()
    }
}

fn page(offset: Option<usize>, limit: Option<usize>) -> Page {
    Page { offset: offset.unwrap_or(0), limit: limit.unwrap_or(Page::FIRST.limit) }
}

//! Types of details: what can be asked for at an API beyond scopes (RFC 9396).

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::details::kind::DetailsType;
use crate::domain::ids::ApiId;
use crate::http::admin::answer::Answer;
use crate::http::admin::body::JsonBody;
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::precondition::IfMatch;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::apis::ApiService;
use crate::services::details_types::DetailsTypeForm;

/// A type of details.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DetailsTypeDocument {
    /// The `type` of its details: a word or a URI. It belongs to one API.
    #[serde(rename = "type")]
    #[schema(example = "payment_initiation")]
    name: String,
    /// What people are told that it is.
    #[schema(example = "Make a payment")]
    title: String,
    /// What its details may say: a JSON Schema (2020-12) of an object with `"additionalProperties": false`. `type` itself need not be
    /// described.
    #[schema(value_type = Object)]
    schema: Value,
    /// What people are told that members are. Others are shown by their names.
    #[serde(default)]
    labels: Vec<MemberLabelDocument>,
    /// `each_time` (the default): people are asked although they allowed the same before. `remembered`: they are not.
    consent: Option<String>,
}

/// What people are told that a member is.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MemberLabelDocument {
    /// The names that lead to it, with slashes before them.
    #[schema(example = "/amount/currency")]
    member: String,
    #[schema(example = "Currency")]
    label: String,
}

impl From<DetailsType> for DetailsTypeDocument {
    fn from(kind: DetailsType) -> Self {
        let labels = kind.labels.into_iter();
        Self {
            name: kind.name.to_string(),
            title: kind.title,
            schema: kind.schema.document().clone(),
            labels: labels
                .map(|known| MemberLabelDocument { member: known.member, label: known.label })
                .collect(),
            consent: Some(kind.consent.as_str().to_owned()),
        }
    }
}

impl From<DetailsTypeDocument> for DetailsTypeForm {
    fn from(document: DetailsTypeDocument) -> Self {
        let DetailsTypeDocument { name, title, schema, labels, consent } = document;
        let labels = labels.into_iter().map(|known| (known.member, known.label)).collect();
        Self { name, title, schema, labels, consent }
    }
}

/// The types of an API.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DetailsTypeList {
    items: Vec<DetailsTypeDocument>,
}

impl DetailsTypeList {
    fn of(types: Vec<DetailsType>) -> Self {
        Self { items: types.into_iter().map(DetailsTypeDocument::from).collect() }
    }
}

/// Lists the types of details of an API by name.
#[utoipa::path(get, path = "/apis/{api}/authorization-details-types", tag = "apis", operation_id = "listDetailsTypes",
    params(("api" = String, Path)), responses((status = 200, body = DetailsTypeList)))]
pub(crate) async fn list(
    State(apis): State<ApiService>,
    Path(api): Path<String>,
) -> Result<Answer<DetailsTypeList>, Problem> {
    let found = apis.details_types(&named::<ApiId>(&api, Thing::Api)?).await?;
    Ok(Answer::ok(DetailsTypeList::of(found.value)).at(&found.version))
}

/// Replaces the types of details of an API: at most 32.
#[utoipa::path(put, path = "/apis/{api}/authorization-details-types", tag = "apis", operation_id = "setDetailsTypes",
    params(("api" = String, Path), ("If-Match" = String, Header)), request_body = DetailsTypeList,
    responses((status = 200, body = DetailsTypeList)))]
pub(crate) async fn replace(
    State(apis): State<ApiService>,
    Path(api): Path<String>,
    IfMatch(precondition): IfMatch,
    By(caller): By,
    JsonBody(input): JsonBody<DetailsTypeList>,
) -> Result<Answer<DetailsTypeList>, Problem> {
    let id = named::<ApiId>(&api, Thing::Api)?;
    let forms: Vec<DetailsTypeForm> = input.items.into_iter().map(DetailsTypeForm::from).collect();
    match apis.set_details_types(&id, &forms, &precondition, &caller).await {
        Ok(changed) => Ok(Answer::ok(DetailsTypeList::of(changed.value)).at(&changed.version)),
        Err(AdminError::Stale) => {
            let current = apis.details_types(&id).await?;
            Err(Problem::stale(&DetailsTypeList::of(current.value), &current.version))
        }
        Err(error) => Err(error.into()),
    }
}

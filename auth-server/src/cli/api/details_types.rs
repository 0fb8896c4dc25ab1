//! `portcullis api details-types`: what can be asked for at an API in detail (RFC 9396).

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::api::ApiOption;
use crate::cli::context::Format;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::clock::Clock;
use crate::domain::details::kind::{DetailsType, MemberLabel};
use crate::services::caller::Caller;
use crate::services::details_types::DetailsTypeForm;
use crate::services::version::Precondition;

/// The file, as the admin API takes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Types {
    items: Vec<Type>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Type {
    #[serde(rename = "type")]
    name: String,
    title: String,
    schema: Value,
    #[serde(default)]
    labels: Vec<MemberLabel>,
    consent: Option<String>,
}

impl From<Type> for DetailsTypeForm {
    fn from(read: Type) -> Self {
        let Type { name, title, schema, labels, consent } = read;
        let labels = labels.into_iter().map(|known| (known.member, known.label)).collect();
        Self { name, title, schema, labels, consent }
    }
}

pub(super) async fn run(
    format: Format,
    app: &App,
    api: &ApiOption,
    set: Option<&Path>,
) -> Result<(), Failure> {
    let id = &api.find(app).await?.id;
    let mut known = app.apis().details_types(id).await?;
    if let Some(file) = set {
        let place = file.display();
        let text = std::fs::read_to_string(file)
            .map_err(|error| Failure::failed(format!("{place} cannot be read: {error}")))?;
        let types: Types = serde_json::from_str(&text)
            .map_err(|error| Failure::usage(format!("{place} is not a list of types: {error}")))?;
        let forms: Vec<DetailsTypeForm> = types.items.into_iter().map(DetailsTypeForm::from).collect();
        let seen = Precondition::Matches(vec![known.version]);
        let operator = Caller::operator(Clock::system().now());
        known = app.apis().set_details_types(id, &forms, &seen, &operator).await?;
    }
    let items: Vec<Value> = known.value.iter().map(document).collect();
    let rows = known
        .value
        .iter()
        .map(|kind| [kind.name.to_string(), kind.title.clone(), kind.consent.as_str().to_owned()]);
    output::print(format, &json!({ "items": items }), &Table::new(["TYPE", "TITLE", "CONSENT"], rows))
}

/// What `--set` reads again.
fn document(kind: &DetailsType) -> Value {
    json!({
        "type": kind.name.as_str(),
        "title": kind.title,
        "schema": kind.schema.document(),
        "labels": kind.labels,
        "consent": kind.consent.as_str(),
    })
}

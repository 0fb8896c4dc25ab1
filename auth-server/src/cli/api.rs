//! `portcullis api`: the services that tokens are for.

use clap::Subcommand;
use serde_json::json;

use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::ids::ApiId;
use crate::domain::issuer::Issuer;
use crate::domain::rbac::Api as Registered;
use crate::services::paging::PageQuery;
use crate::services::policies::rules_path;

/// The most APIs that are read at one time.
const AT_ONCE: u64 = 200;

/// The services that tokens are for.
#[derive(Debug, Subcommand)]
pub(crate) enum Api {
    /// Prints every API with the page on which its rules are edited.
    List,
}

pub(crate) async fn run(context: &Context, command: &Api) -> Result<(), Failure> {
    let Api::List = command;
    let app = context.existing_app().await?;
    let (mut apis, mut after): (Vec<Registered>, _) = (Vec::new(), None);
    loop {
        let page = app.apis().list(&PageQuery::new(after, Some(AT_ONCE))).await?;
        apis.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let issuer = app.served_issuer().await?;
    let shown: Vec<_> = apis
        .iter()
        .map(|api| {
            json!({
                "id": api.id.as_str(),
                "audience": api.audience.as_str(),
                "name": api.name,
                "revision": api.active_revision,
                "rules": rules_page(&issuer, &api.id),
            })
        })
        .collect();
    let rows = apis.iter().map(|api| {
        [api.id.to_string(), api.audience.to_string(), api.name.clone(), rules_page(&issuer, &api.id)]
    });
    output::print(context.format, &shown, &Table::new(["ID", "AUDIENCE", "NAME", "RULES"], rows))
}

/// The address of the page on which the rules of an API are edited.
pub(crate) fn rules_page(issuer: &Issuer, api: &ApiId) -> String {
    issuer.endpoint(&rules_path(api))
}

//! `portcullis policy routes`: what services say about their routes, and how the rules fit.

use clap::{Args, Subcommand};
use portcullis_policy::Fit;
use serde_json::{Value, json};

use crate::app::App;
use crate::cli::api::SharedApiOption;
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::inventory::{InventoryState, RouteInventory};
use crate::domain::rbac::Api;
use crate::domain::secret::Digest32;
use crate::services::admin_error::{AdminError, Thing};
use crate::services::policies::announced::parsed;
use crate::services::policies::questions::{Edition, QuestionService};
use crate::services::version::Precondition;

/// How many digits of a digest a table shows, and at least have to be given. A service chooses what it says: with so many, it
/// cannot find two inventories that have the same, show one and have the other approved.
const SHOWN: usize = 32;

/// Prints the routes that were approved for each version of a service.
#[derive(Args, Debug)]
pub(crate) struct Routes {
    #[command(flatten)]
    api: SharedApiOption,
    /// Those that nobody decided about instead.
    #[arg(long)]
    pending: bool,
    #[command(subcommand)]
    deed: Option<Deed>,
}

/// What is done with the routes.
#[derive(Debug, Subcommand)]
enum Deed {
    /// Says that these are the routes of that version of the service.
    Approve {
        /// Which: its digest, or the first 32 digits of it.
        digest: String,
    },
    /// Says that these are not the routes of the service. It does not ask again.
    Reject {
        /// Which: its digest, or the first 32 digits of it.
        digest: String,
    },
    /// Prints routes that no rule opens, and rules that no route asks for.
    Report {
        /// Which routes: a digest, or the first 32 digits of it. Without it: all that are approved.
        #[arg(long, value_name = "DIGEST")]
        digest: Option<String>,
        /// Holds the draft against them, and not the rules that are in force.
        #[arg(long)]
        draft: bool,
    },
}

pub(crate) async fn run(context: &Context, command: &Routes) -> Result<(), Failure> {
    let api = command.api.required()?;
    let app = context.existing_app().await?;
    let api = api.find(&app).await?;
    let format = context.format;
    let inventories = app.inventories();
    match &command.deed {
        None => list(format, &app, &api, command.pending).await,
        Some(Deed::Approve { digest }) => {
            let digest = named(&app, &api, digest).await?;
            let done = inventories.approve(&api.id, &digest, &Precondition::Any, &operator()).await?;
            print(format, &[done.value])
        }
        Some(Deed::Reject { digest }) => {
            let digest = named(&app, &api, digest).await?;
            let done = inventories.reject(&api.id, &digest, &Precondition::Any, &operator()).await?;
            print(format, &[done.value])
        }
        Some(Deed::Report { digest, draft }) => {
            let digest = match digest {
                Some(digest) => Some(named(&app, &api, digest).await?),
                None => None,
            };
            let edition = if *draft { Edition::Draft } else { Edition::Active };
            let questions = QuestionService::new(app.store().clone());
            match questions.route_report(&api.id, edition, digest.as_ref()).await {
                Ok(report) => print_fit(format, &report.answer.fit),
                Err(AdminError::NotFound(Thing::Inventory)) => Err(none_approved(&app, &api).await?),
                Err(error) => Err(error.into()),
            }
        }
    }
}

async fn list(format: Format, app: &App, api: &Api, pending: bool) -> Result<(), Failure> {
    let wanted = if pending { InventoryState::Pending } else { InventoryState::Approved };
    let mut found = Vec::new();
    for known in app.inventories().list(&api.id).await? {
        if known.state == wanted {
            found.push(app.inventories().show(&api.id, &known.digest).await?.value);
        }
    }
    print(format, &found)?;
    if found.is_empty() && !pending {
        eprintln!("portcullis: {}", unapproved(app, api).await?);
    }
    Ok(())
}

async fn none_approved(app: &App, api: &Api) -> Result<Failure, Failure> {
    Ok(Failure::failed(unapproved(app, api).await?))
}

/// Says why there are no routes that count, and what to do about it.
async fn unapproved(app: &App, api: &Api) -> Result<String, Failure> {
    let known = app.inventories().list(&api.id).await?;
    let pending = known.iter().filter(|known| known.state == InventoryState::Pending).count() as u64;
    let audience = &api.audience;
    Ok(match pending {
        0 => format!("no routes of {audience} are approved, and no service told of any that wait"),
        _ => format!(
            "no routes of {audience} are approved, and {} pending: `policy routes --pending` prints what waits, \
             `policy routes approve <DIGEST>` approves it",
            output::counted(pending, "inventory is", "inventories are")
        ),
    })
}

/// The digest that begins with these digits, of those that are kept.
async fn named(app: &App, api: &Api, digits: &str) -> Result<Digest32, Failure> {
    let known = app.inventories().list(&api.id).await?;
    let mut found = known.iter().filter(|known| known.digest.hex().starts_with(digits));
    match (found.next(), found.next()) {
        (Some(one), None) if digits.len() >= SHOWN => Ok(one.digest),
        _ => Err(Failure::failed(format!(
            "{digits:?} names no routes of {}: give a digest, or {SHOWN} digits of it at least",
            api.audience
        ))),
    }
}

fn print(format: Format, inventories: &[RouteInventory]) -> Result<(), Failure> {
    let (mut shown, mut rows): (Vec<Value>, Vec<[String; 6]>) = (Vec::new(), Vec::new());
    for inventory in inventories {
        let document = parsed(&inventory.document)?;
        let digest = inventory.digest.hex();
        shown.push(json!({
            "digest": digest,
            "version": inventory.version,
            "state": inventory.state.as_str(),
            "announced_by": inventory.announced.0,
            "announced_at": inventory.announced.1.rfc3339(),
            "routes": document.routes,
        }));
        let short: String = digest.chars().take(SHOWN).collect();
        rows.extend(document.routes.iter().map(|route| {
            let version = inventory.version.clone().unwrap_or_else(|| "-".to_owned());
            let (methods, requires) = (route.methods.join(" "), route.requires.to_string());
            let state = inventory.state.as_str().to_owned();
            [short.clone(), version, state, methods, route.path.clone(), requires]
        }));
    }
    let heading = ["DIGEST", "VERSION", "STATE", "METHODS", "PATH", "REQUIRES"];
    output::print(format, &shown, &Table::new(heading, rows))
}

fn print_fit(format: Format, fit: &Fit) -> Result<(), Failure> {
    if fit.complete && fit.unruled.is_empty() && fit.unrouted.is_empty() && format == Format::Table {
        return output::text("every route has a rule, and every rule a route\n");
    }
    let routes = fit.unruled.iter().map(|need| {
        let why =
            need.denied_by.map_or_else(|| "no rule".to_owned(), |line| format!("denied by line {line}"));
        let place = format!("{} {}", need.methods.join(" "), need.path);
        ["route".to_owned(), place, need.object.clone(), need.action.clone(), why]
    });
    let rules = fit.unrouted.iter().map(|rule| {
        let place = format!("line {}, {}", rule.line, rule.grantee);
        ["rule".to_owned(), place, rule.object.clone(), rule.action.clone(), "no route".to_owned()]
    });
    let heading = ["WHAT", "WHERE", "OBJECT", "ACTION", "WHY"];
    output::print(format, fit, &Table::new(heading, routes.chain(rules)))?;
    if !fit.complete {
        eprintln!("portcullis: there may be more than these");
    }
    Ok(())
}

//! `portcullis policy explain`: why a file of rules allows or denies a request.

use clap::Args;
use portcullis_policy::{Assurance, Request, Roles};

use super::{Caller, RulesFile};
use crate::cli::context::Format;
use crate::cli::exit::Failure;
use crate::cli::output;

/// Says why a request is allowed or denied, and what would be allowed.
#[derive(Args, Debug)]
pub(crate) struct Explain {
    #[command(flatten)]
    rules: RulesFile,
    #[command(flatten)]
    caller: Caller,
    #[command(flatten)]
    shown: Shown,
    /// A name, a path or the template of a route.
    object: String,
    /// What is to be done with it.
    action: String,
}

/// What the token of the caller shows, for rules with conditions. What is not said here is not shown.
#[derive(Args, Debug)]
struct Shown {
    /// The class of the sign-in.
    #[arg(long, value_name = "CLASS")]
    acr: Option<String>,
    /// How long ago the sign-in was.
    #[arg(long, value_name = "SECONDS")]
    age: Option<u64>,
    /// The token is bound to a key, and the caller has proven to have it.
    #[arg(long)]
    dpop: bool,
    /// The token is bound to a certificate, and the caller has shown it.
    #[arg(long)]
    mtls: bool,
}

pub(super) fn run(format: Format, command: &Explain) -> Result<(), Failure> {
    let Explain { rules, caller, shown, object, action } = command;
    let examiner = rules.examiner()?;
    caller.note_unknown_roles(|role| examiner.knows_nothing_of(role));
    let request = Request {
        subject: caller.user.as_deref().unwrap_or(examiner.nobody()),
        roles: Roles::from(&caller.role),
        domain: &caller.domain,
        object,
        action,
    };
    let Shown { acr, age, dpop, mtls } = shown;
    let shown = Assurance { acr: acr.as_deref(), age: *age, dpop: *dpop, mtls: *mtls };
    let explanation = examiner.explain_with(&request, &shown);
    match format {
        Format::Json => output::json(&explanation),
        Format::Table => output::text(&format!("{explanation}\n")),
    }
}

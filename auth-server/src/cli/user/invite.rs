//! `portcullis user invite`, and what becomes of invitations.

use clap::Args;
use serde_json::{Value, json};

use crate::cli::api;
use crate::cli::context::{Context, Format, operator};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::domain::ids::InvitationId;
use crate::domain::invitation::{Invitation, USUAL_DAYS};
use crate::services::invitations::InvitationForm;
use crate::services::paging::PageQuery;

/// Whom to invite.
#[derive(Args, Debug)]
pub(crate) struct Invite {
    /// Where to write to.
    email: String,
    /// The organisation that the account will belong to, and where its roles count. Without it: the first one, and everywhere.
    #[arg(long, value_name = "ORG")]
    organisation: Option<String>,
    /// Gives the account this role of an API: its audience or `admin`, a colon, and the name of the role. May be repeated.
    #[arg(long, value_name = "API:ROLE")]
    role: Vec<String>,
    /// For how many days the link works.
    #[arg(long, default_value_t = USUAL_DAYS)]
    days: u32,
}

pub(super) async fn run(context: &Context, invite: &Invite) -> Result<(), Failure> {
    let named: Vec<(&str, &str)> = invite.role.iter().map(|given| apart(given)).collect::<Result<_, _>>()?;
    let app = context.existing_app().await?;
    let mut roles = Vec::with_capacity(named.len());
    for (audience, role) in named {
        roles.push((api::find(&app, audience).await?.id.to_string(), role.to_owned()));
    }
    let form = InvitationForm {
        email: invite.email.clone(),
        organisation: invite.organisation.clone(),
        roles,
        days: Some(invite.days),
    };
    let invitation = app.invitations().create(&form, &operator()).await?;
    print(context.format, &[invitation])
}

pub(super) async fn list(context: &Context) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let (mut query, mut found) = (PageQuery::default(), Vec::new());
    loop {
        let page = app.invitations().list(&query).await?;
        found.extend(page.items);
        if page.next.is_none() {
            break;
        }
        query = PageQuery::new(page.next, None);
    }
    print(context.format, &found)
}

pub(super) async fn send_again(context: &Context, invitation: &str) -> Result<(), Failure> {
    let id = id(invitation)?;
    let sent = context.existing_app().await?.invitations().send_again(&id, &operator()).await?;
    print(context.format, &[sent])
}

pub(super) async fn take_back(context: &Context, invitation: &str) -> Result<(), Failure> {
    let id = id(invitation)?;
    context.existing_app().await?.invitations().delete(&id, &operator()).await?;
    let value = json!({ "id": id.as_str() });
    output::done(context.format, &value, &format!("{id} makes no account any more"))
}

/// The audience of an API may have colons, and the name of a role has none.
fn apart(given: &str) -> Result<(&str, &str), Failure> {
    given.rsplit_once(':').filter(|(api, role)| !api.is_empty() && !role.is_empty()).ok_or_else(|| {
        Failure::usage(format!(
            "--role {given}: expected an API and a role, such as https://orders.example:viewer"
        ))
    })
}

fn id(raw: &str) -> Result<InvitationId, Failure> {
    InvitationId::parse(raw).map_err(|_| {
        Failure::usage(format!("{raw} is no invitation: `user invitations` prints those that are"))
    })
}

fn print(format: Format, found: &[Invitation]) -> Result<(), Failure> {
    let shown: Vec<Value> = found
        .iter()
        .map(|invitation| {
            json!({
                "id": invitation.id.as_str(),
                "email": invitation.to.as_str(),
                "organisation": invitation.organisation.as_ref().map(ToString::to_string),
                "roles": invitation.roles,
                "invited_by": invitation.invited_by,
                "expires_at": invitation.expires_at.rfc3339(),
            })
        })
        .collect();
    let rows = found.iter().map(|invitation| {
        let Invitation { id, to, invited_by, expires_at, .. } = invitation;
        [id.to_string(), to.as_str().to_owned(), invited_by.clone(), expires_at.rfc3339()]
    });
    output::print(format, &shown, &Table::new(["ID", "E-MAIL", "INVITED BY", "UNTIL"], rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_colon_parts_an_api_and_a_role() {
        assert_eq!(
            apart("https://orders.example:8443/x:viewer").unwrap(),
            ("https://orders.example:8443/x", "viewer")
        );
        assert_eq!(apart("admin:auditor").unwrap(), ("admin", "auditor"));
        for bad in ["viewer", ":viewer", "admin:", ""] {
            assert!(apart(bad).is_err(), "{bad}");
        }
    }
}

//! Roles that a command gives along with what it creates.

use crate::app::App;
use crate::cli::exit::Failure;
use crate::domain::ids::ApiId;
use crate::services::assignments::AssignmentForm;
use crate::services::caller::Caller;

/// The API with this audience.
pub(crate) async fn api(app: &App, audience: &str) -> Result<ApiId, Failure> {
    match app.store().api_by_audience(audience).await? {
        Some(api) => Ok(api.id.clone()),
        None => Err(Failure::failed(format!("there is no API with the audience {audience}"))),
    }
}

/// Gives each role to a user or a client.
pub(crate) async fn grant_all(
    app: &App,
    api: &ApiId,
    subject: &str,
    roles: &[String],
    caller: &Caller,
) -> Result<(), Failure> {
    for role in roles {
        let form = AssignmentForm { role: role.clone(), subject: subject.to_owned(), organisation: None };
        app.assignments().grant(api, &form, caller).await?;
    }
    Ok(())
}

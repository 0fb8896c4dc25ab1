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

/// Makes sure that the API has every one of these roles, before anything is written.
pub(crate) async fn check_all(app: &App, api: &ApiId, roles: &[String]) -> Result<(), Failure> {
    if roles.is_empty() {
        return Ok(());
    }
    let known = app.roles().list(api).await?;
    let names: Vec<&str> = known.iter().map(|role| role.name.as_str()).collect();
    match roles.iter().find(|role| !names.contains(&role.as_str())) {
        None => Ok(()),
        Some(wrong) => {
            let near = names.iter().max_by(|one, other| {
                strsim::jaro_winkler(one, wrong).total_cmp(&strsim::jaro_winkler(other, wrong))
            });
            let advice = near.map_or_else(String::new, |near| format!(": did you mean {near}?"));
            Err(Failure::failed(format!("the API has no role {wrong}{advice}")))
        }
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

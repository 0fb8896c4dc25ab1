//! The passkeys of people.

use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::clock::Timestamp;
use crate::domain::ids::{PasskeyId, UserId};
use crate::http::admin::answer::{Answer, Done};
use crate::http::admin::caller::By;
use crate::http::admin::path::named;
use crate::http::admin::problem::Problem;
use crate::services::admin_error::Thing;
use crate::services::users::UserService;

/// A passkey of a user. Its key is nobody's business.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyDocument {
    #[schema(example = "pky_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c")]
    id: String,
    /// What the user calls it.
    name: String,
    created_at: String,
    /// When the user signed in with it last; null when that never was.
    last_used_at: Option<String>,
    /// When its authenticator said last that there are copies of it; null when it never did.
    backed_up_at: Option<String>,
}

/// The passkeys of a user: all of them, the oldest first.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyList {
    items: Vec<PasskeyDocument>,
}

/// Lists the passkeys of a user.
#[utoipa::path(get, path = "/users/{user}/passkeys", tag = "users", operation_id = "listPasskeys",
    params(("user" = String, Path)), responses((status = 200, body = PasskeyList)))]
pub(crate) async fn list(
    State(users): State<UserService>,
    Path(user): Path<String>,
) -> Result<Answer<PasskeyList>, Problem> {
    let found = users.passkeys(&named::<UserId>(&user, Thing::User)?).await?;
    let items = found.into_iter().map(|one| PasskeyDocument {
        id: one.id.to_string(),
        name: one.name,
        created_at: one.created_at.rfc3339(),
        last_used_at: one.last_used_at.map(Timestamp::rfc3339),
        backed_up_at: one.backed_up_at.map(Timestamp::rfc3339),
    });
    Ok(Answer::ok(PasskeyList { items: items.collect() }))
}

/// Removes a passkey of a user, and signs the user out everywhere.
#[utoipa::path(delete, path = "/users/{user}/passkeys/{passkey}", tag = "users", operation_id = "removePasskey",
    params(("user" = String, Path), ("passkey" = String, Path)),
    responses((status = 204, description = "It signs nobody in any more.")))]
pub(crate) async fn remove(
    State(users): State<UserService>,
    Path((user, passkey)): Path<(String, String)>,
    By(caller): By,
) -> Result<Done, Problem> {
    let user = named::<UserId>(&user, Thing::User)?;
    users.remove_passkey(&user, &named::<PasskeyId>(&passkey, Thing::Passkey)?, &caller).await?;
    Ok(Done)
}

//! `portcullis user passkeys` and `remove-passkey`.

use serde_json::json;

use crate::cli::context::{Context, operator};
use crate::cli::exit::Failure;
use crate::cli::output::{self, Table};
use crate::cli::user::named;
use crate::domain::clock::Timestamp;
use crate::domain::ids::PasskeyId;

pub(super) async fn list(context: &Context, username: &str) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let user = named(&app, username).await?;
    let found = app.users().passkeys(&user.id).await?;
    let shown: Vec<_> = found
        .iter()
        .map(|one| {
            json!({
                "id": one.id.as_str(),
                "name": one.name,
                "created_at": one.created_at.rfc3339(),
                "last_used_at": one.last_used_at.map(Timestamp::rfc3339),
                "backed_up_at": one.backed_up_at.map(Timestamp::rfc3339),
            })
        })
        .collect();
    let rows = found.iter().map(|one| {
        let last = one.last_used_at.map(Timestamp::rfc3339).unwrap_or_default();
        [one.id.to_string(), one.name.clone(), one.created_at.rfc3339(), last]
    });
    output::print(context.format, &shown, &Table::new(["ID", "NAME", "ADDED", "LAST USED"], rows))
}

pub(super) async fn remove(context: &Context, username: &str, passkey: &PasskeyId) -> Result<(), Failure> {
    let app = context.existing_app().await?;
    let user = named(&app, username).await?;
    app.users().remove_passkey(&user.id, passkey, &operator()).await?;
    let value = json!({ "username": username, "removed": passkey.as_str() });
    output::done(context.format, &value, &format!("{username} has the passkey {passkey} no longer"))
}

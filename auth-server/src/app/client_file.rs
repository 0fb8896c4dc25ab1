//! Clients as files, for commands: the documents of the admin API.

use crate::domain::client::Client;
use crate::http::admin::clients::file;
use crate::services::clients::form::ClientForm;
use crate::services::fields::FieldErrors;

/// Reads a client as the admin API takes it.
pub(crate) fn read(text: &str) -> Result<ClientForm, FieldErrors> {
    file::read(text)
}

/// Writes what the admin API would have to be sent so that nothing changes.
pub(crate) fn write(client: Client) -> Result<String, serde_json::Error> {
    file::write(client)
}

//! A client as a file: what is sent to make or change it, read and written without a request.

use super::{ClientInput, OptionsInput};
use crate::domain::client::{Client, FirstParty, KeySource};
use crate::domain::redirect_uri::RedirectUri;
use crate::http::admin::body;
use crate::http::admin::client_authentication::AuthenticationSettings;
use crate::http::admin::client_protocol::ProtocolDocument;
use crate::services::clients::form::ClientForm;
use crate::services::fields::FieldErrors;

/// Reads a client as a request does.
pub(crate) fn read(text: &str) -> Result<ClientForm, FieldErrors> {
    body::read::<ClientInput>(text.as_bytes()).map(ClientForm::from)
}

/// Writes what would leave the client as it is.
pub(crate) fn write(client: Client) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(&ClientInput::from(client))
}

impl From<Client> for ClientInput {
    fn from(client: Client) -> Self {
        let texts = |uris: &[RedirectUri]| -> Vec<String> {
            uris.iter().map(|uri| uri.as_str().to_owned()).collect()
        };
        let (jwks, jwks_uri) = match client.keys() {
            // What is stored was read as JSON before.
            Some(KeySource::Registered(jwks)) => (serde_json::from_str(jwks).ok(), None),
            Some(KeySource::At(url)) => (None, Some(url.to_string())),
            None => (None, None),
        };
        let authentication = AuthenticationSettings::of(&client);
        let settings = client.settings;
        Self {
            name: client.name,
            preset: settings.preset.as_str().to_owned(),
            organisation: client.organisation.map(|organisation| organisation.to_string()),
            redirect_uris: texts(&client.redirects),
            post_logout_redirect_uris: texts(&client.post_logout_redirects),
            scopes: Some(client.scopes.to_string()),
            apis: settings.apis.iter().map(ToString::to_string).collect(),
            serves: settings.serves.map(|api| api.to_string()),
            jwks,
            options: OptionsInput {
                profile: Some(settings.profile.as_str().to_owned()),
                first_party: settings.first_party == FirstParty::Yes,
                id_token_alg: Some(settings.id_token_alg.as_str().to_owned()),
                jwks_uri,
                authentication,
                protocol: ProtocolDocument::from(settings.protocol).with(settings.concessions),
                authorization_details_types: settings.details_types.iter().map(ToString::to_string).collect(),
            },
        }
    }
}

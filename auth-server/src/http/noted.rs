//! What is found out about a request on its way, for its line in the log.

use std::sync::{Arc, OnceLock};

use axum::extract::MatchedPath;
use http::Extensions;

use crate::domain::ids::ClientId;

/// What is found out about one request. The edge puts it into the extensions of the request and reads it when there is an answer; what
/// is written down first stays.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noted(Arc<Found>);

#[derive(Debug, Default)]
struct Found {
    route: OnceLock<MatchedPath>,
    client: OnceLock<ClientId>,
}

impl Noted {
    /// The route that the request matched.
    pub(crate) fn route(&self) -> Option<&MatchedPath> {
        self.0.route.get()
    }

    /// The client that sent the request, or that it says it comes from.
    pub(crate) fn client(&self) -> Option<&ClientId> {
        self.0.client.get()
    }

    pub(crate) fn note_route(&self, route: &MatchedPath) {
        _ = self.0.route.set(route.clone());
    }

    /// Writes down which client a request is of.
    pub(crate) fn note_client(extensions: &Extensions, client: &ClientId) {
        if let Some(noted) = extensions.get::<Self>() {
            _ = noted.0.client.set(client.clone());
        }
    }

    /// Writes down which client a request says it is of. What is no identifier may be anything, a password in the wrong field among it,
    /// and stays out of the log; so does an address with a query, in which a code may be.
    pub(crate) fn note_claimed(extensions: &Extensions, claimed: &str) {
        if let (Ok(client), false) = (ClientId::parse(claimed), claimed.contains('?')) {
            Self::note_client(extensions, &client);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "cli_0190c8b0a4e27f3a9d2f4b6c8e0a1b2c";

    #[test]
    fn the_first_client_stays_and_what_is_no_identifier_is_not_noted() {
        let (noted, mut extensions) = (Noted::default(), Extensions::new());
        extensions.insert(noted.clone());
        for odd in [
            "",
            "https://app.example/cb?code=s",
            "correct horse battery staple",
            "ada@example.com",
            "cli_\n",
            "pck_x",
        ] {
            Noted::note_claimed(&extensions, odd);
            assert_eq!(noted.client(), None, "{odd}");
        }
        Noted::note_claimed(&extensions, ID);
        Noted::note_claimed(&extensions, "https://app.example/client.json");
        assert_eq!(noted.client().map(ClientId::as_str), Some(ID));
    }
}

//! What clients that came by themselves look like.
//!
//! An image is fetched by the guarded way out when its address is said, written anew ([`picture`]), and shown from here: whoever looks at
//! it calls nobody else, and nothing of what was sent is handed on. Without an image there is none, and nothing else is different.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::domain::client_url::{ClientUrl, ClientUrlError};
use crate::domain::ids::ClientId;
use crate::domain::registration::Logo;
use crate::outbound::{Outbound, OutboundError};
use crate::services::registration::picture::{self, PictureError};
use crate::storage::{Store, StoreError, logos};

/// The longest image that is fetched.
const MAX_BYTES: usize = 256 * 1024;
/// Somebody may be waiting for the page that shows it.
const PATIENCE: Duration = Duration::from_secs(3);
/// Images that are fetched, or written anew, at once.
const AT_ONCE: usize = 4;

/// Fetches and keeps what clients look like.
#[derive(Clone)]
pub(crate) struct LogoService {
    store: Store,
    outbound: Outbound,
    turns: Arc<Semaphore>,
}

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
enum LogoError {
    #[error(transparent)]
    Address(#[from] ClientUrlError),
    #[error("too many images are under way")]
    Busy,
    #[error(transparent)]
    Outbound(#[from] OutboundError),
    #[error(transparent)]
    Picture(#[from] PictureError),
    #[error("it does not come in time")]
    Slow,
}

impl LogoService {
    pub(crate) fn new(store: Store, outbound: Outbound) -> Self {
        Self { store, outbound, turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Makes sure that the image of a client is the one at this address, or none. One that is kept is not fetched again.
    pub(super) async fn settle(&self, client: &ClientId, uri: Option<&str>) {
        if let Err(error) = self.tried(client, uri).await {
            tracing::warn!(client.id = %client, cause = %error, "the logo of a client is not kept");
        }
    }

    async fn tried(&self, client: &ClientId, uri: Option<&str>) -> Result<(), StoreError> {
        let kept = logos::uri(&mut self.store.read().await?, client).await?;
        if kept.as_deref() == uri {
            return Ok(());
        }
        let fetched = match uri {
            None => None,
            Some(uri) => self.fetched(uri).await.map_or_else(
                |error| {
                    tracing::info!(client.id = %client, cause = %error, "the logo of a client is not shown");
                    None
                },
                Some,
            ),
        };
        if kept.is_none() && fetched.is_none() {
            return Ok(());
        }
        let client = client.clone();
        self.store
            .write(move |tx| {
                Box::pin(async move {
                    match fetched {
                        Some(logo) => logos::keep(tx, &client, &logo).await,
                        None => logos::forget(tx, &client).await,
                    }
                })
            })
            .await
    }

    /// The image of this name, as it is served.
    pub(crate) async fn image(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        logos::image(&mut self.store.read().await?, name).await
    }

    async fn fetched(&self, uri: &str) -> Result<Logo, LogoError> {
        let url = ClientUrl::parse(uri)?;
        let turn = Arc::clone(&self.turns).try_acquire_owned().map_err(|_| LogoError::Busy)?;
        let fetch = self.outbound.fetch(&url, MAX_BYTES, "image/png, image/jpeg, image/webp");
        let document = timeout(PATIENCE, fetch).await.map_err(|_| LogoError::Slow)??;
        // What takes pictures apart is held off the threads that answer requests, and to an end that is not ours.
        let work = move || {
            let _turn = turn;
            picture::rewritten(&document.body)
        };
        let image = tokio::task::spawn_blocking(work).await.map_err(|_| PictureError::Unreadable)??;
        Ok(Logo { uri: uri.to_owned(), image })
    }
}

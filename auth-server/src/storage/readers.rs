//! The connections that read a SQLite file beside the one that writes it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use scopeguard::ScopeGuard;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::storage::StoreError;
use crate::storage::error::DriverError;
use crate::storage::sqlite::Opening;

/// Connections that are opened when they are needed, and kept.
pub(super) struct Readers {
    opening: Opening,
    places: Arc<Semaphore>,
    most: u32,
    /// The one that was used last is used next: its memory is warm.
    idle: Arc<Idle>,
}

type Idle = Mutex<Vec<Connection>>;

/// A connection that is given back when it is dropped.
pub(super) type Reader = ScopeGuard<Lent, fn(Lent)>;

/// A connection, and where it goes back to.
pub(super) struct Lent {
    pub(super) connection: Connection,
    idle: Arc<Idle>,
    place: OwnedSemaphorePermit,
}

impl Lent {
    fn give_back(self) {
        let Self { connection, idle, place } = self;
        idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        // Whoever waits for the place finds the connection.
        drop(place);
    }
}

impl Readers {
    pub(super) fn new(opening: Opening, most: u32) -> Self {
        let places = Arc::new(Semaphore::new(most as usize));
        Self { opening, places, most, idle: Arc::default() }
    }

    /// A connection to read from, within the time that a request waits for one.
    pub(super) async fn acquire(&self, patience: Duration) -> Result<Reader, StoreError> {
        let place = match Arc::clone(&self.places).try_acquire_owned() {
            Ok(place) => place,
            Err(_) => timeout(patience, Arc::clone(&self.places).acquire_owned())
                .await
                .map_err(|_| StoreError::Busy)?
                .map_err(|_| closed())?,
        };
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match waiting {
            Some(connection) => connection,
            None => self.opening.connect().map_err(DriverError::from)?,
        };
        let lent = Lent { connection, idle: Arc::clone(&self.idle), place };
        Ok(scopeguard::guard(lent, Lent::give_back))
    }

    /// Closes every connection once it is given back.
    pub(super) async fn close(&self) {
        // It fails only when they are closed already.
        let every = self.places.acquire_many(self.most).await;
        self.places.close();
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        drop(every);
    }
}

fn closed() -> StoreError {
    StoreError::Unavailable { reason: "the connection is closed".to_owned() }
}

//! Devices that wait for somebody to type their code elsewhere.

use std::time::Duration;

use crate::domain::clock::Timestamp;
use crate::domain::decoupled::{Decision, PollState};
use crate::domain::device::DeviceRequest;
use crate::domain::ids::ClientId;
use crate::domain::secret::Digest32;
use crate::storage::row::Row;
use crate::storage::{StoreError, Tx, polled};

const INSERT: &str = "
    INSERT INTO device_authorizations (digest, user_code, client_id, scopes, api_id, address, created_at, expires_at,
                                       interval_micros, next_poll_at)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $7)
        ON CONFLICT (user_code) DO NOTHING";
const FIND: &str = "
    SELECT client_id, scopes, api_id, address, created_at, expires_at, COALESCE(allowed_at, denied_at) AS decided_at,
           digest
      FROM device_authorizations WHERE user_code = $1";
const ALLOW: &str = "
    UPDATE device_authorizations SET allowed_at = $2
     WHERE digest = $1 AND allowed_at IS NULL AND denied_at IS NULL AND expires_at > $2";
const DENY: &str = "
    UPDATE device_authorizations SET denied_at = $2
     WHERE digest = $1 AND allowed_at IS NULL AND denied_at IS NULL AND expires_at > $2";
const POLL: &str = "
    UPDATE device_authorizations
       SET interval_micros = CASE WHEN next_poll_at > $3 THEN interval_micros + $4 ELSE interval_micros END,
           hurried_at = CASE WHEN next_poll_at > $3 THEN CAST($3 AS BIGINT) ELSE NULL END,
           next_poll_at = CAST($3 AS BIGINT) - CAST($5 AS BIGINT) +
               CASE WHEN next_poll_at > $3 THEN interval_micros + $4 ELSE interval_micros END
     WHERE digest = $1 AND client_id = $2
 RETURNING expires_at, allowed_at, denied_at, hurried_at";

#[cfg(test)]
pub(super) const STATEMENTS: &[&str] = &[INSERT, FIND, ALLOW, DENY, POLL];

/// A device authorization that is about to be handed out.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// The digest of the device code.
    pub digest: Digest32,
    /// The digest of the code that a person types.
    pub user_code: Digest32,
    /// What is asked for.
    pub request: DeviceRequest,
    /// How long the device has to wait between two questions.
    pub interval: Duration,
}

/// A device authorization that somebody named by its code.
#[derive(Clone, Debug)]
pub struct NamedDevice {
    /// The digest of the device code.
    pub digest: Digest32,
    /// What is asked for.
    pub request: DeviceRequest,
}

/// Adds a device authorization; `false` when its user code is taken.
pub async fn insert(tx: &mut Tx, device: &NewDevice) -> Result<bool, StoreError> {
    let request = &device.request;
    let values = [
        (&device.digest).into(),
        (&device.user_code).into(),
        (&request.client).into(),
        request.scopes.to_string().into(),
        request.resource.as_ref().into(),
        request.address.map(|address| address.to_string()).into(),
        request.created_at.into(),
        request.expires_at.into(),
        polled::micros(device.interval).into(),
    ];
    Ok(tx.execute(INSERT, &values).await? > 0)
}

/// The device authorization whose code a person types, in whatever state.
pub async fn find_by_user_code(tx: &mut Tx, code: &Digest32) -> Result<Option<NamedDevice>, StoreError> {
    tx.fetch_optional(FIND, &[code.into()]).await?.as_ref().map(read).transpose()
}

/// Notes what a person decided: `true` for exactly one caller, and never after it expired.
pub async fn decide(
    tx: &mut Tx,
    digest: &Digest32,
    decision: Decision,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let statement = match decision {
        Decision::Allow => ALLOW,
        Decision::Deny => DENY,
    };
    Ok(tx.execute(statement, &[digest.into(), now.into()]).await? > 0)
}

/// A device asks what was decided: how often it may, `polled` says.
pub async fn poll(
    tx: &mut Tx,
    digest: &Digest32,
    client: &ClientId,
    now: Timestamp,
) -> Result<Option<PollState>, StoreError> {
    polled::poll(tx, POLL, (digest, client), now).await
}

fn read(row: &Row) -> Result<NamedDevice, StoreError> {
    let request = DeviceRequest {
        client: row.get(0)?,
        scopes: row.get(1)?,
        resource: row.get(2)?,
        address: row.get(3)?,
        created_at: row.get(4)?,
        expires_at: row.get(5)?,
        decided_at: row.get(6)?,
    };
    Ok(NamedDevice { digest: row.get(7)?, request })
}

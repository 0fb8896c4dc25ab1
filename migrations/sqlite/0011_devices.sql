-- Devices that wait for somebody to type their code elsewhere (RFC 8628): of both codes only the digests.
CREATE TABLE device_authorizations (
    digest BLOB NOT NULL PRIMARY KEY,
    user_code BLOB NOT NULL UNIQUE,
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL,
    api_id TEXT REFERENCES apis (id) ON DELETE CASCADE,
    address TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- How long the device has to wait between two questions, when it may ask next, and when it asked too soon.
    interval_micros INTEGER NOT NULL,
    next_poll_at INTEGER NOT NULL,
    hurried_at INTEGER,
    -- At most one of them.
    allowed_at INTEGER,
    denied_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX device_authorizations_client ON device_authorizations (client_id);
CREATE INDEX device_authorizations_api ON device_authorizations (api_id);
CREATE INDEX device_authorizations_expiry ON device_authorizations (expires_at);

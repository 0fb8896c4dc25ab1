-- Devices that wait for somebody to type their code elsewhere (RFC 8628): of both codes only the digests.
CREATE TABLE device_authorizations (
    digest BYTEA NOT NULL PRIMARY KEY,
    user_code BYTEA NOT NULL UNIQUE,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    scopes TEXT COLLATE "C" NOT NULL,
    api_id TEXT COLLATE "C" REFERENCES apis (id) ON DELETE CASCADE,
    address TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- How long the device has to wait between two questions, when it may ask next, and when it asked too soon.
    interval_micros BIGINT NOT NULL,
    next_poll_at BIGINT NOT NULL,
    hurried_at BIGINT,
    -- At most one of them.
    allowed_at BIGINT,
    denied_at BIGINT
);
CREATE INDEX device_authorizations_client ON device_authorizations (client_id);
CREATE INDEX device_authorizations_api ON device_authorizations (api_id);
CREATE INDEX device_authorizations_expiry ON device_authorizations (expires_at);

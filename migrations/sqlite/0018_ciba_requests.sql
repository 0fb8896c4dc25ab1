-- Sign-ins that clients start from behind (CIBA): of what they ask with only the digest. People see them by another name.
CREATE TABLE ciba_requests (
    digest BLOB NOT NULL PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    -- Who is asked, and nobody else.
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    scopes TEXT NOT NULL,
    api_id TEXT REFERENCES apis (id) ON DELETE CASCADE,
    binding_message TEXT,
    -- What it asks of the sign-in.
    wishes TEXT NOT NULL,
    address TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    -- How long the client has to wait between two questions, when it may ask next, and when it asked too soon.
    interval_micros INTEGER NOT NULL,
    next_poll_at INTEGER NOT NULL,
    hurried_at INTEGER,
    -- At most one of them.
    allowed_at INTEGER,
    denied_at INTEGER,
    -- What the client is told once somebody decided, sealed; gone when it was told, or is told no more.
    ping BLOB,
    ping_due_at INTEGER,
    ping_attempts INTEGER NOT NULL,
    ping_leased_until INTEGER,
    ping_lease_token TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX ciba_requests_client ON ciba_requests (client_id);
CREATE INDEX ciba_requests_user ON ciba_requests (user_id, expires_at);
CREATE INDEX ciba_requests_api ON ciba_requests (api_id);
CREATE INDEX ciba_requests_expiry ON ciba_requests (expires_at);
CREATE INDEX ciba_requests_ping ON ciba_requests (ping_due_at) WHERE ping_due_at IS NOT NULL;

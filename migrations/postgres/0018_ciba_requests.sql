-- Sign-ins that clients start from behind (CIBA): of what they ask with only the digest. People see them by another name.
CREATE TABLE ciba_requests (
    digest BYTEA NOT NULL PRIMARY KEY,
    id TEXT COLLATE "C" NOT NULL UNIQUE,
    client_id TEXT COLLATE "C" NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    -- Who is asked, and nobody else.
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    scopes TEXT COLLATE "C" NOT NULL,
    api_id TEXT COLLATE "C" REFERENCES apis (id) ON DELETE CASCADE,
    binding_message TEXT COLLATE "C",
    -- What it asks of the sign-in.
    wishes TEXT COLLATE "C" NOT NULL,
    address TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    -- How long the client has to wait between two questions, when it may ask next, and when it asked too soon.
    interval_micros BIGINT NOT NULL,
    next_poll_at BIGINT NOT NULL,
    hurried_at BIGINT,
    -- At most one of them.
    allowed_at BIGINT,
    denied_at BIGINT,
    -- What the client is told once somebody decided, sealed; gone when it was told, or is told no more.
    ping BYTEA,
    ping_due_at BIGINT,
    ping_attempts BIGINT NOT NULL,
    ping_leased_until BIGINT,
    ping_lease_token TEXT COLLATE "C"
);
CREATE INDEX ciba_requests_client ON ciba_requests (client_id);
CREATE INDEX ciba_requests_user ON ciba_requests (user_id, expires_at);
CREATE INDEX ciba_requests_api ON ciba_requests (api_id);
CREATE INDEX ciba_requests_expiry ON ciba_requests (expires_at);
CREATE INDEX ciba_requests_ping ON ciba_requests (ping_due_at) WHERE ping_due_at IS NOT NULL;

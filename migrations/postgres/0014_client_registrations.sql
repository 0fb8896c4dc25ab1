-- Clients that registered themselves or describe themselves in a document of their own, and the tokens that let them register.
CREATE TABLE client_registrations (
    client_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    source TEXT COLLATE "C" NOT NULL,
    about TEXT COLLATE "C" NOT NULL,
    allowance TEXT COLLATE "C",
    initial_token_id TEXT COLLATE "C",
    token_digest BYTEA,
    previous_digest BYTEA,
    created_at BIGINT NOT NULL,
    fetched_at BIGINT,
    fresh_until BIGINT,
    review_at BIGINT NOT NULL
);
CREATE INDEX client_registrations_review ON client_registrations (review_at);

CREATE TABLE initial_access_tokens (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    digest BYTEA NOT NULL,
    name TEXT COLLATE "C" NOT NULL,
    allowance TEXT COLLATE "C" NOT NULL,
    uses_left BIGINT NOT NULL,
    created_by TEXT COLLATE "C" NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX initial_access_tokens_digest ON initial_access_tokens (digest);
CREATE INDEX initial_access_tokens_expiry ON initial_access_tokens (expires_at);

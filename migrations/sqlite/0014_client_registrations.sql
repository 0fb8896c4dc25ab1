-- Clients that registered themselves or describe themselves in a document of their own, and the tokens that let them register.
CREATE TABLE client_registrations (
    client_id TEXT NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    about TEXT NOT NULL,
    allowance TEXT,
    initial_token_id TEXT,
    token_digest BLOB,
    previous_digest BLOB,
    created_at INTEGER NOT NULL,
    fetched_at INTEGER,
    fresh_until INTEGER,
    review_at INTEGER NOT NULL
) STRICT;
CREATE INDEX client_registrations_review ON client_registrations (review_at);

CREATE TABLE initial_access_tokens (
    id TEXT NOT NULL PRIMARY KEY,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    allowance TEXT NOT NULL,
    uses_left INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX initial_access_tokens_digest ON initial_access_tokens (digest);
CREATE INDEX initial_access_tokens_expiry ON initial_access_tokens (expires_at);

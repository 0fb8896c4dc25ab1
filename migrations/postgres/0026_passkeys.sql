-- The passkeys of accounts: public keys, each known by the digest of the name that its authenticator gave it.
CREATE TABLE passkeys (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest BYTEA NOT NULL,
    credential TEXT NOT NULL,
    name TEXT NOT NULL,
    signatures BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    backed_up_at BIGINT
);
CREATE UNIQUE INDEX passkeys_digest ON passkeys (digest);
CREATE INDEX passkeys_user ON passkeys (user_id, id);

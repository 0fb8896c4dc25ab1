-- The passkeys of accounts: public keys, each known by the digest of the name that its authenticator gave it.
CREATE TABLE passkeys (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    credential TEXT NOT NULL,
    name TEXT NOT NULL,
    signatures INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_used_at INTEGER,
    backed_up_at INTEGER
) STRICT;
CREATE UNIQUE INDEX passkeys_digest ON passkeys (digest);
CREATE INDEX passkeys_user ON passkeys (user_id, id);

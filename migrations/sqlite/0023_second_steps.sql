-- A flow keeps when the person last proved who they are in the session that was there when it began: a session is renewed in place.
ALTER TABLE interactions ADD COLUMN prior_auth_time INTEGER;

-- The second step of a sign-in: the secret that makes codes, sealed, and how often codes were guessed wrong since the last right one.
CREATE TABLE second_steps (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL
) STRICT;

-- What gets somebody in who lost the device: keyed digests, each good for once.
CREATE TABLE recovery_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (user_id, digest)
) STRICT;

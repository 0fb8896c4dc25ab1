-- A flow keeps when the person last proved who they are in the session that was there when it began: a session is renewed in place.
ALTER TABLE interactions ADD COLUMN prior_auth_time BIGINT;

-- The second step of a sign-in: the secret that makes codes, sealed, and how often codes were guessed wrong since the last right one.
CREATE TABLE second_steps (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    sealed BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    next_try_at BIGINT NOT NULL
);

-- What gets somebody in who lost the device: keyed digests, each good for once.
CREATE TABLE recovery_codes (
    user_id TEXT COLLATE "C" NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest BYTEA NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT,
    PRIMARY KEY (user_id, digest)
);

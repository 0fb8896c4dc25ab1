-- Sign-ins that wait for the code of a letter, each in the browser that asked: digests, and how many codes were tried.
CREATE TABLE letter_sign_ins (
    digest BYTEA NOT NULL PRIMARY KEY,
    browser BYTEA NOT NULL,
    user_id TEXT COLLATE "C" REFERENCES users (id) ON DELETE CASCADE,
    code BYTEA NOT NULL,
    state BYTEA NOT NULL,
    errand TEXT NOT NULL,
    tries BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
CREATE INDEX letter_sign_ins_expiry ON letter_sign_ins (expires_at);
CREATE INDEX letter_sign_ins_user ON letter_sign_ins (user_id);

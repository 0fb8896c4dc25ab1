-- Sign-ins that wait for the code of a letter, each in the browser that asked: digests, and how many codes were tried.
CREATE TABLE letter_sign_ins (
    digest BLOB NOT NULL PRIMARY KEY,
    browser BLOB NOT NULL,
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    code BLOB NOT NULL,
    state BLOB NOT NULL,
    errand TEXT NOT NULL,
    tries INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at INTEGER
) STRICT;
CREATE INDEX letter_sign_ins_expiry ON letter_sign_ins (expires_at);
CREATE INDEX letter_sign_ins_user ON letter_sign_ins (user_id);

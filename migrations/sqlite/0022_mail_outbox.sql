-- Letters to people: written with what they tell of, and sent until they are taken or given up. Whom a letter goes to and what it
-- says is sealed, and gone once the letter is settled; the tally is a keyed digest, to count how many an address was sent.
CREATE TABLE mail_outbox (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id TEXT,
    tally BLOB NOT NULL,
    sealed BLOB,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    state TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    settled_at INTEGER,
    last_error TEXT,
    leased_until INTEGER,
    lease_token TEXT
) STRICT;
CREATE INDEX mail_outbox_tally ON mail_outbox (tally, created_at) WHERE state <> 'void';
CREATE INDEX mail_outbox_due ON mail_outbox (due_at) WHERE settled_at IS NULL;
CREATE INDEX mail_outbox_settled ON mail_outbox (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX mail_outbox_user ON mail_outbox (user_id) WHERE user_id IS NOT NULL;

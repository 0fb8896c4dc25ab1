-- Letters to people: written with what they tell of, and sent until they are taken or given up. Whom a letter goes to and what it
-- says is sealed, and gone once the letter is settled; the tally is a keyed digest, to count how many an address was sent.
CREATE TABLE mail_outbox (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    user_id TEXT,
    tally BYTEA NOT NULL,
    sealed BYTEA,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    attempts BIGINT NOT NULL,
    state TEXT NOT NULL,
    due_at BIGINT NOT NULL,
    settled_at BIGINT,
    last_error TEXT,
    leased_until BIGINT,
    lease_token TEXT
);
CREATE INDEX mail_outbox_tally ON mail_outbox (tally, created_at) WHERE state <> 'void';
CREATE INDEX mail_outbox_due ON mail_outbox (due_at) WHERE settled_at IS NULL;
CREATE INDEX mail_outbox_settled ON mail_outbox (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX mail_outbox_user ON mail_outbox (user_id) WHERE user_id IS NOT NULL;

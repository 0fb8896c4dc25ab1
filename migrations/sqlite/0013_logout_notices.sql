-- What clients are to be told of the end of a session: written with that end, and sent until it is taken or given up.
CREATE TABLE logout_notices (
    id TEXT NOT NULL PRIMARY KEY,
    session_id TEXT NOT NULL,
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    subject TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    state TEXT NOT NULL,
    due_at INTEGER NOT NULL,
    settled_at INTEGER,
    last_error TEXT,
    leased_until INTEGER,
    lease_token TEXT
) STRICT;
CREATE UNIQUE INDEX logout_notices_session ON logout_notices (session_id, client_id);
CREATE INDEX logout_notices_client ON logout_notices (client_id);
CREATE INDEX logout_notices_state ON logout_notices (state, id);
CREATE INDEX logout_notices_due ON logout_notices (due_at) WHERE settled_at IS NULL;
CREATE INDEX logout_notices_settled ON logout_notices (settled_at) WHERE settled_at IS NOT NULL;

-- Accounts that administrators offer: whom to, where the account belongs and which roles it gets. The link lies as a digest among what
-- counts once; the one that stands here is the last that was sent, and the only one that works.
CREATE TABLE invitations (
    id TEXT NOT NULL PRIMARY KEY,
    email TEXT NOT NULL,
    organisation_id TEXT REFERENCES organisations (id),
    roles TEXT NOT NULL,
    invited_by TEXT NOT NULL,
    link BLOB NOT NULL,
    days INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;
CREATE INDEX invitations_expiry ON invitations (expires_at);

-- Accounts that administrators offer: whom to, where the account belongs and which roles it gets. The link lies as a digest among what
-- counts once; the one that stands here is the last that was sent, and the only one that works.
CREATE TABLE invitations (
    id TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    email TEXT COLLATE "C" NOT NULL,
    organisation_id TEXT COLLATE "C" REFERENCES organisations (id),
    roles TEXT COLLATE "C" NOT NULL,
    invited_by TEXT COLLATE "C" NOT NULL,
    link BYTEA NOT NULL,
    days BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX invitations_expiry ON invitations (expires_at);

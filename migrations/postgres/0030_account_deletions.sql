-- Accounts whose owners want them deleted, and when that is done. Each of them is switched off meanwhile; barred_at: an administrator
-- switched it off as well, and then its owner does not take it back.
CREATE TABLE account_deletions (
    user_id TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    asked_at BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    barred_at BIGINT
);
CREATE INDEX account_deletions_due ON account_deletions (due_at, user_id);

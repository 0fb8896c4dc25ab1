-- Accounts whose owners want them deleted, and when that is done. Each of them is switched off meanwhile; barred_at: an administrator
-- switched it off as well, and then its owner does not take it back.
CREATE TABLE account_deletions (
    user_id TEXT NOT NULL PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    asked_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    barred_at INTEGER
) STRICT;
CREATE INDEX account_deletions_due ON account_deletions (due_at, user_id);

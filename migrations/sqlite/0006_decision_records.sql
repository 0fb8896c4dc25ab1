-- What services were asked: each request once a day, with how often. Days are counted from 1970-01-01.
CREATE TABLE decision_records (
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    day INTEGER NOT NULL,
    digest BLOB NOT NULL,
    subject TEXT NOT NULL,
    pseudonymous INTEGER NOT NULL,
    roles TEXT NOT NULL,
    domain TEXT NOT NULL,
    object TEXT NOT NULL,
    action TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    decisions INTEGER NOT NULL,
    PRIMARY KEY (api_id, day, digest)
) STRICT, WITHOUT ROWID;
-- What somebody asked is forgotten with them.
CREATE INDEX decision_records_subject ON decision_records (subject);

-- How much of that there is, and how many decisions are not among it.
CREATE TABLE decision_days (
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    day INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    decisions INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    PRIMARY KEY (api_id, day)
) STRICT, WITHOUT ROWID;
CREATE INDEX decision_days_day ON decision_days (day);

-- Rules that services try beside those in force. They report only what they would decide otherwise.
CREATE TABLE policy_shadows (
    api_id TEXT NOT NULL PRIMARY KEY REFERENCES apis (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    rules TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    started_by TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    requests INTEGER NOT NULL,
    decisions INTEGER NOT NULL,
    lost INTEGER NOT NULL
) STRICT;
CREATE TABLE shadow_records (
    api_id TEXT NOT NULL REFERENCES policy_shadows (api_id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    subject TEXT NOT NULL,
    pseudonymous INTEGER NOT NULL,
    roles TEXT NOT NULL,
    domain TEXT NOT NULL,
    object TEXT NOT NULL,
    action TEXT NOT NULL,
    allowed INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    decisions INTEGER NOT NULL,
    PRIMARY KEY (api_id, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX shadow_records_subject ON shadow_records (subject);
-- The digest of the rules that services are to try.
ALTER TABLE apis ADD COLUMN shadow BLOB;

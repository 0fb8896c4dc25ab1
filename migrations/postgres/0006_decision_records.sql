-- What services were asked: each request once a day, with how often. Days are counted from 1970-01-01.
CREATE TABLE decision_records (
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    day BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    subject TEXT NOT NULL,
    pseudonymous BIGINT NOT NULL,
    roles TEXT NOT NULL,
    domain TEXT NOT NULL,
    object TEXT NOT NULL,
    action TEXT NOT NULL,
    allowed BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    decisions BIGINT NOT NULL,
    PRIMARY KEY (api_id, day, digest)
);
-- What somebody asked is forgotten with them.
CREATE INDEX decision_records_subject ON decision_records (subject);

-- How much of that there is, and how many decisions are not among it.
CREATE TABLE decision_days (
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    day BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    decisions BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    PRIMARY KEY (api_id, day)
);
CREATE INDEX decision_days_day ON decision_days (day);

-- Rules that services try beside those in force. They report only what they would decide otherwise.
CREATE TABLE policy_shadows (
    api_id TEXT NOT NULL PRIMARY KEY REFERENCES apis (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    rules TEXT NOT NULL,
    sha256 BYTEA NOT NULL,
    started_by TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    requests BIGINT NOT NULL,
    decisions BIGINT NOT NULL,
    lost BIGINT NOT NULL
);
CREATE TABLE shadow_records (
    api_id TEXT NOT NULL REFERENCES policy_shadows (api_id) ON DELETE CASCADE,
    digest BYTEA NOT NULL,
    subject TEXT NOT NULL,
    pseudonymous BIGINT NOT NULL,
    roles TEXT NOT NULL,
    domain TEXT NOT NULL,
    object TEXT NOT NULL,
    action TEXT NOT NULL,
    allowed BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    decisions BIGINT NOT NULL,
    PRIMARY KEY (api_id, digest)
);
CREATE INDEX shadow_records_subject ON shadow_records (subject);
-- The digest of the rules that services are to try.
ALTER TABLE apis ADD COLUMN shadow BYTEA;

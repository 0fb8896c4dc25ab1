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

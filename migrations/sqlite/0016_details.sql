-- The scopes that an API has. Empty: it names none.
ALTER TABLE apis ADD COLUMN scopes TEXT NOT NULL DEFAULT '';

-- The APIs of a grant that is for several (RFC 8707); `api_id` holds the one of a grant that is for one.
ALTER TABLE grants ADD COLUMN apis TEXT NOT NULL DEFAULT '';

-- What was allowed in detail (RFC 9396), as JSON; with a consent only what is remembered.
ALTER TABLE grants ADD COLUMN details TEXT NOT NULL DEFAULT '[]';
ALTER TABLE consents ADD COLUMN details TEXT NOT NULL DEFAULT '[]';

-- The types of details. Schema and labels are JSON.
CREATE TABLE details_types (
    name TEXT NOT NULL PRIMARY KEY,
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    title TEXT NOT NULL,
    schema TEXT NOT NULL,
    labels TEXT NOT NULL,
    consent TEXT NOT NULL
) STRICT;
CREATE INDEX details_types_api ON details_types (api_id);

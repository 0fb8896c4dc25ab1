-- The scopes that an API has. Empty: it names none.
ALTER TABLE apis ADD COLUMN scopes TEXT COLLATE "C" NOT NULL DEFAULT '';

-- The APIs of a grant that is for several (RFC 8707); `api_id` holds the one of a grant that is for one.
ALTER TABLE grants ADD COLUMN apis TEXT COLLATE "C" NOT NULL DEFAULT '';

-- What was allowed in detail (RFC 9396), as JSON; with a consent only what is remembered.
ALTER TABLE grants ADD COLUMN details TEXT COLLATE "C" NOT NULL DEFAULT '[]';
ALTER TABLE consents ADD COLUMN details TEXT COLLATE "C" NOT NULL DEFAULT '[]';

-- The types of details. Schema and labels are JSON.
CREATE TABLE details_types (
    name TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    api_id TEXT COLLATE "C" NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    title TEXT COLLATE "C" NOT NULL,
    schema TEXT COLLATE "C" NOT NULL,
    labels TEXT COLLATE "C" NOT NULL,
    consent TEXT COLLATE "C" NOT NULL
);
CREATE INDEX details_types_api ON details_types (api_id);

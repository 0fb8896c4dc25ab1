-- What services say about their routes, by API and by the digest of what was said. A version that was not given is an empty text.
CREATE TABLE route_inventories (
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    digest BLOB NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    route_count INTEGER NOT NULL,
    document TEXT NOT NULL,
    announced_by TEXT NOT NULL,
    announced_at INTEGER NOT NULL,
    decided_by TEXT,
    decided_at INTEGER,
    PRIMARY KEY (api_id, digest)
) STRICT;

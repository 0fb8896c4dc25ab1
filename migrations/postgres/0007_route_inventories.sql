-- What services say about their routes, by API and by the digest of what was said. A version that was not given is an empty text.
CREATE TABLE route_inventories (
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    digest BYTEA NOT NULL,
    version TEXT NOT NULL,
    state TEXT NOT NULL,
    route_count BIGINT NOT NULL,
    document TEXT NOT NULL,
    announced_by TEXT NOT NULL,
    announced_at BIGINT NOT NULL,
    decided_by TEXT,
    decided_at BIGINT,
    PRIMARY KEY (api_id, digest)
);

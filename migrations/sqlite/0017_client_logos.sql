-- What clients that came by themselves look like: fetched once, and written anew.
CREATE TABLE client_logos (
    client_id TEXT NOT NULL PRIMARY KEY REFERENCES clients (id) ON DELETE CASCADE,
    uri TEXT NOT NULL,
    name TEXT NOT NULL,
    image BLOB NOT NULL
) STRICT;
CREATE INDEX client_logos_name ON client_logos (name);

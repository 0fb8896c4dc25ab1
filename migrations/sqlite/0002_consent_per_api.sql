-- Consent is given for one API at a time; what was given before named none.
CREATE TABLE consents_by_api (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id TEXT NOT NULL REFERENCES clients (id) ON DELETE CASCADE,
    api_id TEXT NOT NULL,
    scopes TEXT NOT NULL,
    granted_at INTEGER NOT NULL,
    PRIMARY KEY (user_id, client_id, api_id)
) STRICT;
INSERT INTO consents_by_api (user_id, client_id, api_id, scopes, granted_at)
    SELECT user_id, client_id, '', scopes, granted_at FROM consents;
DROP TABLE consents;
ALTER TABLE consents_by_api RENAME TO consents;
CREATE INDEX consents_client ON consents (client_id);

-- What the refresh tokens of a grant are bound to: a key (RFC 9449 section 5) or a certificate (RFC 8705 section 4) of the client.
ALTER TABLE grants ADD COLUMN bound_jkt TEXT;
ALTER TABLE grants ADD COLUMN bound_x5t TEXT;

-- The proof that a refresh token was bought with. It is used up together with what it bought, in one statement.
ALTER TABLE refresh_tokens ADD COLUMN proof BLOB;
ALTER TABLE refresh_tokens ADD COLUMN proof_good_until INTEGER;
CREATE TRIGGER refresh_tokens_use_proof AFTER INSERT ON refresh_tokens WHEN NEW.proof IS NOT NULL
BEGIN
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    VALUES ('dpop_proof', NEW.proof, 'null', NEW.issued_at, NEW.proof_good_until, NEW.issued_at);
END;

-- A client may have two secrets while it changes from one to the other.
ALTER TABLE clients ADD COLUMN secret_created_at INTEGER;
ALTER TABLE clients ADD COLUMN old_secret_digest BLOB;
ALTER TABLE clients ADD COLUMN old_secret_created_at INTEGER;
UPDATE clients SET secret_created_at = created_at WHERE secret_digest IS NOT NULL;

-- When a secret was used last, to some minutes.
CREATE TABLE client_secret_uses (
    digest BLOB NOT NULL PRIMARY KEY,
    client_id TEXT NOT NULL,
    last_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX client_secret_uses_client ON client_secret_uses (client_id);

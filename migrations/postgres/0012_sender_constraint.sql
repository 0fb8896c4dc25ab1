-- What the refresh tokens of a grant are bound to: a key (RFC 9449 section 5) or a certificate (RFC 8705 section 4) of the client.
ALTER TABLE grants ADD COLUMN bound_jkt TEXT COLLATE "C";
ALTER TABLE grants ADD COLUMN bound_x5t TEXT COLLATE "C";

-- The proof that a refresh token was bought with. It is used up together with what it bought, in one statement.
ALTER TABLE refresh_tokens ADD COLUMN proof BYTEA;
ALTER TABLE refresh_tokens ADD COLUMN proof_good_until BIGINT;
CREATE FUNCTION refresh_tokens_use_proof() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    VALUES ('dpop_proof', NEW.proof, 'null', NEW.issued_at, NEW.proof_good_until, NEW.issued_at);
    RETURN NULL;
END;
$$;
CREATE TRIGGER refresh_tokens_use_proof AFTER INSERT ON refresh_tokens
    FOR EACH ROW WHEN (NEW.proof IS NOT NULL) EXECUTE FUNCTION refresh_tokens_use_proof();

-- A client may have two secrets while it changes from one to the other.
ALTER TABLE clients ADD COLUMN secret_created_at BIGINT;
ALTER TABLE clients ADD COLUMN old_secret_digest BYTEA;
ALTER TABLE clients ADD COLUMN old_secret_created_at BIGINT;
UPDATE clients SET secret_created_at = created_at WHERE secret_digest IS NOT NULL;

-- When a secret was used last, to some minutes.
CREATE TABLE client_secret_uses (
    digest BYTEA NOT NULL PRIMARY KEY,
    client_id TEXT COLLATE "C" NOT NULL,
    last_used_at BIGINT NOT NULL
);
CREATE INDEX client_secret_uses_client ON client_secret_uses (client_id);

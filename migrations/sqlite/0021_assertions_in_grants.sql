-- The assertion by which a client showed who it is, where it bought a grant or a refresh token by it: it is used up together with what it
-- bought, in one statement. Replicas of before use it up in a statement of its own, and leave it empty here.
ALTER TABLE refresh_tokens ADD COLUMN assertion BLOB;
ALTER TABLE refresh_tokens ADD COLUMN assertion_good_until INTEGER;
CREATE TRIGGER refresh_tokens_use_assertion AFTER INSERT ON refresh_tokens WHEN NEW.assertion IS NOT NULL
BEGIN
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    VALUES ('assertion_jti', NEW.assertion, 'null', NEW.issued_at, NEW.assertion_good_until, NEW.issued_at);
END;

-- The view that grants begin through takes the assertion along, and the proof also where no refresh token begins with the grant. What its
-- comment says still holds.
DROP VIEW begun_grants;
CREATE VIEW begun_grants AS
SELECT CAST(NULL AS TEXT) AS id, CAST(NULL AS TEXT) AS client_id, CAST(NULL AS TEXT) AS user_id, CAST(NULL AS TEXT) AS session_id,
       CAST(NULL AS TEXT) AS scopes, CAST(NULL AS TEXT) AS api_id, CAST(NULL AS INTEGER) AS auth_time,
       CAST(NULL AS INTEGER) AS created_at, CAST(NULL AS INTEGER) AS revoked_at, CAST(NULL AS TEXT) AS claims,
       CAST(NULL AS TEXT) AS bound_jkt, CAST(NULL AS TEXT) AS bound_x5t, CAST(NULL AS TEXT) AS apis, CAST(NULL AS TEXT) AS details,
       CAST(NULL AS TEXT) AS user_sub, CAST(NULL AS TEXT) AS user_organisation_id, CAST(NULL AS TEXT) AS user_username,
       CAST(NULL AS TEXT) AS user_name, CAST(NULL AS TEXT) AS user_email, CAST(NULL AS INTEGER) AS user_email_verified_at,
       CAST(NULL AS INTEGER) AS user_created_at, CAST(NULL AS INTEGER) AS user_disabled_at, CAST(NULL AS TEXT) AS user_profile,
       CAST(NULL AS TEXT) AS session_found, CAST(NULL AS TEXT) AS session_user_id, CAST(NULL AS INTEGER) AS session_auth_time,
       CAST(NULL AS INTEGER) AS session_created_at, CAST(NULL AS INTEGER) AS session_last_seen_at,
       CAST(NULL AS INTEGER) AS session_expires_at, CAST(NULL AS INTEGER) AS session_ended_at, CAST(NULL AS TEXT) AS session_methods,
       CAST(NULL AS TEXT) AS session_acr, CAST(NULL AS TEXT) AS session_address, CAST(NULL AS TEXT) AS session_user_agent,
       CAST(NULL AS TEXT) AS roles, CAST(NULL AS INTEGER) AS consents,
       CAST(NULL AS BLOB) AS token_digest, CAST(NULL AS INTEGER) AS token_expires_at,
       CAST(NULL AS INTEGER) AS token_absolute_expires_at, CAST(NULL AS BLOB) AS token_proof,
       CAST(NULL AS INTEGER) AS token_proof_good_until,
       CAST(NULL AS BLOB) AS assertion, CAST(NULL AS INTEGER) AS assertion_good_until
 WHERE 1 = 0;

CREATE TRIGGER begun_grants_insert INSTEAD OF INSERT ON begun_grants
BEGIN
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    SELECT 'assertion_jti', NEW.assertion, 'null', NEW.created_at, NEW.assertion_good_until, NEW.created_at
     WHERE NEW.assertion IS NOT NULL;
    INSERT INTO grants (id, client_id, user_id, session_id, scopes, api_id, auth_time, created_at, revoked_at, claims,
                        bound_jkt, bound_x5t, apis, details)
    VALUES (NEW.id, NEW.client_id, NEW.user_id, NEW.session_id, NEW.scopes, NEW.api_id, NEW.auth_time, NEW.created_at,
            NEW.revoked_at, NEW.claims, NEW.bound_jkt, NEW.bound_x5t, NEW.apis, NEW.details);
    INSERT INTO refresh_tokens (digest, grant_id, client_id, scopes, issued_at, expires_at, absolute_expires_at, proof,
                                proof_good_until)
    SELECT NEW.token_digest, NEW.id, NEW.client_id, NEW.scopes, NEW.created_at, NEW.token_expires_at,
           NEW.token_absolute_expires_at, NEW.token_proof, NEW.token_proof_good_until
     WHERE NEW.token_digest IS NOT NULL;
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    SELECT 'dpop_proof', NEW.token_proof, 'null', NEW.created_at, NEW.token_proof_good_until, NEW.created_at
     WHERE NEW.token_digest IS NULL AND NEW.token_proof IS NOT NULL;
END;

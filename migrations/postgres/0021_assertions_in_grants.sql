-- The assertion by which a client showed who it is, where it bought a grant or a refresh token by it: it is used up together with what it
-- bought, in one statement. Replicas of before use it up in a statement of its own, and leave it empty here.
ALTER TABLE refresh_tokens ADD COLUMN assertion BYTEA;
ALTER TABLE refresh_tokens ADD COLUMN assertion_good_until BIGINT;
CREATE FUNCTION refresh_tokens_use_assertion() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
    VALUES ('assertion_jti', NEW.assertion, 'null', NEW.issued_at, NEW.assertion_good_until, NEW.issued_at);
    RETURN NULL;
END;
$$;
-- By its name it is before the one for the proof.
CREATE TRIGGER refresh_tokens_use_assertion AFTER INSERT ON refresh_tokens
    FOR EACH ROW WHEN (NEW.assertion IS NOT NULL) EXECUTE FUNCTION refresh_tokens_use_assertion();

-- The view that grants begin through takes the assertion along, and the proof also where no refresh token begins with the grant. What its
-- comment says still holds.
CREATE OR REPLACE VIEW begun_grants AS
SELECT CAST(NULL AS TEXT) AS id, CAST(NULL AS TEXT) AS client_id, CAST(NULL AS TEXT) AS user_id, CAST(NULL AS TEXT) AS session_id,
       CAST(NULL AS TEXT) AS scopes, CAST(NULL AS TEXT) AS api_id, CAST(NULL AS BIGINT) AS auth_time,
       CAST(NULL AS BIGINT) AS created_at, CAST(NULL AS BIGINT) AS revoked_at, CAST(NULL AS TEXT) AS claims,
       CAST(NULL AS TEXT) AS bound_jkt, CAST(NULL AS TEXT) AS bound_x5t, CAST(NULL AS TEXT) AS apis, CAST(NULL AS TEXT) AS details,
       CAST(NULL AS TEXT) AS user_sub, CAST(NULL AS TEXT) AS user_organisation_id, CAST(NULL AS TEXT) AS user_username,
       CAST(NULL AS TEXT) AS user_name, CAST(NULL AS TEXT) AS user_email, CAST(NULL AS BIGINT) AS user_email_verified_at,
       CAST(NULL AS BIGINT) AS user_created_at, CAST(NULL AS BIGINT) AS user_disabled_at, CAST(NULL AS TEXT) AS user_profile,
       CAST(NULL AS TEXT) AS session_found, CAST(NULL AS TEXT) AS session_user_id, CAST(NULL AS BIGINT) AS session_auth_time,
       CAST(NULL AS BIGINT) AS session_created_at, CAST(NULL AS BIGINT) AS session_last_seen_at,
       CAST(NULL AS BIGINT) AS session_expires_at, CAST(NULL AS BIGINT) AS session_ended_at, CAST(NULL AS TEXT) AS session_methods,
       CAST(NULL AS TEXT) AS session_acr, CAST(NULL AS TEXT) AS session_address, CAST(NULL AS TEXT) AS session_user_agent,
       CAST(NULL AS TEXT) AS roles, CAST(NULL AS BIGINT) AS consents,
       CAST(NULL AS BYTEA) AS token_digest, CAST(NULL AS BIGINT) AS token_expires_at,
       CAST(NULL AS BIGINT) AS token_absolute_expires_at, CAST(NULL AS BYTEA) AS token_proof,
       CAST(NULL AS BIGINT) AS token_proof_good_until,
       CAST(NULL AS BYTEA) AS assertion, CAST(NULL AS BIGINT) AS assertion_good_until
 WHERE 1 = 0;

CREATE OR REPLACE FUNCTION begun_grants_insert() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.assertion IS NOT NULL THEN
        INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
        VALUES ('assertion_jti', NEW.assertion, 'null', NEW.created_at, NEW.assertion_good_until, NEW.created_at);
    END IF;
    INSERT INTO grants (id, client_id, user_id, session_id, scopes, api_id, auth_time, created_at, revoked_at, claims,
                        bound_jkt, bound_x5t, apis, details)
    VALUES (NEW.id, NEW.client_id, NEW.user_id, NEW.session_id, NEW.scopes, NEW.api_id, NEW.auth_time, NEW.created_at,
            NEW.revoked_at, NEW.claims, NEW.bound_jkt, NEW.bound_x5t, NEW.apis, NEW.details);
    IF NEW.token_digest IS NOT NULL THEN
        INSERT INTO refresh_tokens (digest, grant_id, client_id, scopes, issued_at, expires_at, absolute_expires_at, proof,
                                    proof_good_until)
        VALUES (NEW.token_digest, NEW.id, NEW.client_id, NEW.scopes, NEW.created_at, NEW.token_expires_at,
                NEW.token_absolute_expires_at, NEW.token_proof, NEW.token_proof_good_until);
    ELSIF NEW.token_proof IS NOT NULL THEN
        INSERT INTO single_use (purpose, digest, payload, created_at, expires_at, used_at)
        VALUES ('dpop_proof', NEW.token_proof, 'null', NEW.created_at, NEW.token_proof_good_until, NEW.created_at);
    END IF;
    RETURN NEW;
END;
$$;

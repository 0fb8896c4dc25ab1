-- Who allowed what is used once, where a user allowed it: whoever redeems it holds the account. Replicas of before leave it empty.
ALTER TABLE single_use ADD COLUMN user_id TEXT;

-- A grant is added through this view: with the first refresh token of its family, if it has one, in one statement. What the grant stands
-- on is selected by the same statement, and passes through it to whoever adds the grant; it is stored nowhere.
--
-- Nobody reads the view, so it reads no table, and none has to be changed with it in mind. It is the trigger that knows the columns of two:
-- one that is added to them later with a default needs COALESCE(NEW.x, the default) here, because replicas of before do not name it.
-- Whoever builds one of the two anew drops the trigger before, and makes it again.
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
       CAST(NULL AS INTEGER) AS session_expires_at, CAST(NULL AS INTEGER) AS session_ended_at,
       CAST(NULL AS TEXT) AS session_methods, CAST(NULL AS TEXT) AS session_acr, CAST(NULL AS TEXT) AS session_address,
       CAST(NULL AS TEXT) AS session_user_agent,
       CAST(NULL AS TEXT) AS roles, CAST(NULL AS INTEGER) AS consents,
       CAST(NULL AS BLOB) AS token_digest, CAST(NULL AS INTEGER) AS token_expires_at,
       CAST(NULL AS INTEGER) AS token_absolute_expires_at, CAST(NULL AS BLOB) AS token_proof,
       CAST(NULL AS INTEGER) AS token_proof_good_until
 WHERE 1 = 0;

CREATE TRIGGER begun_grants_insert INSTEAD OF INSERT ON begun_grants
BEGIN
    INSERT INTO grants (id, client_id, user_id, session_id, scopes, api_id, auth_time, created_at, revoked_at, claims,
                        bound_jkt, bound_x5t, apis, details)
    VALUES (NEW.id, NEW.client_id, NEW.user_id, NEW.session_id, NEW.scopes, NEW.api_id, NEW.auth_time, NEW.created_at,
            NEW.revoked_at, NEW.claims, NEW.bound_jkt, NEW.bound_x5t, NEW.apis, NEW.details);
    INSERT INTO refresh_tokens (digest, grant_id, client_id, scopes, issued_at, expires_at, absolute_expires_at, proof,
                                proof_good_until)
    SELECT NEW.token_digest, NEW.id, NEW.client_id, NEW.scopes, NEW.created_at, NEW.token_expires_at,
           NEW.token_absolute_expires_at, NEW.token_proof, NEW.token_proof_good_until
     WHERE NEW.token_digest IS NOT NULL;
END;

-- Who allowed what is used once, where a user allowed it: whoever redeems it holds the account. Replicas of before leave it empty.
ALTER TABLE single_use ADD COLUMN user_id TEXT;

-- A grant is added through this view: with the first refresh token of its family, if it has one, in one statement. What the grant stands
-- on is selected by the same statement, and passes through it to whoever adds the grant; it is stored nowhere. Nobody reads the view.
CREATE VIEW begun_grants AS
SELECT g.id, g.client_id, g.user_id, g.session_id, g.scopes, g.api_id, g.auth_time, g.created_at, g.revoked_at, g.claims,
       g.bound_jkt, g.bound_x5t, g.apis, g.details,
       u.sub AS user_sub, u.organisation_id AS user_organisation_id, u.username AS user_username, u.name AS user_name,
       u.email AS user_email, u.email_verified_at AS user_email_verified_at, u.created_at AS user_created_at,
       u.disabled_at AS user_disabled_at, u.profile AS user_profile,
       s.id AS session_found, s.user_id AS session_user_id, s.auth_time AS session_auth_time,
       s.created_at AS session_created_at, s.last_seen_at AS session_last_seen_at, s.expires_at AS session_expires_at,
       s.ended_at AS session_ended_at, s.methods AS session_methods, s.acr AS session_acr, s.address AS session_address,
       s.user_agent AS session_user_agent,
       CAST(NULL AS TEXT) AS roles, CAST(NULL AS INTEGER) AS consents,
       t.digest AS token_digest, t.expires_at AS token_expires_at, t.absolute_expires_at AS token_absolute_expires_at,
       t.proof AS token_proof, t.proof_good_until AS token_proof_good_until
  FROM grants g
  JOIN users u ON u.id = g.user_id
  LEFT JOIN sessions s ON s.id = g.session_id
  LEFT JOIN refresh_tokens t ON t.grant_id = g.id;

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

-- Consent is given for one API at a time; what was given before named none.
ALTER TABLE consents ADD COLUMN api_id TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE consents ALTER COLUMN api_id DROP DEFAULT;
ALTER TABLE consents DROP CONSTRAINT consents_pkey;
ALTER TABLE consents ADD PRIMARY KEY (user_id, client_id, api_id);

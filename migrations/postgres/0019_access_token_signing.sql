-- What the access tokens of an API are signed with. A server that does not know the column signs all of them by ES256.
ALTER TABLE apis ADD COLUMN access_token_signing_alg TEXT COLLATE "C" NOT NULL DEFAULT 'ES256';

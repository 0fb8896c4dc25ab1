-- Of several accounts with an address, one whose owner confirmed it comes before those that only say so.
DROP INDEX users_email;
CREATE INDEX users_email ON users (lower(email), (email_verified_at IS NULL), id);

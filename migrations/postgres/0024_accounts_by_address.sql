-- Whoever forgot how to sign in gives the address of their mail, in whatever case; of several accounts the oldest comes first.
CREATE INDEX users_email ON users (lower(email), id);

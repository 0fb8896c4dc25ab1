-- The admin API is known by a mark, which no other API has: its audience follows the address of the server, which may change.
ALTER TABLE apis ADD COLUMN administers BIGINT;
CREATE UNIQUE INDEX apis_administers ON apis (administers);

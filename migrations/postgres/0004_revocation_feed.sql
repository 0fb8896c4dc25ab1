-- What is revoked is told to services, in the order of `seq`. Only tokens issued until `not_before` are meant, if it is set.
ALTER TABLE revocations ADD COLUMN seq BIGINT NOT NULL DEFAULT 0;
ALTER TABLE revocations ADD COLUMN not_before BIGINT;
CREATE INDEX revocations_seq ON revocations (seq);
INSERT INTO epochs (name, value) VALUES ('revocations', 0);

-- The client that asked this server to decide, where no guard decided.
ALTER TABLE decision_records ADD COLUMN asked_by TEXT;

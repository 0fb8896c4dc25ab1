-- The decisions that rules must keep lie beside them. An empty text holds none.
ALTER TABLE policy_revisions ADD COLUMN cases TEXT NOT NULL DEFAULT '';
ALTER TABLE policy_drafts ADD COLUMN cases TEXT NOT NULL DEFAULT '';

-- Set when an activation takes a second person.
ALTER TABLE apis ADD COLUMN four_eyes INTEGER;

-- Activations at a later time. The text is a copy, so that a draft can be written on meanwhile; it goes when the schedule ends.
CREATE TABLE policy_schedules (
    id TEXT NOT NULL PRIMARY KEY,
    api_id TEXT NOT NULL REFERENCES apis (id) ON DELETE CASCADE,
    model TEXT NOT NULL,
    rules TEXT NOT NULL,
    cases TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    message TEXT NOT NULL,
    base_revision INTEGER,
    written_by TEXT NOT NULL,
    requested_by TEXT NOT NULL,
    requested_at INTEGER NOT NULL,
    activate_at INTEGER NOT NULL,
    approved_by TEXT,
    ended_at INTEGER,
    ending TEXT,
    revision INTEGER
) STRICT;
CREATE INDEX policy_schedules_api ON policy_schedules (api_id, id);
CREATE UNIQUE INDEX policy_schedules_waiting ON policy_schedules (api_id) WHERE ended_at IS NULL;

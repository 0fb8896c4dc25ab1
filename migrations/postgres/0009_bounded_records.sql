-- Whose records of decisions are to be forgotten: they are not read any more, none are added, and a job takes them away.
CREATE TABLE forgotten_subjects (
    subject TEXT NOT NULL PRIMARY KEY,
    forgotten_at BIGINT NOT NULL
);
CREATE INDEX forgotten_subjects_forgotten_at ON forgotten_subjects (forgotten_at);

-- How many decisions rules on trial were not tried on.
ALTER TABLE policy_shadows ADD COLUMN untried BIGINT NOT NULL DEFAULT 0;

-- About how many bytes the records of a day take.
ALTER TABLE decision_days ADD COLUMN bytes BIGINT NOT NULL DEFAULT 0;

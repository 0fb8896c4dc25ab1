-- The handle of a pushed request that a browser flow keeps. It counts once, and not before the flow is finished: whoever finishes the flow
-- spends it by the same statement, also when it would be too late to begin with it. Where it is spent already, or gone, the flow is not
-- finished. So it is for replicas of before, too, which do not know the column: the flows that they begin leave it empty, and spent
-- their handle already.
ALTER TABLE interactions ADD COLUMN pushed BLOB;

CREATE TRIGGER interactions_spend_pushed BEFORE UPDATE OF finished_at ON interactions
WHEN NEW.pushed IS NOT NULL AND OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL
BEGIN
    SELECT RAISE(IGNORE)
     WHERE NOT EXISTS (SELECT 1 FROM single_use
                        WHERE purpose = 'pushed_request' AND digest = NEW.pushed AND used_at IS NULL);
    UPDATE single_use SET used_at = NEW.finished_at
     WHERE purpose = 'pushed_request' AND digest = NEW.pushed AND used_at IS NULL;
END;

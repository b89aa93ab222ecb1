-- History: how far the database has come, to be compared with the mark beside it. And the bin, deaths of the server, what segmentations were made with.

CREATE TABLE history (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    folder TEXT NOT NULL,       -- which data folder it belongs to; random
    epoch INTEGER NOT NULL,     -- counts the times that it was put back to an earlier day
    changes INTEGER NOT NULL    -- counts the changes committed
) STRICT;

ALTER TABLE cases ADD COLUMN deleted_s INTEGER;   -- in the bin since
ALTER TABLE cases ADD COLUMN deleted_by TEXT;
CREATE VIEW open_cases AS SELECT * FROM cases WHERE deleted_s IS NULL;

ALTER TABLE jobs ADD COLUMN server_deaths INTEGER NOT NULL DEFAULT 0;  -- times that the server died while the job ran

ALTER TABLE segmentations ADD COLUMN provenance TEXT;  -- JSON: shared::api::Provenance

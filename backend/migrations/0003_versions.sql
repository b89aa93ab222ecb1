-- Versions: what holds of a slice is a row of its own, so that a save costs the same however many came before it; what was said earlier, and what was
-- refused because the slice had been saved from elsewhere, stands beside it. And actors: who made a case, said something, asked for a job.

CREATE TABLE slice_versions (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- in the order in which they were said
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    axis TEXT NOT NULL,
    plane INTEGER NOT NULL,
    base INTEGER NOT NULL,     -- the revision that it was based on
    revision INTEGER,          -- none: it was refused, because its base was not the latest
    slice TEXT NOT NULL,       -- JSON: shared::correction::CorrectedSlice; its revision is that of the column
    saved_s INTEGER NOT NULL,
    saved_by TEXT NOT NULL DEFAULT 'local'
) STRICT;

INSERT INTO slice_versions (case_number, axis, plane, base, revision, slice, saved_s)
    SELECT case_number, axis, plane, revision - 1, revision, slice, saved_s FROM corrections ORDER BY rowid;

CREATE UNIQUE INDEX slice_versions_by_revision ON slice_versions (case_number, axis, plane, revision);
CREATE INDEX slice_versions_by_time ON slice_versions (saved_s);

DROP TABLE corrections;

CREATE TABLE corrections (
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    axis TEXT NOT NULL,
    plane INTEGER NOT NULL,
    version INTEGER NOT NULL UNIQUE REFERENCES slice_versions (id),  -- the one that holds
    state TEXT NOT NULL,                                             -- its state
    PRIMARY KEY (case_number, axis, plane)
) STRICT, WITHOUT ROWID;

INSERT INTO corrections (case_number, axis, plane, version, state)
    SELECT case_number, axis, plane, id, slice ->> '$.state' FROM slice_versions v WHERE revision =
        (SELECT max(revision) FROM slice_versions w WHERE w.case_number = v.case_number AND w.axis = v.axis AND w.plane = v.plane);

ALTER TABLE cases ADD COLUMN created_by TEXT NOT NULL DEFAULT 'local';
ALTER TABLE cases ADD COLUMN round_by TEXT;      -- who asked for the round
ALTER TABLE jobs ADD COLUMN asked_by TEXT NOT NULL DEFAULT 'local';
ALTER TABLE jobs ADD COLUMN cancelled_by TEXT;

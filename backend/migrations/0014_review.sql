-- A second pair of eyes: what is said of a case as a whole, and second readings of some of its slices.

CREATE TABLE reviews (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- the latest is where the case stands
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    verdict TEXT NOT NULL,                 -- shared::api::Verdict
    note TEXT NOT NULL,
    slices TEXT NOT NULL,                  -- JSON: shared::api::SliceNotes
    work TEXT NOT NULL,                    -- what it was said of: case_work, then
    said_by TEXT NOT NULL,
    said_s INTEGER NOT NULL
) STRICT;

CREATE INDEX reviews_by_case ON reviews (case_number, id);

-- How far the work on a case is: its newest correction, segmentation and decision.
CREATE VIEW case_work AS
    SELECT number AS case_number,
           (SELECT coalesce(max(version), 0) FROM corrections k WHERE k.case_number = number) || '-' ||
           (SELECT count(*) FROM segmentations s WHERE s.case_number = number) || '-' ||
           (SELECT coalesce(sum(revision), 0) FROM decisions d WHERE d.case_number = number) AS work
    FROM cases;

CREATE TABLE readings (
    case_number INTEGER PRIMARY KEY REFERENCES cases (number) ON DELETE CASCADE,  -- what the second reader works on
    original INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,        -- whose slices are read again
    reader TEXT NOT NULL REFERENCES people (name) ON DELETE CASCADE,
    asked_by TEXT NOT NULL,
    asked_s INTEGER NOT NULL,
    slices TEXT NOT NULL,                  -- JSON: shared::correction::CorrectedSlices, the first reading as it was when it was asked
    finished_s INTEGER,
    second TEXT                            -- JSON: the same, the second reading as it was when it was finished
) STRICT;

CREATE INDEX readings_by_original ON readings (original);
CREATE INDEX readings_by_reader ON readings (reader);

-- What the expert decides about a whole segmentation, and what correcting has taken.

CREATE TABLE decisions (
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    round INTEGER NOT NULL,      -- of the segmentation that it is about
    revision INTEGER NOT NULL,   -- counts the saves
    patch TEXT NOT NULL,         -- JSON: shared::patch::Patch
    saved_s INTEGER NOT NULL,
    saved_by TEXT NOT NULL,
    PRIMARY KEY (case_number, round)
) STRICT;

CREATE TABLE effort (
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    axis TEXT NOT NULL,
    plane INTEGER NOT NULL,
    page TEXT NOT NULL,          -- one visit of a page, which says its own numbers again and again as they grow
    effort TEXT NOT NULL,        -- JSON: shared::effort::SliceEffort
    saved_s INTEGER NOT NULL,
    saved_by TEXT NOT NULL,
    PRIMARY KEY (case_number, axis, plane, page)
) STRICT;

-- Cases, what was made of them, and what the expert said. Volumes lie beside the database as blobs, named by their SHA-256.

CREATE TABLE cases (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    bundle TEXT NOT NULL,
    created_s INTEGER NOT NULL,
    geometry TEXT NOT NULL,  -- JSON: shared::geometry::Geometry
    labels TEXT NOT NULL,    -- JSON: shared::label::LabelSet, as it was at upload
    slices TEXT,             -- JSON: shared::acquisition::SliceList, once there is a presegmentation
    uncertainty TEXT         -- blob: u8 per voxel
) STRICT;

CREATE TABLE images (
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    channel INTEGER NOT NULL,
    info TEXT NOT NULL,      -- JSON: shared::api::ImageInfo
    scan TEXT NOT NULL,      -- blob: the file as uploaded
    voxels TEXT NOT NULL,    -- blob: u16 per voxel
    PRIMARY KEY (case_number, channel)
) STRICT;

CREATE TABLE segmentations (
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    round INTEGER NOT NULL,  -- 0 is the presegmentation
    labels TEXT NOT NULL,    -- blob: u8 per voxel
    nifti TEXT NOT NULL,     -- blob: .nii.gz on the scan's grid
    PRIMARY KEY (case_number, round)
) STRICT;

CREATE TABLE corrections (
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    axis TEXT NOT NULL,
    plane INTEGER NOT NULL,
    revision INTEGER NOT NULL,  -- every save stays; the highest is what holds
    slice TEXT NOT NULL,        -- JSON: shared::correction::CorrectedSlice
    saved_s INTEGER NOT NULL,
    PRIMARY KEY (case_number, axis, plane, revision)
) STRICT;

CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,  -- fences results: only the attempt that runs may finish the job
    crashes INTEGER NOT NULL DEFAULT 0,  -- attempts that ended with the worker's death
    progress REAL NOT NULL DEFAULT 0,
    message TEXT NOT NULL DEFAULT '',
    corrections TEXT                     -- JSON: the slices that a refinement works with, as they were when it was asked for
) STRICT;

CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_case ON jobs (case_number, id);

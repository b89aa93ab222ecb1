-- Rounds: after a refinement the expert may ask for the next slices. From here on cases.uncertainty is that of the newest segmentation.

ALTER TABLE cases ADD COLUMN round INTEGER NOT NULL DEFAULT 1;  -- whose slices are offered
ALTER TABLE cases ADD COLUMN standing TEXT;                     -- JSON: shared::acquisition::Standing, once there is a refinement
ALTER TABLE cases ADD COLUMN next_slices TEXT;                  -- JSON: shared::acquisition::SliceList, from a refinement until the next round begins

-- How long jobs take, so that those who ask for one can be told before.

ALTER TABLE jobs ADD COLUMN begun_ms INTEGER;  -- when the attempt that runs, or ran last, began; milliseconds since 1970
ALTER TABLE jobs ADD COLUMN took_ms INTEGER;   -- how long that attempt took, once it has done its job

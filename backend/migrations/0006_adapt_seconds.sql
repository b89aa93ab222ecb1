-- What the expert says of adaptation when asking for a refinement.

ALTER TABLE jobs ADD COLUMN adapt_seconds REAL;  -- at most so long, 0 not at all; NULL as the bundle says

-- What somebody has written on a case, for themselves or for others.

ALTER TABLE cases ADD COLUMN note TEXT NOT NULL DEFAULT '';

-- How unsure a presegmentation is stays known when a refinement's uncertainty takes its place in the case.

ALTER TABLE segmentations ADD COLUMN uncertainty TEXT;  -- blob, u8 per voxel, of round 0; NULL of others, and where it was not kept
UPDATE segmentations SET uncertainty = (SELECT uncertainty FROM cases WHERE number = case_number)
    WHERE case_number IN (SELECT case_number FROM segmentations GROUP BY case_number HAVING max(round) = 0);

-- Adaptation: what the network that refines has learned from a case, for its next round. Weights of one case, never of another.

ALTER TABLE segmentations ADD COLUMN adapted_weights TEXT;  -- blob, safetensors; NULL where the network is as it was bundled

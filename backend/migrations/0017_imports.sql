-- Imports from a PACS that are under way: a server that starts again goes on with them. No patient is named.
CREATE TABLE imports (
    id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    source TEXT NOT NULL,  -- the PACS, as the operator calls it
    wanted TEXT NOT NULL,  -- JSON: shared::api::OpenSeries
    tries INTEGER NOT NULL DEFAULT 0  -- starts of the server that went on with it
) STRICT;

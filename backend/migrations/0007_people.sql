-- People, what lets them in, which cases are whose, and who did what. Secrets are digests.

CREATE TABLE people (
    name TEXT PRIMARY KEY,
    role TEXT NOT NULL,                    -- shared::api::Role
    password TEXT NOT NULL,                -- argon2id, as a PHC string
    disabled INTEGER NOT NULL DEFAULT 0,
    created_s INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
    digest TEXT PRIMARY KEY,               -- of the cookie
    person TEXT NOT NULL REFERENCES people (name) ON DELETE CASCADE,
    begun_s INTEGER NOT NULL,
    seen_s INTEGER NOT NULL
) STRICT;

CREATE TABLE keys (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    digest TEXT NOT NULL UNIQUE,
    person TEXT NOT NULL REFERENCES people (name) ON DELETE CASCADE,
    label TEXT NOT NULL,
    created_s INTEGER NOT NULL,
    seen_s INTEGER NOT NULL                -- 0: never
) STRICT;

CREATE TABLE assignments (
    case_number INTEGER NOT NULL REFERENCES cases (number) ON DELETE CASCADE,
    person TEXT NOT NULL REFERENCES people (name) ON DELETE CASCADE,
    PRIMARY KEY (case_number, person)
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    number INTEGER PRIMARY KEY,
    at_s INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    chain TEXT NOT NULL                    -- SHA-256 of the row and of the chain before it
) STRICT;

ALTER TABLE jobs ADD COLUMN turn INTEGER;  -- in which order jobs were begun
CREATE INDEX jobs_by_turn ON jobs (turn);
CREATE INDEX jobs_by_asker ON jobs (asked_by, turn);

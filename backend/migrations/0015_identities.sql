-- Who is who with a provider that signs people in. A provider never gives a subject to another person; names it may. An account whose password is
-- empty has none, and can be bound to whom a provider calls by its name.

CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    person TEXT NOT NULL REFERENCES people (name) ON DELETE CASCADE,
    bound_s INTEGER NOT NULL,
    PRIMARY KEY (issuer, subject),
    UNIQUE (issuer, person)
) STRICT, WITHOUT ROWID;

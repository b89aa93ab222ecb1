-- What a DICOM SEG has to say of the series that a case came from: unique identifiers, places of slices, and who the patient is where the operator
-- keeps that. Apart from the case, and nowhere else; it goes with the case.

CREATE TABLE series_references (
    case_number INTEGER PRIMARY KEY REFERENCES cases (number) ON DELETE CASCADE,
    reference TEXT NOT NULL                -- JSON: scan_io::SeriesReference
) STRICT;

//! Whether a data folder is whole: every row is read, every volume compared with its name. Changes nothing; works
//! beside a running server.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use shared::correction::CorrectedSlice;
use shared::geometry::Geometry;
use shared::label::LabelSet;
use sqlx::{Row, SqliteConnection, query_scalar};

use super::folder::{self, BLOBS, DATABASE, QUARANTINE};
use super::mark::Mark;
use super::quarantine::{SetAside, quarantined};
use super::rows::open_to_read;
use super::{Digest, StoreError, named_blobs};

/// What was found in a data folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// What is wrong, each by its name.
    pub problems: Vec<String>,
    /// What is worth knowing.
    pub notes: Vec<String>,
    /// Cases, those in the bin included.
    pub cases: usize,
    /// Versions of slices.
    pub versions: usize,
    /// Volumes compared.
    pub volumes: usize,
}

/// Looks through a data folder.
///
/// # Errors
/// A folder that cannot be read at all; everything else is among the problems.
pub async fn verify(data: &Path) -> Result<Verification, StoreError> {
    let mut found = Verification::default();
    let blobs = data.join(BLOBS);
    let stored = folder::stored(&blobs)?;
    let database = data.join(DATABASE);
    let named = if !database.exists() {
        found.problems.push(format!("the database {DATABASE} is missing"));
        None
    } else {
        match look_through(&database, data, &mut found).await {
            Ok(named) => Some(named),
            Err(error) => {
                found.problems.push(format!("the database {DATABASE} cannot be read: {error}"));
                None
            }
        }
    };
    compare(&blobs, stored, named, &mut found);
    for SetAside { day, files, bytes } in quarantined(data)? {
        found.notes.push(format!("{files} files ({bytes} bytes) lie in {QUARANTINE}/{day}; see `i3deep quarantine`"));
    }
    Ok(found)
}

async fn look_through(database: &Path, data: &Path, found: &mut Verification) -> Result<BTreeSet<Digest>, StoreError> {
    let mut connection = open_to_read(database).await?;
    let said: Vec<String> = query_scalar("PRAGMA integrity_check(20)").fetch_all(&mut connection).await?;
    found.problems.extend(
        said.into_iter().filter(|line| line != "ok").map(|line| format!("the database {DATABASE} is damaged: {line}")),
    );
    let dangling: Vec<String> =
        query_scalar("SELECT \"table\" FROM pragma_foreign_key_check").fetch_all(&mut connection).await?;
    found.problems.extend(
        dangling.into_iter().map(|table| format!("a row of the table {table} points at one that is not there")),
    );
    if let Some(seen) = Mark::read(data)? {
        let own = Mark::of_database(&mut connection).await?;
        if own.as_ref().is_none_or(|own| own.folder != seen.folder || own.is_before(&seen)) {
            found.problems.push(format!("the database {DATABASE} is older than this folder, or another folder's"));
        }
    }
    found.cases =
        query_scalar::<_, i64>("SELECT count(*) FROM cases").fetch_one(&mut connection).await?.unsigned_abs() as usize;
    records(&mut connection, found).await?;
    slices(&mut connection, found).await?;
    named_blobs(&mut connection).await
}

/// Every record is the JSON that it should be.
async fn records(connection: &mut SqliteConnection, found: &mut Verification) -> Result<(), StoreError> {
    let rows = sqlx::query(
        "SELECT 'geometry of case ' || id AS name, geometry AS text FROM cases
         UNION ALL SELECT 'labels of case ' || id, labels FROM cases
         UNION ALL SELECT 'slices of case ' || id, slices FROM cases WHERE slices IS NOT NULL
         UNION ALL SELECT 'standing of case ' || id, standing FROM cases WHERE standing IS NOT NULL
         UNION ALL SELECT 'next slices of case ' || id, next_slices FROM cases WHERE next_slices IS NOT NULL
         UNION ALL SELECT 'corrections of job ' || id, corrections FROM jobs WHERE corrections IS NOT NULL
         UNION ALL SELECT 'channel ' || channel || ' of case ' || id, info
                   FROM images JOIN cases ON number = case_number",
    );
    for row in rows.fetch_all(connection).await? {
        if let Err(error) = serde_json::from_str::<Value>(row.try_get("text")?) {
            found.problems.push(format!("the {} cannot be read: {error}", row.try_get::<&str, _>("name")?));
        }
    }
    Ok(())
}

/// Every version of a slice fits its case.
async fn slices(connection: &mut SqliteConnection, found: &mut Verification) -> Result<(), StoreError> {
    let cases = sqlx::query("SELECT number, id, geometry, labels FROM cases").fetch_all(&mut *connection).await?;
    for case in cases {
        let (number, id): (i64, String) = (case.try_get("number")?, case.try_get("id")?);
        let geometry = serde_json::from_str::<Geometry>(case.try_get("geometry")?);
        let labels = serde_json::from_str::<LabelSet>(case.try_get("labels")?);
        // Said above.
        let (Ok(geometry), Ok(labels)) = (geometry, labels) else { continue };
        let rows = sqlx::query("SELECT id, axis, plane, slice FROM slice_versions WHERE case_number = ?")
            .bind(number)
            .fetch_all(&mut *connection)
            .await?;
        found.versions += rows.len();
        for row in rows {
            let slice =
                serde_json::from_str::<CorrectedSlice>(row.try_get("slice")?).map_err(|error| error.to_string());
            let fits =
                slice.and_then(|slice| slice.labels(&geometry, &labels).map(drop).map_err(|error| error.to_string()));
            if let Err(error) = fits {
                let (version, axis, plane): (i64, String, i64) =
                    (row.try_get("id")?, row.try_get("axis")?, row.try_get("plane")?);
                found.problems.push(format!(
                    "version {version} of the slice {axis} {plane} of case {id} cannot be used: {error}"
                ));
            }
        }
    }
    Ok(())
}

/// Every volume is there and is what its name says.
fn compare(blobs: &Path, stored: BTreeSet<Digest>, named: Option<BTreeSet<Digest>>, found: &mut Verification) {
    for digest in &stored {
        match Digest::of_file(&digest.file_in(blobs)) {
            Ok(content) if content == *digest => {}
            Ok(_) => found.problems.push(format!("the volume {digest} is damaged: its content has another digest")),
            Err(error) => found.problems.push(format!("the volume {digest} cannot be read: {error}")),
        }
    }
    found.volumes = stored.len();
    let Some(named) = named else { return };
    found.problems.extend(named.difference(&stored).map(|digest| format!("the volume {digest} is missing")));
    let unknown = stored.difference(&named).count();
    if unknown > 0 {
        found.notes.push(format!("{unknown} volumes are named by no row; the next start moves them to {QUARANTINE}/"));
    }
}

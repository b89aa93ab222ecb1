//! What is said of a case as a whole: handed in, sent back, approved. Notes may name a patient; the records say only
//! that something was said.

use shared::api::{Judgement, Review, ReviewState, Said, SliceAuthors, Verdict};
use shared::case::CaseId;
use shared::geometry::{Geometry, Plane};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{Actor, Store, StoreError, audit, from_word, now_s, number, queue, readings, to_word};

impl Store {
    /// A case as those who review it see it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn review(&self, id: &CaseId) -> Result<Review, StoreError> {
        let mut connection = self.readers.acquire().await?;
        let number = number(&mut connection, id).await?;
        Ok(Review {
            state: state(&mut connection, number).await?,
            work: work(&mut connection, number).await?,
            said: all_said(&mut connection, number).await?,
            authors: authors(&mut connection, number).await?,
            readings: readings::of(&mut connection, number).await?,
        })
    }

    /// Says that a case waits for a reviewer. A second reading is finished with that.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::NotNow`] while there is nothing to look at, or if it waits already.
    pub async fn hand_in(&self, actor: &Actor, id: &CaseId) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        check_has_work(&mut change, number).await?;
        if state(&mut change, number).await? == ReviewState::HandedIn {
            return Err(StoreError::NotNow("it has been handed in, and waits for a reviewer"));
        }
        let original = readings::finish(&mut change, actor, number).await?;
        let said = Saying { verdict: Verdict::HandedIn, note: "", slices: "[]", action: "case.hand_in" };
        said.record(&mut change, actor, number, id).await?;
        change.commit().await?;
        self.announce_said(id);
        original.iter().for_each(|original| self.announce_said(original));
        Ok(())
    }

    /// Sends a case back, or approves it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::NotNow`] if somebody has worked on it since it was looked at, or it is a
    /// second reading; [`StoreError::Correction`] for a note on a plane that the case does not have.
    pub async fn judge(&self, actor: &Actor, id: &CaseId, judgement: &Judgement) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        check_has_work(&mut change, number).await?;
        if readings::is_one(&mut change, number).await? {
            return Err(StoreError::NotNow("a second reading is compared with the first, not approved"));
        }
        if work(&mut change, number).await? != judgement.work {
            return Err(StoreError::NotNow(
                "somebody has worked on this case since you looked at it; look again, then decide",
            ));
        }
        let geometry: String = sqlx::query_scalar("SELECT geometry FROM cases WHERE number = ?")
            .bind(number)
            .fetch_one(&mut *change)
            .await?;
        let geometry: Geometry = serde_json::from_str(&geometry)?;
        for note in &judgement.slices {
            geometry.check_plane(note.plane).map_err(shared::correction::CorrectionError::from)?;
        }
        let action = if judgement.verdict == Verdict::Approved { "case.approve" } else { "case.send_back" };
        let slices = serde_json::to_string(&judgement.slices)?;
        let said = Saying { verdict: judgement.verdict, note: &judgement.note, slices: &slices, action };
        said.record(&mut change, actor, number, id).await?;
        change.commit().await?;
        self.announce_said(id);
        Ok(())
    }
}

/// What is said, to be kept.
struct Saying<'a> {
    verdict: Verdict,
    note: &'a str,
    /// JSON.
    slices: &'a str,
    /// As the records call it.
    action: &'static str,
}

impl Saying<'_> {
    async fn record(
        &self,
        connection: &mut SqliteConnection,
        actor: &Actor,
        number: i64,
        id: &CaseId,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO reviews (case_number, verdict, note, slices, work, said_by, said_s)
             SELECT ?1, ?2, ?3, ?4, work, ?5, ?6 FROM case_work WHERE case_number = ?1",
        )
        .bind(number)
        .bind(to_word(&self.verdict)?)
        .bind(self.note)
        .bind(self.slices)
        .bind(actor)
        .bind(now_s())
        .execute(&mut *connection)
        .await?;
        audit::record(connection, actor, self.action, id.as_str()).await
    }
}

async fn check_has_work(connection: &mut SqliteConnection, number: i64) -> Result<(), StoreError> {
    queue::check_idle(connection, number).await?;
    let open: bool = sqlx::query_scalar("SELECT slices IS NOT NULL FROM cases WHERE number = ?")
        .bind(number)
        .fetch_one(connection)
        .await?;
    if open {
        Ok(())
    } else {
        Err(StoreError::NotNow("the presegmentation has not finished; there is nothing to look at yet"))
    }
}

async fn work(connection: &mut SqliteConnection, number: i64) -> Result<String, StoreError> {
    let work = sqlx::query_scalar("SELECT work FROM case_work WHERE case_number = ?").bind(number);
    Ok(work.fetch_one(connection).await?)
}

pub(super) async fn state(connection: &mut SqliteConnection, number: i64) -> Result<ReviewState, StoreError> {
    let row = sqlx::query(
        "SELECT verdict, r.work = w.work AS holds FROM reviews r JOIN case_work w USING (case_number)
         WHERE case_number = ? ORDER BY id DESC LIMIT 1",
    );
    let row = row.bind(number).fetch_optional(connection).await?;
    row.map_or(Ok(ReviewState::Open), |row| stands(Some(row.try_get("verdict")?), row.try_get("holds")?))
}

/// Where a case stands after what was said of it last.
pub(super) fn stands(verdict: Option<&str>, holds: bool) -> Result<ReviewState, StoreError> {
    let Some(verdict) = verdict else { return Ok(ReviewState::Open) };
    Ok(match from_word(verdict)? {
        Verdict::HandedIn => ReviewState::HandedIn,
        Verdict::SentBack => ReviewState::SentBack,
        Verdict::Approved if holds => ReviewState::Approved,
        Verdict::Approved => ReviewState::Changed,
    })
}

async fn all_said(connection: &mut SqliteConnection, number: i64) -> Result<Vec<Said>, StoreError> {
    let rows = sqlx::query(
        "SELECT verdict, note, slices, said_by, said_s FROM reviews WHERE case_number = ? ORDER BY id DESC",
    );
    let said = |row: &SqliteRow| {
        Ok(Said {
            verdict: from_word(row.try_get("verdict")?)?,
            note: row.try_get("note")?,
            slices: serde_json::from_str(row.try_get("slices")?)?,
            said_by: row.try_get("said_by")?,
            said_s: row.try_get("said_s")?,
        })
    };
    rows.bind(number).fetch_all(connection).await?.iter().map(said).collect()
}

async fn authors(connection: &mut SqliteConnection, number: i64) -> Result<Vec<SliceAuthors>, StoreError> {
    let rows = sqlx::query(
        "SELECT k.axis, k.plane, k.state, v.saved_by, v.saved_s,
                (SELECT json_group_array(saved_by) FROM (
                     SELECT DISTINCT saved_by FROM slice_versions w
                     WHERE w.case_number = k.case_number AND w.axis = k.axis AND w.plane = k.plane
                           AND w.revision IS NOT NULL ORDER BY saved_by)) AS everybody
         FROM corrections k JOIN slice_versions v ON v.id = k.version
         WHERE k.case_number = ? ORDER BY v.id DESC",
    );
    let author = |row: &SqliteRow| {
        Ok(SliceAuthors {
            plane: Plane { axis: from_word(row.try_get("axis")?)?, index: row.try_get::<u32, _>("plane")? as usize },
            state: from_word(row.try_get("state")?)?,
            saved_by: row.try_get("saved_by")?,
            saved_s: row.try_get("saved_s")?,
            all: serde_json::from_str(row.try_get("everybody")?)?,
        })
    };
    rows.bind(number).fetch_all(connection).await?.iter().map(author).collect()
}

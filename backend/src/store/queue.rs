//! The queue: jobs are rows, enqueued in the transaction of what they are for. A lease is fenced by its attempt: only
//! the attempt that runs may finish.

use shared::case::{CaseId, Job, JobId, JobKind, JobState};
use shared::correction::CorrectedSlice;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::{
    Actor, PresegmentationFiles, RefinementFiles, Store, StoreError, Task, audit, corrections, from_word, now_ms,
    number, readings, segmentations, to_word,
};

/// How often a worker may die of a job. The first death may be bad luck, the second is the job.
const MAX_CRASHES: i64 = 2;

/// How often the server may die while a job runs, before the job counts as the reason.
const MAX_SERVER_DEATHS: i64 = 3;
/// What the expert reads then.
const SERVER_DIED: &str = "the server stopped three times while it worked on this, so it is not tried again. The scan \
                           may be too large for this machine's memory; the server's operator finds more in its log";

/// Jobs of one person that may wait at a time.
const WAITING_LIMIT: i64 = 500;

/// A job that the caller runs now.
#[derive(Clone, Debug)]
pub struct Lease {
    /// Its number.
    pub job: JobId,
    /// Which run of it this is.
    pub attempt: i64,
    /// For whom.
    pub case: CaseId,
    /// Who asked for it, and in whose name its result is stored.
    pub actor: Actor,
    /// What it does.
    pub task: Task,
}

/// What the queue holds next.
enum Next {
    Lease(Lease),
    Nothing,
    /// A job of this case, which has failed before it began.
    Unusable(CaseId),
}

impl Store {
    /// Queues a refinement with the slices that are done; `adapt_seconds` says how long the network may first learn
    /// from the case, 0 not at all, none as the bundle says.
    ///
    /// # Errors
    /// [`StoreError::NotNow`] if no slice is done or a job is under way.
    pub async fn request_refinement(
        &self,
        actor: &Actor,
        id: &CaseId,
        adapt_seconds: Option<f64>,
    ) -> Result<Job, StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        check_idle(&mut change, number).await?;
        if readings::is_one(&mut change, number).await? {
            return Err(StoreError::NotNow("a second reading is compared with the first, not refined"));
        }
        let slices = corrections::done(corrections::latest(&mut change, number).await?);
        if slices.is_empty() {
            return Err(StoreError::NotNow("no slice is marked as done; mark those that are right, then refine"));
        }
        let job = insert(&mut change, actor, number, JobKind::Refine, Some(&slices)).await?;
        let adapts = sqlx::query("UPDATE jobs SET adapt_seconds = ? WHERE id = ?").bind(adapt_seconds).bind(job.id.0);
        adapts.execute(&mut *change).await?;
        audit::record(&mut change, actor, "case.refine", id.as_str()).await?;
        change.commit().await?;
        self.announce(id);
        Ok(job)
    }

    /// Queues again what a failed or cancelled job was to do: the presegmentation, or a refinement with the slices that
    /// are done now and the time to learn that was asked for then.
    ///
    /// # Errors
    /// [`StoreError::NotNow`] if the job did not fail, or something else was asked for since.
    pub async fn retry(&self, actor: &Actor, id: JobId) -> Result<Job, StoreError> {
        let row = sqlx::query(
            "SELECT c.id AS open_case, kind, state, adapt_seconds,
                    j.id = (SELECT max(id) FROM jobs WHERE case_number = j.case_number) AS latest
             FROM jobs j JOIN open_cases c ON c.number = j.case_number WHERE j.id = ?",
        );
        let row = row.bind(id.0).fetch_optional(&self.readers).await?.ok_or(StoreError::NotFound("such job"))?;
        let (case, latest): (String, bool) = (row.try_get("open_case")?, row.try_get("latest")?);
        let state: JobState = from_word(row.try_get("state")?)?;
        if !latest || !matches!(state, JobState::Failed | JobState::Cancelled) {
            return Err(StoreError::NotNow("only what was asked for last can be tried again, once it has failed"));
        }
        let case = CaseId::from(case);
        match from_word(row.try_get("kind")?)? {
            JobKind::Refine => self.request_refinement(actor, &case, row.try_get("adapt_seconds")?).await,
            JobKind::Presegment => self.request_presegmentation(actor, &case).await,
        }
    }

    async fn request_presegmentation(&self, actor: &Actor, id: &CaseId) -> Result<Job, StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        check_idle(&mut change, number).await?;
        if is_segmented(&mut change, number).await? {
            return Err(StoreError::NotNow("the scan is segmented already; look at it"));
        }
        let job = insert(&mut change, actor, number, JobKind::Presegment, None).await?;
        audit::record(&mut change, actor, "case.segment", id.as_str()).await?;
        change.commit().await?;
        self.announce(id);
        Ok(job)
    }

    /// Stops a job, whether it waits or runs; a job that has ended stays as it is. Its worker is left to the caller.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn cancel(&self, actor: &Actor, id: JobId) -> Result<Job, StoreError> {
        let mut change = self.change().await?;
        sqlx::query(
            "UPDATE jobs SET state = 'cancelled', message = 'stopped', cancelled_by = ?
             WHERE id = ? AND state IN ('queued', 'running')",
        )
        .bind(actor)
        .bind(id.0)
        .execute(&mut *change)
        .await?;
        audit::record(&mut change, actor, "job.cancel", &id.to_string()).await?;
        change.commit().await?;
        self.announce_job(id).await;
        self.job(id).await
    }

    /// A job.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn job(&self, id: JobId) -> Result<Job, StoreError> {
        let row = sqlx::query("SELECT id AS job, kind, state, progress, message, NULL AS ahead FROM jobs WHERE id = ?")
            .bind(id.0);
        job(&row.fetch_optional(&self.readers).await?.ok_or(StoreError::NotFound("such job"))?)
    }

    /// Takes the next job; it is running from now on. A refinement goes first: someone waits for it at a screen. Then
    /// whoever had a turn longest ago: nobody waits for all of somebody else's scans.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn lease(&self) -> Result<Option<Lease>, StoreError> {
        loop {
            match self.lease_next().await? {
                Next::Lease(lease) => return Ok(Some(lease)),
                Next::Nothing => return Ok(None),
                // A job that cannot be begun must not stand in the others' way for ever.
                Next::Unusable(case) => self.announce(&case),
            }
        }
    }

    async fn lease_next(&self) -> Result<Next, StoreError> {
        let mut change = self.change().await?;
        let row = sqlx::query(
            "UPDATE jobs SET state = 'running', attempt = attempt + 1, progress = 0, message = '', begun_ms = ?,
                 turn = (SELECT coalesce(max(turn), 0) + 1 FROM jobs)
             WHERE id = (SELECT id FROM jobs q WHERE state = 'queued' ORDER BY kind = 'refine' DESC,
                             (SELECT coalesce(max(turn), 0) FROM jobs j WHERE j.asked_by = q.asked_by), id LIMIT 1)
             RETURNING id, case_number, attempt, kind, corrections, asked_by, adapt_seconds",
        )
        .bind(now_ms())
        .fetch_optional(&mut *change)
        .await?;
        let Some(row) = row else {
            change.abandon().await?;
            return Ok(Next::Nothing);
        };
        let (id, number): (i64, i64) = (row.try_get("id")?, row.try_get("case_number")?);
        let case: String =
            sqlx::query_scalar("SELECT id FROM cases WHERE number = ?").bind(number).fetch_one(&mut *change).await?;
        let task = Task::of(&mut change, number, &row).await;
        if let Err(error @ (StoreError::Record(_) | StoreError::NotFound(_))) = &task {
            tracing::error!(job = id, "it cannot be begun: {error}");
            let failed = sqlx::query("UPDATE jobs SET state = 'failed', message = ? WHERE id = ?")
                .bind(error.to_string())
                .bind(id);
            failed.execute(&mut *change).await?;
            change.commit().await?;
            return Ok(Next::Unusable(case.into()));
        }
        let (attempt, actor) = (row.try_get("attempt")?, row.try_get("asked_by")?);
        let lease = Lease { job: JobId(id), attempt, case: case.into(), actor, task: task? };
        change.commit().await?;
        self.announce(&lease.case);
        Ok(Next::Lease(lease))
    }

    /// Whether the lease still holds: the job has neither been cancelled nor deleted.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn holds(&self, lease: &Lease) -> Result<bool, StoreError> {
        let held =
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM jobs WHERE id = ? AND attempt = ? AND state = 'running')")
                .bind(lease.job.0)
                .bind(lease.attempt);
        Ok(held.fetch_one(&self.readers).await?)
    }

    /// Notes how far a job is.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_progress(&self, lease: &Lease, progress: f32) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let noted = sqlx::query("UPDATE jobs SET progress = ? WHERE id = ? AND attempt = ? AND state = 'running'")
            .bind(progress.clamp(0.0, 1.0))
            .bind(lease.job.0)
            .bind(lease.attempt)
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        if noted.rows_affected() > 0 {
            self.announce(&lease.case);
        }
        Ok(())
    }

    /// Stores what a presegmentation made, unless the lease is lost; says whether it was stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_presegmentation(
        &self,
        lease: &Lease,
        files: &PresegmentationFiles,
    ) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let Some(number) = end(&mut change, lease, JobState::Done, "").await? else { return Ok(false) };
        sqlx::query("UPDATE cases SET slices = ?, uncertainty = ?, standing = ? WHERE number = ?")
            .bind(serde_json::to_string(&files.slices)?)
            .bind(&files.uncertainty)
            .bind(serde_json::to_string(&files.standing)?)
            .bind(number)
            .execute(&mut *change)
            .await?;
        insert_made(&mut change, lease, number, &files.segmentation).await?;
        sqlx::query("UPDATE segmentations SET uncertainty = ? WHERE case_number = ? AND round = 0")
            .bind(&files.uncertainty)
            .bind(number)
            .execute(&mut *change)
            .await?;
        change.commit().await?;
        self.announce(&lease.case);
        Ok(true)
    }

    /// Stores what a refinement made as the next round, unless the lease is lost; says whether it was stored.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn finish_refinement(&self, lease: &Lease, files: &RefinementFiles) -> Result<bool, StoreError> {
        let mut change = self.change().await?;
        let Some(number) = end(&mut change, lease, JobState::Done, "").await? else { return Ok(false) };
        sqlx::query("UPDATE cases SET uncertainty = ?, next_slices = ?, standing = ? WHERE number = ?")
            .bind(&files.uncertainty)
            .bind(serde_json::to_string(&files.next)?)
            .bind(serde_json::to_string(&files.standing)?)
            .bind(number)
            .execute(&mut *change)
            .await?;
        insert_made(&mut change, lease, number, &files.segmentation).await?;
        change.commit().await?;
        self.announce(&lease.case);
        Ok(true)
    }

    /// Gives a job up for a reason that trying again would not change.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn fail(&self, lease: &Lease, reason: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        end(&mut change, lease, JobState::Failed, reason).await?;
        change.commit().await?;
        self.announce(&lease.case);
        Ok(())
    }

    /// The worker died of a job: it waits again, or has failed if that was one death too many.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn note_crash(&self, lease: &Lease, reason: &str) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query(
            "UPDATE jobs SET crashes = crashes + 1, progress = 0,
                 state = CASE WHEN crashes + 1 < ? THEN 'queued' ELSE 'failed' END,
                 message = CASE WHEN crashes + 1 < ? THEN 'starting again after a crash' ELSE ? END
             WHERE id = ? AND attempt = ? AND state = 'running'",
        )
        .bind(MAX_CRASHES)
        .bind(MAX_CRASHES)
        .bind(reason)
        .bind(lease.job.0)
        .bind(lease.attempt)
        .execute(&mut *change)
        .await?;
        change.commit().await?;
        self.announce(&lease.case);
        Ok(())
    }

    /// What ran when the last server died waits again; what has seen several servers die is given up, for it may be
    /// what they died of.
    pub(super) async fn requeue_interrupted(&self) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query(
            "UPDATE jobs SET server_deaths = server_deaths + 1, progress = 0,
                 state = CASE WHEN server_deaths + 1 < ?1 THEN 'queued' ELSE 'failed' END,
                 message = CASE WHEN server_deaths + 1 < ?1 THEN 'starting again' ELSE ?2 END
             WHERE state = 'running'",
        )
        .bind(MAX_SERVER_DEATHS)
        .bind(SERVER_DIED)
        .execute(&mut *change)
        .await?;
        change.commit().await
    }

    /// What runs waits again, because the server is about to end.
    pub(super) async fn requeue_running(&self) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        sqlx::query(
            "UPDATE jobs SET state = 'queued', progress = 0, message = 'starting again' WHERE state = 'running'",
        )
        .execute(&mut *change)
        .await?;
        change.commit().await
    }

    async fn announce_job(&self, id: JobId) {
        let case =
            sqlx::query_scalar("SELECT c.id FROM cases c JOIN jobs j ON j.case_number = c.number WHERE j.id = ?")
                .bind(id.0);
        let case: Result<Option<String>, _> = case.fetch_optional(&self.readers).await;
        if let Ok(Some(case)) = case {
            self.announce(&case.into());
        }
    }
}

/// Calls off what waits or runs for a case.
pub(super) async fn call_off(
    connection: &mut SqliteConnection,
    actor: &Actor,
    case_number: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE jobs SET state = 'cancelled', message = 'the case was deleted', cancelled_by = ?
         WHERE case_number = ? AND state IN ('queued', 'running')",
    )
    .bind(actor)
    .bind(case_number)
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes down what a job made, and for whom.
async fn insert_made(
    connection: &mut SqliteConnection,
    lease: &Lease,
    number: i64,
    made: &segmentations::NewSegmentation,
) -> Result<(), StoreError> {
    segmentations::insert(connection, &lease.actor, lease.task.bundle(), number, made).await?;
    audit::record(connection, &lease.actor, "segmentation.make", lease.case.as_str()).await
}

/// Queues a case's presegmentation if it has none: it was called off when the case was deleted.
pub(super) async fn take_up_again(
    connection: &mut SqliteConnection,
    actor: &Actor,
    case_number: i64,
) -> Result<(), StoreError> {
    if !is_segmented(&mut *connection, case_number).await? {
        insert(connection, actor, case_number, JobKind::Presegment, None).await?;
    }
    Ok(())
}

async fn is_segmented(connection: &mut SqliteConnection, case_number: i64) -> Result<bool, StoreError> {
    let segmented =
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM segmentations WHERE case_number = ?)").bind(case_number);
    Ok(segmented.fetch_one(connection).await?)
}

/// Refuses one more job of somebody who has as many waiting as one may have.
async fn check_quota(connection: &mut SqliteConnection, actor: &Actor) -> Result<(), StoreError> {
    let waiting = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE asked_by = ? AND state = 'queued'").bind(actor);
    let waiting: i64 = waiting.fetch_one(connection).await?;
    if waiting < WAITING_LIMIT { Ok(()) } else { Err(StoreError::Crowded(WAITING_LIMIT)) }
}

/// Queues a job.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    actor: &Actor,
    case_number: i64,
    kind: JobKind,
    corrections: Option<&[CorrectedSlice]>,
) -> Result<Job, StoreError> {
    check_quota(&mut *connection, actor).await?;
    let row = sqlx::query(
        "INSERT INTO jobs (case_number, kind, state, corrections, asked_by) VALUES (?, ?, ?, ?, ?)
         RETURNING id AS job, kind, state, progress, message, NULL AS ahead",
    )
    .bind(case_number)
    .bind(to_word(&kind)?)
    .bind(to_word(&JobState::Queued)?)
    .bind(corrections.map(serde_json::to_string).transpose()?)
    .bind(actor)
    .fetch_one(connection)
    .await?;
    job(&row)
}

/// Refuses while a job of a case waits or runs.
pub(super) async fn check_idle(connection: &mut SqliteConnection, case_number: i64) -> Result<(), StoreError> {
    let busy: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM jobs WHERE case_number = ? AND state IN ('queued', 'running'))",
    )
    .bind(case_number)
    .fetch_one(connection)
    .await?;
    if busy {
        Err(StoreError::NotNow("this case is being worked on already; wait until that is finished, or cancel it"))
    } else {
        Ok(())
    }
}

/// A job from a row that names its number `job`.
pub(super) fn job(row: &SqliteRow) -> Result<Job, StoreError> {
    Ok(Job {
        id: JobId(row.try_get("job")?),
        kind: from_word(row.try_get("kind")?)?,
        state: from_word(row.try_get("state")?)?,
        progress: row.try_get::<f64, _>("progress")? as f32,
        message: row.try_get("message")?,
        ahead: row.try_get("ahead")?,
    })
}

/// Ends a leased job; answers the case's number, or nothing if the lease is lost.
async fn end(
    connection: &mut SqliteConnection,
    lease: &Lease,
    state: JobState,
    message: &str,
) -> Result<Option<i64>, StoreError> {
    let ended = sqlx::query_scalar(
        "UPDATE jobs SET state = ?1, message = ?2, progress = CASE WHEN ?1 = 'done' THEN 1 ELSE progress END,
             took_ms = CASE WHEN ?1 = 'done' THEN max(?3 - begun_ms, 0) END
         WHERE id = ?4 AND attempt = ?5 AND state = 'running' RETURNING case_number",
    )
    .bind(to_word(&state)?)
    .bind(message)
    .bind(now_ms())
    .bind(lease.job.0)
    .bind(lease.attempt)
    .fetch_optional(connection)
    .await?;
    Ok(ended)
}

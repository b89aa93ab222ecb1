//! Saves that wait for the writer at the same time are committed together: the log is flushed once for all of them, and
//! each is answered when that has been done.

use std::collections::{HashMap, VecDeque};
use std::slice;
use std::sync::{Mutex, MutexGuard, PoisonError};

use shared::case::CaseId;
use shared::correction::CorrectedSlice;
use shared::geometry::Geometry;
use shared::label::LabelSet;
use sqlx::Row;
use tokio::sync::oneshot;

use super::change::Change;
use super::{Actor, Store, StoreError, audit, corrections, number, versions};

/// Saves that are committed together at most: none waits long for the others' sake.
const TOGETHER: usize = 32;

type Answer = Result<CorrectedSlice, StoreError>;

/// A save, and who waits to hear of it.
#[derive(Debug)]
struct Save {
    actor: Actor,
    id: CaseId,
    slice: CorrectedSlice,
    answer: oneshot::Sender<Answer>,
}

/// Saves that wait.
#[derive(Debug, Default)]
pub(super) struct Saves(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    saves: VecDeque<Save>,
    /// Whether a task works on them.
    attended: bool,
}

impl Saves {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether somebody has to attend to them now.
    fn add(&self, save: Save) -> bool {
        let mut waiting = self.waiting();
        waiting.saves.push_back(save);
        !std::mem::replace(&mut waiting.attended, true)
    }

    /// The next ones; none if nobody waits any more, and then nobody attends to them either.
    fn next(&self) -> Vec<Save> {
        let mut waiting = self.waiting();
        let count = waiting.saves.len().min(TOGETHER);
        waiting.attended = count > 0;
        waiting.saves.drain(..count).collect()
    }
}

/// Whoever attends to saves stops attending when it ends, however it ends.
struct Attending<'a>(&'a Saves);

impl Drop for Attending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.waiting().attended = false;
        }
    }
}

impl Store {
    /// Waits in line; the save goes on if the one who asked goes away.
    pub(super) async fn save(&self, actor: &Actor, id: &CaseId, slice: &CorrectedSlice) -> Answer {
        let (answer, told) = oneshot::channel();
        let save = Save { actor: actor.clone(), id: id.clone(), slice: slice.clone(), answer };
        if self.saves.add(save) {
            tokio::spawn(self.clone().attend());
        }
        told.await.unwrap_or(Err(StoreError::Slow))
    }

    /// All of them or none: where one is refused because its base is not the latest, all are kept aside.
    pub(super) async fn save_all(
        &self,
        actor: &Actor,
        id: &CaseId,
        slices: &[CorrectedSlice],
    ) -> Result<(), StoreError> {
        let mut writing = Writing { change: self.change().await?, cases: HashMap::new() };
        for slice in slices {
            let put = writing.put(actor, id, slice).await?;
            if matches!(put, Put::Saved(_) | Put::Nothing(Ok(_))) {
                continue;
            }
            writing.change.abandon().await?;
            if matches!(put, Put::KeptAside(_)) {
                self.keep_all_aside(actor, id, slices).await?;
            }
            return put.into_answer().map(|_| ());
        }
        writing.change.commit().await?;
        self.announce(id);
        Ok(())
    }

    async fn keep_all_aside(&self, actor: &Actor, id: &CaseId, slices: &[CorrectedSlice]) -> Result<(), StoreError> {
        let mut change = self.change().await?;
        let number = number(&mut change, id).await?;
        for slice in slices {
            versions::keep_refused(&mut change, actor, number, slice).await?;
        }
        change.commit().await
    }

    async fn attend(self) {
        let _attending = Attending(&self.saves);
        loop {
            let saves = self.saves.next();
            if saves.is_empty() {
                return;
            }
            let answers = self.commit_each(&saves).await;
            for (save, answer) in saves.into_iter().zip(answers) {
                // Fails only if nobody waits for it any more.
                let _ = save.answer.send(answer);
            }
        }
    }

    /// All together; where that fails, one after the other, so that none fails for the sake of another.
    async fn commit_each(&self, saves: &[Save]) -> Vec<Answer> {
        match self.commit_together(saves).await {
            Ok(answers) => answers,
            Err(error) if saves.len() == 1 => vec![Err(error)],
            Err(_) => {
                let mut answers = Vec::with_capacity(saves.len());
                for save in saves {
                    let alone = self.commit_together(slice::from_ref(save)).await;
                    answers.push(alone.and_then(|answers| answers.into_iter().next().unwrap_or(Err(StoreError::Slow))));
                }
                answers
            }
        }
    }

    /// In one change: an answer for each save, or an error for all, and then nothing was changed.
    async fn commit_together(&self, saves: &[Save]) -> Result<Vec<Answer>, StoreError> {
        let mut writing = Writing { change: self.change().await?, cases: HashMap::new() };
        let (mut answers, mut changed) = (Vec::with_capacity(saves.len()), Vec::new());
        for save in saves {
            let answer = writing.put(&save.actor, &save.id, &save.slice).await?;
            if !matches!(answer, Put::Nothing(_)) {
                changed.push(&save.id);
            }
            answers.push(answer.into_answer());
        }
        if changed.is_empty() {
            writing.change.abandon().await?;
        } else {
            writing.change.commit().await?;
        }
        changed.into_iter().for_each(|id| self.announce(id));
        Ok(answers)
    }
}

/// What became of a save.
enum Put {
    /// It holds now.
    Saved(CorrectedSlice),
    /// It is kept, but does not hold: its base is not the latest.
    KeptAside(StoreError),
    /// Nothing was changed.
    Nothing(Answer),
}

impl Put {
    fn into_answer(self) -> Answer {
        match self {
            Self::Saved(slice) => Ok(slice),
            Self::KeptAside(error) => Err(error),
            Self::Nothing(answer) => answer,
        }
    }
}

/// A case as a save finds it.
enum Found {
    /// What a slice has to fit.
    Open {
        number: i64,
        geometry: Geometry,
        labels: LabelSet,
    },
    /// Not presegmented yet.
    NotYet,
    Absent,
}

struct Writing {
    change: Change,
    /// Cases that were met.
    cases: HashMap<CaseId, Found>,
}

impl Writing {
    async fn put(&mut self, actor: &Actor, id: &CaseId, slice: &CorrectedSlice) -> Result<Put, StoreError> {
        if !self.cases.contains_key(id) {
            let found = find(&mut self.change, id).await?;
            self.cases.insert(id.clone(), found);
        }
        let refused = |error| Ok(Put::Nothing(Err(error)));
        let (number, geometry, labels) = match self.cases.get(id) {
            Some(Found::Open { number, geometry, labels }) => (*number, geometry, labels),
            Some(Found::NotYet) => {
                let words = "the presegmentation has not finished; there is nothing to correct yet";
                return refused(StoreError::NotNow(words));
            }
            Some(Found::Absent) | None => return refused(StoreError::NotFound("such case")),
        };
        if let Err(error) = slice.labels(geometry, labels) {
            return refused(error.into());
        }
        let change = &mut self.change;
        let stored = corrections::newest(change, number, slice.plane).await?;
        if let Some(stored) = &stored
            && stored.base == slice.revision
            && stored.slice.says_the_same(slice)
        {
            return Ok(Put::Nothing(Ok(stored.slice.clone())));
        }
        let latest = stored.map_or(0, |stored| stored.slice.revision);
        if latest != slice.revision {
            versions::keep_refused(change, actor, number, slice).await?;
            return Ok(Put::KeptAside(StoreError::Stale { stored: latest, base: slice.revision }));
        }
        let saved = CorrectedSlice { revision: slice.revision.saturating_add(1), ..slice.clone() };
        corrections::insert(change, actor, number, slice.revision, &saved).await?;
        let object = format!("{id} {} revision {}", slice.plane, saved.revision);
        audit::record(change, actor, "slice.save", &object).await?;
        Ok(Put::Saved(saved))
    }
}

async fn find(change: &mut Change, id: &CaseId) -> Result<Found, StoreError> {
    let query = "SELECT number, geometry, labels, slices IS NOT NULL AS open FROM open_cases WHERE id = ?";
    let row = sqlx::query(query).bind(id.as_str()).fetch_optional(&mut **change).await?;
    let Some(row) = row else {
        return Ok(Found::Absent);
    };
    if !row.try_get::<bool, _>("open")? {
        return Ok(Found::NotYet);
    }
    Ok(Found::Open {
        number: row.try_get("number")?,
        geometry: serde_json::from_str(row.try_get("geometry")?)?,
        labels: serde_json::from_str(row.try_get("labels")?)?,
    })
}

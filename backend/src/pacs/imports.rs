//! Series on their way: who asked for which, how far it is, what it became. In memory; which are under way, the store
//! knows as well, so that a server that starts again goes on with them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use shared::api::{Import, ImportState};
use shared::case::CaseId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::progress::Progress;

/// Imports of one person that may be under way.
const UNDER_WAY_LIMIT: usize = 16;
/// Imports that are over and still told of.
const OVER_LIMIT: usize = 100;

/// Series that are fetched at a time.
const AT_ONCE: usize = 2;

/// All of them; clones share it.
#[derive(Clone, Debug)]
pub struct Imports {
    entries: Arc<Mutex<Vec<Entry>>>,
    turns: Arc<Semaphore>,
}

impl Default for Imports {
    fn default() -> Self {
        Self { entries: Arc::default(), turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

#[derive(Debug)]
struct Entry {
    owner: String,
    import: Import,
    progress: Arc<Progress>,
    /// A slice of it to look at while it comes.
    picture: Option<Bytes>,
}

/// What an import came to.
#[derive(Debug)]
pub enum Outcome {
    /// A case.
    Case(CaseId),
    /// Nothing: why, in words.
    Failed(String),
    /// Nothing, as was asked for.
    Stopped,
}

impl Imports {
    /// Notes an import; nothing if this person has too many under way.
    pub fn begin(&self, owner: &str, source: &str, bundle: &str) -> Option<Ticket> {
        self.begin_as(uuid::Uuid::new_v4().simple().to_string(), owner, source, bundle)
    }

    /// The same under a name that it had before the server started again.
    pub fn begin_as(&self, id: String, owner: &str, source: &str, bundle: &str) -> Option<Ticket> {
        let mut entries = self.entries();
        let is_under_way = |entry: &&Entry| entry.owner == owner && !entry.import.state.is_over();
        if entries.iter().filter(is_under_way).count() >= UNDER_WAY_LIMIT {
            return None;
        }
        let import = Import {
            id: id.clone(),
            source: source.to_owned(),
            bundle: bundle.to_owned(),
            state: ImportState::Waiting,
            fetched: 0,
            of: 0,
            message: String::new(),
            case: None,
            has_picture: false,
        };
        let progress = Arc::new(Progress::default());
        entries.push(Entry { owner: owner.to_owned(), import, progress: Arc::clone(&progress), picture: None });
        let over = entries.iter().filter(|entry| entry.import.state.is_over()).count();
        if over > OVER_LIMIT
            && let Some(oldest) = entries.iter().position(|entry| entry.import.state.is_over())
        {
            entries.remove(oldest);
        }
        Some(Ticket { imports: self.clone(), id, progress })
    }

    /// A person's, the latest first.
    pub fn of(&self, owner: &str) -> Vec<Import> {
        self.entries().iter().rev().filter(|entry| entry.owner == owner).map(Entry::now).collect()
    }

    /// Stops one of a person's; how it stands then. Nothing if there is none.
    pub fn stop(&self, owner: &str, id: &str) -> Option<Import> {
        let mut entries = self.entries();
        let entry = entries.iter_mut().find(|entry| entry.owner == owner && entry.import.id == id)?;
        if matches!(entry.import.state, ImportState::Waiting | ImportState::Fetching) {
            entry.progress.stop();
            entry.import.state = ImportState::Cancelled;
            entry.picture = None;
        }
        Some(entry.now())
    }

    /// Shows a slice of one that is not over, as PNG.
    pub fn show(&self, id: &str, picture: Bytes) {
        let mut entries = self.entries();
        let entry = entries.iter_mut().find(|entry| entry.import.id == id && !entry.import.state.is_over());
        if let Some(entry) = entry {
            entry.picture = Some(picture);
        }
    }

    /// What is shown of one of a person's.
    pub fn picture(&self, owner: &str, id: &str) -> Option<Bytes> {
        let entries = self.entries();
        entries.iter().find(|entry| entry.owner == owner && entry.import.id == id)?.picture.clone()
    }

    /// Waits until it is somebody's turn to fetch; it ends with what is given.
    pub async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        // Never closed.
        Arc::clone(&self.turns).acquire_owned().await.ok()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn now(&self) -> Import {
        let (fetched, of) = (self.progress.fetched(), self.progress.of());
        Import { fetched, of, has_picture: self.picture.is_some(), ..self.import.clone() }
    }
}

/// What whoever carries an import out says of it. Dropped without an end, it has failed.
#[derive(Debug)]
pub struct Ticket {
    imports: Imports,
    id: String,
    /// How far fetching is.
    pub progress: Arc<Progress>,
}

impl Ticket {
    /// What it is called.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How it stands.
    pub fn now(&self) -> Option<Import> {
        self.imports.entries().iter().find(|entry| entry.import.id == self.id).map(Entry::now)
    }

    /// Goes on to another state; false if it was stopped.
    pub fn enter(&self, state: ImportState) -> bool {
        self.change(|import| import.state = state)
    }

    /// It is over.
    pub fn end(self, outcome: Outcome) {
        self.change(|import| match outcome {
            Outcome::Case(case) => (import.state, import.case) = (ImportState::Done, Some(case)),
            Outcome::Failed(why) => (import.state, import.message) = (ImportState::Failed, why),
            Outcome::Stopped => import.state = ImportState::Cancelled,
        });
    }

    /// Changes what is not over yet.
    fn change(&self, change: impl FnOnce(&mut Import)) -> bool {
        let mut entries = self.imports.entries();
        let entry = entries.iter_mut().find(|entry| entry.import.id == self.id);
        let Some(entry) = entry.filter(|entry| !entry.import.state.is_over()) else { return false };
        change(&mut entry.import);
        if entry.import.state.is_over() {
            entry.picture = None;
        }
        true
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Whoever fetches on another thread stops.
        self.progress.stop();
        self.change(|import| {
            import.state = ImportState::Failed;
            import.message = "the server was stopped, or could not go on".to_owned();
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_is_its_owners() {
        let imports = Imports::default();
        let ticket = imports.begin("ann", "clinic", "phantom").unwrap();
        let id = ticket.now().unwrap().id;
        assert_eq!((imports.of("ann").len(), imports.of("bob").len()), (1, 0));
        assert!(imports.stop("bob", &id).is_none());
        assert!(ticket.enter(ImportState::Fetching));
        assert_eq!(imports.stop("ann", &id).unwrap().state, ImportState::Cancelled);
        assert!(ticket.progress.is_stopped() && !ticket.enter(ImportState::Checking));
        ticket.end(Outcome::Case("0123".into()));
        assert_eq!(imports.of("ann")[0].state, ImportState::Cancelled);
    }

    #[test]
    fn a_picture_is_its_owners_and_goes_with_the_import() {
        let imports = Imports::default();
        let picture = || Bytes::from_static(b"PNG");
        for end in [Outcome::Case("0123".into()), Outcome::Failed("it broke".into()), Outcome::Stopped] {
            let ticket = imports.begin("ann", "clinic", "phantom").unwrap();
            let id = ticket.id().to_owned();
            assert_eq!(imports.picture("ann", &id), None);
            imports.show(&id, picture());
            assert!(imports.of("ann")[0].has_picture);
            assert_eq!((imports.picture("ann", &id), imports.picture("bob", &id)), (Some(picture()), None));
            ticket.end(end);
            // One that comes too late is not shown.
            imports.show(&id, picture());
            assert!(imports.picture("ann", &id).is_none() && !imports.of("ann")[0].has_picture);
        }
        let ticket = imports.begin("ann", "clinic", "phantom").unwrap();
        imports.show(ticket.id(), picture());
        imports.stop("ann", ticket.id());
        assert_eq!(imports.picture("ann", ticket.id()), None);
    }

    #[test]
    fn an_import_that_nobody_carries_on_has_failed() {
        let imports = Imports::default();
        drop(imports.begin("ann", "clinic", "phantom"));
        assert_eq!(imports.of("ann")[0].state, ImportState::Failed);
        let ticket = imports.begin("ann", "clinic", "phantom").unwrap();
        ticket.enter(ImportState::Checking);
        // What is being looked through becomes a case, or does not.
        let id = ticket.now().unwrap().id;
        assert_eq!(imports.stop("ann", &id).unwrap().state, ImportState::Checking);
        ticket.end(Outcome::Case("0123".into()));
        assert_eq!(imports.of("ann")[0].case, Some("0123".into()));
    }

    #[test]
    fn no_one_has_too_many_under_way() {
        let imports = Imports::default();
        let tickets: Vec<Ticket> = (0..UNDER_WAY_LIMIT).map(|_| imports.begin("ann", "s", "b").unwrap()).collect();
        assert!(imports.begin("ann", "s", "b").is_none() && imports.begin("bob", "s", "b").is_some());
        drop(tickets);
        assert!(imports.begin("ann", "s", "b").is_some());
    }
}

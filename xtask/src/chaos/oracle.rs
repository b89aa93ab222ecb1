//! People who save all the time, and what they were told: the oracle that a server's memory is compared with.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};
use ureq::Agent;

use super::bed::{Server, agent};

/// People who save at the same time.
const PEOPLE: usize = 8;
/// Pause after a save that came to nothing, as the browser makes one.
const RETRY: Duration = Duration::from_millis(30);

/// Something that was said of a plane: a number that its labels stand for, on a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Said {
    revision: u64,
    content: u64,
}

/// What one person knows of their plane.
#[derive(Clone, Copy, Debug)]
struct Known {
    acknowledged: Said,
    /// Sent on top of what is acknowledged, and not answered yet.
    under_way: Option<u64>,
}

#[derive(Debug)]
struct Shared {
    case: String,
    voxels: u64,
    url: RwLock<String>,
    /// Read during a request, written while what the server knows is compared.
    gate: RwLock<()>,
    known: Vec<Mutex<Known>>,
    acknowledged: AtomicU64,
    conflicts: AtomicU64,
    over: AtomicBool,
}

/// The people.
pub(crate) struct Oracle {
    shared: Arc<Shared>,
    agent: Agent,
}

/// How the server fared.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    acknowledged: u64,
    comparisons: u64,
    lost: u64,
    doubled: u64,
    conflicts: u64,
    slowest_start: Duration,
}

impl Verdict {
    /// Whether nothing was lost, doubled or refused without a reason.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.conflicts == 0 && self.acknowledged > 0
    }

    /// A start took this long.
    pub(crate) fn note_start(&mut self, elapsed: Duration) {
        self.slowest_start = self.slowest_start.max(elapsed);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, comparisons, lost, doubled, conflicts, slowest_start } = self;
        write!(
            f,
            "{acknowledged} saves acknowledged, {comparisons} comparisons, {lost} lost, {doubled} doubled, {conflicts} \
             false conflicts, slowest start {:.2} s",
            slowest_start.as_secs_f64()
        )
    }
}

impl Oracle {
    /// Sets people to work on a case.
    pub(crate) fn begin(server: &Server, case: &str) -> Result<Self> {
        let detail = server.get(&format!("/api/cases/{case}"))?;
        let size = |axis: usize| detail["geometry"]["dims"][axis].as_u64().context("the case has no size");
        let shared = Arc::new(Shared {
            case: case.to_owned(),
            voxels: size(0)? * size(1)?,
            url: RwLock::new(server.url().to_owned()),
            gate: RwLock::new(()),
            known: (0..PEOPLE)
                .map(|_| Mutex::new(Known { acknowledged: Said { revision: 0, content: 0 }, under_way: None }))
                .collect(),
            acknowledged: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            over: AtomicBool::new(false),
        });
        for person in 0..PEOPLE {
            let shared = Arc::clone(&shared);
            thread::spawn(move || work(&shared, person));
        }
        Ok(Self { shared, agent: agent() })
    }

    /// The server has another address now.
    pub(crate) fn speak_to(&self, server: &Server) {
        server.url().clone_into(&mut self.shared.url.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// How many saves were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// The people go home.
    pub(crate) fn end(&self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }

    /// Compares what the server knows with what it has acknowledged.
    pub(crate) fn check(&self, server: &Server, verdict: &mut Verdict) -> Result<()> {
        let _quiet = self.shared.gate.write().unwrap_or_else(PoisonError::into_inner);
        let route = format!("{}/api/cases/{}/corrections", server.url(), self.shared.case);
        let stored: Vec<Value> = self.agent.get(route).call()?.body_mut().read_json()?;
        for (person, known) in self.shared.known.iter().enumerate() {
            let known = *known.lock().unwrap_or_else(PoisonError::into_inner);
            let slice = stored.iter().find(|slice| slice["plane"]["index"] == person);
            let stored = slice.map_or(Said { revision: 0, content: 0 }, said);
            verdict.comparisons += 1;
            let after = known.under_way.map(|content| Said { revision: known.acknowledged.revision + 1, content });
            if stored == known.acknowledged || Some(stored) == after {
                continue;
            }
            println!("[chaos] plane {person}: the server has {stored:?}, {known:?} was said");
            if stored.revision > known.acknowledged.revision { verdict.doubled += 1 } else { verdict.lost += 1 }
        }
        verdict.acknowledged = self.acknowledged();
        verdict.conflicts = self.shared.conflicts.load(Ordering::SeqCst);
        Ok(())
    }
}

fn said(slice: &Value) -> Said {
    Said { revision: slice["revision"].as_u64().unwrap_or(0), content: slice["runs"][0][1].as_u64().unwrap_or(0) }
}

/// Saves again and again; what is not answered is sent again, word for word.
fn work(shared: &Shared, person: usize) {
    let agent = agent();
    let known = &shared.known[person];
    let mut counter = person as u64;
    while !shared.over.load(Ordering::SeqCst) {
        let _open = shared.gate.read().unwrap_or_else(PoisonError::into_inner);
        let before = {
            let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.under_way.is_none() {
                counter += 1;
                known.under_way = Some(1 + counter % (shared.voxels - 1));
            }
            *known
        };
        let content = before.under_way.unwrap_or(1);
        match save(shared, &agent, person, before.acknowledged.revision, content) {
            Some(revision) => {
                *known.lock().unwrap_or_else(PoisonError::into_inner) =
                    Known { acknowledged: Said { revision, content }, under_way: None };
                shared.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            None => thread::sleep(RETRY),
        }
    }
}

/// The revision that a save was acknowledged with, or nothing.
fn save(shared: &Shared, agent: &Agent, person: usize, base: u64, content: u64) -> Option<u64> {
    let url = shared.url.read().unwrap_or_else(PoisonError::into_inner).clone();
    let slice = json!({
        "plane": { "axis": "axial", "index": person },
        "state": "done",
        "runs": [[1, content], [0, shared.voxels - content]],
        "revision": base,
    });
    let mut answer =
        agent.put(format!("{url}/api/cases/{}/corrections/axial/{person}", shared.case)).send_json(slice).ok()?;
    match answer.status().as_u16() {
        200 => answer.body_mut().read_json::<Value>().ok()?["revision"].as_u64(),
        409 => {
            // Nobody else paints here.
            shared.conflicts.fetch_add(1, Ordering::SeqCst);
            None
        }
        // The server could not keep it, and says so.
        _ => None,
    }
}

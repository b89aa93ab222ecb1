//! Undo that survives a reload: this tab's steps, kept in its session storage. They are taken up again only on planes
//! whose labels are still the same, so that no step is taken back over labels that it never saw.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::case::CaseId;
use shared::geometry::Plane;
use shared::label::Label;

use super::Session;
use super::bench::Bench;
use crate::annotate::history::History;
use crate::browser::storage::Area;

/// Steps kept: a browser gives a tab a few megabytes.
const KEPT: usize = 100;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    history: History,
    /// What the labels of each plane added up to.
    sums: Vec<(Plane, u64)>,
}

impl Memory {
    fn of(bench: &Bench) -> Self {
        let history = bench.history.recent(KEPT);
        let sum = |plane: &Plane| Some((*plane, sum(&bench.corrections.get(plane)?.labels)));
        Self { sums: history.planes().iter().filter_map(sum).collect(), history }
    }

    /// The steps of planes that are still as they were.
    fn recalled(self, bench: &Bench) -> History {
        let sums: BTreeMap<Plane, u64> = self.sums.into_iter().collect();
        let mut history = self.history;
        for plane in history.planes() {
            let now = bench.corrections.get(&plane).map(|correction| sum(&correction.labels));
            if now.is_none() || now.as_ref() != sums.get(&plane) {
                history.forget(plane);
            }
        }
        history
    }
}

impl Session {
    /// Keeps the steps for a reload. Without storage they last as long as the page.
    pub(super) fn remember_steps(self) {
        let memory = self.read(|bench| (key(&bench.visit.case), Memory::of(bench)));
        if let Some((key, memory)) = memory {
            let _ = Area::of_tab().set(&key, &serde_json::to_string(&memory).unwrap_or_default());
        }
    }

    /// Takes up the steps of before a reload.
    pub(super) fn recall_steps(self) {
        let Some(key) = self.read(|bench| key(&bench.visit.case)) else { return };
        let Some(memory) = Area::of_tab().get(&key).and_then(|kept| serde_json::from_str::<Memory>(&kept).ok()) else {
            return;
        };
        self.change(|bench| bench.history = memory.recalled(bench));
        self.painting.depth.learn(self.read(|bench| bench.history.depth()).unwrap_or_default());
    }
}

fn key(case: &CaseId) -> String {
    format!("i3deep-steps/{case}")
}

/// FNV-1a: tells labels apart that differ by chance, which is all that is asked of it.
fn sum(labels: &[Label]) -> u64 {
    labels.iter().fold(0xcbf2_9ce4_8422_2325, |sum, label| (sum ^ u64::from(*label)).wrapping_mul(0x0100_0000_01b3))
}

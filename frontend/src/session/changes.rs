//! After a refinement: what it changed, to look through and to take or leave, and whether it kept what was vouched for.

use leptos::task::spawn_local;
use shared::api::Decision;
use shared::geometry::Axis;
use shared::label::Label;

use super::Session;
use super::bench::{Bench, Proof};
use super::fact::Fact;
use crate::api;

/// Islands that are listed; what is smaller is left or taken with all the others.
const LISTED: usize = 40;

/// What is known of the newest refinement's changes.
#[derive(Clone, Copy)]
pub(crate) struct Changes {
    /// The islands, the largest first; nothing before they are known.
    pub(crate) list: Fact<Option<ChangeList>>,
    /// The island that is looked at.
    pub(crate) at: Fact<Option<usize>>,
    /// The list is on the screen instead of the slices.
    pub(crate) open: Fact<bool>,
    /// A decision is on its way to the server.
    pub(crate) deciding: Fact<bool>,
}

/// The changes of the newest refinement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ChangeList {
    /// The largest.
    pub(crate) islands: Vec<IslandRow>,
    /// How many are not listed.
    pub(crate) smaller: usize,
    /// Voxels of all of them.
    pub(crate) voxels: usize,
    /// Islands that are left as they were, listed or not.
    pub(crate) left: usize,
    /// Whether the corrected slices are as they were vouched for.
    pub(crate) proof: Proof,
}

/// A line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IslandRow {
    /// What its voxels were called.
    pub(crate) before: Label,
    /// What they are called.
    pub(crate) after: Label,
    /// How many.
    pub(crate) voxels: usize,
    /// The one in the middle.
    pub(crate) middle: [usize; 3],
    /// As the refinement made it; else as it was before.
    pub(crate) is_taken: bool,
}

impl Changes {
    /// Nothing has been refined.
    pub(super) fn new() -> Self {
        Self { list: Fact::new(None), at: Fact::new(None), open: Fact::new(false), deciding: Fact::new(false) }
    }
}

impl Session {
    /// Brings what is on the screen to what is decided, and the list to what has changed.
    pub(super) fn follow_decisions(self) {
        if self.change(Bench::follow_decisions) == Some(true) {
            self.repaint();
        }
        self.refresh_changes();
    }

    pub(super) fn refresh_changes(self) {
        let list = self.read(change_list).flatten();
        if list.is_none() {
            self.changes.at.learn(None);
            self.changes.open.learn(false);
        }
        self.changes.list.learn(list);
    }

    pub(super) fn close_changes(self) {
        self.changes.list.learn(None);
        self.changes.at.learn(None);
        self.changes.open.learn(false);
        self.changes.deciding.learn(false);
    }

    /// Shows an island: its middle, in the view in which it is largest.
    pub(super) fn look_at_change(self, number: usize) {
        let found = self.read(|bench| {
            let island = bench.change.as_ref()?.islands.get(number)?;
            Some((widest(bench, &island.voxels, island.middle), island.middle))
        });
        let Some((axis, middle)) = found.flatten() else { return };
        self.changes.open.learn(true);
        self.changes.at.learn(Some(number));
        self.viewing.overlay.update(|overlay| overlay.changes = true);
        self.show_current();
        self.viewing.large.learn(axis);
        self.look_at(middle);
        self.repaint();
    }

    /// The island after (1) or before (-1) the one that is looked at.
    pub(super) fn step_change(self, by: i64) {
        let count = self.changes.list.now_with(|list| list.as_ref().map_or(0, |list| list.islands.len()));
        if count == 0 {
            return self.messages.notice.set(Some("There are no changes to go through: refine first.".into()));
        }
        let at = self.changes.at.now().map_or(if by > 0 { -1 } else { 0 }, |at| at as i64);
        self.look_at_change((at + by).rem_euclid(count as i64) as usize);
    }

    /// Takes the island that is looked at, or leaves it if it is taken.
    pub(super) fn decide_here(self) {
        let Some(number) = self.changes.at.now() else { return self.step_change(1) };
        let is_taken = self
            .changes
            .list
            .now_with(|list| list.as_ref().and_then(|list| list.islands.get(number)).map(|island| island.is_taken));
        is_taken.into_iter().for_each(|is_taken| self.decide(&[number], !is_taken));
    }

    /// Takes or leaves islands.
    pub(super) fn decide(self, numbers: &[usize], is_taken: bool) {
        self.save_decision(self.read(|bench| bench.decided(numbers, is_taken)).flatten());
    }

    /// Takes or leaves all of them, those that are not listed too.
    pub(super) fn decide_all(self, is_taken: bool) {
        let all = self.read(|bench| bench.change.as_ref().map_or(0, |change| change.islands.len())).unwrap_or(0);
        self.decide(&(0..all).collect::<Vec<_>>(), is_taken);
    }

    /// Another version becomes what is worked on, until something else is decided.
    pub(super) fn bring_version_back(self, version: String) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        self.end_stroke();
        spawn_local(async move {
            if self.read(|bench| bench.segmentations.contains_key(&version)) != Some(true) {
                match self.labels_of(&visit, &version).await {
                    _ if !self.is_shown(&visit) => return,
                    Ok(labels) => {
                        self.change(|bench| bench.segmentations.insert(version.clone(), labels));
                        self.follow_decisions();
                    }
                    Err(trouble) => return self.complain(&trouble),
                }
            }
            self.viewing.shown.learn(super::Shown::default());
            self.save_decision(self.read(|bench| bench.decided_as(&version)).flatten());
        });
    }

    /// What is decided shows once the server has it: there is nothing to be lost.
    fn save_decision(self, decision: Option<Decision>) {
        let (Some(decision), Some(visit)) = (decision, self.read(|bench| bench.visit.clone())) else { return };
        if self.changes.deciding.now() {
            return;
        }
        self.changes.deciding.set(true);
        spawn_local(async move {
            let answer = api::decide(&visit.case, &decision).await;
            if !self.is_shown(&visit) {
                return;
            }
            self.changes.deciding.set(false);
            match answer {
                Ok(saved) => {
                    self.change(|bench| bench.learn_decision(saved.clone()));
                    self.case.detail.update(|detail| {
                        detail.iter_mut().for_each(|detail| {
                            detail.decisions.retain(|known| known.version != saved.version);
                            detail.decisions.push(saved.clone());
                        })
                    });
                    self.refresh_changes();
                    self.refresh_slices();
                    self.repaint();
                }
                Err(trouble) => {
                    self.complain(&trouble);
                    self.reload_case();
                }
            }
        });
    }
}

/// The axis whose plane through the middle holds most of the voxels.
fn widest(bench: &Bench, voxels: &[u32], middle: [usize; 3]) -> Axis {
    let geometry = bench.geometry();
    let in_plane = |axis: &Axis| {
        let stored = geometry.stored_axis(*axis);
        let voxel = |at: &&u32| shared::geometry::Geometry::voxel_at(**at as usize, geometry.dims);
        voxels.iter().filter(|at| voxel(at)[stored] == middle[stored]).count()
    };
    Axis::ALL.into_iter().max_by_key(in_plane).unwrap_or(Axis::Axial)
}

fn change_list(bench: &Bench) -> Option<ChangeList> {
    let change = bench.change.as_ref()?;
    let row = |island: &shared::islands::Island| IslandRow {
        before: island.before,
        after: island.after,
        voxels: island.voxels.len(),
        middle: island.middle,
        is_taken: bench.is_taken(island),
    };
    Some(ChangeList {
        islands: change.islands.iter().take(LISTED).map(row).collect(),
        smaller: change.islands.len().saturating_sub(LISTED),
        voxels: change.islands.iter().map(|island| island.voxels.len()).sum(),
        left: change.islands.iter().filter(|island| !bench.is_taken(island)).count(),
        proof: change.proof.clone(),
    })
}

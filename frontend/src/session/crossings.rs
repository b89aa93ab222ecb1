//! Corrected planes that contradict each other where they cross. It is told at once, and only the expert decides which
//! of the two is right: what was vouched for and what refinement is given are always the same.

use std::collections::BTreeMap;

use shared::crossing::Contradiction;
use shared::geometry::Plane;

use super::Session;
use super::bench::Bench;
use super::fact::Fact;

/// What is known of contradictions.
#[derive(Clone, Copy)]
pub(crate) struct Crossings {
    /// Pairs of planes that contradict each other.
    pub(crate) pairs: Fact<Vec<Pair>>,
}

/// Two planes that contradict each other.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pair {
    /// The planes, ascending.
    pub(crate) planes: [Plane; 2],
    /// Both are vouched for: refining has to wait.
    pub(crate) is_finished: bool,
    /// The voxels, with what each of the planes calls them.
    pub(crate) voxels: Vec<Contradiction>,
}

/// Which of two planes is right, and where.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The plane that is right.
    pub(crate) right: Plane,
    /// The plane that is to agree with it.
    pub(crate) wrong: Plane,
    /// In this voxel only; else in all that they share.
    pub(crate) voxel: Option<[usize; 3]>,
}

impl Crossings {
    /// None.
    pub(super) fn new() -> Self {
        Self { pairs: Fact::new(Vec::new()) }
    }

    /// Voxels that stand in the way of refining.
    pub(crate) fn blocking(&self) -> usize {
        self.pairs.with(|pairs| pairs.iter().filter(|pair| pair.is_finished).map(|pair| pair.voxels.len()).sum())
    }
}

impl Session {
    /// Looks for contradictions anew.
    pub(super) fn refresh_crossings(self) {
        let pairs = self.change(|bench| {
            bench.find_contradictions();
            pairs_of(bench)
        });
        self.crossings.pairs.learn(pairs.unwrap_or_default());
    }

    /// Whether finished slices contradict each other; says so.
    pub(super) fn is_contradicted(self) -> bool {
        let voxels = self.crossings.blocking_now();
        if voxels > 0 {
            let them = if voxels == 1 { "in one voxel".to_owned() } else { format!("in {voxels} voxels") };
            self.messages.notice.set(Some(format!(
                "Finished slices contradict each other {them}. Decide which is right, then refine."
            )));
        }
        voxels > 0
    }

    /// Shows a voxel that two planes contradict each other in, on the first of them.
    pub(super) fn look_at_contradiction(self, plane: Plane, voxel: [usize; 3]) {
        self.go_to(plane);
        self.show_current();
        self.look_at(voxel);
        self.repaint();
    }

    /// The expert has decided.
    pub(super) fn settle(self, verdict: &Verdict) {
        self.end_stroke();
        let Verdict { right, wrong, voxel } = verdict;
        let changed = self.change(|bench| {
            let step = bench.agree(*wrong, *right, |at| voxel.is_none_or(|voxel| voxel == at))?;
            Some(bench.carry_across(&step))
        });
        if let Some(carried) = changed.flatten() {
            self.save_all(Some(carried));
            self.state_changed(*wrong);
        }
    }

    /// Everywhere the slice that was said last is right.
    pub(super) fn settle_by_last_word(self) {
        let verdicts = self.read(|bench| {
            let said = |plane: &Plane| bench.corrections.get(plane).map_or(0, |correction| correction.said);
            let mut verdicts: Vec<(u64, Verdict)> = pairs_of(bench)
                .into_iter()
                .map(|pair| {
                    let [a, b] = pair.planes;
                    let (right, wrong) = if said(&a) > said(&b) { (a, b) } else { (b, a) };
                    (said(&right), Verdict { right, wrong, voxel: None })
                })
                .collect();
            // The latest first: what it says is passed on by none that came before.
            verdicts.sort_by_key(|(said, _)| std::cmp::Reverse(*said));
            verdicts
        });
        verdicts.into_iter().flatten().for_each(|(_, verdict)| self.settle(&verdict));
    }
}

impl Crossings {
    fn blocking_now(&self) -> usize {
        self.pairs.now_with(|pairs| pairs.iter().filter(|pair| pair.is_finished).map(|pair| pair.voxels.len()).sum())
    }
}

/// Contradictions by planes.
fn pairs_of(bench: &Bench) -> Vec<Pair> {
    let mut pairs: BTreeMap<[Plane; 2], Vec<Contradiction>> = BTreeMap::new();
    for found in &bench.contradictions {
        pairs.entry(found.planes).or_default().push(*found);
    }
    let pair = |(planes, voxels): ([Plane; 2], Vec<Contradiction>)| Pair {
        planes,
        is_finished: voxels.iter().all(|found| bench.is_between_finished(found)),
        voxels,
    };
    pairs.into_iter().map(pair).collect()
}

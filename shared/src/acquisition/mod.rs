//! The slices that were chosen, and what another round would be worth. Choosing them is the server's
//! (`pipeline::acquire`); the browser shows the list.
//!
//! The greedy ranking is a prefix order: the slices for a smaller budget are the first ones of a larger budget's, so
//! moving the budget is [`SliceList::within`] and needs no second look at the volumes.

mod gain;

pub use gain::{ExpectedGain, Round, RoundOutcome, Standing, WORTHWHILE_SHARE, expected_gain};

use serde::{Deserialize, Serialize};

use crate::geometry::{Axis, Geometry, Plane};

/// How slices are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Ours: one budget over all axes; a plane's gain is the uncertainty it would settle that chosen planes have not
    /// settled.
    #[default]
    Greedy,
    /// The same, but a plane's gain is by the seconds that it is expected to cost: see [`SECONDS_PER_PLANE`] and
    /// [`SECONDS_PER_MM`].
    GreedyPerSecond,
    /// The published method (V7) as intended.
    Published,
    /// Uniformly random planes.
    Random,
    /// Uniformly random planes among those with presegmented foreground: the yardstick that is hard to beat (nnActive,
    /// arXiv 2511.19183).
    RandomForeground,
    /// The labels in turn: the plane with the most uncertainty in what is segmented as the label, with power noise that
    /// decays from turn to turn (after ClaSP PE, arXiv 2601.13677, with planes of one case for patches of many).
    ClassStratified,
    /// Evenly spaced planes through the volume.
    Equidistant,
    /// Evenly spaced planes through the presegmented foreground.
    EquidistantForeground,
    /// The planes through the middle of each connected component of the presegmentation.
    ComponentCentre,
}

/// What the choice depends on beside the volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AcquisitionParams {
    /// How to choose.
    pub strategy: Strategy,
    /// Share of the axial planes with presegmented foreground that may be spent, over all axes together; at least
    /// [`MIN_PLANES`] planes are offered.
    pub budget: f64,
    /// Weight of each anatomical axis (sagittal, coronal, axial); 0 switches it off.
    pub axis_weights: [f64; 3],
    /// Seed of the strategies that draw.
    pub seed: u64,
    /// How far a corrected plane settles what lies beside it (standard deviation, mm); from the size of what is
    /// segmented unless given.
    #[serde(default)]
    pub reach_mm: Option<f64>,
}

/// Seconds to look at a plane and to judge it: assumed.
pub const SECONDS_PER_PLANE: f64 = 5.0;
/// Seconds to draw a millimetre of contour with care: assumed, 5 mm a second.
pub const SECONDS_PER_MM: f64 = 0.2;

/// Slices offered even where the budget would allow fewer.
pub const MIN_PLANES: usize = 3;

impl Strategy {
    /// All strategies.
    pub const ALL: [Strategy; 9] = [
        Strategy::Greedy,
        Strategy::GreedyPerSecond,
        Strategy::Published,
        Strategy::Random,
        Strategy::RandomForeground,
        Strategy::ClassStratified,
        Strategy::Equidistant,
        Strategy::EquidistantForeground,
        Strategy::ComponentCentre,
    ];

    /// Name as in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Greedy => "greedy",
            Strategy::GreedyPerSecond => "greedy-per-second",
            Strategy::Published => "published",
            Strategy::Random => "random",
            Strategy::RandomForeground => "random-foreground",
            Strategy::ClassStratified => "class-stratified",
            Strategy::Equidistant => "equidistant",
            Strategy::EquidistantForeground => "equidistant-foreground",
            Strategy::ComponentCentre => "component-centre",
        }
    }

    /// Whether the ranking for a smaller budget is the beginning of that for a larger one.
    pub fn ranks_alike_for_all_budgets(self) -> bool {
        use Strategy::{ClassStratified, Greedy, GreedyPerSecond, Random, RandomForeground};
        matches!(self, Greedy | GreedyPerSecond | Random | RandomForeground | ClassStratified)
    }
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Strategy {
    type Err = UnknownStrategy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Strategy::ALL
            .into_iter()
            .find(|strategy| strategy.name() == text)
            .ok_or_else(|| UnknownStrategy(text.to_owned()))
    }
}

/// Not the name of a strategy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a strategy; use one of: {known}", known = Strategy::ALL.map(Strategy::name).join(", "))]
pub struct UnknownStrategy(String);

impl Default for AcquisitionParams {
    fn default() -> Self {
        Self { strategy: Strategy::default(), budget: 0.2, axis_weights: [1.0; 3], seed: 0, reach_mm: None }
    }
}

/// A plane offered to the expert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RankedSlice {
    /// Anatomical axis.
    pub axis: Axis,
    /// Voxel index along the stored axis.
    pub index: usize,
    /// What the strategy ranked by; comparable within a list only.
    pub score: f64,
    /// 1 is the first to look at.
    pub rank: usize,
    /// Share (0 to 1) of the case's uncertainty that this plane settles beyond the planes ranked before it. Each
    /// component of the uncertainty counts with the square root of its own, so that small ones are not forgotten.
    #[serde(default)]
    pub settles: f64,
    /// Which component of the case the plane cuts most of, 1 for the largest; none where it cuts none.
    #[serde(default)]
    pub component: Option<usize>,
}

impl RankedSlice {
    /// The plane.
    pub fn plane(&self) -> Plane {
        Plane { axis: self.axis, index: self.index }
    }
}

/// `slices.json`: which slices were chosen, on which grid, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SliceList {
    /// Version of this format.
    pub format: u32,
    /// The scan's grid; indices count along its stored axes.
    pub geometry: Geometry,
    /// How the slices were chosen.
    pub params: AcquisitionParams,
    /// Whether the uncertainty that they were chosen by is the entropy of the mean prediction, from which follows how
    /// sure each label is; unknown if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entropy: Option<bool>,
    /// Axial planes with presegmented foreground, which the budget is a share of.
    pub foreground_axial_planes: usize,
    /// By rank.
    pub slices: Vec<RankedSlice>,
    /// What a larger budget would add, by rank; only where the strategy ranks the same whatever the budget (see
    /// [`Strategy::ranks_alike_for_all_budgets`]).
    #[serde(default)]
    pub beyond: Vec<RankedSlice>,
}

/// The version of [`SliceList`]'s format that this code writes.
pub const FORMAT: u32 = 1;

impl SliceList {
    /// The slices that another budget allows, by rank, as far as they have been ranked.
    pub fn within(&self, budget: f64) -> impl Iterator<Item = &RankedSlice> {
        let planes = plane_budget(budget, self.foreground_axial_planes);
        self.ranked().take(planes)
    }

    /// All slices that have been ranked, whatever the budget.
    pub fn ranked(&self) -> impl Iterator<Item = &RankedSlice> {
        self.slices.iter().chain(&self.beyond)
    }

    /// The list without some planes, ranked anew: as many slices as before, as far as there are others.
    #[must_use]
    pub fn without(&self, planes: &[Plane]) -> Self {
        let mut slices: Vec<RankedSlice> =
            self.ranked().filter(|slice| !planes.contains(&slice.plane())).cloned().collect();
        for (at, slice) in slices.iter_mut().enumerate() {
            slice.rank = at + 1;
        }
        let beyond = slices.split_off(self.slices.len().min(slices.len()));
        Self { slices, beyond, ..self.clone() }
    }
}

/// Planes that a budget allows: its share of the axial planes with foreground, rounded down, at least [`MIN_PLANES`].
pub fn plane_budget(budget: f64, foreground_axial_planes: usize) -> usize {
    plane_budget_of_at_least(MIN_PLANES, budget, foreground_axial_planes)
}

/// The same with another number of planes that is offered in any case: an expert may stop before the third.
pub fn plane_budget_of_at_least(fewest: usize, budget: f64, foreground_axial_planes: usize) -> usize {
    let share = budget.clamp(0.0, 1.0) * foreground_axial_planes as f64;
    // The tiny addend keeps 0.2 × 35 at 7 although 0.2 is slightly off in binary.
    ((share + 1e-9).floor() as usize).max(fewest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_round_down_but_never_below_three() {
        fn check(budget: f64, planes: usize, expected: usize) {
            assert_eq!(plane_budget(budget, planes), expected);
        }
        check(0.2, 35, 7);
        check(0.2, 39, 7);
        check(0.2, 0, 3);
        check(1.0, 40, 40);
        check(f64::NAN, 40, 3);
        assert_eq!([0.0, 0.1, 0.2].map(|budget| plane_budget_of_at_least(1, budget, 24)), [1, 2, 4]);
    }

    #[test]
    fn planes_that_are_taken_out_make_room_for_the_next_ones() {
        let slice = |index: usize, rank: usize| RankedSlice {
            axis: Axis::Axial,
            index,
            score: 0.0,
            rank,
            settles: 0.0,
            component: None,
        };
        let list = SliceList {
            format: FORMAT,
            geometry: Geometry::axis_aligned([9; 3], [1.0; 3]).unwrap(),
            params: AcquisitionParams::default(),
            entropy: None,
            foreground_axial_planes: 9,
            slices: vec![slice(7, 1), slice(2, 2)],
            beyond: vec![slice(5, 3), slice(3, 4)],
        };
        let check = |out: &[usize], slices: &[(usize, usize)], beyond: &[(usize, usize)]| {
            let planes: Vec<Plane> = out.iter().map(|index| Plane { axis: Axis::Axial, index: *index }).collect();
            let got = list.without(&planes);
            let places =
                |slices: &[RankedSlice]| slices.iter().map(|slice| (slice.index, slice.rank)).collect::<Vec<_>>();
            assert_eq!((places(&got.slices), places(&got.beyond)), (slices.to_vec(), beyond.to_vec()));
        };
        check(&[], &[(7, 1), (2, 2)], &[(5, 3), (3, 4)]);
        check(&[7, 8], &[(2, 1), (5, 2)], &[(3, 3)]);
        check(&[2, 5, 7], &[(3, 1)], &[]);
    }
}

//! The strategies: from profiles to ranked planes.

use shared::acquisition::{
    AcquisitionParams, FORMAT, RankedSlice, SECONDS_PER_MM, SECONDS_PER_PLANE, SliceList, Strategy,
    plane_budget_of_at_least,
};
use shared::geometry::Plane;

use super::profiles::Profiles;
use super::settle::{Open, others};

/// The greedy ranking goes on to this budget, so that the expert can ask for more without a new acquisition.
const LARGEST_BUDGET: f64 = 0.5;

/// Reach of a corrected plane as a share of the typical radius of what is segmented. Short: on 30 held-out hippocampi
/// with corrected planes pasted into the presegmentation, Dice at a budget of 20 % fell from 0.892 (a reach of 0.03)
/// over 0.882 (0.1) to 0.876 (0.3), because a plane that speaks for its neighbours need not be the one with the errors.
/// Not shorter still, lest neighbouring planes be asked for that refinement settles by itself.
const REACH_SHARE: f64 = 0.06;

/// How much more than an empty plane the plane with the longest contours costs the expert.
const CONTOUR_COST: f64 = 0.25;

/// Chooses and ranks slices. Planes in `settled` (corrected in earlier rounds) count as known and are never offered.
///
/// A case without uncertainty gets evenly spaced planes, through its foreground where it has any. Never offers more
/// planes than there are, and `fewest` even where the budget allows less.
pub fn rank(profiles: &Profiles, params: &AcquisitionParams, settled: &[Plane], fewest: usize) -> SliceList {
    let foreground_axial_planes = profiles.foreground_axial_planes();
    let planes_of = |budget: f64| plane_budget_of_at_least(fewest, budget, foreground_axial_planes);
    let budget = planes_of(params.budget);
    let largest =
        if params.strategy.ranks_alike_for_all_budgets() { budget.max(planes_of(LARGEST_BUDGET)) } else { budget };
    let chooser = Chooser::new(profiles, params, settled);
    let planes = chooser.planes(params, largest);
    let mut slices = chooser.explained(&planes);
    let beyond = slices.split_off(budget.min(slices.len()));
    SliceList {
        format: FORMAT,
        geometry: profiles.geometry.clone(),
        params: params.clone(),
        entropy: None,
        foreground_axial_planes,
        slices,
        beyond,
    }
}

/// A plane by stored axis and index.
type Choice = (usize, usize);

struct Chooser<'a> {
    profiles: &'a Profiles,
    /// Whether a plane costs seconds, or a little more than another if its contours are longer.
    by_seconds: bool,
    settled: Vec<Choice>,
    /// Stored axes that planes may be chosen on, finest in-plane resolution first.
    axes: Vec<usize>,
    /// What a plane's gain is multiplied by, per stored axis: the user's weight times in-plane resolution.
    axis_factors: [f64; 3],
    reach_mm: f64,
}

impl<'a> Chooser<'a> {
    fn new(profiles: &'a Profiles, params: &AcquisitionParams, settled: &[Plane]) -> Self {
        let geometry = &profiles.geometry;
        let settled = settled
            .iter()
            .filter(|p| geometry.check_plane(**p).is_ok())
            .map(|p| (geometry.stored_axis(p.axis), p.index))
            .collect();
        let weights = [0, 1, 2].map(|stored| params.axis_weights[geometry.axis_of_stored(stored).world_index()]);
        let (axes, weights) = usable_axes(geometry.dims, weights);
        let in_plane_mm2 =
            [0, 1, 2].map(|stored| others(stored).iter().map(|axis| geometry.spacing_mm[*axis]).product::<f64>());
        let finest_mm2 = in_plane_mm2.iter().copied().fold(f64::INFINITY, f64::min);
        let mut axes = axes;
        axes.sort_by(|a, b| in_plane_mm2[*a].total_cmp(&in_plane_mm2[*b]));
        // A contour drawn on coarse pixels says less: resolution along a contour falls with the square root of the
        // pixel's area.
        let axis_factors = [0, 1, 2].map(|stored| weights[stored] * (finest_mm2 / in_plane_mm2[stored]).sqrt());
        let given = params.reach_mm.filter(|mm| mm.is_finite() && *mm > 0.0);
        let reach_mm = given.unwrap_or_else(|| REACH_SHARE * profiles.typical_radius_mm());
        Self {
            profiles,
            by_seconds: params.strategy == Strategy::GreedyPerSecond,
            settled,
            axes,
            axis_factors,
            reach_mm,
        }
    }

    fn planes(&self, params: &AcquisitionParams, budget: usize) -> Vec<Choice> {
        let undecided = self.profiles.total() <= 0.0;
        match params.strategy {
            Strategy::Greedy | Strategy::GreedyPerSecond | Strategy::Published | Strategy::ClassStratified
                if undecided =>
            {
                self.evenly(budget, true)
            }
            Strategy::Greedy | Strategy::GreedyPerSecond => self.greedy(budget),
            Strategy::Published => self.published(budget),
            Strategy::Random => self.random(budget, params.seed, |_, _| true),
            Strategy::RandomForeground => {
                self.random(budget, params.seed, |stored, plane| self.profiles.axes[stored].foreground[plane] > 0)
            }
            Strategy::ClassStratified => self.class_stratified(budget, params.seed),
            Strategy::Equidistant => self.evenly(budget, false),
            Strategy::EquidistantForeground => self.evenly(budget, true),
            Strategy::ComponentCentre => self.component_centres(budget),
        }
    }

    /// One budget over all axes: again and again the plane that settles most of what is open per cost. Ties go to the
    /// first axis and the lowest index.
    fn greedy(&self, budget: usize) -> Vec<Choice> {
        let mut open = self.open();
        let costs = [0, 1, 2].map(|stored| self.costs(stored));
        let mut free = self.profiles.geometry.dims.map(|n| vec![true; n]);
        for &(stored, plane) in &self.settled {
            free[stored][plane] = false;
        }
        let mut chosen = Vec::new();
        while chosen.len() < budget {
            let mut best: Option<(f64, Choice)> = None;
            for stored in 0..3 {
                if !self.axes.contains(&stored) {
                    continue;
                }
                for (plane, gain) in open.gains(stored).into_iter().enumerate() {
                    let value = gain * self.axis_factors[stored] / costs[stored][plane];
                    if free[stored][plane] && value > best.map_or(0.0, |(value, _)| value) {
                        best = Some((value, (stored, plane)));
                    }
                }
            }
            let Some((_, (stored, plane))) = best else { break };
            open.settle(stored, plane);
            free[stored][plane] = false;
            chosen.push((stored, plane));
        }
        chosen
    }

    /// V7 as intended: the axes share the budget; within each the most uncertain planes, apart by a gap in millimetres.
    fn published(&self, budget: usize) -> Vec<Choice> {
        const GAP: f64 = 30.0;
        const GAP_SIZE: f64 = 1280.0;
        const MOST_PER_AXIS: usize = 12;
        const LEAST_SHARE_OF_BEST: f64 = 0.1;
        let geometry = &self.profiles.geometry;
        let extents_mm = [0, 1, 2].map(|stored| geometry.dims[stored] as f64 * geometry.spacing_mm[stored]);
        let gap_mm = extents_mm.iter().copied().fold(0.0, f64::max) * GAP / GAP_SIZE;
        let per_axis = (budget / self.axes.len().max(1)).max(1);
        let lists = self.axes.iter().map(|&stored| {
            let mut profile = self.profiles.axes[stored].uncertainty.clone();
            for &(_, plane) in self.settled.iter().filter(|(axis, _)| *axis == stored) {
                profile[plane] = 0.0;
            }
            let gap = (gap_mm / geometry.spacing_mm[stored] + 1e-9) as usize;
            let mut planes = published_planes(&profile, gap, MOST_PER_AXIS, LEAST_SHARE_OF_BEST, per_axis);
            planes.retain(|plane| profile[*plane] > 0.0);
            planes.into_iter().map(|plane| (stored, plane)).collect()
        });
        interleave(lists.collect())
    }

    /// Uniformly random planes, the axes in turn; those that are `wanted` before the others.
    fn random(&self, budget: usize, seed: u64, wanted: impl Fn(usize, usize) -> bool) -> Vec<Choice> {
        let mut draw = SplitMix(seed);
        let mut lists = |is_wanted: bool| {
            let of_axis = |&stored: &usize| {
                let all = (0..self.profiles.geometry.dims[stored]).map(|plane| (stored, plane));
                let mut planes: Vec<Choice> =
                    all.filter(|(stored, plane)| wanted(*stored, *plane) == is_wanted).collect();
                for at in (1..planes.len()).rev() {
                    planes.swap(at, (draw.next() % (at as u64 + 1)) as usize);
                }
                planes
            };
            interleave(self.axes.iter().map(of_axis).collect())
        };
        let planes = [lists(true), lists(false)].concat();
        self.unsettled(planes, budget)
    }

    /// The labels in turn: a plane by the power of its uncertainty in what is segmented as the label. The exponent
    /// doubles from turn to turn, so that the first choices are a draw and later ones nearly the maximum (Gumbel's
    /// trick draws in proportion to the power).
    fn class_stratified(&self, budget: usize, seed: u64) -> Vec<Choice> {
        const LARGEST_EXPONENT: f64 = 64.0;
        let mut draw = SplitMix(seed);
        let mut chosen: Vec<Choice> = Vec::new();
        let strata = &self.profiles.by_label;
        let mut in_vain = 0;
        for turn in 0.. {
            if chosen.len() >= budget || in_vain >= strata.len() {
                break;
            }
            let exponent = 2.0_f64.powi((turn / strata.len()) as i32).min(LARGEST_EXPONENT);
            let mut best: Option<(f64, Choice)> = None;
            for &stored in &self.axes {
                for (plane, uncertainty) in strata[turn % strata.len()].uncertainty[stored].iter().enumerate() {
                    let value = exponent * (uncertainty * self.axis_factors[stored]).ln() + draw.gumbel();
                    let choice = (stored, plane);
                    let free = !chosen.contains(&choice) && !self.settled.contains(&choice);
                    if free && value.is_finite() && best.is_none_or(|(most, _)| value > most) {
                        best = Some((value, choice));
                    }
                }
            }
            in_vain = if best.is_some() { 0 } else { in_vain + 1 };
            chosen.extend(best.map(|(_, choice)| choice));
        }
        let rest = self.evenly(budget, true);
        self.unsettled(chosen.into_iter().chain(rest).collect(), budget)
    }

    /// Evenly spaced among the planes that are not settled, the axes in turn; between the first and last plane with
    /// foreground if asked for.
    fn evenly(&self, budget: usize, in_foreground: bool) -> Vec<Choice> {
        let ranges = [0, 1, 2].map(|stored| {
            let all = 0..self.profiles.geometry.dims[stored];
            if in_foreground { self.profiles.foreground_range(stored).unwrap_or(all) } else { all }
        });
        let free = [0, 1, 2].map(|stored| {
            ranges[stored].clone().filter(|plane| !self.settled.contains(&(stored, *plane))).collect::<Vec<_>>()
        });
        let counts = shared_out(budget, &self.axes, [0, 1, 2].map(|stored| free[stored].len()));
        let lists = self.axes.iter().map(|&stored| {
            let (free, count) = (&free[stored], counts[stored]);
            (0..count).map(|i| (stored, free[(2 * i + 1) * free.len() / (2 * count)])).collect()
        });
        self.unsettled(interleave(lists.collect()), budget)
    }

    /// The planes through the middle of each presegmented component, largest first; the rest of the budget evenly
    /// through the foreground.
    fn component_centres(&self, budget: usize) -> Vec<Choice> {
        let components = self.profiles.components.iter().filter(|c| c.foreground);
        let mut planes: Vec<Choice> =
            components.flat_map(|c| self.axes.iter().map(|&stored| (stored, c.middle(stored)))).collect();
        planes.extend(self.evenly(budget, true));
        self.unsettled(planes, budget)
    }

    /// The first `budget` planes, without repetitions and without what is settled.
    fn unsettled(&self, planes: Vec<Choice>, budget: usize) -> Vec<Choice> {
        let mut kept: Vec<Choice> = Vec::new();
        for plane in planes {
            if kept.len() < budget && !kept.contains(&plane) && !self.settled.contains(&plane) {
                kept.push(plane);
            }
        }
        kept
    }

    fn open(&self) -> Open<'a> {
        let mut open = Open::new(self.profiles, self.reach_mm);
        for &(stored, plane) in &self.settled {
            open.settle(stored, plane);
        }
        open
    }

    /// Cost of correcting each plane of an axis: seconds, or 1 for an empty one. The contour's length goes with the
    /// root of the area it encloses.
    fn costs(&self, stored: usize) -> Vec<f64> {
        /// Contour of a disc of area 1, and how much longer that of an organ's cross-section is.
        const CONTOUR_OF_AREA: f64 = 3.545 * 1.3;
        let contour_mm = |stored: usize, plane: usize| {
            let voxel_mm2: f64 = others(stored).iter().map(|axis| self.profiles.geometry.spacing_mm[*axis]).product();
            (f64::from(self.profiles.axes[stored].foreground[plane]) * voxel_mm2).sqrt()
        };
        let dims = self.profiles.geometry.dims;
        if self.by_seconds {
            let seconds = |plane| SECONDS_PER_PLANE + SECONDS_PER_MM * CONTOUR_OF_AREA * contour_mm(stored, plane);
            return (0..dims[stored]).map(seconds).collect();
        }
        let longest_mm = (0..3)
            .flat_map(|axis| (0..dims[axis]).map(move |plane| (axis, plane)))
            .map(|(a, p)| contour_mm(a, p))
            .fold(0.0, f64::max);
        let share = |plane| if longest_mm > 0.0 { contour_mm(stored, plane) / longest_mm } else { 0.0 };
        (0..dims[stored]).map(|plane| 1.0 + CONTOUR_COST * share(plane)).collect()
    }

    /// Ranks planes in the order given, each with what it settles beyond the ones before it.
    fn explained(&self, planes: &[Choice]) -> Vec<RankedSlice> {
        let mut open = self.open();
        let costs = [0, 1, 2].map(|stored| self.costs(stored));
        let mut explain = |(at, &(stored, plane)): (usize, &Choice)| {
            let settles = open.gains(stored)[plane].clamp(0.0, 1.0);
            open.settle(stored, plane);
            RankedSlice {
                axis: self.profiles.geometry.axis_of_stored(stored),
                index: plane,
                score: settles * self.axis_factors[stored] / costs[stored][plane],
                rank: at + 1,
                settles,
                component: self.component_of(stored, plane),
            }
        };
        planes.iter().enumerate().map(&mut explain).collect()
    }

    /// The most uncertain component whose bounds the plane cuts, counted from 1.
    fn component_of(&self, stored: usize, plane: usize) -> Option<usize> {
        let cut = self
            .profiles
            .components
            .iter()
            .enumerate()
            .filter(|(_, c)| (c.bounds[stored][0]..=c.bounds[stored][1]).contains(&plane));
        cut.max_by(|(_, a), (_, b)| a.uncertainty.total_cmp(&b.uncertainty)).map(|(at, _)| at + 1)
    }
}

/// Axes with a weight and more than one plane, and the weights made usable; all axes where that leaves none.
fn usable_axes(dims: [usize; 3], weights: [f64; 3]) -> (Vec<usize>, [f64; 3]) {
    let weights = weights.map(|w| if w.is_finite() { w.max(0.0) } else { 0.0 });
    let wanted = |stored: &usize| weights[*stored] > 0.0;
    let axes: Vec<usize> = (0..3).filter(wanted).filter(|stored| dims[*stored] > 1).collect();
    if !axes.is_empty() {
        return (axes, weights);
    }
    let thick: Vec<usize> = (0..3).filter(|stored| dims[*stored] > 1).collect();
    (if thick.is_empty() { vec![2] } else { thick }, [1.0; 3])
}

/// Deals a budget to axes in turn, none more than it has room for.
fn shared_out(budget: usize, axes: &[usize], room: [usize; 3]) -> [usize; 3] {
    let mut counts = [0; 3];
    let mut left = budget.min(axes.iter().map(|stored| room[*stored]).sum());
    while left > 0 {
        for &stored in axes {
            if left > 0 && counts[stored] < room[stored] {
                counts[stored] += 1;
                left -= 1;
            }
        }
    }
    counts
}

/// The first of each list, then the second of each, and so on.
fn interleave(lists: Vec<Vec<Choice>>) -> Vec<Choice> {
    let longest = lists.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| lists.iter().filter_map(move |list| list.get(at).copied())).collect()
}

/// The published rule for one axis: at most `most` planes by descending profile, more than `gap` apart, at least
/// `least_share` of the best, the first `keep` of them; never none.
pub fn published_planes(profile: &[f64], gap: usize, most: usize, least_share: f64, keep: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..profile.len()).collect();
    order.sort_by(|a, b| profile[*b].total_cmp(&profile[*a]));
    let best = order.first().map_or(0.0, |plane| profile[*plane]);
    let apart = suppress(&order, most, gap);
    apart.into_iter().filter(|plane| profile[*plane] >= least_share * best).take(keep.max(1)).collect()
}

/// Walks along `planes` and keeps those that lie more than `gap` from every plane kept before, `most` at most.
pub fn suppress(planes: &[usize], most: usize, gap: usize) -> Vec<usize> {
    let mut kept: Vec<usize> = Vec::new();
    for &plane in planes {
        if kept.len() < most && kept.iter().all(|other| other.abs_diff(plane) > gap) {
            kept.push(plane);
        }
    }
    kept
}

/// SplitMix64: enough randomness for a yardstick, the same everywhere.
struct SplitMix(u64);

impl SplitMix {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A draw from the standard Gumbel distribution.
    fn gumbel(&mut self) -> f64 {
        let uniform = ((self.next() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        -(-uniform.ln()).ln()
    }
}

//! The evaluation itself: every case through presegmentation once, then through acquisition, the simulated expert and refinement for every setting.
//!
//! Cases run side by side; within a case the order is fixed, so that the numbers do not depend on how many run at once.

use std::collections::HashMap;

use shared::acquisition::{AcquisitionParams, Strategy};
use shared::geometry::Plane;
use shared::label::{Label, LabelSet};
use shared::volume::Volume;

use super::calibration::{Bin, certain_dice, expected_calibration_error, reliability, separation};
use super::expert::{Expert, within};
use super::overlap::{agreement, dice_where};
use super::results::{Columns, Key, Results, Row};
use super::statistics::mean;
use crate::pipeline::acquire::acquire;
use crate::pipeline::uncertainty::Measure;

/// What is tried on every case.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Acquisition strategies.
    pub strategies: Vec<Strategy>,
    /// Uncertainty measures.
    pub measures: Vec<Measure>,
    /// Budgets as typed, with their values.
    pub budgets: Vec<(String, f64)>,
    /// Who corrects.
    pub expert: Expert,
    /// Rounds of correction; each has the whole budget.
    pub rounds: u32,
    /// Seed of the random strategy and of the expert's hand.
    pub seed: u64,
}

/// A case as the networks see it before anyone corrects.
#[derive(Clone, Debug)]
pub struct Presegmented {
    /// The presegmentation.
    pub labels: Volume<Label>,
    /// Uncertainty, one volume a measure in the plan's order.
    pub uncertainty: Vec<Volume<f32>>,
}

/// Bins of a reliability curve.
pub const BINS: usize = 20;

/// How well a measure tells where a case's presegmentation is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Column values for [`Columns::values`].
    pub values: Vec<(String, f64)>,
    /// Reliability curve.
    pub curve: Vec<Bin>,
}

/// Judges an uncertainty by the presegmentation's errors. Uncertain is what lies above 0.5, for the certain-only Dice.
pub fn quality(uncertainty: &Volume<f32>, presegmentation: &Volume<Label>, truth: &Volume<Label>) -> Quality {
    let (u, ours, theirs) = (uncertainty.voxels(), presegmentation.voxels(), truth.voxels());
    let separation = separation(u, ours, theirs);
    let certain = certain_dice(ours, theirs, |at| u[at] > 0.5);
    let curve = reliability(u, ours, theirs, BINS);
    let values = [
        ("auroc", separation.auroc),
        ("auprc", separation.auprc),
        ("ece", expected_calibration_error(&curve)),
        ("dice_filtered", certain.filtered),
        ("dice_relaxed", certain.relaxed),
        ("uncertainty_mean", mean(u.iter().map(|u| f64::from(*u)))),
    ];
    Quality { values: values.map(|(name, value)| (name.to_owned(), value)).to_vec(), curve }
}

/// Everything about a case that settings are tried on.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its name.
    pub name: &'a str,
    /// What the networks made of it.
    pub presegmented: &'a Presegmented,
    /// What is really there.
    pub truth: &'a Volume<Label>,
    /// The task's labels.
    pub labels: &'a LabelSet,
}

impl Subject<'_> {
    /// Whether any of the plan's rows for this case is still missing.
    pub fn is_unfinished(name: &str, plan: &Plan, results: &Results) -> bool {
        plan.keys(name).any(|(key, ..)| !results.contains(&key))
    }

    /// Tries every setting that has no row yet. `refine` makes a segmentation from corrections in the given planes; planes that several settings share
    /// are refined once. `finished` sees every new row's key and segmentation.
    ///
    /// # Errors
    /// Whatever `refine` says, or that a row cannot be written.
    pub fn evaluate(
        &self,
        plan: &Plan,
        results: &Results,
        columns: &Columns,
        mut refine: impl FnMut(&Volume<Label>, &[Plane]) -> anyhow::Result<Volume<Label>>,
        mut finished: impl FnMut(&Key, &Volume<Label>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let qualities: Vec<Quality> =
            self.presegmented.uncertainty.iter().map(|u| quality(u, &self.presegmented.labels, self.truth)).collect();
        let before = self.overall(&self.presegmented.labels, "presegmentation");
        let mut refined: HashMap<Vec<Plane>, Volume<Label>> = HashMap::new();
        for (key, measure, strategy, budget) in plan.keys(self.name) {
            if results.contains(&key) {
                continue;
            }
            let planes = self.planes(plan, measure, strategy, budget, key.round)?;
            let corrections = plan.expert.corrections(self.truth, &planes, plan.seed)?;
            let mut sorted = planes.clone();
            sorted.sort_unstable();
            let segmentation = match refined.entry(sorted) {
                std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::hash_map::Entry::Vacant(new) => new.insert(refine(&corrections, &planes)?),
            };
            let mut values = before.clone();
            values.extend(self.overall(segmentation, "refined"));
            values.extend(self.corrected(segmentation, &corrections, &planes)?);
            values.extend(qualities[measure].values.iter().cloned());
            let names: Vec<String> = planes.iter().map(|plane| format!("{}:{}", plane.axis, plane.index)).collect();
            finished(&key, segmentation)?;
            results.push(Row { key, values: columns.values(&values), planes: names.join(" ") })?;
        }
        Ok(())
    }

    /// All planes corrected up to and including a round.
    fn planes(&self, plan: &Plan, measure: usize, strategy: Strategy, budget: f64, round: u32) -> anyhow::Result<Vec<Plane>> {
        let params = AcquisitionParams { strategy, budget, seed: plan.seed, ..AcquisitionParams::default() };
        let mut planes = Vec::new();
        for _ in 0..round {
            let list = acquire(&self.presegmented.uncertainty[measure], &self.presegmented.labels, &params, &planes)?;
            planes.extend(list.slices.iter().map(|slice| slice.plane()));
        }
        Ok(planes)
    }

    /// How a segmentation agrees with the truth everywhere.
    fn overall(&self, segmentation: &Volume<Label>, which: &str) -> Vec<(String, f64)> {
        let agreements: Vec<_> =
            self.labels.0.iter().map(|label| (label.value, agreement(segmentation, self.truth, label.value))).collect();
        let each = |f: &dyn Fn(&super::overlap::Agreement) -> f64| mean(agreements.iter().map(|(_, a)| f(a)));
        let sum = |f: &dyn Fn(&super::overlap::Agreement) -> usize| agreements.iter().map(|(_, a)| f(a)).sum::<usize>() as f64;
        let mut values = vec![
            (format!("dice_{which}"), each(&|a| a.dice)),
            (format!("nsd_{which}"), each(&|a| a.nsd)),
            (format!("hd95_mm_{which}"), each(&|a| a.hd95_mm)),
            (format!("missed_{which}"), sum(&|a| a.missed)),
            ("components".to_owned(), sum(&|a| a.components)),
        ];
        values.extend(agreements.iter().map(|(label, a)| (format!("dice_{which}_{label}"), a.dice)));
        values
    }

    /// What the corrections cost and what they did beyond their own planes.
    fn corrected(&self, segmentation: &Volume<Label>, corrections: &Volume<Label>, planes: &[Plane]) -> anyhow::Result<Vec<(String, f64)>> {
        let inside = within(self.truth.geometry(), planes)?;
        let presegmentation = &self.presegmented.labels;
        let outside = |volume: &Volume<Label>, label| dice_where(volume, self.truth, label, |at| !inside[at]);
        let of_labels = |volume: &Volume<Label>| mean(self.labels.0.iter().map(|label| outside(volume, label.value)));
        let mut pasted = presegmentation.clone();
        for (at, voxel) in pasted.voxels_mut().iter_mut().enumerate().filter(|(at, _)| inside[*at]) {
            *voxel = corrections.voxels()[at];
        }
        let changed = pasted.voxels().iter().zip(presegmentation.voxels()).filter(|(a, b)| a != b).count();
        let with_foreground = crate::evaluate::foreground_axial_planes(self.truth);
        let mut values = vec![
            ("planes".to_owned(), planes.len() as f64),
            ("effort".to_owned(), planes.len() as f64 / with_foreground as f64),
            ("voxels_changed".to_owned(), changed as f64),
            ("dice_presegmentation_outside".to_owned(), of_labels(presegmentation)),
            ("dice_refined_outside".to_owned(), of_labels(segmentation)),
            (
                "dice_corrections_pasted".to_owned(),
                mean(self.labels.0.iter().map(|label| dice_where(&pasted, self.truth, label.value, |_| true))),
            ),
        ];
        let by_label =
            self.labels.0.iter().map(|label| (format!("dice_refined_outside_{}", label.value), outside(segmentation, label.value)));
        values.extend(by_label);
        Ok(values)
    }
}

impl Plan {
    /// The rows of a case: key, index of the measure, strategy, budget.
    fn keys<'a>(&'a self, case: &'a str) -> impl Iterator<Item = (Key, usize, Strategy, f64)> + 'a {
        self.measures.iter().enumerate().flat_map(move |(at, measure)| {
            self.strategies.iter().flat_map(move |strategy| {
                self.budgets.iter().flat_map(move |(text, budget)| {
                    (1..=self.rounds).map(move |round| {
                        let (strategy_name, uncertainty) = (strategy.to_string(), measure.to_string());
                        let key = Key { case: case.to_owned(), strategy: strategy_name, uncertainty, budget: text.clone(), round };
                        (key, at, *strategy, *budget)
                    })
                })
            })
        })
    }

    /// The setting that pictures are made of: the first strategy and measure at the largest budget, first round.
    pub fn is_pictured(&self, key: &Key) -> bool {
        let largest = self.budgets.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        key.round == 1
            && self.strategies.first().is_some_and(|strategy| strategy.name() == key.strategy)
            && self.measures.first().is_some_and(|measure| measure.name() == key.uncertainty)
            && largest.is_some_and(|(text, _)| *text == key.budget)
    }

    /// Rows of each case.
    pub fn rows_per_case(&self) -> usize {
        self.measures.len() * self.strategies.len() * self.budgets.len() * self.rounds as usize
    }
}

#[cfg(test)]
mod tests {
    use shared::geometry::Geometry;
    use shared::label::LabelInfo;

    use super::*;
    use crate::phantom::{PhantomParams, generate};

    fn labels() -> LabelSet {
        let label = |value, name: &str| LabelInfo { value, name: name.into(), colour: "#ffffff".into() };
        LabelSet(vec![label(1, "organ"), label(2, "lesion")])
    }

    fn plan() -> Plan {
        Plan {
            strategies: Strategy::ALL.to_vec(),
            measures: vec![Measure::Entropy],
            budgets: vec![("0.2".into(), 0.2), ("0.4".into(), 0.4)],
            expert: Expert::Perfect,
            rounds: 2,
            seed: 1,
        }
    }

    /// A phantom whose presegmentation is the truth three voxels further along y, and unsure where the two differ.
    fn shifted(case: u64) -> (Presegmented, Volume<Label>) {
        let truth = generate(&PhantomParams { dims: [32, 36, 24], ..PhantomParams::default() }, case).unwrap().labels;
        let geometry: Geometry = truth.geometry().clone();
        let row = geometry.dims[0] * 3;
        let moved: Vec<Label> = (0..truth.voxels().len()).map(|at| if at < row { 0 } else { truth.voxels()[at - row] }).collect();
        let unsure = moved.iter().zip(truth.voxels()).map(|(a, b)| if a == b { 0.05 } else { 0.9 }).collect();
        let labels = Volume::new(geometry.clone(), moved).unwrap();
        (Presegmented { labels, uncertainty: vec![Volume::new(geometry, unsure).unwrap()] }, truth)
    }

    /// Evaluates one case with the plainest refinement there is, pasting the corrected planes; says how often it was asked.
    fn evaluate(case: u64, results: &Results, columns: &Columns) -> usize {
        let (presegmented, truth) = shifted(case);
        let labels = labels();
        let name = format!("phantom_{case}");
        let subject = Subject { name: &name, presegmented: &presegmented, truth: &truth, labels: &labels };
        let mut asked = 0;
        let paste = |corrections: &Volume<Label>, planes: &[Plane]| {
            asked += 1;
            let mut pasted = presegmented.labels.clone();
            for plane in planes {
                pasted.write_plane(*plane, &corrections.read_plane(*plane)?)?;
            }
            Ok(pasted)
        };
        subject.evaluate(&plan(), results, columns, paste, |_, _| Ok(())).unwrap();
        asked
    }

    #[test]
    fn every_setting_gets_a_row_and_no_row_is_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let columns = Columns::new(&labels());
        let results = Results::open(folder.path(), columns.clone()).unwrap();
        assert!(Subject::is_unfinished("phantom_0", &plan(), &results));
        let asked = evaluate(0, &results, &columns);
        assert!(asked > 0 && asked <= plan().rows_per_case());
        assert!(!Subject::is_unfinished("phantom_0", &plan(), &results));
        assert_eq!(evaluate(0, &results, &columns), 0);
        let (_, rows) = results.finish().unwrap();
        assert_eq!(rows.len(), plan().rows_per_case());
        for row in &rows {
            let value = |name: &str| columns.get(row, name);
            assert!(value("dice_refined") > value("dice_presegmentation"), "{row:?}");
            assert_eq!(value("dice_refined"), value("dice_corrections_pasted"));
            assert_eq!(value("dice_refined_outside"), value("dice_presegmentation_outside"));
            assert_eq!(value("planes") as usize, row.planes.split(' ').count());
            assert!(value("auroc") > 0.99 && value("voxels_changed") > 0.0);
        }
    }

    #[test]
    fn uncertainty_leads_to_more_errors_than_chance_does() {
        let folder = tempfile::tempdir().unwrap();
        let columns = Columns::new(&labels());
        let results = Results::open(folder.path(), columns.clone()).unwrap();
        for case in 0..4 {
            evaluate(case, &results, &columns);
        }
        let (_, rows) = results.finish().unwrap();
        let gain = |strategy: &str| {
            let of = rows.iter().filter(|row| row.key.strategy == strategy && row.key.budget == "0.4" && row.key.round == 1);
            mean(of.map(|row| columns.get(row, "voxels_changed")))
        };
        assert!(gain("greedy") > gain("random") && gain("greedy") > gain("equidistant"), "{} {}", gain("greedy"), gain("random"));
    }
}

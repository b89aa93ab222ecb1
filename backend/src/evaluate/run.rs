//! The evaluation itself: every case through presegmentation once, then through acquisition, the simulated expert and
//! refinement for every setting.
//!
//! Cases run side by side; within a case the order is fixed, so that the numbers do not depend on how many run at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;

use shared::acquisition::{AcquisitionParams, Strategy};
use shared::geometry::Plane;
use shared::label::{BACKGROUND, Label, LabelSet};
use shared::volume::Volume;

use super::calibration::{Bin, certain_dice, expected_calibration_error, reliability, separation};
use super::distance::distances_to_planes_mm;
use super::effort::Drawing;
use super::expert::{Expert, corrections, within};
use super::overlap::{Agreement, accepted_slices, agreement, dice_where};
use super::results::{Columns, Key, LINES, Results, Row, UNREFINED, column};
use super::statistics::mean;
use crate::bundle::method::Method;
use crate::pipeline::acquire::acquire_at_least;
use crate::pipeline::consistency::consistency;
use crate::pipeline::refine::{AdaptedTo, Refined};

/// What is tried on every case.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Acquisition strategies.
    pub strategies: Vec<Strategy>,
    /// How uncertainty is found.
    pub methods: Vec<Method>,
    /// Budgets as typed, with their values.
    pub budgets: Vec<(String, f64)>,
    /// Planes that a round corrects even where its budget allows less.
    pub fewest_planes: usize,
    /// Who corrects.
    pub expert: Expert,
    /// Rounds of correction; each has the whole budget.
    pub rounds: u32,
    /// Seed of the random strategy, of dropout and of the expert's hand.
    pub seed: u64,
    /// Whether anything is corrected and refined; else only the uncertainty is judged, one row a method.
    pub refine: bool,
}

/// A case as the networks see it before anyone corrects.
#[derive(Clone, Debug)]
pub struct Presegmented {
    /// The presegmentation.
    pub labels: Volume<Label>,
    /// Uncertainty, one volume a method in the plan's order.
    pub uncertainty: Vec<Volume<f32>>,
}

/// Bins of a reliability curve.
pub const BINS: usize = 20;

/// How well an uncertainty tells where a segmentation is wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Quality {
    /// Column values for [`Columns::values`].
    pub values: Vec<(String, f64)>,
    /// Reliability curve.
    pub curve: Vec<Bin>,
}

/// Judges an uncertainty by a segmentation's errors. Uncertain is what lies above 0.5, for the certain-only Dice.
pub fn quality(uncertainty: &Volume<f32>, segmentation: &Volume<Label>, truth: &Volume<Label>) -> Quality {
    let (u, ours, theirs) = (uncertainty.voxels(), segmentation.voxels(), truth.voxels());
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
        plan.keys(name).iter().any(|key| !results.contains(key))
    }

    /// Tries every setting that has no row yet. `refine` makes a segmentation from corrections in the given planes, or
    /// in none; planes that several settings share are refined once. `finished` sees every new row's key and
    /// segmentation.
    ///
    /// After a round, the refined segmentation and its uncertainty are what the next round's planes are chosen by; all
    /// planes of earlier rounds stay corrected. A round whose row is there is gone through again only where a later one
    /// is missing.
    ///
    /// # Errors
    /// Whatever `refine` says, or that a row cannot be written.
    pub fn evaluate(
        &self,
        plan: &Plan,
        results: &Results,
        columns: &Columns,
        mut refine: impl FnMut(&Corrections<'_>) -> anyhow::Result<Refined>,
        mut finished: impl FnMut(&Key, &Volume<Label>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let presegmentation = &self.presegmented.labels;
        let qualities: Vec<Quality> =
            self.presegmented.uncertainty.iter().map(|u| quality(u, presegmentation, self.truth)).collect();
        let nowhere = vec![false; presegmentation.voxels().len()];
        let before = self.line("presegmentation", presegmentation, &nowhere);
        if !plan.refine {
            return self.judge(plan, results, columns, (&before, &qualities));
        }
        // What a network learned in earlier rounds goes on into the next, so that how a set of planes came together
        // matters.
        let mut known: HashMap<Vec<Vec<Plane>>, Rc<Round>> = HashMap::new();
        let mut alone: Option<Volume<Label>> = None;
        for course in plan.courses(self.name) {
            let Some(last) = course.keys.iter().rposition(|key| !results.contains(key)) else { continue };
            let params = AcquisitionParams {
                strategy: course.strategy,
                budget: course.budget,
                seed: plan.seed,
                ..AcquisitionParams::default()
            };
            let mut planes: Vec<Plane> = Vec::new();
            let mut rounds: Vec<Vec<Plane>> = Vec::new();
            let mut earlier: Option<Rc<Round>> = None;
            for key in &course.keys[..=last] {
                let seen = earlier.as_deref().and_then(|round| Some((round.uncertainty.as_ref()?, &round.labels)));
                let (uncertainty, labels) =
                    seen.unwrap_or((&self.presegmented.uncertainty[course.method], presegmentation));
                let offered = acquire_at_least(plan.fewest_planes, uncertainty, labels, &params, &planes)?;
                planes.extend(offered.slices.iter().map(|slice| slice.plane()));
                let drawn = plan.expert.drawn(self.truth, &planes, plan.seed)?;
                let corrections = corrections(self.truth.geometry(), &drawn)?;
                let agreement = consistency(self.truth.geometry(), &drawn)?;
                let mut sorted = planes.clone();
                sorted.sort_unstable();
                rounds.push(sorted);
                let round = match known.entry(rounds.clone()) {
                    Entry::Occupied(known) => known.get().clone(),
                    Entry::Vacant(new) => {
                        let weights = earlier.as_deref().and_then(|round| round.adapted.as_ref()?.weights.as_deref());
                        let Refined { labels, uncertainty, adapted, turned: _, surprise } = refine(&Corrections {
                            volume: &corrections,
                            planes: &planes,
                            contradicted: agreement.contradicted_foreground(),
                            weights,
                        })?;
                        // A volume for every setting is kept only where a later round looks at it.
                        let uncertainty = (plan.rounds > 1).then_some(uncertainty);
                        new.insert(Rc::new(Round { labels, uncertainty, adapted, surprise })).clone()
                    }
                };
                if !results.contains(key) {
                    let quality = seen
                        .map_or_else(|| qualities[course.method].clone(), |(u, labels)| quality(u, labels, self.truth));
                    let alone = match &mut alone {
                        Some(alone) => alone,
                        none => {
                            let nothing = Volume::filled(self.truth.geometry().clone(), BACKGROUND);
                            let nothing =
                                Corrections { volume: &nothing, planes: &[], contradicted: 0.0, weights: None };
                            none.insert(refine(&nothing)?.labels)
                        }
                    };
                    let mut values = self.lines(&Corrected {
                        corrections: &corrections,
                        planes: &planes,
                        alone,
                        refined: &round.labels,
                    })?;
                    values.push(("contradicted".to_owned(), agreement.contradicted_share()));
                    values.push(("surprise".to_owned(), round.surprise.unwrap_or(f64::NAN)));
                    values.extend(quality.values);
                    values.extend(round.learned());
                    let names: Vec<String> =
                        planes.iter().map(|plane| format!("{}:{}", plane.axis, plane.index)).collect();
                    finished(key, &round.labels)?;
                    results.push(Row { key: key.clone(), values: columns.values(&values), planes: names.join(" ") })?;
                }
                earlier = Some(round);
            }
        }
        Ok(())
    }

    /// Rows that say how good each uncertainty is, and of nothing refined.
    fn judge(
        &self,
        plan: &Plan,
        results: &Results,
        columns: &Columns,
        (before, qualities): (&[(String, f64)], &[Quality]),
    ) -> anyhow::Result<()> {
        for (key, quality) in plan.keys(self.name).into_iter().zip(qualities) {
            if !results.contains(&key) {
                let values: Vec<(String, f64)> = before.iter().chain(&quality.values).cloned().collect();
                results.push(Row { key, values: columns.values(&values), planes: String::new() })?;
            }
        }
        Ok(())
    }

    /// How a segmentation agrees with the truth, everywhere and where `inside` is false: the columns of one of the
    /// table's lines.
    fn line(&self, which: &str, segmentation: &Volume<Label>, inside: &[bool]) -> Vec<(String, f64)> {
        let labels: Vec<Label> = self.labels.0.iter().map(|label| label.value).collect();
        let agreements: Vec<Agreement> =
            labels.iter().map(|label| agreement(segmentation, self.truth, *label)).collect();
        let outside: Vec<f64> =
            labels.iter().map(|label| dice_where(segmentation, self.truth, *label, |at| !inside[at])).collect();
        let each = |f: fn(&Agreement) -> f64| mean(agreements.iter().map(f));
        let sum = |f: fn(&Agreement) -> usize| agreements.iter().map(f).sum::<usize>() as f64;
        let (shown, accepted) = accepted_slices(segmentation, self.truth);
        let measures = [
            ("dice", each(|a| a.dice)),
            ("dice_outside", mean(outside.iter().copied())),
            ("nsd", each(|a| a.nsd)),
            ("hd95_mm", each(|a| a.hd95_mm)),
            ("missed", sum(|a| a.missed)),
            ("invented", sum(|a| a.invented)),
            ("accepted", accepted as f64 / shown as f64),
            ("labels", agreements.iter().filter(|a| a.dice.is_finite()).count() as f64),
        ];
        let mut values: Vec<(String, f64)> = measures.map(|(measure, value)| (column(measure, which), value)).to_vec();
        values.push(("components".to_owned(), sum(|a| a.components)));
        for ((label, agreement), outside) in labels.iter().zip(&agreements).zip(outside) {
            values.push((format!("{}_{label}", column("dice", which)), agreement.dice));
            values.push((format!("{}_{label}", column("dice_outside", which)), outside));
        }
        values
    }

    /// All lines of the table beside each other, with what the corrections cost and what they did far from their
    /// planes.
    fn lines(&self, case: &Corrected<'_>) -> anyhow::Result<Vec<(String, f64)>> {
        let geometry = self.truth.geometry();
        let inside = within(geometry, case.planes)?;
        let presegmentation = &self.presegmented.labels;
        let mut pasted = presegmentation.clone();
        for (at, voxel) in pasted.voxels_mut().iter_mut().enumerate().filter(|(at, _)| inside[*at]) {
            *voxel = case.corrections.voxels()[at];
        }
        let changed = pasted.voxels().iter().zip(presegmentation.voxels()).filter(|(a, b)| a != b).count();
        let mut values = Vec::new();
        let segmentations = [presegmentation, &pasted, case.alone, case.refined];
        for (which, segmentation) in LINES.into_iter().zip(segmentations) {
            values.extend(self.line(which, segmentation, &inside));
        }
        let by_hand = Drawing::by_hand(self.truth)?;
        let drawing = Drawing::of(case.corrections, case.planes.iter().copied())?;
        let dice = |which: &str| {
            values.iter().find(|(name, _)| *name == column("dice", which)).map_or(f64::NAN, |(_, value)| *value)
        };
        let gain = dice("refined") - dice("no_plane");
        let [harmed, mended] = self.far(case.refined, case.planes);
        let costs = [
            ("planes", drawing.planes as f64),
            ("effort", drawing.planes_share(&by_hand)),
            ("contour_mm", drawing.contour_mm),
            ("contour_share", drawing.contour_share(&by_hand)),
            ("drawn_mm2", drawing.area_mm2),
            ("drawn_share", drawing.area_share(&by_hand)),
            ("voxels_changed", changed as f64),
            ("seconds", drawing.seconds()),
            ("gain_per_plane", gain / drawing.planes as f64),
            ("harmed_far", harmed as f64),
            ("mended_far", mended as f64),
        ];
        values.extend(costs.map(|(name, value)| (name.to_owned(), value)));
        Ok(values)
    }

    /// Voxels more than [`FAR_MM`] from every plane that were right before and are wrong after, and the other way
    /// round.
    fn far(&self, refined: &Volume<Label>, planes: &[Plane]) -> [usize; 2] {
        let mm = distances_to_planes_mm(self.truth.geometry(), planes);
        let (before, after, truth) = (self.presegmented.labels.voxels(), refined.voxels(), self.truth.voxels());
        let count = |test: &dyn Fn(usize) -> bool| (0..truth.len()).filter(|at| mm[*at] > FAR_MM && test(*at)).count();
        let [was_right, is_right] = [before, after].map(|labels| move |at: usize| labels[at] == truth[at]);
        [count(&|at| was_right(at) && !is_right(at)), count(&|at| !was_right(at) && is_right(at))]
    }
}

/// A voxel this far from every corrected plane is far away: nobody looked at it, or at anything beside it.
const FAR_MM: f64 = 3.0;

/// A case after corrections.
struct Corrected<'a> {
    /// What the expert drew; background outside the planes.
    corrections: &'a Volume<Label>,
    planes: &'a [Plane],
    /// What the network makes of the scan with no plane.
    alone: &'a Volume<Label>,
    refined: &'a Volume<Label>,
}

/// What a round of corrections came to.
struct Round {
    labels: Volume<Label>,
    uncertainty: Option<Volume<f32>>,
    adapted: Option<AdaptedTo>,
    surprise: Option<f64>,
}

impl Round {
    /// What adaptation came to: no steps where the network fell back, nothing where it was not asked.
    fn learned(&self) -> Vec<(String, f64)> {
        let Some(AdaptedTo { report, .. }) = &self.adapted else { return Vec::new() };
        let [before, after] = report.error.unwrap_or([f64::NAN; 2]);
        let named = [
            ("adapted_steps", f64::from(report.steps)),
            ("adapted_error_before", before),
            ("adapted_error_after", after),
        ];
        named.map(|(name, value)| (name.to_owned(), value)).to_vec()
    }
}

/// What a segmentation is refined with.
#[derive(Clone, Copy, Debug)]
pub struct Corrections<'a> {
    /// Labels that are right in the planes.
    pub volume: &'a Volume<Label>,
    /// The planes that the expert has corrected so far.
    pub planes: &'a [Plane],
    /// See [`crate::pipeline::refine::RefineInput::contradicted`].
    pub contradicted: f64,
    /// What the network learned from this case in the rounds before.
    pub weights: Option<&'a [u8]>,
}

/// A setting's rounds on one case.
struct Course {
    /// Index of the method.
    method: usize,
    strategy: Strategy,
    budget: f64,
    /// One a round.
    keys: Vec<Key>,
}

impl Plan {
    fn courses(&self, case: &str) -> Vec<Course> {
        let mut courses = Vec::new();
        for (method, uncertainty) in self.methods.iter().enumerate() {
            for strategy in &self.strategies {
                for (text, budget) in &self.budgets {
                    let key = |round| Key {
                        case: case.to_owned(),
                        strategy: strategy.to_string(),
                        uncertainty: uncertainty.to_string(),
                        budget: text.clone(),
                        round,
                    };
                    courses.push(Course {
                        method,
                        strategy: *strategy,
                        budget: *budget,
                        keys: (1..=self.rounds).map(key).collect(),
                    });
                }
            }
        }
        courses
    }

    /// The rows of a case.
    pub(super) fn keys(&self, case: &str) -> Vec<Key> {
        if self.refine {
            return self.courses(case).into_iter().flat_map(|course| course.keys).collect();
        }
        let key = |method: &Method| Key {
            case: case.to_owned(),
            strategy: UNREFINED.to_owned(),
            uncertainty: method.to_string(),
            budget: "0".to_owned(),
            round: 0,
        };
        self.methods.iter().map(key).collect()
    }

    /// The setting that pictures are made of: the first strategy and method at the largest budget, first round.
    pub fn is_pictured(&self, key: &Key) -> bool {
        let largest = self.budgets.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        key.round == 1
            && self.strategies.first().is_some_and(|strategy| strategy.name() == key.strategy)
            && self.methods.first().is_some_and(|method| method.to_string() == key.uncertainty)
            && largest.is_some_and(|(text, _)| *text == key.budget)
    }

    /// Rows of each case.
    pub fn rows_per_case(&self) -> usize {
        self.keys("").len()
    }
}

#[cfg(test)]
mod tests {
    use shared::acquisition::MIN_PLANES;
    use shared::geometry::Geometry;
    use shared::label::LabelInfo;

    use super::*;
    use crate::phantom::{PhantomParams, generate};

    /// Uncertainty where nothing is wrong: so little that an empty plane, which is cheap, holds less of it by the
    /// second than a plane with errors.
    const SURE: f32 = 0.001;

    fn labels() -> LabelSet {
        let label = |value, name: &str| LabelInfo { value, name: name.into(), colour: "#ffffff".into(), code: None };
        LabelSet(vec![label(1, "organ"), label(2, "lesion")])
    }

    fn plan() -> Plan {
        Plan {
            strategies: Strategy::ALL.to_vec(),
            methods: vec![Method::default()],
            budgets: vec![("0.2".into(), 0.2), ("0.4".into(), 0.4)],
            fewest_planes: MIN_PLANES,
            expert: Expert::default(),
            rounds: 2,
            seed: 1,
            refine: true,
        }
    }

    /// A phantom whose presegmentation is the truth three voxels further along y, and unsure where the two differ.
    fn shifted(case: u64) -> (Presegmented, Volume<Label>) {
        let truth = generate(&PhantomParams { dims: [32, 36, 24], ..PhantomParams::default() }, case).unwrap().labels;
        let geometry: Geometry = truth.geometry().clone();
        let row = geometry.dims[0] * 3;
        let moved: Vec<Label> =
            (0..truth.voxels().len()).map(|at| if at < row { 0 } else { truth.voxels()[at - row] }).collect();
        let unsure = moved.iter().zip(truth.voxels()).map(|(a, b)| if a == b { SURE } else { 0.9 }).collect();
        let labels = Volume::new(geometry.clone(), moved).unwrap();
        (Presegmented { labels, uncertainty: vec![Volume::new(geometry, unsure).unwrap()] }, truth)
    }

    /// Evaluates one case with the plainest refinement there is, pasting the corrected planes; says how often it was
    /// asked.
    fn evaluate(case: u64, results: &Results, columns: &Columns) -> usize {
        evaluate_by(&plan(), case, results, columns)
    }

    fn evaluate_by(plan: &Plan, case: u64, results: &Results, columns: &Columns) -> usize {
        let (presegmented, truth) = shifted(case);
        let labels = labels();
        let name = format!("phantom_{case}");
        let subject = Subject { name: &name, presegmented: &presegmented, truth: &truth, labels: &labels };
        let mut asked = 0;
        let paste = |&Corrections { volume: corrections, planes, .. }: &Corrections<'_>| {
            asked += 1;
            let mut pasted = presegmented.labels.clone();
            for plane in planes {
                pasted.write_plane(*plane, &corrections.read_plane(*plane)?)?;
            }
            // Unsure where it is still wrong, as the presegmentation was.
            let unsure =
                pasted.voxels().iter().zip(truth.voxels()).map(|(a, b)| if a == b { SURE } else { 0.9 }).collect();
            let uncertainty = Volume::new(pasted.geometry().clone(), unsure)?;
            Ok(Refined { labels: pasted, uncertainty, adapted: None, turned: Vec::new(), surprise: None })
        };
        subject.evaluate(plan, results, columns, paste, |_, _| Ok(())).unwrap();
        asked
    }

    #[test]
    fn every_setting_gets_a_row_and_no_row_is_made_twice() {
        let folder = tempfile::tempdir().unwrap();
        let columns = Columns::new(&labels());
        let results = Results::open(folder.path(), columns.clone()).unwrap();
        assert!(Subject::is_unfinished("phantom_0", &plan(), &results));
        let asked = evaluate(0, &results, &columns);
        // Once more for the line of the network with no plane.
        assert!(asked > 1 && asked <= 1 + plan().rows_per_case());
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
    fn later_rounds_add_planes_that_the_refined_uncertainty_asks_for() {
        let folder = tempfile::tempdir().unwrap();
        let columns = Columns::new(&labels());
        let results = Results::open(folder.path(), columns.clone()).unwrap();
        let plan = Plan { rounds: 3, budgets: vec![("0.2".into(), 0.2)], ..plan() };
        evaluate_by(&plan, 0, &results, &columns);
        let (_, rows) = results.finish().unwrap();
        for strategy in &plan.strategies {
            let of = |round: u32| {
                rows.iter().find(|row| row.key.strategy == strategy.name() && row.key.round == round).unwrap()
            };
            for round in 2..=3 {
                let (before, after) = (of(round - 1), of(round));
                assert!(
                    after.planes.starts_with(&before.planes) && after.planes.len() > before.planes.len(),
                    "{strategy}"
                );
                let mut planes: Vec<&str> = after.planes.split(' ').collect();
                planes.sort_unstable();
                planes.dedup();
                assert_eq!(planes.len(), after.planes.split(' ').count(), "{strategy} offers a plane again");
                assert!(columns.get(after, "dice_refined") > columns.get(before, "dice_refined"), "{strategy}");
                let doubt = |row| columns.get(row, "uncertainty_mean");
                assert!(doubt(after) < doubt(before), "{strategy} judges the refined uncertainty");
            }
        }
    }

    #[test]
    fn a_later_round_that_is_missing_is_made_up_for() {
        let folder = tempfile::tempdir().unwrap();
        let columns = Columns::new(&labels());
        let results = Results::open(folder.path(), columns.clone()).unwrap();
        evaluate_by(&Plan { rounds: 1, ..plan() }, 0, &results, &columns);
        evaluate(0, &results, &columns);
        let (_, resumed) = results.finish().unwrap();
        let whole = tempfile::tempdir().unwrap();
        let results = Results::open(whole.path(), columns.clone()).unwrap();
        evaluate(0, &results, &columns);
        let (_, at_once) = results.finish().unwrap();
        // As text, in which empty values (NaN) are alike and all others have every digit.
        assert_eq!(format!("{resumed:#?}"), format!("{at_once:#?}"));
    }

    #[test]
    fn uncertainty_alone_is_judged_without_refining() {
        let folder = tempfile::tempdir().unwrap();
        let columns = Columns::new(&labels());
        let results = Results::open(folder.path(), columns.clone()).unwrap();
        let plan = Plan { refine: false, ..plan() };
        assert_eq!(evaluate_by(&plan, 0, &results, &columns), 0);
        assert!(!Subject::is_unfinished("phantom_0", &plan, &results));
        assert_eq!(evaluate_by(&plan, 0, &results, &columns), 0);
        let (_, rows) = results.finish().unwrap();
        assert_eq!(rows.len(), 1);
        assert!(columns.get(&rows[0], "auroc") > 0.99 && columns.get(&rows[0], "dice_refined").is_nan());
        assert_eq!((rows[0].key.strategy.as_str(), rows[0].key.round), (UNREFINED, 0));
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
            let of =
                rows.iter().filter(|row| row.key.strategy == strategy && row.key.budget == "0.4" && row.key.round == 1);
            mean(of.map(|row| columns.get(row, "voxels_changed")))
        };
        assert!(
            gain("greedy") > gain("random") && gain("greedy") > gain("equidistant"),
            "{} {}",
            gain("greedy"),
            gain("random")
        );
    }
}

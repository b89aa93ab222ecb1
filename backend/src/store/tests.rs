//! The store on a real database in a folder of its own.

use shared::acquisition::{AcquisitionParams, ExpectedGain, FORMAT, RankedSlice, RoundOutcome, SliceList, Standing};
use shared::api::{CaseDetail, Event, MadeWith};
use shared::case::{JobState, Stage};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::{Axis, Geometry, Plane};
use shared::label::{LabelInfo, LabelSet};
use tempfile::TempDir;

use super::*;

mod bin;
mod durability;
mod news;
mod saves;
mod versions;

/// A 2 × 2 × 3 case with one label.
fn new_case() -> NewCase {
    NewCase {
        name: Some("case".into()),
        bundle: "bundle".into(),
        geometry: Geometry::axis_aligned([2, 2, 3], [1.0; 3]).unwrap(),
        labels: LabelSet(vec![LabelInfo { value: 1, name: "one".into(), colour: "#ff0000".into(), code: None }]),
        images: Vec::new(),
        reference: None,
    }
}

fn axial(index: usize, labels: &[u8], revision: u64) -> CorrectedSlice {
    CorrectedSlice {
        plane: Plane { axis: Axis::Axial, index },
        state: SliceState::Done,
        runs: Runs::encode(labels),
        revision,
    }
}

/// Axial planes by rank; each is to settle a tenth of the uncertainty.
fn axial_slices(slices: &[usize], beyond: &[usize]) -> SliceList {
    let ranked = |planes: &[usize], first: usize| {
        let slice = |(at, index): (usize, &usize)| RankedSlice {
            axis: Axis::Axial,
            index: *index,
            score: 1.0,
            rank: first + at,
            settles: 0.1,
            component: None,
        };
        planes.iter().enumerate().map(slice).collect()
    };
    SliceList {
        format: FORMAT,
        geometry: new_case().geometry,
        params: AcquisitionParams::default(),
        entropy: None,
        foreground_axial_planes: 0,
        slices: ranked(slices, 1),
        beyond: ranked(beyond, 1 + slices.len()),
    }
}

/// Indices of the slices within the budget.
fn offered(list: &SliceList) -> Vec<usize> {
    list.slices.iter().map(|slice| slice.index).collect()
}

/// The refinement that a lease is for.
#[track_caller]
fn refine_task(lease: &Lease) -> &RefineTask {
    match &lease.task {
        Task::Refine(task) => task,
        other => panic!("{other:?}"),
    }
}

struct Scene {
    folder: TempDir,
    store: Store,
    case: CaseId,
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Opening::Checked).await.unwrap();
        let case = store.create_case(&Actor::local(), &new_case()).await.unwrap().id;
        Self { folder, store, case }
    }

    /// A case whose presegmentation is done.
    async fn presegmented() -> Self {
        let scene = Self::new().await;
        let lease = scene.store.lease().await.unwrap().unwrap();
        assert!(scene.store.finish_presegmentation(&lease, &scene.files("pre").await).await.unwrap());
        scene
    }

    async fn files(&self, content: &'static str) -> PresegmentationFiles {
        let uncertainty = self.store.blobs().put("uncertainty").await.unwrap();
        PresegmentationFiles {
            segmentation: self.segmentation(content).await,
            uncertainty,
            slices: axial_slices(&[1], &[]),
            standing: Standing { uncertainty: 5.0, foreground: 4, outcomes: Vec::new() },
        }
    }

    /// A refinement after which the planes 0, 1 and 2 are worth correcting, in this order, the last if there is room.
    async fn refinement(&self, content: &'static str) -> RefinementFiles {
        RefinementFiles {
            segmentation: self.segmentation(content).await,
            uncertainty: self.store.blobs().put("less uncertainty").await.unwrap(),
            next: axial_slices(&[0, 1], &[2]),
            standing: Standing {
                uncertainty: 6.0,
                foreground: 100,
                outcomes: vec![RoundOutcome { settled: 3.0, changed: 10 }],
            },
        }
    }

    /// Marks a plane as done and refines.
    async fn refined(&self, plane: usize, revision: u64) {
        self.store.save_correction(&Actor::local(), &self.case, &axial(plane, &[0, 1, 1, 0], revision)).await.unwrap();
        self.store.request_refinement(&Actor::local(), &self.case, None).await.unwrap();
        let lease = self.store.lease().await.unwrap().unwrap();
        assert!(self.store.finish_refinement(&lease, &self.refinement("refined").await).await.unwrap());
    }

    async fn detail(&self) -> CaseDetail {
        self.store.case(&self.case).await.unwrap()
    }

    async fn segmentation(&self, content: &'static str) -> NewSegmentation {
        let blob = self.store.blobs().put(content).await.unwrap();
        NewSegmentation {
            blobs: SegmentationBlobs { labels: blob.clone(), nifti: blob },
            made_with: MadeWith::default(),
            adapted_weights: None,
        }
    }

    async fn summary(&self) -> shared::api::CaseSummary {
        self.store.summary(&self.case).await.unwrap()
    }

    async fn job_state(&self) -> JobState {
        self.summary().await.job.unwrap().state
    }

    /// The same data folder after the server's end and new start.
    async fn restarted(self) -> Self {
        let (folder, case) = self.stopped().await;
        Self { store: Store::open(folder.path(), Opening::Checked).await.unwrap(), folder, case }
    }

    /// The data folder after the server's death.
    async fn stopped(self) -> (TempDir, CaseId) {
        self.store.readers.close().await;
        self.store.writer.close().await;
        (self.folder, self.case)
    }
}

#[tokio::test]
async fn every_connection_flushes_what_it_commits() {
    let scene = Scene::new().await;
    let check = async |pragma: &'static str, expected: &str| {
        for pool in [&scene.store.readers, &scene.store.writer] {
            let value =
                sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}")));
            let value: String = value.fetch_one(pool).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
    };
    check("journal_mode", "wal").await;
    check("synchronous", "2").await;
    check("foreign_keys", "1").await;
}

#[tokio::test]
async fn a_data_folder_has_one_server() {
    let scene = Scene::new().await;
    let error = Store::open(scene.folder.path(), Opening::Checked).await.unwrap_err();
    assert!(error.to_string().starts_with("another i3deep server uses the data folder"), "{error}");
}

#[tokio::test]
async fn stages_follow_from_what_there_is() {
    let scene = Scene::new().await;
    assert_eq!(scene.summary().await.stage, Stage::Presegmenting);
    let lease = scene.store.lease().await.unwrap().unwrap();
    scene.store.finish_presegmentation(&lease, &scene.files("pre").await).await.unwrap();
    assert_eq!(scene.summary().await.stage, Stage::Correcting);
    scene.store.save_correction(&Actor::local(), &scene.case, &axial(0, &[0, 1, 1, 0], 0)).await.unwrap();
    scene.store.request_refinement(&Actor::local(), &scene.case, None).await.unwrap();
    assert_eq!(scene.summary().await.stage, Stage::Refining);
    let lease = scene.store.lease().await.unwrap().unwrap();
    assert_eq!(refine_task(&lease).corrections, [axial(0, &[0, 1, 1, 0], 1)]);
    scene.store.finish_refinement(&lease, &scene.refinement("first").await).await.unwrap();
    assert_eq!(scene.summary().await.stage, Stage::Refined);
    assert_eq!(scene.store.case(&scene.case).await.unwrap().versions, ["presegmentation", "refinement-1"]);
}

#[tokio::test]
async fn a_stale_save_is_refused_and_the_same_save_again_is_not() {
    let scene = Scene::presegmented().await;
    let save = async |labels: &[u8], base: u64| {
        scene.store.save_correction(&Actor::local(), &scene.case, &axial(1, labels, base)).await
    };
    assert_eq!(save(&[1, 0, 0, 0], 0).await.unwrap().revision, 1);
    assert_eq!(save(&[1, 0, 0, 0], 0).await.unwrap().revision, 1, "the answer was lost, the client asks again");
    assert!(matches!(save(&[0, 0, 0, 1], 0).await, Err(StoreError::Stale { stored: 1, base: 0 })));
    assert_eq!(save(&[0, 0, 0, 1], 1).await.unwrap().revision, 2);
    assert_eq!(scene.store.corrections(&scene.case).await.unwrap(), [axial(1, &[0, 0, 0, 1], 2)]);
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM slice_versions WHERE revision IS NOT NULL")
        .fetch_one(&scene.store.readers)
        .await
        .unwrap();
    assert_eq!(kept, 2, "the earlier version is kept");
}

#[tokio::test]
async fn corrections_that_do_not_fit_are_refused() {
    let scene = Scene::presegmented().await;
    let check = async |slice: CorrectedSlice, expected: &str| {
        assert_eq!(
            scene.store.save_correction(&Actor::local(), &scene.case, &slice).await.unwrap_err().to_string(),
            expected
        );
    };
    check(axial(3, &[0; 4], 0), "there is no axial plane 3; the volume has 3 (0 to 2)").await;
    check(axial(0, &[0; 5], 0), "the slice axial 0 has 4 voxels, the correction covers 5").await;
    check(axial(0, &[7; 4], 0), "label 7 is not one of this task's labels").await;
    assert_eq!(scene.store.corrections(&scene.case).await.unwrap(), []);
}

#[tokio::test]
async fn refinement_needs_a_slice_that_is_done_and_no_other_job() {
    let scene = Scene::presegmented().await;
    let ask = async || {
        scene
            .store
            .request_refinement(&Actor::local(), &scene.case, None)
            .await
            .map(|job| job.state)
            .map_err(|error| error.to_string())
    };
    assert!(ask().await.unwrap_err().starts_with("no slice is marked as done"));
    let painted = CorrectedSlice { state: SliceState::Todo, ..axial(0, &[1; 4], 0) };
    scene.store.save_correction(&Actor::local(), &scene.case, &painted).await.unwrap();
    assert!(ask().await.unwrap_err().starts_with("no slice is marked as done"));
    scene.store.save_correction(&Actor::local(), &scene.case, &axial(0, &[1; 4], 1)).await.unwrap();
    assert_eq!(ask().await, Ok(JobState::Queued));
    assert!(ask().await.unwrap_err().starts_with("this case is being worked on already"));
}

#[tokio::test]
async fn another_round_offers_what_the_refinement_chose_and_keeps_what_was_corrected() {
    let scene = Scene::presegmented().await;
    assert_eq!((scene.summary().await.round, scene.detail().await.next), (1, None));
    scene.refined(1, 0).await;
    let detail = scene.detail().await;
    assert_eq!(offered(&detail.slices.unwrap()), [1], "the round goes on until the expert asks for another");
    let next = detail.next.unwrap();
    assert_eq!(offered(&next.slices), [0, 2], "what is corrected makes room");
    // 10 voxels for 3 of uncertainty; 0.2 of 6 is 1.2.
    assert_eq!(next.expected.map(|gain: ExpectedGain| (gain.voxels.round(), gain.stop)), Some((4.0, false)));

    let detail = scene.store.begin_round(&Actor::local(), &scene.case).await.unwrap();
    assert_eq!((detail.summary.round, offered(detail.slices.as_ref().unwrap()), detail.next), (2, vec![0, 2], None));
    assert_eq!((detail.summary.slices, detail.summary.slices_done), (3, 1), "two are offered, one is done");
    assert_eq!(detail.corrections, [axial(1, &[0, 1, 1, 0], 1)]);
    assert_eq!(
        scene.store.uncertainty(&scene.case).await.unwrap(),
        scene.store.blobs().put("less uncertainty").await.unwrap()
    );
    let scene = scene.restarted().await;
    assert_eq!((scene.summary().await.round, offered(&scene.detail().await.slices.unwrap())), (2, vec![0, 2]));

    scene.store.save_correction(&Actor::local(), &scene.case, &axial(0, &[1; 4], 0)).await.unwrap();
    scene.store.request_refinement(&Actor::local(), &scene.case, None).await.unwrap();
    let lease = scene.store.lease().await.unwrap().unwrap();
    let task = refine_task(&lease);
    assert_eq!(
        task.corrections,
        [axial(1, &[0, 1, 1, 0], 1), axial(0, &[1; 4], 1)],
        "refinement uses the corrections of all rounds"
    );
    let doubt = scene.store.blobs().put("uncertainty").await.unwrap();
    assert_eq!(task.uncertainty, Some(doubt), "that of the presegmentation, whatever was refined since");
    let before = &task.before;
    assert_eq!((&before.planes, before.standing.outcomes.len()), (&vec![axial(1, &[], 0).plane], 1));
}

#[tokio::test]
async fn another_round_has_its_time() {
    let scene = Scene::presegmented().await;
    let ask = async || {
        scene
            .store
            .begin_round(&Actor::local(), &scene.case)
            .await
            .map(|detail| detail.summary.round)
            .map_err(|error| error.to_string())
    };
    assert!(ask().await.unwrap_err().starts_with("the next slices are chosen by a refinement"));
    scene.refined(1, 0).await;
    scene.store.request_refinement(&Actor::local(), &scene.case, None).await.unwrap();
    assert!(ask().await.unwrap_err().starts_with("this case is being worked on already"));
    let lease = scene.store.lease().await.unwrap().unwrap();
    scene.store.finish_refinement(&lease, &scene.refinement("again").await).await.unwrap();
    assert_eq!(ask().await, Ok(2));
    assert!(ask().await.unwrap_err().starts_with("the next slices are chosen by a refinement"));
}

#[tokio::test]
async fn what_the_expert_has_answered_is_not_offered_again() {
    let scene = Scene::presegmented().await;
    scene.refined(1, 0).await;
    let skipped = CorrectedSlice { state: SliceState::Skipped, ..axial(0, &[1; 4], 0) };
    scene.store.save_correction(&Actor::local(), &scene.case, &skipped).await.unwrap();
    assert_eq!(offered(&scene.detail().await.next.unwrap().slices), [2]);
    scene.store.save_correction(&Actor::local(), &scene.case, &axial(2, &[1; 4], 0)).await.unwrap();
    assert_eq!(scene.detail().await.next, None);
    assert!(
        scene
            .store
            .begin_round(&Actor::local(), &scene.case)
            .await
            .unwrap_err()
            .to_string()
            .starts_with("there are no slices left")
    );
}

#[tokio::test]
async fn each_version_knows_the_slices_that_went_into_it() {
    let scene = Scene::presegmented().await;
    scene.refined(1, 0).await;
    scene.refined(0, 0).await;
    // Done since, and in no version.
    scene.store.save_correction(&Actor::local(), &scene.case, &axial(2, &[1; 4], 0)).await.unwrap();
    for (version, expected) in [("presegmentation", &[][..]), ("refinement-1", &[1]), ("refinement-2", &[1, 0])] {
        let slices = scene.store.slices_in(&scene.case, version).await.unwrap();
        assert_eq!(slices.iter().map(|slice| slice.plane.index).collect::<Vec<_>>(), expected, "{version}");
    }
    assert_eq!(scene.detail().await.refined_with.len(), 2);
    assert!(scene.store.slices_in(&scene.case, "refinement-x").await.is_err());
}

#[tokio::test]
async fn a_cancelled_job_takes_no_result() {
    let scene = Scene::new().await;
    let lease = scene.store.lease().await.unwrap().unwrap();
    assert!(scene.store.holds(&lease).await.unwrap());
    scene.store.cancel(&Actor::local(), lease.job).await.unwrap();
    assert!(!scene.store.holds(&lease).await.unwrap());
    assert!(!scene.store.finish_presegmentation(&lease, &scene.files("late").await).await.unwrap());
    assert_eq!(scene.job_state().await, JobState::Cancelled);
    assert_eq!(scene.store.case(&scene.case).await.unwrap().versions, [""; 0]);
}

#[tokio::test]
async fn an_earlier_attempt_takes_no_result() {
    let scene = Scene::new().await;
    let first = scene.store.lease().await.unwrap().unwrap();
    scene.store.note_crash(&first, "died").await.unwrap();
    let second = scene.store.lease().await.unwrap().unwrap();
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert!(!scene.store.finish_presegmentation(&first, &scene.files("late").await).await.unwrap());
    assert!(scene.store.finish_presegmentation(&second, &scene.files("pre").await).await.unwrap());
}

#[tokio::test]
async fn a_job_that_kills_its_worker_twice_has_failed() {
    let scene = Scene::new().await;
    for expected in [JobState::Queued, JobState::Failed] {
        let lease = scene.store.lease().await.unwrap().unwrap();
        scene.store.note_crash(&lease, "died twice").await.unwrap();
        assert_eq!(scene.job_state().await, expected);
    }
    assert_eq!(scene.summary().await.job.unwrap().message, "died twice");
    assert!(scene.store.lease().await.unwrap().is_none());
}

#[tokio::test]
async fn a_restart_keeps_everything_and_queues_what_ran() {
    let scene = Scene::presegmented().await;
    scene.store.save_correction(&Actor::local(), &scene.case, &axial(2, &[1; 4], 0)).await.unwrap();
    scene.store.request_refinement(&Actor::local(), &scene.case, None).await.unwrap();
    scene.store.lease().await.unwrap().unwrap();
    let scene = scene.restarted().await;
    assert_eq!(scene.job_state().await, JobState::Queued);
    assert_eq!(scene.store.corrections(&scene.case).await.unwrap(), [axial(2, &[1; 4], 1)]);
    let segmentation = scene.store.segmentation(&scene.case, "presegmentation").await.unwrap();
    assert_eq!(scene.store.blobs().get(&segmentation.labels).await.unwrap(), "pre");
}

#[tokio::test]
async fn a_blob_that_has_changed_on_disk_is_not_handed_out() {
    let scene = Scene::new().await;
    let blob = scene.store.blobs().put("truth").await.unwrap();
    std::fs::write(scene.store.blobs().path(&blob), "lies!").unwrap();
    assert!(matches!(scene.store.blobs().get(&blob).await, Err(StoreError::Damaged(named)) if named == blob));
}

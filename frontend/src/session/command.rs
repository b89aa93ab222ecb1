//! What may happen. Views send these; the session does them.

use shared::api::{ExportFormat, OpenSeries, StudyQuery};
use shared::case::{CaseId, JobId};
use shared::geometry::{Axis, Plane};
use shared::intensity::Window;
use shared::label::Label;
use web_sys::{HtmlCanvasElement, HtmlElement};

use super::bench::BlankStart;
use super::crossings::Verdict;
use super::preferences::Look;
use super::viewing::{Blend, Layout};
use crate::annotate::edits::Edit;
use crate::annotate::tools::Tool;
use crate::api::Upload;
use crate::keys::Preset;
use crate::viewer::gesture::FingerPaints;

/// A wish of the person at the screen.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Send scans to the server, one after the other.
    Upload(Vec<Upload>),
    /// Send again those that were not taken.
    UploadAgain,
    /// Those that were not taken are given up.
    ForgetUntaken,
    /// Delete a case; asked and confirmed.
    DeleteCase(CaseId),
    /// Write a note on a case.
    SetNote(CaseId, String),
    /// Give a case to somebody, or to nobody.
    GiveCase(CaseId, Option<String>),
    /// Take a case out of the bin.
    BringCaseBack(CaseId),
    /// Stop a job.
    CancelJob(JobId),
    /// Tell when a job has ended, or do not tell after all.
    AwaitJob(JobId),
    /// Do again what a failed or cancelled job was to do.
    RetryJob(JobId),
    /// Look for studies in a PACS.
    SearchPacs(String, StudyQuery),
    /// Show a study's series, or put them away.
    ShowStudy(String, String),
    /// Open a series of a PACS.
    OpenSeries(String, OpenSeries),
    /// Stop what is on its way from a PACS.
    StopImport(String),
    /// Tell no more of an import that is over.
    ForgetImport(String),
    /// Send the segmentation to a PACS.
    SendToPacs(String),
    /// Put the error banner away.
    DismissTrouble,

    /// Open a case in the workbench.
    OpenCase(CaseId),
    /// Leave the workbench.
    CloseCase,
    /// A view's canvas is on the page.
    AttachView(Axis, HtmlCanvasElement),
    /// A view's canvas has another size.
    ResizeView,
    /// The place of a slice's small picture is on the page.
    AttachThumbnail(Plane, HtmlElement),

    /// Go to a slice of the list and show its axis large.
    GoTo(Plane),
    /// Correct the plane in a view, offered or not.
    CorrectPlane(Axis),
    /// Go to the slice after (1) or before (-1) this one in the list.
    GoBy(i64),
    /// Show an axis large.
    ShowLarge(Axis),
    /// Show the next axis large.
    NextView,
    /// Move through the planes of an axis, in screen order: positive is towards the feet, the back, the patient's left.
    Scroll(Axis, i64),
    /// Move the crosshair to the voxel under a canvas position.
    PointAt(Axis, [f64; 2]),
    /// Move the crosshair within a view's plane, by voxels to the right and down.
    StepCrosshair(Axis, [i64; 2]),
    /// Say what is under a canvas position, and preview the brush there; nothing when the pointer has left.
    Hover(Axis, Option<[f64; 2]>),
    /// Zoom around a canvas position.
    Zoom {
        /// Which view.
        axis: Axis,
        /// What stays in place.
        at: [f64; 2],
        /// Above 1 is closer.
        factor: f64,
    },
    /// Move a view's plane by canvas pixels.
    Pan(Axis, [f64; 2]),
    /// Show a layout, or one view large and two beside it if it is shown.
    ToggleLayout(Layout),
    /// The surface's canvas is on the page.
    AttachSurface(HtmlCanvasElement),
    /// Turn the surface by pixels to the right and down.
    TurnSurface {
        /// How far.
        by_px: [f64; 2],
        /// The hand goes on turning.
        is_held: bool,
    },
    /// Turn the surface by steps to the right and down.
    StepSurface([f64; 2]),
    /// Look at the surface from nearer, above 1.
    ZoomSurface(f64),
    /// The hand has let go of the surface.
    RestSurface,
    /// Move the crosshair to where a canvas position is on the surface.
    PointAtSurface([f64; 2]),
    /// Show the patient's left on the other side of the screen.
    SwitchConvention,
    /// Show all planes whole again.
    FitViews,

    /// Look at another channel of the scan.
    ShowChannel(usize),
    /// Show another channel through the one that is looked at, or none.
    SetBlend(Option<Blend>),
    /// Change the window.
    SetWindow(Window),
    /// Change the window by a drag: pixels to the right (width) and down (centre).
    DragWindow([f64; 2]),
    /// Interpolate grey values, or not.
    ToggleSmooth,
    /// Show or hide the segmentation.
    ToggleSegmentation,
    /// Opacity of the segmentation's filling, 0 to 1.
    SetSegmentationOpacity(f64),
    /// Fill and outline, or outline only.
    ToggleOutline,
    /// Show or hide uncertainty.
    ToggleUncertainty,
    /// Opacity of uncertainty, 0 to 1.
    SetUncertaintyOpacity(f64),
    /// Uncertainty from which on it is drawn, 0 to 1.
    SetLeastUncertainty(f64),
    /// Show or hide the crosshair.
    ToggleCrosshair,
    /// Show each new slice without its segmentation first, or not.
    ToggleImageFirst,
    /// Which slices begin without their presegmentation.
    SetBlankStart(BlankStart),
    /// Show the presegmentation of a slice that began without it.
    Reveal,
    /// Mark what the shown version changed, or not.
    ToggleChanges,

    /// Choose a tool.
    SetTool(Tool),
    /// Edit the slice being corrected as a whole.
    Edit(Edit),
    /// What is offered becomes the slice's labels.
    TakeOffer,
    /// What is offered is forgotten.
    LeaveOffer,
    /// Keep a label from being changed, or let it be changed again.
    ToggleLock(Label),
    /// Change voxels of these intensities only, ends included; or any.
    SetLimit(Option<[f32; 2]>),
    /// Choose a label (and the brush, if no painting tool is chosen).
    SetLabel(Label),
    /// Choose the label after (1) or before (-1) the chosen one.
    StepLabel(i64),
    /// Opacity of the segmentation by steps.
    StepOpacity(f64),
    /// Change voxels of the usual intensities only, or of any.
    ToggleLimit,
    /// Brush diameter in millimetres.
    SetBrush(f64),
    /// Brush size by steps.
    StepBrush(i64),
    /// A stroke begins at a canvas position; with `invert`, brush and eraser change roles.
    BeginStroke {
        /// Which view.
        axis: Axis,
        /// Where.
        at: [f64; 2],
        /// Ctrl is held.
        invert: bool,
    },
    /// Use the tool once, on the crosshair's voxel of the slice being corrected.
    PressHere,
    /// The stroke goes on to a canvas position.
    ExtendStroke([f64; 2]),
    /// Ctrl is held, or not: brush and eraser change roles.
    Invert(bool),
    /// A pen is at hand.
    SeePen,
    /// Whether one finger paints.
    SetFingerPaints(FingerPaints),
    /// A pen's pressure widens the brush, or does not any more.
    TogglePressure,
    /// How hard the pen is pressed, 0 to 1; nothing of other pointers.
    PressPen(Option<f64>),
    /// The stroke is finished.
    EndStroke,
    /// The stroke never was.
    CancelStroke,
    /// Paint where there is no slice to correct: say why nothing happens.
    RefusePaint,
    /// Take the last step back.
    Undo,
    /// Do it again.
    Redo,
    /// Every voxel of this plane is right; on to the next slice.
    MarkDone,
    /// Not this one; on to the next slice.
    Skip,
    /// Back to do.
    Reopen,
    /// Forget what was painted on this slice: back to the segmentation's labels.
    ResetSlice,
    /// Show a voxel of a slice.
    LookAt(Plane, [usize; 3]),
    /// Which of two slices that contradict each other is right.
    Settle(Verdict),
    /// Of all slices that contradict each other, those that were changed last are right.
    SettleByLastWord,
    /// Send again what the server has refused.
    RetrySaving,
    /// Keep this computer's version of the slices in conflict.
    KeepMine,
    /// Take the server's version of the slices in conflict.
    TakeTheirs,
    /// Work on this case in this tab, which another tab holds.
    WorkHere,
    /// List the versions of the slice being corrected, or put the list away.
    ToggleSliceVersions,
    /// Show again what a version of a slice says.
    BringBack(Plane, i64),

    /// The slices or the changes on the rail.
    ToggleChangeList,
    /// Show a change of the newest refinement.
    LookAtChange(usize),
    /// Show the change after (1) or before (-1) the one that is looked at.
    StepChange(i64),
    /// Take the change that is looked at, or leave it if it is taken.
    DecideHere,
    /// Take a change, or leave its voxels as they were.
    Decide(usize, bool),
    /// Take or leave all changes.
    DecideAll(bool),
    /// Work on from an older version.
    BringVersionBack(String),
    /// Download what the slices have taken.
    DownloadEffort,

    /// Show this many of the slices that have been ranked.
    SetEffort(usize),
    /// Refine with the slices that are done.
    Refine,
    /// Whether the network first learns from this case: by the bundle's choice, or because the expert asks for it.
    ToggleAdaptation,
    /// Show the slices that the refinement chose.
    BeginRound,
    /// Before or after.
    ToggleCompare,
    /// Show a version.
    ShowVersion(String),
    /// Download what is on the screen.
    Download,
    /// Download in this format from now on; none is NIfTI.
    DownloadAs(Option<ExportFormat>),
    /// Put the notice away.
    DismissNotice,
    /// Show or hide the keyboard sheet.
    ToggleSheet,
    /// Take a preset of keys as it is.
    UsePreset(Preset),
    /// Change how labels look.
    ChangePalette(Look),
    /// Bind an act to a key.
    BindKey(String, String),
}

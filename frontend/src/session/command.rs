//! What may happen. Views send these; the session does them.

use shared::case::{CaseId, JobId};
use shared::geometry::{Axis, Plane};
use shared::intensity::Window;
use shared::label::Label;
use web_sys::HtmlCanvasElement;

use crate::api::Upload;
use crate::viewer::gesture::Tool;

/// A wish of the person at the screen.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    /// Send a scan to the server.
    Upload(Upload),
    /// Delete a case; asked and confirmed.
    DeleteCase(CaseId),
    /// Stop a job.
    CancelJob(JobId),
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

    /// Go to a slice of the list and show its axis large.
    GoTo(Plane),
    /// Go to the slice after (1) or before (-1) this one in the list.
    GoBy(i64),
    /// Show an axis large.
    ShowLarge(Axis),
    /// Move through the planes of an axis, in screen order: positive is towards the feet, the back, the patient's left.
    Scroll(Axis, i64),
    /// Move the crosshair to the voxel under a canvas position.
    PointAt(Axis, [f64; 2]),
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
    /// Show all planes whole again.
    FitViews,

    /// Look at another channel of the scan.
    ShowChannel(usize),
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
    /// Show each new slice without its segmentation first, or not.
    ToggleImageFirst,
    /// Mark what the shown version changed, or not.
    ToggleChanges,

    /// Choose a tool.
    SetTool(Tool),
    /// Choose a label (and the brush, if no painting tool is chosen).
    SetLabel(Label),
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
    /// The stroke goes on to a canvas position.
    ExtendStroke([f64; 2]),
    /// The stroke is finished.
    EndStroke,
    /// The stroke never was.
    CancelStroke,
    /// Fill the connected region at a canvas position.
    Fill(Axis, [f64; 2]),
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
    /// Send again what the server has refused.
    RetrySaving,
    /// Keep this computer's version of the slices in conflict.
    KeepMine,
    /// Take the server's version of the slices in conflict.
    TakeTheirs,

    /// Show this many of the slices that have been ranked.
    SetEffort(usize),
    /// Refine with the slices that are done.
    Refine,
    /// Show the slices that the refinement chose.
    BeginRound,
    /// Before or after.
    ToggleCompare,
    /// Show a version.
    ShowVersion(String),
    /// Put the notice away.
    DismissNotice,
    /// Show or hide the keyboard sheet.
    ToggleSheet,
}

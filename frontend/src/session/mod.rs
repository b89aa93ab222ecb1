//! What the browser knows, and the only place that changes it. Views read [`Fact`]s and [`Session::dispatch`] [`Command`]s; voxels and canvases stay
//! out of the reactive graph, in [`bench`] and [`stage`].

pub(crate) mod command;
pub(crate) mod fact;
pub(crate) mod bench;
pub(crate) mod stage;
pub(crate) mod visit;
mod cases;
mod painting;
mod saving;
mod viewing;

use leptos::prelude::*;
use shared::api::{BundleInfo, CaseDetail, CaseSummary};
use shared::correction::SliceState;
use shared::geometry::{Axis, Plane};
use shared::intensity::Window;
use shared::label::Label;

use crate::api;
use crate::viewer::gesture::Tool;
use bench::Bench;
use cases::Link;
use command::Command;
use fact::Fact;
use stage::Stage;
use visit::{Door, Visit};

/// Handle to everything the browser knows; free to copy.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    /// The case list, once it is known.
    pub(crate) cases: Fact<Option<Vec<CaseSummary>>>,
    /// The bundles offered, once they are known.
    pub(crate) bundles: Fact<Option<Vec<BundleInfo>>>,
    /// Share of the upload under way that is sent.
    pub(crate) upload: Fact<Option<f64>>,
    /// Uploads that succeeded, so that the form knows when to empty itself.
    pub(crate) uploaded: Fact<u32>,
    /// What went wrong last, for the banner.
    pub(crate) trouble: Fact<Option<String>>,
    /// Whether the event stream is up.
    pub(crate) online: Fact<bool>,

    /// The open case.
    pub(crate) detail: Fact<Option<CaseDetail>>,
    /// Why it cannot be opened.
    pub(crate) missing: Fact<Option<String>>,
    /// What is still on its way from the server, in words; nothing when all is there.
    pub(crate) loading: Fact<Option<&'static str>>,
    /// The slice list.
    pub(crate) slices: Fact<Vec<SliceRow>>,
    /// How many slices the expert is ready to correct.
    pub(crate) effort: Fact<Effort>,
    /// The slice being corrected.
    pub(crate) target: Fact<Option<Plane>>,
    /// The axis shown large.
    pub(crate) large: Fact<Axis>,
    /// Where the three planes cross.
    pub(crate) crosshair: Fact<[usize; 3]>,
    /// The channel that is looked at.
    pub(crate) channel: Fact<usize>,
    /// The window.
    pub(crate) window: Fact<Window>,
    /// How overlays are shown.
    pub(crate) overlay: Fact<Overlay>,
    /// Which segmentation is shown.
    pub(crate) shown: Fact<Shown>,
    /// What the left button does.
    pub(crate) tool: Fact<Tool>,
    /// The label that is painted.
    pub(crate) label: Fact<Label>,
    /// Brush diameter.
    pub(crate) brush_mm: Fact<f64>,
    /// Steps that can be undone and redone.
    pub(crate) depth: Fact<[usize; 2]>,
    /// Where corrections stand with the server.
    pub(crate) save: Fact<SaveState>,
    /// What is under the pointer.
    pub(crate) probe: Fact<Option<Probe>>,
    /// Something the expert should know, not an error.
    pub(crate) notice: Fact<Option<String>>,
    /// Whether the keyboard sheet is open.
    pub(crate) sheet: Fact<bool>,

    bench: StoredValue<Option<Bench>, LocalStorage>,
    stage: StoredValue<Stage, LocalStorage>,
    link: StoredValue<Link, LocalStorage>,
    door: StoredValue<Door, LocalStorage>,
}

/// A line of the slice list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SliceRow {
    /// Which plane.
    pub(crate) plane: Plane,
    /// Its place in this round's acquisition; none for a plane of an earlier round.
    pub(crate) rank: Option<usize>,
    /// The part of the case that it cuts most of, 1 for the largest; none where there is only one part, or it cuts none.
    pub(crate) part: Option<usize>,
    /// Share of the case's uncertainty that it settles.
    pub(crate) settles: f64,
    /// What the strategy ranked by.
    pub(crate) score: f64,
    /// How far the expert is.
    pub(crate) state: SliceState,
    /// Changes made here, for redrawing its thumbnail.
    pub(crate) edits: u64,
    /// Painted on, but not vouched for.
    pub(crate) touched: bool,
}

/// How many of a round's slices are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Effort {
    /// As many.
    pub(crate) slices: usize,
    /// As many as have been ranked.
    pub(crate) most: usize,
    /// Share of the case's uncertainty that they settle.
    pub(crate) settles: f64,
}

/// How overlays are shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Overlay {
    /// The segmentation is visible.
    pub(crate) segmentation: bool,
    /// Opacity of its filling.
    pub(crate) opacity: f64,
    /// Filling and outline rather than outline only.
    pub(crate) filled: bool,
    /// Uncertainty is visible.
    pub(crate) uncertainty: bool,
    /// Its opacity.
    pub(crate) uncertainty_opacity: f64,
    /// New slices show their image first: a drawn contour makes one see what it says.
    pub(crate) image_first: bool,
    /// Voxels that the shown version changed are outlined.
    pub(crate) changes: bool,
    /// Grey values are interpolated.
    pub(crate) smooth: bool,
}

impl Default for Overlay {
    fn default() -> Self {
        Self {
            segmentation: true,
            opacity: 0.35,
            filled: true,
            uncertainty: false,
            uncertainty_opacity: 0.6,
            image_first: false,
            changes: false,
            smooth: true,
        }
    }
}

/// Which segmentation is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    /// A version by name; none is the newest with the expert's corrections.
    pub(crate) version: Option<String>,
    /// The version before it is shown instead.
    pub(crate) comparing: bool,
}

/// Where corrections stand with the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum SaveState {
    /// All saved.
    #[default]
    Saved,
    /// On their way.
    Saving,
    /// Kept on this computer until the server answers.
    Offline,
    /// The server is there and does not take them; why.
    Refused(String),
    /// Another window has saved the same slice.
    Conflict,
}

/// What is under the pointer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Probe {
    /// Voxel indices along the stored axes.
    pub(crate) voxel: [usize; 3],
    /// World position (RAS+).
    pub(crate) world_mm: [f64; 3],
    /// Image intensity.
    pub(crate) intensity: Option<f32>,
    /// Label, background or not.
    pub(crate) label: Option<Label>,
    /// Uncertainty, 0 to 1.
    pub(crate) uncertainty: Option<f32>,
}

impl Session {
    /// Knows nothing yet; begins to listen to the server.
    pub(crate) fn new() -> Self {
        let session = Self {
            cases: Fact::new(None),
            bundles: Fact::new(None),
            upload: Fact::new(None),
            uploaded: Fact::new(0),
            trouble: Fact::new(None),
            online: Fact::new(true),
            detail: Fact::new(None),
            missing: Fact::new(None),
            loading: Fact::new(None),
            slices: Fact::new(Vec::new()),
            effort: Fact::new(Effort::default()),
            target: Fact::new(None),
            large: Fact::new(Axis::Axial),
            crosshair: Fact::new([0; 3]),
            channel: Fact::new(0),
            window: Fact::new(Window::new(0.5, 1.0)),
            overlay: Fact::new(Overlay::default()),
            shown: Fact::new(Shown::default()),
            tool: Fact::new(Tool::Brush),
            label: Fact::new(1),
            brush_mm: Fact::new(6.0),
            depth: Fact::new([0, 0]),
            save: Fact::new(SaveState::Saved),
            probe: Fact::new(None),
            notice: Fact::new(None),
            sheet: Fact::new(false),
            bench: StoredValue::new_local(None),
            stage: StoredValue::new_local(Stage::default()),
            link: StoredValue::new_local(Link::default()),
            door: StoredValue::new_local(Door::default()),
        };
        session.listen();
        session.load_list();
        session
    }

    /// Does what is asked. The only way in.
    pub(crate) fn dispatch(&self, command: Command) {
        use Command as C;
        match command {
            C::Upload(upload) => self.send_scan(upload),
            C::DeleteCase(id) => self.delete_case(id),
            C::CancelJob(job) => self.cancel_job(job),
            C::DismissTrouble => self.trouble.set(None),

            C::OpenCase(id) => self.open_case(id),
            C::CloseCase => self.close_case(),
            C::AttachView(axis, canvas) => self.attach_view(axis, canvas),
            C::ResizeView => self.draw_all(),

            C::GoTo(plane) => self.go_to(plane),
            C::GoBy(steps) => self.go_by(steps),
            C::ShowLarge(axis) => self.show_large(axis),
            C::Scroll(axis, steps) => self.scroll(axis, steps),
            C::PointAt(axis, at) => self.point_at(axis, at),
            C::Hover(axis, at) => self.hover(axis, at),
            C::Zoom { axis, at, factor } => self.zoom(axis, at, factor),
            C::Pan(axis, by_px) => self.pan(axis, by_px),
            C::FitViews => self.fit_views(),

            C::ShowChannel(channel) => self.show_channel(channel),
            C::SetWindow(window) => self.set_window(window),
            C::DragWindow(by_px) => self.drag_window(by_px),
            C::ToggleSmooth => self.set_overlay(|overlay| overlay.smooth = !overlay.smooth),
            C::ToggleSegmentation => self.set_overlay(|overlay| overlay.segmentation = !overlay.segmentation),
            C::SetSegmentationOpacity(opacity) => self.set_overlay(|overlay| overlay.opacity = opacity.clamp(0.0, 1.0)),
            C::ToggleOutline => self.set_overlay(|overlay| overlay.filled = !overlay.filled),
            C::ToggleUncertainty => self.set_overlay(|overlay| overlay.uncertainty = !overlay.uncertainty),
            C::SetUncertaintyOpacity(opacity) => self.set_overlay(|overlay| overlay.uncertainty_opacity = opacity.clamp(0.0, 1.0)),
            C::ToggleImageFirst => self.set_overlay(|overlay| overlay.image_first = !overlay.image_first),
            C::ToggleChanges => self.set_overlay(|overlay| overlay.changes = !overlay.changes),

            C::SetTool(tool) => self.set_tool(tool),
            C::SetLabel(label) => self.set_label(label),
            C::SetBrush(diameter_mm) => self.set_brush(diameter_mm),
            C::StepBrush(steps) => self.step_brush(steps),
            C::BeginStroke { axis, at, invert } => self.begin_stroke(axis, at, invert),
            C::ExtendStroke(at) => self.extend_stroke(at),
            C::EndStroke => self.end_stroke(),
            C::CancelStroke => self.cancel_stroke(),
            C::Fill(axis, at) => self.fill(axis, at),
            C::RefusePaint => self.refuse_paint(),
            C::Undo => self.undo(),
            C::Redo => self.redo(),
            C::MarkDone => self.finish_slice(SliceState::Done),
            C::Skip => self.finish_slice(SliceState::Skipped),
            C::Reopen => self.reopen_slice(),
            C::ResetSlice => self.reset_slice(),
            C::RetrySaving => self.retry_saving(),
            C::KeepMine => self.keep_mine(),
            C::TakeTheirs => self.take_theirs(),

            C::SetEffort(slices) => self.set_effort(slices),
            C::Refine => self.refine(),
            C::BeginRound => self.begin_round(),
            C::ToggleCompare => self.toggle_compare(),
            C::ShowVersion(version) => self.show_version(version),
            C::DismissNotice => self.notice.set(None),
            C::ToggleSheet => self.sheet.update(|open| *open = !*open),
        }
    }

    /// Reads the open case.
    fn read<T>(&self, read: impl FnOnce(&Bench) -> T) -> Option<T> {
        self.bench.with_value(|bench| bench.as_ref().map(read))
    }

    /// Changes the open case.
    fn change<T>(&self, change: impl FnOnce(&mut Bench) -> T) -> Option<T> {
        self.bench.try_update_value(|bench| bench.as_mut().map(change)).flatten()
    }

    /// The visit that the page asks for, whether its case is here already or not.
    fn wanted(&self) -> Option<Visit> {
        self.door.with_value(|door| door.wanted().cloned())
    }

    /// Whether what is on the screen belongs to a visit, so that an answer still concerns it.
    fn is_shown(&self, visit: &Visit) -> bool {
        self.read(|bench| bench.visit == *visit) == Some(true)
    }

    /// Tells the expert about an error.
    fn complain(&self, trouble: &api::Trouble) {
        self.trouble.set(Some(trouble.to_string()));
    }
}

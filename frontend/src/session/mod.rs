//! What the browser knows, and the only place that changes it: a file for each subject, which owns its facts. Views
//! read [`Fact`]s and [`Session::dispatch`] [`Command`]s; voxels and canvases stay out of the reactive graph, in
//! [`bench`] and [`stage`].

pub(crate) mod command;
pub(crate) mod fact;
pub(crate) mod bench;
pub(crate) mod stage;
pub(crate) mod visit;
mod arriving;
mod batch;
mod case_list;
mod changes;
mod crossings;
mod download;
mod edits;
mod effort_log;
mod journal;
mod leaving;
mod lease;
mod link;
mod memory;
mod opening;
mod painting;
mod pacs;
mod people;
mod preferences;
mod review;
mod rounds;
pub(crate) mod saving;
mod strokes;
mod surface;
mod sync;
mod thumbnails;
mod unsent;
mod versions;
mod viewing;

use leptos::prelude::*;
use shared::correction::SliceState;

use crate::api;
use arriving::Arrivals;
use bench::Bench;
use case_list::CaseList;
use changes::Changes;
use command::Command;
use crossings::Crossings;
use effort_log::EffortLog;
use fact::Fact;
use journal::Keeper;
use lease::Leases;
use link::{Link, Stream};
use opening::OpenCase;
use pacs::Pacs;
use painting::Painting;
use preferences::Preferences;
use rounds::Rounds;
use saving::Saving;
use stage::Stage;
use surface::Model;
use viewing::Viewing;
use visit::{Door, Visit};

pub(crate) use batch::{Sending, Sorted, numbered, sort_files};
pub(crate) use bench::{BlankStart, Effort, Proof};
pub(crate) use changes::IslandRow;
pub(crate) use crossings::{Pair, Verdict};
pub(crate) use download::version_text;
pub(crate) use lease::Lease;
pub(crate) use people::{Keys, People, SignedIn};
pub(crate) use preferences::Look;
pub(crate) use review::Reviewing;
pub(crate) use rounds::SliceRow;
pub(crate) use saving::status::SaveState;
pub(crate) use viewing::{Blend, Layout, Overlay, Probe, Shown};

/// Handle to everything the browser knows; free to copy.
#[derive(Clone, Copy)]
pub(crate) struct Session {
    /// The case list.
    pub(crate) list: CaseList,
    /// The PACS on the other end.
    pub(crate) pacs: Pacs,
    /// The line to the server.
    pub(crate) link: Link,
    /// The open case.
    pub(crate) case: OpenCase,
    /// The slices offered.
    pub(crate) rounds: Rounds,
    /// Where one looks and how.
    pub(crate) viewing: Viewing,
    /// What the hand holds.
    pub(crate) painting: Painting,
    /// Where corrected planes contradict each other.
    pub(crate) crossings: Crossings,
    /// What the newest refinement changed.
    pub(crate) changes: Changes,
    /// What the person at the screen prefers.
    pub(crate) preferences: Preferences,
    /// Whether the work is safe.
    pub(crate) saving: Saving,
    /// What is said to the person at the screen.
    pub(crate) messages: Messages,

    bench: StoredValue<Option<Bench>, LocalStorage>,
    stage: StoredValue<Stage, LocalStorage>,
    model: StoredValue<Model, LocalStorage>,
    stream: StoredValue<Stream, LocalStorage>,
    journal: StoredValue<Keeper, LocalStorage>,
    leases: StoredValue<Leases, LocalStorage>,
    effort_log: StoredValue<EffortLog, LocalStorage>,
    /// Scans that were not taken, to be sent again.
    untaken: StoredValue<Vec<api::Upload>, LocalStorage>,
    /// Unsent corrections of other cases are being sent.
    sends_unsent: StoredValue<bool, LocalStorage>,
    door: StoredValue<Door, LocalStorage>,
    /// Volumes on their way.
    fetches: StoredValue<Option<api::Fetches>, LocalStorage>,
    arrivals: StoredValue<Arrivals, LocalStorage>,
}

/// What is said to the person at the screen.
#[derive(Clone, Copy)]
pub(crate) struct Messages {
    /// What went wrong last.
    pub(crate) trouble: Fact<Option<String>>,
    /// Something the expert should know, not an error.
    pub(crate) notice: Fact<Option<String>>,
}

impl Session {
    /// Knows nothing yet; begins to listen to the server.
    pub(crate) fn new() -> Self {
        let session = Self {
            list: CaseList::new(),
            pacs: Pacs::new(),
            link: Link::new(),
            case: OpenCase::new(),
            rounds: Rounds::new(),
            viewing: Viewing::new(),
            painting: Painting::new(),
            crossings: Crossings::new(),
            changes: Changes::new(),
            preferences: Preferences::new(),
            saving: Saving::new(),
            messages: Messages { trouble: Fact::new(None), notice: Fact::new(None) },
            bench: StoredValue::new_local(None),
            stage: StoredValue::new_local(Stage::default()),
            model: StoredValue::new_local(Model::default()),
            stream: StoredValue::new_local(Stream::default()),
            journal: StoredValue::new_local(Keeper::default()),
            leases: StoredValue::new_local(Leases::default()),
            effort_log: StoredValue::new_local(EffortLog::default()),
            untaken: StoredValue::new_local(Vec::new()),
            sends_unsent: StoredValue::new_local(false),
            door: StoredValue::new_local(Door::default()),
            fetches: StoredValue::new_local(None),
            arrivals: StoredValue::new_local(Arrivals::default()),
        };
        session.open_journal();
        session.listen();
        session.watch_leaving();
        session.load_list();
        session.load_pacs();
        session
    }

    /// Does what is asked. The only way in.
    pub(crate) fn dispatch(&self, command: Command) {
        use Command as C;
        if self.is_reading_along(&command) {
            return;
        }
        self.note_act();
        match command {
            C::Upload(uploads) => self.send_scans(uploads),
            C::UploadAgain => self.send_again(),
            C::ForgetUntaken => self.forget_untaken(),
            C::DeleteCase(id) => self.delete_case(id),
            C::SetNote(id, note) => self.set_note(id, note),
            C::GiveCase(id, to) => self.give_case(id, to),
            C::BringCaseBack(id) => self.bring_case_back(id),
            C::CancelJob(job) => self.cancel_job(job),
            C::AwaitJob(id) => self.await_job(id),
            C::RetryJob(job) => self.retry_job(job),
            C::SearchPacs(source, query) => self.search_pacs(source, query),
            C::ShowStudy(source, study) => self.show_study(source, study),
            C::OpenSeries(source, wanted) => self.open_series(source, wanted),
            C::StopImport(id) => self.stop_import(id),
            C::ForgetImport(id) => self.forget_import(&id),
            C::SendToPacs(source) => self.send_to_pacs(source),
            C::DismissTrouble => self.messages.trouble.set(None),

            C::OpenCase(id) => self.open_case(id),
            C::CloseCase => self.close_case(),
            C::AttachView(axis, canvas) => self.attach_view(axis, canvas),
            C::ResizeView => {
                self.draw_all();
                self.draw_surface();
            }
            C::AttachThumbnail(plane, place) => self.attach_thumbnail(plane, &place),

            C::GoTo(plane) => self.go_to(plane),
            C::CorrectPlane(axis) => self.correct_plane(axis),
            C::GoBy(steps) => self.go_by(steps),
            C::ShowLarge(axis) => self.show_large(axis),
            C::NextView => self.next_view(),
            C::Scroll(axis, steps) => self.scroll(axis, steps),
            C::StepCrosshair(axis, by) => self.step_crosshair(axis, by),
            C::PointAt(axis, at) => self.point_at(axis, at),
            C::Hover(axis, at) => self.hover(axis, at),
            C::Zoom { axis, at, factor } => self.zoom(axis, at, factor),
            C::Pan(axis, by_px) => self.pan(axis, by_px),
            C::ToggleLayout(layout) => self.toggle_layout(layout),
            C::AttachSurface(canvas) => self.attach_surface(canvas),
            C::TurnSurface { by_px, is_held } => self.turn_surface(by_px, is_held),
            C::StepSurface(steps) => self.turn_surface(steps.map(|step| step * surface::STEP_PX), false),
            C::ZoomSurface(factor) => self.zoom_surface(factor),
            C::RestSurface => self.rest_surface(),
            C::PointAtSurface(at) => self.point_at_surface(at),
            C::SwitchConvention => self.switch_convention(),
            C::FitViews => self.fit_views(),

            C::ShowChannel(channel) => self.show_channel(channel),
            C::SetBlend(blend) => self.set_blend(blend),
            C::SetWindow(window) => self.set_window(window),
            C::DragWindow(by_px) => self.drag_window(by_px),
            C::ToggleSmooth => self.set_overlay(|overlay| overlay.smooth = !overlay.smooth),
            C::ToggleSegmentation => self.set_overlay(|overlay| overlay.segmentation = !overlay.segmentation),
            C::SetSegmentationOpacity(opacity) => self.set_overlay(|overlay| overlay.opacity = opacity.clamp(0.0, 1.0)),
            C::ToggleOutline => self.set_overlay(|overlay| overlay.filled = !overlay.filled),
            C::ToggleUncertainty => self.set_overlay(|overlay| overlay.uncertainty = !overlay.uncertainty),
            C::SetUncertaintyOpacity(opacity) => {
                self.set_overlay(|overlay| overlay.uncertainty_opacity = opacity.clamp(0.0, 1.0))
            }
            C::SetLeastUncertainty(share) => {
                self.set_overlay(|overlay| overlay.least_uncertainty = share.clamp(0.0, 1.0))
            }
            C::ToggleCrosshair => self.set_overlay(|overlay| overlay.crosshair = !overlay.crosshair),
            C::ToggleImageFirst => self.set_overlay(|overlay| overlay.image_first = !overlay.image_first),
            C::SetBlankStart(start) => self.set_blank_start(start),
            C::Reveal => self.reveal(),
            C::ToggleChanges => self.set_overlay(|overlay| overlay.changes = !overlay.changes),

            C::SetTool(tool) => self.set_tool(tool),
            C::Edit(edit) => self.edit(edit),
            C::TakeOffer => self.take_offer(),
            C::LeaveOffer => self.leave_offer(),
            C::ToggleLock(label) => self.toggle_lock(label),
            C::SetLimit(limit) => self.set_limit(limit),
            C::SetLabel(label) => self.set_label(label),
            C::StepLabel(by) => self.step_label(by),
            C::StepOpacity(by) => self.set_overlay(|overlay| overlay.opacity = (overlay.opacity + by).clamp(0.0, 1.0)),
            C::ToggleLimit => {
                let usual = self.painting.limit.now().is_none().then(|| self.usual_intensities());
                self.set_limit(usual);
            }
            C::SetBrush(diameter_mm) => self.set_brush(diameter_mm),
            C::StepBrush(steps) => self.step_brush(steps),
            C::BeginStroke { axis, at, invert } => self.begin_stroke(axis, at, invert),
            C::PressHere => self.press_here(),
            C::ExtendStroke(at) => self.extend_stroke(at),
            C::Invert(inverted) => self.invert(inverted),
            C::SeePen => self.painting.pen_seen.learn(true),
            C::TogglePressure => self.painting.pressure.update(|on| *on = !*on),
            C::PressPen(pressed) => self.painting.pressed.learn(pressed),
            C::SetFingerPaints(wish) => self.painting.finger.learn(wish),
            C::EndStroke => self.release_stroke(),
            C::CancelStroke => self.cancel_stroke(),
            C::RefusePaint => self.refuse_paint(),
            C::Undo => self.undo(),
            C::Redo => self.redo(),
            C::MarkDone => self.finish_slice(SliceState::Done),
            C::Skip => self.finish_slice(SliceState::Skipped),
            C::Reopen => self.reopen_slice(),
            C::ResetSlice => self.reset_slice(),
            C::LookAt(plane, voxel) => self.look_at_contradiction(plane, voxel),
            C::Settle(verdict) => self.settle(&verdict),
            C::SettleByLastWord => self.settle_by_last_word(),
            C::RetrySaving => self.retry_saving(),
            C::KeepMine => self.keep_mine(),
            C::TakeTheirs => self.take_theirs(),
            C::WorkHere => self.take_lease(),
            C::ToggleSliceVersions => self.toggle_slice_versions(),
            C::BringBack(plane, version) => self.bring_back(plane, version),
            C::ToggleChangeList => self.changes.open.update(|open| *open = !*open),
            C::LookAtChange(number) => self.look_at_change(number),
            C::StepChange(by) => self.step_change(by),
            C::DecideHere => self.decide_here(),
            C::Decide(number, is_taken) => self.decide(&[number], is_taken),
            C::DecideAll(is_taken) => self.decide_all(is_taken),
            C::BringVersionBack(version) => self.bring_version_back(version),
            C::DownloadEffort => self.download_effort(),

            C::SetEffort(slices) => self.set_effort(slices),
            C::Refine => self.refine(),
            C::ToggleAdaptation => self.rounds.adapts.update(|adapts| *adapts = !*adapts),
            C::BeginRound => self.begin_round(),
            C::ToggleCompare => self.toggle_compare(),
            C::ShowVersion(version) => self.show_version(version),
            C::Download => self.download(),
            C::DownloadAs(format) => self.viewing.format.set(format),
            C::DismissNotice => self.messages.notice.set(None),
            C::ToggleSheet => self.viewing.sheet.update(|open| *open = !*open),
            C::UsePreset(preset) => self.use_preset(preset),
            C::ChangePalette(look) => self.change_palette(&look),
            C::BindKey(act, key) => self.bind_key(&act, &key),
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
        self.messages.trouble.set(Some(trouble.to_string()));
    }
}

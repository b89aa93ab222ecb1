//! Where one looks and how: planes, cameras, windows, overlays, versions.

use leptos::prelude::*;
use shared::api::ExportFormat;
use shared::crossing::offset_in_plane;
use shared::geometry::{Axis, Geometry, Plane};
use shared::intensity::Window;
use shared::label::{BACKGROUND, Label};

use super::Session;
use super::bench::{Bench, BlankStart, Scan};
use super::fact::Fact;
use crate::viewer::camera::{Convention, Placement, ViewGrid, panned, zoomed};
use crate::viewer::presets::{SOFT_TISSUE, Seen, presets};

/// Where one looks and how.
#[derive(Clone, Copy)]
pub(crate) struct Viewing {
    /// The axis shown large.
    pub(crate) large: Fact<Axis>,
    /// Where the three planes cross.
    pub(crate) crosshair: Fact<[usize; 3]>,
    /// The channel that is looked at.
    pub(crate) channel: Fact<usize>,
    /// The window.
    pub(crate) window: Fact<Window>,
    /// What the voxels of the channel say, once they are here.
    pub(crate) seen: Fact<Option<Seen>>,
    /// How overlays are shown.
    pub(crate) overlay: Fact<Overlay>,
    /// Which slices begin without their presegmentation.
    pub(crate) blank_start: Fact<BlankStart>,
    /// The slice being corrected is shown without its presegmentation.
    pub(crate) is_blank: Fact<bool>,
    /// On which side the patient's left is.
    pub(crate) convention: Fact<Convention>,
    /// Which views are on the screen.
    pub(crate) layout: Fact<Layout>,
    /// Another channel that is seen through the one that is looked at.
    pub(crate) blend: Fact<Option<Blend>>,
    /// Which segmentation is shown.
    pub(crate) shown: Fact<Shown>,
    /// What is under the pointer.
    pub(crate) probe: Fact<Option<Probe>>,
    /// Whether the keyboard sheet is open.
    pub(crate) sheet: Fact<bool>,
    /// What a download is to be; NIfTI if nothing else was chosen.
    pub(crate) format: Fact<Option<ExportFormat>>,
}

impl Viewing {
    /// As it is before a case is open.
    pub(super) fn new() -> Self {
        Self {
            large: Fact::new(Axis::Axial),
            crosshair: Fact::new([0; 3]),
            channel: Fact::new(0),
            window: Fact::new(Window::new(0.5, 1.0)),
            seen: Fact::new(None),
            convention: Fact::new(Convention::default()),
            layout: Fact::new(Layout::default()),
            blend: Fact::new(None),
            overlay: Fact::new(Overlay::default()),
            blank_start: Fact::new(BlankStart::default()),
            is_blank: Fact::new(false),
            shown: Fact::new(Shown::default()),
            probe: Fact::new(None),
            sheet: Fact::new(false),
            format: Fact::new(None),
        }
    }
}

/// Which views are on the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Layout {
    /// One large, two beside it.
    #[default]
    Three,
    /// The large one alone.
    One,
    /// The three planes and the surface, all of one size.
    Four,
    /// The surface alone.
    Solid,
}

impl Layout {
    /// Whether the surface is on the screen.
    pub(crate) fn has_surface(self) -> bool {
        matches!(self, Layout::Four | Layout::Solid)
    }
}

/// A channel that is seen through another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Blend {
    /// Which channel.
    pub(crate) channel: usize,
    /// How much of it, 0 to 1.
    pub(crate) share: f64,
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
    /// The lines in which the three planes cross are drawn.
    pub(crate) crosshair: bool,
    /// Share of the largest uncertainty, 0 to 1, under which none is drawn.
    pub(crate) least_uncertainty: f64,
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
            crosshair: true,
            least_uncertainty: 0.0,
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
    /// The plane that the view of `axis` shows.
    pub(crate) fn plane_of(&self, axis: Axis) -> Option<Plane> {
        let crosshair = self.viewing.crosshair.now();
        self.read(|bench| Plane { axis, index: crosshair[bench.geometry().stored_axis(axis)] })
    }

    pub(super) fn go_to(self, plane: Plane) {
        self.end_stroke();
        let blank_start = self.viewing.blank_start.now();
        self.change(|bench| bench.begin_blank(plane, blank_start));
        let looked_at = self.change(|bench| {
            bench.geometry().check_plane(plane).ok()?;
            let labels = bench.current_labels(plane);
            Some((
                bench.geometry().stored_axis(plane.axis),
                labels.and_then(|labels| middle(bench.geometry(), plane, &labels)),
            ))
        });
        let Some((stored, middle)) = looked_at.flatten() else { return };
        let mut crosshair = middle.unwrap_or(self.viewing.crosshair.now());
        crosshair[stored] = plane.index;
        self.viewing.crosshair.set(crosshair);
        if self.rounds.target.now() != Some(plane) && self.viewing.overlay.now().image_first {
            self.viewing.overlay.update(|overlay| overlay.segmentation = self.is_touched(plane));
        }
        self.rounds.target.learn(Some(plane));
        // A plane of one's own that was only looked at is none.
        self.change(|bench| {
            let Bench { own, corrections, .. } = bench;
            own.retain(|own| *own == plane || corrections.contains_key(own));
        });
        self.refresh_slices();
        self.viewing.large.learn(plane.axis);
        self.changes.open.learn(false);
        self.messages.notice.learn(None);
        self.note_effort(false);
        self.repaint();
    }

    /// The plane in a view, whether it was offered or not, is to be corrected: from now on it stands on the list.
    pub(super) fn correct_plane(self, axis: Axis) {
        let Some(plane) = self.plane_of(axis) else { return };
        if self.read(|bench| bench.latest().is_none()) == Some(true) {
            self.refuse_paint();
            return;
        }
        self.change(|bench| bench.own.insert(plane));
        self.refresh_slices();
        self.go_to(plane);
    }

    /// Which slices begin blank from now on; the one being corrected too, if nothing has been said of it.
    pub(super) fn set_blank_start(self, start: BlankStart) {
        self.viewing.blank_start.learn(start);
        self.rounds.target.now().into_iter().for_each(|plane| self.go_to(plane));
    }

    /// Shows the presegmentation of the slice being corrected.
    pub(super) fn reveal(self) {
        let Some(plane) = self.rounds.target.now() else { return };
        self.end_stroke();
        let step = self.change(|bench| bench.reveal(plane)).flatten();
        step.into_iter().for_each(|step| self.learn_step(step));
        self.refresh_slices();
        self.repaint();
    }

    fn is_touched(self, plane: Plane) -> bool {
        self.read(|bench| bench.corrections.contains_key(&plane)) == Some(true)
    }

    pub(super) fn go_by(self, steps: i64) {
        let target = self.rounds.target.now();
        let plane = self.rounds.slices.now_with(|rows| {
            let here = rows.iter().position(|row| Some(row.plane) == target).unwrap_or(0) as i64;
            rows.get((here + steps).rem_euclid(rows.len().max(1) as i64) as usize).map(|row| row.plane)
        });
        plane.into_iter().for_each(|plane| self.go_to(plane));
    }

    pub(super) fn show_large(self, axis: Axis) {
        self.viewing.large.learn(axis);
        if self.viewing.layout.now().has_surface() {
            self.viewing.layout.set(Layout::Three);
        }
        self.draw_all();
    }

    /// The axis after the one that is shown large.
    pub(super) fn next_view(self) {
        let here = Axis::ALL.iter().position(|axis| *axis == self.viewing.large.now()).unwrap_or(0);
        self.viewing.large.learn(Axis::ALL[(here + 1) % Axis::ALL.len()]);
        self.draw_all();
    }

    pub(super) fn scroll(self, axis: Axis, steps: i64) {
        let moved = self.read(|bench| {
            let geometry = bench.geometry();
            let (stored, last) = (geometry.stored_axis(axis), geometry.plane_count(axis) as i64 - 1);
            let steps = if geometry.grows_positive(axis) { -steps } else { steps };
            let mut crosshair = self.viewing.crosshair.now();
            crosshair[stored] = (crosshair[stored] as i64 + steps).clamp(0, last) as usize;
            crosshair
        });
        moved.into_iter().for_each(|crosshair| self.look_at(crosshair));
    }

    pub(super) fn point_at(self, axis: Axis, at: [f64; 2]) {
        let voxel = self.plane_of(axis).zip(self.plane_position(axis, at)).and_then(|(plane, position)| {
            self.read(|bench| {
                let dims = bench.geometry().plane_dims(axis);
                let inside = [0, 1].map(|i| position[i].clamp(0, dims[i] as i64 - 1) as usize);
                bench.geometry().voxel_from_plane(plane, inside)
            })
        });
        voxel.into_iter().for_each(|voxel| self.look_at(voxel));
    }

    pub(super) fn step_crosshair(self, axis: Axis, by: [i64; 2]) {
        let grid = self.stage.with_value(|stage| stage.port(axis).and_then(|port| port.grid().copied()));
        let Some(grid) = grid else { return };
        let mut voxel = self.viewing.crosshair.now();
        for (along, by) in by.into_iter().enumerate() {
            let steps = if grid.flip[along] { -by } else { by };
            let stored = grid.stored[along];
            voxel[stored] = (voxel[stored] as i64 + steps).clamp(0, grid.dims[along] as i64 - 1) as usize;
        }
        // Within a plane nothing that is under way ends.
        self.viewing.crosshair.learn(voxel);
        self.draw_all();
    }

    /// A stroke ends where its plane leaves the view: nothing is painted unseen.
    pub(super) fn look_at(self, voxel: [usize; 3]) {
        self.end_stroke();
        self.viewing.crosshair.learn(voxel);
        self.draw_all();
    }

    pub(super) fn hover(self, axis: Axis, at: Option<[f64; 2]>) {
        self.stage.update_value(|stage| stage.set_hover(axis, at));
        self.draw(axis);
        let position = at.and_then(|at| self.plane_position(axis, at));
        let probe = self.plane_of(axis).zip(position).and_then(|(plane, position)| self.probe_at(plane, position));
        self.viewing.probe.learn(probe);
    }

    /// What the view of a plane shows at a position; of the segmentation only what is on the screen.
    fn probe_at(self, plane: Plane, position: [i64; 2]) -> Option<Probe> {
        let (shown, is_visible) = (self.viewing.shown.now(), self.viewing.overlay.now().segmentation);
        self.read(|bench| {
            let geometry = bench.geometry();
            let dims = geometry.plane_dims(plane.axis);
            let inside = (0..2).all(|i| (0..dims[i] as i64).contains(&position[i]));
            let voxel = inside.then(|| geometry.voxel_from_plane(plane, position.map(|i| i as usize)))?;
            let offset = Geometry::offset(voxel, geometry.dims);
            let info = bench.image_info();
            let stored = bench.stored_voxel(plane, voxel);
            let labels = is_visible.then(|| shown_labels(bench, plane, &shown)).flatten();
            Some(Probe {
                voxel,
                world_mm: geometry.world_from_voxel(voxel.map(|i| i as f64)),
                intensity: info.zip(stored).map(|(info, voxel)| info.minimum + info.step * f32::from(voxel)),
                label: labels
                    .as_ref()
                    .and_then(|labels| labels.get(offset_in_plane(geometry, plane.axis, voxel)).copied()),
                uncertainty: bench
                    .uncertainty
                    .as_ref()
                    .and_then(|values| values.get(offset))
                    .map(|value| f32::from(*value) / 255.0),
            })
        })
        .flatten()
    }

    /// Plane position of a canvas position, perhaps outside the plane.
    pub(super) fn plane_position(self, axis: Axis, at: [f64; 2]) -> Option<[i64; 2]> {
        self.stage.with_value(|stage| {
            let port = stage.port(axis)?;
            let placement = Placement::new(port.grid()?, port.size_px(), port.camera());
            Some(port.grid()?.plane_from_grid(placement.cell_from_canvas(at)))
        })
    }

    pub(super) fn zoom(self, axis: Axis, at: [f64; 2], factor: f64) {
        self.stage.update_value(|stage| {
            stage.move_camera(axis, |camera, grid, size_px| zoomed(camera, grid, size_px, at, factor))
        });
        self.draw(axis);
    }

    pub(super) fn pan(self, axis: Axis, by_px: [f64; 2]) {
        self.stage.update_value(|stage| {
            stage.move_camera(axis, |camera, grid, size_px| panned(camera, grid, size_px, by_px))
        });
        self.draw(axis);
    }

    pub(super) fn fit_views(self) {
        for axis in Axis::ALL {
            self.stage.update_value(|stage| stage.move_camera(axis, |_, _: &ViewGrid, _| Default::default()));
        }
        self.draw_all();
    }

    /// Left and right change sides.
    pub(super) fn switch_convention(self) {
        self.end_stroke();
        self.viewing.convention.update(|convention| {
            *convention = match convention {
                Convention::Radiological => Convention::Neurological,
                Convention::Neurological => Convention::Radiological,
            };
        });
        let convention = self.viewing.convention.now();
        let geometry = self.read(|bench| bench.geometry().clone());
        geometry
            .into_iter()
            .for_each(|geometry| self.stage.update_value(|stage| stage.show_case(&geometry, convention)));
        self.draw_all();
    }

    /// Shows another channel, with the window it was last looked at with.
    pub(super) fn show_channel(self, channel: usize) {
        let window = self.viewing.window.now();
        let next = self.change(|bench| {
            let first = bench.detail.images.get(channel)?.window;
            bench.windows.insert(bench.channel, window);
            bench.channel = channel;
            Some(bench.windows.get(&channel).copied().unwrap_or(first))
        });
        if let Some(window) = next.flatten() {
            self.viewing.channel.set(channel);
            self.see_image();
            self.set_window(window);
            self.load_voxels();
        }
    }

    /// Shows another channel through the one that is looked at.
    pub(super) fn set_blend(self, blend: Option<Blend>) {
        self.viewing.blend.learn(blend.map(|blend| Blend { share: blend.share.clamp(0.0, 1.0), ..blend }));
        self.stage.update_value(|stage| stage.image_changed());
        self.load_voxels();
        self.draw_all();
    }

    /// The channel to blend in after the one that is, half and half; none after the last.
    pub(crate) fn next_blend(&self) -> Option<Blend> {
        let share = self.viewing.blend.now().map_or(0.5, |blend| blend.share);
        let from = self.viewing.blend.now().map_or(0, |blend| blend.channel + 1);
        self.read(|bench| (from..bench.detail.images.len()).find(|channel| *channel != bench.channel))
            .flatten()
            .map(|channel| Blend { channel, share })
    }

    /// The channel after the one that is looked at, from the beginning if need be; none if there is only one.
    pub(crate) fn next_channel(&self) -> Option<usize> {
        self.read(|bench| (bench.detail.images.len() > 1).then(|| (bench.channel + 1) % bench.detail.images.len()))
            .flatten()
    }

    pub(super) fn set_window(self, window: Window) {
        self.viewing.window.learn(Window::new(window.centre, window.width));
        self.stage.update_value(|stage| stage.image_changed());
        self.draw_all();
    }

    /// A drag over 300 pixels changes the window by the width of the first one.
    pub(super) fn drag_window(self, [right, down]: [f64; 2]) {
        let first = self.first_window().map_or(1.0, |window| window.width);
        let Window { centre, width } = self.viewing.window.now();
        let (right, down) = (right as f32 / 300.0 * first, down as f32 / 300.0 * first);
        self.set_window(Window::new(centre + down, (width + right).max(first / 500.0)));
    }

    /// The voxels of the channel are here, or another channel is looked at: looks at what they span.
    pub(super) fn see_image(self) {
        let seen = self.change(|bench| {
            let channel = bench.channel;
            let sample = bench.images.get(&channel).and_then(Scan::sample);
            // More of it may say more; what is computed tomography once stays it.
            let is_ct = bench.seen.get(&channel).is_some_and(|seen| seen.is_ct);
            if let (false, Some(info), Some(voxels)) = (is_ct, bench.detail.images.get(channel), sample) {
                let seen = Seen::new(info, voxels);
                bench.seen.extend(seen.map(|seen| (channel, seen)));
            }
            let seen = bench.seen.get(&channel).copied();
            (seen, !is_ct && seen.is_some_and(|seen| seen.is_ct))
        });
        let (seen, is_news) = seen.unwrap_or_default();
        self.viewing.seen.learn(seen);
        // Air counts in a suggestion that is made for any scan; computed tomography opens as it is read, unless
        // somebody has chosen already.
        if is_news && self.first_window() == Some(self.viewing.window.now()) {
            self.set_window(SOFT_TISSUE);
        }
    }

    /// Windows to choose from, the suggested one first.
    pub(crate) fn presets(self) -> Vec<(&'static str, Window)> {
        let seen = self.viewing.seen.now();
        self.read(|bench| bench.image_info().map(|image| presets(image, seen))).flatten().unwrap_or_default()
    }

    /// The window that the server suggests.
    pub(crate) fn first_window(&self) -> Option<Window> {
        self.read(|bench| bench.image_info().map(|image| image.window)).flatten()
    }

    pub(super) fn set_overlay(self, change: impl FnOnce(&mut Overlay)) {
        self.viewing.overlay.update(change);
        self.repaint();
    }

    pub(super) fn toggle_compare(self) {
        let has_before = self.read(|bench| bench.detail.versions.len() > 1) == Some(true);
        if has_before {
            self.end_stroke();
            self.viewing.shown.update(|shown| shown.comparing = !shown.comparing);
            self.load_missing_version();
            self.repaint();
        } else {
            self.messages.notice.set(Some("There is nothing to compare yet: refine first.".into()));
        }
    }

    pub(super) fn show_version(self, version: String) {
        self.end_stroke();
        let newest = self.read(|bench| bench.latest() == Some(&version)) == Some(true);
        self.viewing.shown.set(Shown { version: (!newest).then_some(version), comparing: false });
        self.load_missing_version();
        self.repaint();
    }

    /// Painting always happens on the newest segmentation, visibly.
    pub(super) fn show_current(self) {
        self.viewing.shown.learn(Shown::default());
        if !self.viewing.overlay.now().segmentation {
            self.viewing.overlay.update(|overlay| overlay.segmentation = true);
        }
    }

    fn load_missing_version(self) {
        let shown = self.viewing.shown.now();
        let missing = self.read(|bench| {
            let version = shown_version(&bench.detail.versions, &shown)?;
            (!bench.segmentations.contains_key(version)).then(|| version.clone())
        });
        missing.flatten().into_iter().for_each(|version| self.load_version(version));
    }
}

/// A plane's labels as they are on the screen: the expert's on the newest version, any other version as it is stored.
pub(super) fn shown_labels(bench: &Bench, plane: Plane, shown: &Shown) -> Option<Vec<Label>> {
    if *shown == Shown::default() {
        return bench.current_labels(plane);
    }
    bench.version_labels(shown_version(&bench.detail.versions, shown)?, plane)
}

/// The version that is on the screen.
pub(super) fn shown_version<'a>(versions: &'a [String], shown: &Shown) -> Option<&'a String> {
    let newest = versions.len().checked_sub(1)?;
    let at =
        shown.version.as_ref().and_then(|name| versions.iter().position(|version| version == name)).unwrap_or(newest);
    versions.get(if shown.comparing { at.saturating_sub(1) } else { at })
}

/// The voxel in the middle of a plane's foreground.
fn middle(geometry: &Geometry, plane: Plane, labels: &[u8]) -> Option<[usize; 3]> {
    let columns = geometry.plane_dims(plane.axis)[0];
    let foreground = labels.iter().enumerate().filter(|(_, label)| **label != BACKGROUND);
    let (sum, count) = foreground
        .fold(([0, 0], 0), |(sum, count), (at, _)| ([sum[0] + at % columns, sum[1] + at / columns], count + 1));
    (count > 0).then(|| geometry.voxel_from_plane(plane, sum.map(|sum| sum / count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comparing_shows_the_version_before() {
        fn check(version: Option<&str>, comparing: bool, expected: &str) {
            let versions = ["presegmentation", "refinement-1", "refinement-2"].map(String::from);
            let shown = Shown { version: version.map(String::from), comparing };
            assert_eq!(shown_version(&versions, &shown).unwrap(), expected);
        }
        check(None, false, "refinement-2");
        check(None, true, "refinement-1");
        check(Some("refinement-1"), true, "presegmentation");
        check(Some("presegmentation"), true, "presegmentation");
        assert_eq!(shown_version(&[], &Shown::default()), None);
    }

    #[test]
    fn the_middle_of_the_foreground_is_looked_at() {
        let geometry = Geometry::axis_aligned([4, 3, 2], [1.0; 3]).unwrap();
        let plane = Plane { axis: Axis::Axial, index: 1 };
        assert_eq!(middle(&geometry, plane, &[0, 0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0]), Some([2, 1, 1]));
        assert_eq!(middle(&geometry, plane, &[0; 12]), None);
    }
}

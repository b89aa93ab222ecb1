//! The three canvases: what each shows, what has changed, and drawing it once per screen refresh. Bitmaps are rebuilt
//! only for the plane in view.

use std::collections::{BTreeMap, BTreeSet};

use leptos::prelude::*;
use shared::crossing::offset_in_plane;
use shared::geometry::{Axis, Geometry, Plane};
use shared::label::{BACKGROUND, Label, LabelInfo};
use web_sys::HtmlCanvasElement;

use super::bench::{Bench, Sharpness};
use super::thumbnails::Thumbnails;
use super::viewing::{shown_labels, shown_version};
use super::{Blend, Overlay, Session, Shown};
use crate::annotate::tools::{Hand, Position, Tool, Work};
use crate::viewer::camera::{Camera, Convention, Placement, ViewGrid};
use crate::viewer::frame::{
    Bitmap, Frame, Outline, ScaleBar, Segment, Tint, blend_in, boundaries, image_rgba, overlay_rgba,
};
use crate::viewer::gesture::Ground;
use crate::viewer::renderer::Renderer;

/// Colour of voxels that two corrected planes call by different labels.
const CONTRADICTION_RGB: [u8; 3] = [255, 84, 64];
/// Colours of voxels that a refinement or an offered edit adds, removes and calls by another label; told apart by every
/// kind of eye.
const ADDED_RGB: [u8; 3] = [86, 180, 233];
const REMOVED_RGB: [u8; 3] = [240, 150, 40];
const RELABELLED_RGB: [u8; 3] = [255, 255, 255];
/// Colour of the eraser's preview.
const ERASER_RGB: [u8; 3] = [235, 240, 248];

/// What drawing views may take of a screen refresh before the others wait for the next.
const BUDGET_MS: f64 = 3.0;

/// All views.
#[derive(Default)]
pub(crate) struct Stage {
    ports: BTreeMap<Axis, Port>,
    greys: Vec<u8>,
    image_changes: u64,
    arrivals: u64,
    label_changes: u64,
    bitmaps: u64,
    dirty: Vec<Axis>,
    scheduled: bool,
    thumbnails: Thumbnails,
}

/// One view.
pub(crate) struct Port {
    renderer: Renderer,
    camera: Camera,
    grid: Option<ViewGrid>,
    hover: Option<[f64; 2]>,
    gathered: Option<(Gathered, Vec<u16>)>,
    outlined: Option<Outlined>,
    image: Option<(Made, Bitmap)>,
    overlay: Option<(Made, Bitmap, Vec<Outline>)>,
}

/// What a bitmap was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Made {
    plane: Plane,
    changes: u64,
}

/// Which voxels were gathered. They are kept, because a window that is dragged wants them anew for each of its steps,
/// and to gather a plane across the volume's rows takes longer than all else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Gathered {
    plane: Plane,
    channel: usize,
    arrivals: u64,
}

/// Labels of a plane with the lines around them. They are kept, because what is shown above labels comes and goes
/// while these stay as they are.
struct Outlined {
    grid: ViewGrid,
    labels: Vec<Label>,
    colours: BTreeMap<Label, [u8; 3]>,
    outlines: Vec<Outline>,
}

impl Port {
    /// The lines around each label of a plane, as it lies on a grid.
    fn outline(&mut self, grid: &ViewGrid, labels: &[Label], colours: &BTreeMap<Label, [u8; 3]>) -> Vec<Outline> {
        let is_known = |known: &Outlined| known.grid == *grid && known.labels == labels && known.colours == *colours;
        let known = self.outlined.take().filter(is_known).unwrap_or_else(|| Outlined {
            grid: *grid,
            labels: labels.to_vec(),
            colours: colours.clone(),
            outlines: label_outlines(grid, labels, colours),
        });
        self.outlined.insert(known).outlines.clone()
    }

    /// The voxels of a plane as far as they are here, u fastest.
    fn gather(&mut self, bench: &Bench, wanted: Gathered) -> Option<&[u16]> {
        if self.gathered.as_ref().is_none_or(|(known, _)| *known != wanted) {
            self.gathered = bench.image_plane(wanted.plane).map(|voxels| (wanted, voxels));
        }
        self.gathered.as_ref().map(|(_, voxels)| &voxels[..])
    }

    /// How planes are laid out; none before a case is open.
    pub(super) fn grid(&self) -> Option<&ViewGrid> {
        self.grid.as_ref()
    }

    /// Size on the page in CSS pixels.
    pub(super) fn size_px(&self) -> [f64; 2] {
        self.renderer.size_px()
    }

    /// The camera.
    pub(super) fn camera(&self) -> &Camera {
        &self.camera
    }
}

impl Stage {
    /// The view of an axis, if it is on the page.
    pub(super) fn port(&self, axis: Axis) -> Option<&Port> {
        self.ports.get(&axis)
    }

    /// Lays views out for a case's grid.
    pub(super) fn show_case(&mut self, geometry: &Geometry, convention: Convention) {
        for (axis, port) in &mut self.ports {
            port.grid = Some(ViewGrid::new(geometry, *axis).seen_as(convention));
            // Not a voxel of another case.
            port.gathered = None;
        }
        self.image_changed();
        self.labels_changed();
    }

    /// Forgets the case, keeps the canvases.
    pub(super) fn forget_case(&mut self) {
        for port in self.ports.values_mut() {
            (port.camera, port.grid, port.hover, port.gathered) = Default::default();
            (port.outlined, port.image, port.overlay) = Default::default();
        }
        self.thumbnails.forget_case();
    }

    pub(super) fn set_hover(&mut self, axis: Axis, at: Option<[f64; 2]>) {
        self.ports.get_mut(&axis).into_iter().for_each(|port| port.hover = at);
    }

    pub(super) fn move_camera(&mut self, axis: Axis, moved: impl FnOnce(Camera, &ViewGrid, [f64; 2]) -> Camera) {
        if let Some(port) = self.ports.get_mut(&axis)
            && let Some(grid) = &port.grid
        {
            port.camera = moved(port.camera, grid, port.renderer.size_px());
        }
    }

    /// The pictures of the slice list.
    pub(super) fn thumbnails(&mut self) -> &mut Thumbnails {
        &mut self.thumbnails
    }

    /// Counts the changes of grey values and of the window.
    pub(super) fn image_changes(&self) -> u64 {
        self.image_changes
    }

    /// Grey values or the window are different.
    pub(super) fn image_changed(&mut self) {
        self.image_changes += 1;
        self.greys.clear();
    }

    /// More of the image is here.
    pub(super) fn image_arrived(&mut self) {
        self.arrivals += 1;
    }

    /// Labels, uncertainty or how they are shown are different.
    pub(super) fn labels_changed(&mut self) {
        self.label_changes += 1;
    }
}

impl Session {
    pub(super) fn attach_view(self, axis: Axis, canvas: HtmlCanvasElement) {
        match Renderer::new(canvas) {
            Ok(renderer) => {
                let convention = self.viewing.convention.now();
                let grid = self.read(|bench| ViewGrid::new(bench.geometry(), axis).seen_as(convention));
                let port = Port {
                    renderer,
                    camera: Camera::default(),
                    grid,
                    hover: None,
                    gathered: None,
                    outlined: None,
                    image: None,
                    overlay: None,
                };
                self.stage.update_value(|stage| drop(stage.ports.insert(axis, port)));
                self.draw(axis);
            }
            Err(_) => self.messages.trouble.set(Some(
                "This browser cannot draw on a canvas; use a current Firefox, Chrome, Edge or Safari.".into(),
            )),
        }
    }

    /// Draws a view at the next screen refresh.
    pub(super) fn draw(self, axis: Axis) {
        self.stage.update_value(|stage| {
            if !stage.dirty.contains(&axis) {
                stage.dirty.push(axis);
            }
        });
        self.draw_soon();
    }

    /// Draws what waits at the next screen refresh.
    pub(super) fn draw_soon(self) {
        if self.stage.try_update_value(|stage| !std::mem::replace(&mut stage.scheduled, true)) == Some(true) {
            request_animation_frame(move || self.draw_dirty());
        }
    }

    /// Draws all views at the next screen refresh.
    pub(super) fn draw_all(self) {
        Axis::ALL.into_iter().for_each(|axis| self.draw(axis));
    }

    /// Labels have changed: draws all views anew.
    pub(super) fn repaint(self) {
        self.stage.update_value(Stage::labels_changed);
        self.draw_all();
        self.surface_soon();
    }

    /// Labels of the plane in one view have changed; the others follow when the stroke ends.
    pub(super) fn repaint_view(self, axis: Axis) {
        self.stage.update_value(Stage::labels_changed);
        self.draw(axis);
    }

    fn draw_dirty(self) {
        let dirty = self.stage.try_update_value(|stage| {
            stage.scheduled = false;
            std::mem::take(&mut stage.dirty)
        });
        let mut dirty = dirty.unwrap_or_default();
        let large = self.viewing.large.now();
        dirty.sort_by_key(|axis| *axis != large);
        let begun_ms = js_sys::Date::now();
        let mut drawn = 0;
        while drawn < dirty.len() && (drawn == 0 || js_sys::Date::now() - begun_ms < BUDGET_MS) {
            self.draw_now(dirty[drawn]);
            drawn += 1;
        }
        // Where that takes long the other views come with the next refreshes, and the hand is not held up.
        dirty[drawn..].iter().for_each(|axis| self.draw(*axis));
        // The hand is at work on the views: the small pictures wait for a screen refresh without it.
        if dirty.is_empty() {
            self.draw_thumbnails();
        } else {
            self.draw_soon();
        }
        self.draw_surface();
    }

    fn draw_now(self, axis: Axis) {
        let Some(plane) = self.plane_of(axis) else { return };
        let look = Look {
            overlay: self.viewing.overlay.now(),
            blend: self.viewing.blend.now(),
            shown: self.viewing.shown.now(),
            window: self.viewing.window.now(),
            is_target: self.ground(axis) == Ground::Slice,
            tool: self.painting.tool.now(),
            hand: self.hand(),
            crosshair: self.viewing.crosshair.now(),
        };
        self.bench.with_value(|bench| {
            let Some(bench) = bench else { return };
            self.stage.update_value(|stage| stage.draw(bench, plane, &look));
        });
    }
}

/// All that a view's picture depends on beside the case.
struct Look {
    overlay: Overlay,
    blend: Option<Blend>,
    shown: Shown,
    window: shared::intensity::Window,
    is_target: bool,
    tool: Tool,
    hand: Hand,
    crosshair: [usize; 3],
}

impl Stage {
    pub(super) fn greys_for(&mut self, scale: Option<[f32; 2]>, window: shared::intensity::Window) -> Vec<u8> {
        if self.greys.is_empty()
            && let Some([minimum, step]) = scale
        {
            self.greys = (0..=u16::MAX).map(|voxel| window.grey(minimum + step * f32::from(voxel))).collect();
        }
        self.greys.clone()
    }

    fn draw(&mut self, bench: &Bench, plane: Plane, look: &Look) {
        self.refresh_image(bench, plane, look);
        self.refresh_overlay(bench, plane, look);
        let Some(port) = self.ports.get_mut(&plane.axis) else { return };
        let Some(grid) = port.grid else { return };
        let size_px = port.renderer.size_px();
        let placement = Placement::new(&grid, size_px, &port.camera);
        let (overlay, mut outlines) = port.overlay.as_ref().map(|(_, bitmap, lines)| (bitmap, lines.clone())).unzip();
        let hover = port.hover.filter(|_| look.is_target && look.tool.paints());
        outlines.get_or_insert_default().extend(hover.and_then(|at| {
            let position = grid.plane_from_grid(placement.cell_from_canvas(at));
            preview(bench, plane, &grid, position, look)
        }));
        let frame = Frame {
            size_px,
            placement,
            image: port.image.as_ref().map(|(_, bitmap)| bitmap),
            smooth: look.overlay.smooth,
            overlay,
            outlines: outlines.unwrap_or_default(),
            scale_bar: ScaleBar::new(placement.voxel_px[0] / grid.spacing_mm[0], (size_px[0] / 4.0).min(140.0)),
            crosshair: look.overlay.crosshair.then(|| crosshair_on(&grid, look.crosshair)),
        };
        if port.renderer.draw(&frame).is_ok() {
            state_what_is_drawn(
                port.renderer.canvas(),
                &Drawn { bench, plane, grid: &grid, placement: &placement, look },
            );
        }
    }

    fn refresh_image(&mut self, bench: &Bench, plane: Plane, look: &Look) {
        let made = Made { plane, changes: self.image_changes + self.arrivals };
        let wanted = Gathered { plane, channel: bench.channel, arrivals: self.arrivals };
        let greys = self.greys_for(bench.grey_scale(), look.window);
        let version = self.bitmaps + 1;
        let Some(port) = self.ports.get_mut(&plane.axis) else { return };
        let Some(grid) = port.grid else { return };
        if port.image.as_ref().is_some_and(|(known, _)| *known == made) {
            return;
        }
        port.image = port.gather(bench, wanted).map(|voxels| {
            let mut rgba = image_rgba(&grid, voxels, &greys);
            if let Some(blend) = look.blend.filter(|blend| blend.channel != bench.channel)
                && let Some(info) = bench.detail.images.get(blend.channel)
                && let Some(voxels) = bench.channel_plane(blend.channel, plane)
            {
                let window = bench.windows.get(&blend.channel).copied().unwrap_or(info.window);
                let grey = |voxel: u16| window.grey(info.minimum + info.step * f32::from(voxel));
                blend_in(&mut rgba, &grid, &voxels, grey, blend.share);
            }
            (made, Bitmap { dims: grid.dims, rgba, version })
        });
        self.bitmaps = version;
    }

    fn refresh_overlay(&mut self, bench: &Bench, plane: Plane, look: &Look) {
        let made = Made { plane, changes: self.label_changes };
        let version = self.bitmaps + 1;
        let Some(port) = self.ports.get_mut(&plane.axis) else { return };
        let Some(grid) = port.grid else { return };
        let grid = &grid;
        if port.overlay.as_ref().is_some_and(|(known, _, _)| *known == made) {
            return;
        }
        let labels = look.overlay.segmentation.then(|| shown_labels(bench, plane, &look.shown)).flatten();
        let uncertainty = look.overlay.uncertainty.then(|| bench.uncertainty_plane(plane)).flatten();
        let colours = bench.label_colours();
        let mut outlines = labels.as_ref().map_or_else(Vec::new, |labels| port.outline(grid, labels, &colours));
        outlines.extend(contradiction_outline(bench, grid, plane, &look.shown));
        outlines.extend(offer_outlines(bench, grid, plane));
        if look.overlay.changes {
            outlines.extend(change_outlines(bench, grid, plane, &look.shown).into_iter().flatten());
        }
        let tint = Tint {
            labels: colours,
            patterns: bench.patterns.clone(),
            label_opacity: if look.overlay.filled { look.overlay.opacity } else { 0.0 },
            uncertainty_opacity: look.overlay.uncertainty_opacity,
            least_uncertainty: (look.overlay.least_uncertainty * 255.0).round() as u8,
        };
        let rgba = overlay_rgba(grid, labels.as_deref(), uncertainty.as_deref(), &tint);
        port.overlay = Some((made, Bitmap { dims: grid.dims, rgba, version }, outlines));
        self.bitmaps = version;
    }
}

fn label_outlines(grid: &ViewGrid, labels: &[u8], colours: &BTreeMap<u8, [u8; 3]>) -> Vec<Outline> {
    let edges = boundaries(grid, |offset| labels.get(offset).copied().unwrap_or(BACKGROUND));
    let outline = |(label, segments): (u8, Vec<Segment>)| {
        Some(Outline { rgb: *colours.get(&label)?, width_px: 1.5, dashed: false, segments })
    };
    edges.into_iter().filter_map(outline).collect()
}

/// Around the voxels that a plane across calls by another label.
fn contradiction_outline(bench: &Bench, grid: &ViewGrid, plane: Plane, shown: &Shown) -> Option<Outline> {
    let here = bench.contradictions.iter().filter(|found| *shown == Shown::default() && found.planes.contains(&plane));
    let offsets: BTreeSet<usize> =
        here.map(|found| offset_in_plane(bench.geometry(), plane.axis, found.voxel)).collect();
    if offsets.is_empty() {
        return None;
    }
    let segments = boundaries(grid, |offset| u8::from(offsets.contains(&offset))).remove(&1)?;
    Some(Outline { rgb: CONTRADICTION_RGB, width_px: 2.0, dashed: false, segments })
}

/// Around the voxels in which the shown version differs from the one before it.
fn change_outlines(bench: &Bench, grid: &ViewGrid, plane: Plane, shown: &Shown) -> Option<Vec<Outline>> {
    let after = shown_version(&bench.detail.versions, &Shown { comparing: false, ..shown.clone() })?;
    let before = shown_version(&bench.detail.versions, &Shown { comparing: true, ..shown.clone() })?;
    Some(difference_outlines(grid, &bench.version_labels(before, plane)?, &bench.version_labels(after, plane)?))
}

/// Around the voxels that an offered edit would change.
fn offer_outlines(bench: &Bench, grid: &ViewGrid, plane: Plane) -> Vec<Outline> {
    let offer = bench.offer.as_ref().filter(|offer| offer.plane == plane);
    let both = offer.and_then(|offer| Some((bench.current_labels(plane)?, &offer.labels)));
    both.map_or_else(Vec::new, |(before, after)| difference_outlines(grid, &before, after))
}

/// Around voxels that are added, removed and called by another label.
fn difference_outlines(grid: &ViewGrid, before: &[Label], after: &[Label]) -> Vec<Outline> {
    let class = |offset: usize| match (before.get(offset), after.get(offset)) {
        (before, after) if before == after => BACKGROUND,
        (Some(&BACKGROUND), _) => 1,
        (_, Some(&BACKGROUND)) => 2,
        _ => 3,
    };
    let outline = |(class, segments): (Label, Vec<Segment>)| {
        let rgb = [ADDED_RGB, REMOVED_RGB, RELABELLED_RGB][usize::from(class - 1).min(2)];
        Outline { rgb, width_px: 1.5, dashed: true, segments }
    };
    boundaries(grid, class).into_iter().map(outline).collect()
}

/// The voxels that the tool would paint at a position, in the colour of what it would leave there.
fn preview(bench: &Bench, plane: Plane, grid: &ViewGrid, at: Position, look: &Look) -> Option<Outline> {
    let plane_grid = grid.plane_grid();
    let labels = bench.current_labels(plane)?;
    let image = look.hand.limit.and_then(|_| bench.intensities(plane));
    let work = Work { grid: &plane_grid, labels: &labels, image: image.as_deref(), hand: &look.hand };
    let way = bench.stroke.as_ref().map_or(&[][..], |stroke| &stroke.way);
    let spans = work.allowed(look.tool.preview(&work, way, at));
    let mut covered = vec![false; plane_grid.dims[0] * plane_grid.dims[1]];
    for span in spans {
        covered[span.v * plane_grid.dims[0] + span.from..span.v * plane_grid.dims[0] + span.to].fill(true);
    }
    let segments = boundaries(grid, |offset| u8::from(covered[offset])).remove(&1)?;
    let label = bench.detail.labels.find(look.tool.leaves(&look.hand));
    Some(Outline { rgb: label.map_or(ERASER_RGB, LabelInfo::rgb), width_px: 1.5, dashed: false, segments })
}

/// The middle of the crosshair's voxel, in grid space.
fn crosshair_on(grid: &ViewGrid, voxel: [usize; 3]) -> [f64; 2] {
    [0, 1].map(|axis| {
        let at = voxel[grid.stored[axis]] as f64 + 0.5;
        if grid.flip[axis] { grid.dims[axis] as f64 - at } else { at }
    })
}

/// What a canvas shows, for [`state_what_is_drawn`].
struct Drawn<'a> {
    bench: &'a Bench,
    plane: Plane,
    grid: &'a ViewGrid,
    placement: &'a Placement,
    look: &'a Look,
}

/// Writes on the canvas element what its pixels show, so that tests need not guess from pixels (see
/// `frontend/README.md`).
fn state_what_is_drawn(canvas: &HtmlCanvasElement, drawn: &Drawn) {
    let Drawn { bench, plane, grid, placement, look } = drawn;
    let pair = |values: [f64; 2]| format!("{:.4},{:.4}", values[0], values[1]);
    let correction = bench.corrections.get(plane);
    let version = shown_version(&bench.detail.versions, &look.shown);
    let sharpness = bench.sharpness(*plane);
    let attributes = [
        ("data-axis", plane.axis.to_string()),
        ("data-index", plane.index.to_string()),
        ("data-revision", correction.map_or(0, |correction| correction.edits).to_string()),
        ("data-target", look.is_target.to_string()),
        ("data-version", version.cloned().unwrap_or_default()),
        (
            "data-ready",
            (sharpness == Sharpness::Sharp && version.is_none_or(|version| bench.segmentations.contains_key(version)))
                .to_string(),
        ),
        ("data-sharpness", sharpness.word().to_owned()),
        ("data-origin", pair(placement.origin_px)),
        ("data-scale", pair(placement.voxel_px)),
        ("data-dims", format!("{},{}", grid.dims[0], grid.dims[1])),
        ("data-stored", format!("{},{}", grid.stored[0], grid.stored[1])),
        ("data-flip", format!("{},{}", grid.flip[0], grid.flip[1])),
    ];
    for (name, value) in attributes {
        // An attribute that cannot be written costs a test its footing, not the expert anything.
        let _ = canvas.set_attribute(name, &value);
    }
}

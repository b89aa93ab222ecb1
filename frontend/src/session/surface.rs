//! The 3D surface of what the views show: built anew when the hand rests, a label at a time so that the page stays
//! awake, and drawn as it is turned. Without a graphics card, as in reading rooms on remote desktops.

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::correction::SliceState;
use shared::geometry::Plane;
use web_sys::HtmlCanvasElement;

use super::Session;
use super::bench::Bench;
use super::viewing::{Layout, Shown, shown_labels, shown_version};
use super::visit::Visit;
use crate::viewer::frame::Bitmap;
use crate::viewer::renderer::SurfaceRenderer;
use crate::viewer::surface::{Blocks, Detail, Surface};
use crate::viewer::turntable::{Picture, Scene, Turn, compass, placed};

/// How long the hand has to rest before surfaces are built anew.
const REST_MS: u32 = 250;
/// How long the page may be kept from the hand while surfaces are built.
const AWAKE_MS: f64 = 8.0;
/// Share of the pixels along each side while it is being turned.
const TURNING_DETAIL: f64 = 0.6;
/// Triangles that are turned as they are.
const MANY_TRIANGLES: usize = 60_000;
/// Pixels along the longer side: more would cost time and show nothing.
const MOST_PX: f64 = 1100.0;
/// Degrees that a key turns by, as pixels of a drag.
pub(super) const STEP_PX: f64 = 30.0;

/// The surfaces, and the canvas that they are seen on.
#[derive(Default)]
pub(super) struct Model {
    renderer: Option<SurfaceRenderer>,
    turn: Turn,
    is_held: bool,
    surfaces: Vec<Surface>,
    /// The same for a hand that turns them, if they are many.
    turning: Vec<Surface>,
    middle_mm: [f64; 3],
    radius_mm: f64,
    made: Option<Made>,
    picture: Option<(Seen, Picture, Bitmap)>,
    drawn: u64,
    drawn_ms: f64,
    asked: u64,
    scheduled: bool,
}

/// What surfaces were made of.
#[derive(Clone, Debug, PartialEq)]
struct Made {
    visit: Visit,
    version: String,
    shown: Shown,
    corrections: Vec<(Plane, u64, SliceState)>,
    decided: u64,
}

/// What a picture was made of.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    made: Made,
    turn: Turn,
    dims: [usize; 2],
    detail: Detail,
    looks: u64,
}

impl Made {
    /// What is on the screen now; nothing before its segmentation is here.
    fn now(bench: &Bench, shown: &Shown) -> Option<Self> {
        let version = shown_version(&bench.detail.versions, shown)?;
        let correction =
            |(plane, correction): (&Plane, &super::bench::Correction)| (*plane, correction.edits, correction.state);
        bench.segmentations.contains_key(version).then(|| Self {
            visit: bench.visit.clone(),
            version: version.clone(),
            shown: shown.clone(),
            corrections: bench.corrections.iter().map(correction).collect(),
            decided: bench.decided_revision(),
        })
    }
}

impl Session {
    /// Shows a layout, or three views if it is shown.
    pub(super) fn toggle_layout(self, layout: Layout) {
        self.viewing.layout.update(|now| *now = if *now == layout { Layout::Three } else { layout });
        self.surface_soon();
    }

    pub(super) fn attach_surface(self, canvas: HtmlCanvasElement) {
        // A browser without 2D canvases has been told of where the planes are shown.
        self.model.update_value(|model| model.renderer = SurfaceRenderer::new(canvas).ok());
        self.draw_surface();
        self.surface_soon();
    }

    /// Forgets the case, keeps the canvas and the side it is seen from.
    pub(super) fn forget_surfaces(self) {
        self.model.update_value(|model| {
            (model.surfaces, model.turning, model.made, model.picture) = Default::default();
            model.asked += 1;
        });
    }

    /// What is seen may have changed: builds surfaces anew once the hand rests.
    pub(super) fn surface_soon(self) {
        if !self.viewing.layout.now().has_surface() {
            return;
        }
        let asked = self.model.try_update_value(|model| {
            model.asked += 1;
            model.asked
        });
        spawn_local(async move {
            TimeoutFuture::new(REST_MS).await;
            if self.is_newest_wish(asked) {
                self.build_surfaces(asked).await;
            }
        });
    }

    fn is_newest_wish(self, asked: Option<u64>) -> bool {
        self.model.try_with_value(|model| model.asked) == asked
    }

    async fn build_surfaces(self, asked: Option<u64>) {
        let shown = self.viewing.shown.now();
        let made = self.read(|bench| Made::now(bench, &shown)).flatten();
        let is_known = self.model.try_with_value(|model| model.made == made).unwrap_or(true);
        let (Some(made), false) = (made, is_known) else { return self.draw_surface() };
        let Some(blocks) = self.blocks_of(asked, &shown).await else { return };
        let Some(surfaces) = self.surfaces_of(asked, &blocks, Detail::Full).await else { return };
        let triangles: usize = surfaces.iter().map(|surface| surface.triangles.len()).sum();
        self.model.update_value(|model| model.take(made, surfaces));
        self.draw_surface();
        if triangles > MANY_TRIANGLES
            && let Some(turning) = self.surfaces_of(asked, &blocks, Detail::Turning).await
        {
            self.model.update_value(|model| model.turning = turning);
        }
    }

    /// What the views show, as a whole: some planes at a time; nothing if something else is wished for meanwhile.
    async fn blocks_of(self, asked: Option<u64>, shown: &Shown) -> Option<Blocks> {
        let dims = self.read(|bench| bench.geometry().dims)?;
        let mut blocks = Blocks::new(dims);
        let mut begun_ms = js_sys::Date::now();
        for index in 0..dims[2] {
            if js_sys::Date::now() - begun_ms > AWAKE_MS {
                TimeoutFuture::new(0).await;
                if !self.is_newest_wish(asked) {
                    return None;
                }
                begun_ms = js_sys::Date::now();
            }
            let labels = self.read(|bench| {
                let axis = bench.geometry().axis_of_stored(2);
                shown_labels(bench, Plane { axis, index }, shown)
            });
            blocks.add(index, dims[0], &labels.flatten()?);
        }
        Some(blocks)
    }

    /// A label at a time; nothing if something else is wished for meanwhile.
    async fn surfaces_of(self, asked: Option<u64>, blocks: &Blocks, detail: Detail) -> Option<Vec<Surface>> {
        let mut surfaces = Vec::new();
        for found in blocks.found() {
            TimeoutFuture::new(0).await;
            if !self.is_newest_wish(asked) {
                return None;
            }
            surfaces.extend(self.read(|bench| Surface::new(blocks, bench.geometry(), found, detail)));
        }
        Some(surfaces)
    }

    pub(super) fn turn_surface(self, by_px: [f64; 2], is_held: bool) {
        self.model.update_value(|model| (model.turn, model.is_held) = (model.turn.dragged(by_px), is_held));
        self.draw_surface();
    }

    pub(super) fn zoom_surface(self, factor: f64) {
        self.model.update_value(|model| model.turn = model.turn.zoomed(factor));
        self.draw_surface();
    }

    /// The hand has let go of it: in all detail again.
    pub(super) fn rest_surface(self) {
        self.model.update_value(|model| model.is_held = false);
        self.draw_surface();
    }

    /// The views go to the voxel under a position on the canvas.
    pub(super) fn point_at_surface(self, at: [f64; 2]) {
        let voxel = self.model.try_with_value(|model| model.voxel_at(at)).flatten();
        voxel.into_iter().for_each(|voxel| self.look_at(voxel));
    }

    /// Draws the surfaces at the next screen refresh, if they are on the page.
    pub(super) fn draw_surface(self) {
        if !self.viewing.layout.now().has_surface() {
            return;
        }
        if self.model.try_update_value(|model| !std::mem::replace(&mut model.scheduled, true)) == Some(true) {
            request_animation_frame(move || self.draw_surface_now());
        }
    }

    fn draw_surface_now(self) {
        let crosshair = self.viewing.overlay.now().crosshair.then(|| self.viewing.crosshair.now());
        self.bench.with_value(|bench| {
            self.model.update_value(|model| {
                model.scheduled = false;
                if let Some(bench) = bench {
                    model.draw(bench, crosshair);
                }
            });
        });
    }
}

fn in_detail<'a>(detail: Detail, full: &'a [Surface], turning: &'a [Surface]) -> &'a [Surface] {
    match detail {
        Detail::Full => full,
        Detail::Turning => turning,
    }
}

impl Model {
    fn take(&mut self, made: Made, surfaces: Vec<Surface>) {
        let is_other = |known: &Made| known.visit != made.visit || known.version != made.version;
        // While it is painted on it stays where it is.
        if self.surfaces.is_empty() || self.made.as_ref().is_none_or(is_other) {
            let all = || surfaces.iter().flat_map(|surface| &surface.corners);
            let end = |pick: fn(f32, f32) -> f32, from: f32| {
                [0, 1, 2].map(|axis| f64::from(all().map(|corner| corner[axis]).fold(from, pick)))
            };
            let (low, high) = (end(f32::min, f32::INFINITY), end(f32::max, f32::NEG_INFINITY));
            self.middle_mm = [0, 1, 2].map(|axis| (low[axis] + high[axis]) / 2.0);
            self.radius_mm = (0..3).map(|axis| (high[axis] - low[axis]).powi(2)).sum::<f64>().sqrt() / 2.0;
        }
        (self.made, self.surfaces, self.turning) = (Some(made), surfaces, Vec::new());
    }

    fn voxel_at(&self, at: [f64; 2]) -> Option<[usize; 3]> {
        let size_px = self.renderer.as_ref()?.size_px();
        let (seen, picture, _) = self.picture.as_ref()?;
        let pixel =
            [0, 1].map(|axis| (at[axis] / size_px[axis].max(1.0) * picture.dims[axis] as f64).max(0.0) as usize);
        let [surface, corner] = picture.hit(pixel)?;
        Some(in_detail(seen.detail, &self.surfaces, &self.turning).get(surface)?.voxels.get(corner)?.map(usize::from))
    }

    fn draw(&mut self, bench: &Bench, crosshair: Option<[usize; 3]>) {
        let Some(renderer) = &mut self.renderer else { return };
        let size_px = renderer.size_px();
        let longer = size_px[0].max(size_px[1]).max(1.0);
        let detail = (renderer.pixel_ratio() * if self.is_held { TURNING_DETAIL } else { 1.0 }).min(MOST_PX / longer);
        let dims = size_px.map(|px| (px * detail).round().max(1.0) as usize);
        let colours = bench.label_colours();
        let fineness = if self.is_held && !self.turning.is_empty() { Detail::Turning } else { Detail::Full };
        let surfaces = in_detail(fineness, &self.surfaces, &self.turning);
        let scene = Scene {
            surfaces: surfaces.iter().filter_map(|surface| Some((surface, *colours.get(&surface.label)?))).collect(),
            middle_mm: self.middle_mm,
            radius_mm: self.radius_mm,
        };
        if let Some(made) = &self.made {
            let seen = Seen { made: made.clone(), turn: self.turn, dims, detail: fineness, looks: bench.looks };
            if self.picture.as_ref().is_none_or(|(known, ..)| *known != seen) {
                let begun_ms = js_sys::Date::now();
                self.drawn += 1;
                let picture = Picture::new(&scene, self.turn, dims);
                let rgba = picture.rgba();
                self.picture = Some((seen, picture, Bitmap { dims, rgba, version: self.drawn }));
                self.drawn_ms = js_sys::Date::now() - begun_ms;
            }
        }
        let marker = crosshair.filter(|_| !scene.surfaces.is_empty()).map(|voxel| {
            let at_mm = bench.geometry().world_from_voxel(voxel.map(|at| at as f64));
            let [x, y, _] = placed(&scene, self.turn, dims, at_mm);
            [x / detail, y / detail]
        });
        let bitmap = self.picture.as_ref().map(|(.., bitmap)| bitmap);
        if renderer.draw(bitmap, &compass(self.turn), marker).is_ok() {
            self.state_what_is_drawn();
        }
    }

    /// As for the planes, see `frontend/README.md`.
    fn state_what_is_drawn(&self) {
        let Some(renderer) = &self.renderer else { return };
        let labels: Vec<String> = self.surfaces.iter().map(|surface| surface.label.to_string()).collect();
        let attributes = [
            ("data-ready", self.made.is_some().to_string()),
            ("data-labels", labels.join(",")),
            ("data-triangles", self.surfaces.iter().map(|surface| surface.triangles.len()).sum::<usize>().to_string()),
            ("data-turn", format!("{:.0},{:.0}", self.turn.azimuth, self.turn.elevation)),
            ("data-drawn", self.drawn.to_string()),
            ("data-drawn-ms", format!("{:.0}", self.drawn_ms)),
        ];
        for (name, value) in attributes {
            // An attribute that cannot be written costs a test its footing, not the expert anything.
            let _ = renderer.canvas().set_attribute(name, &value);
        }
    }
}

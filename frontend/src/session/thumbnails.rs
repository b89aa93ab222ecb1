//! The small pictures of the slice list, drawn by the renderer that draws the views: only those that have changed, a
//! few at a time, so that a stroke on one of a hundred and fifty slices costs the hand nothing.

use std::collections::BTreeMap;

use leptos::prelude::*;
use shared::correction::SliceState;
use shared::geometry::Plane;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement};

use super::Session;
use super::bench::{Bench, Sharpness};
use crate::viewer::camera::{Placement, ViewGrid};
use crate::viewer::frame::{Bitmap, Frame, Tint, image_rgba, overlay_rgba, thinned};
use crate::viewer::renderer::Renderer;

/// Side of a picture in device pixels; twice what it takes on the page.
const SIDE_PX: f64 = 88.0;
/// Voxels along the longer side of a picture, at least, where the plane has so many: what the browser makes fewer of.
const SIDE_VOXELS: usize = 132;
/// Time that pictures may take of one screen refresh.
const BUDGET_MS: f64 = 6.0;
/// Opacity of labels in them.
const LABEL_OPACITY: f64 = 0.55;

/// All pictures on the page.
#[derive(Default)]
pub(super) struct Thumbnails {
    /// Draws all of them, on a canvas that is not on the page: a renderer each would keep a bitmap each.
    renderer: Option<Renderer>,
    pictures: BTreeMap<Plane, Picture>,
    drawn: u64,
}

struct Picture {
    canvas: HtmlCanvasElement,
    made: Option<Made>,
}

/// What a picture was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Made {
    image_changes: u64,
    version: Option<String>,
    sharpness: Sharpness,
    has_labels: bool,
    edits: u64,
    decided: u64,
    looks: u64,
    state: SliceState,
}

impl Session {
    pub(super) fn attach_thumbnail(self, plane: Plane, canvas: HtmlCanvasElement) {
        self.stage
            .update_value(|stage| drop(stage.thumbnails().pictures.insert(plane, Picture { canvas, made: None })));
        self.draw_soon();
    }

    /// Draws pictures that are not what they show any more, as far as a screen refresh allows; the rest at the next.
    pub(super) fn draw_thumbnails(self) {
        let window = self.viewing.window.now();
        let more = self.bench.with_value(|bench| {
            let Some(bench) = bench else { return false };
            self.stage
                .try_update_value(|stage| {
                    let greys = stage.greys_for(bench.grey_scale(), window);
                    let image_changes = stage.image_changes();
                    stage.thumbnails().draw_stale(bench, &greys, image_changes)
                })
                .unwrap_or(false)
        });
        if more {
            self.draw_soon();
        }
    }
}

impl Thumbnails {
    /// Whether some are left to be drawn.
    fn draw_stale(&mut self, bench: &Bench, greys: &[u8], image_changes: u64) -> bool {
        let begun_ms = js_sys::Date::now();
        // Those of slices that have left the list are not on the page any more.
        self.pictures.retain(|_, picture| picture.canvas.is_connected());
        let planes: Vec<Plane> = self.pictures.keys().copied().collect();
        for plane in planes {
            let made = made_of(bench, plane, image_changes);
            let Some(picture) = self.pictures.get_mut(&plane).filter(|picture| picture.made.as_ref() != Some(&made))
            else {
                continue;
            };
            if js_sys::Date::now() - begun_ms > BUDGET_MS {
                return true;
            }
            picture.made = Some(made);
            let canvas = picture.canvas.clone();
            self.drawn += 1;
            // A picture that cannot be drawn leaves an empty square beside the slice's name.
            let _ = self.draw(bench, plane, greys, &canvas);
        }
        false
    }

    fn draw(&mut self, bench: &Bench, plane: Plane, greys: &[u8], canvas: &HtmlCanvasElement) -> Option<()> {
        let whole = ViewGrid::new(bench.geometry(), plane.axis);
        let step = (whole.dims.into_iter().max().unwrap_or_default() / SIDE_VOXELS).max(1);
        let (grid, dims) = (whole.thinned(step), whole.plane_grid().dims);
        let image = image_rgba(&grid, &thinned(&bench.image_plane(plane)?, dims, step), greys);
        let tint = Tint {
            labels: bench.label_colours(),
            patterns: bench.patterns.clone(),
            label_opacity: LABEL_OPACITY,
            uncertainty_opacity: 0.0,
            least_uncertainty: 0,
        };
        let labels = bench.current_labels(plane).filter(|_| bench.state(plane) != SliceState::Skipped);
        let labels = labels.map(|labels| thinned(&labels, dims, step));
        let overlay = overlay_rgba(&grid, labels.as_deref(), None, &tint);
        let bitmap = |rgba| Bitmap { dims: grid.dims, rgba, version: self.drawn };
        let (image, overlay) = (bitmap(image), bitmap(overlay));
        let size_px = [SIDE_PX; 2];
        let frame = Frame {
            size_px,
            placement: Placement::whole(&grid, size_px),
            image: Some(&image),
            smooth: true,
            overlay: Some(&overlay),
            outlines: Vec::new(),
            crosshair: None,
            scale_bar: None,
        };
        let renderer = match &mut self.renderer {
            Some(renderer) => renderer,
            none => none.insert(off_page(canvas)?),
        };
        renderer.draw(&frame).ok()?;
        let context: CanvasRenderingContext2d = canvas.get_context("2d").ok()??.dyn_into().ok()?;
        context.clear_rect(0.0, 0.0, SIDE_PX, SIDE_PX);
        context.draw_image_with_html_canvas_element_and_dw_and_dh(renderer.canvas(), 0.0, 0.0, SIDE_PX, SIDE_PX).ok()
    }
}

/// A renderer on a canvas that is not on the page.
fn off_page(beside: &HtmlCanvasElement) -> Option<Renderer> {
    Renderer::new(beside.owner_document()?.create_element("canvas").ok()?.unchecked_into()).ok()
}

fn made_of(bench: &Bench, plane: Plane, image_changes: u64) -> Made {
    let version = bench.latest().cloned();
    let labels = version.as_ref().is_some_and(|version| bench.segmentations.contains_key(version));
    Made {
        image_changes,
        sharpness: bench.sharpness(plane),
        has_labels: labels,
        version,
        edits: bench.corrections.get(&plane).map_or(0, |correction| correction.edits),
        decided: bench.decided_revision(),
        looks: bench.looks,
        state: bench.state(plane),
    }
}

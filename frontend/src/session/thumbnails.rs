//! The small pictures of the slice list, drawn by the renderer that draws the views: only those that have changed, a
//! few at a time, so that a stroke on one of a hundred and fifty slices costs the hand nothing. Each keeps its canvas
//! while its slice is off the list, and need not be drawn again when the slice comes back.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use leptos::prelude::*;
use shared::correction::SliceState;
use shared::geometry::Plane;
use wasm_bindgen::JsCast;
use web_sys::{CanvasRenderingContext2d, Document, HtmlCanvasElement, HtmlElement};

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

/// All pictures of a case.
#[derive(Default)]
pub(super) struct Thumbnails {
    /// Draws all of them, on a canvas that is not on the page: a renderer each would keep a bitmap each.
    renderer: Option<Renderer>,
    pictures: BTreeMap<Plane, Picture>,
    drawn: u64,
}

struct Picture {
    canvas: HtmlCanvasElement,
    /// Nothing, where nothing is drawn yet.
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
    pub(super) fn attach_thumbnail(self, plane: Plane, place: &HtmlElement) {
        self.stage.update_value(|stage| {
            // Without a picture the place stays an empty square beside the slice's name.
            let _ = stage.thumbnails().attach(plane, place);
        });
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
    /// Lays a slice's picture into its place on the page: the one it has had before, if any.
    fn attach(&mut self, plane: Plane, place: &HtmlElement) -> Option<()> {
        let picture = match self.pictures.entry(plane) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(none) => none.insert(Picture { canvas: picture_canvas(place)?, made: None }),
        };
        place.append_child(&picture.canvas).ok().map(drop)
    }

    /// Another case's slices look different.
    pub(super) fn forget_case(&mut self) {
        self.pictures.clear();
    }

    /// Whether some are left to be drawn.
    fn draw_stale(&mut self, bench: &Bench, greys: &[u8], image_changes: u64) -> bool {
        let begun_ms = js_sys::Date::now();
        let is_seen = |(plane, picture): (&Plane, &Picture)| picture.canvas.is_connected().then_some(*plane);
        let planes: Vec<Plane> = self.pictures.iter().filter_map(is_seen).collect();
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

/// A picture's own canvas, empty.
fn picture_canvas(place: &HtmlElement) -> Option<HtmlCanvasElement> {
    let canvas = new_canvas(&place.owner_document()?)?;
    canvas.set_width(SIDE_PX as u32);
    canvas.set_height(SIDE_PX as u32);
    Some(canvas)
}

/// A renderer on a canvas that is not on the page.
fn off_page(beside: &HtmlCanvasElement) -> Option<Renderer> {
    Renderer::new(new_canvas(&beside.owner_document()?)?).ok()
}

fn new_canvas(document: &Document) -> Option<HtmlCanvasElement> {
    document.create_element("canvas").ok().map(JsCast::unchecked_into)
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

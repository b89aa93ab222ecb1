//! Draws a [`Frame`] on a canvas with the 2D API: reading rooms on virtual desktops often have no GPU. Bitmaps live in
//! canvases of one pixel per voxel and are uploaded only when their version changes; the browser scales them.

use wasm_bindgen::{Clamped, JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

use super::frame::{Bitmap, Frame, Outline, ScaleBar};
use super::turntable::Compass;

/// A canvas and the bitmaps it has seen.
pub(crate) struct Renderer {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    image: Layer,
    overlay: Layer,
}

/// A bitmap as the browser holds it.
struct Layer {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    version: Option<u64>,
}

impl Renderer {
    /// A renderer for a canvas on the page.
    ///
    /// # Errors
    /// What the browser says if it has no 2D canvas.
    pub(crate) fn new(canvas: HtmlCanvasElement) -> Result<Self, JsValue> {
        let document = canvas.owner_document().ok_or("the canvas is not on a page")?;
        let layer = || Layer::new(document.create_element("canvas")?.unchecked_into());
        Ok(Self { context: context_of(&canvas)?, image: layer()?, overlay: layer()?, canvas })
    }

    /// The canvas, for its size and attributes.
    pub(crate) fn canvas(&self) -> &HtmlCanvasElement {
        &self.canvas
    }

    /// Size of the canvas on the page, in CSS pixels.
    pub(crate) fn size_px(&self) -> [f64; 2] {
        [f64::from(self.canvas.client_width()), f64::from(self.canvas.client_height())]
    }

    /// Draws everything.
    ///
    /// # Errors
    /// What the browser says.
    pub(crate) fn draw(&mut self, frame: &Frame) -> Result<(), JsValue> {
        fit(&self.canvas, &self.context, frame.size_px)?;
        if let Some(bitmap) = frame.image {
            self.image.update(bitmap)?;
            self.context.set_image_smoothing_enabled(frame.smooth);
            self.image.draw_on(&self.context, frame, bitmap)?;
        }
        if let Some(bitmap) = frame.overlay {
            self.overlay.update(bitmap)?;
            self.context.set_image_smoothing_enabled(false);
            self.overlay.draw_on(&self.context, frame, bitmap)?;
        }
        if let Some(at) = frame.crosshair {
            self.draw_crosshair(frame, at)?;
        }
        frame.outlines.iter().try_for_each(|outline| self.draw_outline(frame, outline))?;
        frame.scale_bar.map_or(Ok(()), |bar| self.draw_scale_bar(frame, bar))
    }

    /// At the bottom left, clear of the letters.
    fn draw_scale_bar(&self, frame: &Frame, bar: ScaleBar) -> Result<(), JsValue> {
        let (x, y) = (12.0, frame.size_px[1] - 12.0);
        let context = &self.context;
        context.begin_path();
        context.move_to(x, y - 4.0);
        context.line_to(x, y);
        context.line_to(x + bar.length_px, y);
        context.line_to(x + bar.length_px, y - 4.0);
        context.set_stroke_style_str("rgba(214,222,232,0.85)");
        context.set_line_width(1.5);
        self.dash(&[])?;
        context.stroke();
        context.set_fill_style_str("rgba(214,222,232,0.85)");
        context.set_font(&format!("{}px system-ui, sans-serif", 11.0 * larger(&self.canvas)));
        context.fill_text(&bar.text(), x + 4.0, y - 6.0)
    }

    fn draw_outline(&self, frame: &Frame, outline: &Outline) -> Result<(), JsValue> {
        let context = &self.context;
        context.begin_path();
        for &[from, to] in &outline.segments {
            let [[x0, y0], [x1, y1]] = [from, to].map(|at| frame.placement.canvas_from_grid(at));
            context.move_to(x0, y0);
            context.line_to(x1, y1);
        }
        let [r, g, b] = outline.rgb;
        context.set_stroke_style_str(&format!("rgb({r},{g},{b})"));
        context.set_line_width(outline.width_px);
        context.set_line_cap("square");
        self.dash(if outline.dashed { &[3.0, 3.0] } else { &[] })?;
        context.stroke();
        Ok(())
    }

    /// Two lines with a gap in the middle, so that the voxel in question stays visible.
    fn draw_crosshair(&self, frame: &Frame, at: [f64; 2]) -> Result<(), JsValue> {
        let [x, y] = frame.placement.canvas_from_grid(at);
        let [width, height] = frame.size_px;
        let gap = 10.0_f64.max(frame.placement.voxel_px[0].max(frame.placement.voxel_px[1]));
        let context = &self.context;
        context.begin_path();
        for [x0, y0, x1, y1] in
            [[0.0, y, x - gap, y], [x + gap, y, width, y], [x, 0.0, x, y - gap], [x, y + gap, x, height]]
        {
            context.move_to(x0, y0);
            context.line_to(x1, y1);
        }
        context.set_stroke_style_str("rgba(120,200,255,0.55)");
        context.set_line_width(1.0);
        self.dash(&[])?;
        context.stroke();
        Ok(())
    }

    fn dash(&self, lengths_px: &[f64]) -> Result<(), JsValue> {
        let lengths: js_sys::Array = lengths_px.iter().map(|length| JsValue::from_f64(*length)).collect();
        self.context.set_line_dash(&lengths)
    }
}

/// How much larger words are drawn: on a screen of 4K at scale 1 as the page's own are (see `style.css`).
fn larger(canvas: &HtmlCanvasElement) -> f64 {
    let window = canvas.owner_document().and_then(|document| document.default_view());
    let is_fine = |window: web_sys::Window| {
        let width = window.inner_width().ok().and_then(|width| width.as_f64()).unwrap_or_default();
        width >= 3000.0 && window.device_pixel_ratio() < 1.25
    };
    if window.is_some_and(is_fine) { 1.5 } else { 1.0 }
}

impl Layer {
    fn new(canvas: HtmlCanvasElement) -> Result<Self, JsValue> {
        Ok(Self { context: context_of(&canvas)?, canvas, version: None })
    }

    fn update(&mut self, bitmap: &Bitmap) -> Result<(), JsValue> {
        if self.version == Some(bitmap.version) {
            return Ok(());
        }
        let [columns, rows] = bitmap.dims.map(|n| n as u32);
        if self.canvas.width() != columns || self.canvas.height() != rows {
            self.canvas.set_width(columns);
            self.canvas.set_height(rows);
        }
        let pixels = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&bitmap.rgba), columns, rows)?;
        self.context.put_image_data(&pixels, 0.0, 0.0)?;
        self.version = Some(bitmap.version);
        Ok(())
    }

    fn draw_on(&self, context: &CanvasRenderingContext2d, frame: &Frame, bitmap: &Bitmap) -> Result<(), JsValue> {
        let ([x, y], [w, h]) = (frame.placement.origin_px, frame.placement.voxel_px);
        let [columns, rows] = bitmap.dims.map(|n| n as f64);
        context.draw_image_with_html_canvas_element_and_dw_and_dh(&self.canvas, x, y, columns * w, rows * h)
    }
}

/// A canvas that shows surfaces from one side, the ends of the patient's axes, and where the planes cross.
pub(crate) struct SurfaceRenderer {
    canvas: HtmlCanvasElement,
    context: CanvasRenderingContext2d,
    picture: Layer,
}

impl SurfaceRenderer {
    /// A renderer for a canvas on the page.
    ///
    /// # Errors
    /// What the browser says if it has no 2D canvas.
    pub(crate) fn new(canvas: HtmlCanvasElement) -> Result<Self, JsValue> {
        let document = canvas.owner_document().ok_or("the canvas is not on a page")?;
        let picture = Layer::new(document.create_element("canvas")?.unchecked_into())?;
        Ok(Self { context: context_of(&canvas)?, picture, canvas })
    }

    /// The canvas, for its attributes.
    pub(crate) fn canvas(&self) -> &HtmlCanvasElement {
        &self.canvas
    }

    /// Size of the canvas on the page, in CSS pixels.
    pub(crate) fn size_px(&self) -> [f64; 2] {
        [f64::from(self.canvas.client_width()), f64::from(self.canvas.client_height())]
    }

    /// Device pixels for each CSS pixel.
    pub(crate) fn pixel_ratio(&self) -> f64 {
        pixel_ratio()
    }

    /// Draws everything; `crosshair` in CSS pixels.
    ///
    /// # Errors
    /// What the browser says.
    pub(crate) fn draw(
        &mut self,
        picture: Option<&Bitmap>,
        compass: &[Compass],
        crosshair: Option<[f64; 2]>,
    ) -> Result<(), JsValue> {
        let (size_px, context) = (self.size_px(), &self.context);
        fit(&self.canvas, context, size_px)?;
        if let Some(bitmap) = picture {
            self.picture.update(bitmap)?;
            context.set_image_smoothing_enabled(true);
            let (layer, [width, height]) = (&self.picture.canvas, size_px);
            context.draw_image_with_html_canvas_element_and_dw_and_dh(layer, 0.0, 0.0, width, height)?;
        }
        context.set_font(&format!("600 {}px system-ui, sans-serif", 12.0 * larger(&self.canvas)));
        context.set_text_align("center");
        context.set_text_baseline("middle");
        let side = size_px[0].min(size_px[1]);
        for Compass { letter, at, towards } in compass {
            // What points away is fainter.
            context.set_fill_style_str(&format!("rgba(255,217,138,{:.2})", 0.65 + 0.35 * towards));
            context.fill_text(letter, size_px[0] / 2.0 + at[0] * side, size_px[1] / 2.0 + at[1] * side)?;
        }
        if let Some([x, y]) = crosshair {
            context.begin_path();
            context.arc(x, y, 5.0, 0.0, std::f64::consts::TAU)?;
            context.set_stroke_style_str("rgba(120,200,255,0.9)");
            context.set_line_width(1.5);
            context.stroke();
        }
        Ok(())
    }
}

fn pixel_ratio() -> f64 {
    web_sys::window().map_or(1.0, |window| window.device_pixel_ratio())
}

/// Gives a canvas as many pixels as the screen has there, empties it, and lets it count in CSS pixels.
fn fit(canvas: &HtmlCanvasElement, context: &CanvasRenderingContext2d, size_px: [f64; 2]) -> Result<(), JsValue> {
    let ratio = pixel_ratio();
    let [width, height] = size_px.map(|px| (px * ratio).round() as u32);
    if canvas.width() != width || canvas.height() != height {
        canvas.set_width(width);
        canvas.set_height(height);
    }
    context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0)?;
    context.clear_rect(0.0, 0.0, size_px[0], size_px[1]);
    Ok(())
}

fn context_of(canvas: &HtmlCanvasElement) -> Result<CanvasRenderingContext2d, JsValue> {
    let context = canvas.get_context("2d")?.ok_or("this browser has no 2D canvas")?;
    context.dyn_into().map_err(Into::into)
}

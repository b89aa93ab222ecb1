//! The right side: the slices worth the expert's time, what to do with the one in view, and refinement.

use leptos::html::Canvas;
use leptos::prelude::*;
use shared::case::{Job, JobKind, JobState};
use shared::correction::SliceState;
use shared::geometry::Plane;
use wasm_bindgen::{Clamped, JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d, HtmlCanvasElement, ImageData};

use super::icon::{Icon, Shape};
use super::job::JobProgress;
use super::slice_view::title;
use crate::session::command::Command;
use crate::session::{Session, SliceRow};

/// The slice rail.
#[component]
pub(crate) fn Rail() -> impl IntoView {
    let session = expect_context::<Session>();
    let planes = Memo::new(move |_| session.slices.with(|rows| rows.iter().map(|row| row.plane).collect::<Vec<_>>()));
    let done = move || session.slices.with(|rows| rows.iter().filter(|row| row.state == SliceState::Done).count());
    view! {
        <aside class="rail" aria-label="Slices">
            <header>
                <h3>"Slices to correct"</h3>
                <span class="tabular muted" data-testid="slices-done">{move || format!("{} of {} done", done(), planes.with(Vec::len))}</span>
            </header>
            <Show when=move || planes.with(Vec::is_empty) && session.loading.get().is_none()>
                <p class="hint">"Slices are chosen when the presegmentation has finished."</p>
            </Show>
            <ol class="slice-list">
                <For each=move || planes.get() key=|plane| *plane let:plane>
                    <SliceItem plane=plane />
                </For>
            </ol>
            <SliceActions />
            <Refinement done=Signal::derive(done) />
        </aside>
    }
}

#[component]
fn SliceItem(plane: Plane) -> impl IntoView {
    let session = expect_context::<Session>();
    let row = Memo::new(move |_| session.slices.with(|rows| rows.iter().find(|row| row.plane == plane).cloned()));
    let is_target = move || session.target.get() == Some(plane);
    let state = move || row.with(|row| row.as_ref().map_or("todo", state_key));
    view! {
        <li>
            <button
                class="slice" class:on=is_target aria-current=move || is_target().then_some("true")
                data-testid="slice-item" data-axis=plane.axis.name() data-index=plane.index.to_string() data-state=state
                data-rank=move || row.with(|row| row.as_ref().and_then(|row| row.rank)).map(|rank| rank.to_string())
                on:click=move |_| session.dispatch(Command::GoTo(plane))
            >
                <Thumbnail plane=plane />
                <span class="slice-text">
                    <strong>{title(plane.axis)} " " <span class="tabular">{plane.index}</span></strong>
                    <small class="muted" title="Share of the scan's uncertainty that this slice settles">
                        {move || row.with(|row| row.as_ref().map(why_text))}
                    </small>
                </span>
                <StateMark state=Signal::derive(state) />
            </button>
        </li>
    }
}

/// The state as a shape and a word, so that it does not hang on colour.
#[component]
fn StateMark(state: Signal<&'static str>) -> impl IntoView {
    move || match state.get() {
        "done" => view! { <span class="mark done"><Icon shape=Shape::Check /> "done"</span> }.into_any(),
        "skipped" => view! { <span class="mark skipped"><Icon shape=Shape::Skip /> "skipped"</span> }.into_any(),
        "edited" => view! { <span class="mark edited"><i></i> "edited"</span> }.into_any(),
        _ => view! { <span class="mark todo"><i></i> "to do"</span> }.into_any(),
    }
}

fn state_key(row: &SliceRow) -> &'static str {
    match row.state {
        SliceState::Done => "done",
        SliceState::Skipped => "skipped",
        SliceState::Todo if row.touched => "edited",
        SliceState::Todo => "todo",
    }
}

fn why_text(row: &SliceRow) -> String {
    match row.rank {
        None => "from an earlier round".into(),
        Some(rank) if row.settles > 0.0 => format!("#{rank} · settles {:.1} %", row.settles * 100.0),
        Some(rank) => format!("#{rank} · score {:.3}", row.score),
    }
}

/// A slice in small. Drawn when its labels change, not while they are painted.
#[component]
fn Thumbnail(plane: Plane) -> impl IntoView {
    let session = expect_context::<Session>();
    let canvas = NodeRef::<Canvas>::new();
    Effect::new(move || {
        session.slices.with(|rows| rows.iter().find(|row| row.plane == plane).map(|row| row.edits));
        session.loading.get();
        session.shown.get();
        session.channel.get();
        if let Some(canvas) = canvas.get() {
            // A thumbnail that cannot be drawn leaves an empty square beside the slice's name.
            let _ = draw_thumbnail(&canvas, session, plane);
        }
    });
    view! { <canvas class="thumbnail" node_ref=canvas width="88" height="88" aria-hidden="true"></canvas> }
}

fn draw_thumbnail(canvas: &HtmlCanvasElement, session: Session, plane: Plane) -> Result<(), JsValue> {
    let Some((grid, image, overlay)) = session.thumbnail(plane) else { return Ok(()) };
    let context: CanvasRenderingContext2d = canvas.get_context("2d")?.ok_or("no 2D canvas")?.dyn_into()?;
    let [columns, rows] = grid.dims;
    let [width_mm, height_mm] = [0, 1].map(|axis| grid.dims[axis] as f64 * grid.spacing_mm[axis]);
    let size = f64::from(canvas.width());
    let scale = size / width_mm.max(height_mm);
    let (width, height) = (width_mm * scale, height_mm * scale);
    context.clear_rect(0.0, 0.0, size, size);
    let layer: HtmlCanvasElement = canvas.owner_document().ok_or("no page")?.create_element("canvas")?.unchecked_into();
    layer.set_width(columns as u32);
    layer.set_height(rows as u32);
    let layer_context: CanvasRenderingContext2d = layer.get_context("2d")?.ok_or("no 2D canvas")?.dyn_into()?;
    for rgba in [image, overlay] {
        let pixels = ImageData::new_with_u8_clamped_array_and_sh(Clamped(&rgba), columns as u32, rows as u32)?;
        layer_context.put_image_data(&pixels, 0.0, 0.0)?;
        context.draw_image_with_html_canvas_element_and_dw_and_dh(&layer, (size - width) / 2.0, (size - height) / 2.0, width, height)?;
    }
    Ok(())
}

/// What to do with the slice in view.
#[component]
fn SliceActions() -> impl IntoView {
    let session = expect_context::<Session>();
    let row =
        move || session.target.get().and_then(|plane| session.slices.with(|rows| rows.iter().find(|row| row.plane == plane).cloned()));
    let state = Memo::new(move |_| row().map(|row| row.state));
    let touched = move || row().is_some_and(|row| row.touched);
    let is_done = move || state.get() == Some(SliceState::Done);
    view! {
        <section class="slice-actions" aria-label="This slice">
            <button
                class="primary wide" data-testid="mark-done" title="Every voxel of this plane is right, changed or not (Enter)"
                disabled=move || state.get().is_none() || is_done() on:click=move |_| session.dispatch(Command::MarkDone)
            >
                <Icon shape=Shape::Check />
                {move || if is_done() { "Slice is done" } else { "Mark slice done" }}
                <kbd>"Enter"</kbd>
            </button>
            <div class="pair">
                <Show
                    when=move || matches!(state.get(), Some(SliceState::Done | SliceState::Skipped))
                    fallback=move || view! {
                        <button data-testid="skip" disabled=move || state.get().is_none() on:click=move |_| session.dispatch(Command::Skip)>
                            <Icon shape=Shape::Skip /> "Skip" <kbd>"S"</kbd>
                        </button>
                    }
                >
                    <button data-testid="reopen" on:click=move |_| session.dispatch(Command::Reopen)><Icon shape=Shape::Undo /> "Reopen"</button>
                </Show>
                <button
                    data-testid="reset-slice" title="Back to the segmentation's labels; can be undone"
                    disabled=move || !touched() on:click=move |_| session.dispatch(Command::ResetSlice)
                >"Reset"</button>
            </div>
        </section>
    }
}

#[component]
fn Refinement(done: Signal<usize>) -> impl IntoView {
    let session = expect_context::<Session>();
    let refinement = |job: &Job| job.kind == JobKind::Refine;
    let job = Signal::derive(move || {
        session.detail.with(|detail| detail.as_ref().and_then(|detail| detail.summary.job.clone().filter(refinement)))
    });
    let busy = move || job.with(|job| job.as_ref().is_some_and(|job| matches!(job.state, JobState::Queued | JobState::Running)));
    let explain = move || match done.get() {
        _ if busy() => "",
        0 => "Refinement needs at least one slice that is done.",
        _ => "Uses every slice that is done; the whole volume is segmented anew.",
    };
    view! {
        <section class="refinement" aria-label="Refinement">
            <JobProgress job=job />
            <button class="accent wide" data-testid="refine" disabled=move || busy() || done.get() == 0 on:click=move |_| session.dispatch(Command::Refine)>
                {move || match done.get() {
                    0 => "Refine".to_owned(),
                    1 => "Refine with 1 slice".to_owned(),
                    count => format!("Refine with {count} slices"),
                }}
            </button>
            <p class="hint">{explain}</p>
        </section>
    }
}

//! The 3D surface of the labels, turned by the hand or by arrow keys; a press moves the crosshair there.

use leptos::html::Canvas;
use leptos::prelude::*;
use web_sys::{KeyboardEvent, PointerEvent, WheelEvent};

use super::icon::{Icon, Shape};
use crate::session::command::Command;
use crate::session::{Layout, Session};

/// Pixels that a hand may tremble by in a press.
const TREMBLE_PX: f64 = 3.0;
/// Factor of a key, and of a notch of the wheel.
const CLOSER: f64 = 1.15;

/// The view.
#[component]
pub(crate) fn SurfaceView() -> impl IntoView {
    let session = expect_context::<Session>();
    let canvas = NodeRef::<Canvas>::new();
    // Where it was pressed, where the hand is, and whether it has moved.
    let held = StoredValue::new(None::<([f64; 2], [f64; 2], bool)>);
    Effect::new(move || canvas.get().into_iter().for_each(|canvas| session.dispatch(Command::AttachSurface(canvas))));
    let position = |event: &PointerEvent| [f64::from(event.offset_x()), f64::from(event.offset_y())];
    let pressed = move |event: PointerEvent| {
        event.prevent_default();
        if let Some(canvas) = canvas.get_untracked() {
            // Without capture a drag merely ends at the canvas's edge.
            let _ = canvas.set_pointer_capture(event.pointer_id());
            let _ = canvas.focus();
        }
        held.set_value(Some((position(&event), position(&event), false)));
    };
    let moved = move |event: PointerEvent| {
        let Some((first, before, was_moved)) = held.get_value() else { return };
        let now = position(&event);
        let far = (now[0] - first[0]).hypot(now[1] - first[1]) > TREMBLE_PX;
        if was_moved || far {
            held.set_value(Some((first, now, true)));
            let by_px = [now[0] - before[0], now[1] - before[1]];
            session.dispatch(Command::TurnSurface { by_px, is_held: true });
        }
    };
    let released = move |_: PointerEvent| match held.get_value() {
        Some((_, _, true)) => {
            held.set_value(None);
            session.dispatch(Command::RestSurface);
        }
        Some((at, ..)) => {
            held.set_value(None);
            session.dispatch(Command::PointAtSurface(at));
        }
        None => {}
    };
    let turned = move |event: WheelEvent| {
        event.prevent_default();
        session.dispatch(Command::ZoomSurface(if event.delta_y() < 0.0 { CLOSER } else { 1.0 / CLOSER }));
    };
    let typed = move |event: KeyboardEvent| {
        let command = match event.key().as_str() {
            "ArrowLeft" => Command::StepSurface([-1.0, 0.0]),
            "ArrowRight" => Command::StepSurface([1.0, 0.0]),
            "ArrowUp" => Command::StepSurface([0.0, -1.0]),
            "ArrowDown" => Command::StepSurface([0.0, 1.0]),
            "+" => Command::ZoomSurface(CLOSER),
            "-" => Command::ZoomSurface(1.0 / CLOSER),
            _ => return,
        };
        if !event.ctrl_key() && !event.shift_key() && !event.alt_key() {
            // The planes stay where they are.
            event.prevent_default();
            event.stop_propagation();
            session.dispatch(command);
        }
    };
    let is_alone = move || session.viewing.layout.get() == Layout::Solid;
    let size = move || if is_alone() { "Back to four views" } else { "Show the surface alone" };
    view! {
        <figure class="view surface">
            <canvas
                node_ref=canvas tabindex="0" role="img" data-testid="surface"
                aria-label="3D surface of the labels; arrow keys turn it, plus and minus come closer and go back"
                on:pointerdown=pressed on:pointermove=moved on:pointerup=released on:pointercancel=released
                on:wheel=turned on:keydown=typed
            ></canvas>
            <figcaption><strong>"3D"</strong></figcaption>
            <button
                class="quiet enlarge" data-testid="enlarge-surface" aria-label=size title=size
                on:click=move |_| {
                    let other = if is_alone() { Layout::Four } else { Layout::Solid };
                    session.dispatch(Command::ToggleLayout(other));
                }
            >
                <Icon shape=Shape::Enlarge />
            </button>
        </figure>
    }
}

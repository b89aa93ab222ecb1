//! One of the three views: a canvas, its orientation letters and its caption. Turns what the hand does into commands.

use leptos::html::Canvas;
use leptos::prelude::*;
use shared::geometry::Axis;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{HtmlCanvasElement, MouseEvent, PointerEvent, ResizeObserver, WheelEvent};

use super::acts::with_key;
use super::icon::{Icon, Shape};
use crate::session::command::Command;
use crate::session::{Layout, Session};
use crate::viewer::camera::ViewGrid;
use crate::viewer::gesture::{Drag, Modifiers, Turn, Wheel, drag_for};
use crate::viewer::grip::{Grip, Kind, Move, Press};

/// The view of planes of `axis`.
#[component]
pub(crate) fn SliceView(axis: Axis) -> impl IntoView {
    let session = expect_context::<Session>();
    let canvas = NodeRef::<Canvas>::new();
    let grip = StoredValue::new_local(Grip::default());
    let wheel = StoredValue::new_local(Wheel::default());
    let watcher = StoredValue::new_local(None);
    Effect::new(move || {
        if let Some(canvas) = canvas.get() {
            watcher.set_value(watch_size(session, &canvas));
            session.dispatch(Command::AttachView(axis, canvas));
        }
    });
    let position = move |event: &MouseEvent| canvas.get_untracked().map(|canvas| position_on(&canvas, event));
    let press = move |event: PointerEvent| {
        let Some(at) = position(&event) else { return };
        notice_pen(session, &event);
        let (pointer, kind) = (event.pointer_id(), kind(&event));
        let asked = grip.with_value(|grip| grip.asked(pointer, kind));
        match asked {
            Press::Ignored => {}
            Press::Spreads(before) => {
                event.prevent_default();
                take_back(session, before);
                grip.update_value(|grip| grip.spread(pointer, at));
            }
            Press::Begins(before) => {
                let Some(drag) = begun(session, axis, &event) else { return };
                event.prevent_default();
                take_back(session, before);
                if let Some(canvas) = canvas.get_untracked() {
                    // Without capture a drag merely ends at the canvas's edge.
                    let _ = canvas.set_pointer_capture(pointer);
                    let _ = canvas.focus();
                }
                grip.update_value(|grip| grip.hold(pointer, kind, drag, at));
                begin(session, axis, drag, at);
            }
        }
    };
    let moved = move |event: PointerEvent| {
        notice_pen(session, &event);
        let pointer = event.pointer_id();
        if !grip.with_value(|grip| grip.hears(pointer)) {
            return;
        }
        for event in coalesced(event) {
            let Some(at) = position(&event) else { continue };
            notice_pen(session, &event);
            match grip.try_update_value(|grip| grip.moved(pointer, at)) {
                Some(Move::Drags(drag, by_px)) => carry_on(session, axis, drag, at, by_px),
                Some(Move::Spreads { by_px, factor, at }) => {
                    session.dispatch(Command::Pan(axis, by_px));
                    session.dispatch(Command::Zoom { axis, at, factor });
                    continue;
                }
                _ => {}
            }
            session.dispatch(Command::Hover(axis, Some(at)));
        }
    };
    let let_go = move |event: &PointerEvent| grip.try_update_value(|grip| grip.release(event.pointer_id())).flatten();
    let released = move |event: PointerEvent| {
        if let Some(Drag::Paint { .. }) = let_go(&event) {
            session.dispatch(Command::EndStroke);
        }
        if kind(&event) == Kind::Finger {
            // A finger that is lifted is nowhere; a mouse stays where it is.
            session.dispatch(Command::Hover(axis, None));
        }
    };
    let cancelled = move |event: PointerEvent| take_back(session, let_go(&event));
    let left = move |event: PointerEvent| {
        if grip.with_value(|grip| grip.hears(event.pointer_id())) {
            session.dispatch(Command::Hover(axis, None));
        }
    };
    let turned = move |event: WheelEvent| {
        event.prevent_default();
        let Some(at) = position(&event) else { return };
        // With Shift some browsers send the turn sideways.
        let delta = if event.delta_y() == 0.0 { event.delta_x() } else { event.delta_y() };
        let turn = wheel.try_update_value(|wheel| wheel.turn(delta, event.delta_mode(), modifiers(&event)));
        match turn.unwrap_or(Turn::Nothing) {
            Turn::Scroll(steps) => session.dispatch(Command::Scroll(axis, steps)),
            Turn::Zoom(factor) => session.dispatch(Command::Zoom { axis, at, factor }),
            Turn::BrushSize(steps) => session.dispatch(Command::StepBrush(steps)),
            Turn::Nothing => {}
        }
    };
    view! {
        <figure
            class="view" data-view=axis.name() class:large=move || session.viewing.large.get() == axis
            class:target=move || is_targets_axis(session, axis) && on_target(session, axis)
        >
            <canvas
                node_ref=canvas tabindex="0" role="img" aria-label=move || described(session, axis)
                data-testid=format!("view-{}", axis.name())
                class=move || if session.painting.tool.get().paints() { "paints" } else { "points" }
                on:pointerdown=press on:pointermove=moved on:pointerup=released on:pointercancel=cancelled
                on:lostpointercapture=released on:pointerleave=left
                on:wheel=turned
                on:contextmenu=move |event: MouseEvent| event.prevent_default()
            ></canvas>
            <Caption axis=axis />
            <Letters axis=axis />
        </figure>
    }
}

#[component]
fn Caption(axis: Axis) -> impl IntoView {
    let session = expect_context::<Session>();
    let is_large = move || session.viewing.large.get() == axis;
    let can_correct =
        move || session.case.detail.with(|detail| detail.as_ref().is_some_and(|detail| !detail.versions.is_empty()));
    let geometry = move || session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.geometry.clone()));
    let index = move || geometry().map(|geometry| session.viewing.crosshair.get()[geometry.stored_axis(axis)]);
    let last = move || geometry().map(|geometry| format!(" / {}", geometry.plane_count(axis) - 1));
    view! {
        <figcaption>
            <strong>{title(axis)}</strong>
            <button
                class="small touch-only" aria-label="Previous plane"
                on:click=move |_| session.dispatch(Command::Scroll(axis, -1))
            >"‹"</button>
            <span class="tabular">{index} <span class="of">{last}</span></span>
            <button
                class="small touch-only" aria-label="Next plane"
                on:click=move |_| session.dispatch(Command::Scroll(axis, 1))
            >"›"</button>
            <Show when=move || on_target(session, axis)>
                <span class="pill correcting">"correcting"</span>
            </Show>
            <Show when=move || session.viewing.is_blank.get() && on_target(session, axis)>
                <button
                    class="small" data-testid="reveal" on:click=move |_| session.dispatch(Command::Reveal)
                >{with_key(session, "Show the presegmentation", "reveal")}</button>
            </Show>
            <Show
                when=move || is_large() && is_targets_axis(session, axis) && !on_target(session, axis)
            >
                <button
                    class="small" data-testid="return" on:click=move |_| go_back(session)
                >{with_key(session, "Back to the slice", "return")}</button>
            </Show>
            <Show when=move || can_correct() && is_large() && !on_target(session, axis)>
                <button
                    class="small" data-testid="correct-plane" title="It joins your list as one of your own"
                    on:click=move |_| session.dispatch(Command::CorrectPlane(axis))
                >{with_key(session, "Correct this plane", "correct-plane")}</button>
            </Show>
        </figcaption>
        <Show when=move || !is_large() || session.viewing.layout.get() == Layout::Four>
            <button
                class="quiet enlarge" aria-label=format!("Show {} large", axis.name()) title="Show large"
                on:click=move |_| session.dispatch(Command::ShowLarge(axis))
            >
                <Icon shape=Shape::Enlarge />
            </button>
        </Show>
    }
}

#[component]
fn Letters(axis: Axis) -> impl IntoView {
    let session = expect_context::<Session>();
    let letters = Memo::new(move |_| {
        session.case.detail.with(|detail| {
            detail
                .as_ref()
                .map(|detail| ViewGrid::new(&detail.geometry, axis).seen_as(session.viewing.convention.get()).letters)
        })
    });
    move || {
        letters.get().map(|letters| {
            let places = ["left", "right", "top", "bottom"].into_iter().zip(letters);
            places
                .map(|(place, letter)| {
                    view! {
                        <span class=format!("letter {place}") aria-hidden="true">{letter}</span>
                    }
                })
                .collect_view()
        })
    }
}

/// Whether the slice being corrected is one of this axis.
fn is_targets_axis(session: Session, axis: Axis) -> bool {
    session.rounds.target.with(|target| target.is_some_and(|target| target.axis == axis))
}

/// Whether the view shows the slice being corrected.
fn on_target(session: Session, axis: Axis) -> bool {
    let crosshair = session.viewing.crosshair.get();
    let target = session.rounds.target.get();
    session.case.detail.with(|detail| {
        let stored = detail.as_ref().map(|detail| detail.geometry.stored_axis(axis));
        stored.zip(target).is_some_and(|(stored, target)| target.axis == axis && crosshair[stored] == target.index)
    })
}

fn go_back(session: Session) {
    if let Some(target) = session.rounds.target.now() {
        session.dispatch(Command::GoTo(target));
    }
}

fn described(session: Session, axis: Axis) -> String {
    let correcting = if on_target(session, axis) { ", the slice being corrected" } else { "" };
    format!("{} view{correcting}", title(axis))
}

/// An axis as it stands above its view.
pub(crate) fn title(axis: Axis) -> &'static str {
    match axis {
        Axis::Axial => "Axial",
        Axis::Coronal => "Coronal",
        Axis::Sagittal => "Sagittal",
    }
}

/// What a press begins. A finger that does not paint moves the plane: a palm that rests beside the pen must not paint.
fn begun(session: Session, axis: Axis, event: &PointerEvent) -> Option<Drag> {
    if kind(event) == Kind::Finger && !session.finger_paints() {
        return Some(Drag::Pan);
    }
    drag_for(event.button(), modifiers(event), session.painting.tool.now().paints(), session.ground(axis))
}

fn kind(event: &PointerEvent) -> Kind {
    if event.pointer_type() == "touch" { Kind::Finger } else { Kind::Pointed }
}

/// A pen is known from the moment it comes near.
fn notice_pen(session: Session, event: &PointerEvent) {
    let is_pen = event.pointer_type() == "pen";
    if is_pen {
        session.dispatch(Command::SeePen);
    }
    session.dispatch(Command::PressPen(pressure(event).filter(|_| is_pen)));
}

/// How hard a pen is pressed; nothing of one that hovers.
fn pressure(event: &PointerEvent) -> Option<f64> {
    (event.buttons() != 0).then(|| f64::from(event.pressure()))
}

/// What a pointer had begun that has to give way.
fn take_back(session: Session, drag: Option<Drag>) {
    if let Some(Drag::Paint { .. }) = drag {
        session.dispatch(Command::CancelStroke);
    }
}

fn begin(session: Session, axis: Axis, drag: Drag, at: [f64; 2]) {
    match drag {
        Drag::Paint { invert } => session.dispatch(Command::BeginStroke { axis, at, invert }),
        Drag::Crosshair => session.dispatch(Command::PointAt(axis, at)),
        Drag::Refused => session.dispatch(Command::RefusePaint),
        Drag::Pan | Drag::Window => {}
    }
}

fn carry_on(session: Session, axis: Axis, drag: Drag, at: [f64; 2], by_px: [f64; 2]) {
    match drag {
        Drag::Paint { .. } => session.dispatch(Command::ExtendStroke(at)),
        Drag::Crosshair => session.dispatch(Command::PointAt(axis, at)),
        Drag::Pan => session.dispatch(Command::Pan(axis, by_px)),
        Drag::Window => session.dispatch(Command::DragWindow(by_px)),
        Drag::Refused => {}
    }
}

fn modifiers(event: &MouseEvent) -> Modifiers {
    Modifiers { shift: event.shift_key(), ctrl: event.ctrl_key() || event.meta_key(), alt: event.alt_key() }
}

fn position_on(canvas: &HtmlCanvasElement, event: &MouseEvent) -> [f64; 2] {
    let corner = canvas.get_bounding_client_rect();
    [f64::from(event.client_x()) - corner.left(), f64::from(event.client_y()) - corner.top()]
}

/// The moves that the browser has put together into one event; a pen sends several a frame.
fn coalesced(event: PointerEvent) -> Vec<PointerEvent> {
    let known = js_sys::Reflect::has(&event, &JsValue::from_str("getCoalescedEvents")).unwrap_or(false);
    let all: Vec<PointerEvent> =
        if known { event.get_coalesced_events().iter().map(JsCast::unchecked_into).collect() } else { Vec::new() };
    if all.is_empty() { vec![event] } else { all }
}

/// Watches the canvas's size; the watcher lives as long as what is returned.
fn watch_size(session: Session, canvas: &HtmlCanvasElement) -> Option<SizeWatcher> {
    let changed = Closure::<dyn Fn()>::new(move || session.dispatch(Command::ResizeView));
    let observer = ResizeObserver::new(changed.as_ref().unchecked_ref()).ok()?;
    observer.observe(canvas);
    Some(SizeWatcher { observer, _changed: changed })
}

struct SizeWatcher {
    observer: ResizeObserver,
    _changed: Closure<dyn Fn()>,
}

impl Drop for SizeWatcher {
    fn drop(&mut self) {
        self.observer.disconnect();
    }
}

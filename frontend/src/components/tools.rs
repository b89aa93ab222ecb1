//! The left side: tools, labels, overlays, window, layout.

use leptos::prelude::*;
use shared::label::LabelInfo;
use wasm_bindgen::JsCast;
use web_sys::{HtmlElement, KeyboardEvent};

use super::acts::{Key, with_key};
use super::icon::{Icon, Line, Shape};
use super::layout::LayoutPanel;
use super::palette::PaletteChoice;
use super::switch::{Percent, Switch};
use super::window::WindowPanel;
use crate::annotate::edits::{EDITS, Edit};
use crate::annotate::tools::{Card, TOOLS, Tool};
use crate::session::command::Command;
use crate::session::{BlankStart, Session};
use crate::viewer::gesture::FingerPaints;
use crate::viewer::numbers::shown;

/// The tools panel.
#[component]
pub(crate) fn Tools() -> impl IntoView {
    view! {
        <aside class="tools" aria-label="Tools">
            <section class="panel">
                <div class="tool-grid" role="group" aria-label="Tool">
                    {TOOLS.iter().map(|tool| view! { <ToolButton tool=*tool /> }).collect_view()}
                </div>
                <BrushSize />
                <History />
            </section>
            <Labels />
            <Edits />
            <Overlays />
            <WindowPanel />
            <LayoutPanel />
        </aside>
    }
}

#[component]
fn ToolButton(tool: Tool) -> impl IntoView {
    let session = expect_context::<Session>();
    let Card { id, name, icon, .. } = *tool.card();
    let act = format!("tool-{id}");
    let bound = act.clone();
    let title = move || match session.preferences.keys.with(|keys| keys.first(&bound)) {
        Some(key) => format!("{name} ({key})"),
        None => name.to_owned(),
    };
    let pressed = move || session.painting.tool.get() == tool;
    view! {
        <button
            class="tool" class:on=pressed aria-pressed=move || pressed().to_string() title=title
            data-testid=format!("tool-{id}")
            on:click=move |_| session.dispatch(Command::SetTool(tool))
        >
            <Line path=icon />
            <span>{name}</span>
            <Key act=act />
        </button>
    }
}

#[component]
fn BrushSize() -> impl IntoView {
    let session = expect_context::<Session>();
    let set = move |event| {
        if let Ok(diameter_mm) = event_target_value(&event).parse() {
            session.dispatch(Command::SetBrush(diameter_mm));
        }
    };
    view! {
        <label class="slider">
            <span>"Size"</span>
            <input
                type="range" min="0.5" max="40" step="0.5" aria-label="Brush diameter in millimetres"
                data-testid="brush-size"
                prop:value=move || session.painting.brush_mm.get().to_string() on:input=set
            />
            <output class="tabular">{move || format!("{:.1} mm", session.painting.brush_mm.get())}</output>
        </label>
    }
}

#[component]
fn History() -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <div class="pair">
            <button
                data-testid="undo" title=with_key(session, "Undo", "undo")
                disabled=move || session.painting.depth.get()[0] == 0
                on:click=move |_| session.dispatch(Command::Undo)
            >
                <Icon shape=Shape::Undo />
                "Undo"
            </button>
            <button
                data-testid="redo" title=with_key(session, "Redo", "redo")
                disabled=move || session.painting.depth.get()[1] == 0
                on:click=move |_| session.dispatch(Command::Redo)
            >
                <Icon shape=Shape::Redo />
                "Redo"
            </button>
        </div>
    }
}

#[component]
fn Labels() -> impl IntoView {
    let session = expect_context::<Session>();
    let labels = Memo::new(move |_| {
        session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.labels.0.clone()).unwrap_or_default())
    });
    view! {
        <section class="panel" aria-label="Labels">
            <h2 class="small-title">"Label"</h2>
            <div
                class="labels" role="radiogroup" aria-label="Label to paint"
                on:keydown=move |event| move_choice(session, &labels.get_untracked(), &event)
            >
                {move || labels.get().into_iter().map(|label| view! { <LabelButton label=label /> }).collect_view()}
            </div>
            <PaletteChoice labels=labels />
        </section>
    }
}

/// Arrows choose the label before or after, as in any group of radio buttons.
fn move_choice(session: Session, labels: &[LabelInfo], event: &KeyboardEvent) {
    let steps = match event.key().as_str() {
        "ArrowDown" | "ArrowRight" => 1,
        "ArrowUp" | "ArrowLeft" => labels.len().saturating_sub(1),
        _ => return,
    };
    let here = labels.iter().position(|label| label.value == session.painting.label.now()).unwrap_or(0);
    let Some(next) = labels.get((here + steps) % labels.len().max(1)) else { return };
    event.prevent_default();
    session.dispatch(Command::SetLabel(next.value));
    let found = document().query_selector(&format!("[data-testid=\"label-{}\"]", next.value)).ok().flatten();
    if let Some(button) = found.and_then(|button| button.dyn_into::<HtmlElement>().ok()) {
        // Without the focus the next arrow scrolls planes; the label is chosen all the same.
        let _ = button.focus();
    }
}

#[component]
fn LabelButton(label: LabelInfo) -> impl IntoView {
    let session = expect_context::<Session>();
    let LabelInfo { value, name, colour, .. } = label;
    let chosen = move || session.painting.label.get() == value;
    let locked = move || session.painting.locked.with(|locked| locked.contains(&value));
    let lock_words = {
        let name = name.clone();
        move || {
            if locked() {
                format!("{name} is locked: nothing changes it. Unlock")
            } else {
                format!("Lock {name}: nothing will change it")
            }
        }
    };
    view! {
      <div class="label-row">
        <button
            class="label" class:on=chosen role="radio" tabindex=move || if chosen() { "0" } else { "-1" }
            aria-checked=move || chosen().to_string() data-testid=format!("label-{value}")
            on:click=move |_| session.dispatch(Command::SetLabel(value))
        >
            <span class="swatch" style:background-color=colour></span>
            <span class="label-name">{name}</span>
            <kbd>{value}</kbd>
        </button>
        <button
            class="quiet lock" class:on=locked aria-pressed=move || locked().to_string() title=lock_words.clone()
            aria-label=lock_words data-testid=format!("lock-{value}")
            on:click=move |_| session.dispatch(Command::ToggleLock(value))
        >
            {move || view! { <Icon shape=if locked() { Shape::Locked } else { Shape::Unlocked } /> }}
        </button>
      </div>
    }
}

/// Edits of the whole slice, and what limits the hand.
#[component]
fn Edits() -> impl IntoView {
    let session = expect_context::<Session>();
    let button = move |edit: &'static Edit| {
        let card = edit.card();
        view! {
            <button
                class="small" title=card.about data-testid=format!("edit-{}", card.id)
                on:click=move |_| session.dispatch(Command::Edit(*edit))
            >
                {card.name}
            </button>
        }
    };
    view! {
        <section class="panel" aria-label="Whole slice">
            <h2 class="small-title">"Whole slice"</h2>
            <div class="presets">{EDITS.iter().map(button).collect_view()}</div>
            <Limit />
            <FingerSwitch />
        </section>
    }
}

/// Which intensities the hand changes.
#[component]
fn Limit() -> impl IntoView {
    let session = expect_context::<Session>();
    let limit = session.painting.limit;
    let end = move |at: usize| limit.get().map(|limit| shown(f64::from(limit[at]), f64::from(limit[1] - limit[0])));
    let change = move |at: usize, event| {
        if let (Some(mut now), Ok(value)) = (limit.now(), event_target_value(&event).trim().parse()) {
            now[at] = value;
            session.dispatch(Command::SetLimit(Some(now)));
        }
    };
    let switch =
        move |_| session.dispatch(Command::SetLimit(limit.now().is_none().then(|| session.usual_intensities())));
    view! {
        <label class="switch" title="Tools and edits change voxels of these intensities only">
            <input
                type="checkbox" role="switch" data-testid="limit" prop:checked=move || limit.get().is_some()
                on:change=switch
            />
            <span>"Only these intensities"</span>
        </label>
        <Show when=move || limit.get().is_some()>
            <div class="range">
                <input
                    type="text" inputmode="decimal" aria-label="Lowest intensity" data-testid="limit-low"
                    prop:value=move || end(0) on:change=move |event| change(0, event)
                />
                "to"
                <input
                    type="text" inputmode="decimal" aria-label="Highest intensity" data-testid="limit-high"
                    prop:value=move || end(1) on:change=move |event| change(1, event)
                />
            </div>
        </Show>
    }
}

/// Whether one finger paints; only where there is something to touch.
#[component]
fn FingerSwitch() -> impl IntoView {
    let session = expect_context::<Session>();
    let paints = move || session.painting.finger.get().now(session.painting.pen_seen.get());
    let switch = move |_| {
        session.dispatch(Command::SetFingerPaints(if paints() { FingerPaints::Never } else { FingerPaints::Always }))
    };
    view! {
        <label class="switch touch-only" title="Two fingers always move and zoom">
            <input type="checkbox" role="switch" data-testid="finger-paints" prop:checked=paints on:change=switch />
            <span>"One finger paints"</span>
        </label>
        <Show when=move || session.painting.pen_seen.get()>
            <label
                class="switch"
                title="Half as wide where the pen hardly touches, half as wide again where it is pressed"
            >
                <input
                    type="checkbox" role="switch" data-testid="pen-presses"
                    prop:checked=move || session.painting.pressure.get()
                    on:change=move |_| session.dispatch(Command::TogglePressure)
                />
                <span>"The pen's pressure widens"</span>
            </label>
        </Show>
    }
}

#[component]
fn Overlays() -> impl IntoView {
    let session = expect_context::<Session>();
    let opacity = move |send: fn(f64) -> Command| {
        move |event| {
            if let Ok(percent) = event_target_value(&event).parse::<f64>() {
                session.dispatch(send(percent / 100.0));
            }
        }
    };
    view! {
        <section class="panel" aria-label="Overlays">
            <h2 class="small-title">"Overlays"</h2>
            <Switch
                name="Segmentation" act="toggle-segmentation" test_id="toggle-segmentation"
                is_on=|overlay| overlay.segmentation
                command=Command::ToggleSegmentation
            />
            <Percent
                word="Opacity" name="Opacity of the segmentation" value=|overlay| overlay.opacity
                on_input=opacity(Command::SetSegmentationOpacity) test_id="segmentation-opacity"
            />
            <Switch
                name="Filled" act="toggle-fill" test_id="toggle-fill" is_on=|overlay| overlay.filled
                command=Command::ToggleOutline
            />
            <Switch
                name="Uncertainty" act="toggle-uncertainty" test_id="toggle-uncertainty"
                is_on=|overlay| overlay.uncertainty
                command=Command::ToggleUncertainty
            />
            <Percent
                word="Opacity" name="Opacity of uncertainty" value=|overlay| overlay.uncertainty_opacity
                on_input=opacity(Command::SetUncertaintyOpacity) test_id="uncertainty-opacity"
            />
            <Percent
                word="From" name="Least uncertainty that is shown" value=|overlay| overlay.least_uncertainty
                on_input=opacity(Command::SetLeastUncertainty) test_id="least-uncertainty"
            />
            <div class="scale" aria-hidden="true"><span>"0 %"</span><i></i><span>"100 %"</span></div>
            <Switch
                name="Crosshair" act="toggle-crosshair" test_id="toggle-crosshair" is_on=|overlay| overlay.crosshair
                command=Command::ToggleCrosshair
            />
            <Switch
                name="Image first on new slices" act="toggle-image-first" test_id="toggle-image-first"
                is_on=|overlay| overlay.image_first command=Command::ToggleImageFirst
            />
            <BlankChoice />
        </section>
    }
}

/// Which slices begin without their presegmentation.
#[component]
fn BlankChoice() -> impl IntoView {
    let session = expect_context::<Session>();
    let choose = move |event| {
        let wanted = event_target_value(&event);
        let found = BlankStart::ALL.into_iter().find(|(_, words)| *words == wanted);
        found.into_iter().for_each(|(start, _)| session.dispatch(Command::SetBlankStart(start)));
    };
    view! {
        <label
            class="choice"
            title="Without the presegmentation before your eyes you judge for yourself; what you draw is drawn on \
                   background"
        >
            <span>"Blank start"</span>
            <select data-testid="blank-start" on:change=choose>
                {BlankStart::ALL.into_iter().map(|(start, words)| view! {
                    <option
                        value=words prop:selected=move || session.viewing.blank_start.get() == start
                    >{words}</option>
                }).collect_view()}
            </select>
        </label>
    }
}

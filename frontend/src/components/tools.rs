//! The left side: tools, labels, overlays, window.

use leptos::prelude::*;
use shared::api::CaseDetail;
use shared::label::LabelInfo;

use super::icon::{Icon, Shape};
use crate::session::command::Command;
use crate::session::{Overlay, Session};
use crate::viewer::gesture::Tool;
use crate::viewer::presets::presets;

/// The tools panel.
#[component]
pub(crate) fn Tools() -> impl IntoView {
    view! {
        <aside class="tools" aria-label="Tools">
            <section class="panel">
                <div class="tool-grid" role="group" aria-label="Tool">
                    <ToolButton tool=Tool::Brush name="Brush" key="B" test_id="tool-brush" shape=Shape::Brush />
                    <ToolButton tool=Tool::Eraser name="Eraser" key="E" test_id="tool-eraser" shape=Shape::Eraser />
                    <ToolButton tool=Tool::Fill name="Fill" key="F" test_id="tool-fill" shape=Shape::Fill />
                    <ToolButton tool=Tool::Crosshair name="Crosshair" key="X" test_id="tool-crosshair" shape=Shape::Crosshair />
                </div>
                <BrushSize />
                <History />
            </section>
            <Labels />
            <Overlays />
            <WindowPanel />
        </aside>
    }
}

#[component]
fn ToolButton(tool: Tool, name: &'static str, key: &'static str, test_id: &'static str, shape: Shape) -> impl IntoView {
    let session = expect_context::<Session>();
    let pressed = move || session.painting.tool.get() == tool;
    view! {
        <button
            class="tool" class:on=pressed aria-pressed=move || pressed().to_string() title=format!("{name} ({key})") data-testid=test_id
            on:click=move |_| session.dispatch(Command::SetTool(tool))
        >
            <Icon shape=shape />
            <span>{name}</span>
            <kbd>{key}</kbd>
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
                type="range" min="0.5" max="40" step="0.5" aria-label="Brush diameter in millimetres" data-testid="brush-size"
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
            <button data-testid="undo" title="Undo (Ctrl+Z)" disabled=move || session.painting.depth.get()[0] == 0 on:click=move |_| session.dispatch(Command::Undo)>
                <Icon shape=Shape::Undo />
                "Undo"
            </button>
            <button data-testid="redo" title="Redo (Ctrl+Shift+Z)" disabled=move || session.painting.depth.get()[1] == 0 on:click=move |_| session.dispatch(Command::Redo)>
                <Icon shape=Shape::Redo />
                "Redo"
            </button>
        </div>
    }
}

#[component]
fn Labels() -> impl IntoView {
    let session = expect_context::<Session>();
    let labels =
        Memo::new(move |_| session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.labels.0.clone()).unwrap_or_default()));
    view! {
        <section class="panel" aria-label="Labels">
            <h3>"Label"</h3>
            <div class="labels" role="radiogroup" aria-label="Label to paint">
                {move || labels.get().into_iter().map(|label| view! { <LabelButton label=label /> }).collect_view()}
            </div>
        </section>
    }
}

#[component]
fn LabelButton(label: LabelInfo) -> impl IntoView {
    let session = expect_context::<Session>();
    let LabelInfo { value, name, colour } = label;
    let chosen = move || session.painting.label.get() == value;
    view! {
        <button
            class="label" class:on=chosen role="radio" aria-checked=move || chosen().to_string() data-testid=format!("label-{value}")
            on:click=move |_| session.dispatch(Command::SetLabel(value))
        >
            <span class="swatch" style:background-color=colour></span>
            <span class="label-name">{name}</span>
            <kbd>{value}</kbd>
        </button>
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
            <h3>"Overlays"</h3>
            <Switch name="Segmentation" key="H" test_id="toggle-segmentation" is_on=|overlay| overlay.segmentation command=Command::ToggleSegmentation />
            <Percent name="Opacity of the segmentation" value=|overlay| overlay.opacity on_input=opacity(Command::SetSegmentationOpacity) test_id="segmentation-opacity" />
            <Switch name="Filled" key="O" test_id="toggle-fill" is_on=|overlay| overlay.filled command=Command::ToggleOutline />
            <Switch name="Uncertainty" key="U" test_id="toggle-uncertainty" is_on=|overlay| overlay.uncertainty command=Command::ToggleUncertainty />
            <Percent name="Opacity of uncertainty" value=|overlay| overlay.uncertainty_opacity on_input=opacity(Command::SetUncertaintyOpacity) test_id="uncertainty-opacity" />
            <div class="scale" aria-hidden="true"><span>"sure"</span><i></i><span>"unsure"</span></div>
            <Switch name="Image first on new slices" key="" test_id="toggle-image-first" is_on=|overlay| overlay.image_first command=Command::ToggleImageFirst />
        </section>
    }
}

#[component]
fn Switch(name: &'static str, key: &'static str, test_id: &'static str, is_on: fn(&Overlay) -> bool, command: Command) -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <label class="switch">
            <input
                type="checkbox" role="switch" data-testid=test_id
                prop:checked=move || session.viewing.overlay.with(is_on) on:change=move |_| session.dispatch(command.clone())
            />
            <span>{name}</span>
            {(!key.is_empty()).then(|| view! { <kbd>{key}</kbd> })}
        </label>
    }
}

#[component]
fn Percent(
    name: &'static str,
    value: fn(&Overlay) -> f64,
    on_input: impl FnMut(leptos::ev::Event) + 'static,
    test_id: &'static str,
) -> impl IntoView {
    let session = expect_context::<Session>();
    let percent = move || (session.viewing.overlay.with(value) * 100.0).round().to_string();
    view! {
        <label class="slider">
            <input type="range" min="0" max="100" step="1" aria-label=name data-testid=test_id prop:value=percent on:input=on_input />
            <output class="tabular">{move || format!("{} %", percent())}</output>
        </label>
    }
}

/// Which of the scan's channels is looked at; nothing where there is only one.
#[component]
fn Channels() -> impl IntoView {
    let session = expect_context::<Session>();
    let names = Memo::new(move |_| {
        let name = |detail: &CaseDetail| detail.images.iter().map(|image| image.channel.clone()).collect::<Vec<_>>();
        session.case.detail.with(|detail| detail.as_ref().map(name).unwrap_or_default())
    });
    move || {
        (names.with(Vec::len) > 1).then(|| {
            let choices = names.get().into_iter().enumerate().map(|(channel, name)| {
                let shown = move || session.viewing.channel.get() == channel;
                view! {
                    <button
                        class="small" class:on=shown aria-pressed=move || shown().to_string() data-testid=format!("channel-{channel}")
                        on:click=move |_| session.dispatch(Command::ShowChannel(channel))
                    >{name}</button>
                }
            });
            view! { <div class="presets" role="group" aria-label="Channel (I)">{choices.collect_view()}</div> }
        })
    }
}

#[component]
fn WindowPanel() -> impl IntoView {
    let session = expect_context::<Session>();
    let choices = Memo::new(move |_| {
        let channel = session.viewing.channel.get();
        session.case.detail.with(|detail| detail.as_ref().and_then(|detail| detail.images.get(channel).map(presets)).unwrap_or_default())
    });
    let numbers = move || {
        let window = session.viewing.window.get();
        format!("C {:.0}  W {:.0}", window.centre, window.width)
    };
    view! {
        <section class="panel" aria-label="Window">
            <h3>"Window" <span class="tabular muted window-numbers" data-testid="window">{numbers}</span></h3>
            <Channels />
            <div class="presets">
                {move || choices.get().into_iter().map(|(name, window)| view! {
                    <button
                        class="small" class:on=move || session.viewing.window.get() == window
                        on:click=move |_| session.dispatch(Command::SetWindow(window))
                    >{name}</button>
                }).collect_view()}
            </div>
            <Switch name="Smooth image" key="" test_id="toggle-smooth" is_on=|overlay| overlay.smooth command=Command::ToggleSmooth />
        </section>
    }
}

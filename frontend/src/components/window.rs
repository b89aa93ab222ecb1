//! Which channel is looked at, and through which window.

use leptos::prelude::*;
use shared::api::CaseDetail;
use shared::intensity::Window;

use super::switch::Switch;
use crate::session::command::Command;
use crate::session::{Blend, Session};
use crate::viewer::numbers::shown;

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
                        class="small" class:on=shown aria-pressed=move || shown().to_string()
                        data-testid=format!("channel-{channel}")
                        on:click=move |_| session.dispatch(Command::ShowChannel(channel))
                    >{name}</button>
                }
            });
            view! {
                <div class="presets" role="group" aria-label="Channel">{choices.collect_view()}</div>
                <BlendChoice names=names />
            }
        })
    }
}

/// Which other channel is seen through it, and how much.
#[component]
fn BlendChoice(names: Memo<Vec<String>>) -> impl IntoView {
    let session = expect_context::<Session>();
    let blend = session.viewing.blend;
    let share = move || blend.get().map_or(0.5, |blend| blend.share);
    let choose = move |event| {
        let channel = event_target_value(&event).parse().ok();
        session.dispatch(Command::SetBlend(channel.map(|channel| Blend { channel, share: share() })));
    };
    let slide = move |event| {
        if let (Some(blend), Ok(percent)) = (blend.now(), event_target_value(&event).parse::<f64>()) {
            session.dispatch(Command::SetBlend(Some(Blend { share: percent / 100.0, ..blend })));
        }
    };
    let others = move || {
        let here = session.viewing.channel.get();
        names.get().into_iter().enumerate().filter(move |(channel, _)| *channel != here).map(move |(channel, name)| {
            let chosen = move || blend.get().is_some_and(|blend| blend.channel == channel);
            view! { <option value=channel.to_string() prop:selected=chosen>{name}</option> }
        })
    };
    view! {
        <label class="choice" title="Another channel, in a warm colour and with its own window, through this one">
            <span>"Through it"</span>
            <select data-testid="blend" on:change=choose>
                <option value="" prop:selected=move || blend.get().is_none()>"nothing"</option>
                {move || others().collect_view()}
            </select>
        </label>
        <Show when=move || blend.get().is_some()>
            <label class="slider">
                <span aria-hidden="true">"Share"</span>
                <input
                    type="range" min="0" max="100" step="1" aria-label="Share of the other channel"
                    data-testid="blend-share"
                    prop:value=move || (share() * 100.0).round().to_string() on:input=slide
                />
                <output class="tabular">{move || format!("{:.0} %", share() * 100.0)}</output>
            </label>
        </Show>
    }
}

/// The window's middle and width, to be typed.
#[component]
fn WindowNumbers() -> impl IntoView {
    let session = expect_context::<Session>();
    let window = session.viewing.window;
    let text = move |value: f32| shown(f64::from(value), f64::from(window.get().width));
    let typed = |event| event_target_value(&event).trim().parse::<f32>().ok().filter(|value| value.is_finite());
    let set_centre = move |event| {
        if let Some(centre) = typed(event) {
            session.dispatch(Command::SetWindow(Window { centre, ..window.now() }));
        }
    };
    let set_width = move |event| {
        if let Some(width) = typed(event).filter(|width| *width > 0.0) {
            session.dispatch(Command::SetWindow(Window { width, ..window.now() }));
        }
    };
    view! {
        <div class="range">
            <input
                type="text" inputmode="decimal" aria-label="Centre of the window" title="Centre"
                data-testid="window-centre" prop:value=move || text(window.get().centre) on:change=set_centre
            />
            "W"
            <input
                type="text" inputmode="decimal" aria-label="Width of the window" title="Width"
                data-testid="window-width" prop:value=move || text(window.get().width) on:change=set_width
            />
        </div>
    }
}

/// The panel: channel, window, smoothness.
#[component]
pub(super) fn WindowPanel() -> impl IntoView {
    let session = expect_context::<Session>();
    let choices = Memo::new(move |_| {
        session.viewing.channel.get();
        session.viewing.seen.get();
        session.case.detail.with(Option::is_some);
        session.presets()
    });
    let numbers = move || {
        let window = session.viewing.window.get();
        let text = |value: f32| shown(f64::from(value), f64::from(window.width));
        format!("C {}  W {}", text(window.centre), text(window.width))
    };
    view! {
        <section class="panel" aria-label="Window">
            <h2 class="small-title">
                "Window" <span class="tabular muted window-numbers" data-testid="window">{numbers}</span>
            </h2>
            <Channels />
            <WindowNumbers />
            <div class="presets">
                {move || choices.get().into_iter().map(|(name, window)| view! {
                    <button
                        class="small" class:on=move || session.viewing.window.get() == window
                        on:click=move |_| session.dispatch(Command::SetWindow(window))
                    >{name}</button>
                }).collect_view()}
            </div>
            <Switch
                name="Smooth image" act="smooth-image" test_id="toggle-smooth" is_on=|overlay| overlay.smooth
                command=Command::ToggleSmooth
            />
        </section>
    }
}

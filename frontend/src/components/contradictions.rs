//! Slices that contradict each other where they cross: which, where, and the expert's word on it.

use leptos::prelude::*;
use shared::crossing::Contradiction;
use shared::geometry::Plane;
use shared::label::{BACKGROUND, Label};

use super::slice_view::title;
use crate::session::command::Command;
use crate::session::{Pair, Session, Verdict};

/// Voxels listed for a pair of planes; the rest follows when these are settled.
const LISTED: usize = 12;

/// Nothing while all agree.
#[component]
pub(crate) fn Contradictions() -> impl IntoView {
    let session = expect_context::<Session>();
    let pairs = session.crossings.pairs;
    let total = move || pairs.with(|pairs| pairs.iter().map(|pair| pair.voxels.len()).sum::<usize>());
    let heading = move || match total() {
        1 => "1 voxel is in dispute".to_owned(),
        total => format!("{total} voxels are in dispute"),
    };
    view! {
        <Show when=move || !pairs.with(Vec::is_empty)>
            <section class="contradictions" role="region" aria-label="Contradictions" data-testid="contradictions">
                <h2 class="small-title">{heading}</h2>
                <p class="hint">"Two of your slices call a voxel by different labels. Which is right?"</p>
                {move || pairs.get().into_iter().map(|pair| view! { <Dispute pair=pair /> }).collect_view()}
                <button
                    class="wide" data-testid="settle-by-last-word" title="Each can be undone"
                    on:click=move |_| session.dispatch(Command::SettleByLastWord)
                >"The slice changed last is right, everywhere"</button>
            </section>
        </Show>
    }
}

#[component]
fn Dispute(pair: Pair) -> impl IntoView {
    let session = expect_context::<Session>();
    let [a, b] = pair.planes;
    let decide = move |right: Plane, wrong: Plane| {
        let verdict = Verdict { right, wrong, voxel: None };
        view! {
            <button
                class="small" data-testid="settle" data-axis=right.axis.name() data-index=right.index.to_string()
                on:click=move |_| session.dispatch(Command::Settle(verdict.clone()))
            >{format!("{} is right", named(right))}</button>
        }
    };
    let rest = pair.voxels.len().saturating_sub(LISTED);
    view! {
        <div
            class="dispute" data-testid="contradiction" data-finished=pair.is_finished.to_string()
            data-voxels=pair.voxels.len().to_string()
        >
            <p>{format!("{} and {}", named(a), named(b))}</p>
            <ol>
                {pair.voxels.iter().take(LISTED).map(|found| view! { <Voxel found=*found /> }).collect_view()}
            </ol>
            {(rest > 0).then(|| view! { <p class="hint">{format!("and {rest} more")}</p> })}
            <div class="pair">{decide(a, b)} {decide(b, a)}</div>
        </div>
    }
}

/// One voxel: a way to it, and what each of the two slices calls it.
#[component]
fn Voxel(found: Contradiction) -> impl IntoView {
    let session = expect_context::<Session>();
    let Contradiction { planes: [a, b], voxel, labels } = found;
    let [x, y, z] = voxel;
    let claim = move |right: Plane, wrong: Plane, label: Label| {
        let verdict = Verdict { right, wrong, voxel: Some(voxel) };
        let name = label_name(session, label);
        view! {
            <button
                class="small" title=format!("{}: {name}", named(right)) data-testid="settle-voxel"
                data-axis=right.axis.name() data-label=label.to_string()
                on:click=move |_| session.dispatch(Command::Settle(verdict.clone()))
            >{name.clone()}</button>
        }
    };
    view! {
        <li data-testid="contradiction-voxel" data-voxel=format!("{x},{y},{z}")>
            <button
                class="small quiet tabular" title="Show it" data-testid="contradiction-jump"
                on:click=move |_| session.dispatch(Command::LookAt(a, voxel))
            >
                {format!("{x}, {y}, {z}")}
            </button>
            {claim(a, b, labels[0])}
            {claim(b, a, labels[1])}
        </li>
    }
}

fn named(plane: Plane) -> String {
    format!("{} {}", title(plane.axis), plane.index)
}

fn label_name(session: Session, label: Label) -> String {
    if label == BACKGROUND {
        return "background".into();
    }
    let name = session
        .case
        .detail
        .with(|detail| detail.as_ref().and_then(|detail| detail.labels.find(label)).map(|label| label.name.clone()));
    name.unwrap_or_else(|| label.to_string())
}

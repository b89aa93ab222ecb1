//! What the newest refinement changed: a list to go through, each change to take or to leave, and the proof that the
//! corrected slices are in it.

use leptos::prelude::*;
use shared::label::{BACKGROUND, Label};

use super::acts::{Key, with_key};
use super::icon::{Icon, Shape};
use super::slice_view::title;
use crate::session::command::Command;
use crate::session::{IslandRow, Proof, Session, version_text};

/// Slices or changes; nothing while there is only one of them.
#[component]
pub(super) fn RailTabs() -> impl IntoView {
    let session = expect_context::<Session>();
    let count = Memo::new(move |_| {
        session.changes.list.with(|list| list.as_ref().map(|list| list.islands.len() + list.smaller))
    });
    let open = session.changes.open;
    let choose = move |wanted: bool| {
        if open.now() != wanted {
            session.dispatch(Command::ToggleChangeList);
        }
    };
    move || {
        count.get().map(|count| {
            view! {
                <div class="rail-tabs" role="group" aria-label="On the rail">
                    <button
                        class:on=move || !open.get() aria-pressed=move || (!open.get()).to_string()
                        data-testid="show-slices" on:click=move |_| choose(false)
                    >"Slices"</button>
                    <button
                        class:on=move || open.get() aria-pressed=move || open.get().to_string()
                        data-testid="show-changes" title=with_key(session, "What refinement changed", "next-change")
                        on:click=move |_| choose(true)
                    >{format!("Changes ({count})")}</button>
                </div>
            }
        })
    }
}

/// The changes.
#[component]
pub(super) fn ChangePanel() -> impl IntoView {
    let session = expect_context::<Session>();
    let list = session.changes.list;
    let rows = Memo::new(move |_| list.with(|list| list.as_ref().map_or(0, |list| list.islands.len())));
    let proof = Memo::new(move |_| list.with(|list| list.as_ref().map(|list| list.proof.clone()).unwrap_or_default()));
    let sum = move || {
        list.with(|list| list.as_ref().map(|list| sum_text(list.islands.len() + list.smaller, list.voxels, list.left)))
    };
    let smaller = move || list.with(|list| list.as_ref().map_or(0, |list| list.smaller));
    let left = move || list.with(|list| list.as_ref().map_or(0, |list| list.left));
    let busy = move || session.changes.deciding.get();
    view! {
        <section class="change-panel" aria-label="Changes" data-testid="change-panel">
            <p
                class="proof" class:failed=move || proof.with(|proof| !proof.broken.is_empty())
                data-testid="proof" data-kept=move || proof.with(|proof| proof.slices - proof.broken.len()).to_string()
                title="Every voxel of every slice that the refinement worked with was compared with its result here"
            >
                {move || proof.with(|proof| proof.broken.is_empty())
                    .then(|| view! { <Icon shape=Shape::Check /> })}
                <span>{move || proof.with(proof_text)}</span>
            </p>
            <p class="hint" data-testid="change-sum">{sum}</p>
            <ol class="change-list" aria-label="Changes, the largest first">
                {move || (0..rows.get()).map(|number| view! { <Change number=number /> }).collect_view()}
            </ol>
            <Show when={move || smaller() > 0}>
                <p class="hint">{move || format!("and {} smaller ones", smaller())}</p>
            </Show>
            <div class="pair">
                <button
                    data-testid="leave-all" disabled=move || busy() || rows.get() == 0
                    title="All voxels outside the corrected slices return to what they were before"
                    on:click=move |_| session.dispatch(Command::DecideAll(false))
                >"Leave all"</button>
                <button
                    data-testid="take-all" disabled=move || busy() || left() == 0
                    on:click=move |_| session.dispatch(Command::DecideAll(true))
                >"Take all"</button>
            </div>
            <OlderVersions />
        </section>
    }
}

#[component]
fn Change(number: usize) -> impl IntoView {
    let session = expect_context::<Session>();
    let row = Memo::new(move |_| {
        session.changes.list.with(|list| list.as_ref().and_then(|list| list.islands.get(number).cloned()))
    });
    let is_here = move || session.changes.at.get() == Some(number);
    let is_taken = move || row.with(|row| row.as_ref().is_some_and(|row| row.is_taken));
    let decide = move |_| session.dispatch(Command::Decide(number, !is_taken()));
    let shade = move || row.with(|row| row.as_ref().map(|row| colour(session, row)));
    view! {
        <li
            class="change" class:on=is_here class:left=move || !is_taken() data-testid="change"
            data-taken=move || is_taken().to_string()
            data-voxels=move || row.with(|row| row.as_ref().map(|row| row.voxels.to_string()))
            data-middle=move || row.with(|row| row.as_ref().map(|row| row.middle.map(|at| at.to_string()).join(",")))
            data-before=move || row.with(|row| row.as_ref().map(|row| row.before.to_string()))
            data-after=move || row.with(|row| row.as_ref().map(|row| row.after.to_string()))
        >
            <button
                class="quiet change-words" title="Show it" aria-current=move || is_here().then_some("true")
                data-testid="change-jump" on:click=move |_| session.dispatch(Command::LookAtChange(number))
            >
                <span class="swatch" style:background-color=shade></span>
                <span>{move || row.with(|row| row.as_ref().map(|row| change_text(session, row)))}</span>
                <span class="tabular muted">{move || row.with(|row| row.as_ref().map(|row| row.voxels))}</span>
            </button>
            <button
                class="small" data-testid="decide-change" disabled=move || session.changes.deciding.get()
                title=move || if is_taken() {
                    "Its voxels return to what they were before"
                } else {
                    "As the refinement made it"
                }
                on:click=decide
            >
                {move || if is_taken() { "Leave" } else { "Take" }}
                <Show when=is_here><Key act="decide-change" /></Show>
            </button>
        </li>
    }
}

/// Earlier versions, to work on from one of them.
#[component]
fn OlderVersions() -> impl IntoView {
    let session = expect_context::<Session>();
    let older = Memo::new(move |_| {
        session.case.detail.with(|detail| {
            let versions = detail.as_ref().map(|detail| detail.versions.clone()).unwrap_or_default();
            versions.split_last().map(|(_, older)| older.iter().rev().cloned().collect::<Vec<_>>()).unwrap_or_default()
        })
    });
    view! {
        <details class="older">
            <summary data-testid="older-versions">"Bring an older version back"</summary>
            <p class="hint">"Your corrected slices stay. “Take all” undoes it."</p>
            {move || older.get().into_iter().map(|version| {
                let (text, wanted) = (version_text(&version), version.clone());
                view! {
                    <button
                        class="wide" data-testid="bring-version-back" data-version=version
                        disabled=move || session.changes.deciding.get()
                        on:click=move |_| session.dispatch(Command::BringVersionBack(wanted.clone()))
                    >{text}</button>
                }
            }).collect_view()}
        </details>
    }
}

fn proof_text(proof: &Proof) -> String {
    let Proof { slices, voxels, broken } = proof;
    let kept = slices - broken.len();
    let noun = if *slices == 1 { "slice" } else { "slices" };
    let compared = format!("{kept} of {slices} corrected {noun} unchanged · {voxels} voxels compared");
    if broken.is_empty() {
        return compared;
    }
    let named: Vec<String> = broken.iter().map(|plane| format!("{} {}", title(plane.axis), plane.index)).collect();
    format!("{compared}. Not as you left it: {}", named.join(", "))
}

fn sum_text(islands: usize, voxels: usize, left: usize) -> String {
    match (islands, left) {
        (0, _) => "Outside the corrected slices nothing has changed.".into(),
        (1, 0) => format!("1 change beside the corrected slices, {voxels} voxels."),
        (islands, 0) => format!("{islands} changes beside the corrected slices, {voxels} voxels."),
        (islands, left) => format!("{islands} changes, {voxels} voxels; {left} left as before."),
    }
}

fn change_text(session: Session, row: &IslandRow) -> String {
    match (row.before, row.after) {
        (BACKGROUND, after) => format!("{} added", name(session, after)),
        (before, BACKGROUND) => format!("{} removed", name(session, before)),
        (before, after) => format!("{} → {}", name(session, before), name(session, after)),
    }
}

fn name(session: Session, label: Label) -> String {
    let found = session
        .case
        .detail
        .with(|detail| detail.as_ref().and_then(|detail| detail.labels.find(label)).map(|label| label.name.clone()));
    found.unwrap_or_else(|| label.to_string())
}

/// The colour of the label that came or went.
fn colour(session: Session, row: &IslandRow) -> String {
    let label = if row.after == BACKGROUND { row.before } else { row.after };
    let found = session
        .case
        .detail
        .with(|detail| detail.as_ref().and_then(|detail| detail.labels.find(label)).map(|label| label.colour.clone()));
    found.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use shared::geometry::{Axis, Plane};

    use super::*;

    #[test]
    fn the_proof_counts_and_names() {
        fn check(slices: usize, broken: &[usize], expected: &str) {
            let broken = broken.iter().map(|index| Plane { axis: Axis::Axial, index: *index }).collect();
            assert_eq!(proof_text(&Proof { slices, voxels: 4096, broken }), expected);
        }
        check(12, &[], "12 of 12 corrected slices unchanged · 4096 voxels compared");
        check(1, &[], "1 of 1 corrected slice unchanged · 4096 voxels compared");
        check(3, &[7], "2 of 3 corrected slices unchanged · 4096 voxels compared. Not as you left it: Axial 7");
    }

    #[test]
    fn changes_are_summed_up() {
        fn check(islands: usize, left: usize, expected: &str) {
            assert_eq!(sum_text(islands, 90, left), expected);
        }
        check(0, 0, "Outside the corrected slices nothing has changed.");
        check(1, 0, "1 change beside the corrected slices, 90 voxels.");
        check(14, 0, "14 changes beside the corrected slices, 90 voxels.");
        check(14, 2, "14 changes, 90 voxels; 2 left as before.");
    }
}

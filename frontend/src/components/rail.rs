//! The right side: the slices worth the expert's time, what to do with the one in view, and refinement.

use leptos::html::{Button, Span};
use leptos::prelude::*;
use shared::acquisition::ExpectedGain;
use shared::case::{Job, JobKind, JobState};
use shared::correction::SliceState;
use shared::effort::SliceEffort;
use shared::geometry::Plane;
use web_sys::{ScrollIntoViewOptions, ScrollLogicalPosition};

use super::acts::{Key, with_key};
use super::changes::{ChangePanel, RailTabs};
use super::contradictions::Contradictions;
use super::icon::{Icon, Shape};
use super::job::{JobProgress, foretold};
use super::review::ReviewPanel;
use super::slice_view::title;
use super::versions::SliceVersions;
use crate::session::command::Command;
use crate::session::{Session, SliceRow};

/// The slice rail.
#[component]
pub(crate) fn Rail() -> impl IntoView {
    let session = expect_context::<Session>();
    let round =
        Memo::new(move |_| session.case.detail.with(|detail| detail.as_ref().map_or(1, |detail| detail.summary.round)));
    let planes = |belongs: fn(&SliceRow) -> bool| {
        Memo::new(move |_| {
            session
                .rounds
                .slices
                .with(|rows| rows.iter().filter(|row| belongs(row)).map(|row| row.plane).collect::<Vec<_>>())
        })
    };
    let (offered, own, earlier) =
        (planes(|row| row.rank.is_some()), planes(|row| row.own), planes(|row| row.rank.is_none() && !row.own));
    let is_done = |row: &&SliceRow| row.state == SliceState::Done;
    let done = move || session.rounds.slices.with(|rows| rows.iter().filter(is_done).count());
    let done_now =
        move || session.rounds.slices.with(|rows| rows.iter().filter(|row| row.rank.is_some()).filter(is_done).count());
    view! {
        <aside class="rail" aria-label="Slices">
            <header>
                <h2 class="small-title" data-testid="round" data-round=move || round.get().to_string()>
                    {move || match round.get() {
                        0 | 1 => "Slices to correct".to_owned(),
                        round => format!("Round {round}"),
                    }}
                </h2>
                <span class="tabular muted" data-testid="slices-done">
                    {move || match offered.with(Vec::len) {
                        0 => String::new(),
                        slices => format!("{} of {slices} done", done_now()),
                    }}
                </span>
            </header>
            <RailTabs />
            <Show when=move || session.changes.open.get()><ChangePanel /></Show>
            <div class="slices-panel" class:put-away=move || session.changes.open.get()>
            <EffortSlider />
            <Show when=move || offered.with(Vec::is_empty) && session.case.loading.get().is_none()>
                <p class="hint">"Slices are chosen when the presegmentation has finished."</p>
            </Show>
            <div class="slice-lists">
                <ol class="slice-list" aria-label="Slices to correct">
                    <For each=move || offered.get() key=|plane| *plane let:plane>
                        <SliceItem plane=plane />
                    </For>
                </ol>
                <Show when=move || !own.with(Vec::is_empty)>
                    <h3>"My own"</h3>
                </Show>
                <ol class="slice-list" aria-label="My own slices">
                    <For each=move || own.get() key=|plane| *plane let:plane>
                        <SliceItem plane=plane />
                    </For>
                </ol>
                <Show when=move || !earlier.with(Vec::is_empty)>
                    <h3>"From earlier rounds"</h3>
                </Show>
                <ol class="slice-list" aria-label="Slices from earlier rounds">
                    <For each=move || earlier.get() key=|plane| *plane let:plane>
                        <SliceItem plane=plane />
                    </For>
                </ol>
            </div>
            <TimeTaken />
            <SliceActions />
            </div>
            <Contradictions />
            <Refinement done=Signal::derive(done) />
            <ReviewPanel />
        </aside>
    }
}

/// How many slices the expert is ready to correct. The list follows at once: the slices of a smaller effort are the
/// first of a larger one's.
#[component]
fn EffortSlider() -> impl IntoView {
    let session = expect_context::<Session>();
    let slices = move || session.rounds.effort.with(|effort| effort.slices);
    let most = move || session.rounds.effort.with(|effort| effort.most);
    let settles = move || session.rounds.effort.with(|effort| effort.settles);
    let send = move |event| {
        if let Ok(slices) = event_target_value(&event).parse() {
            session.dispatch(Command::SetEffort(slices));
        }
    };
    view! {
        <Show when={move || most() > 1}>
            <div class="effort">
                <label class="slider" title="More slices, more certainty; the first are the most worth it">
                    <span>"Effort"</span>
                    // The range first: a value beyond the range it finds is cut off.
                    <input
                        type="range" min="1" max=move || most().to_string() step="1" aria-label="Slices to correct"
                        data-testid="effort"
                        prop:value=move || slices().to_string() on:input=send
                    />
                    <output class="tabular">{move || counted(slices())}</output>
                </label>
                <Show when={move || settles() > 0.0}>
                    <p class="hint" data-testid="effort-settles">{move || settles_text(slices(), settles())}</p>
                </Show>
            </div>
        </Show>
    }
}

fn counted(slices: usize) -> String {
    if slices == 1 { "1 slice".into() } else { format!("{slices} slices") }
}

fn settles_text(slices: usize, settles: f64) -> String {
    let verb = if slices == 1 { "It settles" } else { "They settle" };
    format!("{verb} {} % of the uncertainty.", percent(settles))
}

/// A share in per cent, with a decimal where it is small.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent < 9.95 { format!("{percent:.1}") } else { format!("{percent:.0}") }
}

#[component]
fn SliceItem(plane: Plane) -> impl IntoView {
    let session = expect_context::<Session>();
    let row =
        Memo::new(move |_| session.rounds.slices.with(|rows| rows.iter().find(|row| row.plane == plane).cloned()));
    let is_target = move || session.rounds.target.get() == Some(plane);
    let state = move || row.with(|row| row.as_ref().map_or("todo", state_key));
    let is_unchanged = move || row.with(|row| row.as_ref().is_some_and(SliceRow::is_confirmed_unchanged));
    let item = NodeRef::<Button>::new();
    // The current slice is always in sight.
    Effect::new(move || {
        if let Some(item) = item.get().filter(|_| is_target()) {
            let nearest = ScrollIntoViewOptions::new();
            nearest.set_block(ScrollLogicalPosition::Nearest);
            item.scroll_into_view_with_scroll_into_view_options(&nearest);
        }
    });
    view! {
        <li>
            <button
                node_ref=item data-unchanged=move || is_unchanged().to_string()
                class="slice" class:on=is_target aria-current=move || is_target().then_some("true")
                data-testid="slice-item" data-axis=plane.axis.name() data-index=plane.index.to_string() data-state=state
                data-rank=move || row.with(|row| row.as_ref().and_then(|row| row.rank)).map(|rank| rank.to_string())
                on:click=move |_| session.dispatch(Command::GoTo(plane))
            >
                <Thumbnail plane=plane />
                <span class="slice-text">
                    <strong>{title(plane.axis)} " " <span class="tabular">{plane.index}</span></strong>
                    <small class="muted" title=move || row.with(|row| row.as_ref().map(title_text))>
                        {move || row.with(|row| row.as_ref().map(why_text))}
                    </small>
                </span>
                <StateMark state=Signal::derive(state) is_unchanged=Signal::derive(is_unchanged) />
            </button>
        </li>
    }
}

/// The state as a shape and a word, so that it does not hang on colour.
#[component]
fn StateMark(state: Signal<&'static str>, is_unchanged: Signal<bool>) -> impl IntoView {
    move || match state.get() {
        "done" if is_unchanged.get() => {
            view! { <span class="mark done"><Icon shape=Shape::Check /> "unchanged"</span> }.into_any()
        }
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
    let part = row.part.map_or_else(String::new, |part| format!(" · part {part}"));
    match row.rank {
        None if row.own => "chosen by you".into(),
        None => "corrected earlier".into(),
        Some(rank) if row.settles > 0.0 => format!("#{rank} · settles {} %{part}", percent(row.settles)),
        Some(rank) => format!("#{rank} · evenly spaced{part}"),
    }
}

/// The reason in full, and what the slice has taken.
fn title_text(row: &SliceRow) -> String {
    let taken = row.effort.map_or_else(String::new, |effort| format!(" {}.", effort_text(&effort)));
    format!("{}{taken}", why_title(row))
}

fn effort_text(effort: &SliceEffort) -> String {
    let strokes = if effort.strokes == 1 { "1 stroke".to_owned() } else { format!("{} strokes", effort.strokes) };
    format!(
        "{}, {strokes}, {:.0} mm drawn, {} voxels changed",
        time_text(effort.seconds),
        effort.contour_mm,
        effort.changed_voxels
    )
}

/// Minutes and seconds.
fn time_text(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

/// The reason in full.
fn why_title(row: &SliceRow) -> String {
    let part = row.part.map_or_else(String::new, |part| {
        format!(" It cuts most of part {part} of the segmentation, 1 being the largest.")
    });
    match row.rank {
        None if row.own => "You have chosen this plane; refinement uses it like any other once it is done.".into(),
        None => "Refinement goes on using this slice.".into(),
        Some(rank) if row.settles > 0.0 => format!(
            "Number {rank}: it settles {} % of the scan's uncertainty beyond the slices before it (score {:.3}: the \
             same per effort).{part}",
            percent(row.settles),
            row.score
        ),
        Some(rank) => format!("Number {rank}: the scan has no uncertainty to choose by.{part}"),
    }
}

/// What all slices have taken, and the log of it as a file.
#[component]
fn TimeTaken() -> impl IntoView {
    let session = expect_context::<Session>();
    let sum = Memo::new(move |_| {
        session.rounds.slices.with(|rows| {
            let taken = rows.iter().filter_map(|row| row.effort);
            taken.fold((0, 0.0, 0_u32), |(slices, seconds, strokes), effort| {
                (slices + 1, seconds + effort.seconds, strokes.saturating_add(effort.strokes))
            })
        })
    });
    let text = move || {
        let (slices, seconds, strokes) = sum.get();
        let slices = counted(slices);
        let strokes = if strokes == 1 { "1 stroke".to_owned() } else { format!("{strokes} strokes") };
        format!("{slices} · {} · {strokes}", time_text(seconds))
    };
    view! {
        <Show when={move || sum.get().0 > 0}>
            <p class="time-taken hint">
                <span class="tabular" data-testid="time-taken">{text}</span>
                <button
                    class="small quiet" title="What each slice has taken, as a table (CSV)" data-testid="effort-log"
                    on:click=move |_| session.dispatch(Command::DownloadEffort)
                >"Log"</button>
            </p>
        </Show>
    }
}

/// A slice in small; the session lays its picture here.
#[component]
fn Thumbnail(plane: Plane) -> impl IntoView {
    let session = expect_context::<Session>();
    let place = NodeRef::<Span>::new();
    Effect::new(move || {
        if let Some(place) = place.get() {
            session.dispatch(Command::AttachThumbnail(plane, place.into()));
        }
    });
    view! { <span class="thumbnail" node_ref=place aria-hidden="true"></span> }
}

/// What to do with the slice in view.
#[component]
fn SliceActions() -> impl IntoView {
    let session = expect_context::<Session>();
    let row =
        move || {
            session.rounds.target.get().and_then(|plane| {
                session.rounds.slices.with(|rows| rows.iter().find(|row| row.plane == plane).cloned())
            })
        };
    let state = Memo::new(move |_| row().map(|row| row.state));
    let touched = move || row().is_some_and(|row| row.touched);
    let is_done = move || state.get() == Some(SliceState::Done);
    view! {
        <section class="slice-actions" aria-label="This slice">
            <button
                class="primary wide" data-testid="mark-done"
                title=with_key(session, "Every voxel of this plane is right, changed or not", "mark-done")
                disabled=move || state.get().is_none() || is_done()
                on:click=move |_| session.dispatch(Command::MarkDone)
            >
                <Icon shape=Shape::Check />
                {move || if is_done() { "Slice is done" } else { "Mark slice done" }}
                <Key act="mark-done" />
            </button>
            <div class="pair">
                <Show
                    when=move || matches!(state.get(), Some(SliceState::Done | SliceState::Skipped))
                    fallback=move || view! {
                        <button
                            data-testid="skip" disabled=move || state.get().is_none()
                            on:click=move |_| session.dispatch(Command::Skip)
                        >
                            <Icon shape=Shape::Skip /> "Skip" <Key act="skip" />
                        </button>
                    }
                >
                    <button data-testid="reopen" on:click=move |_| session.dispatch(Command::Reopen)>
                        <Icon shape=Shape::Undo /> "Reopen"
                    </button>
                </Show>
                <button
                    data-testid="reset-slice" title="Back to the segmentation's labels; can be undone"
                    disabled=move || !touched() on:click=move |_| session.dispatch(Command::ResetSlice)
                >"Reset"</button>
                <button
                    data-testid="list-versions"
                    title="What was saved of this slice earlier, here or elsewhere; any can be brought back"
                    disabled=move || state.get().is_none()
                    on:click=move |_| session.dispatch(Command::ToggleSliceVersions)
                >"Versions"</button>
            </div>
            <SliceVersions />
        </section>
    }
}

#[component]
fn Refinement(done: Signal<usize>) -> impl IntoView {
    let session = expect_context::<Session>();
    let refinement = |job: &Job| job.kind == JobKind::Refine;
    let job = Signal::derive(move || {
        session
            .case
            .detail
            .with(|detail| detail.as_ref().and_then(|detail| detail.summary.job.clone().filter(refinement)))
    });
    let busy = move || {
        job.with(|job| job.as_ref().is_some_and(|job| matches!(job.state, JobState::Queued | JobState::Running)))
    };
    // After a refinement the next step is the suggestion's, or none.
    let refined =
        move || session.case.detail.with(|detail| detail.as_ref().is_some_and(|detail| detail.next.is_some()));
    let blocked = move || session.crossings.blocking() > 0;
    let explain = move || match session.why_not_refined() {
        _ if busy() => "",
        _ if blocked() => "Slices that are done contradict each other: decide which is right.",
        Some(why) => why,
        None => "Uses every slice that is done; the whole volume is segmented anew.",
    };
    let takes = move || foretold(session, JobKind::Refine);
    let is_armed = move || !busy() && !blocked() && session.why_not_refined().is_none();
    view! {
        <section class="refinement" aria-label="Refinement">
            <JobProgress job=job />
            <Show when=move || !busy()><Suggestion /></Show>
            <button
                class="wide" class:accent=move || !refined() data-testid="refine"
                disabled=move || !is_armed() title=with_key(session, "Refine", "refine")
                on:click=move |_| session.dispatch(Command::Refine)
            >
                {move || match done.get() {
                    0 => "Refine".to_owned(),
                    1 => "Refine with 1 slice".to_owned(),
                    count => format!("Refine with {count} slices"),
                }}
            </button>
            <p class="hint" data-testid="refine-explained">
                {explain} {move || is_armed().then(takes).flatten().map(|words| format!(" {words}"))}
            </p>
            <label
                class="switch"
                title="Takes up to two minutes more. Slices are kept back to check it; if they get no better, nothing \
                       changes."
            >
                <input
                    type="checkbox" role="switch" data-testid="adapt" prop:checked=move || session.rounds.adapts.get()
                    disabled=busy
                    on:change=move |_| session.dispatch(Command::ToggleAdaptation)
                />
                <span>"Let the network learn from this case first"</span>
            </label>
        </section>
    }
}

/// After a refinement: what another round would bring, and the way to it.
#[component]
fn Suggestion() -> impl IntoView {
    let session = expect_context::<Session>();
    let next = Memo::new(move |_| {
        session.case.detail.with(|detail| {
            let next = detail.as_ref()?.next.as_ref()?;
            Some((next.slices.slices.len(), next.expected))
        })
    });
    move || {
        let (slices, expected) = next.get()?;
        let advice = advice(expected);
        Some(view! {
            <div class="suggestion" role="status" data-testid="suggestion" data-advice=advice>
                <p>{suggestion_text(slices, expected)}</p>
                <button
                    class="wide" class:primary=move || advice == "go-on" && !has_slices_to_do(session)
                    data-testid="another-round"
                    on:click=move |_| session.dispatch(Command::BeginRound)
                >
                    "Another round: " {counted(slices)}
                </button>
            </div>
        })
    }
}

fn advice(expected: Option<ExpectedGain>) -> &'static str {
    match expected {
        None => "unknown",
        Some(gain) if gain.stop => "stop",
        Some(_) => "go-on",
    }
}

/// Then these come first: one thing at a time is the next to do.
fn has_slices_to_do(session: Session) -> bool {
    let is_to_do = |row: &SliceRow| row.rank.is_some() && row.state == SliceState::Todo;
    session.rounds.slices.with(|rows| rows.iter().any(is_to_do))
}

fn suggestion_text(slices: usize, expected: Option<ExpectedGain>) -> String {
    let next = if slices == 1 { "The next slice".to_owned() } else { format!("The next {slices} slices") };
    match expected {
        None => format!("What {} would change cannot be told yet.", next.replace("The", "the")),
        Some(gain) if gain.share < 0.001 => format!("{next} would change next to nothing: you can stop here."),
        Some(gain) if gain.stop => {
            format!("{next} would change about {} % of the segmentation: you can stop here.", percent(gain.share))
        }
        Some(gain) => format!(
            "{next} would change about {} % of the segmentation: another round is worth it.",
            percent(gain.share)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::acquisition::WORTHWHILE_SHARE;

    #[test]
    fn the_suggestion_says_what_comes_next() {
        fn check(slices: usize, share: Option<f64>, expected: &str) {
            let gain =
                share.map(|share| ExpectedGain { voxels: 1000.0 * share, share, stop: share < WORTHWHILE_SHARE });
            assert_eq!(suggestion_text(slices, gain), expected);
        }
        check(3, Some(0.004), "The next 3 slices would change about 0.4 % of the segmentation: you can stop here.");
        check(
            1,
            Some(0.0421),
            "The next slice would change about 4.2 % of the segmentation: another round is worth it.",
        );
        check(
            4,
            Some(0.126),
            "The next 4 slices would change about 13 % of the segmentation: another round is worth it.",
        );
        check(3, Some(0.0), "The next 3 slices would change next to nothing: you can stop here.");
        check(3, None, "What the next 3 slices would change cannot be told yet.");
    }

    #[test]
    fn a_slice_says_why_it_was_chosen() {
        fn check(rank: Option<usize>, own: bool, settles: f64, part: Option<usize>, expected: &str) {
            let plane = Plane { axis: shared::geometry::Axis::Axial, index: 3 };
            let row = SliceRow {
                plane,
                rank,
                part,
                settles,
                score: 0.0,
                state: SliceState::Todo,
                edits: 0,
                touched: false,
                own,
                effort: None,
            };
            assert_eq!(why_text(&row), expected);
        }
        check(Some(1), false, 0.1234, None, "#1 · settles 12 %");
        check(Some(2), false, 0.0123, Some(2), "#2 · settles 1.2 % · part 2");
        check(Some(3), false, 0.0, None, "#3 · evenly spaced");
        check(None, false, 0.0, None, "corrected earlier");
        check(None, true, 0.0, None, "chosen by you");
    }

    #[test]
    fn what_a_slice_has_taken_is_told_in_words() {
        let plane = Plane { axis: shared::geometry::Axis::Axial, index: 3 };
        let effort = SliceEffort { plane, seconds: 83.4, strokes: 1, contour_mm: 31.6, changed_voxels: 120 };
        assert_eq!(effort_text(&effort), "1 min 23 s, 1 stroke, 32 mm drawn, 120 voxels changed");
        assert_eq!(time_text(59.4), "59 s");
    }
}

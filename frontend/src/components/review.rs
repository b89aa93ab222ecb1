//! A second pair of eyes: handing in, notes on slices, approval, second readings, and who has corrected what.

use leptos::prelude::*;
use shared::api::{Reading, Review, ReviewState, Said, SliceAuthors, SliceNote, Verdict};
use shared::case::JobState;
use shared::geometry::Plane;

use crate::session::command::Command;
use crate::session::{Reviewing, Session, SignedIn};

/// How the open case stands with those who review it; nothing where there are no accounts.
#[component]
pub(crate) fn ReviewPanel() -> impl IntoView {
    let session = expect_context::<Session>();
    let reviewing = Reviewing::new(session, expect_context::<SignedIn>());
    // All news of the case: a second reading that is finished changes nothing of the case itself. While a job runs
    // there is news of its progress alone.
    let news = move || {
        session.case.detail.with(|detail| {
            let case = &detail.as_ref()?.summary;
            let runs = case.job.as_ref().is_some_and(|job| job.state == JobState::Running);
            (!runs).then(|| case.id.clone())
        })
    };
    let is_reading =
        Memo::new(move |_| session.case.detail.with(|detail| detail.as_ref().is_some_and(|it| it.summary.is_reading)));
    Effect::new(move || {
        if let (true, Some(case)) = (reviewing.is_shared(), news()) {
            reviewing.look(case);
        }
    });
    let state = Memo::new(move |_| reviewing.review.with(|review| review.as_ref().map(|review| review.state)));
    view! {
        <Show when=move || reviewing.is_shared() && state.get().is_some()>
            <details class="review" data-testid="review" data-state=move || state.get().map(state_key)>
                <summary>
                    {move || if is_reading.get() { "Second reading: " } else { "Review: " }}
                    {move || reviewing.review.with(|review| review.as_ref().map(state_text))}
                </summary>
                <p class="hint failed" role="alert" data-testid="review-trouble">{move || reviewing.trouble.get()}</p>
                <Words reviewing=reviewing />
                <Show when=move || state.get() != Some(ReviewState::HandedIn)>
                    <button
                        class="wide" data-testid="hand-in" on:click=move |_| reviewing.hand_in()
                    >
                        {move || if is_reading.get() { "Finish the second reading" } else { "Hand in for review" }}
                    </button>
                </Show>
                <Show when=move || reviewing.reviews() && !is_reading.get()>
                    <Judging reviewing=reviewing />
                    <Readings reviewing=reviewing />
                </Show>
                <Authors reviewing=reviewing />
            </details>
        </Show>
    }
}

/// What was said last, with the way to each slice that has a note.
#[component]
fn Words(reviewing: Reviewing) -> impl IntoView {
    let said = Memo::new(move |_| {
        reviewing.review.with(|review| review.as_ref().map(|review| review.said.clone()).unwrap_or_default())
    });
    let row = |said: Said| {
        view! {
            <li data-testid="review-said">
                <span>{verdict_text(said.verdict)} " · " {said.said_by} " · " {time_text(said.said_s)}</span>
                {(!said.note.is_empty()).then(|| view! { <p>{said.note}</p> })}
                {said.slices.into_iter().map(note_row).collect_view()}
            </li>
        }
    };
    view! { <ol class="lines" aria-label="What was said">{move || said.get().into_iter().map(row).collect_view()}</ol> }
}

fn note_row(SliceNote { plane, note }: SliceNote) -> impl IntoView {
    view! { <p data-testid="slice-note"><SliceLink plane=plane /> " " {note}</p> }
}

#[component]
fn SliceLink(plane: Plane) -> impl IntoView {
    let session = expect_context::<Session>();
    view! {
        <button
            class="small" data-testid="review-jump" data-axis=plane.axis.name() data-index=plane.index.to_string()
            on:click=move |_| session.dispatch(Command::GoTo(plane))
        >{plane.to_string()}</button>
    }
}

/// What a reviewer is about to say.
#[component]
fn Judging(reviewing: Reviewing) -> impl IntoView {
    let session = expect_context::<Session>();
    let target = session.rounds.target;
    let whole = RwSignal::new(String::new());
    let of_target = move || {
        let plane = target.get()?;
        reviewing.notes.with(|notes| notes.iter().find(|note| note.plane == plane).map(|note| note.note.clone()))
    };
    let write = move |event| {
        if let Some(plane) = target.now() {
            reviewing.note(plane, event_target_value(&event));
        }
    };
    let noted = move || reviewing.notes.with(Vec::len);
    let send_back = move |_| {
        reviewing.judge(Verdict::SentBack, whole.get_untracked());
        whole.set(String::new());
    };
    view! {
        <div class="judging">
            <label class="field">
                <span>
                    {move || match target.get() {
                        None => "No slice is chosen".to_owned(),
                        Some(plane) => format!("Note on {plane}"),
                    }}
                </span>
                <input
                    type="text" autocomplete="off" maxlength="500" data-testid="note-on-slice"
                    disabled=move || target.get().is_none()
                    prop:value=move || of_target().unwrap_or_default() on:input=write
                />
            </label>
            <label class="field">
                <span>"Note on the case"</span>
                <input
                    type="text" autocomplete="off" maxlength="500" data-testid="note-on-case" prop:value=whole
                    on:input=move |event| whole.set(event_target_value(&event))
                />
            </label>
            <div class="presets">
                <button data-testid="approve" on:click=move |_| reviewing.judge(Verdict::Approved, String::new())>
                    "Approve"
                </button>
                <button
                    data-testid="send-back" disabled=move || noted() == 0 && whole.with(|note| note.trim().is_empty())
                    title="Write a note on a slice or on the case first" on:click=send_back
                >
                    {move || match noted() {
                        0 => "Send back".to_owned(),
                        1 => "Send back with 1 slice".to_owned(),
                        count => format!("Send back with {count} slices"),
                    }}
                </button>
            </div>
        </div>
    }
}

/// Second readings, and a form for another.
#[component]
fn Readings(reviewing: Reviewing) -> impl IntoView {
    let readings = Memo::new(move |_| {
        reviewing.review.with(|review| review.as_ref().map(|review| review.readings.clone()).unwrap_or_default())
    });
    let (reader, share) = (RwSignal::new(String::new()), RwSignal::new(0.25));
    let ask = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        reviewing.ask_reading(reader.get_untracked(), share.get_untracked());
    };
    view! {
        <ul class="lines" aria-label="Second readings">
            {move || readings.get().into_iter().map(|reading| view! { <ReadingRow reading=reading /> }).collect_view()}
        </ul>
        <Show when=move || !reviewing.readers.with(Vec::is_empty)>
            <form class="presets" aria-label="Ask for a second reading" on:submit=ask>
                <select
                    aria-label="Second reader" required=true data-testid="second-reader"
                    on:change=move |event| reader.set(event_target_value(&event))
                >
                    <option value="">"Second reader…"</option>
                    {move || reviewing.readers.get().into_iter().map(|name| {
                        view! { <option value=name.clone()>{name.clone()}</option> }
                    }).collect_view()}
                </select>
                <select
                    aria-label="Share of the slices" data-testid="reading-share"
                    on:change=move |event| share.set(event_target_value(&event).parse().unwrap_or(1.0))
                >
                    {[("0.1", "10 %"), ("0.25", "25 %"), ("0.5", "50 %"), ("1", "all")].map(|(value, words)| view! {
                        <option value=value selected=value == "0.25">{words}</option>
                    })}
                </select>
                <button type="submit" data-testid="ask-reading">"Ask for a second reading"</button>
            </form>
        </Show>
    }
}

#[component]
fn ReadingRow(reading: Reading) -> impl IntoView {
    let Reading { reader, slices, agreement, .. } = reading;
    let each = agreement.as_ref().map(|agreement| agreement.slices.clone()).unwrap_or_default();
    let dice = agreement.as_ref().map(|agreement| dice_text(agreement.dice));
    let words = match &dice {
        None => format!("{reader} reads {}", counted(slices)),
        Some(dice) => format!("{reader} has read {}: Dice {dice}", counted(slices)),
    };
    view! {
        <li data-testid="reading" data-reader=reader data-dice=dice>
            {words}
            {each.into_iter().map(|slice| view! {
                <p data-testid="slice-agreement"><SliceLink plane=slice.plane /> " " {dice_text(slice.dice)}</p>
            }).collect_view()}
        </li>
    }
}

/// Who has corrected what, the latest first.
#[component]
fn Authors(reviewing: Reviewing) -> impl IntoView {
    let authors = Memo::new(move |_| {
        reviewing.review.with(|review| review.as_ref().map(|review| review.authors.clone()).unwrap_or_default())
    });
    let row = |SliceAuthors { plane, saved_by, saved_s, all, .. }: SliceAuthors| {
        let others: Vec<String> = all.into_iter().filter(|name| *name != saved_by).collect();
        view! {
            <li data-testid="corrected-by">
                <SliceLink plane=plane /> " " {saved_by} " · " {time_text(saved_s)}
                {(!others.is_empty()).then(|| format!(", before by {}", others.join(", ")))}
            </li>
        }
    };
    view! {
        <Show when=move || !authors.with(Vec::is_empty)>
            <h3>"Who corrected what"</h3>
            <ul class="lines">{move || authors.get().into_iter().map(row).collect_view()}</ul>
        </Show>
    }
}

fn counted(slices: usize) -> String {
    if slices == 1 { "1 slice".to_owned() } else { format!("{slices} slices") }
}

fn dice_text(dice: Option<f64>) -> String {
    dice.map_or("both say there is nothing".to_owned(), |dice| format!("{dice:.3}"))
}

/// The state as tests and styles know it.
fn state_key(state: ReviewState) -> &'static str {
    match state {
        ReviewState::Open => "open",
        ReviewState::HandedIn => "handed-in",
        ReviewState::SentBack => "sent-back",
        ReviewState::Approved => "approved",
        ReviewState::Changed => "changed",
    }
}

fn state_text(review: &Review) -> String {
    let by = review.said.first().map(|said| said.said_by.as_str()).unwrap_or_default();
    match review.state {
        ReviewState::Open => "not handed in".to_owned(),
        ReviewState::HandedIn => format!("handed in by {by}"),
        ReviewState::SentBack => format!("sent back by {by}"),
        ReviewState::Approved => format!("approved by {by}"),
        ReviewState::Changed => "changed since it was approved".to_owned(),
    }
}

/// The state in a list; nothing where there is none.
pub(super) fn standing_word(state: ReviewState) -> Option<&'static str> {
    match state {
        ReviewState::Open => None,
        ReviewState::HandedIn => Some("Handed in"),
        ReviewState::SentBack => Some("Sent back"),
        ReviewState::Approved => Some("Approved"),
        ReviewState::Changed => Some("Changed since approved"),
    }
}

fn verdict_text(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::HandedIn => "Handed in",
        Verdict::SentBack => "Sent back",
        Verdict::Approved => "Approved",
    }
}

/// Day and time where the reader is.
pub(super) fn time_text(at_s: i64) -> String {
    let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(at_s as f64 * 1000.0));
    String::from(date.to_locale_string("en-GB", &wasm_bindgen::JsValue::UNDEFINED)).chars().take(17).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_case_stands_is_told_with_who_said_so() {
        let said =
            |verdict| Said { verdict, note: String::new(), slices: Vec::new(), said_by: "carla".to_owned(), said_s: 0 };
        let check = |state, said: Vec<Said>, expected: &str| {
            let review = Review { state, work: String::new(), said, authors: Vec::new(), readings: Vec::new() };
            assert_eq!(state_text(&review), expected);
        };
        check(ReviewState::Open, Vec::new(), "not handed in");
        check(ReviewState::SentBack, vec![said(Verdict::SentBack)], "sent back by carla");
        check(ReviewState::Changed, vec![said(Verdict::Approved)], "changed since it was approved");
        assert_eq!(dice_text(Some(0.91249)), "0.912");
    }
}

//! A job's progress, the same on the list and in the workbench.

use leptos::prelude::*;
use shared::api::Forecast;
use shared::case::{Job, JobState};

use crate::session::Session;
use crate::session::command::Command;

/// What a job is doing, with a bar while it runs and a way to stop it.
#[component]
pub(crate) fn JobProgress(#[prop(into)] job: Signal<Option<Job>>) -> impl IntoView {
    let session = expect_context::<Session>();
    // Progress changes many times a second; the bar stays in place while only its numbers change.
    let kind = Memo::new(move |_| job.with(|job| job.as_ref().map(|job| (job.id, job.kind, job.state))));
    let percent =
        move || job.with(|job| job.as_ref().map_or(0, |job| (job.progress.clamp(0.0, 1.0) * 100.0).round() as u32));
    let message = move || job.with(|job| job.as_ref().map(|job| job.message.clone()).unwrap_or_default());
    let ahead = move || job.with(|job| job.as_ref().and_then(|job| job.ahead));
    move || {
        let (id, kind, state) = kind.get()?;
        let word = kind.name();
        let body = match state {
            JobState::Queued => {
                view! { <span class="job-text">{move || queued_text(word, ahead(), &message())}</span> }.into_any()
            }
            JobState::Running => view! {
                <span class="job-text" title=message>
                    {word}
                    <b class="tabular">{move || format!("{} %", percent())}</b>
                </span>
                <progress max="100" value=move || percent().to_string() aria-label=word></progress>
            }
            .into_any(),
            JobState::Failed => {
                view! { <span class="job-text failed">{move || format!("{word} failed: {}", message())}</span> }
                    .into_any()
            }
            JobState::Cancelled => {
                view! { <span class="job-text muted">{format!("{word} cancelled")}</span> }.into_any()
            }
            JobState::Done => return None,
        };
        let cancel = (!state.is_terminal()).then(|| {
            view! {
                <button
                    class="small" data-testid="cancel-job" on:click=move |_| session.dispatch(Command::CancelJob(id))
                >"Cancel"</button>
            }
        });
        let again = matches!(state, JobState::Failed | JobState::Cancelled).then(|| {
            view! {
                <button
                    class="small" data-testid="retry-job" on:click=move |_| session.dispatch(Command::RetryJob(id))
                >"Try again"</button>
            }
        });
        Some(view! {
            <div
                class="job" data-testid="job-progress" data-state=state_word(state)
                data-progress=move || percent().to_string()
            >
                {body} {cancel} {again}
            </div>
        })
    }
}

/// What is said of a job that waits: its place, if that is known; its message tells why it waits again, if it does.
fn queued_text(word: &str, ahead: Option<u32>, message: &str) -> String {
    let place = match ahead {
        None => "waiting in the queue".to_owned(),
        Some(0) => "next in the queue".to_owned(),
        Some(1) => "1 job before it".to_owned(),
        Some(count) => format!("{count} jobs before it"),
    };
    let why = if message.is_empty() { String::new() } else { format!(" ({message})") };
    format!("{word}: {place}{why}")
}

/// What a job would come to that has not been asked for.
pub(super) fn foretold_text(forecast: &Forecast) -> String {
    let takes = about(forecast.takes_s);
    if forecast.wait_s < 1.0 {
        format!("Takes {takes}.")
    } else {
        format!("Takes {takes}, after {} of other work.", about(forecast.wait_s))
    }
}

fn about(seconds: f64) -> String {
    match seconds {
        ..1.5 => "about a second".to_owned(),
        ..90.0 => format!("about {seconds:.0} s"),
        ..5400.0 => format!("about {:.0} min", seconds / 60.0),
        _ => format!("about {:.1} h", seconds / 3600.0),
    }
}

/// The state as tests and styles know it.
pub(crate) fn state_word(state: JobState) -> &'static str {
    match state {
        JobState::Queued => "queued",
        JobState::Running => "running",
        JobState::Done => "done",
        JobState::Failed => "failed",
        JobState::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use shared::case::JobKind;

    use super::*;

    #[test]
    fn what_a_job_would_take_is_told_before() {
        fn check(wait_s: f64, takes_s: f64, expected: &str) {
            let forecast = Forecast { bundle: "b".to_owned(), kind: JobKind::Refine, wait_s, takes_s };
            assert_eq!(foretold_text(&forecast), expected);
        }
        check(0.0, 0.4, "Takes about a second.");
        check(0.0, 41.7, "Takes about 42 s.");
        check(300.0, 95.0, "Takes about 2 min, after about 5 min of other work.");
        check(9000.0, 60.0, "Takes about 60 s, after about 2.5 h of other work.");
    }

    #[test]
    fn a_job_that_waits_says_why_if_it_knows() {
        fn check(ahead: Option<u32>, message: &str, expected: &str) {
            assert_eq!(queued_text("Refinement", ahead, message), expected);
        }
        check(None, "", "Refinement: waiting in the queue");
        check(Some(0), "", "Refinement: next in the queue");
        check(Some(1), "", "Refinement: 1 job before it");
        check(
            Some(3),
            "the worker stopped; second try",
            "Refinement: 3 jobs before it (the worker stopped; second try)",
        );
    }
}

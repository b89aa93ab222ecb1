//! A job's progress, the same on the list and in the workbench.

use leptos::prelude::*;
use shared::api::Forecast;
use shared::case::{Job, JobId, JobKind, JobState};

use super::icon::{Icon, Shape};
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
    // Since when this page has watched the job run, and how far it was then.
    let begun = StoredValue::new(None::<(JobId, f64, f32)>);
    let left = Memo::new(move |_| {
        let (id, progress) = job
            .with(|job| job.as_ref().filter(|job| job.state == JobState::Running).map(|job| (job.id, job.progress)))?;
        let now_ms = js_sys::Date::now();
        match begun.get_value() {
            Some((known, since_ms, from)) if known == id && from <= progress => {
                left_text(now_ms - since_ms, from, progress)
            }
            _ => {
                begun.set_value(Some((id, now_ms, progress)));
                None
            }
        }
    });
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
                    <span class="muted tabular" data-testid="time-left">{left}</span>
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
            let is_awaited = move || session.link.awaited.with(|awaited| awaited.contains(&id));
            view! {
                <span class="job-acts">
                    <button
                        class="small bell" class:on=is_awaited aria-pressed=move || is_awaited().to_string()
                        aria-label="Tell me when it is ready" title="Tell me when it is ready"
                        data-testid="tell-me" on:click=move |_| session.dispatch(Command::AwaitJob(id))
                    ><Icon shape=Shape::Bell /></button>
                    <button
                        class="small" data-testid="cancel-job"
                        on:click=move |_| session.dispatch(Command::CancelJob(id))
                    >"Cancel"</button>
                </span>
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

/// How long a job still takes, if it goes on as it went from one share of it to another in `elapsed_ms`; nothing while
/// too little of it was seen.
fn left_text(elapsed_ms: f64, from: f32, to: f32) -> Option<String> {
    let seen = f64::from(to - from);
    if seen < 0.03 || elapsed_ms < 1500.0 {
        return None;
    }
    let left_s = elapsed_ms / 1000.0 * f64::from(1.0 - to).max(0.0) / seen;
    Some(format!("{} left", roughly(left_s)))
}

/// What is left, in steps that do not tick.
fn roughly(seconds: f64) -> String {
    match seconds {
        ..45.0 => "less than a minute".to_owned(),
        ..90.0 => "about a minute".to_owned(),
        ..3600.0 => format!("about {:.0} minutes", seconds / 60.0),
        _ => format!("about {:.1} hours", seconds / 3600.0),
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

/// What a job of the open case would come to; nothing where none of its kind has been done yet.
pub(super) fn foretold(session: Session, kind: JobKind) -> Option<String> {
    let bundle = session.case.detail.with(|detail| detail.as_ref().map(|detail| detail.summary.bundle.clone()))?;
    let of = |all: &Vec<Forecast>| all.iter().find(|one| one.bundle == bundle && one.kind == kind).map(foretold_text);
    session.list.forecasts.with(of)
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
    fn a_job_that_runs_says_how_long_it_takes() {
        fn check(elapsed_s: f64, from: f32, to: f32, expected: Option<&str>) {
            assert_eq!(left_text(elapsed_s * 1000.0, from, to).as_deref(), expected);
        }
        check(20.0, 0.5, 0.51, None);
        check(1.0, 0.0, 0.5, None);
        check(10.0, 0.0, 0.5, Some("less than a minute left"));
        check(60.0, 0.5, 0.75, Some("about a minute left"));
        check(180.0, 0.0, 0.1, Some("about 27 minutes left"));
        check(180.0, 0.25, 0.30, Some("about 42 minutes left"));
        check(3600.0, 0.0, 0.25, Some("about 3.0 hours left"));
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

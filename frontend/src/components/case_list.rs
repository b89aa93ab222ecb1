//! The page at `/`: send a scan, see how far each case is, open one.

use leptos::prelude::*;
use shared::api::{CaseSummary, NOTE_LIMIT};
use shared::case::{CaseId, Stage};

use super::banner::TroubleBanner;
use super::icon::{Icon, Shape};
use super::job::{JobProgress, state_word};
use super::pacs::OpenFromPacs;
use super::review::standing_word;
use super::upload::UploadForm;
use super::warnings::ScanWarnings;
use super::who_is_in::WhoIsIn;
use super::worklist::{Progress, Wish, WorklistBar, chosen};
use crate::session::Session;
use crate::session::command::Command;

/// The case list.
#[component]
pub(crate) fn CaseList() -> impl IntoView {
    let session = expect_context::<Session>();
    let wish = RwSignal::new(Wish::default());
    let are_known = Memo::new(move |_| session.list.cases.with(|cases| cases.as_ref().map(Vec::is_empty)));
    let ids = Memo::new(move |_| {
        session.list.cases.with(|cases| {
            session
                .list
                .unsent
                .with(|unsent| wish.with(|wish| chosen(cases.as_deref().unwrap_or_default(), unsent, wish)))
        })
    });
    view! {
        <div class="list-page">
            <header class="brand-bar">
                <Brand />
                <span class="muted">"A few corrected slices, a better 3D segmentation"</span>
                <WhoIsIn />
                {move || (!session.link.online.get()).then(|| view! {
                    <span class="pill offline" role="status">"Server not reachable, trying again…"</span>
                })}
            </header>
            <TroubleBanner />
            <main class="list-columns">
                <div class="ways-in">
                    <UploadForm />
                    <OpenFromPacs />
                </div>
                <section class="cases" aria-label="Cases">
                    <h1>"Cases"</h1>
                    <Binned />
                    {move || match are_known.get() {
                        None if !session.link.online.get() => view! {
                            <p class="muted waiting" role="alert">
                                "The server does not answer; the list appears when it does."
                            </p>
                        }.into_any(),
                        None => view! { <p class="muted waiting">"Asking the server for its cases…"</p> }.into_any(),
                        Some(true) => view! { <Empty /> }.into_any(),
                        Some(false) => view! {
                            <Progress />
                            <WorklistBar wish=wish />
                            <Show when=move || ids.with(Vec::is_empty)>
                                <p class="muted waiting" data-testid="no-match">"No case fits. "
                                    <button
                                        class="small" on:click=move |_| wish.set(Wish::default())
                                    >"Show all"</button>
                                </p>
                            </Show>
                            <ul class="case-rows">
                                <For each=move || ids.get() key=|id| id.clone() let:id>
                                    <CaseRow id=id />
                                </For>
                            </ul>
                        }
                        .into_any(),
                    }}
                </section>
            </main>
        </div>
    }
}

/// The product's name.
#[component]
pub(crate) fn Brand() -> impl IntoView {
    view! {
        <span class="brand">
            <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
                <path d="M12 2 21 7v10l-9 5-9-5V7z" />
                <path class="lit" d="M3 12l9 5 9-5-9-5z" />
            </svg>
            "i3Deep"
        </span>
    }
}

/// The case that was deleted last, and the way back.
#[component]
fn Binned() -> impl IntoView {
    let session = expect_context::<Session>();
    move || {
        let CaseSummary { id, name, .. } = session.list.binned.get()?;
        Some(view! {
            <p class="muted waiting" role="status" data-testid="binned">
                {format!("“{name}” is in the bin, where it stays for a week. ")}
                <button
                    class="small" data-testid="bring-case-back"
                    on:click=move |_| session.dispatch(Command::BringCaseBack(id.clone()))
                >
                    "Bring it back"
                </button>
            </p>
        })
    }
}

#[component]
fn Empty() -> impl IntoView {
    view! {
        <div class="empty" data-testid="no-cases">
            <h2>"No scans yet"</h2>
            <ol>
                <li>"Drop scans on the left and send them: NIfTI files, DICOM series, or folders of them. They are \
                     segmented at once, and the slices most worth your time are chosen."</li>
                <li>"Open the case and correct just these slices with the brush."</li>
                <li>"Refine: your corrections improve the segmentation of the whole volume. Download it as NIfTI."</li>
            </ol>
        </div>
    }
}

#[component]
fn CaseRow(id: CaseId) -> impl IntoView {
    let session = expect_context::<Session>();
    let case =
        Memo::new(move |_| session.list.cases.with(|cases| cases.iter().flatten().find(|case| case.id == id).cloned()));
    let deleting = RwSignal::new(false);
    // Not folded in again with every word of the server about the job.
    let unfolded = RwSignal::new(false);
    // Only this makes the row anew: in its note somebody may be writing.
    let known = Memo::new(move |_| {
        case.with(|case| {
            case.as_ref().map(|case| (case.id.clone(), case.name.clone(), case.bundle.clone(), case.created_s))
        })
    });
    move || {
        let (id, name, bundle, created_s) = known.get()?;
        let picture = Memo::new(move |_| case.with(|case| case.as_ref().map(|case| session.picture_of(case))));
        let (noted_id, given_id, named) = (id.clone(), id.clone(), name.clone());
        let (href, case_id, confirmed_id) = (format!("/case/{id}"), id.to_string(), id.clone());
        let stage = move || case.with(|case| case.as_ref().map(|case| case.stage));
        let job_state =
            move || case.with(|case| case.as_ref().and_then(|case| case.job.as_ref()).map(|job| state_word(job.state)));
        let unsent_id = id.clone();
        let unsent = move || session.list.unsent.with(|unsent| unsent.get(&unsent_id).copied());
        let job = Signal::derive(move || case.with(|case| case.as_ref().and_then(|case| case.job.clone())));
        let warnings =
            Memo::new(move |_| case.with(|case| case.as_ref().map(|case| case.warnings.clone()).unwrap_or_default()));
        let actions = move || {
            let (href, id) = (href.clone(), confirmed_id.clone());
            if deleting.get() {
                view! {
                    <span class="confirm">"Delete this case? It can be brought back for a week."</span>
                    <button
                        class="danger" data-testid="confirm-delete"
                        on:click=move |_| session.dispatch(Command::DeleteCase(id.clone()))
                    >
                        "Delete"
                    </button>
                    <button on:click=move |_| deleting.set(false)>"Keep"</button>
                }
                .into_any()
            } else {
                view! {
                    <button
                        class="quiet" aria-label="Delete case" title="Delete" data-testid="delete-case"
                        on:click=move |_| deleting.set(true)
                    >
                        <Icon shape=Shape::Trash />
                    </button>
                    <a class="button" href=href data-testid="open-case">"Open"</a>
                }
                .into_any()
            }
        };
        // Away from the server a picture does not come; its place stays, without the browser's sign of what is broken.
        let unseen = RwSignal::new(false);
        Some(view! {
            <li
                class="case-row" data-testid="case-row" data-case=case_id data-stage=move || stage().map(stage_key)
                data-job=job_state
            >
                <img
                    class="case-picture" class:unseen=move || unseen.get() data-testid="case-picture"
                    src=move || picture.get() alt="" width="56" height="56" loading="lazy"
                    on:error=move |_| unseen.set(true) on:load=move |_| unseen.set(false)
                />
                <div class="case-name">
                    <strong>{name}</strong>
                    <span class="muted">{bundle} " · " {date_text(created_s)}</span>
                    <ScanWarnings warnings=warnings open=unfolded class="warnings" />
                    <CaseNote case=case id=noted_id name=named />
                    <Given case=case id=given_id />
                </div>
                <div class="case-progress">
                    <span class="stage">{move || case.with(|case| case.as_ref().map(stage_text))}</span>
                    {move || case.with(|case| case.as_ref().and_then(review_text)).map(|words| view! {
                        <span class="muted" data-testid="case-review">{words}</span>
                    })}
                    {move || case.with(|case| case.as_ref().and_then(|case| case.uncertain)).map(|uncertain| view! {
                        <span
                            class="muted" data-testid="uncertain"
                            title="Uncertainty of the newest segmentation for each voxel that is segmented"
                        >{format!("uncertainty {:.0} %", uncertain * 100.0)}</span>
                    })}
                    {move || unsent().map(|count| view! {
                        <span class="unsent" data-testid="unsent">{unsent_text(count)}</span>
                    })}
                    <JobProgress job=job />
                </div>
                <div class="case-actions">{actions}</div>
            </li>
        })
    }
}

/// What is written on a case, to be written over.
#[component]
fn CaseNote(case: Memo<Option<CaseSummary>>, id: CaseId, name: String) -> impl IntoView {
    let session = expect_context::<Session>();
    let note = Memo::new(move |_| case.with(|case| case.as_ref().map(|case| case.note.clone()).unwrap_or_default()));
    let write = move |event| session.dispatch(Command::SetNote(id.clone(), event_target_value(&event)));
    view! {
        <input
            type="text" class="case-note" placeholder="Note" maxlength=NOTE_LIMIT.to_string() autocomplete="off"
            aria-label=format!("Note on {name}") data-testid="case-note" prop:value=note on:change=write
        />
    }
}

/// Whom a case was given to; a choice for those who give cases to people.
#[component]
fn Given(case: Memo<Option<CaseSummary>>, id: CaseId) -> impl IntoView {
    let session = expect_context::<Session>();
    let assigned =
        Memo::new(move |_| case.with(|case| case.as_ref().map(|case| case.assigned.clone()).unwrap_or_default()));
    let id = StoredValue::new(id);
    let give = move |event| {
        let to = Some(event_target_value(&event)).filter(|name| !name.is_empty());
        session.dispatch(Command::GiveCase(id.get_value(), to));
    };
    move || {
        let people = session.list.people.get();
        if people.is_empty() {
            let names = assigned.get().join(", ");
            return (!names.is_empty())
                .then(|| view! { <span class="muted" data-testid="assigned">"For " {names}</span> }.into_any());
        }
        let is_theirs = move |name: &str| assigned.with(|assigned| assigned.iter().any(|known| known == name));
        let options = people.into_iter().map(|name| {
            let is_chosen = is_theirs(&name);
            let words = name.clone();
            view! { <option value=name selected=is_chosen>{words}</option> }
        });
        Some(
            view! {
                <select class="given" aria-label="Given to" data-testid="assign" on:change=give>
                    <option value="" selected=assigned.with(Vec::is_empty)>"Given to nobody"</option>
                    {options.collect_view()}
                </select>
            }
            .into_any(),
        )
    }
}

fn stage_key(stage: Stage) -> &'static str {
    match stage {
        Stage::Presegmenting => "presegmenting",
        Stage::Correcting => "correcting",
        Stage::Refining => "refining",
        Stage::Refined => "refined",
    }
}

fn stage_text(case: &CaseSummary) -> String {
    let slices = format!("{} of {} slices done", case.slices_done, case.slices);
    match case.stage {
        Stage::Presegmenting => "Not segmented yet".into(),
        Stage::Correcting => slices,
        Stage::Refining => "Refining".into(),
        Stage::Refined if case.rounds == 1 => format!("Refined · {slices}"),
        Stage::Refined => format!("Refined {} times · {slices}", case.rounds),
    }
}

/// Where it stands with those who review it; nothing where nobody has said anything.
fn review_text(case: &CaseSummary) -> Option<String> {
    let words = standing_word(case.review);
    if case.is_reading {
        return Some(words.map_or("Second reading".to_owned(), |_| "Second reading, finished".to_owned()));
    }
    words.map(str::to_owned)
}

fn unsent_text(count: usize) -> String {
    let slices = if count == 1 { "1 slice".to_owned() } else { format!("{count} slices") };
    format!("{slices} not sent yet")
}

/// Day and time where the reader is.
fn date_text(created_s: i64) -> String {
    let date = js_sys::Date::new(&wasm_bindgen::JsValue::from_f64(created_s as f64 * 1000.0));
    String::from(date.to_locale_string("en-GB", &wasm_bindgen::JsValue::UNDEFINED)).chars().take(17).collect()
}

//! "Open from PACS": search, choose one series, see it come.

use leptos::prelude::*;
use leptos_router::NavigateOptions;
use leptos_router::hooks::use_navigate;
use shared::api::{BundleInfo, Import, ImportState, OpenSeries, PacsInfo, PacsSeries, PacsStudy, StudyQuery};

use super::icon::{Icon, Shape};
use crate::session::Session;
use crate::session::command::Command;

/// What is typed and chosen.
#[derive(Clone, Copy)]
struct Form {
    source: RwSignal<Option<String>>,
    bundle: RwSignal<Option<String>>,
    query: RwSignal<StudyQuery>,
}

/// The card below "New case", where the operator has named a PACS that this person may search.
#[component]
pub(crate) fn OpenFromPacs() -> impl IntoView {
    let session = expect_context::<Session>();
    let form =
        Form { source: RwSignal::new(None), bundle: RwSignal::new(None), query: RwSignal::new(StudyQuery::default()) };
    let sources = Memo::new(move |_| {
        session.pacs.sources.with(|all| all.iter().filter(|source| source.may_search).cloned().collect::<Vec<_>>())
    });
    Effect::new(move || {
        let first = sources.with(|sources| sources.first().map(|source| source.name.clone()));
        if form.source.with_untracked(Option::is_none) {
            form.source.set(first);
        }
    });
    let search = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let Some(source) = form.source.get_untracked() else { return };
        session.dispatch(Command::SearchPacs(source, form.query.get_untracked()));
    };
    view! {
        <Show when=move || !sources.with(Vec::is_empty)>
            <section class="pacs card" aria-label="Open from PACS" data-testid="pacs">
                <form on:submit=search>
                    <h2>"Open from PACS"</h2>
                    <Sources sources=sources form=form />
                    <Words form=form label="Patient (name or number)" test_id="pacs-patient" field=|query| {
                        &mut query.patient
                    } />
                    <Words form=form label="Accession number" test_id="pacs-accession" field=|query| {
                        &mut query.accession
                    } />
                    <div class="pair">
                        <Words form=form kind="date" label="From" test_id="pacs-from" field=|query| &mut query.from />
                        <Words form=form kind="date" label="To" test_id="pacs-until" field=|query| &mut query.until />
                    </div>
                    <Words form=form label="Modality (CT, MR, …)" test_id="pacs-modality" field=|query| {
                        &mut query.modality
                    } />
                    <button
                        class="wide" type="submit" data-testid="pacs-search"
                        disabled=move || session.pacs.searches.get()
                    >
                        {move || if session.pacs.searches.get() { "Searching…" } else { "Search" }}
                    </button>
                </form>
                <Bundles form=form />
                <Found form=form />
                <Imports />
            </section>
        </Show>
    }
}

/// Which PACS, where there are several.
#[component]
fn Sources(sources: Memo<Vec<PacsInfo>>, form: Form) -> impl IntoView {
    let options = move || {
        let option = |source: PacsInfo| {
            let (value, name) = (source.name.clone(), source.name.clone());
            let is_chosen = move || form.source.with(|chosen| chosen.as_ref() == Some(&source.name));
            view! { <option value=value prop:selected=is_chosen>{name}</option> }
        };
        sources.get().into_iter().map(option).collect_view()
    };
    view! {
        <Show when=move || { sources.with(Vec::len) > 1 }>
            <label class="field">
                <span>"PACS"</span>
                <select
                    data-testid="pacs-source" on:change=move |event| form.source.set(Some(event_target_value(&event)))
                >{options}</select>
            </label>
        </Show>
    }
}

/// A field of the query.
#[component]
fn Words(
    form: Form,
    label: &'static str,
    test_id: &'static str,
    #[prop(default = "text")] kind: &'static str,
    field: fn(&mut StudyQuery) -> &mut String,
) -> impl IntoView {
    let value = move || form.query.with(|query| field(&mut query.clone()).clone());
    view! {
        <label class="field">
            <span>{label}</span>
            <input
                type=kind data-testid=test_id maxlength="128" autocomplete="off" prop:value=value
                on:input=move |event| form.query.update(|query| *field(query) = event_target_value(&event))
            />
        </label>
    }
}

/// What to segment a series with, once there is one.
#[component]
fn Bundles(form: Form) -> impl IntoView {
    let session = expect_context::<Session>();
    let usable = Memo::new(move |_| {
        let fits = |bundle: &&BundleInfo| bundle.problem.is_none() && bundle.channels.len() == 1;
        session
            .list
            .bundles
            .with(|all| all.iter().flatten().filter(fits).map(|bundle| bundle.name.clone()).collect::<Vec<String>>())
    });
    Effect::new(move || {
        let first = usable.with(|names| names.first().cloned());
        if form.bundle.with_untracked(Option::is_none) {
            form.bundle.set(first);
        }
    });
    let options = move || {
        let option = |name: String| {
            let (value, text) = (name.clone(), name.clone());
            let is_chosen = move || form.bundle.with(|chosen| chosen.as_ref() == Some(&name));
            view! { <option value=value prop:selected=is_chosen>{text}</option> }
        };
        usable.get().into_iter().map(option).collect_view()
    };
    let has_found = move || session.pacs.found.with(|found| found.as_ref().is_some_and(|it| !it.studies.is_empty()));
    view! {
        <Show when=has_found>
            <label class="field">
                <span>"What to segment"</span>
                <select
                    data-testid="pacs-bundle" on:change=move |event| form.bundle.set(Some(event_target_value(&event)))
                >{options}</select>
            </label>
        </Show>
    }
}

/// The studies of the last search.
#[component]
fn Found(form: Form) -> impl IntoView {
    let session = expect_context::<Session>();
    move || {
        let found = session.pacs.found.get()?;
        if found.studies.is_empty() {
            return Some(
                view! { <p class="hint" role="status" data-testid="pacs-none">"Nothing fits."</p> }.into_any(),
            );
        }
        let more =
            found.are_more.then(|| view! { <p class="hint">"There are more; say more of what you look for."</p> });
        let studies = found.studies.into_iter().map(|study| view! { <Study study=study form=form /> }).collect_view();
        Some(view! { <ul class="studies" aria-label="Studies">{studies}</ul> {more} }.into_any())
    }
}

#[component]
fn Study(study: PacsStudy, form: Form) -> impl IntoView {
    let session = expect_context::<Session>();
    let uid = StoredValue::new(study.study.clone());
    let is_open = Memo::new(move |_| {
        session.pacs.study.with(|shown| uid.with_value(|uid| shown.as_ref().is_some_and(|it| it.study == *uid)))
    });
    let show = move |_| {
        let Some(source) = form.source.get_untracked() else { return };
        session.dispatch(Command::ShowStudy(source, uid.get_value()));
    };
    let series = move || {
        session.pacs.study.get().filter(|_| is_open.get()).map(|shown| match shown.series {
            None => view! { <p class="hint">"Asking for its series…"</p> }.into_any(),
            Some(series) if series.is_empty() => view! { <p class="hint">"It has no series."</p> }.into_any(),
            Some(all) => {
                let rows = all.into_iter().map(|series| view! { <Series series=series study=uid form=form /> });
                view! { <ul class="series">{rows.collect_view()}</ul> }.into_any()
            }
        })
    };
    let about = [study.date, study.modalities.join(", "), study.description, study.accession];
    view! {
        <li data-testid="pacs-study">
            <button
                type="button" class="study" aria-expanded=move || is_open.get().to_string() data-testid="show-study"
                on:click=show
            >
                <strong>{joined(&[study.patient_name, study.patient_id, study.birth_date])}</strong>
                <span class="muted">{joined(&about)}</span>
            </button>
            {series}
        </li>
    }
}

#[component]
fn Series(series: PacsSeries, study: StoredValue<String>, form: Form) -> impl IntoView {
    let session = expect_context::<Session>();
    let images = series.images.map(|count| if count == 1 { "1 image".into() } else { format!("{count} images") });
    let words = joined(&[series.modality.clone(), series.description.clone(), images.unwrap_or_default()]);
    let is_scan = !["SEG", "SR", "PR", "KO", "RTSTRUCT", "DOC"].contains(&series.modality.as_str());
    let label = format!("Open {words}");
    let uid = series.series;
    let open = move |_| {
        let (Some(source), Some(bundle)) = (form.source.get_untracked(), form.bundle.get_untracked()) else { return };
        let (study, series) = (study.get_value(), vec![uid.clone()]);
        session.dispatch(Command::OpenSeries(source, OpenSeries { study, series, bundle, name: String::new() }));
    };
    view! {
        <li data-testid="pacs-series" data-modality=series.modality>
            <span>{words}</span>
            {is_scan.then(|| view! {
                <button type="button" class="small" aria-label=label data-testid="open-series" on:click=open>
                    "Open"
                </button>
            })}
        </li>
    }
}

/// What is on its way.
#[component]
fn Imports() -> impl IntoView {
    let session = expect_context::<Session>();
    let ids = Memo::new(move |_| {
        session.pacs.imports.with(|all| all.iter().map(|import| import.id.clone()).collect::<Vec<_>>())
    });
    view! {
        <ul class="imports" aria-live="polite">
            <For each=move || ids.get() key=|id| id.clone() let:id>
                <Coming id=id />
            </For>
        </ul>
    }
}

/// One import.
#[component]
fn Coming(id: String) -> impl IntoView {
    let session = expect_context::<Session>();
    let id = StoredValue::new(id);
    let import = Memo::new(move |_| {
        let find = |all: &Vec<Import>| id.with_value(|id| all.iter().find(|import| import.id == *id).cloned());
        session.pacs.imports.with(find)
    });
    let state = Memo::new(move |_| import.with(|import| import.as_ref().map(|import| import.state)));
    let stop = move |_| session.dispatch(Command::StopImport(id.get_value()));
    let forget = move |_| session.dispatch(Command::ForgetImport(id.get_value()));
    let act = move || match state.get()? {
        ImportState::Waiting | ImportState::Fetching => Some(
            view! { <button type="button" class="small" data-testid="stop-import" on:click=stop>"Stop"</button> }
                .into_any(),
        ),
        ImportState::Checking => None,
        ImportState::Done => import.get()?.case.map(|case| {
            view! { <a class="button small" href=format!("/case/{case}") data-testid="open-imported">"Open"</a> }
                .into_any()
        }),
        ImportState::Failed | ImportState::Cancelled => Some(
            view! {
                <button type="button" class="quiet small" aria-label="Dismiss" on:click=forget>
                    <Icon shape=Shape::Cross />
                </button>
            }
            .into_any(),
        ),
    };
    let failed = move || state.get() == Some(ImportState::Failed);
    let has_picture = Memo::new(move |_| import.with(|import| import.as_ref().is_some_and(|it| it.has_picture)));
    let goes_over = RwSignal::new(false);
    let navigate = use_navigate();
    Effect::new(move || {
        let case = import.with(|import| import.as_ref().and_then(|import| import.case.clone()));
        if let Some(case) = case.filter(|_| goes_over.get_untracked()) {
            navigate(&format!("/case/{case}"), NavigateOptions::default());
        }
    });
    view! {
        <li data-testid="import" data-state=move || state.get().map(state_word)>
            <span class:failed=failed>{move || import.get().map(|import| import_text(&import))}</span>
            {act}
            <Show when=move || has_picture.get()>
                <Glance url=id.with_value(|id| session.import_picture(id)) goes_over=goes_over />
            </Show>
        </li>
    }
}

/// A slice of what is on its way. It is no case yet: nothing can be painted on it, but one can ask to go there.
#[component]
fn Glance(url: String, goes_over: RwSignal<bool>) -> impl IntoView {
    let words = move || match goes_over.get() {
        true => "It opens as soon as all of it is here",
        false => "One of its slices, to look at. Press it to open the scan as soon as all of it is here",
    };
    view! {
        <button
            type="button" class="glance" aria-pressed=move || goes_over.get().to_string() data-testid="import-picture"
            on:click=move |_| goes_over.update(|goes_over| *goes_over = !*goes_over)
        >
            <img src=url alt="A slice of the series that is on its way" />
            <span class="muted">{words}</span>
        </button>
    }
}

fn state_word(state: ImportState) -> &'static str {
    match state {
        ImportState::Waiting => "waiting",
        ImportState::Fetching => "fetching",
        ImportState::Checking => "checking",
        ImportState::Done => "done",
        ImportState::Failed => "failed",
        ImportState::Cancelled => "cancelled",
    }
}

fn import_text(import: &Import) -> String {
    let Import { source, fetched, of, message, .. } = import;
    match import.state {
        ImportState::Waiting => format!("From {source}: others come first"),
        ImportState::Fetching if *of == 0 => format!("From {source}: asking for its images"),
        ImportState::Fetching => format!("From {source}: {fetched} of {of} images"),
        ImportState::Checking => format!("From {source}: {of} images are here, and are looked through"),
        ImportState::Done => format!("From {source}: it is in the list"),
        ImportState::Failed => format!("Not opened: {message}"),
        ImportState::Cancelled => "Stopped".to_owned(),
    }
}

/// What there is of several texts, in one line.
fn joined(texts: &[String]) -> String {
    let said: Vec<&str> = texts.iter().map(String::as_str).filter(|text| !text.is_empty()).collect();
    said.join(" · ")
}

//! Sending scans: which bundle, and the files. Where a scan has one channel, many may be dropped at once.

use leptos::html::Input;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::BundleInfo;
use shared::case::JobKind;
use web_sys::{DragEvent, File};

use super::icon::{Icon, Shape};
use super::job::foretold_text;
use crate::api::Upload;
use crate::browser::dropped::{Dropped, Found, picked};
use crate::session::command::Command;
use crate::session::{Sending, Session, Sorted, numbered, sort_files};

/// What was dropped or picked so far. `File` belongs to this thread.
type Files = RwSignal<Chosen, LocalStorage>;

/// The files of the form.
#[derive(Clone, Debug, Default)]
struct Chosen {
    /// One place a channel, for a single scan.
    places: Vec<Option<File>>,
    /// Whole scans, to be sent one after the other; then the places are not looked at.
    scans: Vec<Vec<File>>,
}

impl Chosen {
    /// The scans that are to be sent; none while a channel is missing.
    fn scans(&self) -> Vec<Vec<File>> {
        let single: Option<Vec<File>> = self.places.iter().cloned().collect();
        if self.scans.is_empty() {
            single.filter(|files| !files.is_empty()).into_iter().collect()
        } else {
            self.scans.clone()
        }
    }
}

/// The upload form.
#[component]
pub(crate) fn UploadForm() -> impl IntoView {
    let session = expect_context::<Session>();
    let chosen = RwSignal::new(None::<String>);
    let name = RwSignal::new(String::new());
    let files: Files = RwSignal::new_local(Chosen::default());
    let surplus = RwSignal::new(None::<String>);
    // Chosen by name, for good: the server's list may be another one later, and a scan must not go to the neighbour of
    // what was chosen.
    Effect::new(move || {
        let usable = |bundle: &&BundleInfo| bundle.problem.is_none();
        let first = session.list.bundles.with(|bundles| {
            let bundles = bundles.as_deref().unwrap_or_default();
            bundles.iter().find(usable).or(bundles.first()).map(|bundle| bundle.name.clone())
        });
        if chosen.with_untracked(Option::is_none) {
            chosen.set(first);
        }
    });
    let bundle = Memo::new(move |_| {
        chosen.with(|chosen| {
            session
                .list
                .bundles
                .with(|bundles| bundles.as_ref().and_then(|bundles| find(bundles, chosen.as_deref()).cloned()))
        })
    });
    // What decides which files are wanted; the rest of a bundle may change without making one choose them again.
    let channels = Memo::new(move |_| {
        bundle.with(|bundle| bundle.as_ref().map(|bundle| (bundle.name.clone(), bundle.channels.clone())))
    });
    let empty = move || {
        let places = channels.with(|channels| channels.as_ref().map_or(0, |(_, channels)| channels.len()));
        files.set(Chosen { places: vec![None; places], scans: Vec::new() });
        name.set(String::new());
        surplus.set(None);
    };
    Effect::new(empty);
    let sent = StoredValue::new_local(Vec::<Vec<File>>::new());
    // What was chosen for the next case while this one was on its way stays.
    Effect::watch(
        move || session.list.uploaded.get(),
        move |_, _, _| {
            if files.with_untracked(Chosen::scans) == sent.get_value() {
                untrack(empty);
            }
        },
        false,
    );
    let count = move || files.with(|files| files.scans().len());
    let ready = move || {
        let usable = bundle.with(|bundle| bundle.as_ref().is_some_and(|bundle| bundle.problem.is_none()));
        usable && session.list.upload.with(Option::is_none) && count() > 0
    };
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let Some(bundle) = bundle.get_untracked().filter(|_| ready()) else { return };
        let scans = files.with_untracked(Chosen::scans);
        sent.set_value(scans.clone());
        let of = scans.len();
        let upload = |(at, images): (usize, Vec<File>)| {
            // Never the file's: those are often patients' names, and this one is on every page.
            let name = numbered(name.get_untracked().trim(), at, of);
            Upload { bundle: bundle.name.clone(), name, images }
        };
        session.dispatch(Command::Upload((1..).zip(scans).map(upload).collect()));
    };
    view! {
        <form class="upload card" aria-label="New case" on:submit=send>
            <h2>"New case"</h2>
            <BundleChoice chosen=chosen bundle=bundle />
            {move || channels.get().map(|(_, channels)| view! {
                <Channels channels=channels files=files surplus=surplus />
            })}
            {move || surplus.get().map(|text| view! {
                <p class="hint failed" role="alert" data-testid="upload-surplus">{text}</p>
            })}
            <label class="field">
                <span>"Name "<em class="muted">"(optional; everybody who sees the list reads it)"</em></span>
                <input
                    type="text" data-testid="upload-name" maxlength="120" autocomplete="off"
                    prop:value=name on:input=move |event| name.set(event_target_value(&event))
                />
            </label>
            <Show when={move || count() > 1 && !name.with(String::is_empty)}>
                <p class="hint">{move || format!("They are called {0} 1, {0} 2, …", name.get().trim())}</p>
            </Show>
            <Foretold bundle=bundle shown=Signal::derive(ready) />
            <button class="primary wide" type="submit" data-testid="upload-start" disabled=move || !ready()>
                <Icon shape=Shape::Upload />
                {move || match session.list.upload.get() {
                    Some(sending) => sending_text(sending),
                    None if count() > 1 => format!("Send and segment {} scans", count()),
                    None => "Send and segment".to_owned(),
                }}
            </button>
            {move || session.list.upload.get().map(|sending| view! {
                <progress max="1" value=overall(sending).to_string() aria-label="Upload"></progress>
            })}
            <UntakenScans />
        </form>
    }
}

fn sending_text(Sending { at, of, share }: Sending) -> String {
    let percent = (share * 100.0).round();
    if of == 1 { format!("Sending… {percent} %") } else { format!("Sending {at} of {of}… {percent} %") }
}

/// Share of all scans that is sent.
fn overall(Sending { at, of, share }: Sending) -> f64 {
    (at as f64 - 1.0 + share) / of as f64
}

/// Scans that were not taken, why, and a way to send them again.
#[component]
fn UntakenScans() -> impl IntoView {
    let session = expect_context::<Session>();
    let untaken = session.list.untaken;
    view! {
        <Show when=move || !untaken.with(Vec::is_empty) && session.list.upload.with(Option::is_none)>
            <div class="untaken" role="alert" data-testid="untaken">
                <p class="failed">{move || match untaken.with(Vec::len) {
                    1 => "1 scan was not taken:".to_owned(),
                    count => format!("{count} scans were not taken:"),
                }}</p>
                <ul>
                    {move || untaken.get().into_iter().map(|scan| view! {
                        <li><strong>{scan.file}</strong>": "{scan.why}</li>
                    }).collect_view()}
                </ul>
                <div class="pair">
                    <button
                        type="button" data-testid="upload-again"
                        on:click=move |_| session.dispatch(Command::UploadAgain)
                    >"Send again"</button>
                    <button
                        type="button" class="quiet" on:click=move |_| session.dispatch(Command::ForgetUntaken)
                    >"Leave them"</button>
                </div>
            </div>
        </Show>
    }
}

#[component]
fn BundleChoice(chosen: RwSignal<Option<String>>, bundle: Memo<Option<BundleInfo>>) -> impl IntoView {
    let session = expect_context::<Session>();
    let options = move || {
        let option = |bundle: BundleInfo| {
            let (text, value) = (format!("{} ({})", bundle.name, bundle.version), bundle.name.clone());
            let is_chosen = move || chosen.with(|chosen| chosen.as_ref() == Some(&bundle.name));
            view! { <option value=value prop:selected=is_chosen>{text}</option> }
        };
        session.list.bundles.get().unwrap_or_default().into_iter().map(option).collect_view()
    };
    let none = move || session.list.bundles.with(|bundles| bundles.as_ref().is_some_and(Vec::is_empty));
    let gone = move || chosen.get().filter(|_| bundle.with(Option::is_none));
    let problem = move || bundle.with(|bundle| bundle.as_ref().and_then(|bundle| bundle.problem.clone()));
    let task = move || {
        bundle
            .with(|bundle| bundle.as_ref().filter(|bundle| bundle.problem.is_none()).map(|bundle| bundle.task.clone()))
    };
    view! {
        <label class="field">
            <span>"What to segment"</span>
            <select data-testid="bundle" on:change=move |event| chosen.set(Some(event_target_value(&event)))>
                {move || gone().map(|name| view! {
                    <option value=name.clone() prop:selected=true>{format!("{name} (gone)")}</option>
                })}
                {options}
            </select>
        </label>
        {move || task().map(|task| view! { <p class="hint">{task}</p> })}
        {move || problem().map(|problem| view! {
            <p class="hint failed" role="alert">{format!("This bundle cannot be used: {problem}")}</p>
        })}
        {move || gone().map(|name| view! {
            <p class="hint failed" role="alert">
                {format!("The server does not offer {name} any more; choose another bundle.")}
            </p>
        })}
        {move || none().then(|| view! {
            <p class="hint failed" role="alert">"The server offers no model bundle. Start it with --models DIR."</p>
        })}
    }
}

#[component]
fn Channels(channels: Vec<String>, files: Files, surplus: RwSignal<Option<String>>) -> impl IntoView {
    let several = channels.len() > 1;
    let places = channels.into_iter().enumerate();
    view! {
        {places.map(|(channel, name)| view! {
            <Drop channel=channel name=name files=files surplus=surplus />
        }).collect_view()}
        {if several {
            view! { <p class="hint">"Drop all channels at once, in this order, or one by one."</p> }.into_any()
        } else {
            view! { <FolderChoice files=files surplus=surplus /> }.into_any()
        }}
    }
}

/// Takes what was dropped or picked for a channel. Several files fill this place and those after it; where they are
/// whole scans, they are sent one after the other.
fn take(channel: usize, found: Vec<Found>, files: Files, surplus: RwSignal<Option<String>>) {
    if found.is_empty() {
        return;
    }
    let places = files.with_untracked(|files| files.places.len());
    let all: Vec<File> = found.iter().map(|(_, file)| file.clone()).collect();
    let Sorted { scans, left_out } = sort_files(found, places);
    let are_whole = scans.iter().all(|scan| places == 1 || scan.len() == places);
    if are_whole && !scans.is_empty() && (places == 1 || scans.len() > 1) {
        surplus.set(left_out_text(&left_out));
        return files.update(|files| files.scans = scans);
    }
    surplus.set(surplus_text(all.len(), places.saturating_sub(channel)).or(left_out_text(&left_out)));
    files.update(|files| {
        files.scans.clear();
        files.places.iter_mut().skip(channel).zip(all).for_each(|(place, file)| *place = Some(file));
    });
}

/// Where files and folders are dropped or picked.
#[component]
fn Drop(channel: usize, name: String, files: Files, surplus: RwSignal<Option<String>>) -> impl IntoView {
    let input = NodeRef::<Input>::new();
    let over = RwSignal::new(false);
    let take_picked = move |_| {
        let Some(input) = input.get_untracked() else { return };
        take(channel, picked(input.files()), files, surplus);
        // So that picking the same file again, mended meanwhile, is a change too.
        input.set_value("");
    };
    let take_dropped = move |event: DragEvent| {
        event.prevent_default();
        over.set(false);
        let dropped = Dropped::of(event.data_transfer());
        spawn_local(async move { take(channel, dropped.files().await, files, surplus) });
    };
    let held = move || files.with(|files| held_text(files, channel));
    let test_id = if channel == 0 { "upload-input".to_owned() } else { format!("upload-input-{channel}") };
    view! {
        <label
            class="drop" class:over=over class:filled=move || held().is_some()
            on:dragover=move |event: DragEvent| { event.prevent_default(); over.set(true); }
            on:dragleave=move |_| over.set(false)
            on:drop=take_dropped
        >
            // Slices of a series often have no ending: a list of endings would hide them.
            <input node_ref=input type="file" multiple=true data-testid=test_id on:change=take_picked />
            <Icon shape=Shape::Upload />
            <span class="drop-channel">{name}</span>
            <span class="drop-file">
                {move || held().unwrap_or_else(|| {
                    "Drop scans or folders here, or click to choose: NIfTI, DICOM, zip".into()
                })}
            </span>
        </label>
    }
}

/// A folder with many scans in it.
#[component]
fn FolderChoice(files: Files, surplus: RwSignal<Option<String>>) -> impl IntoView {
    let input = NodeRef::<Input>::new();
    Effect::new(move || {
        if let Some(input) = input.get() {
            // A browser that knows no folders picks files.
            let _ = input.set_attribute("webkitdirectory", "");
        }
    });
    let take_picked = move |_| {
        let Some(input) = input.get_untracked() else { return };
        take(0, picked(input.files()), files, surplus);
        input.set_value("");
    };
    view! {
        <label class="folder-choice hint">
            <input node_ref=input type="file" data-testid="upload-folder" on:change=take_picked />
            "Or choose a whole folder"
        </label>
    }
}

/// What the form holds for a channel, in words.
fn held_text(files: &Chosen, channel: usize) -> Option<String> {
    match &files.scans[..] {
        [] => files.places.get(channel).cloned().flatten().map(|file| file.name()),
        [scan] if scan.len() == 1 => scan.first().map(File::name),
        [series] => Some(format!("1 series of {} files", series.len())),
        scans => Some(format!("{} scans, a case for each", scans.len())),
    }
}

/// What to say of files that are no scans.
fn left_out_text(names: &[String]) -> Option<String> {
    match names {
        [] => None,
        [one] => Some(format!("{one} is no scan and was left out.")),
        [first, ..] => Some(format!("{} files are no scans and were left out, {first} among them.", names.len())),
    }
}

fn find<'a>(bundles: &'a [BundleInfo], name: Option<&str>) -> Option<&'a BundleInfo> {
    bundles.iter().find(|bundle| Some(bundle.name.as_str()) == name)
}

/// What to say when more files were dropped than there are places for them.
fn surplus_text(files: usize, places: usize) -> Option<String> {
    match (files.saturating_sub(places), places) {
        (0, _) => None,
        (_, 1) => Some(format!(
            "{files} files were dropped, and one is needed here: the first was taken, the others were left out."
        )),
        _ => Some(format!(
            "{files} files were dropped, and {places} are needed here: the first {places} were taken, the others were \
             left out."
        )),
    }
}

/// How long a scan will take, once there is one to send.
#[component]
fn Foretold(bundle: Memo<Option<BundleInfo>>, shown: Signal<bool>) -> impl IntoView {
    let session = expect_context::<Session>();
    let words = move || {
        let bundle = bundle.with(|bundle| bundle.as_ref().map(|bundle| bundle.name.clone()))?;
        session.list.forecasts.with(|all| {
            all.iter().find(|one| one.bundle == bundle && one.kind == JobKind::Presegment).map(foretold_text)
        })
    };
    move || {
        let words = shown.get().then(words).flatten()?;
        Some(view! { <p class="hint" data-testid="forecast">{words}</p> })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_bundle_stays_chosen_or_is_gone() {
        let bundle = |name: &str| BundleInfo {
            name: name.into(),
            version: String::new(),
            task: String::new(),
            channels: vec![],
            labels: shared::label::LabelSet(vec![]),
            problem: None,
        };
        fn check(offered: &[BundleInfo], expected: Option<&str>) {
            assert_eq!(find(offered, Some("heart")).map(|bundle| bundle.name.as_str()), expected);
        }
        check(&[bundle("brain"), bundle("heart")], Some("heart"));
        check(&[bundle("brain"), bundle("colon"), bundle("heart")], Some("heart"));
        check(&[bundle("brain"), bundle("colon")], None);
    }

    #[test]
    fn files_without_a_place_are_spoken_of() {
        assert_eq!(surplus_text(1, 1), None);
        assert_eq!(surplus_text(2, 4), None);
        assert!(surplus_text(3, 1).unwrap().starts_with("3 files were dropped, and one is needed"));
        let names = |names: &[&str]| left_out_text(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names(&[]), None);
        assert_eq!(names(&["a.txt"]).unwrap(), "a.txt is no scan and was left out.");
        assert_eq!(names(&["a.txt", "b"]).unwrap(), "2 files are no scans and were left out, a.txt among them.");
        assert_eq!(sending_text(Sending { at: 3, of: 12, share: 0.456 }), "Sending 3 of 12… 46 %");
        assert_eq!(sending_text(Sending { at: 1, of: 1, share: 0.5 }), "Sending… 50 %");
        assert_eq!(overall(Sending { at: 2, of: 4, share: 0.5 }), 0.375);
        assert!(surplus_text(5, 4).unwrap().contains("the first 4 were taken"));
    }
}

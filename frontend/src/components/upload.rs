//! Sending a scan: which bundle, and one file for each of its channels.

use leptos::html::Input;
use leptos::prelude::*;
use shared::api::BundleInfo;
use web_sys::{DragEvent, File, FileList};

use super::icon::{Icon, Shape};
use crate::api::Upload;
use crate::session::Session;
use crate::session::command::Command;

/// Files chosen so far, one place per channel. `File` belongs to this thread.
type Files = RwSignal<Vec<Option<File>>, LocalStorage>;

/// The upload form.
#[component]
pub(crate) fn UploadForm() -> impl IntoView {
    let session = expect_context::<Session>();
    let chosen = RwSignal::new(None::<String>);
    let name = RwSignal::new(String::new());
    let files: Files = RwSignal::new_local(Vec::new());
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
    Effect::new(move || {
        session.list.uploaded.get();
        let places = channels.with(|channels| channels.as_ref().map_or(0, |(_, channels)| channels.len()));
        files.set(vec![None; places]);
        name.set(String::new());
        surplus.set(None);
    });
    let ready = move || {
        let usable = bundle.with(|bundle| bundle.as_ref().is_some_and(|bundle| bundle.problem.is_none()));
        usable
            && session.list.upload.with(Option::is_none)
            && files.with(|files| !files.is_empty() && files.iter().all(Option::is_some))
    };
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let Some(bundle) = bundle.get_untracked().filter(|_| ready()) else { return };
        let images: Vec<File> = files.with_untracked(|files| files.iter().flatten().cloned().collect());
        // Never the file's: those are often patients' names, and this one is on every page.
        let name = name.get_untracked().trim().to_owned();
        session.dispatch(Command::Upload(Upload { bundle: bundle.name, name, images }));
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
            <button class="primary wide" type="submit" data-testid="upload-start" disabled=move || !ready()>
                <Icon shape=Shape::Upload />
                {move || match session.list.upload.get() {
                    Some(share) => format!("Sending… {} %", (share * 100.0).round()),
                    None => "Send and segment".to_owned(),
                }}
            </button>
            {move || session.list.upload.get().map(|share| view! {
                <progress max="1" value=share.to_string() aria-label="Upload"></progress>
            })}
        </form>
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
        {several.then(|| view! { <p class="hint">"Drop all channels at once, in this order, or one by one."</p> })}
    }
}

/// Where a channel's file is dropped or picked. Several files dropped at once fill this place and those after it.
#[component]
fn Drop(channel: usize, name: String, files: Files, surplus: RwSignal<Option<String>>) -> impl IntoView {
    let input = NodeRef::<Input>::new();
    let over = RwSignal::new(false);
    let take = move |list: Option<FileList>| {
        let dropped: Vec<File> =
            list.into_iter().flat_map(|list| (0..list.length()).filter_map(move |at| list.get(at))).collect();
        surplus.set(surplus_text(dropped.len(), files.with_untracked(Vec::len).saturating_sub(channel)));
        files.update(|files| files.iter_mut().skip(channel).zip(dropped).for_each(|(place, file)| *place = Some(file)));
    };
    let picked = move |_| {
        let Some(input) = input.get_untracked() else { return };
        take(input.files());
        // So that picking the same file again, mended meanwhile, is a change too.
        input.set_value("");
    };
    let dropped = move |event: DragEvent| {
        event.prevent_default();
        over.set(false);
        take(event.data_transfer().and_then(|data| data.files()));
    };
    let file_name = move || files.with(|files| files.get(channel).cloned().flatten().map(|file| file.name()));
    let test_id = if channel == 0 { "upload-input".to_owned() } else { format!("upload-input-{channel}") };
    view! {
        <label
            class="drop" class:over=over class:filled=move || file_name().is_some()
            on:dragover=move |event: DragEvent| { event.prevent_default(); over.set(true); }
            on:dragleave=move |_| over.set(false)
            on:drop=dropped
        >
            <input
                node_ref=input type="file" multiple=true accept=".nii,.gz,.nii.gz" data-testid=test_id
                on:change=picked
            />
            <Icon shape=Shape::Upload />
            <span class="drop-channel">{name}</span>
            <span class="drop-file">
                {move || file_name().unwrap_or_else(|| "Drop a NIfTI file here, or click to choose".into())}
            </span>
        </label>
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
        assert!(surplus_text(5, 4).unwrap().contains("the first 4 were taken"));
    }
}

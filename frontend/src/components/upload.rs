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
    let chosen = RwSignal::new(0_usize);
    let name = RwSignal::new(String::new());
    let files: Files = RwSignal::new_local(Vec::new());
    let bundle =
        Memo::new(move |_| session.bundles.with(|bundles| bundles.as_ref().and_then(|bundles| bundles.get(chosen.get()).cloned())));
    Effect::new(move || {
        session.uploaded.get();
        let channels = bundle.with(|bundle| bundle.as_ref().map_or(0, |bundle| bundle.channels.len()));
        files.set(vec![None; channels]);
        name.set(String::new());
    });
    let ready = move || {
        let usable = bundle.with(|bundle| bundle.as_ref().is_some_and(|bundle| bundle.problem.is_none()));
        usable && session.upload.with(Option::is_none) && files.with(|files| !files.is_empty() && files.iter().all(Option::is_some))
    };
    let send = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let Some(bundle) = bundle.get_untracked().filter(|_| ready()) else { return };
        let images: Vec<File> = files.with_untracked(|files| files.iter().flatten().cloned().collect());
        let typed = name.get_untracked().trim().to_owned();
        let name = if typed.is_empty() { images.first().map(|file| case_name(&file.name())).unwrap_or_default() } else { typed };
        session.dispatch(Command::Upload(Upload { bundle: bundle.name, name, images }));
    };
    view! {
        <form class="upload card" aria-label="New case" on:submit=send>
            <h2>"New case"</h2>
            <BundleChoice chosen=chosen />
            {move || bundle.get().map(|bundle| view! { <Channels bundle=bundle files=files /> })}
            <label class="field">
                <span>"Name "<em class="muted">"(optional; shown in the list)"</em></span>
                <input
                    type="text" data-testid="upload-name" maxlength="120" autocomplete="off"
                    prop:value=name on:input=move |event| name.set(event_target_value(&event))
                />
            </label>
            <button class="primary wide" type="submit" data-testid="upload-start" disabled=move || !ready()>
                <Icon shape=Shape::Upload />
                {move || match session.upload.get() {
                    Some(share) => format!("Sending… {} %", (share * 100.0).round()),
                    None => "Send and segment".to_owned(),
                }}
            </button>
            {move || session.upload.get().map(|share| view! { <progress max="1" value=share.to_string() aria-label="Upload"></progress> })}
        </form>
    }
}

#[component]
fn BundleChoice(chosen: RwSignal<usize>) -> impl IntoView {
    let session = expect_context::<Session>();
    let options = move || {
        let bundles = session.bundles.get().unwrap_or_default();
        bundles
            .into_iter()
            .enumerate()
            .map(|(at, bundle)| view! { <option value=at.to_string()>{format!("{} ({})", bundle.name, bundle.version)}</option> })
            .collect_view()
    };
    let about = move || {
        session
            .bundles
            .with(|bundles| bundles.iter().flatten().nth(chosen.get()).map(|bundle| (bundle.task.clone(), bundle.problem.clone())))
    };
    let none = move || session.bundles.with(|bundles| bundles.as_ref().is_some_and(Vec::is_empty));
    view! {
        <label class="field">
            <span>"What to segment"</span>
            <select data-testid="bundle" on:change=move |event| chosen.set(event_target_value(&event).parse().unwrap_or(0))>{options}</select>
        </label>
        {move || about().map(|(task, problem)| match problem {
            None => view! { <p class="hint">{task}</p> }.into_any(),
            Some(problem) => view! { <p class="hint failed" role="alert">{format!("This bundle cannot be used: {problem}")}</p> }.into_any(),
        })}
        {move || none().then(|| view! { <p class="hint failed" role="alert">"The server offers no model bundle. Start it with --models DIR."</p> })}
    }
}

#[component]
fn Channels(bundle: BundleInfo, files: Files) -> impl IntoView {
    let several = bundle.channels.len() > 1;
    let places = bundle.channels.into_iter().enumerate();
    view! {
        {places.map(|(channel, name)| view! { <Drop channel=channel name=name files=files /> }).collect_view()}
        {several.then(|| view! { <p class="hint">"Drop all channels at once, in this order, or one by one."</p> })}
    }
}

/// Where a channel's file is dropped or picked. Several files dropped at once fill this place and those after it.
#[component]
fn Drop(channel: usize, name: String, files: Files) -> impl IntoView {
    let input = NodeRef::<Input>::new();
    let over = RwSignal::new(false);
    let take = move |list: Option<FileList>| {
        let Some(list) = list else { return };
        files.update(|files| {
            let dropped = (0..list.length()).filter_map(|at| list.get(at));
            files.iter_mut().skip(channel).zip(dropped).for_each(|(place, file)| *place = Some(file));
        });
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
                on:change=move |_| take(input.get_untracked().and_then(|input| input.files()))
            />
            <Icon shape=Shape::Upload />
            <span class="drop-channel">{name}</span>
            <span class="drop-file">{move || file_name().unwrap_or_else(|| "Drop a NIfTI file here, or click to choose".into())}</span>
        </label>
    }
}

/// A file's name without what says that it is a NIfTI.
fn case_name(file: &str) -> String {
    let stem = file.strip_suffix(".gz").unwrap_or(file);
    stem.strip_suffix(".nii").unwrap_or(stem).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_named_after_their_files() {
        fn check(file: &str, expected: &str) {
            assert_eq!(case_name(file), expected);
        }
        check("hippocampus_001_0000.nii.gz", "hippocampus_001_0000");
        check("scan.nii", "scan");
        check("odd.name.gz", "odd.name");
    }
}

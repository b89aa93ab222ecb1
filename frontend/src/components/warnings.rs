//! What is odd about a scan, as the server found it when the scan came in: to be folded in once it has been read.

use leptos::prelude::*;

/// Nothing where nothing is odd.
#[component]
pub(crate) fn ScanWarnings(
    /// Sentences.
    #[prop(into)]
    warnings: Signal<Vec<String>>,
    /// Whether the sentences are seen; kept by whoever outlives what is drawn here.
    open: RwSignal<bool>,
    /// Of the whole page, or of a line in a list.
    class: &'static str,
) -> impl IntoView {
    move || {
        let warnings = warnings.get();
        (!warnings.is_empty()).then(|| {
            let count = warnings.len();
            let title = if count == 1 {
                "1 warning about the scan".to_owned()
            } else {
                format!("{count} warnings about the scan")
            };
            view! {
                <details class=class open=move || open.get() data-testid="scan-warnings">
                    <summary on:click=move |event| {
                        event.prevent_default();
                        open.update(|open| *open = !*open);
                    }>{title}</summary>
                    <ul>{warnings.into_iter().map(|words| view! { <li>{words}</li> }).collect_view()}</ul>
                </details>
            }
        })
    }
}

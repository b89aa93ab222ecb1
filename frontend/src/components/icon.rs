//! Line icons, 16 pixels, in the text's colour. Always beside a name or on a control that has one, so hidden from
//! screen readers.

use leptos::prelude::*;

/// The icons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Back,
    Bell,
    Check,
    Compare,
    Cross,
    Download,
    Enlarge,
    Keyboard,
    Locked,
    Unlocked,
    Redo,
    Skip,
    Trash,
    Undo,
    Upload,
}

impl Shape {
    fn path(self) -> &'static str {
        match self {
            Shape::Back => "M10 3 5 8l5 5",
            Shape::Bell => "M3.5 11.5h9l-1.5-2v-3a3 3 0 0 0-6 0v3zM6.8 13.5h2.4",
            Shape::Check => "m3 8.5 3.5 3.5L13 4.5",
            Shape::Compare => "M8 2v12M6 4H2.5v8H6M10 4h3.5v8H10",
            Shape::Cross => "m4 4 8 8M12 4l-8 8",
            Shape::Download => "M8 2v8M4.5 7 8 10.5 11.5 7M3 13.5h10",
            Shape::Enlarge => "M9.5 2.5h4v4M13.5 2.5 9 7M6.5 13.5h-4v-4M2.5 13.5 7 9",
            Shape::Keyboard => "M1.5 4h13v8h-13zM4 6.5h.01M7 6.5h.01M10 6.5h.01M12.5 6.5h.01M5 9.5h6",
            Shape::Locked => "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
            Shape::Unlocked => "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 4.8-1",
            Shape::Redo => "M10.5 3 13.5 6l-3 3M13.5 6H6a3.5 3.5 0 0 0 0 7h3",
            Shape::Skip => "m3 4 5 4-5 4zM9 4l5 4-5 4z",
            Shape::Trash => "M2.5 4.5h11M6 4.5v-2h4v2M4 4.5l.7 9h6.6l.7-9M6.5 7v4M9.5 7v4",
            Shape::Undo => "M5.5 3 2.5 6l3 3M2.5 6H10a3.5 3.5 0 0 1 0 7H7",
            Shape::Upload => "M8 10.5v-8M4.5 6 8 2.5 11.5 6M3 13.5h10",
        }
    }
}

/// An icon.
#[component]
pub(crate) fn Icon(shape: Shape) -> impl IntoView {
    view! { <Line path=shape.path() /> }
}

/// An icon by the `d` of its path.
#[component]
pub(crate) fn Line(path: &'static str) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
            <path d=path />
        </svg>
    }
}

//! The bottom line: what is under the pointer, and what each button does now.

use leptos::prelude::*;
use shared::label::BACKGROUND;

use super::acts::with_key;
use crate::session::{Probe, Session};
use crate::viewer::numbers::shown;

/// The status bar.
#[component]
pub(crate) fn StatusBar() -> impl IntoView {
    let session = expect_context::<Session>();
    let hint = move || session.painting.tool.get().card().hint;
    view! {
        <footer class="status-bar">
            <span class="tabular probe" data-testid="probe">
                {move || session.viewing.probe.get().map(|probe| probe_text(session, &probe))}
            </span>
            <span class="gap"></span>
            <span class="muted">
                {hint} " · Right drag: window · Wheel: planes · Ctrl+Wheel: zoom · "
                {with_key(session, "All keys", "sheet")}
            </span>
        </footer>
    }
}

fn probe_text(session: Session, probe: &Probe) -> String {
    let [x, y, z] = probe.voxel;
    let [wx, wy, wz] = probe.world_mm;
    let label = probe.label.filter(|label| *label != BACKGROUND).and_then(|label| {
        session
            .case
            .detail
            .with(|detail| detail.as_ref().and_then(|detail| detail.labels.find(label)).map(|label| label.name.clone()))
    });
    let parts = [
        Some(format!("voxel {x}, {y}, {z}")),
        Some(format!("{wx:.1}, {wy:.1}, {wz:.1} mm")),
        probe.intensity.map(|intensity| {
            format!("intensity {}", shown(f64::from(intensity), f64::from(session.viewing.window.now().width)))
        }),
        probe.uncertainty.map(|share| format!("uncertainty {:.0} %", share * 100.0)),
        label,
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("   ")
}

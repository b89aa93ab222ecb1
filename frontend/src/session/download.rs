//! Downloading: the file is what is on the screen, and is named so.

use leptos::task::spawn_local;
use shared::api::ExportFormat;
use wasm_bindgen::JsCast;
use web_sys::HtmlAnchorElement;

use super::bench::{Bench, Correction};
use super::viewing::shown_version;
use super::{Session, Shown};
use crate::api;

/// What would be downloaded.
struct Choice {
    /// The version on the screen.
    version: String,
    /// Slices of the expert's that are shown over it.
    corrections: usize,
    /// Something is decided about the version as a whole.
    is_decided: bool,
}

impl Choice {
    /// The file is more than the version as it was made.
    fn is_corrected(&self) -> bool {
        self.corrections > 0 || self.is_decided
    }
}

impl Session {
    /// What a download would be, in words: the version on the screen, and the expert's corrections where they are
    /// shown.
    pub(crate) fn download_words(self) -> Option<String> {
        let Choice { version, corrections, is_decided } = self.download_choice()?;
        let slices = match corrections {
            0 => None,
            1 => Some("your corrections of 1 slice".to_owned()),
            count => Some(format!("your corrections of {count} slices")),
        };
        let decided = is_decided.then(|| "what you decided about its changes".to_owned());
        let parts: Vec<String> = slices.into_iter().chain(decided).collect();
        let with = if parts.is_empty() { String::new() } else { format!(" with {}", parts.join(" and ")) };
        let file = match self.viewing.format.get() {
            None => ".nii.gz",
            Some(ExportFormat::Nrrd) => ".seg.nrrd",
            Some(ExportFormat::Seg) => "a DICOM SEG",
            Some(ExportFormat::SegBinary) => "a DICOM SEG of bits",
        };
        Some(format!("{}{with}, as {file}", version_text(&version)))
    }

    /// What can be chosen beside NIfTI, in words: a DICOM SEG only of a case that came from a DICOM series.
    pub(crate) fn download_formats(self) -> Vec<(ExportFormat, &'static str)> {
        let has_series = self.read(|bench| bench.detail.has_series).unwrap_or_default();
        let dicom = [(ExportFormat::Seg, "DICOM SEG"), (ExportFormat::SegBinary, "DICOM SEG (bits)")];
        let slicer = [(ExportFormat::Nrrd, "3D Slicer")];
        slicer.into_iter().chain(dicom.into_iter().filter(|_| has_series)).collect()
    }

    fn download_choice(self) -> Option<Choice> {
        let shown = self.viewing.shown.now();
        self.read(|bench| {
            let version = shown_version(&bench.detail.versions, &shown)?.clone();
            let is_current = shown == Shown::default();
            Some(Choice {
                version,
                corrections: if is_current { counting(bench) } else { 0 },
                is_decided: is_current && bench.decided_voxels() > 0,
            })
        })
        .flatten()
    }

    pub(super) fn download(self) {
        self.end_stroke();
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        spawn_local(async move {
            let is_saved = self.all_saved().await;
            let Some(choice) = self.download_choice().filter(|_| self.is_shown(&visit)) else { return };
            if choice.corrections > 0 && !is_saved {
                let why = "The download waits: not all corrections have reached the server, and the file would lack \
                           them. Try again when they are saved.";
                return self.messages.trouble.set(Some(why.into()));
            }
            let url = match (self.viewing.format.now(), choice.is_corrected()) {
                (None, true) => api::corrected_url(&visit.case),
                (None, false) => api::nifti_url(&visit.case, &choice.version),
                (Some(format), true) => api::corrected_export_url(&visit.case, format),
                (Some(format), false) => api::export_url(&visit.case, &choice.version, format),
            };
            self.fetch(&url);
        });
    }

    /// Leaves it to the browser to fetch a file.
    pub(super) fn fetch(self, url: &str) {
        if fetch_file(url).is_none() {
            self.messages.trouble.set(Some("This browser does not start the download.".into()));
        }
    }
}

/// Slices of the expert's that are shown.
fn counting(bench: &Bench) -> usize {
    bench.corrections.values().filter(|correction| Correction::counts(correction)).count()
}

/// Leaves it to the browser to fetch a file.
fn fetch_file(url: &str) -> Option<()> {
    let link: HtmlAnchorElement = web_sys::window()?.document()?.create_element("a").ok()?.dyn_into().ok()?;
    link.set_href(url);
    link.set_download("");
    link.click();
    Some(())
}

/// A version's name for people.
pub(crate) fn version_text(version: &str) -> String {
    match version.strip_prefix("refinement-") {
        Some(round) => format!("Refinement {round}"),
        None => "Presegmentation".to_owned(),
    }
}

//! What was said of a slice earlier, here or elsewhere, and what the server has refused: listed, and brought back in a
//! step that can be undone.

use leptos::task::spawn_local;
use shared::api::SliceVersion;
use shared::geometry::Plane;

use super::Session;
use crate::annotate::history::difference;
use crate::api;

/// The versions of one slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VersionList {
    /// The slice.
    pub(crate) plane: Plane,
    /// The latest first.
    pub(crate) versions: Vec<SliceVersion>,
}

impl Session {
    /// Lists the versions of the slice being corrected, or puts the list away.
    pub(super) fn toggle_slice_versions(self) {
        if self.saving.versions.now_with(Option::is_some) {
            return self.saving.versions.set(None);
        }
        let (Some(plane), Some(visit)) = (self.rounds.target.now(), self.read(|bench| bench.visit.clone())) else {
            return;
        };
        spawn_local(async move {
            // What is painted here is one of them, once it is saved.
            self.all_saved().await;
            let answer = api::slice_versions(&visit.case, plane).await;
            match answer {
                _ if !self.is_shown(&visit) => {}
                Ok(versions) => self.saving.versions.set(Some(VersionList { plane, versions })),
                Err(trouble) => self.complain(&trouble),
            }
        });
    }

    /// Shows what a version says, as the slice's newest labels.
    pub(super) fn bring_back(self, plane: Plane, version: i64) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        self.saving.versions.set(None);
        spawn_local(async move {
            let answer = api::slice_version(&visit.case, plane, version).await;
            let slice = match answer {
                _ if !self.is_shown(&visit) => return,
                Ok(slice) => slice,
                Err(trouble) => return self.complain(&trouble),
            };
            self.end_stroke();
            let step = self.change(|bench| {
                let labels = slice.labels(bench.geometry(), &bench.detail.labels).ok()?;
                let correction = bench.correction_mut(plane)?;
                let step = difference(plane, &correction.labels, &labels)?;
                step.apply(&mut correction.labels);
                Some(step)
            });
            match step.flatten() {
                Some(step) => {
                    self.bring_to_view(plane);
                    self.learn_step(step);
                }
                None => self.messages.notice.set(Some("That version says what the slice says now.".into())),
            }
        });
    }
}

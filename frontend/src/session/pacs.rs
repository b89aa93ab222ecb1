//! The PACS on the other end: what was found there, what is on its way, what was sent.

use gloo::timers::future::TimeoutFuture;
use leptos::task::spawn_local;
use shared::api::{
    ErrorCode, ExportFormat, FoundStudies, Import, ImportState, OpenSeries, PacsInfo, PacsSeries, SendTo, StudyQuery,
};

use super::Session;
use super::fact::Fact;
use crate::api::{self, Trouble};

/// How long until one asks again how far imports are.
const IMPORTS_MS: u32 = 700;
/// The same while a first slice of what was just opened may come any moment, and how often.
const IMPORTS_SOON_MS: u32 = 150;
const IMPORTS_SOON: u32 = 20;

/// What is known of the PACS.
#[derive(Clone, Copy)]
pub(crate) struct Pacs {
    /// Those that the server's operator has named.
    pub(crate) sources: Fact<Vec<PacsInfo>>,
    /// A search is under way.
    pub(crate) searches: Fact<bool>,
    /// What the last search found.
    pub(crate) found: Fact<Option<FoundStudies>>,
    /// The study whose series are shown, once they are known.
    pub(crate) study: Fact<Option<StudySeries>>,
    /// What is on its way, or failed, or came while this page was open; the latest first.
    pub(crate) imports: Fact<Vec<Import>>,
    /// A segmentation is being sent.
    pub(crate) sends: Fact<bool>,
}

/// A study's series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StudySeries {
    /// The study.
    pub(crate) study: String,
    /// Nothing as long as they are not known.
    pub(crate) series: Option<Vec<PacsSeries>>,
}

impl Pacs {
    /// Nothing is known yet.
    pub(super) fn new() -> Self {
        Self {
            sources: Fact::new(Vec::new()),
            searches: Fact::new(false),
            found: Fact::new(None),
            study: Fact::new(None),
            imports: Fact::new(Vec::new()),
            sends: Fact::new(false),
        }
    }
}

impl Session {
    /// Asks which PACS there are, and what is on its way from an earlier visit of the page.
    pub(super) fn load_pacs(self) {
        spawn_local(async move {
            // Where nobody is signed in, the page says so elsewhere, and asks again when it is loaded again.
            let Ok(sources) = api::pacs().await else { return };
            if sources.is_empty() {
                return;
            }
            self.pacs.sources.learn(sources);
            self.follow_imports().await;
        });
    }

    pub(super) fn search_pacs(self, source: String, query: StudyQuery) {
        if self.pacs.searches.now() {
            return;
        }
        self.messages.trouble.set(None);
        self.pacs.searches.set(true);
        self.pacs.study.set(None);
        spawn_local(async move {
            let answer = api::find_studies(&source, &query).await;
            self.pacs.searches.set(false);
            match answer {
                Ok(found) => self.pacs.found.set(Some(found)),
                Err(trouble) => {
                    self.pacs.found.set(None);
                    self.complain(&trouble);
                }
            }
        });
    }

    /// Shows a study's series, or puts them away.
    pub(super) fn show_study(self, source: String, study: String) {
        if self.pacs.study.now_with(|shown| shown.as_ref().is_some_and(|shown| shown.study == study)) {
            return self.pacs.study.set(None);
        }
        self.pacs.study.set(Some(StudySeries { study: study.clone(), series: None }));
        spawn_local(async move {
            let answer = api::pacs_series(&source, &study).await;
            // Another may have been asked for since.
            if self.pacs.study.now_with(|shown| shown.as_ref().is_none_or(|shown| shown.study != study)) {
                return;
            }
            match answer {
                Ok(series) => self.pacs.study.set(Some(StudySeries { study, series: Some(series) })),
                Err(trouble) => {
                    self.pacs.study.set(None);
                    self.complain(&trouble);
                }
            }
        });
    }

    pub(super) fn open_series(self, source: String, wanted: OpenSeries) {
        self.messages.trouble.set(None);
        spawn_local(async move {
            match api::open_series(&source, &wanted).await {
                Ok(import) => {
                    let follows = self.pacs.imports.now_with(|imports| imports.iter().any(|it| !it.state.is_over()));
                    self.pacs.imports.update(|imports| imports.insert(0, import));
                    if !follows {
                        self.follow_imports().await;
                    }
                }
                Err(trouble) => self.complain(&trouble),
            }
        });
    }

    /// Where a slice of what is on its way can be had.
    pub(crate) fn import_picture(self, id: &str) -> String {
        api::import_picture_url(id)
    }

    /// Asks how far imports are until none is under way.
    async fn follow_imports(self) {
        for asked in 0_u32.. {
            if let Ok(imports) = api::imports().await {
                self.pacs.imports.update(|known| *known = followed(known, imports));
            }
            if self.pacs.imports.now_with(|imports| imports.iter().all(|import| import.state.is_over())) {
                return;
            }
            TimeoutFuture::new(if asked < IMPORTS_SOON { IMPORTS_SOON_MS } else { IMPORTS_MS }).await;
        }
    }

    pub(super) fn stop_import(self, id: String) {
        spawn_local(async move {
            match api::stop_import(&id).await {
                Ok(stopped) => self.pacs.imports.update(|imports| {
                    imports.iter_mut().filter(|import| import.id == stopped.id).for_each(|it| *it = stopped.clone());
                }),
                Err(trouble) => self.complain(&trouble),
            }
        });
    }

    /// An import that is over is told of no more.
    pub(super) fn forget_import(self, id: &str) {
        self.pacs.imports.update(|imports| imports.retain(|import| import.id != id));
    }

    /// Sends the newest segmentation with all corrections to a PACS, once they are all saved.
    pub(super) fn send_to_pacs(self, source: String) {
        if self.pacs.sends.now() {
            return;
        }
        self.end_stroke();
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        let format = match self.viewing.format.now() {
            Some(ExportFormat::SegBinary) => ExportFormat::SegBinary,
            _ => ExportFormat::Seg,
        };
        self.messages.trouble.set(None);
        self.pacs.sends.set(true);
        spawn_local(async move {
            let answer = match self.all_saved().await {
                true => api::send_to_pacs(&visit.case, &SendTo { source: source.clone(), format }).await,
                false => Err(Trouble::Refused {
                    code: ErrorCode::NotNow,
                    message: "Not all corrections have reached the server, and the segmentation would lack them. Send \
                              it when they are saved."
                        .to_owned(),
                }),
            };
            self.pacs.sends.set(false);
            match answer {
                // Said wherever one is by now: it concerns a patient who may not be on the screen any more.
                Ok(sent) if self.is_shown(&visit) => {
                    let words = match sent.found {
                        true => format!("The segmentation is in {source}: it was found there."),
                        false => format!("{source} says that it has stored the segmentation."),
                    };
                    self.messages.notice.set(Some(words));
                }
                Ok(_) => {}
                Err(trouble) => self.complain(&trouble),
            }
        });
    }
}

/// What is told of imports: those under way, and those that ended while they were told of.
fn followed(known: &[Import], now: Vec<Import>) -> Vec<Import> {
    let is_told = |import: &Import| {
        let was_known = known.iter().any(|it| it.id == import.id);
        !import.state.is_over() || (was_known && import.state != ImportState::Cancelled)
    };
    now.into_iter().filter(is_told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn import(id: &str, state: ImportState) -> Import {
        Import {
            id: id.into(),
            source: "clinic".into(),
            bundle: "phantom".into(),
            state,
            fetched: 0,
            of: 0,
            message: String::new(),
            case: None,
            has_picture: false,
        }
    }

    #[test]
    fn imports_are_told_of_until_they_are_over() {
        let check = |known: &[&str], now: &[(&str, ImportState)], expected: &[&str]| {
            let known: Vec<Import> = known.iter().map(|id| import(id, ImportState::Fetching)).collect();
            let now = now.iter().map(|(id, state)| import(id, *state)).collect();
            let told: Vec<String> = followed(&known, now).into_iter().map(|import| import.id).collect();
            assert_eq!(told, expected);
        };
        check(&[], &[("a", ImportState::Fetching), ("b", ImportState::Done), ("c", ImportState::Failed)], &["a"]);
        check(&["a", "b"], &[("a", ImportState::Done), ("b", ImportState::Failed)], &["a", "b"]);
        check(&["a"], &[("a", ImportState::Cancelled)], &[]);
        check(&["gone"], &[], &[]);
    }
}

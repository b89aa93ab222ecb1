//! A second pair of eyes on the open case: what was said of it, and what a reviewer is about to say.

use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::api::{Judgement, NewReading, Review, Role, SliceNote, Verdict};
use shared::case::CaseId;
use shared::geometry::Plane;

use super::{Session, SignedIn};
use crate::api::{self, Answer};

/// Reviewing one case.
#[derive(Clone, Copy)]
pub(crate) struct Reviewing {
    session: Session,
    signed_in: SignedIn,
    case: RwSignal<Option<CaseId>>,
    /// How the case stands, once the server has said so.
    pub(crate) review: RwSignal<Option<Review>>,
    /// Notes that go back with the case.
    pub(crate) notes: RwSignal<Vec<SliceNote>>,
    /// What went wrong last.
    pub(crate) trouble: RwSignal<Option<String>>,
    /// Who can be asked for a second reading.
    pub(crate) readers: RwSignal<Vec<String>>,
}

impl Reviewing {
    /// Nothing is known yet.
    pub(crate) fn new(session: Session, signed_in: SignedIn) -> Self {
        Self {
            session,
            signed_in,
            case: RwSignal::new(None),
            review: RwSignal::new(None),
            notes: RwSignal::new(Vec::new()),
            trouble: RwSignal::new(None),
            readers: RwSignal::new(Vec::new()),
        }
    }

    /// Whether there are people at all, so that one can look at another's work.
    pub(crate) fn is_shared(self) -> bool {
        self.signed_in.me.with(|me| me.as_ref().is_some_and(|me| me.name != "local"))
    }

    /// Whether the person at the screen reviews others' work.
    pub(crate) fn reviews(self) -> bool {
        self.signed_in.me.with(|me| me.as_ref().is_some_and(|me| me.role.sees_all()))
    }

    /// Asks the server how a case stands.
    pub(crate) fn look(self, case: CaseId) {
        if self.case.get_untracked().as_ref() != Some(&case) {
            self.case.set(Some(case));
            self.review.set(None);
            self.notes.set(Vec::new());
            if untrack(move || self.reviews()) {
                self.look_for_readers();
            }
        }
        spawn_local(self.learn());
    }

    async fn learn(self) {
        let Some(case) = self.case.get_untracked() else { return };
        let answer = api::review(&case).await;
        if self.case.get_untracked() != Some(case) {
            return;
        }
        match answer {
            Ok(review) => self.review.set(Some(review)),
            Err(trouble) => self.trouble.set(Some(trouble.to_string())),
        }
    }

    fn look_for_readers(self) {
        spawn_local(async move {
            if let Ok(people) = api::people().await {
                let blind = people.into_iter().filter(|person| !person.disabled && person.role == Role::Annotator);
                self.readers.set(blind.map(|person| person.name).collect());
            }
        });
    }

    /// Writes a note on a slice, in the place of what stood there; without words it is taken away.
    pub(crate) fn note(self, plane: Plane, note: String) {
        self.notes.update(|notes| {
            notes.retain(|known| known.plane != plane);
            if !note.trim().is_empty() {
                notes.push(SliceNote { plane, note });
            }
        });
    }

    /// Says that the case waits for a reviewer, or the second reading is finished; what is painted is saved first.
    pub(crate) fn hand_in(self) {
        self.act(move |case| async move {
            self.session.all_saved().await;
            api::hand_in(&case).await
        });
    }

    /// Approves the case as it was shown, or sends it back with the notes.
    pub(crate) fn judge(self, verdict: Verdict, note: String) {
        let Some(work) = self.review.with_untracked(|review| review.as_ref().map(|review| review.work.clone())) else {
            return;
        };
        // What was noted and then found right is not sent along.
        let slices = if verdict == Verdict::SentBack { self.notes.get_untracked() } else { Vec::new() };
        self.act(move |case| async move {
            let said = api::judge(&case, &Judgement { verdict, work, note, slices }).await;
            if said.is_ok() {
                self.notes.set(Vec::new());
            }
            said
        });
    }

    /// Asks somebody to read a share of the slices that are done a second time.
    pub(crate) fn ask_reading(self, reader: String, share: f64) {
        self.act(move |case| async move { api::ask_reading(&case, &NewReading { reader, share }).await.map(drop) });
    }

    fn act<F: Future<Output = Answer<()>> + 'static>(self, act: impl FnOnce(CaseId) -> F + 'static) {
        let Some(case) = self.case.get_untracked() else { return };
        spawn_local(async move {
            let answer = act(case).await;
            self.trouble.set(answer.err().map(|trouble| trouble.to_string()));
            self.learn().await;
        });
    }
}

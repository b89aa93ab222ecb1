//! The saving protocol played through at random: several pages of one browser paint the same slices; requests and
//! answers are lost, delayed, doubled and overtaken; pages are killed at any time, and so is the whole browser. The
//! parts that decide are the real ones (the bench, [`Sync`], the journal); only the clock, the network, the browser's
//! two storages and the server's table are played here. In the
//! end everything that any hand has painted is on the server, but for what the expert has given up by choosing between
//! two versions; and every page shows what the server has.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use shared::api::{CaseDetail, PRESEGMENTATION};
use shared::correction::{CorrectedSlice, SliceState};
use shared::geometry::{Axis, Geometry, Plane};
use shared::label::{LabelInfo, LabelSet};

use super::status::{SaveState, save_state};
use super::{take_over_version, unconfirmed};
use crate::annotate::journal::{Ancestor, Entry, Journal, Key, Record, same_statement};
use crate::session::bench::{Bench, Correction};
use crate::session::journal::Kept;
use crate::session::sync::{Contest, Sync, resumed};
use crate::session::visit::Door;

/// Voxels of a plane; each stroke paints one of its own.
const VOXELS: usize = 64;
const PLANES: [Plane; 2] = [Plane { axis: Axis::Axial, index: 0 }, Plane { axis: Axis::Axial, index: 1 }];
/// Sequences played; `I3DEEP_SEQUENCES` asks for another number.
const SEQUENCES: u32 = 10_000;

/// A stroke, by the voxel that it paints.
type Stroke = usize;

/// What can happen; numbers choose a page, a plane, or something that is under way, modulo how many there are.
#[derive(Clone, Debug)]
enum Happening {
    Paint {
        page: usize,
        plane: usize,
    },
    Flush {
        page: usize,
    },
    /// A request reaches the server; perhaps it does so again later.
    Arrive {
        request: usize,
        again: bool,
    },
    LoseRequest {
        request: usize,
    },
    Answer {
        answer: usize,
        again: bool,
    },
    LoseAnswer {
        answer: usize,
    },
    /// A page is gone from one moment to the next, with or without another one in its place.
    Kill {
        page: usize,
        reload: bool,
    },
    /// What was written reaches the disk, in its order; a page that is killed before takes the rest along.
    Land,
    /// The quick storage as it is now is what a killed browser brings back.
    Settle,
    /// The whole browser is killed, long enough after the last stroke for it to be on the disk.
    KillBrowser,
    Open,
    CatchUp {
        page: usize,
    },
    /// Looks for what dead pages have left; perhaps it does not come to erasing their copies.
    Inherit {
        page: usize,
        erases: bool,
    },
    Choose {
        page: usize,
        mine: bool,
    },
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening as H;
    let which = 0..8_usize;
    prop_oneof![
        6 => (which.clone(), which.clone()).prop_map(|(page, plane)| H::Paint { page, plane }),
        6 => which.clone().prop_map(|page| H::Flush { page }),
        6 => (which.clone(), prop::bool::weighted(0.2)).prop_map(|(request, again)| H::Arrive { request, again }),
        1 => which.clone().prop_map(|request| H::LoseRequest { request }),
        6 => (which.clone(), prop::bool::weighted(0.1)).prop_map(|(answer, again)| H::Answer { answer, again }),
        1 => which.clone().prop_map(|answer| H::LoseAnswer { answer }),
        1 => (which.clone(), any::<bool>()).prop_map(|(page, reload)| H::Kill { page, reload }),
        4 => Just(H::Land),
        1 => Just(H::Settle),
        1 => Just(H::KillBrowser),
        1 => Just(H::Open),
        2 => which.clone().prop_map(|page| H::CatchUp { page }),
        1 => (which.clone(), any::<bool>()).prop_map(|(page, erases)| H::Inherit { page, erases }),
        1 => (which, any::<bool>()).prop_map(|(page, mine)| H::Choose { page, mine }),
    ]
}

/// The server's table: all versions of a slice, the latest last.
#[derive(Default)]
struct Server {
    versions: BTreeMap<Plane, Vec<CorrectedSlice>>,
    /// Which page a revision came from.
    authors: BTreeMap<(Plane, u64), String>,
}

impl Server {
    fn latest(&self, plane: Plane) -> Option<&CorrectedSlice> {
        self.versions.get(&plane).and_then(|versions| versions.last())
    }

    /// As `store::save_correction`: the same statement on the same base is answered as before, a stale base is refused.
    fn save(&mut self, slice: &CorrectedSlice, page: &str) -> Option<u64> {
        let latest = self.latest(slice.plane);
        let revision = latest.map_or(0, |latest| latest.revision);
        if latest.is_some_and(|latest| latest.revision == slice.revision + 1 && same_statement(latest, slice)) {
            return Some(revision);
        }
        if revision != slice.revision {
            return None;
        }
        let saved = CorrectedSlice { revision: revision + 1, ..slice.clone() };
        self.authors.insert((slice.plane, saved.revision), page.to_owned());
        self.versions.entry(slice.plane).or_default().push(saved);
        Some(revision + 1)
    }

    fn all(&self) -> Vec<CorrectedSlice> {
        PLANES.iter().filter_map(|plane| self.latest(*plane).cloned()).collect()
    }
}

struct Page {
    name: String,
    bench: Bench,
    ancestors: BTreeMap<Plane, Vec<Ancestor>>,
}

/// A request or its answer (the revision, or nothing if the base was stale).
#[derive(Clone)]
struct Letter {
    page: String,
    statement: CorrectedSlice,
    saved_as: Option<u64>,
}

/// Where a browser keeps what its pages write: at once in the quick storage, which outlives a tab and comes back from
/// some earlier moment if the browser is killed; and on the disk, later.
#[derive(Default)]
struct Storage {
    quick: BTreeMap<String, String>,
    quick_of_old: BTreeMap<String, String>,
    disk: BTreeMap<String, String>,
    /// By page, on the way to the disk.
    landing: Vec<(String, String, String)>,
}

impl Storage {
    /// As [`crate::session::Session::keep`].
    fn write(&mut self, key: &Key, record: &Record) {
        let text = serde_json::to_string(record).unwrap();
        if record.entry.is_some() {
            self.quick.insert(key.text(), text.clone());
        } else {
            self.quick.remove(&key.text());
        }
        self.landing.push((key.page.clone(), key.text(), text));
    }

    fn land(&mut self) {
        self.disk.extend(self.landing.drain(..).map(|(_, key, text)| (key, text)));
    }

    fn erase(&mut self, key: &Key) {
        self.quick.remove(&key.text());
        self.disk.remove(&key.text());
    }

    fn read(&self) -> Journal {
        Journal::read(self.disk.clone().into_iter().chain(self.quick.clone()))
    }
}

#[derive(Default)]
struct World {
    server: Server,
    storage: Storage,
    written: u64,
    pages: Vec<Page>,
    opened: usize,
    requests: Vec<Letter>,
    answers: Vec<Letter>,
    painted: usize,
    /// Strokes that the expert has given up by a choice.
    given_up: BTreeSet<(Plane, Stroke)>,
}

fn strokes(slice: &CorrectedSlice) -> BTreeSet<Stroke> {
    let labels = slice.runs.decode(VOXELS).unwrap();
    labels.iter().enumerate().filter(|(_, label)| **label == 1).map(|(voxel, _)| voxel).collect()
}

fn detail(server: &Server) -> CaseDetail {
    CaseDetail {
        geometry: Geometry::axis_aligned([8, 8, 2], [1.0; 3]).unwrap(),
        labels: LabelSet(vec![LabelInfo { value: 1, name: String::new(), colour: String::new(), code: None }]),
        versions: vec![PRESEGMENTATION.into()],
        corrections: server.all(),
        ..crate::session::bench::detail_for_test()
    }
}

impl World {
    fn happen(&mut self, happening: &Happening) {
        use Happening as H;
        match *happening {
            H::Paint { page, plane } => {
                self.on_page(page, |world, page| world.paint(page, PLANES[plane % PLANES.len()]))
            }
            H::Flush { page } => self.on_page(page, Self::flush),
            H::Arrive { request, again } if !self.requests.is_empty() => {
                let at = request % self.requests.len();
                let letter = if again { self.requests[at].clone() } else { self.requests.remove(at) };
                let saved_as = self.server.save(&letter.statement, &letter.page);
                self.answers.push(Letter { saved_as, ..letter });
            }
            H::LoseRequest { request } if !self.requests.is_empty() => {
                let lost = self.requests.remove(request % self.requests.len());
                self.give_up_waiting(&lost);
            }
            H::Answer { answer, again } if !self.answers.is_empty() => {
                let at = answer % self.answers.len();
                let letter = if again { self.answers[at].clone() } else { self.answers.remove(at) };
                self.answer(&letter);
            }
            H::LoseAnswer { answer } if !self.answers.is_empty() => {
                let lost = self.answers.remove(answer % self.answers.len());
                self.give_up_waiting(&lost);
            }
            H::Kill { page, reload } => self.on_page(page, |world, page| {
                let killed = world.pages.remove(page).name;
                world.storage.landing.retain(|(page, ..)| *page != killed);
                // The browser lives on for the seconds that its quick storage needs.
                world.storage.quick_of_old = world.storage.quick.clone();
                if reload {
                    world.open();
                }
            }),
            H::Land => self.storage.land(),
            H::Settle => self.storage.quick_of_old = self.storage.quick.clone(),
            H::KillBrowser => {
                self.storage.land();
                self.storage.quick = self.storage.quick_of_old.clone();
                self.pages.clear();
                self.open();
            }
            H::Open if self.pages.len() < 4 => self.open(),
            H::CatchUp { page } => self.on_page(page, Self::catch_up),
            H::Inherit { page, erases } => self.on_page(page, |world, page| world.inherit(page, erases)),
            H::Choose { page, mine } => self.on_page(page, |world, page| world.choose(page, mine)),
            _ => {}
        }
    }

    fn on_page(&mut self, page: usize, act: impl FnOnce(&mut Self, usize)) {
        if !self.pages.is_empty() {
            let page = page % self.pages.len();
            act(self, page);
        }
    }

    fn open(&mut self) {
        self.opened += 1;
        let mut bench = Bench::new(Door::default().open("c".into()), detail(&self.server));
        bench.segmentations.insert(PRESEGMENTATION.into(), vec![0; 2 * VOXELS]);
        self.pages.push(Page { name: format!("page{}", self.opened), bench, ancestors: BTreeMap::new() });
        self.inherit(self.pages.len() - 1, self.opened.is_multiple_of(2));
    }

    fn paint(&mut self, page: usize, plane: Plane) {
        if self.painted == VOXELS {
            return;
        }
        let correction = self.pages[page].bench.correction_mut(plane).unwrap();
        correction.labels[self.painted] = 1;
        correction.sync.touch();
        self.painted += 1;
        self.write_down(page, plane);
    }

    fn write_down(&mut self, page: usize, plane: Plane) {
        let entry = unconfirmed(&self.pages[page].bench, plane).unwrap();
        self.keep(page, plane, entry);
    }

    fn keep(&mut self, page: usize, plane: Plane, entry: Option<Entry>) {
        let Page { name, ancestors, .. } = &self.pages[page];
        let key = Key { page: name.clone(), case: "c".into(), plane };
        self.written += 1;
        let goes_on_from = ancestors.get(&plane).cloned().unwrap_or_default();
        self.storage.write(&key, &Record { written: self.written, entry, goes_on_from });
    }

    fn sync(&mut self, page: usize, plane: Plane) -> &mut Sync {
        &mut self.pages[page].bench.corrections.get_mut(&plane).unwrap().sync
    }

    fn flush(&mut self, page: usize) {
        let waiting = self.pages[page].bench.corrections.iter().filter(|(_, known)| known.sync.is_waiting());
        for plane in waiting.map(|(plane, _)| *plane).collect::<Vec<_>>() {
            let now = self.pages[page].bench.saved_form(plane).unwrap();
            let statement = self.sync(page, plane).statement_to_send(now);
            self.write_down(page, plane);
            self.requests.push(Letter { page: self.pages[page].name.clone(), statement, saved_as: None });
        }
    }

    fn page_of(&self, letter: &Letter) -> Option<usize> {
        self.pages
            .iter()
            .position(|page| page.name == letter.page && page.bench.corrections.contains_key(&letter.statement.plane))
    }

    fn give_up_waiting(&mut self, lost: &Letter) {
        if let Some(page) = self.page_of(lost) {
            self.sync(page, lost.statement.plane).in_flight = false;
        }
    }

    fn answer(&mut self, letter: &Letter) {
        let Some(page) = self.page_of(letter) else { return };
        let plane = letter.statement.plane;
        let theirs = self.server.latest(plane).cloned();
        let sync = self.sync(page, plane);
        sync.in_flight = false;
        let contest = match letter.saved_as {
            Some(revision) => {
                sync.confirm(&letter.statement, revision);
                None
            }
            None => Some(sync.contest(&letter.statement, theirs)),
        };
        let theirs = sync.theirs.as_ref().map(|theirs| theirs.revision);
        if contest == Some(Contest::Conflict) {
            self.check_no_conflict_with(&letter.page, plane, theirs);
        }
        assert_ne!(contest, Some(Contest::Unclear));
        self.write_down(page, plane);
    }

    fn check_no_conflict_with(&self, page: &str, plane: Plane, theirs: Option<u64>) {
        let author = theirs.and_then(|revision| self.server.authors.get(&(plane, revision)));
        assert_ne!(author.map(String::as_str), Some(page), "nobody is in conflict with themselves");
    }

    fn catch_up(&mut self, page: usize) {
        self.pages[page].bench.detail.corrections = self.server.all();
        self.pages[page].bench.catch_up();
    }

    /// Takes over what dead pages have left; as [`crate::session::Session::take_over`] and `resume`.
    fn inherit(&mut self, page: usize, erases: bool) {
        let living: Vec<String> = self.pages.iter().map(|page| page.name.clone()).collect();
        let journal = self.storage.read();
        let (left, _) = journal.left_behind(&"c".into(), &living);
        for (key, entry) in left {
            let is_mine = self.pages[page].bench.corrections.get(&key.plane).is_some_and(|known| known.sync.is_open());
            if !is_mine {
                let lineage = journal.lineage(&key);
                self.pages[page].ancestors.insert(key.plane, lineage.clone());
                self.resume(page, entry);
                // Theirs goes once this page's own is on the disk, if it comes to that.
                if erases {
                    self.storage.land();
                    lineage.into_iter().for_each(|old| self.storage.erase(&Key { page: old.page, ..key.clone() }));
                }
            }
        }
        journal.spent(&living).iter().for_each(|key| self.storage.erase(key));
    }

    fn resume(&mut self, page: usize, entry: Entry) {
        let (plane, sent) = (entry.slice.plane, entry.sent.clone());
        let Some((slice, sync)) = resumed(entry, self.server.latest(plane)) else {
            return self.keep(page, plane, None);
        };
        let is_own = sync.theirs.as_ref().zip(sent.as_ref()).is_some_and(|(theirs, sent)| same_statement(theirs, sent));
        assert!(!is_own, "nobody is in conflict with what they have sent themselves");
        assert!(self.pages[page].bench.adopt(&slice));
        *self.sync(page, plane) = sync;
        self.write_down(page, plane);
    }

    fn choose(&mut self, page: usize, mine: bool) {
        for plane in PLANES {
            let Some(ours) = self.pages[page].bench.saved_form(plane) else { continue };
            let Some(theirs) = self.sync(page, plane).theirs.clone() else { continue };
            let (kept, lost) = if mine { (&ours, &theirs) } else { (&theirs, &ours) };
            self.given_up.extend(strokes(lost).difference(&strokes(kept)).map(|stroke| (plane, *stroke)));
            if mine {
                self.sync(page, plane).keep_mine();
            } else {
                take_over_version(&mut self.pages[page].bench, &theirs);
            }
            self.write_down(page, plane);
        }
    }

    /// The network holds, nobody dies, and the expert chooses wherever there is a choice.
    fn settle(&mut self) {
        if self.pages.is_empty() {
            self.open();
        }
        for round in 0..1_000 {
            for page in 0..self.pages.len() {
                self.choose(page, round % 2 == 0);
                self.inherit(page, true);
                self.flush(page);
            }
            while !self.requests.is_empty() {
                self.happen(&Happening::Arrive { request: 0, again: false });
            }
            while !self.answers.is_empty() {
                self.happen(&Happening::Answer { answer: 0, again: false });
            }
            (0..self.pages.len()).for_each(|page| self.catch_up(page));
            self.storage.land();
            let is_open = |page: &Page| page.bench.corrections.values().any(|known| known.sync.is_open());
            if !self.pages.iter().any(is_open) && self.storage.read().unsent().is_empty() {
                return;
            }
        }
        panic!("pages and server never agree");
    }

    fn check(&self) {
        for plane in PLANES {
            let saved = self.server.latest(plane);
            for page in &self.pages {
                let shown = page.bench.saved_form(plane);
                assert_eq!(
                    shown.as_ref().map(strokes),
                    saved.map(strokes),
                    "{} shows what the server has of {plane}",
                    page.name
                );
                assert!(shown.is_none_or(|shown| shown.state == SliceState::Todo));
            }
        }
    }
}

/// What the status bar says is looked at after as many happenings.
const STATUS_EVERY: usize = 8;

impl World {
    /// How safe this page may call its correction of a plane: "kept" is said of what is on the disk.
    fn kept(&self, page: &Page, plane: Plane) -> Kept {
        let key = Key { page: page.name.clone(), case: "c".into(), plane }.text();
        if self.storage.landing.iter().any(|(_, landing, _)| *landing == key) { Kept::Pending } else { Kept::Yes }
    }

    /// Every word of every page's status is true at this moment, whether or not the page believes the server there.
    fn check_status(&self) {
        for page in &self.pages {
            let standing = |(plane, known): (&Plane, &Correction)| (known.sync.clone(), self.kept(page, *plane));
            let all: Vec<(Sync, Kept)> = page.bench.corrections.iter().map(standing).collect();
            for online in [true, false] {
                let said = save_state(&all, online);
                for plane in PLANES {
                    self.check_said(page, plane, &said);
                }
                if let SaveState::Offline(count) | SaveState::Saving(count) = said {
                    assert_eq!(count, all.iter().filter(|(sync, _)| sync.is_open()).count());
                }
            }
        }
    }

    fn check_said(&self, page: &Page, plane: Plane, said: &SaveState) {
        let (Some(shown), Some(known)) = (page.bench.saved_form(plane), page.bench.corrections.get(&plane)) else {
            return;
        };
        match said {
            SaveState::Saved => {
                let versions = self.server.versions.get(&plane).into_iter().flatten();
                let saved: BTreeSet<Stroke> = versions.flat_map(strokes).collect();
                assert!(strokes(&shown).is_subset(&saved), "{} says that {plane} is saved", page.name);
            }
            SaveState::Offline(_) if known.sync.is_open() => {
                let key = Key { page: page.name.clone(), case: "c".into(), plane }.text();
                let on_disk = self.storage.disk.get(&key).map(|text| serde_json::from_str::<Record>(text).unwrap());
                let entry = on_disk.and_then(|record| record.entry);
                let kept = entry.map(|entry| strokes(&entry.slice)).unwrap_or_default();
                assert!(strokes(&shown).is_subset(&kept), "{} says that {plane} is kept on this computer", page.name);
            }
            SaveState::Conflict(_) => {
                if let Some(theirs) = &known.sync.theirs {
                    let versions = self.server.versions.get(&plane).into_iter().flatten();
                    let held = versions.filter(|version| version.revision == theirs.revision).count();
                    assert_eq!(held, 1, "{} says that another window has saved {plane}", page.name);
                }
            }
            SaveState::Offline(_) | SaveState::Saving(_) | SaveState::NotKept(..) | SaveState::Refused { .. } => {}
        }
    }
}

/// Which strokes were painted where.
fn painted(happenings: &[Happening], world: &mut World) -> BTreeSet<(Plane, Stroke)> {
    let mut painted = BTreeSet::new();
    for (number, happening) in happenings.iter().enumerate() {
        let before = world.painted;
        world.happen(happening);
        if number % STATUS_EVERY == 0 {
            world.check_status();
        }
        if let (Happening::Paint { plane, .. }, true) = (happening, world.painted > before) {
            painted.insert((PLANES[plane % PLANES.len()], before));
        }
    }
    painted
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("I3DEEP_SEQUENCES").ok().and_then(|count| count.parse().ok()).unwrap_or(SEQUENCES),
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_happens_no_stroke_is_lost(happenings in prop::collection::vec(happening(), 1..80)) {
        let mut world = World::default();
        world.open();
        let painted = painted(&happenings, &mut world);
        world.settle();
        world.check();
        world.check_status();
        for (plane, stroke) in painted {
            let saved = world.server.latest(plane).is_some_and(|slice| strokes(slice).contains(&stroke));
            prop_assert!(saved || world.given_up.contains(&(plane, stroke)), "stroke {stroke} on {plane} is lost");
        }
    }
}

#[test]
#[should_panic(expected = "says that axial 0 is kept on this computer")]
fn the_play_notices_a_promise_that_is_not_kept() {
    let mut world = World::default();
    world.open();
    world.paint(0, PLANES[0]);
    world.storage.land();
    world.check_status();
    world.storage.disk.clear();
    world.check_status();
}

#[test]
fn the_play_notices_a_loss() {
    let mut world = World::default();
    world.open();
    world.paint(0, PLANES[0]);
    // As when two tabs shared one entry: the other one's confirmation took it away.
    world.storage = Storage::default();
    world.happen(&Happening::Kill { page: 0, reload: true });
    world.settle();
    assert_eq!(world.server.latest(PLANES[0]), None);
}

//! Voxels on their way to the open case, in the order in which they are of use: the slice that is to be corrected, its
//! labels, what lies around it, a coarse volume, and then the whole from there outwards.

use std::collections::HashSet;

use futures_util::{StreamExt, stream};
use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use shared::geometry::{Axis, Plane};
use shared::label::Label;
use shared::packed::{Coarse, Slabs, unpack};

use super::Session;
use super::bench::{Bench, Scan, Sharpness};
use super::link::RETRY_MS;
use super::stage::Stage;
use super::visit::Visit;
use crate::api::{self, Fetches, Piece, Trouble};

/// Pieces under way at once: the line is never idle while an answer is taken in.
const LANES: usize = 3;
/// Planes on either side of the slice that is to be corrected which come before everything else.
const NEIGHBOURS: usize = 2;

/// How often what has arrived is shown: each time costs a whole frame, in which no piece is taken in.
const SHOWN_EVERY_MS: f64 = 250.0;

/// What has arrived of what a walk fetches.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Arrivals {
    here: usize,
    all: usize,
    shown_ms: f64,
}

impl Arrivals {
    /// One piece more; the share that is here, if it is time to show it.
    fn arrive(&mut self, now_ms: f64) -> Option<f64> {
        self.here += 1;
        if now_ms - self.shown_ms < SHOWN_EVERY_MS {
            return None;
        }
        self.shown_ms = now_ms;
        Some((self.here as f64 / self.all.max(1) as f64).min(1.0))
    }
}

impl Session {
    /// Fetches what is not here yet, from what is of use first.
    pub(super) fn load_voxels(self) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        if self.change(|bench| bench.loading.ask()) != Some(true) {
            return;
        }
        spawn_local(async move {
            loop {
                let trouble = self.walk(&visit).await.err();
                if !self.is_shown(&visit) {
                    return;
                }
                trouble.iter().for_each(|trouble| self.complain(trouble));
                if trouble == Some(Trouble::Unreachable) {
                    // What has arrived stays; the rest is fetched when the server is back.
                    TimeoutFuture::new(RETRY_MS).await;
                    if !self.is_shown(&visit) {
                        return;
                    }
                } else if self.change(|bench| bench.loading.finish()) != Some(true) {
                    break;
                }
            }
            self.case.loading.set(None);
            self.case.arrived.set(None);
        });
    }

    /// Nobody waits for what is on its way any more.
    pub(super) fn end_fetches(self) {
        self.fetches.set_value(None);
        self.case.arrived.set(None);
    }

    /// A large scan is first seen where it is first worked on, though its segmentation is not here yet.
    pub(super) fn look_ahead(self) {
        let is_large = self.read(|bench| Coarse::of(bench.geometry().dims, 2).is_some()) == Some(true);
        if let Some(plane) = self.first_to_do().filter(|_| is_large)
            && let Some(stored) = self.read(|bench| bench.geometry().stored_axis(plane.axis))
        {
            self.viewing.large.learn(plane.axis);
            self.viewing.crosshair.update(|crosshair| crosshair[stored] = plane.index);
        }
    }

    async fn walk(self, visit: &Visit) -> api::Answer<()> {
        let blend = self.viewing.blend.now().map(|blend| blend.channel);
        let (channels, versions, lacks_uncertainty) = self.read(|bench| missing(bench, blend)).unwrap_or_default();
        self.count(&channels, versions.len() + usize::from(lacks_uncertainty));
        let (newest, older) = versions.split_at(versions.len().min(1));
        for (turn, channel) in channels.iter().enumerate() {
            self.case.loading.set(Some("Loading the scan…"));
            if let Some(plane) = self.first_to_do().filter(|_| turn == 0) {
                self.load_planes(visit, *channel, &[plane]).await?;
            }
            if turn == 0 {
                self.load_versions(visit, newest).await?;
                self.case.loading.set(Some("Loading the scan…"));
            }
            self.load_planes(visit, *channel, &self.around()).await?;
            self.load_coarse(visit, *channel).await?;
            self.load_slabs(visit, *channel).await?;
        }
        if channels.is_empty() {
            self.load_versions(visit, newest).await?;
        }
        self.load_versions(visit, older).await?;
        if !self.is_shown(visit) || !lacks_uncertainty {
            return Ok(());
        }
        let rounds = self.read(|bench| bench.detail.summary.rounds).unwrap_or_default();
        self.case.loading.set(Some("Loading the uncertainty…"));
        let uncertainty = self.bytes_of(visit, Piece::Uncertainty).await?;
        self.put(visit, |bench| (bench.uncertainty, bench.uncertainty_rounds) = (Some(uncertainty), rounds));
        Ok(())
    }

    /// Counts the pieces that a walk fetches.
    fn count(self, channels: &[usize], small: usize) {
        let all = self.read(|bench| {
            let of_images = channels.iter().map(|channel| {
                let scan = bench.images.get(channel);
                scan.map_or(Slabs::new(bench.geometry().dims, 2).count(), |scan| scan.missing(0).len())
            });
            of_images.sum::<usize>() + small * Slabs::new(bench.geometry().dims, 1).count()
        });
        self.arrivals.set_value(Arrivals { all: all.unwrap_or_default(), ..Arrivals::default() });
        self.case.arrived.set(Some(0.0));
    }

    /// A piece is here; whether it is time to show what is.
    fn note_arrival(self) -> bool {
        let share = self.arrivals.try_update_value(|arrivals| arrivals.arrive(js_sys::Date::now())).flatten();
        share.into_iter().for_each(|share| self.case.arrived.set(Some(share)));
        share.is_some()
    }

    /// Segmentations, the first of which is what is worked on.
    async fn load_versions(self, visit: &Visit, versions: &[String]) -> api::Answer<()> {
        for version in versions {
            if !self.is_shown(visit) {
                return Ok(());
            }
            self.case.loading.set(Some("Loading the segmentation…"));
            let labels = self.labels_of(visit, version).await?;
            let first = self.is_shown(visit) && self.read(|bench| bench.segmentations.is_empty()) == Some(true);
            self.put(visit, |bench| bench.segmentations.insert(version.clone(), labels));
            if self.is_shown(visit) {
                self.follow_decisions();
            }
            if first {
                self.begin_work();
            }
        }
        Ok(())
    }

    /// Planes before their slabs, of a scan that is large.
    async fn load_planes(self, visit: &Visit, channel: usize, planes: &[Plane]) -> api::Answer<()> {
        let wanted: Vec<Plane> = self
            .read(|bench| {
                let scan = bench.images.get(&channel);
                let is_wanted = |plane: &&Plane| match scan {
                    Some(scan) => scan.sharpness(bench.geometry(), **plane) != Sharpness::Sharp,
                    None => true,
                };
                let is_large = Coarse::of(bench.geometry().dims, 2).is_some();
                planes.iter().filter(|_| is_large).filter(is_wanted).copied().collect()
            })
            .unwrap_or_default();
        let fetch = |plane| async move { (plane, self.fetch_piece(visit, Piece::Plane(channel, plane)).await) };
        let mut arriving = stream::iter(wanted).map(fetch).buffered(LANES);
        while let Some((plane, packed)) = arriving.next().await {
            let packed = packed?;
            self.put_image(visit, channel, |bench, scan| scan.put_plane(&bench.detail.geometry, plane, &packed))?;
            self.see_image();
            self.show_image();
        }
        Ok(())
    }

    async fn load_coarse(self, visit: &Visit, channel: usize) -> api::Answer<()> {
        let coarse = self.read(|bench| {
            let dims = bench.geometry().dims;
            bench.images.get(&channel).map_or(Coarse::of(dims, 2), Scan::lacks_coarse)
        });
        let Some(coarse) = coarse.flatten() else { return Ok(()) };
        let packed = self.fetch_piece(visit, Piece::Coarse(channel)).await?;
        self.put_image(visit, channel, |_, scan| scan.put_coarse(coarse, &packed))?;
        self.see_image();
        self.show_image();
        Ok(())
    }

    /// A scan's slabs, those around the crosshair first.
    async fn load_slabs(self, visit: &Visit, channel: usize) -> api::Answer<()> {
        let at = self.viewing.crosshair.now()[2];
        let slabs = self.read(|bench| {
            let all = || Slabs::new(bench.geometry().dims, 2).around(at);
            bench.images.get(&channel).map_or_else(all, |scan| scan.missing(at))
        });
        let fetch = |slab| async move { (slab, self.fetch_piece(visit, Piece::Image(channel, slab)).await) };
        let mut arriving = stream::iter(slabs.unwrap_or_default()).map(fetch).buffer_unordered(LANES);
        while let Some((slab, packed)) = arriving.next().await {
            let packed = packed?;
            self.put_image(visit, channel, |_, scan| scan.put_slab(slab, &packed))?;
            if self.note_arrival() {
                self.show_image();
            }
        }
        if self.is_shown(visit) {
            self.see_image();
            self.show_image();
        }
        Ok(())
    }

    /// The planes in view, and the neighbours of the slice that is to be corrected.
    fn around(self) -> Vec<Plane> {
        let in_view = Axis::ALL.into_iter().filter_map(|axis| self.plane_of(axis));
        let target = self.rounds.target.now();
        let beside = target.into_iter().flat_map(|Plane { axis, index }| {
            (1..=NEIGHBOURS).flat_map(move |by| {
                [index.checked_sub(by), index.checked_add(by)]
                    .into_iter()
                    .flatten()
                    .map(move |index| Plane { axis, index })
            })
        });
        let is_there = |plane: &Plane| self.read(|bench| bench.geometry().check_plane(*plane).is_ok()) == Some(true);
        in_view.chain(beside.filter(is_there)).collect()
    }

    /// A segmentation's labels.
    pub(super) async fn labels_of(self, visit: &Visit, version: &str) -> api::Answer<Vec<Label>> {
        self.bytes_of(visit, |slab| Piece::Labels(version, slab)).await
    }

    /// All slabs of a volume of bytes.
    async fn bytes_of<'a>(self, visit: &Visit, piece: impl Fn(usize) -> Piece<'a>) -> api::Answer<Vec<u8>> {
        let Some(dims) = self.read(|bench| bench.geometry().dims) else { return Err(Trouble::Unreachable) };
        let slabs = Slabs::new(dims, 1);
        let mut voxels = vec![0; dims.iter().product()];
        let piece = &piece;
        let fetch = |slab| async move { (slab, self.fetch_piece(visit, piece(slab)).await) };
        let mut arriving = stream::iter(0..slabs.count()).map(fetch).buffer_unordered(LANES);
        while let Some((slab, packed)) = arriving.next().await {
            if !unpack(&packed?, dims[0], &mut voxels[slabs.voxels(slab)]) {
                return Err(api::misfit());
            }
            self.note_arrival();
        }
        Ok(voxels)
    }

    /// A piece of a case's volumes, unless its visit is over.
    async fn fetch_piece(self, visit: &Visit, piece: Piece<'_>) -> api::Answer<Vec<u8>> {
        if !self.is_shown(visit) {
            return Err(Trouble::Unreachable);
        }
        let end = self.fetches.try_update_value(|fetches| {
            if fetches.is_none() {
                *fetches = Fetches::new();
            }
            fetches.as_ref().map(Fetches::end)
        });
        api::piece(&visit.case, &piece, end.flatten().as_ref()).await
    }

    /// Takes in a part of a channel if it still concerns what is on the screen.
    fn put_image(self, visit: &Visit, channel: usize, put: impl FnOnce(&Bench, &mut Scan) -> bool) -> api::Answer<()> {
        if !self.is_shown(visit) {
            return Err(Trouble::Unreachable);
        }
        let fits = self.change(|bench| {
            let mut scan = bench.images.remove(&channel).unwrap_or_else(|| Scan::new(bench.geometry().dims));
            let fits = put(bench, &mut scan);
            bench.images.insert(channel, scan);
            fits
        });
        if fits == Some(true) { Ok(()) } else { Err(api::misfit()) }
    }

    /// Shows what is here of the image.
    fn show_image(self) {
        self.stage.update_value(Stage::image_arrived);
        self.draw_all();
    }

    /// Stores voxels if they still concern what is on the screen, and shows them.
    fn put<T>(self, visit: &Visit, store: impl FnOnce(&mut Bench) -> T) {
        if self.is_shown(visit) {
            self.change(store);
            self.repaint();
        }
    }

    /// Loads a version that is asked for.
    pub(super) fn load_version(self, version: String) {
        let Some(visit) = self.read(|bench| bench.visit.clone()) else { return };
        spawn_local(async move {
            match self.labels_of(&visit, &version).await {
                Ok(labels) => {
                    self.put(&visit, |bench| bench.segmentations.insert(version, labels));
                    if self.is_shown(&visit) {
                        self.follow_decisions();
                    }
                }
                Err(trouble) if self.is_shown(&visit) => self.complain(&trouble),
                Err(_) => {}
            }
        });
    }
}

/// What is not here: channels that are looked at, the newest segmentation and the one that it is compared with (older
/// ones come when asked for), uncertainty.
fn missing(bench: &Bench, blend: Option<usize>) -> (Vec<usize>, Vec<String>, bool) {
    let is_missing = |channel: &usize| {
        *channel < bench.detail.images.len() && !bench.images.get(channel).is_some_and(Scan::is_whole)
    };
    let blend = blend.filter(|blend| *blend != bench.channel);
    let channels = [Some(bench.channel), blend].into_iter().flatten().filter(is_missing).collect();
    let known: HashSet<&String> = bench.segmentations.keys().collect();
    let versions = bench.detail.versions.iter().rev().take(2).filter(|version| !known.contains(version));
    (channels, versions.cloned().collect(), bench.lacks_uncertainty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrives_is_shown_now_and_then() {
        let mut arrivals = Arrivals { all: 4, ..Arrivals::default() };
        let shown = [1000.0, 1100.0, 1249.0, 1250.0].map(|now_ms| arrivals.arrive(now_ms));
        assert_eq!(shown, [Some(0.25), None, None, Some(1.0)]);
    }
}

//! Bundles and networks that stay open from one job to the next: reading, comparing and loading them takes as long as a
//! small scan.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use shared::api::MadeWith;

use crate::bundle::{Bundle, Stage};
use crate::inference::{DeviceChoice, Network};
use crate::store::Digest;
use crate::tasks::{Networks, load_stage, open_bundle};

/// Part of the machine's memory that weights of networks may take while no job needs them.
const MEMORY_SHARE: u64 = 8;
/// That much where the machine does not say how much it has.
const LIMIT_BYTES: u64 = 1 << 30;

/// Opened bundles and networks, by what they are: the digest of a `bundle.json`, which names the digests of all other
/// files.
pub(super) struct Shelf {
    device: DeviceChoice,
    limit_bytes: u64,
    bundles: Vec<(PathBuf, Digest, Arc<Bundle>)>,
    /// Used last, last.
    stages: Vec<Kept>,
}

/// One of a bundle's networks.
struct Kept {
    bundle: Digest,
    stage: Stage,
    bytes: u64,
    folds: Vec<Box<dyn Network>>,
}

impl Shelf {
    /// An empty shelf.
    pub(super) fn new(device: DeviceChoice) -> Self {
        let memory = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text));
        Self::with_limit(device, memory.map_or(LIMIT_BYTES, |bytes| bytes / MEMORY_SHARE))
    }

    fn with_limit(device: DeviceChoice, limit_bytes: u64) -> Self {
        Self { device, limit_bytes, bundles: Vec::new(), stages: Vec::new() }
    }

    /// A bundle as it lies in its folder now; one that has not changed is neither read nor compared again.
    ///
    /// # Errors
    /// [`crate::bundle::BundleError`] with the folder's name.
    pub(super) fn bundle(&mut self, folder: &Path) -> Result<(Arc<Bundle>, Digest)> {
        let manifest = folder.join("bundle.json");
        let digest = Digest::of_file(&manifest).with_context(|| format!("the bundle {}", folder.display()))?;
        if let Some((.., bundle)) = self.bundles.iter().find(|(known, of, _)| known == folder && *of == digest) {
            return Ok((Arc::clone(bundle), digest));
        }
        let bundle = Arc::new(open_bundle(folder)?);
        self.bundles.retain(|(known, ..)| known != folder);
        self.bundles.push((folder.to_owned(), digest.clone(), Arc::clone(&bundle)));
        Ok((bundle, digest))
    }

    /// Lets go of what was used longest ago until `more_bytes` fit.
    fn make_room(&mut self, more_bytes: u64) {
        while !self.stages.is_empty()
            && self.stages.iter().map(|kept| kept.bytes).sum::<u64>() + more_bytes > self.limit_bytes
        {
            self.stages.remove(0);
        }
    }

    /// Between jobs: what is larger than the limit by itself goes, too.
    pub(super) fn trim(&mut self) {
        self.make_room(0);
    }

    /// After a failure, which may have been for want of memory.
    pub(super) fn clear(&mut self) {
        self.stages.clear();
    }
}

impl Networks for Shelf {
    fn of(&mut self, bundle: &Bundle, stage: Stage) -> Result<&mut [Box<dyn Network>]> {
        let digest = match self.bundles.iter().find(|(folder, ..)| *folder == bundle.folder) {
            Some((_, digest, _)) => digest.clone(),
            None => Digest::of_file(&bundle.folder.join("bundle.json"))?,
        };
        let kept = match self.stages.iter().position(|kept| kept.bundle == digest && kept.stage == stage) {
            Some(at) => self.stages.remove(at),
            None => {
                // TorchScript is code: what is loaded is what was bundled, also where a file has changed since the
                // bundle was opened.
                bundle.verify().with_context(|| format!("the bundle {}", bundle.folder.display()))?;
                let bytes = bundle.weights(stage).iter().map(|file| file.metadata().map_or(0, |data| data.len())).sum();
                self.make_room(bytes);
                Kept { bundle: digest, stage, bytes, folds: load_stage(bundle, stage, self.device)? }
            }
        };
        self.stages.push(kept);
        Ok(self.stages.last_mut().map_or(&mut [], |kept| &mut kept.folds))
    }
}

/// What a stage of a bundle makes is made with.
pub(super) fn made_with(bundle: &Bundle, digest: &Digest, stage: Stage) -> MadeWith {
    MadeWith {
        bundle_version: bundle.manifest.version.clone(),
        bundle_digest: digest.to_string(),
        folds: bundle.weights(stage).len(),
        adaptation: None,
    }
}

/// `MemTotal` of `/proc/meminfo`.
fn total_bytes(meminfo: &str) -> Option<u64> {
    let kib = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"))?;
    kib.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phantom() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models/phantom")
    }

    /// Which stages are kept after they were asked for in this order.
    #[track_caller]
    fn check(limit_bytes: u64, asked: &[Stage], kept: &[Stage]) {
        let mut shelf = Shelf::with_limit(DeviceChoice::Cpu, limit_bytes);
        for stage in asked {
            let (bundle, _) = shelf.bundle(&phantom()).unwrap();
            assert!(!shelf.of(&bundle, *stage).unwrap().is_empty());
        }
        shelf.trim();
        assert_eq!(shelf.stages.iter().map(|kept| kept.stage).collect::<Vec<_>>(), kept);
    }

    #[test]
    fn networks_stay_open_as_far_as_memory_allows() {
        use Stage::{Presegmentation, Refinement};
        check(u64::MAX, &[Presegmentation, Refinement, Presegmentation], &[Refinement, Presegmentation]);
        check(1, &[Presegmentation, Refinement], &[]);
    }

    #[test]
    fn the_machine_says_how_much_memory_it_has() {
        assert_eq!(total_bytes("MemFree: 1 kB\nMemTotal:       24576 kB\n"), Some(24 << 20));
        assert_eq!(total_bytes(""), None);
    }
}

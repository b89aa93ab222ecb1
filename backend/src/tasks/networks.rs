//! Opens a bundle's networks.

use std::path::Path;

use anyhow::{Context, Result};

use crate::bundle::{Bundle, Stage};
use crate::inference::engine::{Arithmetic, open};
use crate::inference::{DeviceChoice, Network};

/// A bundle that is whole and unchanged; its digests are compared before a byte of it runs.
///
/// # Errors
/// [`crate::bundle::BundleError`] with the folder's name.
pub fn open_bundle(folder: &Path) -> Result<Bundle> {
    let bundle = Bundle::read(folder).with_context(|| format!("the bundle {}", folder.display()))?;
    bundle.verify().with_context(|| format!("the bundle {}", folder.display()))?;
    Ok(bundle)
}

/// Where a bundle's networks come from: opened for the purpose, or kept open since an earlier one.
pub trait Networks {
    /// All folds of one of a bundle's networks.
    ///
    /// # Errors
    /// [`crate::inference::NetworkError`] with the file's name.
    fn of(&mut self, bundle: &Bundle, stage: Stage) -> Result<&mut [Box<dyn Network>]>;
}

/// Networks that are opened when they are asked for; one stage's at a time.
#[derive(Default)]
pub struct OpenedNetworks {
    device: DeviceChoice,
    folds: Vec<Box<dyn Network>>,
}

impl OpenedNetworks {
    /// Networks that run on a device.
    pub fn on(device: DeviceChoice) -> Self {
        Self { device, folds: Vec::new() }
    }
}

impl Networks for OpenedNetworks {
    fn of(&mut self, bundle: &Bundle, stage: Stage) -> Result<&mut [Box<dyn Network>]> {
        // The memory of the other stage's comes first.
        self.folds.clear();
        self.folds = load_stage(bundle, stage, self.device)?;
        Ok(&mut self.folds)
    }
}

/// All folds of one of a bundle's networks.
///
/// # Errors
/// [`crate::inference::engine::OpenError`].
pub fn load_stage(bundle: &Bundle, stage: Stage, device: DeviceChoice) -> Result<Vec<Box<dyn Network>>> {
    Ok(open(&bundle.network_folder(stage), bundle.plan(stage), device, Arithmetic::Fast)?.into_folds())
}

//! Loads a bundle's networks.

use std::path::Path;

use anyhow::{Context, Result};
use rayon::prelude::*;

use crate::inference::bundle::{Bundle, Stage, weights};
use crate::inference::plans::Plan;
use crate::inference::torch::TorchNetwork;
use crate::inference::{DeviceChoice, Network};

/// A bundle that is whole and unchanged; its digests are compared before a byte of it runs.
///
/// # Errors
/// [`crate::inference::bundle::BundleError`] with the folder's name.
pub fn open_bundle(folder: &Path) -> Result<Bundle> {
    let bundle = Bundle::read(folder).with_context(|| format!("the bundle {}", folder.display()))?;
    bundle.verify().with_context(|| format!("the bundle {}", folder.display()))?;
    Ok(bundle)
}

/// All folds of one of a bundle's networks.
///
/// # Errors
/// [`crate::inference::NetworkError`] with the file's name.
pub fn load_stage(bundle: &Bundle, stage: Stage, device: DeviceChoice) -> Result<Vec<Box<dyn Network>>> {
    load_folds(&bundle.folder.join(stage.folder()), bundle.plan(stage), device)
}

/// All folds of a network folder.
///
/// # Errors
/// [`crate::inference::NetworkError`] with the file's name.
pub fn load_folds(folder: &Path, plan: &Plan, device: DeviceChoice) -> Result<Vec<Box<dyn Network>>> {
    Ok(load_networks(folder, plan, device)?.into_iter().map(|network| Box::new(network) as Box<dyn Network>).collect())
}

/// All folds of a network folder, as what they are. Several are read at a time.
///
/// # Errors
/// [`crate::inference::NetworkError`] with the file's name.
pub(super) fn load_networks(folder: &Path, plan: &Plan, device: DeviceChoice) -> Result<Vec<TorchNetwork>> {
    let load = |file: std::path::PathBuf| {
        let network = TorchNetwork::load(&file, plan.manifest.input_channels, plan.patch_size.len(), device);
        network.with_context(|| format!("the network {}", file.display()))
    };
    weights(folder, plan).into_par_iter().map(load).collect()
}

//! `settings.json`: what must be the same for rows to stand in one table.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use shared::acquisition::MIN_PLANES;

use super::worker::Setup;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Settings {
    bundle: String,
    version: String,
    files: BTreeMap<String, String>,
    expert: String,
    seed: u64,
    /// 0 in files from before there was a choice.
    #[serde(default)]
    blend_mm: f64,
    /// The product's in files from before there was a choice.
    #[serde(default = "offered_at_least")]
    fewest_planes: usize,
    /// Off in files from before there was a choice.
    #[serde(default)]
    adapt: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    class_dice: Option<Vec<f32>>,
}

fn offered_at_least() -> usize {
    MIN_PLANES
}

/// Refuses to mix rows of different bundles or experts in one folder; writes down what the folder's rows are about.
///
/// # Errors
/// If the folder holds rows about something else, or cannot be written.
pub fn check_settings(setup: &Setup) -> Result<()> {
    let path = setup.out.join("settings.json");
    let manifest = &setup.bundle.manifest;
    let settings = Settings {
        bundle: manifest.name.clone(),
        version: manifest.version.clone(),
        files: manifest.files.clone(),
        expert: setup.plan.expert.to_string(),
        seed: setup.plan.seed,
        blend_mm: setup.blend_mm,
        fewest_planes: setup.plan.fewest_planes,
        adapt: setup.adapt.clone(),
        class_dice: setup.class_dice.clone(),
    };
    match fs::read_to_string(&path) {
        Ok(text) => {
            let before: Settings =
                serde_json::from_str(&text).with_context(|| format!("{} is damaged", path.display()))?;
            ensure!(
                before == settings,
                "{} holds results of another bundle, expert, seed, blending, class Dice or fewest planes; use another \
                 folder",
                setup.out.display()
            );
        }
        Err(_) => fs::write(&path, serde_json::to_string_pretty(&settings)?)
            .with_context(|| format!("cannot write {}", path.display()))?,
    }
    Ok(())
}

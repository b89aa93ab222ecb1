//! Any bytes as a checkpoint, as safetensors, as plans, as a bundle's manifest: an answer in words, no panic, no memory
//! beyond what the file can hold. The first byte chooses.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use backend_fuzz::attempt;
use backend_fuzz::bundle::Bundle;
use backend_fuzz::bundle::architecture::Architecture;
use backend_fuzz::bundle::checkpoint::read_weights;
use backend_fuzz::bundle::plans::Plan;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// Plans of the network whose weights are among the seeds.
const PLANS: &str = include_str!("../network/plans.json");
const DATASET: &str = include_str!("../network/dataset.json");
const NETWORK: &str = include_str!("../network/network.json");

static ARCHITECTURE: LazyLock<Architecture> = LazyLock::new(|| {
    let plans: Value = serde_json::from_str(PLANS).expect("plans");
    let configuration = plans["configurations"]["3d_fullres"].as_object().expect("a configuration");
    Architecture::parse(configuration).expect("a network")
});

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    attempt(|| {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let put = |name: &str, content: &[u8]| {
            let file = folder.path().join(name);
            std::fs::write(&file, content).expect("a temporary file");
            file
        };
        match kind % 4 {
            0 => drop(read_weights(&put("checkpoint_final.pth", bytes), &ARCHITECTURE, 1, 3)),
            1 => drop(read_weights(&put("fold_0.safetensors", bytes), &ARCHITECTURE, 1, 3)),
            2 => {
                put("dataset.json", DATASET.as_bytes());
                put("network.json", NETWORK.as_bytes());
                put("plans.json", bytes);
                planned(folder.path());
            }
            _ => {
                put("bundle.json", bytes);
                drop(Bundle::read(folder.path()));
            }
        }
    });
});

fn planned(folder: &Path) {
    let Ok(plan) = Plan::read(folder) else { return };
    if let Some(architecture) = &plan.architecture {
        drop(architecture.tensors(plan.manifest.input_channels, plan.manifest.heads));
    }
}

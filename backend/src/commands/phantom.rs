//! `i3deep phantom`: writes generated scans with labels as an nnU-Net raw dataset.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;
use rayon::prelude::*;
use serde_json::{Map, Value, json};
use shared::geometry::Geometry;

use crate::phantom::{LABELS, MIN_SIZE, Phantom, PhantomParams, generate};

/// Arguments of `i3deep phantom`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folder to write: imagesTr, labelsTr, dataset.json.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// How many scans.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    cases: u64,
    /// Same seed, same scans.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Voxels along x, y and z.
    #[arg(long, value_name = "X,Y,Z", default_value = "56,64,48", value_parser = parse_triple::<usize>)]
    size: [usize; 3],
    /// Voxel spacing along x, y and z in millimetres.
    #[arg(long, value_name = "X,Y,Z", default_value = "1,1,1.5", value_parser = parse_triple::<f64>)]
    spacing: [f64; 3],
}

/// Generates and writes all cases; `dataset.json` comes last, so that a folder that has one is complete.
pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.size.iter().all(|n| (MIN_SIZE..=1024).contains(n)), "--size {:?}: each axis needs {MIN_SIZE} to 1024 voxels", args.size);
    let params = PhantomParams { dims: args.size, spacing_mm: args.spacing, seed: args.seed };
    for folder in ["imagesTr", "labelsTr"] {
        let folder = args.out.join(folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create the folder {}", folder.display()))?;
    }
    (0..args.cases).into_par_iter().try_for_each(|case| write_case(&args.out, &params, case))?;
    let path = args.out.join("dataset.json");
    let text = serde_json::to_string_pretty(&dataset_json(args.cases, args.seed))?;
    fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
    println!("{} generated scans in {}", args.cases, args.out.display());
    Ok(())
}

fn write_case(out: &Path, params: &PhantomParams, case: u64) -> Result<()> {
    let Phantom { image, labels } = generate(params, case)?;
    let name = format!("phantom_{:03}", case + 1);
    let intensities: Vec<u8> = image.voxels().iter().flat_map(|v| (*v as i16).to_le_bytes()).collect();
    write_nifti(&out.join(format!("imagesTr/{name}_0000.nii.gz")), image.geometry(), INT16, &intensities)?;
    write_nifti(&out.join(format!("labelsTr/{name}.nii.gz")), labels.geometry(), UINT8, labels.voxels())
}

fn dataset_json(cases: u64, seed: u64) -> Value {
    let labels: Map<String, Value> = LABELS.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "name": "Phantom",
        "description": format!("Generated scans (i3deep phantom --cases {cases} --seed {seed}); no patient data"),
        "channel_names": { "0": "MRI" },
        "labels": labels,
        "numTraining": cases,
        "file_ending": ".nii.gz",
    })
}

/// Reads `1,2,3`.
pub(super) fn parse_triple<T: std::str::FromStr>(text: &str) -> Result<[T; 3], String> {
    let numbers: Option<Vec<T>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    numbers.and_then(|n| n.try_into().ok()).ok_or_else(|| format!("'{text}' is not three numbers such as 56,64,48"))
}

/// NIfTI data type codes with their sizes in bits.
const UINT8: (i16, i16) = (2, 8);
const INT16: (i16, i16) = (4, 16);

/// Writes little-endian voxels as a compressed single-file NIfTI-1.
fn write_nifti(path: &Path, geometry: &Geometry, (code, bits): (i16, i16), voxels: &[u8]) -> Result<()> {
    let write = || -> io::Result<()> {
        let mut file = GzEncoder::new(io::BufWriter::new(fs::File::create(path)?), Compression::default());
        file.write_all(&nifti_header(geometry, code, bits))?;
        file.write_all(voxels)?;
        file.finish()?.flush()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// The 348 header bytes and the empty extension flag; offsets as in nifti1.h.
fn nifti_header(geometry: &Geometry, code: i16, bits: i16) -> [u8; 352] {
    let mut header = [0_u8; 352];
    let mut put = |offset: usize, bytes: &[u8]| header[offset..offset + bytes.len()].copy_from_slice(bytes);
    put(0, &348_i32.to_le_bytes());
    put(40, &3_i16.to_le_bytes());
    for (axis, n) in geometry.dims.iter().chain(&[1; 4]).enumerate() {
        put(42 + 2 * axis, &(*n as i16).to_le_bytes());
    }
    put(70, &code.to_le_bytes());
    put(72, &bits.to_le_bytes());
    for (axis, spacing) in [1.0].iter().chain(&geometry.spacing_mm).enumerate() {
        put(76 + 4 * axis, &(*spacing as f32).to_le_bytes());
    }
    put(108, &352_f32.to_le_bytes());
    put(112, &1_f32.to_le_bytes());
    // Millimetres; sform holds scanner coordinates.
    put(123, &[2]);
    put(254, &1_i16.to_le_bytes());
    for (at, entry) in geometry.world_from_voxel.iter().flatten().enumerate() {
        put(280 + 4 * at, &(*entry as f32).to_le_bytes());
    }
    put(344, b"n+1\0");
    header
}

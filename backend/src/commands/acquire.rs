//! `i3deep acquire`: chooses slices for volumes in files.

use std::path::PathBuf;

use anyhow::{Context, Result};
use shared::acquisition::{AcquisitionParams, Strategy};
use shared::geometry::Plane;

use super::outputs::{Files, shown};
use crate::pipeline::acquire::acquire;
use crate::scan_io::read_scan;
use crate::tasks::{read_on_grid, read_slices, write_slices};

/// Arguments of `i3deep acquire`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Uncertainty of every voxel, 0 to 1 (NIfTI).
    #[arg(long, value_name = "FILE")]
    uncertainty: PathBuf,
    /// The presegmentation (NIfTI), on the same grid.
    #[arg(long, value_name = "FILE")]
    presegmentation: PathBuf,
    /// Where to write the choice.
    #[arg(long, value_name = "FILE", default_value = "slices.json")]
    out: PathBuf,
    /// How to choose: greedy, greedy-per-second, published, random, random-foreground, class-stratified, equidistant,
    /// equidistant-foreground or component-centre.
    #[arg(long, default_value_t)]
    strategy: Strategy,
    /// Share of the axial planes with presegmented foreground that may be spent, over all axes together.
    #[arg(long, default_value_t = 0.2, value_parser = super::parse_share)]
    budget: f64,
    /// Weights of the sagittal, coronal and axial planes; 0 switches an axis off.
    #[arg(long, value_name = "S,C,A", default_value = "1,1,1", value_parser = parse_weights)]
    axis_weights: [f64; 3],
    /// How far a corrected plane settles what lies beside it, in millimetres; from the size of what is segmented unless
    /// given.
    #[arg(long, value_name = "MM", value_parser = super::parse_distance)]
    reach: Option<f64>,
    /// A slices.json of planes that are corrected already: they count as known and are not offered again. May be
    /// repeated.
    #[arg(long, value_name = "FILE")]
    settled: Vec<PathBuf>,
    /// Seed of the random strategy.
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

/// Three numbers, none below 0.
fn parse_weights(text: &str) -> Result<[f64; 3], String> {
    let weights = super::phantom::parse_triple::<f64>(text)?;
    let fits = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
    fits.then_some(weights).ok_or_else(|| format!("'{text}' are no weights, which are 0 or more"))
}

/// Reads, chooses, writes.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut files = Files::default();
    files.reads_scan("the uncertainty", &args.uncertainty);
    files.reads_scan("the presegmentation", &args.presegmentation);
    files.writes("--out", &args.out);
    args.settled.iter().for_each(|list| files.reads("the slices", list));
    files.check()?;
    let scan = read_scan(&args.uncertainty).with_context(|| format!("the uncertainty {}", shown(&args.uncertainty)))?;
    let labels = read_on_grid("the presegmentation", &args.presegmentation, &scan.origin)?.all();
    let labels = labels.with_context(|| format!("the presegmentation {}", shown(&args.presegmentation)))?;
    let mut settled: Vec<Plane> = Vec::new();
    for path in &args.settled {
        settled.extend(read_slices(path)?.slices.iter().map(|slice| slice.plane()));
    }
    let params = AcquisitionParams {
        strategy: args.strategy,
        budget: args.budget,
        axis_weights: args.axis_weights,
        seed: args.seed,
        reach_mm: args.reach,
    };
    let list = acquire(&scan.volume, &labels, &params, &settled)?;
    write_slices(&args.out, &list)?;
    for slice in &list.slices {
        let component = slice.component.map_or_else(String::new, |number| format!(", component {number}"));
        println!("{:>3}. {} — settles {:.1} %{component}", slice.rank, slice.plane(), 100.0 * slice.settles);
    }
    Ok(())
}

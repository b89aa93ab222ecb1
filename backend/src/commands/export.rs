//! `i3deep export`: a segmentation in the format that another program wants.

use std::path::PathBuf;

use anyhow::{Context, Result};
use shared::geometry::Plane;

use super::outputs::{Files, shown, wrong};
use crate::scan_io::{KeptReference, SegKind, VOLUME_ENDINGS, is_volume_name};
use crate::tasks::{ExportFiles, export, is_dicom_name, open_bundle, read_slices};

/// Arguments of `i3deep export`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle whose labels these are: their names, colours and codes.
    #[arg(long, value_name = "DIR")]
    bundle: PathBuf,
    /// The scan that was segmented; for a DICOM SEG the folder of its series.
    #[arg(long, value_name = "FILE|DIR")]
    image: PathBuf,
    /// The labels, in any format that is read: NIfTI, NRRD, .seg.nrrd, MetaImage, DICOM SEG.
    #[arg(long, value_name = "FILE")]
    labels: PathBuf,
    /// Where to write: .dcm (DICOM SEG), .seg.nrrd (3D Slicer), .nrrd, .nii.gz, .nii or .mha.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Slices that an expert has corrected (slices.json); a DICOM SEG names them. Once per round.
    #[arg(long, value_name = "FILE")]
    slices: Vec<PathBuf>,
    /// A DICOM SEG of the type BINARY, which older readers know, and not LABELMAP.
    #[arg(long)]
    binary: bool,
    /// Say nothing of the patient in a DICOM SEG: no name, id, dates, accession number. The unique identifiers of
    /// study, series and images stay, without which it would belong to nothing.
    #[arg(long)]
    without_patient: bool,
}

/// Reads, checks, writes.
pub(crate) fn run(args: &Args) -> Result<()> {
    if !is_dicom_name(&args.out) && !is_volume_name(&args.out) {
        let endings = VOLUME_ENDINGS.join(", ");
        return Err(wrong(format!("{} does not end in .dcm, .seg.nrrd, {endings}", shown(&args.out))));
    }
    if !is_dicom_name(&args.out) && (args.binary || args.without_patient) {
        return Err(wrong("--binary and --without-patient are of a DICOM SEG; give --out a name in .dcm".to_owned()));
    }
    let mut files = Files::default();
    files.reads_folder("the bundle", &args.bundle);
    files.reads_scan("the scan", &args.image);
    files.reads_scan("the labels", &args.labels);
    args.slices.iter().for_each(|list| files.reads("the slices", list));
    files.writes("--out", &args.out);
    files.check()?;
    let bundle = open_bundle(&args.bundle)?;
    let mut corrected: Vec<Plane> = Vec::new();
    for file in &args.slices {
        let list = read_slices(file).with_context(|| format!("the slices {}", shown(file)))?;
        corrected.extend(list.slices.iter().map(shared::acquisition::RankedSlice::plane));
    }
    export(
        &bundle,
        &ExportFiles {
            labels: &args.labels,
            scan: &args.image,
            out: &args.out,
            kind: if args.binary { SegKind::Binary } else { SegKind::Labelmap },
            kept: if args.without_patient { KeptReference::Identifiers } else { KeptReference::Patient },
            corrected: &corrected,
            made: chrono::Utc::now(),
        },
    )?;
    println!("{} is written", shown(&args.out));
    Ok(())
}

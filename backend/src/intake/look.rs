//! Every check that a scan has to pass before anything of it is kept.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use shared::api::ImageInfo;
use shared::geometry::Geometry;
use shared::intensity::{Packing, Window};
use shared::volume::Volume;

use super::IntakeError;
use super::archive::unpacked;
use crate::bundle::Bundle;
use crate::pipeline::distribution::Distribution;
use crate::pipeline::network_grid::{check_network_grid, content_box, joined, size_warning};
use crate::pipeline::outliers::outliers;
use crate::scan_io::{
    Intensities, KeptReference, Origin, Scan, ScanError, ScanFiles, SeriesReference, is_dicom, is_header_alone, is_pet,
    read_reference, read_scan_files, told_apart, write_without_texts,
};
use crate::tasks::{orientation_warning, reorientation};

/// A scan that has passed all checks. What is kept of its channels lies in the folder that it was looked through for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Looked {
    /// The grid that all channels share.
    pub geometry: Geometry,
    /// How the browser shows each channel, in order.
    pub images: Vec<ImageInfo>,
    /// What a DICOM SEG has to say of the series that was brought; none if it was no series, or this is not kept.
    pub reference: Option<SeriesReference>,
}

/// Where a channel's file lies, without any text of its header.
pub(super) fn scan_file(folder: &Path, channel: usize) -> PathBuf {
    folder.join(format!("channel-{channel}.nii.gz"))
}

/// Where a channel's voxels lie for the browser: u16 little-endian, x fastest.
pub(super) fn voxels_file(folder: &Path, channel: usize) -> PathBuf {
    folder.join(format!("channel-{channel}.voxels"))
}

/// The scans among files that were brought together, archives unpacked, in their order: the DICOM files of each series;
/// a header whose voxels have a file of their own with the file that follows it, or else the one before it. Names say
/// nothing here.
///
/// # Errors
/// [`ScanError`] for DICOM files that cannot be read.
pub fn gather(files: &[PathBuf]) -> Result<Vec<ScanFiles>, ScanError> {
    let (series, files): (Vec<PathBuf>, Vec<PathBuf>) = unpacked(files)?.into_iter().partition(|file| is_dicom(file));
    let alone: Vec<bool> = files.iter().map(|file| is_header_alone(file)).collect();
    let mut taken = alone.clone();
    let mut voxels_of: Vec<Option<usize>> = vec![None; files.len()];
    for at in (0..files.len()).filter(|at| alone[*at]) {
        let other = [at + 1, at.wrapping_sub(1)].into_iter().find(|other| taken.get(*other) == Some(&false));
        if let Some(other) = other {
            taken[other] = true;
            voxels_of[at] = Some(other);
        }
    }
    let scan = |at: usize| match voxels_of[at] {
        Some(voxels) => ScanFiles::Pair { header: files[at].clone(), voxels: files[voxels].clone() },
        None => ScanFiles::One(files[at].clone()),
    };
    let nifti = (0..files.len()).filter(|at| alone[*at] || !taken[*at]).map(scan);
    Ok(nifti.chain(told_apart(&series)?.into_iter().map(ScanFiles::Series)).collect())
}

/// Reads a scan's files, one a channel, checks that they are scans on one grid which the bundle's networks can work on,
/// and leaves what is kept of them in a folder. Of whom a DICOM series is, as much is taken along as is `kept`. Holds
/// the voxels of one channel at a time, 4 bytes each, and nothing else of their size. What it leaves has reached the
/// disk.
///
/// # Errors
/// [`IntakeError`] but for what concerns the store or the bundle's folder.
pub fn look_through(
    scans: &[ScanFiles],
    bundle: &Bundle,
    kept: KeptReference,
    out: &Path,
) -> Result<Looked, IntakeError> {
    let channels = &bundle.manifest.channels;
    if channels.len() != scans.len() {
        let name = bundle.folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        return Err(IntakeError::WrongChannelCount { bundle: name, channels: channels.clone(), got: scans.len() });
    }
    let mut first: Option<Origin> = None;
    let (mut images, mut content) = (Vec::new(), None);
    for (number, (files, channel)) in scans.iter().zip(channels).enumerate() {
        let refused = |error| IntakeError::Scan { channel: channel.clone(), error };
        let scan = read_scan_files(files, bundle.manifest.pet).map_err(refused)?;
        let differs = |difference| IntakeError::GridsDiffer { channel: channel.clone(), difference };
        first.get_or_insert_with(|| scan.origin.clone()).accept(&scan.origin).map_err(differs)?;
        let (known, filled) = rayon::join(|| Distribution::of(scan.volume.voxels()), || content_box(&scan.volume));
        content = joined(content, filled);
        let packing = known.packing(scan.volume.voxels());
        images.push(ImageInfo {
            channel: channel.clone(),
            minimum: packing.minimum,
            step: packing.step,
            window: Window::of(&known.quantiles),
            full: Some(Window::full(&known.quantiles)),
            warnings: uptake(files, bundle).into_iter().chain(odd(&scan, &known, bundle, number)).collect(),
        });
        let is_whole = known.counts.is_some();
        let (shown, kept) = rayon::join(
            || write_voxels(&voxels_file(out, number), &scan.volume, packing, is_whole),
            || write_scan(&scan_file(out, number), files, &scan),
        );
        shown.map_err(|error| refused(error.into())).and_then(|()| kept.map_err(refused))?;
    }
    let geometry = first.ok_or(IntakeError::NoImage)?.geometry().clone();
    let way = reorientation(&bundle.manifest, &geometry);
    let content = content.map(|content| way.content(&content, &geometry));
    check_network_grid(&way.geometry(&geometry), content.as_ref(), &bundle.presegmentation)?;
    let reference = match reference(scans, kept) {
        Ok(reference) => reference,
        Err(error) => {
            let words = sentence(&format!("no DICOM SEG can be made of this series: {error}"));
            images[0].warnings.push(words);
            None
        }
    };
    Ok(Looked { geometry, images, reference })
}

/// Says that a PET series was turned into uptake.
fn uptake(files: &ScanFiles, bundle: &Bundle) -> Option<String> {
    let is_turned = bundle.manifest.pet == Intensities::SuvBw && is_pet(files);
    is_turned.then(|| "PET is shown and segmented as SUV by body weight (g/ml), computed from the series.".to_owned())
}

/// Whole numbers are packed as far as they lie above the least.
fn write_voxels(path: &Path, volume: &Volume<f32>, packing: Packing, are_whole: bool) -> io::Result<()> {
    const PIECE: usize = 1 << 16;
    let mut file = File::create(path)?;
    let mut bytes = vec![0; 2 * PIECE];
    for piece in volume.voxels().chunks(PIECE) {
        let bytes = &mut bytes[..2 * piece.len()];
        let packed = bytes.as_chunks_mut().0.iter_mut().zip(piece);
        if are_whole {
            packed.for_each(|(two, v)| *two = ((v - packing.minimum) as u16).to_le_bytes());
        } else {
            packed.for_each(|(two, v)| *two = packing.pack(*v).to_le_bytes());
        }
        file.write_all(bytes)?;
    }
    file.sync_all()
}

fn write_scan(path: &Path, files: &ScanFiles, scan: &Scan) -> Result<(), ScanError> {
    let mut file = BufWriter::new(File::create(path)?);
    write_without_texts(files, scan, &mut file)?;
    Ok(file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?)
}

/// What is kept of the first channel's series; slices of all channels are the same planes.
fn reference(scans: &[ScanFiles], kept: KeptReference) -> Result<Option<SeriesReference>, ScanError> {
    match scans.first() {
        Some(ScanFiles::Series(files)) => read_reference(files, kept),
        _ => Ok(None),
    }
}

/// What is odd about a channel, in sentences. What is odd about all channels' grid is said of the first.
fn odd(scan: &Scan, known: &Distribution, bundle: &Bundle, number: usize) -> Vec<String> {
    let Scan { volume, origin } = scan;
    let plan = &bundle.presegmentation;
    let first = |words: Option<String>| words.filter(|_| number == 0);
    let header = first(origin.contradictions().map(|words| format!("the scan's header {words}")));
    let stored = first(orientation_warning(&bundle.manifest, origin.geometry()));
    let seen = reorientation(&bundle.manifest, origin.geometry()).geometry(origin.geometry());
    let size = first(size_warning(&seen, plan));
    let normalization = plan.normalization.get(number);
    let voxels = normalization.and_then(|(normalization, _)| outliers(volume, known, *normalization));
    let voxels = voxels.map(|words| match bundle.manifest.channels.get(number) {
        Some(channel) if bundle.manifest.channels.len() > 1 => format!("{channel}: {words}"),
        _ => words,
    });
    [header, stored, size, voxels].into_iter().flatten().map(|words| sentence(&words)).collect()
}

/// Words that follow a colon elsewhere, as a sentence.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan_io::write_f32;

    /// Writes a scan of zeros with these voxels and this spacing.
    fn scan(folder: &Path, name: &str, dims: [usize; 3], spacing_mm: f64) -> PathBuf {
        let geometry = Geometry::axis_aligned(dims, [spacing_mm; 3]).unwrap();
        let file = folder.join(name);
        write_f32(&file, &Volume::filled(geometry.clone(), 0.0), &Origin::of_geometry(&geometry)).unwrap();
        file
    }

    /// The phantom's bundle as one of two channels.
    fn bundle() -> Bundle {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models/phantom");
        let mut bundle = Bundle::read(&folder).unwrap();
        bundle.manifest.channels = vec!["T1".to_owned(), "T2".to_owned()];
        bundle
    }

    #[test]
    fn what_no_network_holds_is_refused_before_it_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let look = |spacing_mm: f64| {
            let file = scan(folder.path(), "1.nii.gz", [64, 64, 64], spacing_mm);
            let files = [file.clone(), file];
            look_through(&gather(&files).unwrap(), &bundle(), KeptReference::Patient, folder.path())
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(look(1.0), Ok(()));
        assert!(look(20.0).unwrap_err().contains("voxels on the network's grid, more than 536870912"));
        assert!(look(1000.0).unwrap_err().contains("may be in micrometres"));
    }

    #[test]
    fn what_is_odd_is_kept_in_sentences() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = bundle();
        let look = |name: &str, diagonal: [f64; 3], hot: bool| {
            let [x, y, z] = diagonal;
            let affine = [[x, 0.0, 0.0, 0.0], [0.0, y, 0.0, 0.0], [0.0, 0.0, z, 0.0]];
            let geometry = Geometry::new([64, 64, 64], diagonal.map(f64::abs), affine).unwrap();
            let voxels = (0..64 * 64 * 64).map(|at| if hot && at == 70 { 1e7 } else { (at * 7919 % 200) as f32 });
            let volume = Volume::new(geometry.clone(), voxels.collect()).unwrap();
            let file = folder.path().join(name);
            write_f32(&file, &volume, &Origin::of_geometry(&geometry)).unwrap();
            let scan = ScanFiles::One(file);
            let looked = look_through(&[scan.clone(), scan], &bundle, KeptReference::Patient, folder.path()).unwrap();
            looked.images.into_iter().map(|image| image.warnings).collect::<Vec<_>>()
        };
        let check = |got: Vec<Vec<String>>, expected: [&[&str]; 2]| {
            for (got, expected) in got.iter().zip(expected) {
                assert_eq!(got.len(), expected.len(), "{got:?}");
                for (words, begins) in got.iter().zip(expected) {
                    assert!(words.starts_with(begins) && words.ends_with('.'), "{words}");
                }
            }
        };
        check(look("plain.nii", [1.0, 1.0, 1.5], false), [&[], &[]]);
        check(look("las.nii", [-1.0, 1.0, 1.5], false), [&["The scan is stored LAS, and the networks"], &[]]);
        check(look("hot.nii", [1.0, 1.0, 1.5], true), [&["T1: a few voxels are far"], &[]]);
        check(look("speck.nii", [0.02, 0.02, 0.03], false), [&["The scan is only 1.280 × 1.280 × 1.920 mm"], &[]]);
    }

    #[test]
    fn channels_must_share_a_grid() {
        let folder = tempfile::tempdir().unwrap();
        let bundle = bundle();
        let check = |dims: [usize; 3], spacing_mm: f64, expected: Result<usize, &str>| {
            let files =
                [scan(folder.path(), "1.nii.gz", [4, 5, 6], 1.0), scan(folder.path(), "2.nii.gz", dims, spacing_mm)];
            let got = look_through(&gather(&files).unwrap(), &bundle, KeptReference::Patient, folder.path())
                .map(|scan| scan.images.len())
                .map_err(|error| error.to_string());
            assert_eq!(got, expected.map_err(str::to_owned));
        };
        check([4, 5, 6], 1.0, Ok(2));
        check(
            [4, 5, 7],
            1.0,
            Err("T2 has 4 × 5 × 7 voxels instead of 4 × 5 × 6. Channels must share one grid; resample it onto the \
                 first"),
        );
        check(
            [4, 5, 6],
            1.5,
            Err("T2 has voxels of 1.5 × 1.5 × 1.5 mm instead of 1 × 1 × 1. Channels must share one grid; resample it \
                 onto the first"),
        );
    }

    #[test]
    fn headers_find_their_voxels() {
        let folder = tempfile::tempdir().unwrap();
        let whole = scan(folder.path(), "whole.nii", [4, 5, 6], 1.0);
        let mut bytes = std::fs::read(&whole).unwrap();
        bytes[344..348].copy_from_slice(b"ni1\0");
        bytes[108..112].fill(0);
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.hdr"), &bytes[..348]).unwrap();
        std::fs::write(at("a.img"), &bytes[352..]).unwrap();
        let (header, voxels) = (at("a.hdr"), at("a.img"));
        let pair = ScanFiles::Pair { header: header.clone(), voxels: voxels.clone() };
        let single = ScanFiles::One(whole.clone());
        let check = |files: &[&PathBuf], expected: &[&ScanFiles]| {
            let got = gather(&files.iter().map(|file| (*file).clone()).collect::<Vec<_>>()).unwrap();
            assert_eq!(got.iter().collect::<Vec<_>>(), expected);
            assert!(got.iter().all(|files| read_scan_files(files, Intensities::Stored).is_ok()));
        };
        check(&[&whole], &[&single]);
        check(&[&header, &voxels], &[&pair]);
        check(&[&voxels, &header], &[&pair]);
        check(&[&whole, &header, &voxels], &[&single, &pair]);
        check(&[&header, &voxels, &voxels, &header], &[&pair, &pair]);
    }
}

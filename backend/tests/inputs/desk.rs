//! A folder with a generated scan, and the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use i3deep::scan_io::{Origin, read_labels, read_scan};
use shared::geometry::{Affine, Geometry};
use shared::label::Label;
use shared::volume::Volume;
use tempfile::TempDir;

/// The bundle for generated scans.
pub(crate) fn bundle() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models/phantom")
}

/// A folder that holds `scan.nii.gz` and its `labels.nii.gz`.
pub(crate) struct Desk {
    folder: TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        let desk = Self { folder: tempfile::tempdir().unwrap() };
        desk.done(&["phantom", "--out", ".", "--cases", "1", "--seed", "5", "--size", "32,32,24"]);
        fs::rename(desk.at("imagesTr/phantom_001_0000.nii.gz"), desk.at("scan.nii.gz")).unwrap();
        fs::rename(desk.at("labelsTr/phantom_001.nii.gz"), desk.at("labels.nii.gz")).unwrap();
        desk
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs `i3deep` here; `BUNDLE` and `NETWORK` stand for the bundle of generated scans and its presegmentation.
    pub(crate) fn run(&self, arguments: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
        for argument in arguments {
            match *argument {
                "BUNDLE" => command.arg(bundle()),
                "NETWORK" => command.arg(bundle().join("presegmentation")),
                other => command.arg(other),
            };
        }
        let output = command.current_dir(&self.folder).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!said.contains("panicked"), "{said}");
        (output.status.code().unwrap_or(-1), said)
    }

    /// What is said on both streams.
    pub(crate) fn run_loud(&self, arguments: &[&str]) -> (i32, String) {
        let output =
            Command::new(env!("CARGO_BIN_EXE_i3deep")).args(arguments).current_dir(&self.folder).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    pub(crate) fn done(&self, arguments: &[&str]) {
        let (code, said) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
    }

    /// The command ends with this status and says these words, on the command line's terms.
    #[track_caller]
    pub(crate) fn refused(&self, arguments: &[&str], status: i32, words: &str) {
        let (code, said) = self.run(arguments);
        assert_eq!(code, status, "{arguments:?}: {said}");
        assert!(said.contains(words), "'{said}' does not say '{words}'");
        assert!(!said.contains("Upload"), "{said}");
    }

    /// Labels of the scan that `presegment` finds in a file.
    #[track_caller]
    pub(crate) fn presegmented(&self, image: &str) -> Volume<Label> {
        let out = format!("of-{image}");
        self.done(&["presegment", "--bundle", "BUNDLE", "--image", image, "--out", &out, "--device", "cpu"]);
        read_labels(&self.at(&out).join("presegmentation.nii.gz")).unwrap()
    }

    pub(crate) fn intensities(&self) -> Volume<f32> {
        read_scan(&self.at("scan.nii.gz")).unwrap().volume
    }

    pub(crate) fn labels(&self) -> Volume<Label> {
        read_labels(&self.at("labels.nii.gz")).unwrap()
    }
}

/// A volume's voxels under another affine.
pub(crate) fn placed<T: Copy>(volume: &Volume<T>, spacing_mm: [f64; 3], affine: Affine) -> (Volume<T>, Origin) {
    let geometry = Geometry::new(volume.geometry().dims, spacing_mm, affine).unwrap();
    (Volume::new(geometry.clone(), volume.voxels().to_vec()).unwrap(), Origin::of_geometry(&geometry))
}

/// A NIfTI-1 file by its fields; what is not named is as [`Fields::plain`] has it.
#[derive(Clone)]
pub(crate) struct Fields {
    pub(crate) dim: [i16; 8],
    pub(crate) pixdim: [f32; 8],
    pub(crate) datatype: i16,
    pub(crate) slope: f32,
    pub(crate) intercept: f32,
    pub(crate) units: u8,
    pub(crate) codes: [i16; 2],
    pub(crate) quatern: [f32; 6],
    pub(crate) srow: [[f32; 4]; 3],
    pub(crate) offset: f32,
}

impl Fields {
    /// A float scan of these voxels and sizes with an sform and a qform that agree.
    pub(crate) fn plain(dims: [usize; 3], spacing: [f32; 3]) -> Self {
        let [x, y, z] = spacing;
        Self {
            dim: [3, dims[0] as i16, dims[1] as i16, dims[2] as i16, 1, 1, 1, 1],
            pixdim: [1.0, x, y, z, 0.0, 0.0, 0.0, 0.0],
            datatype: 16,
            slope: 1.0,
            intercept: 0.0,
            units: 2,
            codes: [1, 1],
            quatern: [0.0; 6],
            srow: [[x, 0.0, 0.0, 0.0], [0.0, y, 0.0, 0.0], [0.0, 0.0, z, 0.0]],
            offset: 352.0,
        }
    }

    /// Header and voxels, in either byte order.
    pub(crate) fn bytes<const N: usize>(&self, voxels: impl Iterator<Item = [u8; N]>, big_endian: bool) -> Vec<u8> {
        let mut bytes = vec![0; 352];
        let mut put = |at: usize, little: &[u8]| {
            let mut field = little.to_vec();
            if big_endian {
                field.reverse();
            }
            bytes[at..at + field.len()].copy_from_slice(&field);
        };
        put(0, &348_i32.to_le_bytes());
        self.dim.iter().enumerate().for_each(|(i, n)| put(40 + 2 * i, &n.to_le_bytes()));
        put(70, &self.datatype.to_le_bytes());
        put(72, &(8 * N as i16).to_le_bytes());
        self.pixdim.iter().enumerate().for_each(|(i, size)| put(76 + 4 * i, &size.to_le_bytes()));
        put(108, &self.offset.to_le_bytes());
        put(112, &self.slope.to_le_bytes());
        put(116, &self.intercept.to_le_bytes());
        put(123, &[self.units]);
        put(252, &self.codes[0].to_le_bytes());
        put(254, &self.codes[1].to_le_bytes());
        let floats = self.quatern.iter().chain(self.srow.iter().flatten());
        floats.enumerate().for_each(|(i, value)| put(256 + 4 * i, &value.to_le_bytes()));
        bytes[344..348].copy_from_slice(b"n+1\0");
        for mut voxel in voxels {
            if big_endian {
                voxel.reverse();
            }
            bytes.extend(voxel);
        }
        bytes
    }

    /// Little-endian floats.
    pub(crate) fn floats(&self, voxels: &[f32]) -> Vec<u8> {
        self.bytes(voxels.iter().map(|v| v.to_le_bytes()), false)
    }
}

//! numpy's archives, written as they grow: what nnU-Net's `--save_probabilities` leaves for ensembling. And the case's
//! properties beside it, as a pickle of plain numbers.

use std::fs::File;
use std::io::{BufReader, BufWriter, Error, Result, Write};
use std::path::{Path, PathBuf};

use ndarray::Array4;
use ndarray_npy::ReadNpyExt;
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

/// An array of f32 from an archive.
///
/// # Errors
/// The system's, and [`std::io::ErrorKind::Other`] for files that are no such archive.
pub(super) fn read_npz(path: &Path, name: &str) -> Result<Array4<f32>> {
    let mut zip = ZipArchive::new(BufReader::new(File::open(path)?)).map_err(Error::other)?;
    let entry = zip.by_name(&format!("{name}.npy")).map_err(Error::other)?;
    Array4::read_npy(BufReader::new(entry)).map_err(Error::other)
}

/// An `.npz` with one array of f32; the file appears whole or not at all.
pub(super) struct NpzWriter {
    zip: ZipWriter<BufWriter<File>>,
    partial: PathBuf,
    path: PathBuf,
}

impl NpzWriter {
    /// Begins an archive whose array `name` has that shape, last axis fastest.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn create(path: &Path, name: &str, shape: &[usize]) -> Result<Self> {
        let partial = path.with_extension("npz.partial");
        let mut zip = ZipWriter::new(BufWriter::new(File::create(&partial)?));
        // Entries beyond 4 GiB need to be announced.
        let options =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated).large_file(true);
        zip.start_file(format!("{name}.npy"), options).map_err(Error::other)?;
        zip.write_all(&npy_header(shape))?;
        Ok(Self { zip, partial, path: path.to_owned() })
    }

    /// Appends values.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn append(&mut self, values: &[f32]) -> Result<()> {
        let mut bytes = Vec::with_capacity(1 << 16);
        for part in values.chunks(1 << 14) {
            bytes.clear();
            bytes.extend(part.iter().flat_map(|v| v.to_le_bytes()));
            self.zip.write_all(&bytes)?;
        }
        Ok(())
    }

    /// Ends the archive.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn finish(self) -> Result<()> {
        let file =
            self.zip.finish().map_err(Error::other)?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.sync_all()?;
        std::fs::rename(self.partial, self.path)
    }
}

/// Whether an archive is there with its one array, to the last byte.
pub(super) fn is_whole(path: &Path) -> bool {
    let Ok(mut archive) = File::open(path).map_err(drop).and_then(|file| zip::ZipArchive::new(file).map_err(drop))
    else {
        return false;
    };
    // To the end, where the checksum is compared.
    archive.len() == 1
        && archive.by_index(0).is_ok_and(|mut array| std::io::copy(&mut array, &mut std::io::sink()).is_ok())
}

/// Header of an `.npy` of little-endian f32, padded to 64 bytes.
fn npy_header(shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let mut text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", sizes.trim_end());
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend((text.len() as u16).to_le_bytes());
    header.extend(text.bytes());
    header
}

/// A value that Python can unpickle.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pickle {
    /// `int`.
    Int(i64),
    /// `float`.
    Float(f64),
    /// `list`.
    List(Vec<Pickle>),
    /// `tuple`.
    Tuple(Vec<Pickle>),
    /// `dict` with `str` keys.
    Dict(Vec<(&'static str, Pickle)>),
}

impl Pickle {
    /// Floats in a tuple.
    pub(super) fn floats(values: &[f64]) -> Self {
        Self::Tuple(values.iter().copied().map(Self::Float).collect())
    }

    /// Sizes in a tuple.
    pub(super) fn sizes(values: &[usize]) -> Self {
        Self::Tuple(values.iter().map(|n| Self::Int(*n as i64)).collect())
    }

    /// Protocol 0, which is text.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut text = String::new();
        self.write(&mut text);
        text.push('.');
        text.into_bytes()
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Int(value) => text.push_str(&format!("I{value}\n")),
            // `{:?}` is the shortest text that reads back as the same number.
            Self::Float(value) => text.push_str(&format!("F{value:?}\n")),
            Self::List(items) | Self::Tuple(items) => {
                text.push('(');
                items.iter().for_each(|item| item.write(text));
                text.push(if matches!(self, Self::List(_)) { 'l' } else { 't' });
            }
            Self::Dict(entries) => {
                text.push_str("(d");
                for (key, value) in entries {
                    text.push_str(&format!("V{key}\n"));
                    value.write(text);
                    text.push('s');
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn archives_hold_a_header_and_the_values() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("case.npz");
        let mut writer = NpzWriter::create(&path, "probabilities", &[2, 1, 1, 3]).unwrap();
        writer.append(&[1.0, 2.0, 3.0]).unwrap();
        assert!(!path.exists());
        writer.append(&[4.0, 5.0, 6.0]).unwrap();
        writer.finish().unwrap();
        let mut archive = zip::ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let mut bytes = Vec::new();
        archive.by_name("probabilities.npy").unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len(), 128 + 24);
        assert!(bytes[10..].starts_with(b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 1, 3,), }"));
        assert_eq!(bytes[148..], 6.0_f32.to_le_bytes());
    }

    #[test]
    fn pickles_are_protocol_zero() {
        let value = Pickle::Dict(vec![("a", Pickle::floats(&[0.5])), ("b", Pickle::List(vec![Pickle::Int(3)]))]);
        assert_eq!(value.bytes(), b"(dVa\n(F0.5\ntsVb\n(I3\nls.");
    }
}

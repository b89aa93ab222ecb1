//! What a segmentation is to say.

use chrono::{DateTime, Utc};
use shared::geometry::Plane;
use shared::label::{Label, LabelSet};
use shared::volume::Volume;

use super::super::reference::SeriesReference;
use super::elements::MAKER;

/// How segments are laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SegKind {
    /// A label a pixel, a frame a slice (Supplement 243); RLE.
    #[default]
    Labelmap,
    /// A bit a pixel, a frame for each slice of each segment; what older readers know.
    Binary,
}

/// What made the labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithm {
    /// The bundle's name.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl Algorithm {
    /// A bundle, or one like it.
    pub fn of(name: &str, version: &str) -> Self {
        Self { name: format!("{MAKER} {name}"), version: version.to_owned() }
    }
}

/// What a segmentation says.
#[derive(Clone, Copy, Debug)]
pub struct SegContent<'a> {
    /// On the series's own grid.
    pub labels: &'a Volume<Label>,
    /// The segments. One that no voxel has is listed all the same.
    pub names: &'a LabelSet,
    /// Of what series.
    pub reference: &'a SeriesReference,
    /// By what.
    pub algorithm: &'a Algorithm,
    /// Planes that an expert has corrected.
    pub corrected: &'a [Plane],
    /// Layout.
    pub kind: SegKind,
    /// When.
    pub made: DateTime<Utc>,
}

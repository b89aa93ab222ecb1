//! What a device needs to know of a case to take it from its normalised voxels to labels without handing anything back
//! on the way.
//!
//! Plain numbers: how to resample is told as one matrix an axis, made by the pipeline from its own resampling, so that
//! there is one truth about it.

use ndarray::{Array2, ArrayView3};

use super::window::{Mirror, Window};

/// A case, its networks' window, and the way to labels.
pub struct Case<'a> {
    /// Normalised channels `[z, y, x]`.
    pub channels: Vec<ArrayView3<'a, f32>>,
    /// The way of the channels to the network's grid; None where they lie on it.
    pub to_network: Option<Resize>,
    /// Channels behind these that lie on the network's grid: a cascade's labels.
    pub more: Vec<ArrayView3<'a, f32>>,
    /// How the grid is walked. `at_once` does not count here: a device computes one batch after the other.
    pub window: &'a Window,
    /// Mirrors, whose logits are averaged.
    pub mirrors: &'a [Mirror],
    /// The way of the logits to the scan's spacing; None where they have it.
    pub to_scan: Option<Resize>,
    /// Whether the logits are rounded to half precision on the scan's spacing, as nnU-Net does after splines.
    pub half: bool,
    /// With regions every head whose sigmoid exceeds one half writes its label, in this order; else the first of the
    /// largest heads wins.
    pub regions: Option<Vec<u8>>,
}

/// From one grid to another, axis by axis.
#[derive(Clone, Debug)]
pub struct Resize {
    /// The new size.
    pub shape: [usize; 3],
    /// One matrix an axis, `[new, old]`; None for an axis that stays.
    pub axes: [Option<Array2<f64>>; 3],
    /// Whose range results are kept in.
    pub clip: Clip,
}

/// Whose range resampled values are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clip {
    /// Nobody's: linear interpolation cannot leave it.
    Off,
    /// That of the channel.
    Volume,
    /// That of each slice across this axis, which is resampled last.
    Slices(usize),
}

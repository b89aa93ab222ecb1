//! How often each intensity is there, where they are whole numbers: a scan of a hundred million voxels has some
//! thousand different ones, and what is asked of all voxels can be asked of these.

/// Whole numbers, one after another, and how often each is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    first: i64,
    counts: Vec<u64>,
}

impl Counts {
    /// How often `first`, and each whole number after it, is there.
    pub fn new(first: f32, counts: Vec<u64>) -> Self {
        Self { first: first as i64, counts }
    }

    /// Intensities that are there, from the smallest to the largest, and how often.
    pub fn each(&self) -> impl Iterator<Item = (f32, u64)> + Clone {
        let numbered = (self.first..).zip(&self.counts);
        numbered.filter(|(_, count)| **count > 0).map(|(value, count)| (value as f32, *count))
    }
}

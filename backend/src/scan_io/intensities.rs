//! What the numbers of a scan are to say.

use serde::{Deserialize, Serialize};

/// What a PET series' numbers are to say; other scans have one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Intensities {
    /// What its rescaling gives, such as activity in Bq/ml.
    #[default]
    Stored,
    /// Standardised uptake by body weight, in g/ml.
    SuvBw,
}

impl Intensities {
    /// Uptake, if that is wanted.
    pub fn of(suv: bool) -> Self {
        if suv { Self::SuvBw } else { Self::Stored }
    }
}

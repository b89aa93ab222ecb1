//! The door to engines: a network's folds, opened on a device, whatever runs them; and what there is to say and to set
//! of the libtorch underneath.

use std::path::Path;

use super::{DeviceChoice, torch};
use crate::bundle::plans::Plan;

pub use super::network::{Arithmetic, Engine, OpenError, TrainableNetwork};
pub use super::torch::{Learner, Report, computes_bfloat16, device_name, keep_memory, report, set_threads};

/// Opens all folds of a network folder, several at a time, with the engine that its plan names.
///
/// # Errors
/// [`OpenError`]: [`NetworkError`] with the file's name.
pub fn open(
    folder: &Path,
    plan: &Plan,
    device: DeviceChoice,
    arithmetic: Arithmetic,
) -> Result<Box<dyn Engine>, OpenError> {
    torch::open(folder, plan, device, arithmetic)
}

//! From voxels to pixels. `camera`, `gesture`, `grip`, `frame`, `palette` and `presets` are pure; `renderer` is the
//! only module that draws on a canvas.

pub(crate) mod camera;
pub(crate) mod gesture;
pub(crate) mod grip;
pub(crate) mod frame;
pub(crate) mod numbers;
pub(crate) mod palette;
pub(crate) mod presets;
pub(crate) mod renderer;

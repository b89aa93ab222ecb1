//! From voxels to pixels. `renderer` is the only module that draws on a canvas; all others are pure.

pub(crate) mod camera;
pub(crate) mod gesture;
pub(crate) mod grip;
pub(crate) mod frame;
pub(crate) mod numbers;
pub(crate) mod palette;
pub(crate) mod presets;
pub(crate) mod renderer;
pub(crate) mod surface;
pub(crate) mod turntable;

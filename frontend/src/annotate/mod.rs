//! What a gesture does to the labels of one plane. Pure, but for the journal; knows labels and millimetres, neither
//! canvases nor the network.

pub(crate) mod stencil;
pub(crate) mod tools;
pub(crate) mod edits;
pub(crate) mod history;
pub(crate) mod journal;

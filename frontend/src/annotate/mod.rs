//! What a gesture does to the labels of one plane. Pure, but for the journal; knows labels and millimetres, neither canvases nor the network.

pub(crate) mod brush;
pub(crate) mod fill;
pub(crate) mod history;
pub(crate) mod journal;

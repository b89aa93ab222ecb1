//! What the client and the server must agree on.
//!
//! A thing belongs here if the expert would see a wrong picture, or send a wrong correction, should the two disagree on
//! it. Everything is pure: no I/O, no async, no panic on bad input; it builds for WASM. Nothing of ours is imported.

pub mod geometry;
pub mod volume;
pub mod label;
pub mod intensity;
pub mod acquisition;
pub mod correction;
pub mod agreement;
pub mod crossing;
pub mod packed;
pub mod patch;
pub mod islands;
pub mod effort;
pub mod case;
pub mod api;
pub mod shown;

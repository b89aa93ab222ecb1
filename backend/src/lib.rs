//! The i3Deep server and command line: I/O and heavy numbers.
//!
//! Modules stand in the order in which a scan passes them; `pipeline` is pure given a network, everything else is a
//! door to something outside.

pub mod scan_io;
pub mod bundle;
pub mod inference;
pub mod pipeline;
pub mod evaluate;
mod noise;
pub mod phantom;
pub mod tasks;
pub mod learn;
pub mod store;
pub mod sandbox;
pub mod intake;
pub mod work;
mod secret;
mod outgoing;
pub mod pacs;
pub mod dimse;
pub mod oidc;
pub mod http;
pub mod commands;

#[cfg(test)]
mod reference;

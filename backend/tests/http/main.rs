//! The server as its clients meet it: the real program, its real worker, the bundle of generated scans, a data folder
//! of its own.

#![expect(clippy::unwrap_used, reason = "tests")]

mod scans;
#[path = "../series/mod.rs"]
mod series;
mod server;
mod slabs;

mod adaptation;
mod api;
mod archive;
mod bounds;
mod canaries;
mod cases;
mod client;
mod corrections;
mod decisions;
mod dimse;
mod durability;
mod exports;
mod jobs;
mod memory;
mod monailabel;
mod oidc;
mod orthanc;
mod pacs;
mod people;
mod reach;
mod review;
mod round_trip;
mod rounds;
mod tls;
mod turns;
mod upload;

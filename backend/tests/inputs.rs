//! Files as people really have them, on the command line: kinds of bad luck, each with several instances. Expected
//! values come from independent readers (named at each), over inputs made here.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "inputs/desk.rs"]
mod desk;
#[path = "inputs/outputs.rs"]
mod outputs;
#[path = "inputs/grids.rs"]
mod grids;
#[path = "inputs/headers.rs"]
mod headers;
#[path = "inputs/folders.rs"]
mod folders;
#[path = "inputs/shared_cases.rs"]
mod shared_cases;
#[path = "inputs/corpus.rs"]
mod corpus;
#[path = "inputs/nibabel.rs"]
mod nibabel;
#[path = "inputs/orientation.rs"]
mod orientation;

//! The command line: one file a command. Reads arguments, checks that no output is an input, calls the library, prints.
//!
//! There are two programs, and people start the first: [`main`], and beside it [`main_of_networks`], which it becomes
//! for commands that run networks. The linker leaves out of the first what it never calls, libtorch with it.
//!
//! Exit status: 0 done, 1 failed, 2 the arguments were wrong.

mod presegment;
mod refine;
mod predict;
mod acquire;
mod audit;
mod evaluate;
mod learn;
mod dataset;
mod export;
mod send;
mod bundle;
mod doctor;
mod phantom;
mod place;
mod programs;
mod serve;
mod sign_in;
mod verify;
mod backup;
mod restore;
mod quarantine;
mod receive;
mod worker;
mod device;
mod look;
mod unpack;
mod progress;
mod outputs;
mod words;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Interactive 3D segmentation: heavy networks offline, a few well-chosen slices for the expert.
#[derive(Debug, Parser)]
#[command(name = "i3deep", version, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// One variant a command; each file has its `Args` and `run`.
#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the workbench to browsers.
    Serve(Box<serve::Args>),
    /// Segment a scan, say where that is uncertain, and choose the slices worth correcting.
    Presegment(presegment::Args),
    /// Turn corrected slices into a better segmentation everywhere.
    Refine(refine::Args),
    /// Predict a folder of scans with a plain nnU-Net.
    Predict(predict::Args),
    /// List, inspect, verify, create and install model bundles.
    Bundle(bundle::Args),
    /// Say what this machine offers, what is wrong with the set-up and what to do.
    Doctor(doctor::Args),
    /// Choose the slices worth correcting from uncertainty and presegmentation.
    Acquire(acquire::Args),
    /// Write a segmentation as a DICOM SEG, for 3D Slicer, or in another format of volumes.
    Export(export::Args),
    /// Send DICOM files, such as a DICOM SEG, to whom takes them by C-STORE.
    Send(send::Args),
    /// Measure what acquisition settings are worth on labelled cases, with a simulated expert.
    Evaluate(evaluate::Args),
    /// Let a bundle learn from finished cases: its next version, compared on cases that were kept back.
    Learn(learn::Args),
    /// Write the approved cases of a server as an nnU-Net dataset, which `learn` and nnU-Net learn from.
    Dataset(dataset::Args),
    /// Generate scans with labels, in nnU-Net's raw layout.
    Phantom(phantom::Args),
    /// Say whether a server's data folder is whole.
    Verify(verify::Args),
    /// Back a server's data folder up while people work in it.
    Backup(backup::Args),
    /// Put a backup in the place of what a data folder holds.
    Restore(restore::Args),
    /// List what a server has set aside in its data folder, or delete what has lain there long.
    Quarantine(quarantine::Args),
    /// Look through the records of who did what on a server.
    #[command(subcommand)]
    Audit(audit::Args),
    /// Run networks for a server that speaks over stdin; started by `serve`.
    #[command(hide = true)]
    Worker(worker::Args),
    /// Say what networks would run on.
    #[command(hide = true)]
    Device(device::Args),
    /// Look scans through for a server that speaks over stdin; started by `serve`.
    #[command(hide = true)]
    Look(look::Args),
    /// Decode a DICOM series for another command; started by it.
    #[command(hide = true)]
    Unpack(unpack::Args),
}

/// A share between 0 and 1.
fn parse_share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("'{text}' is not a share between 0 and 1"))
}

/// A distance in mm, 0 or more.
fn parse_distance(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|mm: &f64| mm.is_finite() && *mm >= 0.0)
        .ok_or_else(|| format!("'{text}' is not a distance in mm, 0 or more"))
}

/// Waits for something that the store does.
fn block_on<T>(what: impl Future<Output = T>) -> std::io::Result<T> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(what))
}

/// `i3deep`: runs the command, or hands it over to the program that runs networks.
pub fn main() -> ExitCode {
    answered(|command| match command {
        Command::Serve(args) => serve::run(&args),
        Command::Bundle(args) => bundle::run(&args),
        Command::Acquire(args) => acquire::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Dataset(args) => dataset::run(&args),
        Command::Send(args) => send::run(&args),
        Command::Phantom(args) => phantom::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Restore(args) => restore::run(&args),
        Command::Quarantine(args) => quarantine::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Look(args) => look::run(args),
        Command::Unpack(args) => unpack::run(&args),
        Command::Presegment(_)
        | Command::Refine(_)
        | Command::Predict(_)
        | Command::Doctor(_)
        | Command::Evaluate(_)
        | Command::Learn(_)
        | Command::Worker(_)
        | Command::Device(_) => Err(programs::hand_over()),
    })
}

/// `i3deep-worker`: runs commands that need networks.
pub fn main_of_networks() -> ExitCode {
    answered(|command| {
        crate::inference::engine::keep_memory();
        match command {
            Command::Presegment(args) => presegment::run(&args),
            Command::Refine(args) => refine::run(&args),
            Command::Predict(args) => predict::run(&args),
            Command::Doctor(args) => doctor::run(&args),
            Command::Evaluate(args) => evaluate::run(&args),
            Command::Learn(args) => learn::run(&args),
            Command::Worker(args) => worker::run(&args),
            Command::Device(args) => device::run(&args),
            _ => Err(programs::not_here()),
        }
    })
}

/// Parses the arguments, runs the command and says how it went.
fn answered(run: impl FnOnce(Command) -> anyhow::Result<()>) -> ExitCode {
    let cli = Cli::parse_from(predict::with_two_dashes(std::env::args_os()));
    if let Ok(program) = programs::beside(programs::SERVER) {
        crate::scan_io::unpack_with(program);
    }
    match run(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", words::of(&error));
            if error.is::<outputs::WrongArguments>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}

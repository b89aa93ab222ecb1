//! `cargo xtask chaos`: the real server, killed at any moment and on a disk that fails, beside people who save. An
//! oracle knows what was acknowledged.
//!
//! Nothing in the product is made for this: `strace --inject` kills at system calls and makes them fail. Where there is
//! none, or it may not attach, those parts are skipped and say so.

pub(crate) mod bed;
mod faults;
mod oracle;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::process;
use crate::project::Project;
use crate::setup::{self, Need};
use bed::{Bed, Server};
use faults::{FAILURES, Injection, KILLS};
use oracle::{Oracle, Verdict};

/// Arguments of `cargo xtask chaos`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The long form: 200 kills at random, 60 at system calls. Else 10 and 9, for CI.
    #[arg(long)]
    long: bool,
    /// The release build instead of the debug build.
    #[arg(long)]
    release: bool,
    /// Where random numbers begin.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How soon saves must succeed once the disk does its work again.
const RECOVERY_LIMIT: Duration = Duration::from_secs(5);
/// How long a disk fails.
const FAILURE: Duration = Duration::from_secs(2);

/// Sets up, kills, breaks, compares; an error if anything acknowledged was lost or doubled.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::run(project, &[Need::Libtorch])?;
    let profile = if args.release { "release" } else { "debug" };
    let mut build = project.cargo("build");
    build.args(["--package", "backend", "--bin", "i3deep"]).args(args.release.then_some("--release"));
    process::run(&mut build)?;
    let bed = Bed::make(project, project.binary(profile))?;
    let (random, at_calls) = if args.long { (200, 60) } else { (10, 9) };
    let mut random_numbers = Lcg(args.seed);
    let mut server = bed.start()?;
    let oracle = Oracle::begin(&server, bed.case())?;
    let mut verdict = Verdict::default();

    for _ in 0..random {
        std::thread::sleep(Duration::from_millis(20 + random_numbers.below(400)));
        server.kill()?;
        server = restarted(&bed, &oracle, &mut verdict)?;
    }
    report(&format!("{random} kills at random"), &verdict);

    if let Some(why) = faults::unavailable(&server) {
        println!("[chaos] skipped: kills at system calls and failures of the disk ({why})");
    } else {
        let mut struck = 0;
        for n in 0..at_calls {
            let call = KILLS[n % KILLS.len()];
            let injection = Injection::kill(&server, call, 1 + random_numbers.below(12))?;
            if server.wait_for_end(Duration::from_secs(6)) {
                struck += 1;
            } else {
                server.kill()?;
            }
            injection.end();
            server = restarted(&bed, &oracle, &mut verdict)?;
        }
        report(&format!("{struck} of {at_calls} kills at system calls ({})", KILLS.join(", ")), &verdict);
        for (call, error) in FAILURES {
            let recovered = broken_disk(&server, &oracle, call, error)?;
            println!(
                "[chaos] {error} in {call} for {:.0} s: not ready meanwhile, saves again after {:.2} s",
                FAILURE.as_secs_f64(),
                recovered.as_secs_f64()
            );
            oracle.check(&server, &mut verdict)?;
        }
        server.kill()?;
        server = restarted(&bed, &oracle, &mut verdict)?;
        report("after the failures and one more kill", &verdict);
    }
    oracle.end();
    oracle.check(&server, &mut verdict)?;
    server.terminate()?;
    bed.verify()?;
    ensure!(verdict.is_clean(), "{verdict}");
    println!("[chaos] passed: {verdict}");
    Ok(())
}

fn report(what: &str, verdict: &Verdict) {
    println!("[chaos] {what}: {verdict}");
}

/// Starts the server again and compares what it knows with what it acknowledged.
fn restarted(bed: &Bed, oracle: &Oracle, verdict: &mut Verdict) -> Result<Server> {
    let begun = Instant::now();
    let server = bed.start()?;
    verdict.note_start(begun.elapsed());
    oracle.check(&server, verdict)?;
    oracle.speak_to(&server);
    Ok(server)
}

/// Lets the disk fail for a while; answers how long it took until saves succeeded again, without a restart.
fn broken_disk(server: &Server, oracle: &Oracle, call: &str, error: &str) -> Result<Duration> {
    let injection = Injection::fail(server, call, error)?;
    let begun = Instant::now();
    let (mut refused, acknowledged) = (false, oracle.acknowledged());
    while begun.elapsed() < FAILURE {
        refused |= server.status("/api/ready")? == 503;
        std::thread::sleep(Duration::from_millis(100));
    }
    let during = oracle.acknowledged() - acknowledged;
    injection.end();
    ensure!(refused, "the server called itself ready while {call} failed with {error}");
    let mended = Instant::now();
    let acknowledged = oracle.acknowledged();
    loop {
        if oracle.acknowledged() > acknowledged && server.status("/api/ready")? == 204 {
            println!("[chaos] {during} saves were acknowledged while {call} failed; they are checked like all others");
            return Ok(mended.elapsed());
        }
        ensure!(
            mended.elapsed() < RECOVERY_LIMIT,
            "saves do not succeed {} s after {call} works again",
            RECOVERY_LIMIT.as_secs()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Random enough for moments in time.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

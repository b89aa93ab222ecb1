//! `cargo xtask chaos`: the real server, killed at any moment and on a disk that fails, beside people who save. An
//! oracle knows what was acknowledged.
//!
//! Nothing in the product is made for this: `strace --inject` kills at system calls and makes them fail. Where there is
//! none, or it may not attach, those parts are skipped and say so.

pub(crate) mod bed;
mod faults;
mod folders;
mod oracle;

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::project::Project;
use crate::setup::{self, Need};
use bed::{Bed, Server};
use faults::{FAILURES, Failure, IN_A_COMMIT, Injection, KILLS};
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
/// How soon somebody makes the call that a fault waits for.
const STRIKE_LIMIT: Duration = Duration::from_secs(8);
/// How long a disk fails.
const FAILURE: Duration = Duration::from_secs(2);

/// Sets up, kills, breaks, compares; an error if anything acknowledged was lost or doubled.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::run(project, &[Need::Libtorch])?;
    let bed = Bed::make(project, bed::program(project, args.release)?)?;
    let (random, at_calls) = if args.long { (200, 60) } else { (10, 9) };
    let mut server = bed.start()?;
    let oracle = Oracle::begin(&server, bed.case())?;
    let mut chaos = Chaos { bed: &bed, oracle: &oracle, verdict: Verdict::default(), numbers: Lcg(args.seed) };

    server = chaos.kill_at_random(server, random)?;
    if let Some(why) = faults::unavailable(&server) {
        println!("[chaos] skipped: kills at system calls and failures of the disk ({why})");
    } else {
        server = chaos.kill_at_calls(server, at_calls)?;
        server = chaos.break_the_disk(server)?;
    }
    oracle.end();
    oracle.check(&server, &mut chaos.verdict)?;
    server.terminate()?;
    bed.verify()?;
    let verdict = chaos.verdict;
    ensure!(verdict.is_clean(), "{verdict}");
    folders::check(&bed)?;
    println!("[chaos] passed: {verdict}");
    Ok(())
}

/// What goes on, and what came of it so far.
struct Chaos<'a> {
    bed: &'a Bed,
    oracle: &'a Oracle,
    verdict: Verdict,
    numbers: Lcg,
}

impl Chaos<'_> {
    fn kill_at_random(&mut self, mut server: Server, times: usize) -> Result<Server> {
        for _ in 0..times {
            sleep(Duration::from_millis(20 + self.numbers.below(400)));
            server.kill()?;
            server = self.restarted()?;
        }
        report(&format!("{times} kills at random"), &self.verdict);
        Ok(server)
    }

    /// Kills at system calls until it has struck often enough.
    fn kill_at_calls(&mut self, mut server: Server, times: usize) -> Result<Server> {
        let mut struck = 0;
        for n in 0..times {
            let call = KILLS[n % KILLS.len()];
            // The mark is written every few seconds: the first time is waited for.
            let nth = if call.starts_with("rename") { 1 } else { 1 + self.numbers.below(12) };
            let injection = Injection::kill(&server, &self.bed.data(), call, nth)?;
            if server.wait_for_end(STRIKE_LIMIT) {
                struck += 1;
            } else {
                server.kill()?;
            }
            injection.end();
            server = self.restarted()?;
        }
        report(&format!("{struck} of {times} kills at system calls ({})", KILLS[1..].join(", ")), &self.verdict);
        ensure!(struck * 10 >= times * 9, "strace has struck at {struck} of {times} system calls");
        Ok(server)
    }

    fn break_the_disk(&mut self, mut server: Server) -> Result<Server> {
        for failure in &IN_A_COMMIT {
            let nth = 2 + self.numbers.below(8);
            let recovered = commit_fails(&server, self.bed, self.oracle, failure, nth)?;
            println!("[chaos] one {failure}: saves again after {:.2} s", recovered.as_secs_f64());
            self.oracle.check(&server, &mut self.verdict)?;
        }
        for failure in &FAILURES {
            let recovered = broken_disk(&server, self.bed, self.oracle, failure)?;
            println!(
                "[chaos] {failure} for {:.0} s: not ready meanwhile, saves again after {:.2} s",
                FAILURE.as_secs_f64(),
                recovered.as_secs_f64()
            );
            self.oracle.check(&server, &mut self.verdict)?;
        }
        server.kill()?;
        server = self.restarted()?;
        report("after the failures and one more kill", &self.verdict);
        Ok(server)
    }

    /// Starts the server again and compares what it knows with what it acknowledged.
    fn restarted(&mut self) -> Result<Server> {
        let begun = Instant::now();
        let server = self.bed.start()?;
        self.verdict.note_start(begun.elapsed());
        self.oracle.check(&server, &mut self.verdict)?;
        self.oracle.speak_to(&server);
        Ok(server)
    }
}

fn report(what: &str, verdict: &Verdict) {
    println!("[chaos] {what}: {verdict}");
}

/// Lets one call in the middle of a COMMIT fail; answers how long it took from the failure until a save succeeded,
/// without a restart. Nobody has to notice: saves that were committed together are tried again one by one.
fn commit_fails(server: &Server, bed: &Bed, oracle: &Oracle, failure: &Failure, nth: u64) -> Result<Duration> {
    let injection = Injection::fail(server, &bed.data(), failure, Some(nth))?;
    let begun = Instant::now();
    while !injection.has_struck()? {
        ensure!(begun.elapsed() < STRIKE_LIMIT, "nobody made the call that was to fail: {failure}");
        sleep(Duration::from_millis(2));
    }
    // It counts a thread's calls: the next writer's thread would fail as well.
    injection.end();
    saves_again(server, oracle, failure)
}

/// Lets the disk fail for a while; answers how long it took until saves succeeded again, without a restart. A scan that
/// is sent meanwhile is refused whole, or kept whole.
fn broken_disk(server: &Server, bed: &Bed, oracle: &Oracle, failure: &Failure) -> Result<Duration> {
    let injection = Injection::fail(server, &bed.data(), failure, None)?;
    let begun = Instant::now();
    let (mut refused, acknowledged) = (false, oracle.acknowledged());
    let sent = bed.upload(server);
    while begun.elapsed() < FAILURE {
        refused |= server.status("/api/ready")? == 503;
        sleep(Duration::from_millis(100));
    }
    let during = oracle.acknowledged() - acknowledged;
    injection.end();
    ensure!(refused, "the server called itself ready in spite of {failure}");
    if let Ok(id) = &sent {
        ensure!(server.status(&format!("/api/cases/{id}"))? == 200, "an acknowledged scan is gone after {failure}");
    }
    println!(
        "[chaos] in spite of {failure}, {during} saves were acknowledged (they are checked like all others); a scan \
         was {}",
        if sent.is_ok() { "kept" } else { "refused" }
    );
    saves_again(server, oracle, failure)
}

/// How long it takes from now until a save is acknowledged and the server calls itself ready.
fn saves_again(server: &Server, oracle: &Oracle, failure: &Failure) -> Result<Duration> {
    let mended = Instant::now();
    let acknowledged = oracle.acknowledged();
    while oracle.acknowledged() == acknowledged || server.status("/api/ready")? != 204 {
        ensure!(
            mended.elapsed() < RECOVERY_LIMIT,
            "saves do not succeed {} s after the end of {failure}",
            RECOVERY_LIMIT.as_secs()
        );
        sleep(Duration::from_millis(20));
    }
    Ok(mended.elapsed())
}

/// Random enough for moments in time.
struct Lcg(u64);

impl Lcg {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

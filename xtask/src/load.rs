//! `cargo xtask load`: how soon saves are acknowledged while many people paint, each with an event stream, beside a
//! running refinement and on top of many earlier saves. A measurement, not a test.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use ureq::Agent;

use crate::chaos::bed::{self, Bed, Server, agent, size};
use crate::project::Project;
use crate::setup::{self, Need};

/// Arguments of `cargo xtask load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// People who paint.
    #[arg(long, default_value_t = 100)]
    people: usize,
    /// Saves a second of each.
    #[arg(long, default_value_t = 5.0)]
    rate: f64,
    /// How long.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Saves in one case before the measurement begins.
    #[arg(long, default_value_t = 20_000)]
    history: u64,
    /// No refinement meanwhile.
    #[arg(long)]
    no_refinement: bool,
}

/// Planes of a generated case along its longest axis.
const PLANES: usize = 32;

/// Builds, prepares, measures, prints.
pub(crate) fn run(project: &Project, args: &Args) -> Result<()> {
    setup::run(project, &[Need::Libtorch])?;
    let bed = Bed::make(project, bed::program(project, true)?)?;
    let mut cases = vec![bed.case().to_owned()];
    // The last one is refined again and again.
    for _ in 0..args.people.div_ceil(PLANES) {
        cases.push(bed.add_case()?);
    }
    let server = bed.start()?;
    costs(&server, &cases[0], 0)?;
    write_history(&server, &cases[0], args.history)?;
    costs(&server, &cases[0], args.history)?;
    let over = Arc::new(AtomicBool::new(false));
    let events = Arc::new(AtomicU64::new(0));
    for _ in 0..args.people {
        listen(server.url(), Arc::clone(&events))?;
    }
    let refinements = Arc::new(AtomicU64::new(0));
    let refining = cases.pop().filter(|_| !args.no_refinement);
    if let Some(case) = refining {
        let (desk, url) = (Desk::at(&server, &case)?, format!("{}/api/cases/{case}/refine", server.url()));
        let (over, refinements) = (Arc::clone(&over), Arc::clone(&refinements));
        desk.save(PLANES / 2, 0, 1)?;
        thread::spawn(move || refine(&desk.agent, &url, &over, &refinements));
    }
    let (before, spent) = (state(&bed, &server)?, processor_s(&server)?);
    let taken = thread::scope(|scope| {
        scope.spawn(|| watch(&bed, &server, &over));
        let taken = paint(&server, &cases, args);
        over.store(true, Ordering::SeqCst);
        taken
    })?;
    let (after, spent) = (state(&bed, &server)?, processor_s(&server)? - spent);
    let errors = taken.iter().filter(|ms| ms.is_nan()).count();
    let mut ms: Vec<f64> = taken.into_iter().filter(|ms| !ms.is_nan()).collect();
    ms.sort_by(f64::total_cmp);
    ensure!(!ms.is_empty(), "nothing was acknowledged");
    let at = |share: f64| ms[((ms.len() - 1) as f64 * share) as usize];
    println!(
        "[load] {} people x {} saves/s for {} s on {} earlier saves: {} acknowledged ({:.0}/s), {errors} errors",
        args.people,
        args.rate,
        args.seconds,
        args.history,
        ms.len(),
        ms.len() as f64 / args.seconds as f64
    );
    println!(
        "[load] acknowledged after: median {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, slowest {:.1} ms",
        at(0.5),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    println!(
        "[load] {} events heard by {} streams; {} refinements meanwhile",
        events.load(Ordering::SeqCst),
        args.people,
        refinements.load(Ordering::SeqCst)
    );
    println!("[load] load average {}", fs::read_to_string("/proc/loadavg").unwrap_or_default().trim());
    println!("[load] the server took {:.2} ms of a processor for a save", spent / ms.len() as f64 * 1e3);
    println!("[load] before: {before}");
    println!("[load] after:  {after}");
    server.terminate()
}

/// What a save and the case list cost with this many earlier saves.
fn costs(server: &Server, case: &str, history: u64) -> Result<()> {
    let desk = Desk::at(server, case)?;
    let mut revision = revision(server, case, 0)?;
    let mut saves = Vec::new();
    let mut lists = Vec::new();
    for n in 0..50 {
        let begun = Instant::now();
        revision = desk.save(0, revision, n)?;
        saves.push(begun.elapsed().as_secs_f64() * 1e3);
        let begun = Instant::now();
        server.get("/api/cases")?;
        lists.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!(
        "[load] on {history} earlier saves: a save {:.2} ms, the case list {:.2} ms (medians of 50)",
        median(&mut saves),
        median(&mut lists)
    );
    Ok(())
}

fn revision(server: &Server, case: &str, plane: usize) -> Result<u64> {
    let stored = server.get(&format!("/api/cases/{case}/corrections"))?;
    let found = stored
        .as_array()
        .into_iter()
        .flatten()
        .find(|slice| slice["plane"] == json!({ "axis": "sagittal", "index": plane }));
    Ok(found.and_then(|slice| slice["revision"].as_u64()).unwrap_or(0))
}

/// Saves spread over the planes of a case.
fn write_history(server: &Server, case: &str, saves: u64) -> Result<()> {
    const WRITERS: u64 = 8;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let desk = Desk::at(server, case)?;
            let mut revision = revision(server, case, writer as usize)?;
            Ok(thread::spawn(move || {
                for n in 0..saves / WRITERS {
                    revision = desk.save(writer as usize, revision, n).unwrap_or(revision);
                }
            }))
        })
        .collect::<Result<_>>()?;
    writers.into_iter().try_for_each(|writer| writer.join().map_err(|_| anyhow::anyhow!("a writer failed")))
}

/// Where one person saves sagittal slices of one case.
struct Desk {
    agent: Agent,
    /// Where its corrections are.
    route: String,
    /// Of a plane.
    voxels: u64,
}

impl Desk {
    fn at(server: &Server, case: &str) -> Result<Self> {
        let detail = server.get(&format!("/api/cases/{case}"))?;
        let size = |axis: usize| detail["geometry"]["dims"][axis].as_u64().context("the case has no size");
        let route = format!("{}/api/cases/{case}/corrections/sagittal", server.url());
        Ok(Self { agent: agent(), route, voxels: size(1)? * size(2)? })
    }

    /// The revision that a save was acknowledged with.
    fn save(&self, plane: usize, base: u64, n: u64) -> Result<u64> {
        // A stroke's outline makes some dozens of runs.
        let mut runs: Vec<(u64, u64)> = (0..40).map(|run| (run % 2, 5 + (n + run) % 3)).collect();
        let painted: u64 = runs.iter().map(|(_, length)| length).sum();
        runs.push((0, self.voxels - painted));
        let slice =
            json!({ "plane": { "axis": "sagittal", "index": plane }, "state": "done", "runs": runs, "revision": base });
        let mut answer = self.agent.put(format!("{}/{plane}", self.route)).send_json(slice)?;
        let answer = answer.body_mut().read_json::<Value>()?;
        answer["revision"].as_u64().with_context(|| format!("a save was refused: {answer}"))
    }
}

/// An open page: hears events until the server ends.
fn listen(url: &str, heard: Arc<AtomicU64>) -> Result<()> {
    let address = url.strip_prefix("http://").context("no address")?.to_owned();
    let mut stream = TcpStream::connect(&address)?;
    write!(stream, "GET /api/events HTTP/1.1\r\nHost: {address}\r\n\r\n")?;
    thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(n @ 1..) = stream.read(&mut buffer) {
            let events = buffer[..n].windows(6).filter(|bytes| *bytes == b"data: ").count();
            heard.fetch_add(events as u64, Ordering::SeqCst);
        }
    });
    Ok(())
}

/// Refines a case whenever it is not being refined.
fn refine(agent: &Agent, url: &str, over: &AtomicBool, refinements: &AtomicU64) {
    while !over.load(Ordering::SeqCst) {
        let asked = agent.post(url).send_empty();
        if asked.is_ok_and(|answer| answer.status().as_u16() == 202) {
            refinements.fetch_add(1, Ordering::SeqCst);
        }
        sleep(Duration::from_millis(50));
    }
}

/// Milliseconds until each save was acknowledged; NaN for those that were not.
fn paint(server: &Server, cases: &[String], args: &Args) -> Result<Vec<f64>> {
    let taken = Arc::new(Mutex::new(Vec::new()));
    let interval = Duration::from_secs_f64(1.0 / args.rate);
    let end = Instant::now() + Duration::from_secs(args.seconds);
    let people: Vec<_> = (0..args.people)
        .map(|person| {
            let (case, taken) = (&cases[person / PLANES], Arc::clone(&taken));
            let plane = person % PLANES;
            let desk = Desk::at(server, case)?;
            let mut base = revision(server, case, plane)?;
            Ok(thread::spawn(move || {
                let mut due = Instant::now() + interval.mul_f64(person as f64 * 0.618 % 1.0);
                let mut own = Vec::new();
                for n in 0.. {
                    if due >= end {
                        break;
                    }
                    sleep(due.saturating_duration_since(Instant::now()));
                    // From when it was due: a server that makes its people wait is not spared their next stroke.
                    let saved = desk.save(plane, base, n);
                    own.push(if saved.is_ok() { due.elapsed().as_secs_f64() * 1e3 } else { f64::NAN });
                    base = saved.unwrap_or(base);
                    due += interval;
                }
                taken.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
            }))
        })
        .collect::<Result<_>>()?;
    for person in people {
        // One that failed has no figures.
        let _ = person.join();
    }
    Ok(std::mem::take(&mut *taken.lock().unwrap_or_else(PoisonError::into_inner)))
}

/// Says every minute what the server takes of the machine.
fn watch(bed: &Bed, server: &Server, over: &AtomicBool) {
    let begun = Instant::now();
    let mut due = Duration::from_secs(60);
    while !over.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(200));
        if begun.elapsed() >= due {
            let state = state(bed, server).unwrap_or_else(|error| error.to_string());
            println!("[load] {:>4} s: {state}", begun.elapsed().as_secs());
            due += Duration::from_secs(60);
        }
    }
}

/// Seconds that the server, without its workers, has spent on processors: other programs hardly change them.
fn processor_s(server: &Server) -> Result<f64> {
    // User and system time are the 14th and 15th field, in hundredths; the second is a name in brackets.
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.id()))?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let hundredths =
        |field: usize| fields.get(field - 3).context("a field is wanting")?.parse::<f64>().context("no time");
    Ok((hundredths(14)? + hundredths(15)?) / 100.0)
}

/// What the server takes of the machine.
fn state(bed: &Bed, server: &Server) -> Result<String> {
    let process = format!("/proc/{}", server.id());
    let status = fs::read_to_string(format!("{process}/status"))?;
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default().trim().to_owned();
    let descriptors = fs::read_dir(format!("{process}/fd"))?.count();
    let log = size(&bed.data().join("i3deep.sqlite-wal"));
    Ok(format!("{resident} resident, log {} KiB, {descriptors} descriptors", log >> 10))
}

//! `i3deep doctor`: what this machine offers, what is wrong with the set-up, and what to do about it.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use anyhow::{Result, bail};

use super::place::Place;
use crate::bundle::plans::EngineKind;
use crate::bundle::{Bundle, folders};
use crate::inference::DeviceChoice;
use crate::inference::engine;

/// Arguments of `i3deep doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where the server would work.
    #[command(flatten)]
    place: Place,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// As it should be.
    Good,
    /// Works, but could be better.
    Slow,
    /// Does not work.
    Bad,
}

/// A line of the answer.
#[derive(Debug)]
struct Finding {
    about: &'static str,
    state: State,
    words: String,
}

fn finding(about: &'static str, state: State, words: impl Into<String>) -> Finding {
    Finding { about, state, words: words.into() }
}

/// Looks at everything and says what it found.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut findings = vec![finding("i3deep", State::Good, env!("CARGO_PKG_VERSION"))];
    findings.extend(machine());
    findings.extend(libtorch(args.place.device));
    findings.extend(bundles(&args.place.models));
    findings.push(data_folder(&args.place.data));
    findings.push(client(&args.place.client));
    findings.push(port(args.place.bind));
    for Finding { about, state, words } in &findings {
        let mark = match state {
            State::Good => "ok  ",
            State::Slow => "note",
            State::Bad => "BAD ",
        };
        println!("{mark}  {about:<10} {words}");
    }
    match findings.iter().filter(|finding| finding.state == State::Bad).count() {
        0 => Ok(()),
        bad => bail!("{bad} thing(s) must be put right first; the lines marked BAD say how"),
    }
}

/// Processor and memory.
fn machine() -> Vec<Finding> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let features = cpu_features();
    let fast = features.contains(&"avx512_bf16") || features.contains(&"amx_bf16");
    let extra = if fast {
        ""
    } else {
        "; without bf16 networks compute in single precision, 2 to 4 times slower than they could"
    };
    let named =
        if features.is_empty() { "no vector extensions that libtorch uses".to_owned() } else { features.join(" ") };
    let state = if fast || !features.is_empty() { State::Good } else { State::Slow };
    let mut findings = vec![finding("processor", state, format!("{threads} thread(s), {named}{extra}"))];
    if let Some([total, available]) = memory_mib() {
        let state = if available < 2048 { State::Bad } else { State::Good };
        let advice = if state == State::Bad { "; a large scan needs 2 GiB and more: close other programs" } else { "" };
        findings.push(finding(
            "memory",
            state,
            format!("{:.1} GiB, {:.1} GiB free{advice}", total as f64 / 1024.0, available as f64 / 1024.0),
        ));
    }
    findings
}

#[cfg(target_arch = "x86_64")]
fn cpu_features() -> Vec<&'static str> {
    let all = [
        (std::is_x86_feature_detected!("avx2"), "avx2"),
        (std::is_x86_feature_detected!("fma"), "fma"),
        (std::is_x86_feature_detected!("avx512f"), "avx512f"),
        (engine::computes_bfloat16(), "avx512_bf16"),
    ];
    all.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect()
}

#[cfg(not(target_arch = "x86_64"))]
fn cpu_features() -> Vec<&'static str> {
    vec![std::env::consts::ARCH]
}

/// Total and available, as Linux says.
fn memory_mib() -> Option<[u64; 2]> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let of = |key: &str| {
        let line = text.lines().find(|line| line.starts_with(key))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib >> 10)
    };
    Some([of("MemTotal:")?, of("MemAvailable:")?])
}

/// What runs networks.
fn libtorch(choice: DeviceChoice) -> Vec<Finding> {
    let Some(torch) = engine::report() else {
        return vec![finding(
            "libtorch",
            State::Bad,
            "none: this i3deep was built without it and runs no networks; build it with the feature `torch`",
        )];
    };
    let mut findings =
        vec![finding("libtorch", State::Good, format!("{}, {} thread(s)", torch.version, torch.threads))];
    let driver = driver();
    findings.push(if torch.devices > 0 {
        let driver = driver.map_or(String::new(), |version| format!(", driver {version}"));
        finding("GPU", State::Good, format!("{} CUDA device(s){driver}", torch.devices))
    } else {
        finding("GPU", State::Slow, why_no_gpu(torch.cuda, driver.as_deref()))
    });
    findings.push(match engine::device_name(choice) {
        Ok(name) => finding("device", State::Good, format!("networks run on {name} (--device {choice})")),
        Err(error) => finding("device", State::Bad, error.to_string()),
    });
    findings
}

/// The NVIDIA driver's version, if one is loaded.
fn driver() -> Option<String> {
    let text = std::fs::read_to_string("/proc/driver/nvidia/version").ok()?;
    let version = text
        .split_whitespace()
        .find(|word| word.split('.').count() >= 2 && word.starts_with(|c: char| c.is_ascii_digit()));
    Some(version.unwrap_or("of unknown version").to_owned())
}

fn why_no_gpu(built_for_cuda: bool, driver: Option<&str>) -> String {
    match (built_for_cuda, driver) {
        (_, None) => {
            "none: no NVIDIA driver is loaded. Networks run on the processor; with a card in the machine, install its \
             driver"
                .to_owned()
        }
        (false, Some(driver)) => format!(
            "not used: driver {driver} is there, but this i3deep is linked with a libtorch for processors; build it \
             with a CUDA libtorch (README, Install)"
        ),
        (true, Some(driver)) => format!(
            "not found by libtorch although driver {driver} is loaded: it may be too old for this libtorch, or \
             CUDA_VISIBLE_DEVICES hides the card"
        ),
    }
}

fn bundles(models: &Path) -> Vec<Finding> {
    let found = match folders(models) {
        Ok(found) => found,
        Err(error) => {
            return vec![finding(
                "bundles",
                State::Bad,
                format!("cannot read {}: {error}; say where they are with --models", models.display()),
            )];
        }
    };
    if found.is_empty() {
        let advice = "install one with `i3deep bundle install FILE.zip`, or make one with `i3deep bundle create`";
        return vec![finding("bundles", State::Bad, format!("{} holds none; {advice}", models.display()))];
    }
    found.iter().map(|folder| bundle(folder)).collect()
}

fn bundle(folder: &Path) -> Finding {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    match Bundle::read(folder).and_then(|bundle| bundle.verify().map(|()| bundle)) {
        Err(error) => finding("bundle", State::Bad, format!("{name} cannot be used: {error}")),
        Ok(bundle) => {
            let engine = |stage| match bundle.plan(stage).manifest.engine {
                EngineKind::Native => "native",
                EngineKind::TorchScript => "TorchScript",
            };
            let engines: Vec<String> =
                bundle.stages().iter().map(|stage| format!("{} {}", stage.folder(), engine(*stage))).collect();
            let adapts = if bundle.refinement.is_some() { "" } else { ", refinement by adaptation" };
            finding(
                "bundle",
                State::Good,
                format!("{name} {}: {}{adapts}", bundle.manifest.version, engines.join(", ")),
            )
        }
    }
}

/// Whether cases can be kept there.
fn data_folder(data: &Path) -> Finding {
    let shown = data.display();
    if !data.exists() {
        return finding("data", State::Good, format!("{shown} is not there yet; `serve` makes it"));
    }
    let probe = data.join(format!(".doctor-{}", std::process::id()));
    match std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)) {
        Ok(()) => finding("data", State::Good, format!("{shown} can be written")),
        Err(error) => finding(
            "data",
            State::Bad,
            format!("{shown} cannot be written ({error}); give it to the user who runs the server"),
        ),
    }
}

fn client(client: &Path) -> Finding {
    let shown = client.display();
    if client.join("index.html").is_file() {
        return finding("client", State::Good, format!("{shown}"));
    }
    finding(
        "client",
        State::Bad,
        format!(
            "{shown} holds no built client; build it with `trunk build --release`, or say where it is with --client"
        ),
    )
}

fn port(bind: SocketAddr) -> Finding {
    match TcpListener::bind(bind) {
        Ok(_) => finding("port", State::Good, format!("{bind} is free")),
        Err(error) => finding(
            "port",
            State::Bad,
            format!("cannot listen on {bind} ({error}); is another i3deep running? --bind chooses another address"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let check = |got: Finding, state: State, words: &str| {
            assert_eq!(got.state, state, "{got:?}");
            assert!(got.words.contains(words), "{got:?}");
        };
        check(data_folder(folder.path()), State::Good, "can be written");
        check(data_folder(&folder.path().join("new")), State::Good, "`serve` makes it");
        check(client(folder.path()), State::Bad, "trunk build --release");
        check(bundles(folder.path()).remove(0), State::Bad, "holds none; install one");
        check(bundles(&folder.path().join("nowhere")).remove(0), State::Bad, "say where they are with --models");
        std::fs::create_dir(folder.path().join("broken")).unwrap();
        std::fs::write(folder.path().join("broken/bundle.json"), "{").unwrap();
        check(bundles(folder.path()).remove(0), State::Bad, "broken cannot be used");
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        check(port(taken.local_addr().unwrap()), State::Bad, "--bind chooses another address");
    }

    #[test]
    fn why_there_is_no_gpu_depends_on_what_is_there() {
        assert!(why_no_gpu(true, None).contains("no NVIDIA driver is loaded"));
        assert!(why_no_gpu(false, Some("570.1")).contains("linked with a libtorch for processors"));
        assert!(why_no_gpu(true, Some("470.1")).contains("too old for this libtorch"));
    }
}

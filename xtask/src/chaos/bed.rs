//! A data folder with a case to correct, and servers on it.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use ureq::Agent;
use ureq::unversioned::multipart::Form;

use crate::process;
use crate::project::Project;
use crate::scans;

/// How long the presegmentation of a generated scan may take.
const JOB_LIMIT: Duration = Duration::from_secs(120);

/// Builds the program, or takes the one that `I3DEEP_BIN` names.
pub(crate) fn program(project: &Project, release: bool) -> Result<PathBuf> {
    if let Some(built) = env::var_os("I3DEEP_BIN") {
        return Ok(PathBuf::from(built));
    }
    let mut build = project.cargo("build");
    // The whole workspace: alone, its crates get other features and most are compiled again.
    process::run(
        build.args(["--workspace", "--bin", "i3deep", "--bin", "i3deep-worker"]).args(release.then_some("--release")),
    )?;
    Ok(project.binary(if release { "release" } else { "debug" }))
}

/// The folders that servers work in.
pub(crate) struct Bed {
    root: PathBuf,
    program: PathBuf,
    models: PathBuf,
    case: String,
}

impl Bed {
    /// A fresh data folder with a presegmented case.
    pub(crate) fn make(project: &Project, program: PathBuf) -> Result<Self> {
        let root = project.target().join("chaos");
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        fs::create_dir_all(root.join("client"))?;
        fs::write(root.join("client/index.html"), "")?;
        let models = project.root.join("models");
        let mut bed = Self { root, program, models, case: String::new() };
        bed.case = bed.add_case()?;
        Ok(bed)
    }

    /// The case that people correct.
    pub(crate) fn case(&self) -> &str {
        &self.case
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Starts a server and waits until it answers.
    pub(crate) fn start(&self) -> Result<Server> {
        self.start_on(&self.data())
    }

    /// Starts a server on another data folder.
    pub(crate) fn start_on(&self, data: &Path) -> Result<Server> {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--bind", "127.0.0.1:0", "--device", "cpu", "--data"]).arg(data);
        command.arg("--models").arg(&self.models).arg("--client").arg(self.root.join("client"));
        command.env("RUST_LOG", "off").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot start the server")?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("no stdout")?).read_line(&mut line)?;
        let Some(url) = line.trim().strip_prefix("i3deep is ready on ") else {
            let mut said = String::new();
            child.stderr.take().context("no stderr")?.read_to_string(&mut said)?;
            bail!("the server does not start: {said}");
        };
        Ok(Server { child, url: url.to_owned(), agent: agent() })
    }

    /// A generated scan's case with its presegmentation.
    pub(crate) fn add_case(&self) -> Result<String> {
        let server = self.start()?;
        let id = self.upload(&server)?;
        let begun = Instant::now();
        while server.get(&format!("/api/cases/{id}"))?["summary"]["job"]["state"] != "done" {
            ensure!(begun.elapsed() < JOB_LIMIT, "the presegmentation does not end");
            sleep(Duration::from_millis(100));
        }
        server.terminate()?;
        Ok(id)
    }

    /// Sends a generated scan; the new case's id.
    pub(crate) fn upload(&self, server: &Server) -> Result<String> {
        let folder = self.root.join("scans");
        if !folder.exists() {
            process::run(
                Command::new(&self.program).args(["phantom", "--cases", "1", "--seed", "7", "--out"]).arg(&folder),
            )?;
        }
        let scans = scans::find(&folder)?;
        let scan = scans.first().context("no scan was generated")?;
        let form = Form::new().text("bundle", "phantom").file("image", &scan.channels[0])?;
        let case: Value = server.agent.post(format!("{}/api/cases", server.url)).send(form)?.body_mut().read_json()?;
        Ok(case["id"].as_str().with_context(|| format!("the upload was refused: {case}"))?.to_owned())
    }

    /// What the program says of a data folder that it looks through.
    pub(crate) fn verified(&self, data: &Path) -> Result<String> {
        let said = Command::new(&self.program).args(["verify", "--data"]).arg(data).output()?;
        Ok(String::from_utf8_lossy(&said.stdout).into_owned())
    }

    /// Has the program itself look through the data folder.
    pub(crate) fn verify(&self) -> Result<()> {
        process::run(Command::new(&self.program).args(["verify", "--data"]).arg(self.data()))
    }
}

/// A running server; killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    agent: Agent,
}

/// Answers of any status are answers.
pub(crate) fn agent() -> Agent {
    Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(10))).build().into()
}

impl Server {
    /// Its address.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks for JSON.
    pub(crate) fn get(&self, route: &str) -> Result<Value> {
        Ok(self.agent.get(format!("{}{route}", self.url)).call()?.body_mut().read_json()?)
    }

    /// The status that a route answers with.
    pub(crate) fn status(&self, route: &str) -> Result<u16> {
        Ok(self.agent.get(format!("{}{route}", self.url)).call()?.status().as_u16())
    }

    /// Ends it without warning.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, as an operator does.
    pub(crate) fn terminate(mut self) -> Result<()> {
        process::run(Command::new("kill").arg(self.child.id().to_string()))?;
        let status = self.child.wait()?;
        ensure!(status.success(), "the server did not end well when it was asked to: {status}");
        Ok(())
    }

    /// Whether it ends by itself within this time.
    pub(crate) fn wait_for_end(&mut self, limit: Duration) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < limit {
            if self.child.try_wait().is_ok_and(|status| status.is_some()) {
                return true;
            }
            sleep(Duration::from_millis(10));
        }
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The size of a file, 0 if it is not there.
pub(crate) fn size(file: &Path) -> u64 {
    fs::metadata(file).map_or(0, |data| data.len())
}

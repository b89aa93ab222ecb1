//! A server to talk to.

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tempfile::TempDir;
use ureq::Agent;
use ureq::unversioned::multipart::{Form, Part};

/// The bundle for generated scans.
pub(crate) const BUNDLE: &str = "phantom";
/// How long a job on a generated scan may take on a busy machine; `I3DEEP_JOB_LIMIT_S` says another where one is busier
/// still.
static JOB_LIMIT: LazyLock<Duration> = LazyLock::new(|| {
    let said = std::env::var("I3DEEP_JOB_LIMIT_S").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(said.unwrap_or(120))
});

/// A running `i3deep serve`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    url: String,
    log: Arc<Mutex<String>>,
    said: Arc<Mutex<String>>,
    data: Arc<TempDir>,
    client: Arc<TempDir>,
    agent: Agent,
}

/// A status and a body.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: ureq::http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of a refusal with this status.
    #[track_caller]
    pub(crate) fn refusal(&self, status: u16) -> (String, String) {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        let error: Value = self.json();
        (error["code"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_i3deep"))
}

pub(crate) fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("models")
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&models(), &[])
    }

    /// With other bundles or more arguments.
    pub(crate) fn start_with(models: &Path, arguments: &[&str]) -> Self {
        let client = tempfile::tempdir().unwrap();
        std::fs::write(client.path().join("index.html"), "<script type=\"module\">start()</script>").unwrap();
        std::fs::write(client.path().join("client-0123.js"), "start()").unwrap();
        // As the build leaves it, with the same as Brotli beside it.
        std::fs::write(client.path().join("client-4567.wasm"), "module").unwrap();
        std::fs::write(client.path().join("client-4567.wasm.br"), b"\x1b\x05\x00\xf8\x25\x00\x82\x90\x58\x01").unwrap();
        Self::launch(program(), models, arguments, Arc::new(tempfile::tempdir().unwrap()), Arc::new(client))
    }

    /// By a program that puts it somewhere before it starts it.
    pub(crate) fn start_within(program: Command, arguments: &[&str]) -> Self {
        let client = tempfile::tempdir().unwrap();
        std::fs::write(client.path().join("index.html"), "").unwrap();
        Self::launch(program, &models(), arguments, Arc::new(tempfile::tempdir().unwrap()), Arc::new(client))
    }

    /// With a disk of its own that holds this many bytes; only for tests that are ignored where this user may not mount
    /// one.
    pub(crate) fn start_on_a_small_disk(bytes: usize) -> Self {
        const MOUNTED: &str = "mount -t tmpfs -o size=\"$1\" tmpfs \"$2\" && shift 2 && exec \"$@\"";
        let data = Arc::new(tempfile::tempdir().unwrap());
        let within = |rest: &[&OsStr]| {
            let mut command = Command::new("unshare");
            command
                .args(["--map-root-user", "--mount", "sh", "-c", MOUNTED, "sh", &bytes.to_string()])
                .arg(data.path())
                .args(rest);
            command
        };
        let client = tempfile::tempdir().unwrap();
        std::fs::write(client.path().join("index.html"), "").unwrap();
        let program = within(&[env!("CARGO_BIN_EXE_i3deep").as_ref()]);
        Self::launch(program, &models(), &[], Arc::clone(&data), Arc::new(client))
    }

    fn launch(
        mut program: Command,
        models: &Path,
        arguments: &[&str],
        data: Arc<TempDir>,
        client: Arc<TempDir>,
    ) -> Self {
        let bind: &[&str] = if arguments.contains(&"--bind") { &[] } else { &["--bind", "127.0.0.1:0"] };
        let mut child = program
            .arg("serve")
            .args(bind)
            .args(["--device", "cpu", "--data"])
            .arg(data.path())
            .arg("--client")
            .arg(client.path())
            .arg("--models")
            .arg(models)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = keep(child.stderr.take().unwrap());
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        output.read_line(&mut ready).unwrap();
        let url = ready
            .trim()
            .strip_prefix("i3deep is ready on ")
            .unwrap_or_else(|| panic!("not ready: {}", log.lock().unwrap()))
            .to_owned();
        let said = keep(output);
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        Self { child, url, log, said, data, client, agent }
    }

    /// Kills the server without warning and starts another on its data.
    pub(crate) fn killed_and_restarted(self) -> Self {
        self.killed_and_restarted_with(&[])
    }

    /// The same with arguments.
    pub(crate) fn killed_and_restarted_with(mut self, arguments: &[&str]) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        Self::launch(program(), &models(), arguments, Arc::clone(&self.data), Arc::clone(&self.client))
    }

    /// What the server has logged.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// What the server has printed after its address.
    pub(crate) fn said(&self) -> String {
        eventually("second line", || Some(self.said.lock().unwrap().clone()).filter(|said| said.ends_with('\n')))
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where the client's files lie.
    pub(crate) fn client(&self) -> &Path {
        self.client.path()
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        self.request("GET", path, &[])
    }

    /// Asks once: wherever the answer sends one, nobody goes.
    pub(crate) fn request_once(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.request_once_by("GET", path, headers)
    }

    /// The same by any method.
    pub(crate) fn request_once_by(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let agent: Agent = Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(agent.run(request.body(()).unwrap()))
    }

    /// A request without a body.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(self.agent.run(request.body(()).unwrap()))
    }

    /// A request with headers, and JSON if there is any.
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let Some(body) = body else { return self.request(method, path, headers) };
        self.send_text(method, path, &[headers, &[("content-type", "application/json")]].concat(), body.to_string())
    }

    /// A request with headers and a body as it is.
    pub(crate) fn send_text(&self, method: &str, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(self.agent.run(request.body(body).unwrap()))
    }

    pub(crate) fn put(&self, path: &str, body: &impl Serialize) -> Answer {
        answer(self.agent.put(format!("{}{path}", self.url)).send_json(body))
    }

    pub(crate) fn post(&self, path: &str, body: &impl Serialize) -> Answer {
        answer(self.agent.post(format!("{}{path}", self.url)).send_json(body))
    }

    /// Asks the server to end, as an operator does, and waits until it has.
    pub(crate) fn terminated(mut self) -> (std::process::ExitStatus, Arc<TempDir>) {
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        (self.child.wait().unwrap(), Arc::clone(&self.data))
    }

    /// Uploads files as the channels of a case.
    pub(crate) fn upload(&self, bundle: &str, files: &[&[u8]]) -> Answer {
        self.upload_as(&[], bundle, files)
    }

    pub(crate) fn upload_as(&self, headers: &[(&str, &str)], bundle: &str, files: &[&[u8]]) -> Answer {
        self.send_form(headers, "DOE^JANE", bundle, files)
    }

    pub(crate) fn upload_named(&self, name: &str, bundle: &str, files: &[&[u8]]) -> Answer {
        self.send_form(&[], name, bundle, files)
    }

    fn send_form(&self, headers: &[(&str, &str)], name: &str, bundle: &str, files: &[&[u8]]) -> Answer {
        let mut form = Form::new().text("bundle", bundle).text("name", name);
        for file in files {
            form = form.part("image", Part::bytes(file).file_name("DOE_JANE.nii.gz"));
        }
        let mut request = self.agent.post(format!("{}/api/cases", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send(form))
    }

    /// Sends a form anywhere.
    pub(crate) fn send_parts(&self, method: &str, path: &str, form: Form<'_>) -> Answer {
        let address = format!("{}{path}", self.url);
        let request = if method == "PUT" { self.agent.put(address) } else { self.agent.post(address) };
        answer(request.send(form))
    }

    /// A generated scan's case with its presegmentation.
    pub(crate) fn presegmented(&self) -> String {
        let answer = self.upload(BUNDLE, &[&crate::scans::Nifti::generated().packed()]);
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let id = answer.json::<Value>()["id"].as_str().unwrap().to_owned();
        self.wait(&id, "done");
        id
    }

    /// Waits until the latest job of a case is in a state.
    #[track_caller]
    pub(crate) fn wait(&self, case: &str, state: &str) -> Value {
        let begun = Instant::now();
        loop {
            let summary = self.get(&format!("/api/cases/{case}")).json::<Value>()["summary"].clone();
            if summary["job"]["state"] == state {
                return summary;
            }
            assert!(begun.elapsed() < *JOB_LIMIT, "still {summary}; the log says:\n{}", self.log());
            assert!(state == "failed" || summary["job"]["state"] != "failed", "{summary}");
            sleep(Duration::from_millis(20));
        }
    }

    /// What the server process itself holds.
    pub(crate) fn memory_mib(&self) -> u64 {
        memory_kib(self.child.id(), "VmRSS:") / 1024
    }

    /// Process numbers of the worker, if it is up.
    pub(crate) fn workers(&self) -> Vec<String> {
        self.children("worker")
    }

    /// Process numbers of those that it has started as this command.
    pub(crate) fn children(&self, command: &str) -> Vec<String> {
        let id = self.child.id();
        let mut found = Vec::new();
        for thread in std::fs::read_dir(format!("/proc/{id}/task")).unwrap().flatten() {
            let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            found.extend(children.split_whitespace().map(str::to_owned));
        }
        found.retain(|child| {
            let line = std::fs::read_to_string(format!("/proc/{child}/cmdline")).unwrap_or_default();
            line.split('\0').nth(1) == Some(command)
        });
        found
    }
}

/// A figure of a process's memory, by its name in `/proc/ID/status`.
pub(crate) fn memory_kib(process: impl std::fmt::Display, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Reads to the end on a thread of its own.
fn keep(mut from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let kept = Arc::new(Mutex::new(String::new()));
    let text = Arc::clone(&kept);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut buffer) {
            text.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    });
    kept
}

fn answer(response: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut response = response.unwrap();
    let body = response.body_mut().with_config().limit(1 << 30).read_to_vec().unwrap();
    Answer { status: response.status().as_u16(), headers: response.headers().clone(), body }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Tries until something is there.
#[track_caller]
pub(crate) fn eventually<T: Debug>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < *JOB_LIMIT, "no {what}");
        sleep(Duration::from_millis(10));
    }
}

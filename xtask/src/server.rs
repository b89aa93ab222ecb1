//! The server that the demo starts: its process, and the few requests the demo makes of it.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use ureq::unversioned::multipart::Form;

use crate::scans::Scan;

/// How long the server may take until it answers; it checks the bundles' checksums first.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running server; killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    url: String,
}

/// An error if the address is taken, before anything is built.
pub(crate) fn check_free(bind: SocketAddr) -> Result<()> {
    TcpListener::bind(bind).map(drop).with_context(|| {
        format!(
            "cannot listen on {bind}. If another program (or another demo) uses the port, stop it or choose another: \
             --bind 127.0.0.1:8081"
        )
    })
}

impl Server {
    /// Starts the command and waits until it answers.
    pub(crate) fn start(command: &mut Command, bind: SocketAddr) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn().context("cannot start the server")?;
        let mut server = Self { child, url: format!("http://{bind}") };
        let started = Instant::now();
        while server.get("/api/health").is_err() {
            if let Some(status) = server.child.try_wait()? {
                bail!("the server has stopped ({status}); its message stands above");
            }
            ensure!(started.elapsed() < START_LIMIT, "the server does not answer after {} s", START_LIMIT.as_secs());
            sleep(Duration::from_millis(200));
        }
        Ok(server)
    }

    /// The address to open in a browser.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks for JSON.
    pub(crate) fn get(&self, route: &str) -> Result<Value> {
        let mut response = ureq::get(format!("{}{route}", self.url))
            .call()
            .with_context(|| format!("the server does not answer {route}"))?;
        Ok(response.body_mut().read_json()?)
    }

    /// Uploads a scan as a new case.
    pub(crate) fn import(&self, scan: &Scan, bundle: &str) -> Result<()> {
        let mut form = Form::new().text("bundle", bundle).text("name", &scan.name);
        for channel in &scan.channels {
            form = form.file("image", channel).with_context(|| format!("cannot read {}", channel.display()))?;
        }
        let request = ureq::post(format!("{}/api/cases", self.url)).config().http_status_as_error(false).build();
        let mut response = request.send(form)?;
        if !response.status().is_success() {
            let answer: Value = response.body_mut().read_json().unwrap_or_default();
            bail!("the server refuses {}: {}", scan.name, answer["message"].as_str().unwrap_or("it does not say why"));
        }
        Ok(())
    }

    /// Waits until the server stops, by itself or by Ctrl-C.
    pub(crate) fn wait(mut self) -> Result<()> {
        let status = self.child.wait()?;
        ensure!(status.success() || status.code().is_none(), "the server has stopped ({status})");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has stopped already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

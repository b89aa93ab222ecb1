//! A real PACS, started for a test: Orthanc with its DICOMweb plugin (Debian: `orthanc`, `orthanc-dicomweb`). Tests
//! that need one are ignored where there is none.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;

use crate::server::eventually;

/// Who may ask it.
pub(crate) const USER: &str = "i3deep";
/// What they say.
pub(crate) const PASSWORD: &str = "CANARY-password-of-the-pacs";

/// A running Orthanc; killed when dropped.
pub(crate) struct Orthanc {
    child: Child,
    folder: TempDir,
    agent: Agent,
    port: u16,
    dicom_port: u16,
}

impl Orthanc {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, dicom_port) = (free_port(), free_port());
        let configuration = json!({
            "Name": "test",
            "StorageDirectory": folder.path().join("storage"),
            "IndexDirectory": folder.path().join("storage"),
            "Plugins": plugins(),
            "HttpPort": port,
            "DicomPort": dicom_port,
            "RemoteAccessAllowed": false,
            "AuthenticationEnabled": true,
            "RegisteredUsers": { USER: PASSWORD },
            "DicomWeb": { "Enable": true, "Root": "/dicom-web/" },
        });
        let file = folder.path().join("orthanc.json");
        std::fs::write(&file, configuration.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new("Orthanc").arg(&file).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let agent = Agent::config_builder().http_status_as_error(false).build().into();
        let orthanc = Self { child, folder, agent, port, dicom_port };
        eventually("answer of Orthanc", || orthanc.find("/studies").ok());
        orthanc
    }

    /// Where DICOMweb begins.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/dicom-web", self.port)
    }

    /// Where it takes what is sent by C-STORE.
    pub(crate) fn dicom_port(&self) -> u16 {
        self.dicom_port
    }

    /// A file that names it as `clinic`, for `--pacs`; what `more` holds is changed in it.
    pub(crate) fn sources(&self, more: &Value) -> std::path::PathBuf {
        std::fs::write(self.folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        let mut source = json!({
            "name": "clinic", "url": self.url(), "user": USER, "password_file": "password",
        });
        for (key, value) in more.as_object().unwrap() {
            source[key] = value.clone();
        }
        let file = self.folder.path().join("pacs.json");
        std::fs::write(&file, json!({ "sources": [source] }).to_string()).unwrap();
        file
    }

    /// Puts every file of a folder into it.
    pub(crate) fn store(&self, folder: &Path) {
        for file in std::fs::read_dir(folder).unwrap().flatten() {
            let bytes = std::fs::read(file.path()).unwrap();
            let address = format!("http://127.0.0.1:{}/instances", self.port);
            let answer = self.agent.post(address).header("authorization", &basic()).send(&bytes[..]).unwrap();
            assert_eq!(answer.status(), 200, "{:?}", file.path());
        }
    }

    /// Asks it by DICOMweb, as others do.
    pub(crate) fn find(&self, path: &str) -> Result<Value, String> {
        let request = self.agent.get(format!("{}{path}", self.url())).header("authorization", &basic());
        let mut answer = request.call().map_err(|error| error.to_string())?;
        let body = answer.body_mut().read_to_string().map_err(|error| error.to_string())?;
        if answer.status() == 200 { Ok(serde_json::from_str(&body).unwrap()) } else { Err(answer.status().to_string()) }
    }

    /// An object's file.
    pub(crate) fn file(&self, instance: &str) -> Vec<u8> {
        let ask = |method: &str, path: String, body: &str| {
            let request = ureq::http::Request::builder().method(method).header("authorization", basic());
            let request = request.uri(format!("http://127.0.0.1:{}{path}", self.port)).body(body.to_owned()).unwrap();
            self.agent.run(request).unwrap().body_mut().with_config().limit(1 << 30).read_to_vec().unwrap()
        };
        let found: Value = serde_json::from_slice(&ask("POST", "/tools/lookup".to_owned(), instance)).unwrap();
        let id = found[0]["ID"].as_str().unwrap_or_else(|| panic!("no {instance}"));
        ask("GET", format!("/instances/{id}/file"), "")
    }

    /// Takes no more requests.
    pub(crate) fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Orthanc {
    fn drop(&mut self) {
        self.stop();
    }
}

fn basic() -> String {
    use base64::Engine;
    format!("Basic {}", base64::prelude::BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}")))
}

pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where Debian keeps them, and where Orthanc's own builds do.
fn plugins() -> Vec<&'static str> {
    ["/usr/share/orthanc/plugins", "/usr/local/share/orthanc/plugins"]
        .into_iter()
        .filter(|folder| Path::new(folder).is_dir())
        .collect()
}

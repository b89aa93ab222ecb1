//! Segmentations that are sent by C-STORE: to dcmtk's storescp (Debian: `dcmtk`), and to Orthanc.

use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::exports::{series, uploaded};
use crate::orthanc::{Orthanc, free_port};
use crate::server::{Answer, Server, eventually, models};

/// dcmtk's receiver; killed when dropped.
struct Archive {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Archive {
    /// One that takes what dcmtk takes unless more is said.
    fn start(more: &[&str]) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let mut command = Command::new("storescp");
        command.args(["--aetitle", "ARCHIVE", "--output-directory"]).arg(folder.path()).args(more);
        let child = command.arg(port.to_string()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("archive that listens", || TcpStream::connect(("127.0.0.1", port)).ok());
        Self { child, folder, port }
    }

    /// What it has taken, without a file's own group, which every program writes anew.
    fn taken(&self) -> Vec<Vec<u8>> {
        let files = std::fs::read_dir(self.folder.path()).unwrap().flatten();
        files.map(|file| data_set(&std::fs::read(file.path()).unwrap()).to_vec()).collect()
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn data_set(file: &[u8]) -> &[u8] {
    let length = u32::from_le_bytes(file[140..144].try_into().unwrap()) as usize;
    &file[144 + length..]
}

/// The operator's file, which names two archives.
fn sources(folder: &Path, ports: [u16; 2]) -> std::path::PathBuf {
    let archive =
        |name: &str, port: u16| json!({ "name": name, "dicom": format!("127.0.0.1:{port}"), "ae_title": "ARCHIVE" });
    let file = folder.join("pacs.json");
    let all = json!({ "sources": [archive("old", ports[0]), archive("new", ports[1])] });
    std::fs::write(&file, all.to_string()).unwrap();
    file
}

#[cfg_attr(not(dcmtk), ignore = "dcmtk is not installed")]
#[test]
fn a_segmentation_is_sent_to_an_archive() {
    let (old, new) = (Archive::start(&["--bit-preserving"]), Archive::start(&["--accept-all", "--promiscuous"]));
    let folder = tempfile::tempdir().unwrap();
    let file = sources(folder.path(), [old.port, new.port]);
    let server = Server::start_with(&models(), &["--pacs", file.to_str().unwrap()]);
    assert_eq!(
        server.get("/api/pacs").json::<Value>(),
        json!([{ "name": "old", "may_search": false }, { "name": "new", "may_search": false }])
    );
    let id = uploaded(&server, &series(folder.path()));
    let send = |to: &str, format: &str| -> Answer {
        server.post(&format!("/api/cases/{id}/send"), &json!({ "source": to, "format": format }))
    };
    let (code, words) = send("old", "seg").refusal(502);
    assert_eq!(code, "pacs_refused");
    assert!(words.contains("takes no objects of this kind") && words.contains("DICOM SEG (bits)"), "{words}");
    for (to, format, archive) in [("old", "seg-binary", &old), ("new", "seg", &new), ("new", "seg-binary", &new)] {
        let before = archive.taken();
        let answer = send(to, format);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let sent: Value = answer.json();
        assert_eq!(sent["found"], false, "nobody has looked");
        let taken = archive.taken();
        assert_eq!(taken.len(), before.len() + 1);
        let instance = sent["instance"].as_str().unwrap().as_bytes();
        let is_there = |object: &&Vec<u8>| object.windows(instance.len()).any(|window| window == instance);
        assert!(taken.iter().any(|object| is_there(&object)), "{to} {format}");
    }
    drop(new);
    let (code, words) = send("new", "seg").refusal(502);
    assert!(code == "pacs_away" && words.contains("new does not answer"), "{words}");

    // The same from the command line, byte by byte.
    let exported = folder.path().join("seg.dcm");
    std::fs::write(&exported, server.get(&format!("/api/cases/{id}/corrected/export/seg-binary")).body).unwrap();
    let run = |file: &Path, title: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
        command.arg("send").arg(file).args(["--to", &format!("127.0.0.1:{}", old.port), "--ae-title", title]);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = run(&exported, "ARCHIVE");
    assert!(code == Some(0) && said.ends_with("seg.dcm is stored, ARCHIVE says\n"), "{said}");
    let whole = std::fs::read(&exported).unwrap();
    assert!(old.taken().iter().any(|object| object == data_set(&whole)), "what is stored is what was sent");
    let (code, said) = run(&file, "ARCHIVE");
    assert!(code == Some(1) && said.contains("cannot be read as DICOM"), "{said}");
    assert_eq!(run(&exported, "a title that is too long").0, Some(2));
}

#[cfg_attr(not(orthanc), ignore = "Orthanc with its DICOMweb plugin is not installed")]
#[test]
fn a_segmentation_is_sent_to_orthanc_and_found_there() {
    let orthanc = Orthanc::start();
    let folder = tempfile::tempdir().unwrap();
    let archive =
        json!({ "name": "orthanc", "dicom": format!("127.0.0.1:{}", orthanc.dicom_port()), "ae_title": "ORTHANC" });
    let file = folder.path().join("pacs.json");
    std::fs::write(&file, json!({ "sources": [archive] }).to_string()).unwrap();
    let server = Server::start_with(&models(), &["--pacs", file.to_str().unwrap()]);
    let id = uploaded(&server, &series(folder.path()));
    let answer = server.post(&format!("/api/cases/{id}/send"), &json!({ "source": "orthanc", "format": "seg-binary" }));
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let instance = answer.json::<Value>()["instance"].as_str().unwrap().to_owned();
    let there = orthanc.file(&instance);
    let scan = i3deep::scan_io::read_origin(&folder.path().join("series")).unwrap();
    let seg = folder.path().join("seg");
    std::fs::write(&seg, there).unwrap();
    let labels = i3deep::scan_io::LabelFile::read(&seg).unwrap().on(&scan).unwrap().all().unwrap();
    assert_eq!(labels.voxels(), server.get(&format!("/api/cases/{id}/segmentations/presegmentation")).body);
}

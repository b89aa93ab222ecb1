//! Images that a modality sends, by dcmtk's storescu (Debian: `dcmtk`).

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::orthanc::free_port;
use crate::pacs::write_series;
use crate::series::CANARIES;
use crate::server::{BUNDLE, Server, eventually, models};

fn sender(program: &str, port: &str, called: &str, more: &[&str]) -> Output {
    let mut command = Command::new(program);
    command.args(["--aetitle", "SCANNER", "--call", called, "127.0.0.1", port]).args(more);
    command.output().unwrap()
}

fn send(port: &str, called: &str, folder: &Path) -> Output {
    sender("storescu", port, called, &["--scan-directories", folder.to_str().unwrap()])
}

#[cfg_attr(not(dcmtk), ignore = "dcmtk is not installed")]
#[test]
fn a_series_that_a_modality_sends_becomes_a_case() {
    let folder = tempfile::tempdir().unwrap();
    write_series(folder.path());
    let port = free_port().to_string();
    let server =
        Server::start_with(&models(), &["--dicom-port", &port, "--dicom-bundle", BUNDLE, "--dicom-quiet-seconds", "1"]);
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let echoed = sender("echoscu", &port, "I3DEEP", &[]);
    assert!(echoed.status.success(), "{}", said(&echoed));
    let other = send(&port, "ANOTHER", folder.path());
    assert!(!other.status.success(), "who calls another name is let in");
    let sent = send(&port, "I3DEEP", folder.path());
    assert!(sent.status.success(), "{}", said(&sent));
    // The same once more, as senders do that heard no answer: it is one series all the same.
    assert!(send(&port, "I3DEEP", folder.path()).status.success());
    let id = eventually("case", || {
        let cases: Vec<Value> = server.get("/api/cases").json();
        cases.first().map(|case| case["id"].as_str().unwrap().to_owned())
    });
    assert_eq!(server.get("/api/cases").json::<Vec<Value>>().len(), 1);
    let case: Value = server.get(&format!("/api/cases/{id}")).json();
    assert_eq!(case["has_series"], true, "no SEG could be made of it");
    for canary in CANARIES {
        assert!(!server.log().contains(canary) && !case.to_string().contains(canary), "{canary}");
    }
    assert!(server.log().contains("a series of 24 images was sent by SCANNER"), "{}", server.log());
    let left = || std::fs::read_dir(server.data().join("work/received")).unwrap().count();
    eventually("empty folder", || (left() == 0).then_some(()));
}

#[cfg_attr(not(dcmtk), ignore = "dcmtk is not installed")]
#[test]
fn what_is_no_series_is_not_taken() {
    let folder = tempfile::tempdir().unwrap();
    write_series(folder.path());
    // A slice in the middle is missing.
    std::fs::remove_file(folder.path().join("0012.dcm")).unwrap();
    let port = free_port().to_string();
    let server =
        Server::start_with(&models(), &["--dicom-port", &port, "--dicom-bundle", BUNDLE, "--dicom-quiet-seconds", "1"]);
    assert!(send(&port, "I3DEEP", folder.path()).status.success());
    eventually("word in the log", || server.log().contains("is not taken: NotASeries").then_some(()));
    assert_eq!(server.get("/api/cases").json::<Vec<Value>>().len(), 0);
    // No protocol at all, and a server that lives on.
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
    stream.write_all(&[0x01, 0, 0xff, 0xff, 0xff, 0xff, 0, 1, 2, 3]).unwrap();
    drop(stream);
    assert!(sender("echoscu", &port, "I3DEEP", &[]).status.success());
}

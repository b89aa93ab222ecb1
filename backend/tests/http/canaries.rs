//! What may be a patient's name goes nowhere: names in a scan's header, in its extensions and in its file's name are
//! left behind when it comes in; the name that a case was given is shown to those who see the case, and stands nowhere
//! else.

use std::fs;
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};
use ureq::unversioned::multipart::{Form, Part};

use crate::scans::{Nifti, pack};
use crate::server::{Answer, BUNDLE, Server};

/// In the file that is sent, and nowhere afterwards.
const LEFT_BEHIND: [&str; 7] =
    ["DESCRIP^ADA", "AUXFILE^ADA", "INTENT^ADA", "DBNAME^ADA", "SESSION^ADA", "EXTENSION^ADA", "Filename_Ada"];
/// What the expert called the case.
const CASE_NAME: &str = "Casename, Ada";

/// A scan with names in every text of its header, and in an extension.
fn scan() -> Vec<u8> {
    let mut bytes = Nifti::generated().plain();
    for (at, length, text) in [
        (4, 10, "DBNAME^ADA"),
        (14, 18, "SESSION^ADA"),
        (148, 80, "DESCRIP^ADA"),
        (228, 24, "AUXFILE^ADA"),
        (328, 16, "INTENT^ADA"),
    ] {
        bytes[at..at + length].fill(0);
        bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    let mut extension = [64_i32.to_le_bytes(), 6_i32.to_le_bytes()].concat();
    extension.extend(b"EXTENSION^ADA");
    extension.resize(64, 0);
    bytes[108..112].copy_from_slice(&(352.0_f32 + 64.0).to_le_bytes());
    bytes[348] = 1;
    bytes.splice(352..352, extension);
    bytes
}

fn send(server: &Server, bytes: &[u8]) -> Answer {
    let part = Part::bytes(bytes).file_name("Filename_Ada.nii.gz");
    server.send_parts(
        "POST",
        "/api/cases",
        Form::new().text("bundle", BUNDLE).text("name", CASE_NAME).part("image", part),
    )
}

/// The bytes themselves, and what they unpack to.
fn seen(bytes: &[u8]) -> Vec<u8> {
    let mut all = bytes.to_vec();
    // What is not packed adds nothing.
    let _ = MultiGzDecoder::new(bytes).read_to_end(&mut all);
    all
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[track_caller]
fn check(what: &str, bytes: &[u8], names: &[&str]) {
    let bytes = seen(bytes);
    for name in names {
        assert!(!holds(&bytes, name), "{name} stands in {what}");
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn names_of_patients_go_nowhere() {
    let everywhere: Vec<&str> = LEFT_BEHIND.into_iter().chain([CASE_NAME]).collect();
    let server = Server::start();
    let sent = pack(&scan());
    assert!(LEFT_BEHIND[..6].iter().all(|name| holds(&seen(&sent), name)), "the scan has no canaries");
    let answer = send(&server, &sent);
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    check("the answer to an upload", &answer.body, &LEFT_BEHIND);
    let id = answer.json::<Value>()["id"].as_str().unwrap().to_owned();
    server.wait(&id, "done");
    let slice =
        json!({ "plane": { "axis": "axial", "index": 3 }, "state": "done", "runs": [[1, 1024]], "revision": 0 });
    assert_eq!(server.put(&format!("/api/cases/{id}/corrections/axial/3"), &slice).status, 200);
    server.post(&format!("/api/cases/{id}/refine"), &json!({}));
    server.wait(&id, "done");

    // Answers that show the case's name to those who see the case.
    let shown = ["/api/cases", "/api/cases/{id}", "/api/bin"];
    let document: Value = server.get("/api/openapi.json").json();
    let paths = document["paths"].as_object().unwrap();
    let mut looked_at = 0;
    for path in paths.keys().filter(|path| paths[*path].get("get").is_some() && *path != "/api/events") {
        for version in ["presegmentation", "refinement-1"] {
            let place =
                path.replace("{id}", &id).replace("{axis}", "axial").replace("{index}", "3").replace("{slab}", "0");
            let place = place.replace("{channel}", "0").replace("{format}", "nrrd").replace("{version}", version);
            let place =
                place.replace("versions/presegmentation", "versions/1").replace("versions/refinement-1", "versions/1");
            let answer = server.get(&place);
            check(&place, &answer.body, if shown.contains(&path.as_str()) { &LEFT_BEHIND } else { &everywhere });
            for (name, value) in &answer.headers {
                // A download is called after its case.
                let names = if name == "content-disposition" { &LEFT_BEHIND[..] } else { &everywhere[..] };
                check(&format!("{name} of {place}"), value.as_bytes(), names);
            }
            looked_at += usize::from(answer.status == 200);
        }
    }
    assert!(looked_at > 30, "only {looked_at} answers were looked at");

    // Refusals: cut off, of another kind, for a bundle that is not there.
    for bad in [&sent[..sent.len() / 2], &scan()[..5000], &[&scan()[..348], b"\0\0\0\0"].concat()] {
        let refused = send(&server, bad);
        assert_eq!(refused.status, 422);
        check("a refusal", &refused.body, &everywhere);
    }
    let part = Part::bytes(&sent).file_name("Filename_Ada.nii.gz");
    let form = Form::new().text("bundle", "none").text("name", CASE_NAME).part("image", part);
    let refused = server.send_parts("POST", "/api/cases", form);
    assert_eq!(refused.status, 400);
    check("a refusal", &refused.body, &everywhere);

    check("the log", server.log().as_bytes(), &everywhere);
    for file in files(server.data()) {
        // The database knows what the case is called.
        let of_database = file.file_name().unwrap().to_string_lossy().starts_with("i3deep.sqlite");
        let bytes = fs::read(&file).unwrap();
        check(&file.display().to_string(), &bytes, if of_database { &LEFT_BEHIND } else { &everywhere });
    }
    let audit = std::process::Command::new(env!("CARGO_BIN_EXE_i3deep"))
        .args(["audit", "verify", "--data"])
        .arg(server.data())
        .output()
        .unwrap();
    check("the words of `audit verify`", &[audit.stdout, audit.stderr].concat(), &everywhere);
}

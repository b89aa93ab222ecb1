//! MONAI Label's protocol, as its clients speak it.

use std::path::PathBuf;

use i3deep::scan_io::{LabelFile, read_origin, write_labels, write_segmentation};
use serde_json::{Value, json};
use shared::label::{Label, LabelInfo, LabelSet};
use shared::volume::Volume;
use ureq::unversioned::multipart::{Form, Part};

use crate::scans::Nifti;
use crate::server::{Answer, BUNDLE, Server};

/// A client's desk: a server, a case, and a folder.
struct Desk {
    server: Server,
    case: String,
    folder: tempfile::TempDir,
}

fn address(path: &str) -> String {
    format!("/monailabel/{BUNDLE}{path}")
}

impl Desk {
    fn new() -> Self {
        let server = Server::start();
        let case = server.presegmented();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("scan.nii.gz"), Nifti::generated().packed()).unwrap();
        Self { server, case, folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn get(&self, path: &str) -> Answer {
        self.server.get(&address(path))
    }

    /// Labels as the server gives them under a tag.
    fn labels(&self, tag: &str) -> Volume<Label> {
        let answer = self.get(&format!("/datastore/label?label={}&tag={tag}", self.case));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        assert!(answer.header("content-disposition").contains("filename=\""));
        self.read(&answer.body)
    }

    fn read(&self, body: &[u8]) -> Volume<Label> {
        let file = self.at("answer");
        std::fs::write(&file, body).unwrap();
        let scan = read_origin(&self.at("scan.nii.gz")).unwrap();
        LabelFile::read(&file).unwrap().on(&scan).unwrap().all().unwrap()
    }

    /// Sends a label map; the file's name is a path, as 3D Slicer sends it.
    fn send(&self, method: &str, path: &str, labels: Option<&Volume<Label>>, params: &Value) -> Answer {
        let text = params.to_string();
        let mut form = Form::new().text("params", &text);
        let file = self.at("edited.nrrd");
        if let Some(labels) = labels {
            write_labels(&file, labels, &read_origin(&self.at("scan.nii.gz")).unwrap()).unwrap();
        }
        let bytes = std::fs::read(&file).unwrap_or_default();
        if labels.is_some() {
            form = form.part("label", Part::bytes(&bytes).file_name("/home/DOE^JANE/edited.nrrd"));
        }
        self.server.send_parts(method, &address(path), form)
    }

    fn corrected(&self) -> Vec<String> {
        let saved: Vec<Value> = self.server.get(&format!("/api/cases/{}/corrections", self.case)).json();
        saved
            .iter()
            .map(|slice| format!("{} {}", slice["plane"]["axis"].as_str().unwrap(), slice["plane"]["index"]))
            .collect()
    }
}

/// The parts of an answer, split as MITK does it: at the words of their headers.
fn parts(answer: &Answer) -> (Value, Vec<u8>) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    assert_eq!(answer.header("content-length"), answer.body.len().to_string(), "it must not be chunked");
    assert_eq!(answer.header("content-encoding"), "identity", "it must not be packed");
    let boundary = answer.header("content-type").split("boundary=").nth(1).unwrap();
    let find = |what: &str, from: usize| {
        let at = answer.body[from..].windows(what.len()).position(|window| window == what.as_bytes());
        from + at.unwrap_or_else(|| panic!("no {what:?}"))
    };
    let json_at = find("Content-Type: application/json\r\n\r\n", 0) + 34;
    let json_end = find(&format!("\r\n--{boundary}"), json_at);
    find("filename=\"segmentation.", json_end);
    let file_at = find("Content-Type: application/octet-stream\r\n\r\n", json_end) + 42;
    let file_end = find(&format!("\r\n--{boundary}--"), file_at);
    (serde_json::from_slice(&answer.body[json_at..json_end]).unwrap(), answer.body[file_at..file_end].to_vec())
}

#[test]
fn what_is_offered_is_in_the_form_that_each_client_reads() {
    let desk = Desk::new();
    let info: Value = desk.get("/info/").json();
    assert_eq!(info["labels"], json!(["organ", "lesion"]), "OHIF and MITK read a list");
    assert!(info.get("config").is_none(), "3D Slicer would take the server for an old one");
    assert_eq!(info["models"]["segmentation"]["labels"], json!({ "organ": 1, "lesion": 2 }));
    assert_eq!(info["models"]["refinement"]["type"], "scribbles");
    for model in ["segmentation", "refinement"] {
        for field in ["type", "labels", "dimension", "description", "config"] {
            assert!(info["models"][model].get(field).is_some(), "{model} {field}");
        }
    }
    assert_eq!(info["datastore"]["total"], 1);
    assert_eq!(desk.get("/auth/").status, 404, "clients take 404 for: nobody is asked");
    assert_eq!(desk.get("/train/?check_if_running=true").status, 404);
    assert_eq!(desk.get("/logs/").status, 200);
    desk.server.get("/monailabel/other/info/").refusal(404);
    desk.get("/nothing/").refusal(404);
}

#[test]
fn images_and_labels_are_listed_and_given_out() {
    let desk = Desk::new();
    let listed: Value = desk.get("/datastore/?output=all").json();
    let object = &listed["objects"][&desk.case];
    assert_eq!(object["labels"]["original"]["info"]["params"]["label_names"]["lesion"], 2);
    let sum = object["image"]["info"]["checksum"].as_str().unwrap().to_owned();
    let image = desk.get(&format!("/datastore/image?image={}", desk.case));
    assert_eq!(image.status, 200);
    assert!(!image.body.windows(8).any(|window| window == b"DOE^JANE"));
    std::fs::write(desk.at("image.nii.gz"), &image.body).unwrap();
    assert_eq!(read_origin(&desk.at("image.nii.gz")).unwrap().geometry().dims, [32, 32, 24]);
    let head = |sum: &str| {
        desk.server
            .request("HEAD", &address(&format!("/datastore/image?image={}&check_sum={sum}", desk.case)), &[])
            .status
    };
    assert_eq!((head(&sum), head("SHA256:00")), (200, 404));
    let original = desk.server.get(&format!("/api/cases/{}/segmentations/presegmentation", desk.case)).body;
    assert_eq!(desk.labels("original").voxels(), original);
    assert_eq!(desk.labels("final").voxels(), original);
    desk.get(&format!("/datastore/label?label={}&tag=version_7", desk.case)).refusal(404);
    desk.get("/datastore/image?image=../../etc/passwd").refusal(404);
    let next: Value = desk.server.post(&address("/activelearning/uncertainty"), &json!({ "client_id": "x" })).json();
    assert_eq!((next["id"].as_str(), next["checksum"].as_str()), (Some(desk.case.as_str()), Some(sum.as_str())));
}

#[test]
fn a_segmentation_comes_in_two_parts_or_bare() {
    let desk = Desk::new();
    let path = format!("/infer/segmentation?image={}", desk.case);
    let (params, file) = parts(&desk.send("POST", &path, None, &json!({ "result_extension": ".nrrd" })));
    assert_eq!(params["label_names"], json!({ "organ": 1, "lesion": 2 }));
    let original = desk.labels("original");
    assert_eq!(desk.read(&file), original);
    let (_, file) = parts(&desk.send("POST", &path, None, &json!({ "result_extension": ".nii.gz" })));
    assert!(file.starts_with(&[0x1f, 0x8b]));
    assert_eq!(desk.read(&file), original);
    // OHIF copies the bytes behind the header over its own volume.
    let bare = desk.send("POST", &format!("{path}&output=image"), None, &json!({}));
    assert_eq!(&bare.body[bare.body.len() - original.voxels().len()..], original.voxels());
    desk.send("POST", "/infer/segmentation", None, &json!({})).refusal(400);
    desk.send("POST", &format!("/infer/deepgrow?image={}", desk.case), None, &json!({})).refusal(404);
}

#[test]
fn only_slices_that_were_edited_are_corrections() {
    let desk = Desk::new();
    let original = desk.labels("original");
    let path = format!("/datastore/label?image={}&tag=final", desk.case);
    // Sent back as it was: nothing is confirmed.
    assert_eq!(desk.send("PUT", &path, Some(&original), &json!({})).status, 200);
    assert_eq!(desk.corrected(), Vec::<String>::new());
    let mut edited = original.clone();
    let plane = shared::geometry::Plane { axis: shared::geometry::Axis::Axial, index: 11 };
    let painted: Vec<Label> = edited.read_plane(plane).unwrap().iter().map(|label| u8::from(*label == 0)).collect();
    edited.write_plane(plane, &painted).unwrap();
    let saved: Value = desk.send("PUT", &path, Some(&edited), &json!({})).json();
    assert_eq!(saved["i3deep"]["edited"], json!(["axial 11"]));
    assert_eq!(desk.corrected(), ["axial 11"]);
    assert_eq!(desk.labels("final"), edited);
    // The same again changes nothing.
    desk.send("PUT", &path, Some(&edited), &json!({}));
    let slice: Vec<Value> = desk.server.get(&format!("/api/cases/{}/corrections", desk.case)).json();
    assert_eq!((slice.len(), &slice[0]["revision"]), (1, &json!(1)));
    assert!(!desk.server.log().contains("DOE"));
}

#[test]
fn a_refinement_comes_from_an_edited_label_map() {
    let desk = Desk::new();
    let mut edited = desk.labels("original");
    let plane = shared::geometry::Plane { axis: shared::geometry::Axis::Axial, index: 12 };
    let painted: Vec<Label> = edited.read_plane(plane).unwrap().iter().map(|label| 3 - label.max(&1)).collect();
    edited.write_plane(plane, &painted).unwrap();
    let path = format!("/infer/refinement?image={}", desk.case);
    desk.send("POST", &path, Some(&desk.labels("original")), &json!({})).refusal(409);
    // 3D Slicer numbers segments as they come, and says which is which.
    let swapped = edited.map(|label| [0, 2, 1][usize::from(label)]);
    let info = json!({ "label_info": [{ "name": "lesion", "id": 1 }, { "name": "organ", "id": 2 }] });
    let (params, file) = parts(&desk.send("POST", &path, Some(&swapped), &info));
    assert_eq!(
        (&params["i3deep"]["edited"], &params["i3deep"]["version"]),
        (&json!(["axial 12"]), &json!("refinement-1"))
    );
    assert_eq!(desk.read(&file).read_plane(plane).unwrap(), painted);
    assert_eq!(desk.corrected(), ["axial 12"]);
    assert_eq!(desk.labels("version_1").read_plane(plane).unwrap(), painted);
    assert_eq!(desk.labels("original").voxels().len(), edited.voxels().len());
}

#[test]
fn label_maps_that_do_not_fit_are_refused_in_words() {
    let desk = Desk::new();
    let path = format!("/datastore/label?image={}&tag=final", desk.case);
    let (code, _) = desk.send("PUT", &path, Some(&desk.labels("original").map(|_| 9)), &json!({})).refusal(422);
    assert_eq!(code, "not_a_label");
    desk.send("PUT", &path, None, &json!({})).refusal(400);
    let info = json!({ "label_info": [{ "name": "organ", "idx": 1 }, { "name": "scratch", "idx": 2 }] });
    let refused = desk.send("PUT", &path, Some(&desk.labels("original")), &info);
    assert!(String::from_utf8_lossy(&refused.body).contains("\\\"scratch\\\" is none of the task's labels"));
    assert_eq!(desk.corrected(), Vec::<String>::new());
}

#[test]
fn an_image_of_the_clients_own_becomes_a_case() {
    let desk = Desk::new();
    let scan = Nifti::generated().packed();
    let form = || Form::new().part("files", Part::bytes(&scan).file_name("/home/DOE^JANE.nii.gz"));
    let session: Value = desk.server.send_parts("PUT", &address("/session/"), form()).json();
    let id = session["session_id"].as_str().unwrap();
    assert_ne!(id, desk.case);
    let (params, file) =
        parts(&desk.send("POST", &format!("/infer/segmentation?image=&session_id={id}"), None, &json!({})));
    assert_eq!(params["i3deep"]["image"], *id);
    assert_eq!(desk.read(&file).geometry().dims, [32, 32, 24]);
    assert_eq!(desk.server.request("DELETE", &address(&format!("/session/{id}")), &[]).status, 200);
    assert_eq!(desk.get(&format!("/session/{id}")).status, 200, "a session's end deletes no work");
    let form = Form::new().part("file", Part::bytes(&scan).file_name("DOE.nii.gz"));
    let put: Value = desk.server.send_parts("PUT", &address("/datastore/?image=DOE"), form).json();
    assert_ne!(put["image"], "DOE", "files are named after patients");
    assert!(!desk.server.get("/api/cases").json::<Value>().to_string().contains("\"name\":\"DOE\""));
}

/// As 3D Slicer saves it, its segments in another order.
#[test]
fn a_slicer_segmentation_goes_by_names() {
    let desk = Desk::new();
    let label = |value, name: &str| LabelInfo { value, name: name.into(), colour: "#00ff00".into(), code: None };
    let names = LabelSet(vec![label(1, "lesion"), label(2, "organ")]);
    let mut edited = desk.labels("original");
    let plane = shared::geometry::Plane { axis: shared::geometry::Axis::Axial, index: 5 };
    edited.write_plane(plane, &vec![1; 1024]).unwrap();
    let swapped = edited.map(|label| [0, 2, 1][usize::from(label)]);
    let file = desk.at("a.seg.nrrd");
    write_segmentation(&file, &swapped, &read_origin(&desk.at("scan.nii.gz")).unwrap(), &names).unwrap();
    let bytes = std::fs::read(&file).unwrap();
    let form = Form::new().part("label", Part::bytes(&bytes).file_name("a.seg.nrrd"));
    let path = format!("/datastore/label?image={}&tag=final", desk.case);
    assert_eq!(desk.server.send_parts("PUT", &address(&path), form).status, 200);
    assert_eq!(desk.corrected(), ["axial 5"]);
    assert_eq!(desk.labels("final"), edited);
}

#[test]
#[cfg_attr(not(monai), ignore = "I3DEEP_PEERS names no Python with monailabel 0.8.5 and requests")]
fn the_real_client_works() {
    let desk = Desk::new();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/slicer_client.py");
    let mut python = std::process::Command::new(std::env::var_os("I3DEEP_PEERS").unwrap());
    let url = format!("{}{}", desk.server.url(), address(""));
    let output = python.arg(script).arg(&url).arg(&desk.case).arg(desk.folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}\n{}", String::from_utf8_lossy(&output.stderr), desk.server.log());
    println!("{said}");
    assert_eq!(desk.corrected(), ["axial 9"]);
}

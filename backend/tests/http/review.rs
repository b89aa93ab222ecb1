//! A second pair of eyes: handing in, sending back, approving, and reading some slices again without the first reading.

use std::io::Read;
use std::process::Command;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::people::{asking, case_of, person};
use crate::scans::Nifti;
use crate::server::{Answer, BUNDLE, Server, eventually, models};

/// A person at the server.
struct At<'a> {
    server: &'a Server,
    cookie: &'a str,
}

impl At<'_> {
    fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.server.send(method, &format!("/api/cases/{path}"), &[("cookie", self.cookie)], body)
    }

    fn detail(&self, case: &str) -> Value {
        self.send("GET", case, None).json()
    }

    fn review(&self, case: &str) -> Value {
        self.send("GET", &format!("{case}/review"), None).json()
    }

    fn judge(&self, case: &str, verdict: &str, work: &Value, slices: &Value) -> Answer {
        let body = json!({ "verdict": verdict, "work": work, "slices": slices });
        self.send("PUT", &format!("{case}/review"), Some(&body))
    }

    /// Says what an axial slice is, in one label all over, on top of a revision.
    fn save(&self, case: &str, index: usize, label: u8, base: u64) {
        let dims = self.detail(case)["geometry"]["dims"].clone();
        let voxels = dims[0].as_u64().unwrap() * dims[1].as_u64().unwrap();
        let body = json!({ "plane": { "axis": "axial", "index": index }, "state": "done", "runs": [[label, voxels]],
                           "revision": base });
        let answer = self.send("PUT", &format!("{case}/corrections/axial/{index}"), Some(&body));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }

    fn wait(&self, case: &str) {
        eventually("segmentation", || (self.detail(case)["summary"]["job"]["state"] == "done").then_some(()));
    }
}

/// The records, as lines.
fn actions(server: &Server) -> Vec<String> {
    let file = SqliteConnectOptions::new().filename(server.data().join("i3deep.sqlite")).read_only(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
        let rows = sqlx::query_scalar("SELECT actor || ' ' || action || ' ' || object FROM audit ORDER BY number");
        rows.fetch_all(&mut connection).await.unwrap()
    })
}

#[test]
fn a_case_goes_back_and_comes_again() {
    let (server, admin) = asking(&[]);
    let (anna, carla) = (person(&server, &admin, "anna", "annotator"), person(&server, &admin, "carla", "reviewer"));
    let (anna, carla) = (At { server: &server, cookie: &anna }, At { server: &server, cookie: &carla });
    let (case, _) = case_of(&server, anna.cookie);
    assert_eq!(anna.send("POST", &format!("{case}/review"), None).refusal(409).0, "not_now", "nothing to look at");
    anna.wait(&case);
    let state = || anna.detail(&case)["summary"]["review"].clone();
    assert_eq!(state(), "open");
    anna.save(&case, 3, 1, 0);
    assert_eq!(anna.send("POST", &format!("{case}/review"), None).status, 204);
    assert_eq!(anna.send("POST", &format!("{case}/review"), None).refusal(409).0, "not_now", "it waits already");
    assert_eq!(state(), "handed_in");

    let note = json!([{ "plane": { "axis": "axial", "index": 3 }, "note": "Mr Miller's cyst is missing " }]);
    let work = carla.review(&case)["work"].clone();
    assert_eq!(anna.judge(&case, "approved", &work, &json!([])).refusal(403).0, "not_allowed");
    let refused =
        |verdict: &str, slices: &Value, status: u16| carla.judge(&case, verdict, &work, slices).refusal(status);
    assert!(refused("sent_back", &json!([]), 400).1.contains("say why"));
    assert!(refused("handed_in", &json!([]), 400).1.contains("handing in"));
    let off = json!([{ "plane": { "axis": "axial", "index": 999 }, "note": "where?" }]);
    assert_eq!(refused("sent_back", &off, 422).0, "correction_does_not_fit");
    let long = json!([{ "plane": { "axis": "axial", "index": 3 }, "note": "x".repeat(501) }]);
    assert!(refused("sent_back", &long, 400).1.contains("500 characters"));
    assert_eq!(state(), "handed_in", "nothing of that was half-stored");
    assert_eq!(carla.judge(&case, "sent_back", &work, &note).status, 204);
    assert_eq!(state(), "sent_back");
    let said = anna.review(&case)["said"].clone();
    assert_eq!(said[0]["slices"][0]["note"], "Mr Miller's cyst is missing");
    assert_eq!((&said[0]["said_by"], &said[1]["said_by"]), (&json!("carla"), &json!("anna")));

    anna.save(&case, 3, 2, 1);
    assert_eq!(anna.send("POST", &format!("{case}/review"), None).status, 204);
    let stale = carla.judge(&case, "approved", &work, &json!([])).refusal(409);
    assert!(stale.1.contains("since you looked"), "{}", stale.1);
    let work = carla.review(&case)["work"].clone();
    assert_eq!(carla.judge(&case, "approved", &work, &json!([])).status, 204);
    assert_eq!(state(), "approved");
    carla.save(&case, 3, 1, 2);
    assert_eq!(state(), "changed", "the approval was of something else");
    let authors = anna.review(&case)["authors"].clone();
    assert_eq!(authors.as_array().unwrap().len(), 1);
    assert_eq!((&authors[0]["saved_by"], &authors[0]["all"]), (&json!("carla"), &json!(["anna", "carla"])));

    let acts = actions(&server);
    for (actor, action) in
        [("anna", "case.hand_in"), ("carla", "case.send_back"), ("anna", "case.hand_in"), ("carla", "case.approve")]
    {
        let found = acts.iter().any(|line| line.contains(actor) && line.contains(action) && line.contains(&case));
        assert!(found, "{actor} {action}: {acts:?}");
    }
    assert!(!acts.iter().any(|line| line.contains("Miller")) && !server.log().contains("Miller"), "{acts:?}");
}

/// Unpacks a `.nii.gz`.
fn unpacked(packed: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn what_is_approved_becomes_a_dataset_to_learn_from() {
    let (server, admin) = asking(&[]);
    let carla = person(&server, &admin, "carla", "reviewer");
    let carla = At { server: &server, cookie: &carla };
    let [(case, _), (open, _)] = [(); 2].map(|()| case_of(&server, carla.cookie));
    [&case, &open].iter().for_each(|case| carla.wait(case));
    carla.save(&case, 3, 1, 0);
    let out = tempfile::tempdir().unwrap();
    let dataset = |folder: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_i3deep"));
        let bundle = models().join(BUNDLE);
        command.args(["dataset", "--data"]).arg(server.data()).arg("--bundle").arg(bundle);
        let output = command.arg("-o").arg(out.path().join(folder)).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let nothing = |why: &str| {
        let (done, says) = dataset("none");
        assert!(!done && says.contains("stands approved"), "{why}: {says}");
        assert!(out.path().read_dir().unwrap().all(|entry| entry.unwrap().file_name() == "one"), "{why}");
    };
    nothing("nobody has approved anything");
    assert_eq!(carla.judge(&case, "approved", &carla.review(&case)["work"], &json!([])).status, 204);
    let (done, says) = dataset("one");
    assert!(done, "{says}");

    let read = |file: String| std::fs::read(out.path().join("one").join(file)).unwrap();
    let about: Value = serde_json::from_slice(&read("dataset.json".to_owned())).unwrap();
    assert_eq!((&about["numTraining"], &about["file_ending"]), (&json!(1), &json!(".nii.gz")));
    assert!(about["labels"].is_object() && about["channel_names"].is_object(), "{about}");
    let labels = unpacked(&read(format!("labelsTr/{case}.nii.gz")));
    let shown = carla.send("GET", &format!("{case}/corrected/nifti"), None).body;
    assert_eq!(labels[352..], unpacked(&shown)[352..], "what was approved is what was seen");
    let scan = unpacked(&read(format!("imagesTr/{case}_0000.nii.gz")));
    assert_eq!(scan[352..], unpacked(&Nifti::generated().packed())[352..]);
    assert_eq!((&scan[76..108], &scan[252..328]), (&labels[76..108], &labels[252..328]), "one grid");
    for file in ["imagesTr", "labelsTr"] {
        assert_eq!(out.path().join("one").join(file).read_dir().unwrap().count(), 1, "the open case is not in it");
    }
    assert!(!scan.windows(4).chain(labels.windows(4)).any(|bytes| bytes == b"JANE"), "nothing of a patient");
    assert!(dataset("one").1.contains("exists already"));

    carla.save(&case, 3, 2, 1);
    nothing("it has been worked on since");
}

#[test]
fn a_second_reader_does_not_see_the_first() {
    let (server, admin) = asking(&[]);
    let [anna, bert, dora] = ["anna", "bert", "dora"].map(|name| person(&server, &admin, name, "annotator"));
    let carla = person(&server, &admin, "carla", "reviewer");
    let [anna, bert, dora, carla, admin] =
        [&anna, &bert, &dora, &carla, &admin].map(|cookie| At { server: &server, cookie });
    let (case, _) = case_of(&server, anna.cookie);
    anna.wait(&case);
    let ask = |who: &At<'_>, reader: &str, share: f64| {
        who.send("POST", &format!("{case}/readings"), Some(&json!({ "reader": reader, "share": share })))
    };
    assert!(ask(&carla, "bert", 0.5).refusal(409).1.contains("no slice of this case is done"));
    for index in 2..6 {
        anna.save(&case, index, 1, 0);
    }
    assert_eq!(ask(&anna, "bert", 0.5).refusal(403).0, "not_allowed");
    assert_eq!(ask(&carla, "bert", 0.0).refusal(400).0, "unreadable_request");
    assert_eq!(ask(&carla, "nobody", 0.5).refusal(404).0, "not_found");
    assert!(ask(&carla, "anna", 0.5).refusal(409).1.contains("choose somebody else"), "it is hers");
    assert!(ask(&carla, "carla", 0.5).refusal(409).1.contains("cannot read blind"));
    let given = json!(["dora"]);
    assert_eq!(carla.send("PUT", &format!("{case}/people"), Some(&given)).status, 200);
    assert!(ask(&carla, "dora", 0.5).refusal(409).1.contains("choose somebody else"), "she may see it");

    let reading: Value = ask(&carla, "bert", 0.5).json();
    assert_eq!((&reading["slices"], &reading["finished_s"]), (&json!(2), &Value::Null));
    assert!(ask(&carla, "bert", 1.0).refusal(409).1.contains("asked already"));
    let twin = reading["case"].as_str().unwrap();
    assert_eq!(bert.send("GET", &case, None).status, 404, "the case itself");
    let detail = bert.detail(twin);
    assert_eq!((&detail["summary"]["is_reading"], &detail["corrections"]), (&json!(true), &json!([])));
    assert_eq!(detail["versions"], json!(["presegmentation"]));
    let planes: Vec<u64> =
        detail["slices"]["slices"].as_array().unwrap().iter().map(|slice| slice["index"].as_u64().unwrap()).collect();
    assert!(planes.len() == 2 && planes.iter().all(|index| (2..6).contains(index)), "{planes:?}");
    let told = serde_json::to_string(&detail).unwrap() + &bert.review(twin).to_string();
    assert!(!told.contains(&case) && !told.contains("anna"), "{told}");
    let voxels =
        |who: &At<'_>, case: &str| who.send("GET", &format!("{case}/segmentations/presegmentation"), None).body;
    assert!(voxels(&bert, twin) == voxels(&anna, &case), "both begin with the same");
    for (who, name) in [(&anna, "anna"), (&dora, "dora")] {
        assert_eq!(who.send("GET", twin, None).status, 404, "{name} does not see the second reading");
    }

    let promote = json!({ "role": "reviewer" });
    let promoted = server.send("PUT", "/api/people/bert", &[("cookie", admin.cookie)], Some(&promote));
    assert!(promoted.refusal(409).1.contains("would see every case"));
    let people = |case: &str, names: Value| carla.send("PUT", &format!("{case}/people"), Some(&names));
    assert_eq!(people(&case, json!(["bert"])).refusal(409).0, "not_now");
    assert_eq!(people(twin, json!(["dora"])).refusal(409).0, "not_now");
    assert_eq!(bert.send("POST", &format!("{twin}/refine"), None).refusal(409).0, "not_now");

    bert.save(twin, usize::try_from(planes[0]).unwrap(), 1, 0);
    assert!(bert.send("POST", &format!("{twin}/review"), None).refusal(409).1.contains("not done"));
    bert.save(twin, usize::try_from(planes[1]).unwrap(), 2, 0);
    // The first reader changes their mind; what is compared is what was said when the second was asked.
    anna.save(&case, usize::try_from(planes[1]).unwrap(), 2, 1);
    assert_eq!(carla.review(&case)["readings"][0]["agreement"], Value::Null);
    assert_eq!(bert.send("POST", &format!("{twin}/review"), None).status, 204);
    let agreement = carla.review(&case)["readings"][0]["agreement"].clone();
    // Label 1: one plane of two agrees, 2 · 1 / (2 + 1); label 2: nothing of one plane.
    assert!((agreement["dice"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9, "{agreement}");
    let each = |plane: u64| {
        let slices = agreement["slices"].as_array().unwrap();
        slices.iter().find(|slice| slice["plane"]["index"] == plane).unwrap()["dice"].clone()
    };
    assert_eq!((each(planes[0]), each(planes[1])), (json!(1.0), json!(0.0)));
    bert.save(twin, usize::try_from(planes[1]).unwrap(), 1, 1);
    assert_eq!(carla.review(&case)["readings"][0]["agreement"], agreement, "it is over");
    assert_eq!(anna.review(&case)["readings"], json!([]), "the first reader is not told");
    assert_eq!(people(&case, json!(["bert"])).status, 200, "now he may see it");
    let acts = actions(&server);
    for action in ["reading.ask", "reading.finish"] {
        assert!(acts.iter().any(|line| line.contains(action) && line.contains(&case)), "{action}: {acts:?}");
    }
}

#[test]
fn a_second_reader_is_shown_where_the_presegmentation_was_unsure() {
    let (server, admin) = asking(&[]);
    let [anna, bert] = ["anna", "bert"].map(|name| person(&server, &admin, name, "annotator"));
    let carla = person(&server, &admin, "carla", "reviewer");
    let [anna, bert, carla] = [&anna, &bert, &carla].map(|cookie| At { server: &server, cookie });
    let (case, _) = case_of(&server, anna.cookie);
    anna.wait(&case);
    let doubt = |who: &At<'_>, case: &str| who.send("GET", &format!("{case}/uncertainty"), None).body;
    let presegmented = doubt(&anna, &case);
    for index in 2..6 {
        anna.save(&case, index, 1, 0);
    }
    assert_eq!(anna.send("POST", &format!("{case}/refine"), None).status, 202);
    anna.wait(&case);
    assert_ne!(doubt(&anna, &case), presegmented, "it is the refinement's now");
    let asked = json!({ "reader": "bert", "share": 0.5 });
    let reading: Value = carla.send("POST", &format!("{case}/readings"), Some(&asked)).json();
    assert_eq!(doubt(&bert, reading["case"].as_str().unwrap()), presegmented);
}

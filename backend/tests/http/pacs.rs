//! A PACS on the other end: searched, a series opened, the segmentation sent back and found there.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use i3deep::scan_io::{LabelFile, read_origin};
use serde_json::{Value, json};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::{Axis, Plane};
use shared::intensity::Window;

use crate::orthanc::{Orthanc, PASSWORD};
use crate::people::{asking, person};
use crate::scans::Nifti;
use crate::series::{CANARIES, Series};
use crate::server::{BUNDLE, Server, eventually, models};

const STUDY: &str = "1.2.826.0.1.75";
const SERIES: &str = "1.2.826.0.1.76";

/// A generated scan as a series in a folder.
pub(crate) fn write_series(folder: &Path) {
    let scan = Nifti::generated();
    let [nx, ny, _] = [32, 32, 24];
    let series = Series { spacing: [1.0, 1.0, 1.5], ..Series::tilted([32, 32, 24], 0.0) };
    series.write(folder, |[x, y, z]| scan.voxels[x + nx * (y + ny * z)] as i16);
}

fn with_sources(file: &Path) -> Server {
    Server::start_with(&models(), &["--pacs", file.to_str().unwrap()])
}

/// Asks for a series, and waits until its import is over.
fn opened(server: &Server, source: &str) -> Value {
    let wanted = json!({ "study": STUDY, "series": [SERIES], "bundle": BUNDLE });
    let answer = server.post(&format!("/api/pacs/{source}/imports"), &wanted);
    assert_eq!(answer.status, 202, "{}", String::from_utf8_lossy(&answer.body));
    let id = answer.json::<Value>()["id"].clone();
    eventually("end of the import", || {
        let imports: Vec<Value> = server.get("/api/imports").json();
        let import = imports.into_iter().find(|import| import["id"] == id).unwrap();
        ["done", "failed", "cancelled"].contains(&import["state"].as_str().unwrap()).then_some(import)
    })
}

#[cfg_attr(not(orthanc), ignore = "Orthanc with its DICOMweb plugin is not installed")]
#[test]
fn a_series_is_opened_from_orthanc_and_its_segmentation_found_there() {
    let folder = tempfile::tempdir().unwrap();
    write_series(folder.path());
    let orthanc = Orthanc::start();
    orthanc.store(folder.path());
    let server = with_sources(&orthanc.sources(&json!({})));
    assert_eq!(server.get("/api/pacs").json::<Value>(), json!([{ "name": "clinic", "may_search": true }]));

    for (query, found) in [
        (json!({ "patient": "canary" }), 1),
        (json!({ "patient": "Jane Canary" }), 0),
        (json!({ "patient": "Roe" }), 0),
        (json!({ "patient": "Cänary" }), 1),
        (json!({ "patient": "canary, jane" }), 1),
        (json!({ "patient": CANARIES[1] }), 1),
        (json!({ "accession": CANARIES[3] }), 1),
        (json!({ "accession": CANARIES[3], "modality": "ct" }), 0),
        (json!({ "from": "2024-02-29", "until": "2024-02-29", "modality": "mr" }), 1),
        (json!({ "from": "2024-03-01" }), 0),
    ] {
        let answer = server.post("/api/pacs/clinic/studies", &query);
        let studies: Value = answer.json();
        assert_eq!(studies["studies"].as_array().unwrap().len(), found, "{query}: {studies}");
        if found == 1 {
            let study = &studies["studies"][0];
            assert_eq!((study["study"].as_str(), study["patient_name"].as_str()), (Some(STUDY), Some("CANARY, JANE")));
            assert_eq!((&study["date"], &study["modalities"]), (&json!("2024-02-29"), &json!(["MR"])));
        }
    }
    let (code, words) = server.post("/api/pacs/clinic/studies", &json!({ "modality": "MR" })).refusal(400);
    assert!(code == "unreadable_request" && words.contains("say whom"), "{words}");
    let series: Value = server.get(&format!("/api/pacs/clinic/studies/{STUDY}/series")).json();
    assert_eq!((&series[0]["series"], &series[0]["images"]), (&json!(SERIES), &json!(24)), "{series}");

    let import = opened(&server, "clinic");
    assert_eq!((&import["state"], &import["fetched"], &import["of"]), (&json!("done"), &json!(24), &json!(24)));
    let case = import["case"].as_str().unwrap();
    server.wait(case, "done");
    let plane = Plane { axis: Axis::Axial, index: 3 };
    let painted = CorrectedSlice { plane, state: SliceState::Done, runs: Runs(vec![(2, 1024)]), revision: 0 };
    assert_eq!(server.put(&format!("/api/cases/{case}/corrections/axial/3"), &painted).status, 200);

    let scan = read_origin(folder.path()).unwrap();
    for format in ["seg", "seg-binary"] {
        let answer = server.post(&format!("/api/cases/{case}/send"), &json!({ "source": "clinic", "format": format }));
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        let sent: Value = answer.json();
        assert_eq!(sent["study"], STUDY);
        let path = format!("/studies/{STUDY}/series/{}/instances", sent["series"].as_str().unwrap());
        let found = orthanc.find(&path).unwrap();
        assert_eq!(found[0]["00080018"]["Value"][0], sent["instance"], "{found}");
        let file = folder.path().join("sent");
        std::fs::write(&file, orthanc.file(sent["instance"].as_str().unwrap())).unwrap();
        // Read back from the PACS: the expert's plane, and everything else as it is shown here.
        let there = LabelFile::read(&file).unwrap().on(&scan).unwrap().all().unwrap();
        assert!(there.read_plane(plane).unwrap().iter().all(|label| *label == 2));
        std::fs::remove_file(&file).unwrap();
    }
    let nrrd = server.post(&format!("/api/cases/{case}/send"), &json!({ "source": "clinic", "format": "nrrd" }));
    assert_eq!(nrrd.refusal(400).0, "unreadable_request");

    let log = server.log();
    for secret in CANARIES.iter().chain([&PASSWORD]) {
        assert!(!log.contains(secret), "{secret} is in the log");
        assert!(!server.get(&format!("/api/cases/{case}")).json::<Value>().to_string().contains(secret), "{secret}");
    }
    assert_eq!(recorded(&server), ["pacs.search clinic", "pacs.open clinic", "pacs.send clinic"]);
}

/// What was recorded about a PACS, each once, without ids.
fn recorded(server: &Server) -> Vec<String> {
    let bytes = std::fs::read(server.data().join("i3deep.sqlite")).unwrap_or_default();
    let wal = std::fs::read(server.data().join("i3deep.sqlite-wal")).unwrap_or_default();
    let text = String::from_utf8_lossy(&[bytes, wal].concat()).into_owned();
    let acts = ["pacs.search", "pacs.open", "pacs.send"];
    acts.iter().filter(|act| text.contains(**act)).map(|act| format!("{act} clinic")).collect()
}

#[cfg_attr(not(orthanc), ignore = "Orthanc with its DICOMweb plugin is not installed")]
#[test]
fn what_orthanc_does_not_give_is_said() {
    let folder = tempfile::tempdir().unwrap();
    write_series(folder.path());
    let mut orthanc = Orthanc::start();
    std::fs::write(folder.path().join("wrong"), "not the password").unwrap();
    let server = with_sources(&orthanc.sources(&json!({})));
    let absent = json!({ "study": STUDY, "series": ["1.2.3"], "bundle": BUNDLE });
    let id = server.post("/api/pacs/clinic/imports", &absent).json::<Value>()["id"].clone();
    let failed = eventually("end", || {
        let imports: Vec<Value> = server.get("/api/imports").json();
        imports.into_iter().find(|import| import["id"] == id && import["state"] == "failed")
    });
    assert!(failed["message"].as_str().unwrap().contains("no such study or series"), "{failed}");
    let escape = json!({ "study": "1.2/../..", "series": [SERIES], "bundle": BUNDLE });
    server.post("/api/pacs/clinic/imports", &escape);
    eventually("refusal of what is no identifier", || {
        let imports: Vec<Value> = server.get("/api/imports").json();
        imports.into_iter().find(|import| import["message"].as_str().unwrap().contains("is no unique identifier"))
    });
    let wrong = with_sources(&orthanc.sources(&json!({ "password_file": folder.path().join("wrong") })));
    let (code, words) = wrong.post("/api/pacs/clinic/studies", &json!({ "patient": "x" })).refusal(502);
    assert!(code == "pacs_refused" && words.contains("does not let this server in (HTTP 401)"), "{words}");
    orthanc.stop();
    let (code, words) = server.post("/api/pacs/clinic/studies", &json!({ "patient": "x" })).refusal(502);
    assert!(code == "pacs_away" && words.contains("does not answer"), "{words}");
}

/// Answers requests as a PACS might, and tells who asked for what.
struct Odd {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Odd {
    /// `answer` gets how many requests came before, and the request's first line and headers.
    fn start(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (count, heard, answer) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&asked), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (count, heard, answer) = (Arc::clone(&count), Arc::clone(&heard), Arc::clone(&answer));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    let (mut head, mut byte) = (Vec::new(), [0]);
                    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                        head.push(byte[0]);
                    }
                    let head = String::from_utf8_lossy(&head).into_owned();
                    heard.lock().unwrap().push(head.clone());
                    let _ = stream.write_all(&answer(count.fetch_add(1, Ordering::SeqCst), &head));
                });
            }
        });
        Self { url, asked }
    }

    fn sources(&self, folder: &Path) -> std::path::PathBuf {
        let file = folder.join("pacs.json");
        std::fs::write(folder.join("token"), "CANARY-token").unwrap();
        let source = json!({ "name": "odd", "url": self.url, "token_file": "token" });
        std::fs::write(&file, json!({ "sources": [source] }).to_string()).unwrap();
        file
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn reply(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn instances(count: usize) -> Vec<u8> {
    let all: Vec<Value> = (0..count).map(|z| json!({ "00080018": { "Value": [Series::instance(z)] } })).collect();
    reply("200 OK", "application/dicom+json", Value::from(all).to_string().as_bytes())
}

#[test]
fn only_the_configured_address_is_ever_asked() {
    let folder = tempfile::tempdir().unwrap();
    let elsewhere = Odd::start(|_, _| reply("200 OK", "application/dicom+json", b"[]"));
    let target = elsewhere.url.clone();
    let odd = Odd::start(move |_, _| {
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {target}/studies\r\nContent-Length: 0\r\n\r\n").into()
    });
    let server = with_sources(&odd.sources(folder.path()));
    let (code, words) = server.post("/api/pacs/odd/studies", &json!({ "patient": "DOE JANE & CO?x=1" })).refusal(502);
    assert!(code == "pacs_refused" && words.contains("HTTP 307"), "{words}");
    assert!(elsewhere.asked().is_empty(), "the redirect was followed");
    let asked = odd.asked();
    assert!(asked[0].starts_with("GET /studies?PatientName=*DOE*JANE*CO*x*1*&"), "{}", asked[0]);
    assert!(asked[0].to_lowercase().contains("authorization: bearer canary-token"), "{}", asked[0]);
    let named = server.post("/api/pacs/http:%2F%2F127.0.0.1%2F/studies", &json!({ "patient": "x" })).refusal(404);
    assert_eq!(named.0, "not_found");
    assert!(!server.log().contains("CANARY") && !server.log().contains("DOE"), "{}", server.log());
}

#[test]
fn a_connection_that_breaks_is_taken_up_again() {
    let folder = tempfile::tempdir().unwrap();
    write_series(&folder.path().join("series"));
    let files = files_of(&folder.path().join("series"));
    let broken = Mutex::new(BTreeSet::new());
    let odd = Odd::start(move |_, head| match asked_for(head) {
        Wanted::Count => reply("200 OK", "application/dicom+json", b"[]"),
        Wanted::List => instances(24),
        // The whole series breaks off behind the tenth object, or somewhere in the eleventh.
        Wanted::Series => {
            let whole = objects(&files);
            whole[..whole.len() * 21 / 48].to_vec()
        }
        // So does the first answer of every third object.
        Wanted::Object(z) => {
            let whole = objects(&files[z..=z]);
            let breaks = z.is_multiple_of(3) && broken.lock().unwrap().insert(z);
            if breaks { whole[..whole.len() / 2].to_vec() } else { whole }
        }
    });
    let server = with_sources(&odd.sources(folder.path()));
    let import = opened(&server, "odd");
    let said = (&import["state"], &import["fetched"], &import["of"]);
    assert_eq!(said, (&json!("done"), &json!(24), &json!(24)), "{import}");
    let times =
        |z: usize| odd.asked().iter().filter(|head| matches!(asked_for(head), Wanted::Object(at) if at == z)).count();
    // What had come whole is not asked for again; the first, which is shown while the others come, once or twice.
    assert!((1..10).all(|z| times(z) == 0), "what was here was asked for");
    assert!(
        (11..24).all(|z| times(z) == if z.is_multiple_of(3) { 2 } else { 1 }),
        "what broke was not asked for again"
    );
}

#[test]
fn a_slice_is_shown_to_its_owner_while_the_others_come() {
    let folder = tempfile::tempdir().unwrap();
    write_series(&folder.path().join("series"));
    let files = files_of(&folder.path().join("series"));
    let holds = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let still = Arc::clone(&holds);
    let odd = Odd::start(move |_, head| match asked_for(head) {
        Wanted::Count => {
            let series = json!([{ "0020000E": { "Value": [SERIES] }, "00201209": { "Value": [24] } }]);
            reply("200 OK", "application/dicom+json", series.to_string().as_bytes())
        }
        Wanted::List => instances(24),
        Wanted::Series => {
            while still.load(Ordering::SeqCst) {
                thread::sleep(std::time::Duration::from_millis(20));
            }
            objects(&files)
        }
        Wanted::Object(z) => objects(&files[z..=z]),
    });
    let sources = odd.sources(folder.path());
    let (server, admin) = asking(&["--pacs", sources.to_str().unwrap()]);
    let anna = person(&server, &admin, "anna", "reviewer");
    let get = |path: &str, cookie: &str| server.send("GET", path, &[("cookie", cookie)], None);
    let wanted = json!({ "study": STUDY, "series": [SERIES], "bundle": BUNDLE });
    let begun = server.send("POST", "/api/pacs/odd/imports", &[("cookie", &admin)], Some(&wanted)).json::<Value>();
    let own =
        || get("/api/imports", &admin).json::<Vec<Value>>().into_iter().find(|it| it["id"] == begun["id"]).unwrap();
    eventually("a slice to look at", || (own()["has_picture"] == true).then_some(()));

    let path = format!("/api/imports/{}/picture", begun["id"].as_str().unwrap());
    let picture = get(&path, &admin);
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/png"));
    assert_eq!(picture.header("cache-control"), "no-store");
    let mut reader = png::Decoder::new(std::io::Cursor::new(&picture.body)).read_info().unwrap();
    let mut greys = vec![0; reader.output_buffer_size().unwrap()];
    let is = reader.next_frame(&mut greys).unwrap();
    assert_eq!((is.width, is.height, is.color_type), (32, 32, png::ColorType::Grayscale));
    // The middle of the list, as it is stored.
    let scan = Nifti::generated();
    let plane: Vec<f32> = scan.voxels[12 * 1024..13 * 1024].iter().map(|v| f32::from(*v as i16)).collect();
    let window = Window::automatic(&plane);
    assert_eq!(greys, plane.iter().map(|v| window.grey(*v)).collect::<Vec<u8>>());

    assert_eq!(get(&path, &anna).refusal(404).0, "not_found");
    assert_eq!(server.get(&path).refusal(401).0, "sign_in_needed");
    assert_eq!(own()["state"], "fetching");
    holds.store(false, Ordering::SeqCst);
    let done = eventually("end of the import", || Some(own()).filter(|import| import["state"] == "done"));
    assert_eq!((&done["has_picture"], &done["fetched"]), (&json!(false), &json!(24)));
    assert_eq!(get(&path, &admin).refusal(404).0, "not_found");
    let log = server.log();
    assert!(CANARIES.iter().all(|secret| !log.contains(secret)), "{log}");
    assert!(odd.asked().iter().filter(|head| matches!(asked_for(head), Wanted::Object(_))).count() == 1);
}

/// What a request asks for.
enum Wanted {
    Count,
    List,
    Series,
    Object(usize),
}

fn asked_for(head: &str) -> Wanted {
    let path = head.split(' ').nth(1).unwrap();
    match path.rsplit_once("/instances/") {
        Some((_, instance)) => Wanted::Object(instance.rsplit('.').next().unwrap().parse::<usize>().unwrap() - 1),
        None if path.contains("/instances?") => Wanted::List,
        None if path.contains("/series?") => Wanted::Count,
        None => Wanted::Series,
    }
}

/// What [`write_series`] wrote, in the order in space.
fn files_of(folder: &Path) -> Vec<Vec<u8>> {
    (0..24).map(|z| std::fs::read(folder.join(format!("{:04}.dcm", 24 - z))).unwrap()).collect()
}

/// An answer of these objects.
fn objects(files: &[Vec<u8>]) -> Vec<u8> {
    let mut body: Vec<u8> = files.iter().flat_map(|file| [b"--b\r\n\r\n", &file[..], b"\r\n"].concat()).collect();
    body.extend(b"--b--");
    reply("200 OK", "multipart/related; type=\"application/dicom\"; boundary=b", &body)
}

/// Folders of what was fetched.
fn left(server: &Server) -> usize {
    let all = std::fs::read_dir(server.data().join("work")).into_iter().flatten().flatten();
    all.filter(|entry| entry.file_name().to_string_lossy().starts_with("upload-")).count()
}

#[test]
fn what_a_pacs_claims_is_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let check = |answer: fn(usize, &str) -> Vec<u8>, says: &str| {
        let odd = Odd::start(answer);
        let server = with_sources(&odd.sources(folder.path()));
        let import = opened(&server, "odd");
        assert_eq!(import["state"], "failed", "{import}");
        let message = import["message"].as_str().unwrap();
        assert!(message.contains(says) && !message.contains("CANARY"), "{message}");
        assert_eq!(left(&server), 0, "what was fetched is left: {says}");
        assert_eq!(server.get("/api/cases").json::<Value>(), json!([]));
    };
    check(|_, _| reply("200 OK", "text/html", b"<h1>CANARY^JANE</h1>"), "no list in JSON");
    check(|_, _| reply("200 OK", "application/json", br#"[{"00080018": {"Value": ["../../etc"]}}]"#), "no unique");
    check(
        |_, head| match head.contains("/instances?") {
            true => instances(2),
            false => reply("200 OK", "text/html", b"<h1>Sign in</h1>"),
        },
        "it is no DICOM",
    );
    check(
        |_, head| match head.contains("/instances?") {
            true => instances(1),
            false => reply("200 OK", "multipart/related; boundary=b", b"--b\r\n\r\nCANARY^JANE\r\n--b--"),
        },
        "this is not a NIfTI file",
    );
}

#[test]
fn an_import_can_be_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let odd = Odd::start(|_, head| {
        if head.contains("/instances?") {
            return instances(200);
        }
        thread::sleep(std::time::Duration::from_millis(300));
        reply("200 OK", "multipart/related; boundary=b", b"--b\r\n\r\nslow\r\n--b--")
    });
    let server = with_sources(&odd.sources(folder.path()));
    let wanted = json!({ "study": STUDY, "series": [SERIES], "bundle": BUNDLE });
    let id = server.post("/api/pacs/odd/imports", &wanted).json::<Value>()["id"].as_str().unwrap().to_owned();
    eventually("first image", || {
        let imports: Vec<Value> = server.get("/api/imports").json();
        (imports[0]["fetched"].as_u64().unwrap() > 0).then_some(())
    });
    let stopped = server.request("DELETE", &format!("/api/imports/{id}"), &[]);
    assert_eq!(stopped.json::<Value>()["state"], "cancelled");
    eventually("empty folder", || (left(&server) == 0).then_some(()));
    assert!(odd.asked().len() < 100, "it went on fetching");
    assert_eq!(server.request("DELETE", "/api/imports/other", &[]).refusal(404).0, "not_found");
}

#[test]
fn an_import_outlives_the_server() {
    let folder = tempfile::tempdir().unwrap();
    write_series(&folder.path().join("series"));
    let files = files_of(&folder.path().join("series"));
    let holds = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let still = Arc::clone(&holds);
    let odd = Odd::start(move |_, head| match asked_for(head) {
        Wanted::List => instances(24),
        // One that gives no whole series.
        Wanted::Count | Wanted::Series => reply("501 Not Implemented", "text/plain", b""),
        Wanted::Object(z) => {
            while z > 5 && still.load(Ordering::SeqCst) {
                thread::sleep(std::time::Duration::from_millis(20));
            }
            objects(&files[z..=z])
        }
    });
    let sources = odd.sources(folder.path());
    let server = with_sources(&sources);
    let wanted = json!({ "study": STUDY, "series": [SERIES], "bundle": BUNDLE });
    let id = server.post("/api/pacs/odd/imports", &wanted).json::<Value>()["id"].clone();
    let first = |server: &Server| server.get("/api/imports").json::<Vec<Value>>().into_iter().next();
    eventually("some images", || first(&server).filter(|import| import["fetched"].as_u64() > Some(3)));
    let server = server.killed_and_restarted_with(&["--pacs", sources.to_str().unwrap()]);
    holds.store(false, Ordering::SeqCst);
    let done = eventually("end of the import", || first(&server).filter(|import| import["state"] == "done"));
    assert_eq!(done["id"], id);
    assert_eq!(server.get("/api/cases").json::<Vec<Value>>().len(), 1);
    // What is over is not begun again.
    let server = server.killed_and_restarted_with(&["--pacs", sources.to_str().unwrap()]);
    thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!((first(&server), server.get("/api/cases").json::<Vec<Value>>().len()), (None, 1));
    // Where the PACS is named no more, it is forgotten.
    holds.store(true, Ordering::SeqCst);
    let _ = server.post("/api/pacs/odd/imports", &wanted);
    eventually("the import under way", || first(&server));
    let server = server.killed_and_restarted();
    assert_eq!(first(&server), None);
}

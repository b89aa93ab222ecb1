//! What was acknowledged stays; what fails says so, and passes when its cause does.

use std::process::Command;
use std::time::{Duration, Instant};

use shared::api::{CaseDetail, Health};
use shared::correction::{CorrectedSlice, Runs, SliceState};
use shared::geometry::{Axis, Plane};

use crate::server::{Server, eventually};

/// A slice that is large as JSON: every voxel differs from its neighbour.
fn noisy(index: usize, revision: u64) -> CorrectedSlice {
    let runs = Runs((0..32 * 32).map(|voxel| (voxel as u8 % 2, 1)).collect());
    CorrectedSlice { plane: Plane { axis: Axis::Axial, index }, state: SliceState::Done, runs, revision }
}

#[test]
#[cfg_attr(not(may_mount), ignore = "this user may not mount a disk of its own")]
fn saves_go_on_without_a_restart_once_a_full_disk_has_room_again() {
    let server = Server::start_on_a_small_disk(6 << 20);
    let case = server.presegmented();
    let at = |slice: &CorrectedSlice| format!("/api/cases/{case}/corrections/axial/{}", slice.plane.index);
    let mut revision = 0;
    let begun = Instant::now();
    // Until there is no room for one more.
    let refused = loop {
        let slice = noisy(3, revision);
        let answer = server.put(&at(&slice), &slice);
        if answer.status != 200 {
            break answer;
        }
        revision = answer.json::<CorrectedSlice>().revision;
        assert!(begun.elapsed() < Duration::from_secs(120), "the disk does not fill");
    };
    assert_eq!(refused.refusal(507).0, "disk_full");
    assert_eq!(server.get("/api/ready").refusal(503).0, "not_ready");
    let told: CaseDetail = server.get(&format!("/api/cases/{case}")).json();
    assert_eq!(told.corrections, [noisy(3, revision)], "reading goes on, and holds what was acknowledged");

    // Room is made from outside, on the disk that only the server sees.
    let grown = Command::new("nsenter")
        .args(["--target", &server.id().to_string(), "--user", "--mount", "mount", "-o", "remount,size=64m"])
        .arg(server.data())
        .status();
    assert!(grown.unwrap().success());
    let mended = Instant::now();
    let slice = noisy(4, 0);
    eventually("save", || (server.put(&at(&slice), &slice).status == 200).then_some(()));
    eventually("readiness", || (server.get("/api/ready").status == 204).then_some(()));
    assert!(mended.elapsed() < Duration::from_secs(5), "{:?}", mended.elapsed());
}

#[test]
fn a_server_that_is_asked_to_end_leaves_one_whole_file() {
    let server = Server::start();
    let case = server.presegmented();
    let slice = noisy(5, 0);
    assert_eq!(server.put(&format!("/api/cases/{case}/corrections/axial/5"), &slice).status, 200);
    let (status, data) = server.terminated();
    assert!(status.success(), "{status}");
    let files = |name: &str| data.path().join(name).exists();
    assert_eq!((files("i3deep.sqlite"), files("i3deep.sqlite-wal")), (true, false));
}

#[test]
fn a_start_that_is_refused_says_what_to_do() {
    let server = Server::start();
    server.presegmented();
    let (_, data) = server.terminated();
    std::fs::remove_file(data.path().join("i3deep.sqlite")).unwrap();
    let program = || Command::new(env!("CARGO_BIN_EXE_i3deep"));
    let client = tempfile::tempdir().unwrap();
    std::fs::write(client.path().join("index.html"), "").unwrap();
    let mut serve = program();
    serve
        .args(["serve", "--bind", "127.0.0.1:0", "--device", "cpu", "--data"])
        .arg(data.path())
        .arg("--client")
        .arg(client.path());
    let refused = serve.arg("--models").arg(crate::server::models()).output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success()
            && said.contains("the database i3deep.sqlite is missing")
            && said.contains("i3deep restore"),
        "{said}"
    );
    let found = program().args(["verify", "--data"]).arg(data.path()).output().unwrap();
    assert!(!found.status.success());
    assert!(String::from_utf8_lossy(&found.stdout).contains("problem: the database i3deep.sqlite is missing"));
}

#[test]
fn a_backup_is_taken_while_people_save() {
    let server = Server::start();
    let case = server.presegmented();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("backup");
    let mut backup = Command::new(env!("CARGO_BIN_EXE_i3deep"))
        .args(["backup", "--data"])
        .arg(server.data())
        .arg("--out")
        .arg(&out)
        .spawn()
        .unwrap();
    let mut revision = 0;
    let status = loop {
        let slice = noisy(5, revision);
        let saved = server.put(&format!("/api/cases/{case}/corrections/axial/5"), &slice);
        assert_eq!(saved.status, 200);
        revision = saved.json::<CorrectedSlice>().revision;
        if let Some(status) = backup.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success() && revision > 0);
    let restored = folder.path().join("data");
    let restore = Command::new(env!("CARGO_BIN_EXE_i3deep"))
        .args(["restore", "--from"])
        .arg(&out)
        .arg("--data")
        .arg(&restored)
        .output()
        .unwrap();
    assert!(restore.status.success(), "{}", String::from_utf8_lossy(&restore.stderr));
    let verified =
        Command::new(env!("CARGO_BIN_EXE_i3deep")).args(["verify", "--data"]).arg(&restored).output().unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_worker_that_hangs_is_noticed_in_seconds() {
    let server = Server::start();
    // One that has not come up yet has longer: it loads libtorch.
    eventually("worker that is up", || Some(server.get("/api/health").json::<Health>()).filter(|health| health.worker));
    let worker = eventually("worker", || server.workers().pop());
    assert!(Command::new("kill").args(["-STOP", &worker]).status().unwrap().success());
    let begun = Instant::now();
    eventually("new worker", || server.workers().pop().filter(|other| *other != worker));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    server.presegmented();
}

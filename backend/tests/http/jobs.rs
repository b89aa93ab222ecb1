//! Jobs end in exactly one way, whatever becomes of the worker or the server.

use std::process::Command;

use serde_json::Value;
use shared::api::Health;

use crate::scans::Nifti;
use crate::server::{BUNDLE, Server, eventually};

/// A case whose presegmentation takes a while: a scan of many tiles.
fn long_case(server: &Server) -> String {
    case_of(server, 6)
}

/// A case of a scan this many times as long along every axis as the generated one.
fn case_of(server: &Server, times: usize) -> String {
    let small = Nifti::generated();
    let [x, y, z] = [32, 32, 24].map(|n| (n * times) as i16);
    let big = Nifti { dim: [3, x, y, z, 1, 1, 1, 1], voxels: small.voxels.repeat(times.pow(3)), ..small };
    server.upload(BUNDLE, &[&big.packed()]).json::<Value>()["id"].as_str().unwrap().to_owned()
}

fn kill(process: &str) {
    assert!(Command::new("kill").args(["-9", process]).status().unwrap().success());
}

#[test]
fn a_killed_worker_costs_one_retry() {
    let server = Server::start();
    let case = long_case(&server);
    server.wait(&case, "running");
    let worker = eventually("worker", || server.workers().pop());
    kill(&worker);
    let again = eventually("new worker", || server.workers().pop().filter(|other| *other != worker));
    server.wait(&case, "running");
    kill(&again);
    let summary = server.wait(&case, "failed");
    let message = summary["job"]["message"].as_str().unwrap();
    assert!(message.starts_with("the network process stopped unexpectedly, twice"), "{message}");
    // The queue goes on.
    server.presegmented();
}

#[test]
fn a_cancelled_job_stops_and_the_queue_goes_on() {
    let server = Server::start();
    let case = long_case(&server);
    let summary = server.wait(&case, "running");
    let job = summary["job"]["id"].as_i64().unwrap();
    let cancelled: Value = server.request("POST", &format!("/api/jobs/{job}/cancel"), &[]).json();
    assert_eq!(cancelled["state"], "cancelled");
    server.presegmented();
    assert_eq!(server.wait(&case, "cancelled")["stage"], "presegmenting");
    assert_eq!(server.request("POST", "/api/jobs/999/cancel", &[]).refusal(404).0, "not_found");
}

#[test]
fn a_cancelled_job_can_be_tried_again_and_what_waits_knows_its_place() {
    let server = Server::start();
    let first = case_of(&server, 4);
    let running = server.wait(&first, "running");
    assert_eq!(running["job"]["ahead"], Value::Null);
    let waiting: Vec<String> = (0..2).map(|_| case_of(&server, 1)).collect();
    let ahead =
        |case: &str| server.get(&format!("/api/cases/{case}")).json::<Value>()["summary"]["job"]["ahead"].clone();
    assert_eq!([ahead(&waiting[0]), ahead(&waiting[1])], [1, 2]);
    let job = running["job"]["id"].as_i64().unwrap();
    let retry = |job: i64| server.request("POST", &format!("/api/jobs/{job}/retry"), &[]);
    assert_eq!(retry(job).refusal(409).0, "not_now");
    server.request("POST", &format!("/api/jobs/{job}/cancel"), &[]);
    let again: Value = retry(job).json();
    assert_eq!((again["kind"].as_str(), again["state"].as_str()), (Some("presegment"), Some("queued")));
    assert_eq!(retry(job).refusal(409).0, "not_now", "it was tried again already");
    assert_eq!(ahead(&first), 2, "behind those that waited already");
    let done = server.wait(&waiting[0], "done");
    assert_eq!(retry(done["job"]["id"].as_i64().unwrap()).refusal(409).0, "not_now", "there is nothing to try again");
    assert_eq!(retry(999).refusal(404).0, "not_found");
}

#[test]
fn a_killed_server_takes_its_worker_along_and_its_successor_finishes_the_job() {
    let server = Server::start();
    let case = case_of(&server, 2);
    server.wait(&case, "running");
    let worker = eventually("worker", || server.workers().pop());
    let server = server.killed_and_restarted();
    eventually("end of the old worker", || (!std::path::Path::new(&format!("/proc/{worker}")).exists()).then_some(()));
    assert_eq!(server.wait(&case, "done")["stage"], "correcting");
}

#[test]
fn the_worker_says_what_it_runs_on() {
    let server = Server::start();
    let health =
        eventually("worker", || Some(server.get("/api/health").json::<Health>()).filter(|health| health.worker));
    assert_eq!(health.device, "cpu");
}

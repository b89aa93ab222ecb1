//! Nobody waits for all of somebody else's scans.

use std::time::{Duration, Instant};

use serde_json::Value;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{Connection, Row};

use crate::people::{asking, case_of, person};
use crate::scans::Nifti;
use crate::server::{BUNDLE, Server, eventually};

/// Scans that one person queues at once.
const MANY: usize = 60;

/// A case's latest job as its owner sees it.
fn job(server: &Server, cookie: &str, case: &str) -> Value {
    server.send("GET", &format!("/api/cases/{case}"), &[("cookie", cookie)], None).json::<Value>()["summary"]["job"]
        .clone()
}

/// How long it takes from an upload to its segmentation.
fn seconds_until_done(server: &Server, cookie: &str) -> (String, Duration) {
    let begun = Instant::now();
    let (case, _) = case_of(server, cookie);
    eventually("segmentation", || (job(server, cookie, &case)["state"] == "done").then_some(()));
    (case, begun.elapsed())
}

/// A number that the data folder's database holds about its jobs.
fn number(server: &Server, query: &'static str, case: &str) -> i64 {
    let file = SqliteConnectOptions::new().filename(server.data().join("i3deep.sqlite")).read_only(true);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect_with(&file).await.unwrap();
        sqlx::query(query).bind(case).fetch_one(&mut connection).await.unwrap().get(0)
    })
}

#[test]
fn who_queues_hundreds_of_scans_lets_the_next_person_in_after_one() {
    let (server, admin) = asking(&[]);
    let (anna, bert) = (person(&server, &admin, "anna", "annotator"), person(&server, &admin, "bert", "annotator"));
    // The first one waits until the worker is up; the second says how long one takes by itself.
    seconds_until_done(&server, &anna);
    let (_, alone) = seconds_until_done(&server, &bert);
    let scan = Nifti::generated().packed();
    for _ in 0..MANY {
        assert_eq!(server.upload_as(&[("cookie", &anna)], BUNDLE, &[&scan]).status, 201);
    }
    let begun = Instant::now();
    let (case, _) = case_of(&server, &bert);
    // Turns are counted as jobs begin: this many had begun when bert's was queued for sure.
    let before = number(&server, "SELECT max(turn) FROM jobs WHERE ?1 = ?1", &case);
    let waiting = number(&server, "SELECT count(*) FROM jobs WHERE state = 'queued' AND ?1 = ?1", &case);
    eventually("bert's segmentation", || (job(&server, &bert, &case)["state"] == "done").then_some(()));
    let took = begun.elapsed();
    let turn = number(&server, "SELECT turn FROM jobs JOIN cases ON number = case_number WHERE cases.id = ?", &case);
    println!("{waiting} scans waited; bert's was ready after {took:?}, one by itself takes {alone:?}");
    assert!(waiting > MANY as i64 / 3, "only {waiting} of {MANY} scans were still waiting; this shows nothing");
    assert!(turn <= before + 1, "turn {turn}, when {before} jobs had begun");
}
